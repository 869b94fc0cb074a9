"""Gymnasium's MuJoCo locomotion tasks, unchanged: the bases of the restricted tasks, and controls to compare with."""

import warnings
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from savo_bench.envs.registry import USUAL_STEP_SECONDS, adopt
from savo_bench.envs.simulator import make
from savo_bench.envs.values import one_of

Version = Literal["v5", "v4"]  # ours: v5 by default, as Gymnasium calls v4 deprecated; the SAVO paper used v4

# The controls: name on the command line → Gymnasium's name without the version.
CONTROLS = {
    "inverted-pendulum": "InvertedPendulum",
    "inverted-double-pendulum": "InvertedDoublePendulum",
    "hopper": "Hopper",
    "walker2d": "Walker2d",
    "half-cheetah": "HalfCheetah",
    "ant": "Ant",
}

# Seconds of a step, restricted or not, where they differ much from `USUAL_STEP_SECONDS`.
_STEP_SECONDS = {
    "InvertedPendulum": 1 / 19_000,  # ours: measured, rounded
    "Ant": 1 / 3_000,  # ours: measured, rounded
}

# Gymnasium's v5 adds 78 contact forces to Ant's 27 observations; without them it is as v4, which the paper used.
_KEYWORDS: dict[str, dict[str, Any]] = {"Ant-v5": {"include_cfrc_ext_in_observation": False}}

# Ours, in degrees and metres: a fixed camera that shows the pendulums' whole rail, with the poles up or down.
# Gymnasium's shows only a part of the single pendulum's rail, and the double pendulum as a dot.
_CAMERAS: dict[str, dict[str, Any]] = {
    "InvertedPendulum": {"elevation": -25.0, "distance": 3.0, "lookat": np.array((0.0, 0.0, 0.2))},
    "InvertedDoublePendulum": {"elevation": -25.0, "distance": 3.2, "lookat": np.array((0.0, 0.0, 0.4))},
}


def step_seconds(task: str) -> float:
    """Return the time of a step of Gymnasium's environment in seconds, roughly, `step_seconds("Hopper")`."""
    return _STEP_SECONDS.get(task, USUAL_STEP_SECONDS)


def base(task: str, version: str, render_mode: str | None = None) -> gym.Env:
    """Make Gymnasium's environment without wrappers and without a time limit, `base("Hopper", "v5")`.

    Raises:
        ValueError: There is no such version.
    """
    one_of("version", version, get_args(Version))
    with warnings.catch_warnings():
        # v4 is used only if a user asks for it.
        warnings.filterwarnings("ignore", r".*is out of date", DeprecationWarning)
        return _make(f"{task}-{version}", render_mode=render_mode).unwrapped


def _make(id: str, *, render_mode: str | None = None) -> gym.Env:
    env = make(id, render_mode=render_mode, **_KEYWORDS.get(id, {}))
    if render_mode is not None:
        _aim(env.unwrapped, id.partition("-")[0])
    return env


def _aim(env: Any, task: str) -> None:
    """Set the camera: the model's own one that follows the body, if there is one, or one of `_CAMERAS`.

    Gymnasium 1.4 always takes a fixed camera, so walkers leave its pictures.
    """
    renderer = env.mujoco_renderer
    for camera in map(env.model.camera, range(env.model.ncam)):
        if camera.name == "track":
            renderer.camera_id = camera.id
    renderer.default_cam_config = _CAMERAS.get(task, renderer.default_cam_config)


def _control(name: str, task: str) -> None:
    id = f"{task}-v5"

    def opened(*, render_mode: str | None = None) -> gym.Env:
        return _make(id, render_mode=render_mode)

    summary = f"Gymnasium's {id}, unrestricted" + (", without contact forces" if id in _KEYWORDS else "")
    adopt(name, id=id, tags=("control",), open=opened, summary=summary, step_seconds=step_seconds(task))


for _name, _task in CONTROLS.items():
    _control(_name, _task)
