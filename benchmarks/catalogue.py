"""What a large catalogue costs: the search for the nearest items, and the memory of a training.

    python benchmarks/catalogue.py [--quick] [--cpu-time] [--approximate] [--out catalogue.json]

- Search: 256 queries of 35 dimensions among recsim's items, on one core. Cases take turns and each counts with its
  fastest round.
- Memory: a pack of ten seeds in the quick profile on recsim with half a million items, in a process of its own, past
  some updates and an evaluation. Exit code 1 if it takes more than is allowed.
- With --approximate, and faiss-cpu installed: `search=ivf` beside the exact search, its time and its recall (the share
  of the true neighbours that it finds), for queries close to items and for uniform ones.
"""

import one_core  # isort: skip  (before torch)

import argparse
import functools
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory import peak
from rich.console import Console
from rich.table import Table

from savo_bench.algos.catalogue import Catalogue, InvertedFile
from savo_bench.envs import recsim

LARGEST = 500_000  # items
SIZES = (500, 5_000, 10_000, 100_000, LARGEST)
NEIGHBOURS = (1, 10, 100)
QUERIES = 256
MEMORY = 4.0  # GiB, demanded of a training with the largest catalogue
ALGORITHMS = ("td3", "wolpertinger", "savo")
SEEDS = 10
WARMUP, UPDATES = 150, 4  # steps before the first update, more than a batch; and then
PROBES = (8, 32, 128, 512)  # cells of the inverted file that are searched


def queries(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """What actors may ask for: points near items, and points anywhere."""
    rng = np.random.default_rng(0)
    items = vectors[rng.integers(len(vectors), size=QUERIES)]
    near = np.clip(items + 0.1 * rng.standard_normal(items.shape), -1, 1)
    return {"near": near.astype(np.float32), "uniform": rng.uniform(-1, 1, items.shape).astype(np.float32)}


def fastest(works: Mapping[Any, Callable[[], Any]], rounds: int, clock: Callable[[], float]) -> dict[Any, float]:
    """Milliseconds of each work's fastest round; they take turns."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            start = clock()
            work()
            best[name] = min(best[name], 1e3 * (clock() - start))
    return best


def exact(sizes: tuple[int, ...], rounds: int, clock: Callable[[], float]) -> dict[str, dict[str, float]]:
    """Milliseconds of a search, by number of items and of neighbours."""
    works = {}
    for size in sizes:
        vectors = recsim.catalogue(size, recsim.CATALOGUE_SEED).vectors
        items, points = Catalogue(vectors), torch.from_numpy(queries(vectors)["uniform"])[None]
        for count in NEIGHBOURS:
            works[size, count] = functools.partial(items.nearest, points, count)
    best = fastest(works, rounds, clock)
    return {str(size): {str(count): best[size, count] for count in NEIGHBOURS} for size in sizes}


def approximate(size: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Milliseconds and recall of `search=ivf` beside the exact search's."""
    vectors = recsim.catalogue(size, recsim.CATALOGUE_SEED).vectors
    items = Catalogue(vectors)
    start = clock()
    inverted = InvertedFile(vectors, 1)
    built = clock() - start

    def search(points: torch.Tensor, count: int, probes: int) -> torch.Tensor:
        inverted.probes = probes
        return inverted.nearest(points, count)

    works: dict[tuple[str, int, int], Callable[[], Any]] = {}
    recalls = {}
    for kind, drawn in queries(vectors).items():
        points = torch.from_numpy(drawn)[None]
        for count in NEIGHBOURS[:2]:
            works[kind, count, 0] = functools.partial(items.nearest, points, count)
            recalls[kind, count, 0] = 1.0
            for probes in PROBES:
                works[kind, count, probes] = functools.partial(search, points, count, probes)
                recalls[kind, count, probes] = inverted.recall(points, search(points, count, probes)).item()
    best = fastest(works, rounds, clock)
    rows = [
        {
            "search": f"{probes} of {inverted.cells} cells" if probes else "exact",
            "queries": kind,
            "neighbours": count,
            "ms": took,
            "recall": recalls[kind, count, probes],
        }
        for (kind, count, probes), took in best.items()
    ]
    return {"built, s": built, "searches": rows}


def training(algorithm: str, items: int, seeds: int, folder: str) -> float:
    """The most memory that a training on so many items takes, in GiB."""
    one_core.pin(None)
    from savo_bench.bench import resolving
    from savo_bench.bench.cells import Pack
    from savo_bench.bench.options import Options
    from savo_bench.bench.training.loop import Training

    settings = (("warmup_steps", str(WARMUP)),)
    options = Options(algos=algorithm, envs=f"recsim:items={items}", profile="quick", settings=settings)
    (cell,) = resolving.cells(options)
    pack = Pack(cell, tuple(range(seeds)), Path(folder), "cpu", float("inf"), "inline")
    for seed in pack.seeds:
        pack.folder(seed).mkdir(parents=True)
    loop = Training(pack, pack.seeds, 0, threading.Event())
    loop.prepare()
    for _ in range(WARMUP + UPDATES):
        loop.advance()
    loop.replay.records.zero_()  # all of it, as after the last step
    loop.evaluator.run(loop.agent, loop.step, loop.device, loop.active.tolist(), lambda: False)
    assert loop.active.all(), [run.failure for run in loop.runs]
    return peak()


def main() -> int:
    """Measure, show, and say by the exit code whether the demand is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller catalogues, fewer rounds, two seeds")
    parser.add_argument("--approximate", action="store_true", help="compare with faiss's inverted file")
    parser.add_argument("--out", type=Path, help="write everything to this JSON file")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, for a machine that is busy")
    chosen = parser.parse_args()
    one_core.pin(None)
    clock = time.process_time if chosen.cpu_time else time.perf_counter
    rounds, sizes, seeds = (2, SIZES[:-1], 2) if chosen.quick else (5, SIZES, SEEDS)
    hardware = one_core.hardware()
    console = Console(width=120, highlight=False)
    console.print(f"{hardware['cpu']}, one core, one thread, {clock.__name__}; torch {hardware['packages']['torch']}")

    record: dict[str, Any] = {"hardware": hardware, "clock": clock.__name__}
    record["search, ms"] = exact(sizes, rounds, clock)
    shown = Table("items", *(f"{count} nearest" for count in NEIGHBOURS), title=f"{QUERIES} queries, ms")
    for size, times in record["search, ms"].items():
        shown.add_row(size, *(f"{took:.1f}" for took in times.values()))
    console.print(shown)

    if chosen.approximate:
        record["approximate"] = approximate(sizes[-1], rounds, clock)
        title = f"{sizes[-1]} items, built in {record['approximate']['built, s']:.1f} s"
        shown = Table("search", "queries", "neighbours", "ms", "recall", title=title)
        for row in record["approximate"]["searches"]:
            texts = (str(row["neighbours"]), f"{row['ms']:.0f}", f"{row['recall']:.2f}")
            shown.add_row(row["search"], row["queries"], *texts)
        console.print(shown)

    record["memory, GiB"] = {}
    missed = False
    for algorithm in (*ALGORITHMS, *(f"{name}:search=ivf" for name in ALGORITHMS if chosen.approximate)):
        with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1) as pool:
            taken = pool.apply(training, (algorithm, sizes[-1], seeds, folder))
        record["memory, GiB"][algorithm] = taken
        met = taken <= MEMORY
        missed |= not met
        what = f"{algorithm}, {seeds} seeds on {sizes[-1]} items: peak GiB"
        console.print(f"{'met' if met else 'MISSED':8}{what}: {taken:.2f}, demanded ≤ {MEMORY:g}")
    if chosen.out:
        chosen.out.write_text(json.dumps(record, indent=1) + "\n")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
