"""Restricted locomotion: an action counts only inside one of many small balls; other actions are replaced.

So the Q-function over actions has many local optima, the problem that SAVO addresses. An action u, scaled to [0, 1]^n,
is valid if and only if the nearest centre is closer than the radius r. The centres are drawn uniformly, once, from a
seed of their own, so they are the same in all runs.

From the SAVO paper (arXiv:2410.11833v2) and its authors' code. Differs from the code:
- The base tasks are Gymnasium's v5; `version="v4"` gives the older ones.
- The radius is exact. The authors' table is wrong at n = 4, and their approximation at n >= 12.
- The reward of an invalid step is not changed. The code replaces it by -10, as `penalty=-10` does here; whether the
  paper did so is unknown.
"""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from savo_bench.envs.locomotion import Version, base, step_seconds
from savo_bench.envs.registry import Metric, box_scale, environment, float32_box
from savo_bench.envs.simulator import close, picture
from savo_bench.envs.values import integer, number

CENTRES_SEED = 123  # code: USC-Lira/Q3C@4a5456b
BALLS_PER_DIMENSION = 33  # code: USC-Lira/Q3C@4a5456b
UNIT_VOLUME = 0.6 / 33  # code: USC-Lira/Q3C@4a5456b, the volume of a ball at volume=1; the unit cube has 1
MAX_BALLS = 1_000_000  # ours: a step then takes milliseconds; more is probably a typing error
MAX_VOLUME = 1e6  # ours: a smaller ball covers the whole cube; more is probably a typing error
MAX_EXTRA_DIMS = 10_000  # ours: the replay buffer grows with them; more is probably a typing error


def ball_radius(volume: float, n: int) -> float:
    """Return the radius r of an n-ball of this volume, V = π^(n/2) r^n / Γ(n/2 + 1), for any n."""
    return math.exp((math.log(volume) + math.lgamma(n / 2 + 1) - n / 2 * math.log(math.pi)) / n)


class Restricted(gym.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray], gym.utils.RecordConstructorArgs):
    """Replaces invalid actions. Actions are in [-1, 1]^A, observations float32; `info["valid"]` is a bool.

    It draws no random numbers: the random state of an episode is that of the base task.
    """

    def __init__(
        self,
        env: gym.Env,
        *,
        balls: int,
        volume: float,
        centres_seed: int = CENTRES_SEED,
        penalty: float | None = None,
        extra_dims: int = 0,
        replacement: float = 0.0,
        first_step_free: bool = False,
    ) -> None:
        """Restrict a base task.

        Args:
            env: The base task, with a bounded Box of n actions and a Box of observations.
            balls: The number of balls.
            volume: The volume of each ball, in units of .6/33 of the unit cube. More balls cover more of the cube,
                unless the volume is reduced.
            centres_seed: The seed of their centres.
            penalty: The reward of an invalid step; with None the reward is not changed.
            extra_dims: The number of action dimensions after the n real ones. They have no effect.
            replacement: The value that replaces an invalid action, in every dimension, in the simulator's units.
            first_step_free: Whether the first step of an episode always counts as valid.

        Raises:
            ValueError: A wrong value, in one line.
        """
        balls = integer("balls", balls, 1, MAX_BALLS)
        volume = number("volume", volume)
        if not 0 < volume <= MAX_VOLUME:
            raise ValueError(f"volume={volume}: must be > 0 and at most {MAX_VOLUME:g}")
        centres_seed = integer("centres_seed", centres_seed, 0, 2**32 - 1)  # what RandomState takes
        penalty = None if penalty is None else number("penalty", penalty)
        extra_dims = integer("extra_dims", extra_dims, 0, MAX_EXTRA_DIMS)
        gym.utils.RecordConstructorArgs.__init__(
            self,
            balls=balls,
            volume=volume,
            centres_seed=centres_seed,
            penalty=penalty,
            extra_dims=extra_dims,
            replacement=replacement,
            first_step_free=first_step_free,
        )
        gym.Wrapper.__init__(self, env)
        if not isinstance(env.action_space, gym.spaces.Box) or not isinstance(env.observation_space, gym.spaces.Box):
            raise ValueError(f"env={env}: must have a Box of actions and of observations")

        (self._n,) = env.action_space.shape
        self._half, self._middle = box_scale(env.action_space)
        self._replacement = np.full(self._n, replacement, np.float32)
        self._penalty = penalty
        self._first_step_free = first_step_free
        self._first_step = False

        self.centres = np.random.RandomState(centres_seed).random((balls, self._n))  # (balls, n), in [0, 1]^n
        self.radius = ball_radius(UNIT_VOLUME * volume, self._n)
        # A step compares in [-1, 1]^n, the range of an agent's actions, where all lengths are twice as large. There is
        # one row per dimension, because numpy adds rows faster than columns.
        self._rows = np.ascontiguousarray(2 * self.centres.T - 1)  # (n, balls)
        self._reach = (2 * self.radius) ** 2

        self.action_space = gym.spaces.Box(-1.0, 1.0, (self._n + extra_dims,), np.float32)
        self.observation_space = float32_box(env.observation_space)

    def is_valid(self, action: np.ndarray) -> bool:
        """Return whether an action (n,) or (A,) in [-1, 1] lies in a ball."""
        gaps = self._rows - action[: self._n, None]  # (n, balls)
        gaps *= gaps
        return bool(np.add.reduce(gaps, axis=0).min() < self._reach)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Execute the action (A,) if it is valid, else its replacement.

        Raises:
            ValueError: The action is not finite.
        """
        action = action[: self._n]
        valid = self.is_valid(action)
        if not valid:
            # NaN is in no ball: without this check a broken network would look like an agent with invalid actions.
            if not np.isfinite(action).all():
                raise ValueError(f"action={action}: must be finite")
            valid = self._first_step
        self._first_step = False
        executed = action * self._half + self._middle if valid else self._replacement
        obs, reward, terminated, truncated, info = self.env.step(executed)
        if not valid and self._penalty is not None:
            reward = self._penalty
        info["valid"] = valid
        return obs.astype(np.float32), reward, terminated, truncated, info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Reset the base task."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._first_step = self._first_step_free
        return obs.astype(np.float32), info

    def render(self) -> Any:
        """Return the base task's picture.

        Raises:
            NoRenderer: No picture can be drawn on this machine.
        """
        return picture(self.env)

    def close(self) -> None:
        """Close the base task."""
        close(self.env)


@dataclass(frozen=True)
class _Task:
    name: str
    task: str  # Gymnasium's id without the version
    actions: int  # n
    volume: float
    replacement: float
    first_step_free: bool


_TASKS = (
    # Volumes, replacements and the free first step: code: USC-Lira/Q3C@4a5456b. The zeros are torques; the pendulums'
    # -1 is in the simulator's units, where the single pendulum's range is ±3 and the double one's ±1.
    _Task("restricted-inverted-pendulum", "InvertedPendulum", 1, 3.0, -1.0, True),
    _Task("restricted-inverted-double-pendulum", "InvertedDoublePendulum", 1, 3.0, -1.0, True),
    _Task("restricted-hopper", "Hopper", 3, 1.65, 0.0, False),
    _Task("restricted-walker2d", "Walker2d", 6, 1.0, 0.0, False),
    _Task("restricted-half-cheetah", "HalfCheetah", 6, 1.0, 0.0, False),
    _Task("restricted-ant", "Ant", 8, 1.0, 0.0, False),
)


def _register(task: _Task) -> None:
    @environment(
        task.name,
        id=f"SavoBench/Restricted{task.task}-v0",
        tags=("restricted",),
        max_episode_steps=1000,  # Gymnasium's limit of every base, v4 and v5
        metrics={"valid": Metric("mean", "invalid actions", "%", complement=True)},
        step_seconds=step_seconds(task.task),
        summary=f"{task.task} whose {task.actions}-D actions count only in small balls",
    )
    def restricted(
        *,
        balls: int = BALLS_PER_DIMENSION * task.actions,
        volume: float = task.volume,
        centres_seed: int = CENTRES_SEED,
        penalty: float | None = None,
        extra_dims: int = 0,
        version: Version = "v5",
        render_mode: str | None = None,
    ) -> gym.Env:
        return Restricted(
            base(task.task, version, render_mode),
            balls=balls,
            volume=volume,
            centres_seed=centres_seed,
            penalty=penalty,
            extra_dims=extra_dims,
            replacement=task.replacement,
            first_step_free=task.first_step_free,
        )


for _task in _TASKS:
    _register(_task)
