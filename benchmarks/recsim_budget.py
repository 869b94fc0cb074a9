"""What can be known of `recsim` after how many steps, without networks: two yardsticks.

    python benchmarks/recsim_budget.py [--items 10000] [--steps 10000,100000,1000000] [--draws 5] [--episodes 1000]

- What vectors tell: ridge regression of clicks on user, item and their products, from the steps of uniformly random
  recommendations; then always the item with the most probable click by it. It learns linearly and looks one step ahead.
- What trying items tells: of some items drawn at random, each is shown for whole visits, the better half by return goes
  on, and so forth; then always the last one. It knows neither vectors nor users.

Neither is a bound for what an algorithm can come to. Intervals are over independent draws.
"""

import one_core  # isort: skip  (before torch)

import argparse
import sys

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from savo_bench.envs import recsim

RIDGE = 100.0  # ours: 10 and 300 gave much the same
CHUNK = 20_000  # rows of the regression at once
CANDIDATES = (32, 64)  # ours: items that are tried
TRIALS = (4_000, 10_000)  # steps to try them in; visits are whole, so it takes some more
VISIT = 14  # steps of a visit, about, with an ordinary item
Array = NDArray[np.float64]


def features(users: Array, vectors: Array) -> Array:
    """1, user, item and all products of the two: (n, D) and (n, A) -> (n, 1 + D + A + D A)."""
    products = (users[:, :, None] * vectors[:, None, :]).reshape(len(users), -1)
    return np.concatenate([np.ones((len(users), 1)), users, vectors, products], axis=1)


class Regression:
    """The normal equations of clicks on the features, and how far random recommendations have come."""

    def __init__(self, items: int, seed: int) -> None:
        self.env = recsim.RecSim(items)
        self.vectors = self.env.item_vectors.astype(np.float64)
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.obs, _ = self.env.reset(seed=seed)
        self.steps = 0
        size = features(self.obs[None], self.vectors[:1]).shape[1]
        self.gram, self.moment = RIDGE * np.eye(size), np.zeros(size)

    def collect(self, steps: int) -> None:
        """Recommend at random until so many steps are seen."""
        while self.steps < steps:
            count = min(CHUNK, steps - self.steps)
            users, clicks = np.empty((count, recsim.CATEGORIES)), np.empty(count)
            items = self.rng.integers(len(self.vectors), size=count)
            for row, item in enumerate(items):
                users[row] = self.obs
                self.obs, clicks[row], over, *_ = self.env.step(item)
                if over or self.env.elapsed == recsim.STEPS:
                    self.obs, _ = self.env.reset()
            known = features(users, self.vectors[items])
            self.gram += known.T @ known
            self.moment += known.T @ clicks
            self.steps += count

    def mean_return(self, episodes: int) -> float:
        """What the item of the most probable click brings."""
        weights = np.linalg.solve(self.gram, self.moment)
        D, A = recsim.CATEGORIES, self.vectors.shape[1]
        of_items, of_products = weights[1 + D : 1 + D + A], weights[1 + D + A :].reshape(D, A)
        env, total = recsim.RecSim(len(self.vectors)), 0.0
        env.reset(seed=1_000 + self.seed)
        for _ in range(episodes):
            (obs, _), over = env.reset(), False
            while not over and env.elapsed < recsim.STEPS:
                best = np.argmax(self.vectors @ (of_items + obs @ of_products))
                obs, reward, over, *_ = env.step(best)
                total += reward
        return total / episodes


def shown_alone(env: recsim.RecSim, item: int, visits: int) -> tuple[float, int]:
    """Sum of the returns of visits in which only this item is shown, and the steps that they take."""
    total, steps = 0.0, 0
    for _ in range(visits):
        env.reset()
        over = False
        while not over and env.elapsed < recsim.STEPS:
            _, reward, over, *_ = env.step(np.int64(item))
            total += reward
        steps += env.elapsed
    return total, steps


def halving(items: int, seed: int, candidates: int, steps: int, episodes: int) -> tuple[float, int]:
    """The mean return of the item that is left of so many, and the steps that it took to find it."""
    env = recsim.RecSim(items)
    env.reset(seed=seed)
    left = [int(item) for item in np.random.default_rng(seed).choice(items, candidates, replace=False)]
    returns, visits, taken = dict.fromkeys(left, 0.0), dict.fromkeys(left, 0), 0
    each_round = steps / np.log2(candidates)
    while len(left) > 1:
        more = max(1, int(each_round / len(left) / VISIT))
        for item in left:
            found, used = shown_alone(env, item, more)
            returns[item] += found
            visits[item] += more
            taken += used
        left = sorted(left, key=lambda item: -returns[item] / visits[item])[: len(left) // 2]
    env.reset(seed=1_000 + seed)
    return shown_alone(env, left[0], episodes)[0] / episodes, taken


def texts(found: Array) -> list[tuple[str, str]]:
    """Mean and 95 % t interval of each column of (draws, columns)."""
    half = stats.t.ppf(0.975, len(found) - 1) * stats.sem(found)
    return [(f"{m:.2f}", f"{m - h:.2f} to {m + h:.2f}") for m, h in zip(found.mean(0), half, strict=True)]


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=recsim.ITEMS)
    parser.add_argument("--steps", default="10000,30000,100000,300000,1000000", help="of random recommendations")
    parser.add_argument("--draws", type=int, default=5, help="of everything that is random")
    parser.add_argument("--episodes", type=int, default=1000, help="of each evaluation")
    chosen = parser.parse_args()
    one_core.pin(None)
    shown = Table(
        "what is known", "steps", "return", "95 %", title=f"recsim:items={chosen.items}, {chosen.draws} draws"
    )

    for candidates in (count for count in CANDIDATES if count <= chosen.items):
        for steps in TRIALS:
            tried = [halving(chosen.items, draw, candidates, steps, chosen.episodes) for draw in range(chosen.draws)]
            found, taken = np.array(tried).T
            (row,) = texts(found[:, None])
            shown.add_row(f"the best of {candidates} items", f"{taken.mean():.0f}", *row)

    budgets = sorted(int(text) for text in chosen.steps.split(","))
    found = np.empty((chosen.draws, len(budgets)))
    for draw in range(chosen.draws):
        regression = Regression(chosen.items, draw)
        for column, steps in enumerate(budgets):
            regression.collect(steps)
            found[draw, column] = regression.mean_return(chosen.episodes)
    for steps, row in zip(budgets, texts(found), strict=True):
        shown.add_row("clicks, regressed on vectors", str(steps), *row)
    Console().print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
