"""A simulated recommender: one item of a large catalogue per step, a user who clicks, drifts and runs out of budget.

There are 30 categories, and as many dimensions: e of an item and u of the user are points of [-1, 1]^30. The user
clicks with a probability that grows with u·e. A click moves u towards e or away from it and costs budget, the less the
better the item's quality is; low quality ends the visit early. An agent sees u and noisy item vectors: it never sees
e, quality or budget, and neighbours in its catalogue are only roughly those of the user.

Numbers and rules are those of the SAVO authors' code (`USC-Lira/Q3C@4a5456b`, `large_rl/envs/`). Differs from it:
- The code draws the same user at every reset of a copy, from a fixed random state and always from the first cluster.
  Here each reset draws cluster and user from `np_random`.
- The catalogue is drawn once from a seed of its own and shared by all runs.
- The five added dimensions of the shown vectors hold the same noise as the others, scaled with them.
"""

import functools
import math
import operator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from savo_bench.envs.registry import environment
from savo_bench.envs.values import integer

CATEGORIES = 30  # code: as many dimensions; centroids are the rows of the identity matrix
NEGATED = 15  # code: from this row on the centroids are negated
SPREAD = 0.35  # code: standard deviation of the blobs of items and of users
VECTOR_NOISE = 1.0  # code: standard deviation of the noise in the shown vectors
NOISE_DIMENSIONS = 5  # code: shown dimensions with nothing but noise
QUALITY_MEANS = np.concatenate([np.linspace(-3, 0, 21), np.linspace(0, 3, 9)])  # code: one per category
QUALITY_SPREAD = 0.1  # code
ITEM_LENGTH = 4.0  # code: budget units that an item takes
BUDGET = 20.0  # code
NO_CLICK_COST = 0.5  # code
DISLIKE = 1.5  # code: what a negative u·e is lowered by before it counts
NO_CLICK_MASS = 2.0  # code: the score of not clicking, beside softplus(u·e) for clicking
STEPS = 20  # code
ITEMS = 10_000  # ours: the comparison's size; sizes to sweep are 500, 5_000, 100_000 and 500_000
MAX_ITEMS = 5_000_000  # ours: they take 1.3 GB; more is a typing error
CATALOGUE_SEED = 0  # ours


class Catalogue(NamedTuple):
    """Everything about N items; arrays that nobody can write to.

    Attributes:
        vectors: (N, 35) float32 in [-1, 1], what agents see: e with noise, and five dimensions of noise.
        hidden: (N, 30) float32 in [-1, 1], e, what the user reacts to.
        category: (N,) in 0..29.
        quality: (N,) float64.
    """

    vectors: NDArray[np.float32]
    hidden: NDArray[np.float32]
    category: NDArray[np.int64]
    quality: NDArray[np.float64]


@functools.cache
def catalogue(items: int, seed: int, /) -> Catalogue:
    """Draw a catalogue: the same object whenever a process asks for it again. Categories are of equal size.

    It works in place and in float32: 500 000 items take 140 MB, and little more while they are drawn.
    """
    rng = np.random.default_rng(seed)
    category = rng.permutation(np.arange(items) % CATEGORIES)
    hidden = rng.standard_normal((items, CATEGORIES), np.float32)
    hidden *= SPREAD
    hidden[np.arange(items), category] += _signs()[category]
    _stretch(hidden)
    vectors = rng.standard_normal((items, CATEGORIES + NOISE_DIMENSIONS), np.float32)
    vectors *= VECTOR_NOISE
    vectors[:, :CATEGORIES] += hidden
    _stretch(vectors)
    quality = rng.normal(QUALITY_MEANS[category], QUALITY_SPREAD)
    drawn = Catalogue(vectors, hidden, category, quality)
    for array in drawn:
        array.setflags(write=False)
    return drawn


def click_probability(affinity: Any) -> Any:
    """P(click) at u·e = `affinity`, elementwise: s / (s + 2) with s = softplus(u·e), lowered by 1.5 where negative."""
    score = np.logaddexp(0.0, np.where(affinity < 0, affinity - DISLIKE, affinity))
    return score / (score + NO_CLICK_MASS)


def drift(interest: NDArray[np.float32], hidden: NDArray[np.float32], *, towards: bool) -> NDArray[np.float32]:
    """The interest (30,) after a click on an item (30,): strong interests move most, the weakest not at all."""
    strength = np.abs(interest)
    weakest = strength.min()
    strength -= weakest
    spread = strength.max()
    change = hidden - interest
    if spread > 0:  # else all are as strong as the weakest
        strength /= spread
    change *= strength
    moved = interest + change if towards else interest - change
    return np.minimum(np.maximum(moved, -1, out=moved), 1, out=moved)  # np.clip takes three times as long


class RecSim(gym.Env[np.ndarray, np.int64]):
    """Observes u (30,) and acts by an item's index; the reward is 1 for a click.

    An item of length L = min(budget, 4) and quality q that is clicked changes the budget by -L + c L q, where c in
    [0, 1] is the user's; no click takes .5. The visit is over when nothing is left. `info` says whether there was a
    click, the item's quality, and the budget.

    Attributes:
        item_vectors: (N, 35) float32, what agents see of the items; the same object for every copy in a process.
        catalogue, catalogue_seed: The items with all that is hidden, and the seed from which they were drawn.
        interest, budget, gain, elapsed: u (30,), the budget, the user's c, and how many steps were taken.
    """

    def __init__(self, items: int = ITEMS, catalogue_seed: int = CATALOGUE_SEED) -> None:
        items = integer("items", items, 1, MAX_ITEMS)
        catalogue_seed = integer("catalogue_seed", catalogue_seed, 0, 2**32 - 1)
        self.catalogue, self.catalogue_seed = catalogue(items, catalogue_seed), catalogue_seed
        self.item_vectors = self.catalogue.vectors
        self.action_space = gym.spaces.Discrete(items)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (CATEGORIES,), np.float32)
        self.interest = np.zeros(CATEGORIES, np.float32)
        self.budget, self.gain, self.elapsed = BUDGET, 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Draw a user: category, interest, c."""
        super().reset(seed=seed, options=options)
        centre = int(self.np_random.integers(CATEGORIES))
        interest = SPREAD * self.np_random.standard_normal(CATEGORIES)
        interest[centre] += _signs()[centre]
        self.interest = np.clip(interest, -1, 1).astype(np.float32)
        self.gain = self.np_random.random()
        self.budget, self.elapsed = BUDGET, 0
        return self.interest.copy(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Recommend an item; its cost does not depend on how many there are.

        Raises:
            ValueError: There is no such item.
        """
        item = operator.index(action)
        if not 0 <= item < len(self.item_vectors):
            raise ValueError(f"action={action}: must be an item's index from 0 to {len(self.item_vectors) - 1}")
        hidden, quality = self.catalogue.hidden[item], float(self.catalogue.quality[item])
        affinity = float(self.interest @ hidden)
        click = self.np_random.random() < float(click_probability(affinity))
        if click:
            towards = self.np_random.random() < 1 / (1 + math.exp(-affinity))
            self.interest = drift(self.interest, hidden, towards=towards)
            length = min(self.budget, ITEM_LENGTH)
            self.budget += length * (self.gain * quality - 1)
        else:
            self.budget -= NO_CLICK_COST
        self.elapsed += 1
        info = {"click": click, "quality": quality, "budget": self.budget}
        return self.interest.copy(), float(click), self.budget <= 0, False, info


def click_greedy(env: RecSim) -> int:
    """The item that the user clicks most probably, by the true e; blind to what a click costs."""
    return int(np.argmax(env.catalogue.hidden @ env.interest))  # P(click) grows with u·e


def privileged(env: RecSim) -> int:
    """The item that would bring most clicks if it were shown from now on; sees e, quality, budget and c.

    The plan ignores drift and is made anew at each step, so it is no upper bound.
    """
    items = env.catalogue
    return _plan(items.hidden @ env.interest, items.quality, env.gain, env.budget, STEPS - env.elapsed)


def generalising(env: RecSim) -> int:
    """As `privileged`, by the best linear guess of e and quality from the shown vectors; c and budget are not seen.

    What an agent can come to that tells items apart by their vectors' linear part alone and learns nothing of single
    items.
    """
    hidden, quality = _guess(len(env.item_vectors), env.catalogue_seed)
    mean_gain = 0.5  # of c, which is uniform in [0, 1]
    return _plan(hidden @ env.interest, quality, mean_gain, BUDGET, STEPS - env.elapsed)


@environment(
    "recsim",
    id="SavoBench/RecSim-v0",
    tags=("recommender",),
    max_episode_steps=STEPS,
    metrics={"click": "mean", "quality": "mean"},
    step_seconds=1 / 165_000,  # ours: docs/environments.md
)
def recsim(*, items: int = ITEMS, catalogue_seed: int = CATALOGUE_SEED) -> gym.Env:
    """Simulated recommender: one item of 10 000 per step, a reward per click, a budget that clicks use up."""
    return RecSim(items, catalogue_seed)


def _plan(affinity: Any, quality: Any, gain: float, budget: float, steps: int) -> int:
    """The item that brings most clicks if it is shown from now on, of N with u·e (N,) and quality (N,).

    Clicks are counted over the steps that are left, with a budget that changes at each as it is expected to, until it
    is spent.
    """
    probability = click_probability(affinity)
    growth = probability * (gain * quality - 1)  # of the budget, by clicks on an item of length 1
    idle = (1 - probability) * NO_CLICK_COST
    left = np.full_like(probability, budget)
    clicks = np.zeros_like(probability)
    for _ in range(steps):
        clicks += probability * (left > 0)
        left += growth * np.clip(left, 0, ITEM_LENGTH) - idle
    return int(np.argmax(clicks))


@functools.cache
def _guess(items: int, seed: int, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The least-squares estimates of e (N, 30) and quality (N,) from a catalogue's shown vectors and a constant."""
    known = catalogue(items, seed)
    shown = np.column_stack([known.vectors, np.ones(items)])
    hidden, quality = (shown @ np.linalg.lstsq(shown, truth, rcond=None)[0] for truth in (known.hidden, known.quality))
    return hidden, quality


@functools.cache
def _signs() -> NDArray[np.float32]:
    """What the centroid of category k holds in dimension k (30,); it is zero elsewhere."""
    return np.where(np.arange(CATEGORIES) < NEGATED, 1, -1).astype(np.float32)


def _stretch(table: NDArray[np.float32]) -> None:
    """Scale each column to [-1, 1], in place; one without spread becomes -1."""
    table -= table.min(axis=0)
    spread = table.max(axis=0)
    table /= np.where(spread > 0, spread, 1)
    table *= 2
    table -= 1
