"""How many steps of `recsim` an agent must see before its items' vectors can tell it anything.

    python benchmarks/recsim_budget.py [--items 10000] [--steps 10000,100000,1000000] [--draws 5] [--episodes 1000]

A yardstick without networks, exploration or bootstrapping: ridge regression of clicks on user, item and their products,
from the steps of uniformly random recommendations, and then always the item with the most probable click by it. An
algorithm that has to find the same with networks can hardly do with less. Intervals are over independent draws.
"""

import one_core  # isort: skip  (before torch)

import argparse
import sys

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from envs import recsim

RIDGE = 100.0  # ours: 10 and 300 gave much the same
CHUNK = 20_000  # rows of the regression at once
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


def main() -> int:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=recsim.ITEMS)
    parser.add_argument("--steps", default="10000,30000,100000,300000,1000000", help="of random recommendations")
    parser.add_argument("--draws", type=int, default=5, help="of the random recommendations")
    parser.add_argument("--episodes", type=int, default=1000, help="of each evaluation")
    chosen = parser.parse_args()
    one_core.pin(None)
    budgets = sorted(int(text) for text in chosen.steps.split(","))
    found = np.empty((chosen.draws, len(budgets)))
    for draw in range(chosen.draws):
        regression = Regression(chosen.items, draw)
        for column, steps in enumerate(budgets):
            regression.collect(steps)
            found[draw, column] = regression.mean_return(chosen.episodes)
    shown = Table("random steps", "return", "95 %", title=f"recsim:items={chosen.items}, {chosen.draws} draws")
    half = stats.t.ppf(0.975, chosen.draws - 1) * stats.sem(found)
    for steps, mean, within in zip(budgets, found.mean(0), half, strict=True):
        shown.add_row(str(steps), f"{mean:.2f}", f"{mean - within:.2f} to {mean + within:.2f}")
    Console().print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
