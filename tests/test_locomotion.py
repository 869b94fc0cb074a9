"""Gymnasium's locomotion tasks: unchanged but for scaled actions, and with a camera that follows."""

import sys

import numpy as np
import pytest
from rollouts import actions_for

from savo_bench import envs
from savo_bench.envs.locomotion import base


def test_an_original_is_the_raw_environment_with_scaled_actions():
    env, raw = envs.make("inverted-pendulum"), base("InvertedPendulum", "v5")
    np.testing.assert_array_equal(env.reset(seed=2)[0], raw.reset(seed=2)[0].astype(np.float32))
    for action in actions_for(env, 5):
        seen, expected = env.step(action), raw.step(3 * action)  # its range is ±3
        np.testing.assert_array_equal(seen[0], expected[0].astype(np.float32))
        assert seen[1] == expected[1]


def test_restricted_ant_observes_no_contact_forces():
    for version in ("v5", "v4"):
        assert envs.make("restricted-ant", version=version).observation_space.shape == (27,)
    assert envs.make("ant").observation_space.shape == (27,)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="egl is Linux's")
def test_a_walker_does_not_leave_the_picture(run_without_screen):
    code = (
        "from savo_bench import envs\n"
        "from savo_bench.envs.simulator import NoRenderer\n"
        "for name in ('hopper', 'walker2d', 'half-cheetah', 'ant'):\n"
        "    env = envs.make(f'restricted-{name}', render_mode='rgb_array')\n"
        "    env.reset(seed=0)\n"
        "    task = env.unwrapped\n"
        "    try:\n"
        "        env.render()\n"
        "    except NoRenderer as error:\n"
        "        print('none', error)\n"
        "        break\n"
        "    position = task.data.qpos.copy()\n"
        "    position[0] = 12\n"
        "    task.set_state(position, task.data.qvel)\n"
        "    seen = env.render().astype(int)\n"
        "    body = seen[..., 0] - seen[..., 2] > 40\n"  # their skin is brown, all else grey, green or blue
        "    print(name, 0.001 < body[100:-50, 150:-150].mean())\n"
        "    env.close()\n"
    )
    result = run_without_screen(code, "egl")
    if "none" in result.stdout:
        pytest.skip(result.stdout.strip())
    assert result.stdout == "hopper True\nwalker2d True\nhalf-cheetah True\nant True\n", result.stderr
