"""One seed of a pack: its environment, random streams, episode and failure.

Its networks, optimisers and replay records are a slice of the tensors that all seeds of the pack share.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from savo_bench.algos.noise import Streams
from savo_bench.bench.evaluate import Episode
from savo_bench.results.format import SeedFolder


@dataclass
class SeedRun:
    """One seed in training."""

    seed: int
    folder: SeedFolder
    env: gym.Env
    streams: Streams
    failure: str | None = None  # the reason; a failed seed is trained no further
    obs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))  # (O,) the current observation
    reset_state: Mapping[str, Any] = field(default_factory=dict)  # the environment's random state before its last reset
    actions: list[Any] = field(default_factory=list)  # taken since then, each (A,) or an item
    episode: Episode = field(default_factory=Episode)
    episodes: int = 0  # finished ones
    last_return: float | None = None  # of the last evaluation; before the first one, of the last training episode
    began_anew: bool = False  # whether this attempt could not continue the episode that the last one left
    attempt: int = 1  # 1 for the first process that trains this seed
    began: float = field(default_factory=time.monotonic)  # this attempt
    earlier_seconds: float = 0.0  # training time of earlier attempts
    began_cpu: float = field(default_factory=time.process_time)
    earlier_cpu_seconds: float | None = 0.0  # of earlier attempts; None where one did not record it
    sharing: int = 1  # seeds that share this process
    evals_bytes: int = 0  # lengths of the CSV files, which the next checkpoint names
    train_bytes: int = 0

    @property
    def seconds(self) -> float:
        """Training time over all attempts. The seeds of a pack share the clock."""
        return round(self.earlier_seconds + time.monotonic() - self.began, 3)

    @property
    def cpu_seconds(self) -> float | None:
        """This seed's share of the processor time of its processes, over all attempts; None where one did not say."""
        if self.earlier_cpu_seconds is None:
            return None
        return round(self.earlier_cpu_seconds + (time.process_time() - self.began_cpu) / self.sharing, 3)

    def reset(self) -> None:
        """Begin an episode. The random state before it is kept, since a checkpoint needs it."""
        generator = self.env.unwrapped.np_random
        self.reset_state = copy.deepcopy(generator.bit_generator.state)
        self.actions, self.episode = [], Episode()
        obs, _ = self.env.reset()
        self.obs = checked(obs)

    def state(self) -> dict[str, Any]:
        """The environment's part of a checkpoint: an episode is its random state at reset and its actions."""
        space = self.env.action_space
        actions = np.array(self.actions, space.dtype).reshape(len(self.actions), *(space.shape or ()))
        return {
            "reset_state": self.reset_state,
            "actions": torch.from_numpy(actions),
            "obs": torch.from_numpy(self.obs.copy()),
            "episodes": self.episodes,
            "last_return": self.last_return,
        }

    def load_state(self, state: dict[str, Any], *, elsewhere: bool = False) -> bool:
        """Play the unfinished episode again and check that it reaches the stored observation.

        Args:
            state: What `state` returned.
            elsewhere: Whether it was saved by a process with other arithmetic, packages or code. There the same actions
                may lead elsewhere, and if they do, a new episode begins in place of the unfinished one.

        Returns:
            Whether the episode continues.

        Raises:
            RuntimeError: a process of the same kind does not reach the observation. The environment draws from
                elsewhere, or `reset` does not reset all of it.
        """
        self.env.unwrapped.np_random.bit_generator.state = state["reset_state"]
        try:
            self._play_again(state)
        except Exception:  # where the episode goes astray, an environment may raise anything
            if not elsewhere:
                raise
            self.began_anew = True
            self.reset()
        self.episodes, self.last_return = state["episodes"], state["last_return"]
        return not self.began_anew

    def _play_again(self, state: Mapping[str, Any]) -> None:
        """Take the unfinished episode's actions; raises RuntimeError if they do not reach the stored observation."""
        self.reset()
        for action in state["actions"].numpy():
            self.actions.append(action)
            obs, reward, *_, info = self.env.step(action.copy())
            self.episode.add(float(reward), info, {})
            self.obs = checked(obs)
        if not np.array_equal(self.obs, state["obs"].numpy()):
            raise RuntimeError(
                "the episode played again does not reach the stored observation: this environment is not a function of "
                "its np_random at reset and the actions, so its runs cannot be resumed"
            )


def checked(obs: Any) -> np.ndarray:
    """A copy of an observation, (O,) float32.

    Raises:
        FloatingPointError: it is not finite.
    """
    obs = np.array(obs, np.float32)
    if not np.isfinite(obs).all():
        raise FloatingPointError("the environment's observation is not finite")
    return obs
