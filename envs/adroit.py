"""Adroit: a hand of 24 joints on an arm opens a door, hammers a nail, turns a pen and moves a ball.

Gymnasium-Robotics' AdroitHand tasks (arXiv:1709.10087) with observations in float32. Actions are joint targets in
[-1, 1]^A. An episode has 200 steps and never terminates. `info["success"]` says whether the goal is reached at a step.

Differs from v1 of the package, the only version in its releases up to 1.4.2:
- The dense v1 rewards of door, hammer and relocate add .1 ‖palm − object‖ where they should subtract it, so the reward
  grows with the distance. The package's pull request #220 fixes this as v2. Where the installed package has v2, v2 is
  used. Otherwise .2 ‖palm − object‖ is subtracted from v1's reward, which gives the same number.
- `reset(options={"initial_state_dict": …})` changes the model for one episode only.
"""

import contextlib
import functools
import io
from dataclasses import dataclass
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from savo_bench.envs.registry import Metric, environment, float32_box
from savo_bench.envs.simulator import close, make, picture, quiet_loading

RewardType = Literal["dense", "sparse"]  # code: gymnasium-robotics 1.4.2; sparse is 10 at the goal and -.1 elsewhere

DISTANCE_WEIGHT = 0.1  # code: gymnasium-robotics 1.4.2, the weight of ‖palm − object‖ in the dense v1 rewards


class Adroit(gym.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray], gym.utils.RecordConstructorArgs):
    """Casts observations to float32, corrects v1's reward and resets the model with the episode."""

    def __init__(self, env: gym.Env, *, site: str | None = None, body: str | None = None) -> None:
        """Wrap a task of Gymnasium-Robotics.

        Args:
            env: The task itself.
            site: Where the reward must be corrected: the MuJoCo site of the object that the palm should be close to.
            body: The same for an object that is a MuJoCo body. Without site and body the reward is not changed.
        """
        gym.utils.RecordConstructorArgs.__init__(self, site=site, body=body)
        gym.Wrapper.__init__(self, env)
        assert isinstance(env.observation_space, gym.spaces.Box)
        self.observation_space = float32_box(env.observation_space)
        base: Any = env.unwrapped
        # Views (3,) of the simulator's arrays: they always hold the current positions.
        self._palm = base.data.site("S_grasp").xpos
        self._object = base.data.site(site).xpos if site else base.data.body(body).xpos if body else None
        # All arrays of the model that a task changes; its own reset restores only some of their elements.
        changed = (base.model.body_pos, base.model.body_quat, base.model.site_pos)
        self._loaded = [(array, array.copy()) for array in changed]

    def step(self, action: np.ndarray) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Step, with the corrected reward."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward)
        if self._object is not None:
            reward -= 2 * DISTANCE_WEIGHT * float(np.linalg.norm(self._palm - self._object))
        info["success"] = bool(info["success"])
        return obs.astype(np.float32), reward, terminated, truncated, info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Restore the model as it was loaded, then reset."""
        for array, loaded in self._loaded:
            array[:] = loaded
        obs, info = self.env.reset(seed=seed, options=options)
        return obs.astype(np.float32), info

    def render(self) -> Any:
        """Return the task's picture.

        Raises:
            NoRenderer: No picture can be drawn on this machine.
        """
        return picture(self.env)

    def close(self) -> None:
        """Close the task."""
        close(self.env)


@dataclass(frozen=True)
class _Task:
    name: str
    task: str  # the part of Gymnasium-Robotics' id between "AdroitHand" and the version
    site: str | None = None  # see `Adroit`
    body: str | None = None
    summary: str = ""


_CORRECTED = "; reward of v1 corrected to v2's"
_TASKS = (
    _Task("adroit-door", "Door", site="S_handle", summary=f"Open a door with a 28-D hand{_CORRECTED}"),
    _Task("adroit-hammer", "Hammer", body="Object", summary=f"Hammer a nail with a 26-D hand{_CORRECTED}"),
    _Task("adroit-pen", "Pen", summary="Turn a pen to a target with a 24-D hand"),
    _Task("adroit-relocate", "Relocate", body="Object", summary=f"Move a ball with a 30-D hand{_CORRECTED}"),
)


def base(task: str, version: str, reward_type: str, render_mode: str | None = None) -> gym.Env:
    """Make Gymnasium-Robotics' task without wrappers and without a time limit, `base("Door", "v1", "dense")`.

    Raises:
        ValueError: There is no such type of reward.
    """
    _load()
    if reward_type not in get_args(RewardType):
        raise ValueError(f"reward_type={reward_type!r}: must be {' or '.join(get_args(RewardType))}")
    return make(f"AdroitHand{task}-{version}", reward_type=reward_type, render_mode=render_mode).unwrapped


def newest(task: str) -> Literal["v2", "v1"]:
    """Return the version of a task to use: v2 where the installed package has it."""
    _load()
    return "v2" if f"AdroitHand{task}-v2" in gym.registry else "v1"


@functools.cache  # so that only the first call redirects stderr
def _load() -> None:
    """Import Gymnasium-Robotics, which registers its tasks."""
    with quiet_loading(), contextlib.redirect_stderr(io.StringIO()):
        # It warns on stderr of the wrong sign, which is corrected here.
        import gymnasium_robotics  # noqa: F401


def _register(task: _Task) -> None:
    @environment(
        task.name,
        id=f"SavoBench/Adroit{task.task}-v0",
        tags=("adroit",),
        max_episode_steps=200,  # code: gymnasium-robotics 1.4.2
        metrics={"success": Metric("max", "success rate", "%")},
        summary=task.summary,
    )
    def adroit(*, reward_type: RewardType = "dense", render_mode: str | None = None) -> gym.Env:
        version = newest(task.task)
        env = base(task.task, version, reward_type, render_mode)
        wrong_sign = version == "v1" and reward_type == "dense"
        return Adroit(env, site=task.site, body=task.body) if wrong_sign else Adroit(env)


for _task in _TASKS:
    _register(_task)
