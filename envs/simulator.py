"""What all MuJoCo tasks share: loading without warnings, and pictures with one-line errors.

Training needs no renderer. None is made before the first picture, and a MUJOCO_GL that does not work is ignored with a
warning.
"""

import ctypes.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym

from savo_bench.envs.values import picture_mode, reason_of

RENDERER = "MUJOCO_GL"  # environment variable of MuJoCo and Gymnasium: egl, osmesa or glfw
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")  # environment variables of X11 and Wayland
SCREENLESS = {"egl": "EGL", "osmesa": "OSMesa"}  # renderers that need no screen, the fastest first → their libraries


class NoRenderer(RuntimeError):
    """No picture can be drawn on this machine; the message is one line that says what to install."""


def make(id: str, *, render_mode: str | None = None, **keywords: Any) -> gym.Env:
    """Make a registered MuJoCo task whose only `render_mode` is "rgb_array".

    The tasks themselves can also open windows. Without a screen GLFW then ends the process instead of raising.

    Raises:
        ValueError: Another `render_mode`.
    """
    with quiet_loading():
        env = gym.make(id, disable_env_checker=True, render_mode=picture_mode(render_mode), **keywords)
    env.unwrapped.metadata = env.unwrapped.metadata | {"render_modes": ["rgb_array"]}
    return env


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence MuJoCo's warnings about model files, which come from other packages.

    MuJoCo 4 calls an attribute of Gymnasium's cheetah deprecated, at every load, on stderr and in a file MUJOCO_LOG.TXT
    in the working directory. Later warnings, of the simulation itself, are still shown.
    """
    simulator = _simulator()
    before = simulator.get_mju_user_warning()
    simulator.set_mju_user_warning(lambda _message: None)
    try:
        yield
    finally:
        simulator.set_mju_user_warning(before)


def picture(env: gym.Env) -> Any:
    """Return `env.render()`.

    Raises:
        NoRenderer: No picture can be drawn on this machine.
    """
    _choose_renderer()
    hook = sys.unraisablehook
    # Windows of Gymnasium and GLFW that were not completed raise again when they are deleted, and GLFW warns.
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="glfw")
            _make_context_current(env.unwrapped)
            return env.render()
    except Exception as error:  # MuJoCo, Gymnasium, PyOpenGL and GLFW raise different types
        reason = reason_of(error)
    finally:
        sys.unraisablehook = hook
    raise NoRenderer(
        f"render_mode={env.render_mode!r}: no picture with {RENDERER}={os.environ.get(RENDERER, '')} ({reason}); "
        f"without a screen {RENDERER}=egl needs the system's libEGL (Debian: apt install libegl1 libgl1), and "
        f"{RENDERER}=osmesa libOSMesa (libosmesa6)"
    )


def close(env: gym.Env) -> None:
    """Close an environment and free its MuJoCo rendering context.

    Otherwise MuJoCo frees it later, while the OpenGL context of another environment is current, whose pictures then
    become black.
    """
    viewer = _make_context_current(env.unwrapped)
    if viewer is not None and hasattr(viewer, "con"):
        viewer.con.free()
    env.close()


def _make_context_current(task: Any) -> Any:
    """Make the OpenGL context of a MuJoCo task current, and return its viewer; None if it has no viewer yet.

    Gymnasium does not: with two environments, one would return the other's pictures.
    """
    viewer = getattr(getattr(task, "mujoco_renderer", None), "viewer", None)
    if viewer is not None:
        viewer.make_context_current()
    return viewer


def _choose_renderer() -> None:
    """Without a screen and with MUJOCO_GL unset, set it to a renderer that needs no screen; Gymnasium would use GLFW.

    Gymnasium reads the variable, and MuJoCo loads the renderer, at the first picture and not before.
    """
    if sys.platform != "linux" or os.environ.get(RENDERER) or any(map(os.environ.get, SCREENS)):
        return
    found = [name for name, library in SCREENLESS.items() if ctypes.util.find_library(library)]
    if found:
        os.environ[RENDERER] = found[0]


def _simulator() -> Any:
    """Import MuJoCo, also where MUJOCO_GL names a renderer that is missing, with which the import fails."""
    try:
        import mujoco
    except Exception:
        asked = os.environ.pop(RENDERER, None)
        if asked is None:
            raise
        import mujoco

        warnings.warn(f"{RENDERER}={asked}: not usable here; ignored", RuntimeWarning, stacklevel=2)
    return mujoco  # a compiled module without type stubs
