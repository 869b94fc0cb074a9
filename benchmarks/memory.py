"""Memory of a pack with full replay buffers, and what its checkpoints cost.

    python benchmarks/memory.py [--quick] [--folder DISK] [--out memory.json]

Ten seeds of td3 on Hopper at the sizes of the paper profile, in a process of their own. The replay is filled with
numbers out of thin air up to the last step but five minutes; the pack takes one checkpoint with all of it, then trains,
and takes another after five minutes' worth of new transitions, at the speed measured here. A second process resumes
from it. `--folder` is where the checkpoints lie: their time is that of the disk.

Exit code 1 if a demand is missed.
"""

import one_core  # isort: skip  (before torch)

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

INTERVAL = 300  # seconds between two checkpoints, the default of --checkpoint-every
MEMORY = 2.5  # GiB, demanded of the largest case
CHECKPOINT = 1.0  # seconds, demanded of a checkpoint with what is new
STEPS = 1_000_000
SEEDS = 10
TIMED = 20  # steps from which the speed is taken


def pack_of(root: Path, steps: int, buffer_size: int, seeds: int) -> Any:
    """The pack that is measured."""
    from savo_bench.algos.td3 import TD3Config
    from savo_bench.bench.plan import Budget, Cell, Pack

    budget = Budget(profile="benchmark", steps=steps, eval_every=steps, eval_episodes=10)
    cell = Cell("hopper", {}, "td3", TD3Config(buffer_size=buffer_size), {}, budget)
    return Pack(cell, tuple(range(seeds)), root, device="cpu", checkpoint_every=INTERVAL, launcher="inline")


def fill(loop: Any, count: int) -> None:
    """Let `count` transitions with made-up numbers pass through the replay."""
    replay = loop.replay
    new = min(count, replay.capacity)
    first = (replay.added + count - new) % replay.capacity
    end = min(first + new, replay.capacity)
    replay.records[:, first:end].uniform_(-1, 1)
    replay.records[:, : new - (end - first)].uniform_(-1, 1)
    replay.added += count
    loop.step += count


def timed(work: Any, *arguments: Any) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def steps_per_second(loop: Any) -> float:
    """Steps of the whole pack, each with an update of every seed."""
    loop.advance()
    loop.advance()
    return TIMED / timed(lambda: [loop.advance() for _ in range(TIMED)])


def peak() -> float:
    """The most memory that this process has had resident, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def train(root: Path, steps: int, buffer_size: int, seeds: int) -> dict[str, float]:
    """Fill the buffers, train, and take checkpoints."""
    one_core.pin(None)
    from savo_bench.bench.train import Training

    pack = pack_of(root, steps, buffer_size, seeds)
    for seed in pack.seeds:
        pack.folder(seed).mkdir(parents=True)
    loop = Training(pack, pack.seeds, 0, threading.Event())
    loop.prepare()
    fill(loop, pack.cell.config.warmup_steps)
    new = min(steps // 2, round(INTERVAL * steps_per_second(loop)))
    fill(loop, steps - new - loop.step)
    loop.advance()
    whole = timed(loop.save_checkpoint)
    fill(loop, new - 2 * TIMED)
    speed = steps_per_second(loop)
    loop.evaluator.run(loop.agent, loop.step, loop.device, loop.active.tolist(), lambda: False)
    regular = timed(loop.save_checkpoint)
    return {
        "steps/s of the pack": speed,
        "new steps in a checkpoint": new,
        "peak GiB": peak(),
        "s, checkpoint": regular,
        "s, checkpoint of the whole buffer": whole,
        "GiB on disk": sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / 2**30,
    }


def resume(root: Path, steps: int, buffer_size: int, seeds: int) -> dict[str, float]:
    """Go on from the newest checkpoint, and take another."""
    one_core.pin(None)
    from savo_bench.bench import checkpoint
    from savo_bench.bench.train import Training
    from savo_bench.results.format import SeedFolder, state_steps

    pack = pack_of(root, steps, buffer_size, seeds)
    start = time.perf_counter()
    folders = [SeedFolder(pack.folder(seed)).checkpoint for seed in pack.seeds]
    step = state_steps(folders[0])[0]
    for folder in folders:
        checkpoint.load(folder, step)  # as a worker does to see which states are sound
    loop = Training(pack, pack.seeds, step, threading.Event())
    loop.prepare()
    assert loop.active.all(), [run.failure for run in loop.runs]
    loaded = time.perf_counter() - start
    steps_per_second(loop)
    first = timed(loop.save_checkpoint)
    return {"s, resume": loaded, "s, first checkpoint after it": first, "peak GiB after a resume": peak()}


def measure(folder: Path, *case: int) -> dict[str, float]:
    """One case, in two processes that start with nothing."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=folder) as root:
        for part in (train, resume):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found |= pool.apply(part, (Path(root), *case))
    return found


def main() -> int:
    """Measure, show, and say by the exit code whether the demands are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds and 50 000 steps, to see that it works")
    parser.add_argument("--folder", type=Path, help="where the checkpoints are written")
    parser.add_argument("--out", type=Path, help="write everything to this JSON file")
    chosen = parser.parse_args()
    steps, seeds = (50_000, 2) if chosen.quick else (STEPS, SEEDS)
    cases = {f"buffer of {size}": measure(chosen.folder, steps, size, seeds) for size in (steps, steps // 2)}
    hardware = one_core.hardware()

    shown = Table(title=f"{seeds} seeds of td3 on hopper, 256-256, {steps} steps")
    for column in ("", *cases):
        shown.add_column(column, justify="right" if column else "left")
    for name in next(iter(cases.values())):
        shown.add_row(name, *(f"{found[name]:.2f}" for found in cases.values()))
    console = Console(highlight=False)
    console.print(f"{hardware['cpu']}, one core, one thread; torch {hardware['packages']['torch']}")
    console.print(shown)
    missed = False
    for case, found in cases.items():
        for name, limit in (
            ("peak GiB", MEMORY),
            ("peak GiB after a resume", MEMORY),
            ("s, checkpoint", CHECKPOINT),
            ("s, first checkpoint after it", CHECKPOINT),
        ):
            met = found[name] <= limit
            missed |= not met
            console.print(f"{'met' if met else 'MISSED':8}{case}, {name}: {found[name]:.2f}, demanded ≤ {limit:g}")
    if chosen.out:
        chosen.out.write_text(json.dumps({"hardware": hardware, "cases": cases}, indent=1) + "\n")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
