"""How long a cell takes and how much it writes, roughly: for the order of packs and the printed estimate."""

import heapq
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from algos.agent import Spaces
    from bench.plan import Cell, Pack

# ours: measured on one core of an EPYC with AVX-512, packs of ten, seconds a seed
UPDATE_FIXED = 0.7e-3  # of a TD3 update, whatever its width
UPDATE_PER_PRODUCT = 3.75e-10  # a multiplication of widths and batch: .9 ms at 64-64 and 128, 7 ms at 256-256 and 256
ACT = 0.05e-3  # an action, its noise and its way into replay
ENV_STEP = {  # Gymnasium's own, by the end of the name
    "inverted-pendulum": 1 / 19_000,
    "hopper": 1 / 7_000,
    "ant": 1 / 3_000,
}
ENV_STEP_ELSEWHERE = 1 / 7_000
EPISODE = 1_000  # steps of an evaluation episode: Gymnasium's time limit, so an upper bound

# a guess, until measured: eager kernels' launches, the same for one seed and for ten
GPU_UPDATE = 2.5e-3


def relative(algorithm: str, config: Any) -> float:
    """Time of an update relative to TD3's; 1 for what is not known."""
    # ours: measured by benchmarks/algorithms.py, see docs/performance.md
    if algorithm in ("savo", "savo-sac"):
        return (1 if algorithm == "savo" else 1.35) * (1 + 1.6 * config.extra_actors)
    if algorithm == "ensemble":
        return 1 + 0.36 * config.extra_actors
    if algorithm == "cem":
        return 1 + 0.06 * config.iterations * config.samples
    if algorithm == "wolpertinger":
        return 1.9 if config.dual else 1.2
    return {"sac": 1.5, "greedy-ac": 3.6, "greedy-td3": 2.2}.get(algorithm, 1.0)


def networks(algorithm: str, config: Any) -> int:
    """Networks that a policy and its checkpoint hold: actor and twin critics, and what else there is."""
    if algorithm in ("savo", "savo-sac"):
        return 3 + 4 * config.extra_actors  # an actor and a surrogate, each with its summary of about that size
    if algorithm == "ensemble":
        return 3 + config.extra_actors
    return {"cem": 2, "wolpertinger": 4, "greedy-ac": 4, "greedy-td3": 4}.get(algorithm, 3)


def _update_seconds(cell: "Cell") -> float:
    hidden = getattr(cell.config, "hidden", (256, 256))
    batch = getattr(cell.config, "batch_size", 256)
    products = batch * sum(a * b for a, b in itertools.pairwise(hidden))
    return (UPDATE_FIXED + UPDATE_PER_PRODUCT * products) * relative(cell.algorithm, cell.config)


def _env_seconds(cell: "Cell", step: int) -> float:
    """Training and evaluation steps of one seed in its environment."""
    each = next((value for key, value in ENV_STEP.items() if cell.environment.endswith(key)), ENV_STEP_ELSEWHERE)
    budget = cell.budget
    evaluations = budget.steps / budget.eval_every * budget.eval_episodes * EPISODE
    return (each + ACT) * (budget.steps + evaluations) * (1 - step / budget.steps)


def _updates(cell: "Cell", step: int) -> int:
    return max(0, cell.budget.steps - max(step, getattr(cell.config, "warmup_steps", 0)))


def seconds(cell: "Cell", step: int = 0) -> float:
    """Time on one CPU core to train one seed from a step to the end."""
    return _updates(cell, step) * _update_seconds(cell) + _env_seconds(cell, step)


def pack_seconds(pack: "Pack", step: int = 0) -> float:
    """Time of one worker to train a pack from a step to the end."""
    if pack.device == "cuda":
        updates = _updates(pack.cell, step) * GPU_UPDATE * relative(pack.cell.algorithm, pack.cell.config)
        return updates + len(pack.seeds) * _env_seconds(pack.cell, step)
    return len(pack.seeds) * seconds(pack.cell, step)


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
