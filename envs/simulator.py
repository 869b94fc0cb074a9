"""What all MuJoCo tasks share: a quiet start, and pictures that say in one line what they lack.

Training needs no renderer: none is made before the first picture, and a broken setting of one is put aside.
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

RENDERER = "MUJOCO_GL"  # MuJoCo's and Gymnasium's variable: egl, osmesa or glfw
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")  # X11's and Wayland's variables
SCREENLESS = {"egl": "EGL", "osmesa": "OSMesa"}  # renderers that need no screen, the faster first, and their libraries


class NoRenderer(RuntimeError):
    """A picture was asked for and nothing here can draw it; the message is one line that says what may mend it."""


def make(id: str, *, render_mode: str | None = None, **keywords: Any) -> gym.Env:
    """A registered MuJoCo task that draws `rgb_array` and nothing else.

    The tasks themselves also open windows, and without a screen GLFW then ends the process instead of raising.

    Raises:
        ValueError: Another way of drawing is asked for.
    """
    with quiet_loading():
        env = gym.make(id, disable_env_checker=True, render_mode=picture_mode(render_mode), **keywords)
    env.unwrapped.metadata = env.unwrapped.metadata | {"render_modes": ["rgb_array"]}
    return env


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep MuJoCo from warning of model files that are not ours.

    MuJoCo 4 finds an attribute of Gymnasium's cheetah deprecated: it says so on stderr and in a file MUJOCO_LOG.TXT
    in the working directory, at every load. Warnings of the simulation itself come later and stay.
    """
    simulator = _simulator()
    before = simulator.get_mju_user_warning()
    simulator.set_mju_user_warning(lambda _message: None)
    try:
        yield
    finally:
        simulator.set_mju_user_warning(before)


def picture(env: gym.Env) -> Any:
    """What `env.render()` returns.

    Raises:
        NoRenderer: No picture can be drawn on this machine.
    """
    _choose_renderer()
    hook = sys.unraisablehook
    # Gymnasium's and GLFW's half-made windows complain once more as they are deleted, and GLFW warns of the screen.
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="glfw")
            _take_over(env.unwrapped)
            return env.render()
    except Exception as error:  # MuJoCo, Gymnasium, PyOpenGL and GLFW each raise their own kinds
        reason = reason_of(error)
    finally:
        sys.unraisablehook = hook
    raise NoRenderer(
        f"render_mode={env.render_mode!r}: no picture with {RENDERER}={os.environ.get(RENDERER, '')} ({reason}); "
        f"without a screen {RENDERER}=egl needs the system's libEGL (Debian: apt install libegl1 libgl1), and "
        f"{RENDERER}=osmesa libOSMesa (libosmesa6)"
    )


def close(env: gym.Env) -> None:
    """Close an environment, with all that its pictures were drawn with.

    MuJoCo frees that some time later otherwise, in whatever canvas is then the current one: another environment's
    pictures go black.
    """
    viewer = _take_over(env.unwrapped)
    if viewer is not None and hasattr(viewer, "con"):
        viewer.con.free()
    env.close()


def _take_over(task: Any) -> Any:
    """Make a MuJoCo task's own canvas the one that is drawn on, and return its viewer; None if it has none yet.

    Gymnasium leaves the last one that was made in its place: of two environments one would show the other.
    """
    viewer = getattr(getattr(task, "mujoco_renderer", None), "viewer", None)
    if viewer is not None:
        viewer.make_context_current()
    return viewer


def _choose_renderer() -> None:
    """Without a screen, and where nobody has chosen, take a renderer that needs none: Gymnasium would take GLFW.

    Gymnasium reads the variable, and MuJoCo loads what it names, at the first picture and no earlier.
    """
    if sys.platform != "linux" or os.environ.get(RENDERER) or any(map(os.environ.get, SCREENS)):
        return
    found = [name for name, library in SCREENLESS.items() if ctypes.util.find_library(library)]
    if found:
        os.environ[RENDERER] = found[0]


def _simulator() -> Any:
    """MuJoCo, also where the environment asks for a renderer that is not there: importing it would then fail."""
    try:
        import mujoco
    except Exception:
        asked = os.environ.pop(RENDERER, None)
        if asked is None:
            raise
        import mujoco

        warnings.warn(f"{RENDERER}={asked}: not usable here; going on without it", RuntimeWarning, stacklevel=2)
    return mujoco  # a compiled module without type stubs
