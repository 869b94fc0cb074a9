"""Deterministic episodes on separate environments, played for all seeds of a pack at once.

An evaluation is a function of the networks and of (seed, step): its environments and its noise are seeded from those,
so it neither depends on the evaluations before it nor touches the training's streams.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from savo_bench.algos.agent import Agent
from savo_bench.algos.streams import evaluation_stream, standard_normal
from savo_bench.envs.registry import Environment
from savo_bench.envs.values import reason_of


@dataclass
class Episode:
    """One episode as it is played: its return, length, and the environment's metrics."""

    rewards: float = 0.0
    length: int = 0
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def add(self, reward: float, info: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """Count a step; `names` says which entries of info are recorded."""
        self.rewards += reward
        self.length += 1
        for name in names:
            self.metrics.setdefault(name, []).append(float(info[name]))

    def summary(self, names: Mapping[str, str]) -> list[float]:
        """Return, length and each metric, reduced over the episode as `names` says."""
        reduce: dict[str, Callable[[list[float]], float]] = {
            "mean": lambda values: float(np.mean(values)),
            "max": max,
            "sum": sum,
        }
        return [self.rewards, self.length, *(reduce[how](self.metrics[name]) for name, how in names.items())]


class Evaluator:
    """The evaluation environments of a pack: `episodes` for each seed, made once and kept."""

    def __init__(self, make: Callable[[], gym.Env], environment: Environment, seeds: Sequence[int], episodes: int):
        self.seeds, self.episodes = seeds, episodes
        self.metrics = {name: metric.how for name, metric in environment.metrics.items()}
        self.envs = [[make() for _ in range(episodes)] for _ in seeds]

    def header(self) -> list[str]:
        """The columns of evals.csv."""
        return ["step", "episode", "return", "length", *self.metrics]

    def run(
        self, agent: Agent, step: int, device: torch.device, active: Sequence[bool], stop: Callable[[], bool]
    ) -> list[list[list[float]] | str | None] | None:
        """Play every active seed's episodes with the agent of this step.

        Returns:
            Per seed the rows of evals.csv, or why its evaluation failed, or None where it is not active. None in place
            of all if `stop()` became true on the way.
        """
        S, E = len(self.seeds), self.episodes
        rngs = [evaluation_stream(seed, step) for seed in self.seeds]
        episodes = [[Episode() for _ in range(E)] for _ in range(S)]
        failures: list[str | None] = [None] * S
        running = np.zeros((S, E), bool)
        obs = np.zeros((S, E, *self._obs_shape()), np.float32)
        for s, rng in enumerate(rngs):
            env_seeds = rng.integers(2**31, size=E)
            if active[s]:
                try:
                    for e, env in enumerate(self.envs[s]):
                        obs[s, e], _ = env.reset(seed=int(env_seeds[e]))
                    running[s] = True
                except Exception as error:  # an environment may raise anything; its seed alone fails
                    failures[s] = describe("reset of an evaluation", error)
        shapes = agent.noise_shapes("evaluate")
        while running.any():
            if stop():
                return None
            noise = standard_normal(rngs, shapes, device)
            actions = agent.act(torch.from_numpy(obs).to(device), noise, explore=False).executed.cpu().numpy()
            for s, e in zip(*running.nonzero(), strict=True):
                if failures[s]:
                    continue  # an episode before this one of the same step has failed
                try:
                    if not np.isfinite(actions[s, e]).all():
                        raise FloatingPointError("the network's action is not finite")
                    obs[s, e], reward, terminated, truncated, info = self.envs[s][e].step(actions[s, e].copy())
                    if not (np.isfinite(obs[s, e]).all() and np.isfinite(reward)):
                        raise FloatingPointError("the environment's observation or reward is not finite")
                    episodes[s][e].add(float(reward), info, self.metrics)
                    running[s, e] = not (terminated or truncated)
                except Exception as error:  # as above
                    failures[s] = describe(f"evaluation at step {step}", error)
                    running[s] = False
        return [
            failures[s] or ([[step, e, *episodes[s][e].summary(self.metrics)] for e in range(E)] if active[s] else None)
            for s in range(S)
        ]

    def close(self) -> None:
        """Close every environment."""
        for env in (env for row in self.envs for env in row):
            env.close()

    def _obs_shape(self) -> tuple[int, ...]:
        shape = self.envs[0][0].observation_space.shape
        assert shape is not None
        return shape


def describe(where: str, error: Exception) -> str:
    """One line for status.json: where it happened, what, and in which line of code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{where}: {type(error).__name__}: {reason_of(error)} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
