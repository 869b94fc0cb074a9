"""A contextual bandit with one step whose Q-function is known: P peaks in an action space of D dimensions.

Peak j has its centre c_j(s) in [-1, 1]^D, which moves with the context s, and a relative height h_j; the best has 1.

    d_j² = |a - c_j(s)|² / D
    Q(s, a) = height / min_j (1/h_j + (d_j / width)²)

Distances are root mean squares over the dimensions, so that a width means the same in all of them. So peak j alone is
the curve height h_j / (1 + h_j (d_j / width)²), and Q is the highest of these curves. From this follows:

- Where peak j is the highest, Q rises straight towards c_j, far from all peaks, too: a Gaussian would be flat there.
- The part of the box where peak j is the highest is a convex polytope, a cell of a power diagram. If it holds c_j, then
  c_j is a local optimum and the polytope its basin: an ascent from any point of it ends there. If it does not, peak j
  is no optimum. Q has no other local optima, and its maximum is `height`, at the centre of the best peak.
- Far from all centres the nearest one decides, whatever its height: a high peak has no larger basin than a low one.

The environment and all of its numbers are ours, as a task for which regret is exact. The SAVO paper
(arXiv:2410.11833v2) asks what becomes of its method where deep optima lie in dense clusters, and in action spaces of
high dimension.
"""

import functools
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

from savo_bench.envs.registry import Metric, environment
from savo_bench.envs.values import integer, number

DIMS = 3  # ours: as many as Hopper's actions
PEAKS = 16  # ours: more than the usual numbers of actors
WIDTH = 0.1  # ours: a twentieth of an edge of the box; two uniform points are .8 apart
HEIGHT = 10.0  # ours: the size of a learnt Q's span over actions (6.7 in one that was measured), and large beside SAC's
#                    first temperature of 1
GAP = 0.2  # ours: an optimum that is not the best is clearly worse
SPREAD = 0.4  # ours: the lowest peak has .4 of the best one's height
CLUSTERS = 4  # ours: of four peaks each, at the usual number
CONTEXT_DIMS = 2  # ours: the least with directions
MOVEMENT = 0.25  # ours: centres move by up to a quarter of the box, more than a width
LANDSCAPE_SEED = 0  # ours
MAX_DIMS = 10_000  # ours: a step then takes milliseconds; more is probably a typing error
MAX_PEAKS = 10_000  # ours: the same
MAX_CONTEXT_DIMS = 100  # ours: the same
MAX_NUMBERS = 30_000_000  # ours: of all centres, 240 MB


@dataclass(frozen=True)
class Landscape:
    """Q(s, a), fixed for all episodes.

    Attributes:
        frames: (P, 1 + C, D) float64, read-only: the centre of peak j in context s is Σ_k (1, s)_k frames[j, k].
        heights: (P,) float64 in (0, 1], read-only: relative to the best peak, which is peak 0 and has 1.
        width: The distance per dimension at which the best peak, alone, has half its height.
        height: The value at the best peak.
    """

    frames: NDArray[np.float64]
    heights: NDArray[np.float64]
    width: float
    height: float

    def centres(self, context: ArrayLike) -> NDArray[np.float64]:
        """The centres (P, D) of all peaks in one context (C,)."""
        weights = np.concatenate([[1.0], np.asarray(context, np.float64)])
        return np.einsum("k,pkd->pd", weights, self.frames)

    def value(self, context: ArrayLike, action: ArrayLike) -> tuple[float, int]:
        """Q of one action (D,) in one context (C,), and the peak in whose cell the action lies."""
        gaps = self.centres(context) - np.asarray(action, np.float64)
        depths = 1 / self.heights + np.square(gaps).mean(1) / self.width**2  # (P,)
        peak = int(depths.argmin())
        return self.height / float(depths[peak]), peak

    def optima(self, context: ArrayLike) -> NDArray[np.bool_]:
        """Which peaks are local optima in one context (C,): (P,). Of peaks that are the same, the first is."""
        centres = self.centres(context)
        P, D = centres.shape
        order = np.argsort(-self.heights, kind="stable")  # a peak can only be hidden by one that is not lower
        found = np.zeros(P, dtype=np.bool_)
        for place, peak in enumerate(order):
            higher = order[:place]
            distances = np.square(centres[higher] - centres[peak]).sum(1) / D
            depths = 1 / self.heights[higher] + distances / self.width**2
            found[peak] = (depths > 1 / self.heights[peak]).all()
        return found


@functools.cache
def landscape(
    *,
    dims: int = DIMS,
    peaks: int = PEAKS,
    width: float = WIDTH,
    height: float = HEIGHT,
    gap: float = GAP,
    spread: float = SPREAD,
    clustering: float = 0.0,
    clusters: int = CLUSTERS,
    context_dims: int = CONTEXT_DIMS,
    movement: float = MOVEMENT,
    landscape_seed: int = LANDSCAPE_SEED,
) -> Landscape:
    """Draw a landscape. A second call in a process returns the same object. See the environment for the arguments.

    A centre is (1 - movement) u + movement W s: u is uniform in [-1, 1]^D, and the absolute values of each row of W sum
    to 1, so that it stays in the box. With `clustering` κ, both u and W are (1 - κ) times the peak's own and κ times
    those of its cluster, so that the peaks of a cluster move together. Peak j belongs to cluster j modulo `clusters`.

    Raises:
        ValueError: A wrong value, in one line.
    """
    dims, peaks = integer("dims", dims, 1, MAX_DIMS), integer("peaks", peaks, 1, MAX_PEAKS)
    context_dims = integer("context_dims", context_dims, 1, MAX_CONTEXT_DIMS)
    clusters = integer("clusters", clusters, 1, MAX_PEAKS)
    landscape_seed = integer("landscape_seed", landscape_seed, 0, 2**32 - 1)
    size = dims * peaks * (1 + context_dims)
    if size > MAX_NUMBERS:
        raise ValueError(
            f"dims={dims}, peaks={peaks}, context_dims={context_dims}: dims × peaks × (1 + context_dims) is {size}, "
            f"must be at most {MAX_NUMBERS}"
        )
    width, height = _positive("width", width), _positive("height", height)
    clustering, movement = _share("clustering", clustering), _share("movement", movement)
    gap, spread = _share("gap", gap), _share("spread", spread)
    if gap + spread >= 1:
        raise ValueError(f"gap={gap}, spread={spread}: their sum must be below 1, or a peak has no height")

    rng = np.random.default_rng(landscape_seed)
    heights = np.append(1.0, 1 - gap - spread * rng.random(peaks - 1))
    own = _frames(rng, peaks, context_dims, dims)
    shared = _frames(rng, clusters, context_dims, dims)[np.arange(peaks) % clusters]
    frames = (1 - clustering) * own + clustering * shared
    frames[:, 0] *= 1 - movement
    frames[:, 1:] *= movement
    for array in (frames, heights):
        array.setflags(write=False)
    return Landscape(frames, heights, width, height)


class LandscapeBandit(gym.Env[np.ndarray, np.ndarray]):
    """The environment. The observation is the context s, uniform in [-1, 1]^C; actions lie in [-1, 1]^D.

    Every episode has one step, of which the reward is Q(s, a). `info["regret"]` is max Q(s, ·) - Q(s, a), and
    `info["optimum"]` says whether the action lies in the basin of the best peak.

    Attributes:
        landscape: Q, the same object in all environments of a process with the same keywords.
        context: (C,) float32, that of the episode.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, landscape: Landscape) -> None:
        self.landscape = landscape
        _, frames, D = landscape.frames.shape
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (frames - 1,), np.float32)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (D,), np.float32)
        self.context = np.zeros(frames - 1, np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Draw a context. Returns (observation, {})."""
        super().reset(seed=seed, options=options)
        self.context = self.np_random.uniform(-1, 1, self.context.shape).astype(np.float32)
        return self.context.copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take the one step of an episode.

        Raises:
            ValueError: The action is not finite, or not of the shape (D,).
        """
        D = self.landscape.frames.shape[2]
        if np.shape(action) != (D,) or not np.isfinite(action).all():
            raise ValueError(f"action={action}: must be {D} finite numbers")
        q, peak = self.landscape.value(self.context, action)
        best = bool(self.landscape.heights[peak] == 1)
        return self.context.copy(), q, True, False, {"regret": self.landscape.height - q, "optimum": best}


@environment(
    "landscape",
    id="SavoBench/Landscape-v0",
    tags=("landscape",),
    max_episode_steps=2,  # ours: never reached; Gymnasium's checker refuses a limit of 1
    metrics={"regret": Metric("mean", "regret"), "optimum": Metric("max", "basin of the optimum", "%")},
    benchmark=False,
    step_seconds=1 / 25_000,  # ours: measured with the default keywords, a reset and a step, rounded
)
def bandit(
    *,
    dims: int = DIMS,
    peaks: int = PEAKS,
    width: float = WIDTH,
    height: float = HEIGHT,
    gap: float = GAP,
    spread: float = SPREAD,
    clustering: float = 0.0,
    clusters: int = CLUSTERS,
    context_dims: int = CONTEXT_DIMS,
    movement: float = MOVEMENT,
    landscape_seed: int = LANDSCAPE_SEED,
) -> gym.Env:
    """Bandit with contexts and one step, whose Q has known peaks and a known maximum.

    Args:
        dims: D, the dimensions of the action.
        peaks: P; not all need be local optima, since a high peak hides those that are close to it.
        width: Of the best peak, in units of the action and per dimension: where Q falls to half its maximum.
        height: The maximum of Q in every context.
        gap: How far the second best peak may rise: to 1 - gap of the best one.
        spread: The others' heights are uniform between 1 - gap - spread and 1 - gap of the best one's.
        clustering: From 0, centres are uniform, to 1, all peaks of a cluster have one centre.
        clusters: The number of clusters.
        context_dims: C, the dimensions of the context.
        movement: From 0, contexts change nothing, to 1, centres depend on the context alone.
        landscape_seed: Another draw of centres and heights.
    """
    return LandscapeBandit(
        landscape(
            dims=dims,
            peaks=peaks,
            width=width,
            height=height,
            gap=gap,
            spread=spread,
            clustering=clustering,
            clusters=clusters,
            context_dims=context_dims,
            movement=movement,
            landscape_seed=landscape_seed,
        )
    )


def optimal(env: LandscapeBandit) -> NDArray[np.float32]:
    """The best action (D,) in the environment's context: the centre of the best peak."""
    return env.landscape.centres(env.context)[0].astype(np.float32)


def _frames(rng: np.random.Generator, count: int, context_dims: int, dims: int) -> NDArray[np.float64]:
    """For each of `count` centres a place u and the columns of W: (count, 1 + C, D)."""
    places = rng.uniform(-1, 1, (count, 1, dims))
    columns = rng.uniform(-1, 1, (count, context_dims, dims))
    return np.concatenate([places, columns / np.abs(columns).sum(1, keepdims=True)], axis=1)


def _positive(keyword: str, value: Any) -> float:
    value = number(keyword, value)
    if value <= 0:
        raise ValueError(f"{keyword}={value}: must be > 0")
    return value


def _share(keyword: str, value: Any) -> float:
    value = number(keyword, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{keyword}={value}: must be from 0 to 1")
    return value
