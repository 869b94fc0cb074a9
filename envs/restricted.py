"""Restricted locomotion: only actions inside one of many small balls count, the others are replaced.

The Q-function over actions of such a task is full of local optima, which is what SAVO is made for. An action u, scaled
to [0, 1]^n, is valid if and only if some centre lies closer to it than the radius r. The centres are drawn uniformly,
once, from a seed of their own, so that all runs face the same landscape.

From the SAVO paper (arXiv:2410.11833v2) and its authors' code. Differs from the code:
- The base tasks are Gymnasium's v5; `version="v4"` gives the older ones.
- The radius is the exact one; the authors' table is off at n = 4 and their approximation at n >= 12.
- An invalid step's reward stays as it is. The code overwrites it with -10; whether the paper did is unknown:
  `penalty=-10` does it.
"""

import math
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from savo_bench.envs.locomotion import Version, base, step_seconds
from savo_bench.envs.registry import box_scale, environment, float32_box
from savo_bench.envs.simulator import close, picture
from savo_bench.envs.values import integer, number

CENTRES_SEED = 123  # code: USC-Lira/Q3C@4a5456b
BALLS_PER_DIMENSION = 33  # code: USC-Lira/Q3C@4a5456b
UNIT_VOLUME = 0.6 / 33  # code: USC-Lira/Q3C@4a5456b, the volume of a ball at volume=1; the unit cube has 1
MAX_BALLS = 1_000_000  # ours: a step then takes milliseconds; more is a typing error
MAX_VOLUME = 1e6  # ours: a ball covers the cube long before; more is a typing error
MAX_EXTRA_DIMS = 10_000  # ours: the replay buffer grows with them; more is a typing error


def ball_radius(volume: float, n: int) -> float:
    """The radius of the n-ball of this volume, V = π^(n/2) r^n / Γ(n/2 + 1), for any n."""
    return math.exp((math.log(volume) + math.lgamma(n / 2 + 1) - n / 2 * math.log(math.pi)) / n)


class Restricted(gym.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray], gym.utils.RecordConstructorArgs):
    """Replaces invalid actions and says so in `info["valid"]`; acts in [-1, 1]^A, observes float32.

    It draws nothing: the random state of an episode is the base's.
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
            env: The base, with a bounded Box of n actions.
            balls: How many balls there are.
            volume: The volume of each, in units of .6/33 of the cube. More balls cover more unless it is lowered.
            centres_seed: The seed of their centres.
            penalty: The reward of an invalid step; None leaves the reward as it is.
            extra_dims: Action dimensions behind the n real ones. They do nothing.
            replacement: What an invalid action is replaced by, in every dimension, in the simulator's units.
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
        # The test of a step is made in [-1, 1]^n, where agents act: everything is twice as large there. One row per
        # dimension, as numpy adds up rows faster than columns.
        self._rows = np.ascontiguousarray(2 * self.centres.T - 1)  # (n, balls)
        self._reach = (2 * self.radius) ** 2

        self.action_space = gym.spaces.Box(-1.0, 1.0, (self._n + extra_dims,), np.float32)
        self.observation_space = float32_box(env.observation_space)

    def is_valid(self, action: np.ndarray) -> bool:
        """Whether an action (n,) or (A,) in [-1, 1] lies in a ball."""
        gaps = self._rows - action[: self._n, None]  # (n, balls)
        gaps *= gaps
        return bool(np.add.reduce(gaps, axis=0).min() < self._reach)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Execute the action where it is valid, else its replacement."""
        action = action[: self._n]
        valid = self.is_valid(action)
        if not valid:
            # A NaN is in no ball: without this line a broken network would go on as an agent that does nothing.
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
        """Reset the base; the wrapper's only state is that a first step follows."""
        obs, info = self.env.reset(seed=seed, options=options)
        self._first_step = self._first_step_free
        return obs.astype(np.float32), info

    def render(self) -> Any:
        """The base's picture, or `envs.simulator.NoRenderer`."""
        return picture(self.env)

    def close(self) -> None:
        """Close the base."""
        close(self.env)


@dataclass(frozen=True)
class _Task:
    name: str
    task: str  # Gymnasium's name without the version
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
        metrics={"valid": "mean"},
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
