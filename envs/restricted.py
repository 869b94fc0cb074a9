"""Restricted locomotion: an action counts only inside one of many small balls; other actions are replaced.

So the Q-function over actions has many local optima, the problem that SAVO addresses. An action u, scaled to [0, 1]^n,
is valid if and only if the nearest centre is closer than the radius r. The centres are drawn uniformly, once, from a
seed of their own, so they are the same in all runs.

From the SAVO paper (arXiv:2410.11833v2) and its authors' code. Differs from the code:
- The base tasks are Gymnasium's v5; `version="v4"` gives the older ones.
- The radius is exact. The authors' table is wrong at n = 4, and their approximation at n >= 12.
- The reward of an invalid step is that of the executed action. The code charges the control cost of the action that was
  asked for, as `control_cost="asked"` does here, and then replaces the whole reward by -10, as `penalty=-10` does;
  whether the paper did either is unknown.
- `projections` is the code's action type "bijective" with weights of another scale: there they are uniform in
  [-1, n - 1], so that most commands of a task with many joints are near -1 or 1.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from savo_bench.envs.locomotion import Version, base, step_seconds
from savo_bench.envs.registry import Metric, box_scale, environment, float32_box
from savo_bench.envs.simulator import close, picture
from savo_bench.envs.values import integer, number, one_of

CENTRES_SEED = 123  # code: USC-Lira/Q3C@4a5456b
BALLS_PER_DIMENSION = 33  # code: USC-Lira/Q3C@4a5456b
UNIT_VOLUME = 0.6 / 33  # code: USC-Lira/Q3C@4a5456b, the volume of a ball at volume=1; the unit cube has 1
MAX_BALLS = 1_000_000  # ours: a step then takes milliseconds; more is probably a typing error
MAX_VOLUME = 1e6  # ours: a smaller ball covers the whole cube; more is probably a typing error
PROJECTIONS_SEED = 0  # ours: not the code's 123, from which the centres are drawn
MAX_PROJECTIONS = 1_000  # ours: the code has 5, 10 and 50; more is probably a typing error
# ours: the variance of x with which a logistic x would make tanh(x) exactly uniform in [-1, 1]; here x is a sum of many
# numbers, so nearly normal, and tanh(x) nearly uniform
PROJECTED_VARIANCE = math.pi**2 / 12
MAX_EXTRA_DIMS = 10_000  # ours: the replay buffer grows with them; more is probably a typing error


ControlCost = Literal["executed", "asked"]


def ball_radius(volume: float, n: int) -> float:
    """Return the radius r of an n-ball of this volume, V = π^(n/2) r^n / Γ(n/2 + 1), for any n."""
    return math.exp((math.log(volume) + math.lgamma(n / 2 + 1) - n / 2 * math.log(math.pi)) / n)


def projection_weights(n: int, inputs: int, seed: int) -> np.ndarray:
    """Return weights w (n, K): joint i is tanh(w_i · a_i) of its own K = `inputs` numbers a_i of an action.

    They are normal, and scaled so that w_i · a_i has the variance π²/12 for uniform a_i in [-1, 1]^K. Then the joints'
    commands are spread nearly uniformly over [-1, 1], for any n and K.
    """
    weights = np.random.RandomState(seed).standard_normal((n, inputs))
    variance = (weights**2).sum(axis=1, keepdims=True) / 3  # a uniform number in [-1, 1] has the variance 1/3
    return weights * np.sqrt(PROJECTED_VARIANCE / variance)


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
        control_cost: str = "executed",
        projections: int = 0,
        projections_seed: int = PROJECTIONS_SEED,
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
            control_cost: Of which action an invalid step pays the control cost: the "executed" one, its replacement, or
                the "asked" one, which is invalid. Refused where the base task has no control cost, and with a penalty,
                beside which it would change nothing.
            projections: K: each of the n joints is the tanh of a fixed random projection of K action dimensions of its
                own, n K in all, and validity is decided for the joints. With 0 an agent acts on the joints themselves.
            projections_seed: The seed of the projections.
            extra_dims: The number of action dimensions after the n, or n K, real ones. They have no effect.
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
        control_cost = one_of("control_cost", control_cost, get_args(ControlCost))
        if control_cost == "asked" and not hasattr(env.unwrapped, "control_cost"):
            task = type(env.unwrapped).__name__
            raise ValueError(f"control_cost='asked': {task} has no control cost; leave it at executed")
        if control_cost == "asked" and penalty is not None:
            raise ValueError(
                f"control_cost='asked': changes nothing beside penalty={penalty:g}, which is the whole reward of an "
                "invalid step; leave one of the two out"
            )
        projections = integer("projections", projections, 0, MAX_PROJECTIONS)
        projections_seed = integer("projections_seed", projections_seed, 0, 2**32 - 1)
        if projections_seed != PROJECTIONS_SEED and projections == 0:
            raise ValueError(f"projections_seed={projections_seed}: has no meaning when projections is 0")
        extra_dims = integer("extra_dims", extra_dims, 0, MAX_EXTRA_DIMS)
        gym.utils.RecordConstructorArgs.__init__(
            self,
            balls=balls,
            volume=volume,
            centres_seed=centres_seed,
            penalty=penalty,
            control_cost=control_cost,
            projections=projections,
            projections_seed=projections_seed,
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
        self._charges_asked = control_cost == "asked"
        self._weights = projection_weights(self._n, projections, projections_seed) if projections else None  # (n, K)
        self._first_step_free = first_step_free
        self._first_step = False

        self.centres = np.random.RandomState(centres_seed).random((balls, self._n))  # (balls, n), in [0, 1]^n
        self.radius = ball_radius(UNIT_VOLUME * volume, self._n)
        # A step compares in [-1, 1]^n, the range of an agent's actions, where all lengths are twice as large. There is
        # one row per dimension, because numpy adds rows faster than columns.
        self._rows = np.ascontiguousarray(2 * self.centres.T - 1)  # (n, balls)
        self._reach = (2 * self.radius) ** 2

        self._real_dims = self._n * (projections or 1)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (self._real_dims + extra_dims,), np.float32)
        self.observation_space = float32_box(env.observation_space)

    def joints(self, action: np.ndarray) -> np.ndarray:
        """Return the joints' commands (n,) in [-1, 1] that an action (A,) stands for, before the simulator's scale."""
        if self._weights is None:
            return action[: self._n]
        return np.tanh((self._weights * action[: self._real_dims].reshape(self._weights.shape)).sum(axis=1))

    def is_valid(self, action: np.ndarray) -> bool:
        """Return whether the joints' commands of an action (A,) lie in a ball."""
        return self._in_a_ball(self.joints(action))

    def _in_a_ball(self, joints: np.ndarray) -> bool:
        gaps = self._rows - joints[:, None]  # (n, balls)
        gaps *= gaps
        return bool(np.add.reduce(gaps, axis=0).min() < self._reach)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Execute the action (A,) if it is valid, else its replacement.

        Raises:
            ValueError: The action is not finite.
        """
        joints = self.joints(action)
        valid = self._in_a_ball(joints)
        if not valid or self._weights is not None:
            # NaN is in no ball: without this check a broken network would look like an agent with invalid actions.
            # And tanh makes infinity finite.
            if not np.isfinite(action[: self._real_dims]).all():
                raise ValueError(f"action={action}: must be finite")
            valid = valid or self._first_step
        self._first_step = False
        executed = joints * self._half + self._middle if valid else self._replacement
        obs, reward, terminated, truncated, info = self.env.step(executed)
        if not valid and self._charges_asked:
            reward = self._charge(reward, info, joints)
        if not valid and self._penalty is not None:
            reward = self._penalty
        info["valid"] = valid
        return obs.astype(np.float32), reward, terminated, truncated, info

    def _charge(self, reward: Any, info: dict[str, Any], joints: np.ndarray) -> Any:
        """The reward with the control cost of invalid `joints` (n,) instead of their replacement's; `info` likewise."""
        task: Any = self.env.unwrapped
        cost = task.control_cost(joints * self._half + self._middle)
        if "reward_ctrl" in info:  # Gymnasium's v4 of Hopper and Walker2d has no such entry
            info["reward_ctrl"] = -cost
        return reward + task.control_cost(self._replacement) - cost

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
        control_cost: ControlCost = "executed",
        projections: int = 0,
        projections_seed: int = PROJECTIONS_SEED,
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
            control_cost=control_cost,
            projections=projections,
            projections_seed=projections_seed,
            extra_dims=extra_dims,
            replacement=task.replacement,
            first_step_free=task.first_step_free,
        )


for _task in _TASKS:
    _register(_task)
