"""Evaluation episodes: deterministic, on environments of their own, for all seeds of a pack at once.

An evaluation is a function of the networks, the seed and the step. Its environments and its noise are seeded from seed
and step, so it depends on no earlier evaluation and draws nothing from the training's streams.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from savo_bench.algos.agent import Agent
from savo_bench.algos.noise import evaluation_stream, standard_normal
from savo_bench.envs.registry import Environment
from savo_bench.envs.values import reason_of


@dataclass
class Episode:
    """One episode so far: its return, its length, and the environment's metrics at each step."""

    episode_return: float = 0.0
    length: int = 0
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def add(self, reward: float, info: Mapping[str, Any], names: Mapping[str, str]) -> None:
        """Count a step. The keys of `names` are the entries of info to record."""
        self.episode_return += reward
        self.length += 1
        for name in names:
            self.metrics.setdefault(name, []).append(float(info[name]))

    def summary(self, names: Mapping[str, str]) -> list[float]:
        """Return, length, and each metric of `names` reduced over the episode: name -> "mean", "max" or "sum"."""
        reduce: dict[str, Callable[[list[float]], float]] = {
            "mean": lambda values: float(np.mean(values)),
            "max": max,
            "sum": sum,
        }
        return [self.episode_return, self.length, *(reduce[how](self.metrics[name]) for name, how in names.items())]


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
        """Play the episodes of every active seed with the agent of this step.

        Args:
            agent: acts without exploration.
            step: environment steps of the training so far.
            device: of the agent.
            active: per seed, whether to play (S,).
            stop: asked before every step; True ends the evaluation.

        Returns:
            Per seed the rows of evals.csv, the reason of its failure, or None where it is not active. None instead of
            the list if `stop` returned True.
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
                except Exception as error:  # an environment may raise anything; only its seed fails
                    failures[s] = describe("reset of an evaluation", error)
        shapes = agent.noise_shapes("evaluate")
        while running.any():
            if stop():
                return None
            noise = standard_normal(rngs, shapes, device)
            actions = agent.act(torch.from_numpy(obs).to(device), noise, explore=False).executed.cpu().numpy()
            for s, e in zip(*running.nonzero(), strict=True):
                if failures[s]:
                    continue  # an earlier episode of this seed has failed at this step
                try:
                    obs[s, e], ended = self._play(episodes[s][e], self.envs[s][e], actions[s, e])
                    running[s, e] = not ended
                except Exception as error:  # as above
                    failures[s] = describe(f"evaluation at step {step}", error)
                    running[s] = False
        return [
            failures[s] or ([[step, e, *episodes[s][e].summary(self.metrics)] for e in range(E)] if active[s] else None)
            for s in range(S)
        ]

    def _play(self, episode: Episode, env: gym.Env, action: np.ndarray) -> tuple[np.ndarray, bool]:
        """Take one step; returns the observation (O,) and whether the episode has ended."""
        if not np.isfinite(action).all():
            raise FloatingPointError("the network's action is not finite")
        obs, reward, terminated, truncated, info = env.step(action.copy())
        obs = np.asarray(obs, np.float32)
        if not (np.isfinite(obs).all() and math.isfinite(reward)):
            raise FloatingPointError("the environment's observation or reward is not finite")
        episode.add(float(reward), info, self.metrics)
        return obs, terminated or truncated

    def close(self) -> None:
        """Close every environment."""
        for env in (env for row in self.envs for env in row):
            env.close()

    def _obs_shape(self) -> tuple[int, ...]:
        shape = self.envs[0][0].observation_space.shape
        assert shape is not None
        return shape


def describe(where: str, error: Exception) -> str:
    """One line for status.json: where in the run, which error, and in which line of code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{where}: {type(error).__name__}: {reason_of(error)} ({frame.filename.rpartition('/')[2]}:{frame.lineno})"
