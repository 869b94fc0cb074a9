"""Restricted locomotion: radius, validity, replacement and keywords."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from rollouts import actions_for, digest, rollout

from savo_bench import envs
from savo_bench.envs import Metric
from savo_bench.envs.locomotion import base
from savo_bench.envs.restricted import Restricted, ball_radius, projection_weights

RESTRICTED = envs.names("restricted")

# name → Gymnasium's name, n, m, highest simulator action, what replaces an invalid one, whether the first step is free
RULES = {
    "restricted-inverted-pendulum": ("InvertedPendulum", 1, 3.0, 3.0, -1.0, True),
    "restricted-inverted-double-pendulum": ("InvertedDoublePendulum", 1, 3.0, 1.0, -1.0, True),
    "restricted-hopper": ("Hopper", 3, 1.65, 1.0, 0.0, False),
    "restricted-walker2d": ("Walker2d", 6, 1.0, 1.0, 0.0, False),
    "restricted-half-cheetah": ("HalfCheetah", 6, 1.0, 1.0, 0.0, False),
    "restricted-ant": ("Ant", 8, 1.0, 1.0, 0.0, False),
}
RADII = {1: 0.0273, 3: 0.1928, 6: 0.3900, 8: 0.5086}


def find_restricted(env: gym.Env) -> Restricted:
    while not isinstance(env, Restricted):
        assert isinstance(env, gym.Wrapper)
        env = env.env
    return env


def test_the_six_tasks_and_their_originals_are_registered():
    assert list(RULES) == RESTRICTED
    assert [name.removeprefix("restricted-") for name in RESTRICTED] == envs.names("control")
    for name, (task, *_) in RULES.items():
        assert envs.get(name).id == f"SavoBench/Restricted{task}-v0"
        assert envs.get(name).benchmark
        assert envs.get(name).metrics == {"valid": Metric("mean", "invalid actions", "%", complement=True)}
        original = envs.get(name.removeprefix("restricted-"))
        assert original.id == f"{task}-v5"
        assert not original.benchmark
        assert not original.keywords


@pytest.mark.parametrize("name", RESTRICTED)
def test_radius_is_that_of_the_paper(name: str):
    _, n, volume, *_ = RULES[name]
    env = find_restricted(envs.make(name))
    assert round(env.radius, 4) == RADII[n]
    assert env.radius == ball_radius(0.6 / 33 * volume, n)
    assert env.centres.shape == (33 * n, n)


@pytest.mark.parametrize(("n", "unit_ball"), [(1, 2), (2, math.pi), (3, 4 / 3 * math.pi), (4, math.pi**2 / 2)])
def test_radius_inverts_the_volume(n: int, unit_ball: float):
    assert ball_radius(unit_ball * 0.3**n, n) == pytest.approx(0.3, rel=1e-12)


def test_radius_holds_in_high_dimensions():
    volume, n = math.pi, 2  # V(n + 2) = V(n) 2π / (n + 2)
    while n < 400:
        n += 2
        volume *= 2 * math.pi / n
    assert ball_radius(volume, 400) == pytest.approx(1, rel=1e-12)


def test_valid_intervals_of_the_one_dimensional_task():
    expected = [[0.0324, 0.1194], [0.1482, 0.2555], [0.2589, 0.5786], [0.5838, 0.7653], [0.8222, 0.8767], [0.9535, 1]]
    env = find_restricted(envs.make("restricted-inverted-pendulum"))
    u = np.linspace(0, 1, 200_001)
    valid = np.array([env.is_valid(np.array([2 * x - 1])) for x in u])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]]).astype(int)))  # first, one past the last
    found = u[np.minimum(edges, len(u) - 1)].reshape(-1, 2)
    np.testing.assert_allclose(found, expected, atol=0.6e-4)  # the expected ones are rounded to four digits


@pytest.mark.parametrize(
    ("name", "version"),
    [(name, "v5") for name in RESTRICTED] + [("restricted-inverted-double-pendulum", "v4"), ("restricted-ant", "v4")],
)
def test_an_invalid_action_is_replaced_and_a_valid_one_executed(name: str, version: str):
    task, n, volume, highest, replacement, first_step_free = RULES[name]
    centres = np.random.RandomState(123).random((33 * n, n))
    radius = ball_radius(0.6 / 33 * volume, n)
    env, raw = envs.make(name, version=version), base(task, version)

    (obs, _), (expected_obs, _) = env.reset(seed=7), raw.reset(seed=7)
    np.testing.assert_array_equal(obs, expected_obs.astype(np.float32))
    first, seen = True, set()
    for action in actions_for(env, 200):
        u = (action.astype(np.float64) + 1) / 2
        inside = np.linalg.norm(centres - u, axis=1).min() < radius
        valid = inside or (first and first_step_free)
        executed = highest * action if valid else np.full(n, replacement, np.float32)
        obs, reward, terminated, _, info = env.step(action)
        expected_obs, expected_reward, expected_terminated, _, _ = raw.step(executed)
        np.testing.assert_array_equal(obs, expected_obs.astype(np.float32))
        assert reward == expected_reward
        assert terminated == expected_terminated
        assert info["valid"] is bool(valid)
        seen.add((bool(inside), first))
        first = terminated
        if terminated:
            env.reset()
            raw.reset()
    assert seen >= {(True, False), (False, False)}
    assert not first_step_free or (False, True) in seen  # an invalid action at a first step was among them
    # It draws nothing: base and task have used up the same random numbers.
    assert env.unwrapped.np_random.bit_generator.state == raw.np_random.bit_generator.state


def test_penalty_is_the_reward_of_invalid_steps_only():
    plain, punished = envs.make("restricted-hopper"), envs.make("restricted-hopper", penalty=-10)
    plain.reset(seed=0)
    punished.reset(seed=0)
    seen = set()
    for action in actions_for(plain, 15):
        _, reward, *_ = plain.step(action)
        _, punished_reward, _, _, info = punished.step(action)
        assert punished_reward == (reward if info["valid"] else -10)
        seen.add(info["valid"])
    assert seen == {True, False}


def test_more_balls_smaller_balls_other_balls():
    def share(**keywords: Any) -> float:
        env = find_restricted(envs.make("restricted-hopper", **keywords))
        return float(np.mean([env.is_valid(action) for action in actions_for(env, 2_000)]))

    default = share()
    assert share(balls=990) > default
    assert share(volume=0.165) < default / 2
    assert share(balls=990, volume=0.165) == pytest.approx(default, abs=0.1)  # as much, in ten times as many balls
    assert find_restricted(envs.make("restricted-hopper", balls=990)).centres.shape == (990, 3)
    some, others = (find_restricted(envs.make("restricted-hopper", centres_seed=seed)).centres for seed in (123, 124))
    assert not np.isin(some, others).any()


def test_extra_dimensions_do_nothing():
    plain, wide = envs.make("restricted-hopper"), envs.make("restricted-hopper", extra_dims=100)
    assert wide.action_space.shape == (103,)
    actions = actions_for(wide, 50)
    assert digest(rollout(wide, actions, seed=1)) == digest(rollout(plain, actions[:, :3], seed=1))


def test_gymnasium_makes_it_with_keywords():
    env = gym.make("SavoBench/RestrictedHopper-v0", volume=0.5, balls=990)
    assert find_restricted(env).radius == ball_radius(0.6 / 33 * 0.5, 3)
    assert find_restricted(env).centres.shape == (990, 3)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"volume": 0}, r"volume=0.0: must be > 0"),
        ({"volume": 1e200}, r"volume=1e\+200: must be > 0 and at most 1e\+06"),
        ({"volume": float("nan")}, r"volume=nan: must be a finite number"),
        ({"volume": "big"}, r"volume='big': must be a finite number"),
        ({"balls": 0}, r"balls=0: must be a whole number from 1 to 1000000"),
        ({"balls": 2.5}, r"balls=2.5: must be a whole number from 1 to 1000000"),
        ({"balls": True}, r"balls=True: must be a whole number"),
        ({"centres_seed": -1}, r"centres_seed=-1: must be a whole number from 0 to 4294967295"),
        ({"penalty": float("inf")}, r"penalty=inf: must be a finite number"),
        ({"extra_dims": -1}, r"extra_dims=-1: must be a whole number from 0 to 10000"),
        ({"control_cost": "none"}, r"control_cost='none': must be executed or asked"),
        ({"projections": -1}, r"projections=-1: must be a whole number from 0 to 1000"),
        (
            {"projections": 5, "projections_seed": -1},
            r"projections_seed=-1: must be a whole number from 0 to 4294967295",
        ),
        ({"projections_seed": 3}, r"projections_seed=3: has no meaning when projections is 0"),
        ({"version": "v3"}, r"version='v3': must be v5 or v4"),
        ({"ball": 3}, r"restricted-hopper: unknown keyword 'ball'; did you mean balls\?"),
    ],
)
def test_a_wrong_keyword_gets_one_clear_line(keywords: dict[str, Any], message: str):
    for make in (
        lambda: envs.make("restricted-hopper", **keywords),
        lambda: gym.make("SavoBench/RestrictedHopper-v0", **keywords),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", RESTRICTED)
def test_a_broken_action_is_an_error_and_not_an_invalid_action(name: str):
    env = envs.make(name)
    env.reset(seed=0)
    broken = np.full(env.action_space.shape or (), np.nan, np.float32)
    with pytest.raises(ValueError, match=r"must be finite"):
        env.step(broken)


COSTS = {"restricted-hopper": 1e-3, "restricted-walker2d": 1e-3, "restricted-half-cheetah": 0.1, "restricted-ant": 0.5}


def invalid_corner(env: Restricted) -> np.ndarray:
    """A corner of the action box that lies in no ball."""
    n = env.centres.shape[1]
    corners = (np.array([1.0 if corner >> i & 1 else -1.0 for i in range(n)], np.float32) for corner in range(2**n))
    return next(corner for corner in corners if not env.is_valid(corner))


@pytest.mark.parametrize("version", ["v5", "v4"])
@pytest.mark.parametrize("name", COSTS)
def test_an_invalid_step_pays_the_control_cost_of_what_was_asked_for_only_if_told_so(name: str, version: str):
    usual, asked = (envs.make(name, version=version, control_cost=which) for which in ("executed", "asked"))
    corner = invalid_corner(find_restricted(usual))
    for env in (usual, asked):
        env.reset(seed=3)
    obs, reward, terminated, _, info = usual.step(corner)
    asked_obs, asked_reward, asked_terminated, _, asked_info = asked.step(corner)
    assert info["valid"] is asked_info["valid"] is False
    assert float(reward) - float(asked_reward) == pytest.approx(COSTS[name] * len(corner), rel=1e-6)  # Ant: 4.0
    np.testing.assert_array_equal(obs, asked_obs)
    assert terminated == asked_terminated
    if "reward_ctrl" in info:
        assert info["reward_ctrl"] == 0
        assert asked_info["reward_ctrl"] == pytest.approx(-COSTS[name] * len(corner))


def test_a_valid_step_pays_the_same_in_both():
    usual, asked = (envs.make("restricted-ant", control_cost=which) for which in ("executed", "asked"))
    usual.reset(seed=3)
    asked.reset(seed=3)
    seen = set()
    for action in actions_for(usual, 30):
        (_, reward, *_, info), (_, other, *_) = usual.step(action), asked.step(action)
        cost = 0.0 if info["valid"] else 0.5 * float(np.square(action, dtype=np.float64).sum())
        assert float(reward) - float(other) == pytest.approx(cost, abs=1e-6)  # the cost is a float32 sum
        seen.add(info["valid"])
    assert seen == {True, False}


@pytest.mark.parametrize("name", [name for name in RESTRICTED if name not in COSTS])
def test_a_task_without_control_cost_cannot_charge_it(name: str):
    assert find_restricted(envs.make(name, control_cost="executed"))
    with pytest.raises(
        ValueError, match=r"^control_cost='asked': Inverted\w*PendulumEnv has no control cost; leave it"
    ):
        envs.make(name, control_cost="asked")


def test_a_control_cost_that_a_penalty_would_hide_is_refused():
    with pytest.raises(ValueError, match=r"^control_cost='asked': changes nothing beside penalty=-10, .* leave one"):
        envs.make("restricted-ant", control_cost="asked", penalty=-10)


@pytest.mark.parametrize("name", RESTRICTED)
@pytest.mark.parametrize("inputs", [5, 50])
def test_projected_joints_are_spread_over_their_range(name: str, inputs: int):
    env = find_restricted(envs.make(name, projections=inputs))
    n = RULES[name][1]
    assert env.action_space.shape == (n * inputs,)
    assert env.action_space.contains(np.ones(n * inputs, np.float32))
    drawn = np.random.default_rng(0).uniform(-1, 1, (20_000, n * inputs)).astype(np.float32)
    joints = np.array([env.joints(action) for action in drawn])
    assert joints.shape == (20_000, n)
    for joint in joints.T:
        shares = np.histogram(joint, 10, (-1, 1))[0] / len(joint)
        assert shares.min() > 0.065  # .1 if uniform
        assert shares.max() < 0.135
    assert np.abs(np.corrcoef(joints.T) - np.eye(n)).max() < 0.03 if n > 1 else True  # each has inputs of its own
    weights = projection_weights(n, inputs, 0)
    for sign in (-1, 1):  # the corner that drives every joint to its end
        ends = env.joints(sign * np.sign(weights).ravel())
        assert (sign * ends > 0.98).all()


def test_projections_by_hand():
    env = find_restricted(envs.make("restricted-hopper", projections=4, projections_seed=7, extra_dims=2))
    assert env.action_space.shape == (3 * 4 + 2,)
    weights = np.random.RandomState(7).standard_normal((3, 4))
    weights *= (np.pi / 2) / np.linalg.norm(weights, axis=1, keepdims=True)  # variance |w|² / 3 = π² / 12
    action = np.random.default_rng(0).uniform(-1, 1, 14).astype(np.float32)
    expected = [math.tanh(float(weights[i] @ action[4 * i : 4 * i + 4])) for i in range(3)]
    np.testing.assert_allclose(env.joints(action), expected, rtol=1e-12)
    other = find_restricted(envs.make("restricted-hopper", projections=4, projections_seed=8, extra_dims=2))
    assert not np.isclose(other.joints(action), expected).any()


def test_projected_joints_decide_validity_and_are_executed():
    env, plain = envs.make("restricted-ant", projections=13), envs.make("restricted-ant")
    assert env.action_space.shape == (104,)
    env.reset(seed=2)
    plain.reset(seed=2)
    seen = set()
    for action in actions_for(env, 40):
        joints = find_restricted(env).joints(action)
        obs, reward, terminated, _, info = env.step(action)
        expected, expected_reward, _, _, expected_info = plain.step(joints)
        np.testing.assert_array_equal(obs, expected)
        assert reward == expected_reward
        assert info["valid"] is expected_info["valid"] is find_restricted(env).is_valid(action)
        seen.add(info["valid"])
        if terminated:
            break
    assert seen == {True, False}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_tanh_does_not_make_a_broken_action_a_command(value: float):
    env = envs.make("restricted-inverted-pendulum", projections=5)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"must be finite"):
        env.step(np.array([0, value, 0, 0, 0], np.float32))
