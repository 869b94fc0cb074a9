"""The Adroit tasks: sizes, the corrected reward, success and full reset."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from rollouts import actions_for

from savo_bench import envs
from savo_bench.envs import Metric, adroit
from savo_bench.envs.adroit import Adroit, base

# name → Gymnasium-Robotics' name, actions, observations
SIZES = {
    "adroit-door": ("Door", 28, 39),
    "adroit-hammer": ("Hammer", 26, 46),
    "adroit-pen": ("Pen", 24, 45),
    "adroit-relocate": ("Relocate", 30, 39),
}
WRONG_SIGN = ["adroit-door", "adroit-hammer", "adroit-relocate"]


def task(env: gym.Env) -> Any:
    return env.unwrapped


def palm_to_object(name: str, env: gym.Env) -> float:
    data = task(env).data
    item = data.site("S_handle") if name == "adroit-door" else data.body("Object")
    return float(np.linalg.norm(data.site("S_grasp").xpos - item.xpos))


def test_the_four_tasks_have_the_published_sizes():
    assert envs.names("adroit") == list(SIZES)
    for name, (upstream, actions, observations) in SIZES.items():
        found, env = envs.get(name), envs.make(name)
        assert found.id == f"SavoBench/Adroit{upstream}-v0"
        assert found.benchmark
        assert found.metrics == {"success": Metric("max", "success rate", "%")}
        assert env.action_space == gym.spaces.Box(-1, 1, (actions,), np.float32)
        assert env.observation_space.shape == (observations,)
        assert env.observation_space.dtype == np.float32


def test_the_correction_is_listed():
    for name in SIZES:
        assert ("corrected" in envs.get(name).summary) == (name in WRONG_SIGN)


@pytest.mark.parametrize("name", SIZES)
def test_an_episode_is_truncated_after_200_steps_and_never_ends_before(name: str):
    env = envs.make(name)
    env.reset(seed=0)
    ends = [env.step(action)[2:4] for action in actions_for(env, 200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


@pytest.mark.parametrize("name", SIZES)
def test_it_is_upstream_but_for_the_sign_of_one_term(name: str):
    env, upstream = envs.make(name), base(SIZES[name][0], "v1", "dense")
    np.testing.assert_array_equal(env.reset(seed=3)[0], upstream.reset(seed=3)[0].astype(np.float32))
    for action in actions_for(env, 50):
        obs, reward, *_, info = env.step(action)
        expected_obs, upstream_reward, *_, upstream_info = upstream.step(action)
        np.testing.assert_array_equal(obs, expected_obs.astype(np.float32))
        assert info["success"] is bool(upstream_info["success"])
        term = palm_to_object(name, upstream) if name in WRONG_SIGN else 0
        assert reward == pytest.approx(float(upstream_reward) - 0.2 * term, abs=1e-12)


@pytest.mark.parametrize("name", WRONG_SIGN)
def test_a_palm_nearer_to_the_object_is_worth_more(name: str, monkeypatch):
    """The hand is put in many places, at rest, with the object where it is: upstream's v1 has the reverse order."""
    import mujoco

    forward: Any = mujoco.mj_forward  # type: ignore[attr-defined]
    env = envs.make(name)
    env.reset(seed=0)
    simulation, rng = task(env), np.random.default_rng(0)
    start, joints = simulation.data.qpos.copy(), 24  # of the hand; those of the arm and wrist come first

    def place(*_: Any) -> None:
        simulation.data.qpos[:] = start
        simulation.data.qpos[:joints] += rng.uniform(-0.2, 0.2, joints)
        forward(simulation.model, simulation.data)

    monkeypatch.setattr(simulation, "do_simulation", place)
    seen = []
    for action in actions_for(env, 20):
        _, reward, *_ = env.step(action)
        seen.append((palm_to_object(name, env), reward))
    distances, rewards = np.array(sorted(seen)).T
    assert np.ptp(distances) > 0.05
    np.testing.assert_allclose(np.diff(rewards), -0.1 * np.diff(distances), rtol=1e-6)
    assert (np.diff(rewards) < 0).all()


@pytest.mark.parametrize(("version", "wrong_sign"), [("v1", True), ("v2", False)])
def test_version_2_is_taken_where_the_package_has_it_and_not_corrected(version: str, wrong_sign: bool, monkeypatch):
    # A stand-in for a newer package: its v2 is made of this one's v1, so a correction of it would show.
    assert adroit.newest("Door") in ("v1", "v2")  # which also registers them
    monkeypatch.delitem(gym.registry, "AdroitHandDoor-v2", raising=False)
    monkeypatch.setitem(gym.registry, f"AdroitHandDoor-{version}", gym.spec("AdroitHandDoor-v1"))
    made = []
    monkeypatch.setattr(adroit, "base", lambda task, version, *rest: made.append(version) or base(task, "v1", *rest))
    env = envs.make("adroit-door")
    assert made == [version]
    wrapper = env
    while not isinstance(wrapper, Adroit):
        assert isinstance(wrapper, gym.Wrapper)
        wrapper = wrapper.env
    env.reset(seed=0)
    action = np.zeros(28, np.float32)
    gap = wrapper.env.step(action)[1]  # type: ignore[operator]
    env.reset(seed=0)
    difference = float(gap) - float(env.step(action)[1])
    assert difference == pytest.approx(0.2 * palm_to_object("adroit-door", env) if wrong_sign else 0, abs=1e-12)


@pytest.mark.parametrize("name", SIZES)
def test_sparse_reward_is_10_at_the_goal_and_a_small_cost_elsewhere(name: str):
    for env in (envs.make(name, reward_type="sparse"), gym.make(envs.get(name).id, reward_type="sparse")):
        env.reset(seed=0)
        for action in actions_for(env, 30):
            _, reward, *_, info = env.step(action)
            assert reward == (10 if info["success"] else -0.1)


@pytest.mark.parametrize("reward_type", ["dense", "sparse"])
def test_an_open_door_is_a_success(reward_type: str):
    env = envs.make("adroit-door", reward_type=reward_type)
    env.reset(seed=0)
    assert env.step(np.zeros(28, np.float32))[4]["success"] is False
    state = task(env).get_env_state()
    state["qpos"][28] = 1.5  # the hinge, in radians; 1.35 is open
    task(env).set_env_state(state)
    _, reward, *_, info = env.step(np.zeros(28, np.float32))
    assert info["success"] is True
    assert float(reward) >= 10


def test_a_wrong_type_of_reward_gets_one_line():
    with pytest.raises(ValueError, match=r"^reward_type='shaped': must be dense or sparse$"):
        envs.make("adroit-pen", reward_type="shaped")


@pytest.mark.parametrize("name", SIZES)
def test_an_episode_that_began_elsewhere_leaves_nothing_behind(name: str):
    env, fresh = envs.make(name), envs.make(name)
    env.reset(seed=1)
    state = task(env).get_env_state()
    for key in set(state) & {"board_pos", "door_body_pos", "obj_pos", "target_pos", "desired_orien"}:
        state[key] = state[key] + 0.05
    known = task(env)._state_space.spaces
    env.reset(options={"initial_state_dict": {key: value for key, value in state.items() if key in known}})
    for action in actions_for(env, 20, seed=1):
        env.step(action)
    np.testing.assert_array_equal(env.reset(seed=5)[0], fresh.reset(seed=5)[0])
    for action in actions_for(env, 20):
        seen, expected = env.step(action), fresh.step(action)
        np.testing.assert_array_equal(seen[0], expected[0])
        assert seen[1:] == expected[1:]
