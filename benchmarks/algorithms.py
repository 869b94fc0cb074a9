"""What each algorithm costs: time of an update, time of an action, parameters; in those of td3, within one run.

    python benchmarks/algorithms.py [--quick] [--out algorithms.json]

On a box (Hopper, 256-256, batch 256, one seed) and on a catalogue (recsim, 10 000 items of 35 dimensions, 64-64, batch
128, one seed), all in the fair preset; and the search among 10 000 items alone. Algorithms take turns over several
rounds and each counts with its fastest, since whatever else the machine does only slows them.

Exit code 1 if a demand is missed.
"""

import sys
from typing import Any

import numpy as np
import torch
from speed import HOPPER, Demand, Measured, Result, Settings, Task, Work, compare, parts, report, training, updating

from savo_bench.algos.agent import parameters
from savo_bench.algos.catalogue import Catalogue

RECSIM = Task("recsim", (64, 64), 128, 1e-3, (1,))
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "td3": ("td3", {}),
    "td3:refine=10": ("td3", {"refine": 10}),
    "td3:best_of=10": ("td3", {"best_of": 10}),
    "wolpertinger": ("wolpertinger", {}),
    "wolpertinger:dual=true": ("wolpertinger", {"dual": True}),
    "sac": ("sac", {}),
    "sac:best_of=10": ("sac", {"best_of": 10}),
    "ensemble": ("ensemble", {}),
    "greedy-td3": ("greedy-td3", {}),
    "greedy-ac": ("greedy-ac", {}),
    "cem": ("cem", {}),
    "cem:preset=published": ("cem", {"iterations": 2, "samples": 64, "elites": 6}),
    "savo:extra_actors=1": ("savo", {"extra_actors": 1}),
    "savo": ("savo", {}),
    "savo:surrogate=exact": ("savo", {"surrogate": "exact"}),
    "savo:extra_actors=10": ("savo", {"extra_actors": 10}),
    "savo-sac": ("savo-sac", {}),
}
ITEMS, DIMENSIONS, QUERIES, NEIGHBOURS = 10_000, 35, 256, (1, 3, 10, 100)
SEARCH_MS = 30.0  # demanded of a search for the usual three neighbours


def costs(task: Task, settings: Settings) -> tuple[list[Result], dict[str, float]]:
    """Updates, then actions, of every variant on a task; and its trained parameters."""
    folder = settings.folder
    loops = {label: training(task, name, "fair", 1, folder, fields) for label, (name, fields) in VARIANTS.items()}
    updates = {label: (updating(loop), 1) for label, loop in loops.items()}
    results = compare(f"{task}: update", updates, settings, "td3")
    acts = {label: (parts(loop)["act"], 1) for label, loop in loops.items()}
    results += compare(f"{task}: action", acts, settings, "td3")
    return results, {f"parameters of {label} on {task.name}": parameters(loop.agent) for label, loop in loops.items()}


def searching(catalogue: Catalogue, points: torch.Tensor, count: int) -> Work:
    """Searches of so many neighbours."""

    def run(times: int) -> None:
        for _ in range(times):
            catalogue.nearest(points, count)

    return run


def searches(settings: Settings) -> tuple[list[Result], Demand]:
    """The search alone, in the time of one for a single neighbour."""
    rng = np.random.default_rng(0)
    catalogue = Catalogue(rng.uniform(-1, 1, (ITEMS, DIMENSIONS)).astype(np.float32))
    points = torch.from_numpy(rng.uniform(-1, 1, (1, QUERIES, DIMENSIONS)).astype(np.float32))
    sides = {f"{count} neighbours": (searching(catalogue, points, count), 1) for count in NEIGHBOURS}
    case = f"{QUERIES} queries among {ITEMS} items of {DIMENSIONS}"
    results = compare(case, sides, settings, "1 neighbours")
    return results, Demand(f"{case}: ms for 3 neighbours", results[1].best, SEARCH_MS, False, True)


def measure(settings: Settings) -> Measured:
    """Both tasks and the search."""
    results, demand = searches(settings)
    numbers: dict[str, float] = {}
    for task in (HOPPER, RECSIM):
        found, of_task = costs(task, settings)
        results += found
        numbers |= of_task
    return results, [demand], numbers


if __name__ == "__main__":
    sys.exit(report(__doc__, measure))
