"""Learning curves of Stable-Baselines3's TD3 and SAC, evaluated as this project evaluates, to set beside ours.

    python benchmarks/sb3_curves.py --algo td3 --env inverted-pendulum --seeds 0-4 --steps 30000 \
        --hidden 64-64 --batch-size 128 --lr 1e-3 --warmup 1000 --eval-every 2500 --eval-episodes 3 --out td3.csv

Same task, budget, widths, batch, learning rate and random steps; the evaluation episodes of a seed and step start from
the same states as ours. What remains theirs: initialisation, exploration noise (N(0, .1) for TD3), no gradient
clipping, no layer normalisation. Rows are appended seed by seed; a seed that the file holds is left out.
"""

import one_core  # isort: skip  # noqa: F401  (before torch)

import argparse
import csv
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise

from savo_bench import envs
from savo_bench.algos.noise import evaluation_stream
from savo_bench.bench.grammar import seeds as parse_seeds

HEADER = ("algo", "env", "seed", "step", "episode", "return", "length")


class Evaluate(BaseCallback):
    """Play deterministic episodes every so many steps, and keep their returns."""

    def __init__(self, env: gym.Env, seed: int, every: int, episodes: int) -> None:
        super().__init__()
        self.env, self.seed, self.every, self.episodes = env, seed, every, episodes
        self.rows: list[tuple[int, int, float, int]] = []

    def _on_step(self) -> bool:
        step = self.num_timesteps
        if step % self.every == 0:
            starts = evaluation_stream(self.seed, step).integers(2**31, size=self.episodes)
            self.rows += [(step, index, *self._episode(int(start))) for index, start in enumerate(starts)]
            print(f"seed {self.seed} step {step}: {np.mean([row[2] for row in self.rows[-self.episodes :]]):.1f}")
        return True

    def _episode(self, start: int) -> tuple[float, int]:
        obs, _ = self.env.reset(seed=start)
        total, length, over = 0.0, 0, False
        while not over:
            action, _ = self.model.predict(obs, deterministic=True)
            obs, reward, terminated, truncated, _ = self.env.step(action)
            total, length, over = total + float(reward), length + 1, terminated or truncated
        return total, length


def train(args: argparse.Namespace, seed: int) -> list[tuple[int, int, float, int]]:
    """One seed to the end: (step, episode, return, length) of every evaluation episode."""
    env = envs.make(args.env)
    shared: dict[str, Any] = {
        "learning_rate": args.lr,
        "batch_size": args.batch_size,
        "learning_starts": args.warmup,
        "buffer_size": args.steps,
        "train_freq": 1,
        "gradient_steps": 1,
        "policy_kwargs": {"net_arch": [int(width) for width in args.hidden.split("-")]},
        "seed": seed,
        "device": "cpu",
    }
    if args.algo == "td3":
        A = int(np.prod(env.action_space.shape or ()))
        model = TD3("MlpPolicy", env, action_noise=NormalActionNoise(np.zeros(A), 0.1 * np.ones(A)), **shared)
    else:
        model = SAC("MlpPolicy", env, **shared)
    watch = Evaluate(envs.make(args.env), seed, args.eval_every, args.eval_episodes)
    model.learn(args.steps, callback=watch)
    return watch.rows


def main() -> None:
    """Train the seeds that the file lacks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--algo", choices=("td3", "sac"), required=True)
    parser.add_argument("--env", required=True)
    parser.add_argument("--seeds", default="5")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--hidden", default="256-256")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--warmup", type=int, default=10_000)
    parser.add_argument("--eval-every", type=int, default=10_000)
    parser.add_argument("--eval-episodes", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    have: set[int] = set()
    if args.out.exists():
        with args.out.open(encoding="utf-8") as file:
            have = {int(row["seed"]) for row in csv.DictReader(file)}
    else:
        with args.out.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow(HEADER)
    for seed in parse_seeds(args.seeds):
        if seed not in have:
            rows = train(args, seed)
            with args.out.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows((args.algo, args.env, seed, *row) for row in rows)


if __name__ == "__main__":
    main()
