"""How long and how much memory it takes to load and to report many runs, made up on the spot.

    python benchmarks/report_speed.py [--runs 2000] [--evaluations 100] [--episodes 10] [--rows 200]

Exits with 1 if 2 000 runs or fewer take more than LIMITS.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import one_core  # noqa: F401 - before numpy, which reads the number of threads once

import numpy as np  # isort: skip

from savo_bench.results import reference
from savo_bench.results.files import append_csv
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import load
from savo_bench.results.report import write_report

VARIANTS = ("savo", "td3", "sac", "cem", "wolpertinger", "ensemble", "savo-sac", "greedy-ac", "td3:lr=1", "savo:lr=1")
SEEDS = 10
LIMITS = {"load": (10, 1024), "report": (60, 1024)}  # ours: seconds of one core and MB, of a laptop's patience
SCALARS = ("q", "spread", "surrogate_error", *(f"wins_{i}" for i in range(4)), *(f"loss_{i}" for i in range(9)))


def make(root: Path, environment: str, variant: str, seed: int, size: argparse.Namespace) -> None:
    """One seed that is done, with noise for returns."""
    draw = np.random.default_rng([seed, *environment.encode(), *variant.encode()])
    steps = 1_000 * size.evaluations
    folder = SeedFolder.of(root, environment, variant, seed)
    spec = {
        "environment": {"name": environment, "id": f"Made/{environment}-v0", "keywords": {}},
        "algorithm": {"name": variant.partition(":")[0], "variant": variant, "config": {f"x{i}": i for i in range(25)}},
        "budget": {"profile": "paper", "steps": steps, "eval_every": 1_000, "eval_episodes": size.episodes},
        "seed": seed,
    }
    folder.write_run(spec, {"version": "1", "packages": {"torch": "2"}, "cpu": "some", "device": "cpu"})
    height = draw.normal(1_000, 200) * (1 - np.exp(-np.arange(size.evaluations) / 20))
    returns = height[:, None] + draw.normal(size=(size.evaluations, size.episodes))
    rows = [(1_000 * (i + 1), e, x, 1_000, 0.5) for i, row in enumerate(returns.tolist()) for e, x in enumerate(row)]
    append_csv(folder.evals_csv, ["step", "episode", "return", "length", "valid"], rows)
    scalars = draw.random((size.rows, len(SCALARS))).tolist()
    append_csv(folder.train_csv, ["step", "seconds", *SCALARS], [(i, i, *row) for i, row in enumerate(scalars)])
    folder.write_status({"state": "done", "step": steps, "steps": steps, "seconds": 4_000.0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"runs": 2_000, "evaluations": 100, "episodes": 10, "rows": 200}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    size = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, out, bounds = (Path(folder, name) for name in ("runs", "report", "bounds.csv"))
        environments = [f"task-{i}" for i in range(-(-size.runs // (SEEDS * len(VARIANTS))))]
        names = [(e, v, s) for e in environments for v in VARIANTS for s in range(SEEDS)][: size.runs]
        for name in names:
            make(root, *name, size)
        # with bounds, so that everything that a report can have is made
        ends = "".join(f"{e},v0,low,none,0,made up\n{e},v0,high,best,1200,made up\n" for e in environments)
        bounds.write_text("environment,version,bound,policy,mean,source\n" + ends)
        reference.BOUNDS = bounds
        missed = False
        for what, work in {"load": lambda: load(root), "report": lambda: write_report(root, out)}.items():
            began = time.process_time()
            work()
            seconds, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{what}: {len(names)} runs, {seconds:.1f} s of one core, peak {peak:.0f} MB")
            missed |= seconds > LIMITS[what][0] or peak > LIMITS[what][1]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
