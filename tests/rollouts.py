"""Playing environments with given actions: what the tests of environments share."""

import hashlib
import pickle
from typing import Any

import gymnasium as gym
import numpy as np


def actions_for(env: gym.Env, steps: int, seed: int = 0) -> np.ndarray:
    """Uniformly random actions: (steps,) items of a catalogue, or (steps, A) in a box."""
    rng = np.random.default_rng(seed)
    if isinstance(env.action_space, gym.spaces.Discrete):
        return rng.integers(env.action_space.n, size=steps)
    assert env.action_space.shape is not None
    return rng.uniform(-1, 1, (steps, *env.action_space.shape)).astype(np.float32)


def rollout(env: gym.Env, actions: np.ndarray, seed: int | None = None) -> list[tuple[Any, ...]]:
    """Every observation, reward and end, over as many episodes as the actions last; only the first reset is seeded."""
    obs, _ = env.reset(seed=seed)
    steps_seen: list[tuple[Any, ...]] = [(obs,)]
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        steps_seen.append((obs, float(reward), terminated, truncated))
        if terminated or truncated:
            obs, _ = env.reset()
            steps_seen.append((obs,))
    return steps_seen


def digest(steps_seen: list[tuple[Any, ...]]) -> str:
    """A hash of a rollout."""
    return hashlib.sha256(pickle.dumps([(obs.tobytes(), *rest) for obs, *rest in steps_seen])).hexdigest()
