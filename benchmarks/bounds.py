"""Returns of policies that learn nothing: the bounds between which scores are normalised.

    python benchmarks/bounds.py --envs recsim,mineworld --episodes 10000 --out results/reference/normalisation.csv

Plays the random policy on every named environment, as agents see it, and the scripted policies of those that have some.
With --out the rows of the table for these environments and policies are replaced, and all others stay as they are.
"""

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import gymnasium as gym
import numpy as np
import pandas as pd

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent / "src")
)  # this checkout is what is measured, installed or not

from savo_bench import envs
from savo_bench.bench import resolving
from savo_bench.bench.cells import Cell
from savo_bench.bench.errors import UserError
from savo_bench.bench.options import Options
from savo_bench.envs import landscape, mineworld, movielens, recsim
from savo_bench.results import reference

COLUMNS: tuple[str, ...] = (
    "environment",
    "version",
    "bound",
    "policy",
    "mean",
    "ci_low",
    "ci_high",
    "episodes",
    "source",
)
LEVEL = 0.95

Policy = Callable[[gym.Env], object]  # the next action, from the environment as agents see it


def random(env: gym.Env) -> object:
    return env.action_space.sample()


def best_peak(env: gym.Env) -> object:
    assert isinstance(env.unwrapped, landscape.LandscapeBandit)
    return landscape.optimal(env.unwrapped)


class Expert:
    """Plans at the first step of an episode and follows the plan, which ends with the episode."""

    def __init__(self) -> None:
        self.actions: list[int] = []

    def __call__(self, env: gym.Env) -> int:
        if not self.actions:
            assert isinstance(env.unwrapped, mineworld.MineWorld)
            self.actions = mineworld.plan(env.unwrapped)
        return self.actions.pop(0)


def of_recsim(policy: Callable[[recsim.RecSim], int]) -> Policy:
    def act(env: gym.Env) -> int:
        assert isinstance(env.unwrapped, recsim.RecSim)
        return policy(env.unwrapped)

    return act


class BestFilm:
    """Shows the one film that brings most when it is shown at every step."""

    def __init__(self) -> None:
        self.film: int | None = None

    def __call__(self, env: gym.Env) -> int:
        if self.film is None:
            users = env.unwrapped
            assert isinstance(users, movielens.SimulatedUsers)
            self.film = int(movielens.returns_of_films(users.model, users.item_vectors).argmax())
        return self.film


# environment → (bound, policy's name, policy); a policy for comparison is no bound. The random one is every
# environment's low bound.
SCRIPTED: dict[str, list[tuple[str, str, Policy]]] = {
    "recsim": [
        ("", "generalising", of_recsim(recsim.generalising)),
        ("", "click-greedy", of_recsim(recsim.click_greedy)),
        ("high", "privileged", of_recsim(recsim.privileged)),
    ],
    "recsim-data": [("high", "best film", BestFilm())],
    "mineworld": [("high", "expert", Expert())],
    "landscape": [("high", "best peak", best_peak)],
}


def play(env: gym.Env, policy: Policy, episodes: int, seed: int) -> np.ndarray:
    """The return of each episode; a function of the seed."""
    returns = np.zeros(episodes)
    env.action_space.seed(seed)
    for episode in range(episodes):
        env.reset(seed=None if episode else seed)
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(policy(env))
            returns[episode] += float(reward)
            ended = terminated or truncated
    return returns


def measure(cell: Cell, episodes: int, seed: int) -> list[dict[str, str]]:
    """The rows of one environment."""
    rows = []
    for bound, name, policy in [("low", "random", random), *SCRIPTED.get(cell.environment, [])]:
        env = envs.make(cell.environment, evaluation=True, **cell.env_keywords)
        returns = play(env, policy, episodes, seed)
        mean, error = returns.mean(), returns.std(ddof=1) / np.sqrt(episodes)
        half = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
        source = f"benchmarks/bounds.py --envs {cell.env_label} --episodes {episodes} --seed {seed}"
        values = (
            cell.env_label,
            reference.version(cell.spec(seed)["environment"]),
            bound,
            name,
            mean,
            mean - half,
            mean + half,
            episodes,
            source,
        )
        texts = (f"{value:.4f}" if isinstance(value, float) else str(value) for value in values)
        rows.append(dict(zip(COLUMNS, texts, strict=True)))
        env.close()
    return rows


def merge(path: Path, rows: list[dict[str, str]]) -> None:
    """Write the rows into the table, each in the place of the one it replaces, else at the end."""
    table: dict[tuple[str, str], dict[str, str]] = {}
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            table = {(row["environment"], row["policy"]): row for row in csv.DictReader(file)}
    table |= {(row["environment"], row["policy"]): row for row in rows}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", required=True, help="as bench run takes them")
    parser.add_argument("--episodes", type=int, default=1_000, help="of each policy; at least 2")
    parser.add_argument("--seed", type=int, default=0, help="of the environments and of random actions")
    parser.add_argument("--out", type=Path, help="the table whose rows are replaced")
    chosen = parser.parse_args()
    if chosen.episodes < 2:
        parser.error(f"--episodes {chosen.episodes}: must be at least 2, or there is no interval")
    try:
        cells = resolving.cells(Options(algos="td3", envs=chosen.envs))  # any algorithm: only the environments count
    except UserError as error:
        parser.error(str(error))

    rows = []
    for cell in cells:
        rows += measure(cell, chosen.episodes, chosen.seed)
        if chosen.out:
            merge(chosen.out, rows)  # after each environment: what is measured is kept
    print(pd.DataFrame(rows).drop(columns="source").to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
