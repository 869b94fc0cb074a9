"""Evaluation episodes: deterministic, on environments of their own, for all seeds of a pack at once.

An evaluation is a function of the networks, the seed and the step. Its environments and its noise are seeded from seed
and step, so it depends on no earlier evaluation and draws nothing from the training's streams.

Environments take memory, so a pack has only so many, and more episodes are played in waves. What an episode gets does
not depend on its wave: the seed of its reset, at each of its steps the noise of that step, and calls of one size.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from savo_bench.algos.agent import Agent
from savo_bench.algos.noise import evaluation_stream, standard_normal
from savo_bench.envs.registry import Environment
from savo_bench.envs.values import reason_of

# ours: the profiles' episodes and the largest usual pack are one wave; 100 Adroit hands, the heaviest, take 0.7 GB
EPISODES_AT_ONCE = 10  # of a seed, whatever its pack: the number of rows in a call to its networks
ENVIRONMENTS = 100  # of a pack


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


def at_once(seeds: int, episodes: int) -> tuple[int, int]:
    """How many seeds of a pack are evaluated at a time, and how many episodes of each; at most ENVIRONMENTS in all."""
    each = min(episodes, EPISODES_AT_ONCE)
    return min(seeds, max(1, ENVIRONMENTS // each)), each


class Evaluator:
    """The evaluation environments of a pack, made once and kept. Seeds that are not played at once share theirs."""

    def __init__(self, make: Callable[[], gym.Env], environment: Environment, seeds: Sequence[int], episodes: int):
        self.make, self.seeds, self.episodes = make, seeds, episodes
        self.metrics = {name: metric.how for name, metric in environment.metrics.items()}
        self.seeds_at_once, self.episodes_at_once = at_once(len(seeds), episodes)
        self.envs = [self._make_row() for _ in range(self.seeds_at_once)]

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
        found: list[list[list[float]] | str | None] = [[] if each else None for each in active]
        for seeds, episodes in self._waves():
            played = {s: rows for s in seeds if isinstance(rows := found[s], list)}
            outcome = self._play_wave(agent, step, device, list(played), episodes, stop)
            if outcome is None:
                return None
            for s, rows in outcome.items():
                found[s] = rows if isinstance(rows, str) else played[s] + rows
        return found

    def _waves(self) -> Iterator[tuple[range, range]]:
        """Which seeds, by their index, and which of their episodes are played together."""
        S, E = len(self.seeds), self.episodes
        seeds = [range(s, min(S, s + self.seeds_at_once)) for s in range(0, S, self.seeds_at_once)]
        episodes = [range(e, min(E, e + self.episodes_at_once)) for e in range(0, E, self.episodes_at_once)]
        return itertools.product(seeds, episodes)

    def _play_wave(
        self, agent: Agent, step: int, device: torch.device, seeds: list[int], numbers: range, stop: Callable[[], bool]
    ) -> dict[int, list[list[float]] | str] | None:
        """Play the episodes of these numbers for these seeds, which are indices; returns rows or a reason for each."""
        S, E = len(self.seeds), self.episodes_at_once
        rngs = [evaluation_stream(seed, step) for seed in self.seeds]
        env_seeds = [rng.integers(2**31, size=self.episodes)[numbers] for rng in rngs]
        episodes = {s: [Episode() for _ in numbers] for s in seeds}
        failures: dict[int, str] = {}
        running = np.zeros((S, E), bool)
        obs = np.zeros((S, E, *self._obs_shape()), np.float32)
        for s in seeds:
            try:
                for e, env_seed in enumerate(env_seeds[s]):
                    obs[s, e], _ = self._env(s, e).reset(seed=int(env_seed))
                running[s, : len(numbers)] = True
            except Exception as error:  # an environment may raise anything; only its seed fails
                failures[s] = describe("reset of an evaluation", error)
        shapes = agent.noise_shapes("evaluate")
        while running.any():
            if stop():
                return None
            noise = standard_normal(rngs, shapes, device)
            actions = agent.act(torch.from_numpy(obs).to(device), noise, explore=False).executed.cpu().numpy()
            for s, e in zip(*running.nonzero(), strict=True):
                if s in failures:
                    continue  # an earlier episode of this seed has failed at this step
                try:
                    obs[s, e], ended = self._play(episodes[s][e], self._env(s, e), actions[s, e])
                    running[s, e] = not ended
                except Exception as error:  # as above
                    failures[s] = describe(f"evaluation at step {step}", error)
                    running[s] = False
        self._renew(failures)
        return {
            s: failures.get(s)
            or [[step, e, *played.summary(self.metrics)] for e, played in zip(numbers, rows, strict=True)]
            for s, rows in episodes.items()
        }

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

    def _env(self, s: int, e: int) -> gym.Env:
        return self.envs[s % self.seeds_at_once][e]

    def _make_row(self) -> list[gym.Env]:
        return [self.make() for _ in range(self.episodes_at_once)]

    def _renew(self, failed: Iterable[int]) -> None:
        """Make environments anew that failed under one seed and are another's, too."""
        for s in failed if self.seeds_at_once < len(self.seeds) else ():
            for env in self.envs[s % self.seeds_at_once]:
                with contextlib.suppress(Exception):  # a broken one may not close either
                    env.close()
            self.envs[s % self.seeds_at_once] = self._make_row()

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
