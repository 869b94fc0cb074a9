"""A simulated recommender: one item of a large catalogue per step, and a user with an interest and a budget.

There are 30 categories and 30 dimensions: an item's hidden vector e and the user's interest u lie in [-1, 1]^30. The
probability of a click grows with u·e. A click moves u towards e or away from it, and it costs budget: the better the
item's quality, the less. The episode ends when the budget is spent. An agent observes u and noisy item vectors. It does
not observe e, quality or budget, so items that are neighbours in its catalogue are only roughly neighbours in e.

Numbers and rules are those of the SAVO authors' code (`USC-Lira/Q3C@4a5456b`, `large_rl/envs/`). Differs from it:
- The code trains on 20 copies at once, each with a user of its own: a copy draws the same interest at every reset, from
  a fixed random state and always from the first category, and only c anew. Here each reset draws category and interest
  from `np_random`, or with `users=20` one of the code's 20 users.
- The catalogue is drawn once, from a seed of its own, and shared by all runs.
- The five added dimensions of the shown vectors hold the same noise as the others, and are scaled in the same way.
"""

import functools
import math
import operator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from savo_bench.envs.registry import Metric, environment
from savo_bench.envs.values import integer

CATEGORIES = 30  # code: and 30 dimensions; centroids are the rows of the identity matrix
NEGATED = 15  # code: the centroids from this row on are negated
SPREAD = 0.35  # code: standard deviation of the blobs of items and of users
VECTOR_NOISE = 1.0  # code: standard deviation of the noise in the shown vectors
NOISE_DIMENSIONS = 5  # code: dimensions of the shown vectors that hold only noise
QUALITY_MEANS = np.concatenate([np.linspace(-3, 0, 21), np.linspace(0, 3, 9)])  # code: one per category
QUALITY_SPREAD = 0.1  # code
ITEM_LENGTH = 4.0  # code: budget units that an item takes
BUDGET = 20.0  # code
NO_CLICK_COST = 0.5  # code
DISLIKE = 1.5  # code: subtracted from a negative u·e
NO_CLICK_MASS = 2.0  # code: the score of no click; that of a click is softplus(u·e)
STEPS = 20  # code
ITEMS = 10_000  # ours: the size in comparisons
MAX_ITEMS = 5_000_000  # ours: they take 1.3 GB; more is probably a typing error
CATALOGUE_SEED = 0  # ours
FIRST_USER_SEED = 2022  # code: the default of `env_seed`; user k is drawn from this + k. The paper's is unknown
MAX_USERS = 100_000  # ours: they take 12 MB; more is probably a typing error


class Catalogue(NamedTuple):
    """N items. The arrays are read-only.

    Attributes:
        vectors: (N, 35) float32 in [-1, 1], the vectors that agents see: e with noise, and five dimensions of noise.
        hidden: (N, 30) float32 in [-1, 1], the vectors e that decide clicks.
        category: (N,) in 0..29.
        quality: (N,) float64.
    """

    vectors: NDArray[np.float32]
    hidden: NDArray[np.float32]
    category: NDArray[np.int64]
    quality: NDArray[np.float64]


@functools.cache
def catalogue(items: int, seed: int, /) -> Catalogue:
    """Draw a catalogue with categories of equal size. A second call in a process returns the same object.

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


@functools.cache
def fixed_users(users: int, /) -> NDArray[np.float32]:
    """Return the interests u of so many users, (users, 30) in [-1, 1], read-only; the first 20 are those of the code.

    All are of the first category, and user k is drawn from a random state of its own, so more users do not change the
    first ones.
    """
    noise = [np.random.RandomState(FIRST_USER_SEED + k).normal(0, SPREAD, CATEGORIES) for k in range(users)]
    interests = np.array(noise)
    interests[:, 0] += _signs()[0]
    interests = np.clip(interests, -1, 1).astype(np.float32)
    interests.setflags(write=False)
    return interests


def click_probability(affinity: Any) -> Any:
    """Return P(click) of u·e = `affinity`, elementwise: s / (s + 2), s = softplus(u·e), or of u·e − 1.5 if u·e < 0."""
    score = np.logaddexp(0.0, np.where(affinity < 0, affinity - DISLIKE, affinity))
    return score / (score + NO_CLICK_MASS)


def drift(interest: NDArray[np.float32], hidden: NDArray[np.float32], *, towards: bool) -> NDArray[np.float32]:
    """Return the interest u (30,) after a click on an item with e (30,), moved towards e or away from it.

    A dimension moves in proportion to |u|, scaled to [0, 1]: the strongest most, the weakest not at all.
    """
    strength = np.abs(interest)
    weakest = strength.min()
    strength -= weakest
    spread = strength.max()
    change = hidden - interest
    if spread > 0:  # otherwise all dimensions are equally strong, and none moves
        strength /= spread
    change *= strength
    moved = interest + change if towards else interest - change
    return np.minimum(np.maximum(moved, -1, out=moved), 1, out=moved)  # three times as fast as np.clip


class RecSim(gym.Env[np.ndarray, np.int64]):
    """The environment. The observation is u (30,), an action is an item's index, and the reward is 1 for a click.

    A click on an item of length L = min(budget, 4) and quality q changes the budget by -L + c L q, where c in [0, 1]
    belongs to the user. No click costs .5. The episode terminates when the budget is 0 or less. `info` holds "click",
    "quality" (of the item) and "budget".

    Attributes:
        item_vectors: (N, 35) float32, the vectors that agents see; the same object in all environments of a process.
        catalogue, catalogue_seed: The items with their hidden properties, and the seed that they were drawn from.
        users: The number of fixed users; 0: each reset draws a new one.
        interest, budget, gain, elapsed: u (30,), the budget, the user's c, and the number of steps of the episode.
    """

    def __init__(self, items: int = ITEMS, catalogue_seed: int = CATALOGUE_SEED, users: int = 0) -> None:
        """Make the environment.

        Args:
            items: The number of items N.
            catalogue_seed: The seed that they are drawn from.
            users: The number of fixed users, of whom each reset draws one; with 0 each reset draws a new user.

        Raises:
            ValueError: A wrong value, in one line.
        """
        items = integer("items", items, 1, MAX_ITEMS)
        catalogue_seed = integer("catalogue_seed", catalogue_seed, 0, 2**32 - 1)
        self.users = integer("users", users, 0, MAX_USERS)
        self.catalogue, self.catalogue_seed = catalogue(items, catalogue_seed), catalogue_seed
        self.item_vectors = self.catalogue.vectors
        self.action_space = gym.spaces.Discrete(items)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (CATEGORIES,), np.float32)
        self.interest = np.zeros(CATEGORIES, np.float32)
        self.budget, self.gain, self.elapsed = BUDGET, 0.0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Draw a user: category and interest, or one of the fixed users; and c. Returns (observation, {})."""
        super().reset(seed=seed, options=options)
        if self.users:
            self.interest = fixed_users(self.users)[self.np_random.integers(self.users)]
        else:
            centre = int(self.np_random.integers(CATEGORIES))
            interest = SPREAD * self.np_random.standard_normal(CATEGORIES)
            interest[centre] += _signs()[centre]
            self.interest = np.clip(interest, -1, 1).astype(np.float32)
        self.gain = self.np_random.random()
        self.budget, self.elapsed = BUDGET, 0
        return self.interest.copy(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Recommend an item by its index. The time of a step does not depend on the number of items.

        Raises:
            ValueError: There is no item with this index.
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
    """Return the item with the highest probability of a click, from the true e; it ignores the budget."""
    return int(np.argmax(env.catalogue.hidden @ env.interest))  # P(click) grows with u·e


def privileged(env: RecSim) -> int:
    """Return the item that would get most clicks if it were shown at all remaining steps; knows e, quality, budget, c.

    It plans at every step, and the plan ignores drift. So it is a good policy, but no upper bound.
    """
    items = env.catalogue
    return _plan(items.hidden @ env.interest, items.quality, env.gain, env.budget, STEPS - env.elapsed)


def generalising(env: RecSim) -> int:
    """Return `privileged`'s choice from linear estimates of e and quality, without knowing c and budget.

    The estimates are the best linear ones from the shown vectors. So this is what an agent can reach that generalises
    linearly over item vectors and learns nothing about single items.
    """
    hidden, quality = _guess(len(env.item_vectors), env.catalogue_seed)
    mean_gain = 0.5  # the mean of c, which is uniform in [0, 1]
    return _plan(hidden @ env.interest, quality, mean_gain, BUDGET, STEPS - env.elapsed)


@environment(
    "recsim",
    id="SavoBench/RecSim-v0",
    tags=("recommender",),
    max_episode_steps=STEPS,
    metrics={"click": Metric("mean", "click rate", "%"), "quality": Metric("mean", "quality of shown items")},
    step_seconds=1 / 165_000,  # ours: measured, rounded
)
def recsim(*, items: int = ITEMS, catalogue_seed: int = CATALOGUE_SEED, users: int = 0) -> gym.Env:
    """Simulated recommender: one item of 10 000 per step, a reward per click, clicks cost budget."""
    return RecSim(items, catalogue_seed, users)


def _plan(affinity: Any, quality: Any, gain: float, budget: float, steps: int) -> int:
    """The item with most expected clicks if it is shown at all remaining steps, of N with u·e (N,) and quality (N,).

    The budget changes by its expectation at each step, and there are no clicks when it is spent.
    """
    probability = click_probability(affinity)
    growth = probability * (gain * quality - 1)  # expected change of the budget by a click, per unit of length
    idle = (1 - probability) * NO_CLICK_COST
    left = np.full_like(probability, budget)
    clicks = np.zeros_like(probability)
    for _ in range(steps):
        clicks += probability * (left > 0)
        left += growth * np.clip(left, 0, ITEM_LENGTH) - idle
    return int(np.argmax(clicks))


@functools.cache
def _guess(items: int, seed: int, /) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares estimates of e (N, 30) and quality (N,) from a catalogue's shown vectors and a constant."""
    known = catalogue(items, seed)
    shown = np.column_stack([known.vectors, np.ones(items)])
    hidden, quality = (shown @ np.linalg.lstsq(shown, truth, rcond=None)[0] for truth in (known.hidden, known.quality))
    return hidden, quality


@functools.cache
def _signs() -> NDArray[np.float32]:
    """Per category k, the centroid's value in dimension k, ±1 (30,); its other values are 0."""
    return np.where(np.arange(CATEGORIES) < NEGATED, 1, -1).astype(np.float32)


def _stretch(table: NDArray[np.float32]) -> None:
    """Scale each column to [-1, 1], in place; a constant column becomes -1."""
    table -= table.min(axis=0)
    spread = table.max(axis=0)
    table /= np.where(spread > 0, spread, 1)
    table *= 2
    table -= 1
