"""Two thousand finished seeds: how long `bench status` and the report's load take, and how much memory.

    python benchmarks/scale.py [--seeds 2000] [--evaluations 100] [--out scale.json]

The folders are made up: ten seeds a cell, each with the evaluations of the paper profile, a hundred of ten episodes.
Each measurement is a process of its own: its time includes Python's start, its memory is its own. Seconds of the
processor say what it would take on a machine that does nothing else. Exit code 1 if a demand is missed.
"""

import one_core  # isort: skip  (before numpy)

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from savo_bench.bench import options, resolving
from savo_bench.bench.cells import seed_folder
from savo_bench.results.files import append_csv

EPISODES = 10  # of an evaluation
PER_CELL = 10  # seeds
MEMORY = 1.0  # GiB, demanded
WORK = {  # a name: the seconds demanded, and the code
    "bench status": (
        3.0,
        "import sys; sys.argv = ['bench', 'status', '--runs', {runs!r}]\nfrom savo_bench.bench import cli\ncli.main()",
    ),
    "load of bench report": (
        10.0,
        "from savo_bench.results import frame\nassert len(frame.load({root!r}).evals) == {evaluations}",
    ),
}
# Of /proc: the peak that getrusage knows may be that of the process that started this one.
PEAK = """import atexit, sys
from pathlib import Path
peak = lambda: next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
atexit.register(lambda: print(peak().split()[1], file=sys.stderr))
"""


def make(root: Path, seeds: int, evaluations: int) -> int:
    """Write folders of seeds that are done; how many evaluations they hold."""
    variants = ",".join(str(number) for number in range(1, seeds // PER_CELL + 1))
    asked = options.Options(algos=f"td3:batch_size={variants}", envs="restricted-hopper", steps=10_000 * evaluations)
    cells = resolving.cells(asked)
    header = ["step", "episode", "return", "length"]
    rows = [[10_000 * (1 + row // EPISODES), row % EPISODES, 1234.5678 + row, 987] for row in range(10 * evaluations)]
    for cell in cells:
        for seed in range(PER_CELL):
            folder, spec, steps = seed_folder(root, cell, seed), cell.spec(seed), cell.budget.steps
            spec["budget"]["eval_episodes"] = EPISODES
            folder.write_run(spec, {"host": "here"})
            folder.write_status({"state": "done", "step": steps, "steps": steps})
            append_csv(folder.evals_csv, header, rows)
            folder.lock.touch()
    return len(cells) * PER_CELL * evaluations


def measure(code: str) -> tuple[float, float, float]:
    """Seconds of a fresh interpreter by the clock and of the processor, and its memory in GiB."""
    began, before = time.perf_counter(), processor_seconds()
    done = subprocess.run(
        [sys.executable, "-c", PEAK + code], cwd=one_core.ROOT / "src", check=False, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr)
    return seconds, processor_seconds() - before, int(done.stderr.split()[-1]) / 2**20


def processor_seconds() -> float:
    """Seconds of the processor that the child processes took, of those that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--evaluations", type=int, default=100, help="of each seed")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    given = parser.parse_args()
    table = Table("", "seconds", "demanded", "of the processor", "GiB", "demanded")
    figures, missed = {}, False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "default"
        count = make(root, given.seeds, given.evaluations)
        for name, (limit, code) in WORK.items():
            seconds, processor, memory = measure(code.format(runs=folder, root=str(root), evaluations=count))
            figures[name] = {"seconds": round(seconds, 2), "processor": round(processor, 2), "GiB": round(memory, 3)}
            missed = missed or seconds > limit or memory > MEMORY
            table.add_row(name, f"{seconds:.2f}", f"{limit:g}", f"{processor:.2f}", f"{memory:.2f}", f"{MEMORY:g}")
    Console().print(table)
    if given.out:
        made = {"hardware": one_core.hardware(), "seeds": given.seeds, "evaluations": given.evaluations}
        given.out.write_text(json.dumps(made | figures, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
