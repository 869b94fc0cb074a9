"""How long a cell takes, roughly: for the order of packs and the printed estimate.

How an algorithm's updates compare with TD3's stands beside its registry entry (`algos.Entry.cost`), how long a step of
an environment takes beside its own (`envs.Environment.step_seconds`). Here is what all have in common.
"""

import heapq
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import gymnasium as gym

from savo_bench import envs
from savo_bench.bench.cells import Cell, Pack

if TYPE_CHECKING:
    from savo_bench.algos import UpdateCost  # it needs torch, which progress is shown without

# ours: fitted to docs/performance.md (benchmarks/algorithms.py, speed.py), one core of an EPYC with AVX-512
UPDATE_SHARED = 1.9e-3  # seconds of a TD3 update that all seeds of a pack share: the calls
UPDATE_OWN = 0.2e-3  # of each seed, whatever its width
UPDATE_PER_PRODUCT = 2e-10  # a multiplication of widths and batch: 3.4 ms at 256-256 and 256
ACT = 0.05e-3  # an action, its noise and its way into replay

# ours: fitted to docs/environments.md, "Large catalogues": 256 queries among 500 to 500 000 items
SEARCH_PER_PRODUCT = 3.5e-11  # of a query, for every item and dimension
SEARCH_PER_NEIGHBOUR = 9e-11  # of a query, for every item and every neighbour beyond the first
SEARCH_PER_PROBED = 4e-10  # of a query, for every item and dimension of the cells that search=ivf looks into
SEARCH_BLOCKS_FROM = 65_536  # code: algos/catalogue.py; with more items, more neighbours cost no more than with these

EPISODE_ELSEWHERE = 1_000  # ours: steps of an episode where no time limit is known, Gymnasium's usual one

# a guess, until measured: eager kernels' launches, the same for one seed and for ten
GPU_UPDATE = 2.5e-3


def update_seconds(cell: Cell, pack: int = 1) -> float:
    """Seconds of one seed's update on one CPU core, in a pack of so many seeds."""
    hidden = getattr(cell.config, "hidden", (256, 256))  # a plug-in's config need not have it
    products = cell.config.batch_size * sum(a * b for a, b in itertools.pairwise(hidden))
    td3 = UPDATE_SHARED / pack + UPDATE_OWN + UPDATE_PER_PRODUCT * products
    return td3 * _update_cost(cell).relative(cell.config) + _search_seconds(cell)


def _update_cost(cell: Cell) -> "UpdateCost":
    from savo_bench import algos  # here, because this module is also imported where there is no torch

    return algos.get(cell.algorithm).cost


def _search_seconds(cell: Cell) -> float:
    """Seconds of one seed's update that go into the search for the nearest items; 0 in a box."""
    from savo_bench.bench.spaces import probe  # needs torch

    catalogue = probe(cell).catalogue
    if catalogue is None:
        return 0.0
    items, dimensions = catalogue.vectors.shape
    probes = _probes(cell)
    if probes is None:
        further = getattr(cell.config, "candidates", 1) - 1  # neighbours
        each = SEARCH_PER_PRODUCT * items * dimensions + SEARCH_PER_NEIGHBOUR * min(items, SEARCH_BLOCKS_FROM) * further
    else:
        cells = 4 * items**0.5
        probed = items * min(1.0, probes / cells)
        each = (SEARCH_PER_PRODUCT * cells + SEARCH_PER_PROBED * probed) * dimensions
    return cell.config.batch_size * _update_cost(cell).queries(cell.config) * each


def _probes(cell: Cell) -> int | None:
    """Cells of an index that an approximate search looks into; None if the search is exact."""
    from savo_bench.algos.config import Config  # needs torch

    config = cell.config
    return config.probes if isinstance(config, Config) and config.search == "ivf" else None


def episode(environment: str) -> int:
    """The largest number of steps of an episode: the environment's time limit, read without making it."""
    known = gym.registry.get(envs.get(environment).id)
    return EPISODE_ELSEWHERE if known is None else known.max_episode_steps or EPISODE_ELSEWHERE


def _env_seconds(cell: Cell, step: int) -> float:
    """Seconds of one seed's steps of its environment, in training and evaluation; no episode ends early."""
    each = envs.get(cell.environment).step_seconds
    budget = cell.budget
    evaluations = budget.steps / budget.eval_every * budget.eval_episodes * episode(cell.environment)
    return (each + ACT) * (budget.steps + evaluations) * (1 - step / budget.steps)


def learning_steps(cell: Cell, step: int = 0) -> int:
    """Steps of one seed with updates, from a step to the end: all but the random steps at the beginning."""
    return max(0, cell.budget.steps - max(step, cell.config.warmup_steps))


def updates(cell: Cell, step: int = 0) -> int:
    """Updates of one seed from a step to the end."""
    return learning_steps(cell, step) * getattr(cell.config, "replay_ratio", 1)  # a plug-in's config need not have it


def seconds(cell: Cell, step: int = 0, pack: int = 1) -> float:
    """Seconds on one CPU core to train one seed, in a pack of so many, from a step to the end.

    Raises:
        UserError: the environment cannot be made.
    """
    return updates(cell, step) * update_seconds(cell, pack) + _env_seconds(cell, step)


def pack_seconds(pack: Pack, step: int = 0) -> float:
    """Seconds of one worker to train a pack from a step to the end.

    Raises:
        UserError: the environment cannot be made.
    """
    if pack.device == "cuda":
        update = GPU_UPDATE * _update_cost(pack.cell).relative(pack.cell.config)
        if _probes(pack.cell) is not None:  # it searches on the CPU there, too, and seed by seed
            update += len(pack.seeds) * _search_seconds(pack.cell)
        return updates(pack.cell, step) * update + len(pack.seeds) * _env_seconds(pack.cell, step)
    return len(pack.seeds) * seconds(pack.cell, step, len(pack.seeds))


class Parts(NamedTuple):
    """What a pack's training is made of, in seconds of one worker."""

    step: float  # a step of every seed's environment
    update: float  # the updates after a step
    evaluation: float  # an evaluation of every seed


def parts(pack: Pack) -> Parts:
    """The parts of `pack_seconds`.

    Raises:
        UserError: the environment cannot be made.
    """
    cell, number = pack.cell, len(pack.seeds)
    step = number * (envs.get(cell.environment).step_seconds + ACT)
    updating = pack_seconds(pack) - number * _env_seconds(cell, 0)
    evaluation = step * cell.budget.eval_episodes * episode(cell.environment)
    return Parts(step, max(0.0, updating) / max(1, learning_steps(cell)), evaluation)


def makespan(times: Iterable[float], workers: int) -> float:
    """Seconds until all packs are trained, where the first free worker takes the next one of these."""
    free = [0.0] * workers
    for time in times:
        heapq.heappush(free, heapq.heappop(free) + time)
    return max(free)
