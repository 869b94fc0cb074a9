"""Pictures of MuJoCo tasks, and training where none can be drawn."""

import os
import sys

import gymnasium as gym
import pytest

from savo_bench.envs.simulator import NoRenderer, picture


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="egl is Linux's")
def test_pictures_without_a_screen(run_without_screen):
    code = (
        "import numpy as np; from savo_bench import envs\n"
        "from savo_bench.envs.simulator import NoRenderer\n"
        "for name in [*envs.names('adroit'), 'restricted-hopper', 'hopper']:\n"
        "    env = envs.make(name, render_mode='rgb_array')\n"
        "    env.reset(seed=0)\n"
        "    try:\n"
        "        picture = env.render().copy()\n"
        "    except NoRenderer as error:\n"
        "        print('none', error)\n"
        "        break\n"
        "    again = [env.step(env.action_space.sample()) for _ in range(5)] and env.render()\n"
        "    print(picture.shape, picture.dtype, picture.std() > 10, again.std() > 10, (picture != again).any())\n"
        "    env.close()\n"
    )
    result = run_without_screen(code, "egl")
    lines = result.stdout.splitlines()
    if lines and lines[0].startswith("none"):
        pytest.skip(lines[0])
    assert lines == ["(480, 480, 3) uint8 True True True"] * 6, result.stderr


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="egl is Linux's")
def test_each_of_several_environments_shows_its_own_picture(run_without_screen):
    code = (
        "import gc; from savo_bench import envs\n"
        "from savo_bench.envs.simulator import NoRenderer\n"
        "several = [envs.make(name, render_mode='rgb_array') for name in ('adroit-pen', 'hopper', 'restricted-ant')]\n"
        "for env in several:\n"
        "    env.reset(seed=0)\n"
        "try:\n"
        "    first = [env.render().copy() for env in several]\n"
        "    kept = all((env.render() == picture).all() for env, picture in zip(several, first))\n"
        "    different = all((one != other).mean() > 0.5 for one, other in zip(first, first[1:]))\n"
        "    closed = several.pop(1)\n"
        "    closed.close()\n"
        "    several[1].render()\n"
        "    del closed, env\n"
        "    gc.collect()\n"
        "    print(kept, different, all((several[at].render() == first[2 * at]).all() for at in (0, 1)))\n"
        "    for env in several:\n"
        "        env.close()\n"
        "except NoRenderer as error:\n"
        "    print('none', error)\n"
    )
    result = run_without_screen(code, "egl")
    if result.stdout.startswith("none"):
        pytest.skip(result.stdout.strip())
    assert result.stdout == "True True True\n", result.stderr


@pytest.mark.parametrize("name", ["adroit-pen", "restricted-hopper", "hopper"])
def test_a_missing_renderer_is_one_line_and_stops_no_training(name: str, run_without_screen):
    code = (
        "from savo_bench import envs\n"
        "from savo_bench.envs.simulator import NoRenderer\n"
        f"env = envs.make({name!r}, render_mode='rgb_array')\n"
        "env.reset(seed=0)\n"
        "try:\n"
        "    env.render()\n"
        "except NoRenderer as error:\n"
        "    print(error)\n"
        "print(env.step(env.action_space.sample())[0].dtype)\n"
    )
    result = run_without_screen(code, "glfw")
    error, trained = result.stdout.splitlines()
    assert error.startswith("render_mode='rgb_array': no picture with MUJOCO_GL=glfw (")
    assert "MUJOCO_GL=egl needs the system's libEGL (Debian: apt install libegl1 libgl1)" in error
    assert trained == "float32"
    assert result.stderr == ""


def test_a_renderer_that_cannot_be_loaded_stops_no_training(run_without_screen):
    code = (
        "import os; from savo_bench import envs\n"
        "env = envs.make('adroit-pen')\n"
        "env.reset(seed=0)\n"
        "print(env.step(env.action_space.sample())[0].dtype, 'MUJOCO_GL' in os.environ)\n"
    )
    result = run_without_screen(code, "none-such")
    assert result.stdout == "float32 False\n", result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "Warning" in line]
    assert line.endswith("RuntimeWarning: MUJOCO_GL=none-such: not usable here; ignored")


def test_the_line_names_what_was_asked_for(monkeypatch):
    class Blind(gym.Env):
        render_mode = "rgb_array"

        def render(self):
            raise ImportError("no\nlibrary")

    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(NoRenderer, match=r"MUJOCO_GL=osmesa \(no library\)"):
        picture(Blind())
    assert os.environ["MUJOCO_GL"] == "osmesa"
