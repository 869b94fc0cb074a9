"""Contract tests of every registered environment, and the rule of the restricted ones."""

import hashlib
import math
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from savo_bench import envs
from savo_bench.envs.locomotion import base
from savo_bench.envs.restricted import Restricted, ball_radius
from savo_bench.envs.simulator import NoRenderer

NAMES = [name for name in envs.names() if name != "recsim-data"]  # needs ratings; test_movielens makes some
RESTRICTED = envs.names("restricted")
CATALOGUES = ["mineworld", "recsim"]
LIMITS = dict.fromkeys(envs.names("adroit"), 200) | {"mineworld": 100, "recsim": 20}  # of the others 1000 steps

# name → Gymnasium's name, n, m, highest simulator action, what replaces an invalid one, whether the first step is free
RULES = {
    "restricted-inverted-pendulum": ("InvertedPendulum", 1, 3.0, 3.0, -1.0, True),
    "restricted-inverted-double-pendulum": ("InvertedDoublePendulum", 1, 3.0, 1.0, -1.0, True),
    "restricted-hopper": ("Hopper", 3, 1.65, 1.0, 0.0, False),
    "restricted-walker2d": ("Walker2d", 6, 1.0, 1.0, 0.0, False),
    "restricted-half-cheetah": ("HalfCheetah", 6, 1.0, 1.0, 0.0, False),
    "restricted-ant": ("Ant", 8, 1.0, 1.0, 0.0, False),
}
# Elements that change only where no random agent comes: the force of the end of the double pendulum's rail, whether the
# door is open, how far the nail is in and how hard it is hit.
RARE = {
    "restricted-inverted-double-pendulum": [8],
    "inverted-double-pendulum": [8],
    "adroit-door": [38],
    "adroit-hammer": [26, 45],
}
# Steps until a random agent has seen everything change; 100 unless told.
LONG = {"mineworld": 4_000}
# First observations of four that differ, where not all do: mineworld's differ by the type of one mine.
STARTS = {"mineworld": 3}
RADII = {1: 0.0273, 3: 0.1928, 6: 0.3900, 8: 0.5086}


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch, tmp_path):
    """For the file in which MuJoCo notes its warnings; Gymnasium's own cheetah causes one at every load."""
    monkeypatch.chdir(tmp_path)


def actions_for(env: gym.Env, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if isinstance(env.action_space, gym.spaces.Discrete):
        return rng.integers(env.action_space.n, size=steps)
    assert env.action_space.shape is not None
    return rng.uniform(-1, 1, (steps, *env.action_space.shape)).astype(np.float32)


def rollout(env: gym.Env, actions: np.ndarray, seed: int | None = None) -> list[tuple[Any, ...]]:
    """Every observation, reward and end, over as many episodes as it takes; the seed is used once."""
    obs, _ = env.reset(seed=seed)
    seen: list[tuple[Any, ...]] = [(obs,)]
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        seen.append((obs, float(reward), terminated, truncated))
        if terminated or truncated:
            obs, _ = env.reset()
            seen.append((obs,))
    return seen


def digest(seen: list[tuple[Any, ...]]) -> str:
    return hashlib.sha256(pickle.dumps([(obs.tobytes(), *rest) for obs, *rest in seen])).hexdigest()


def find_restricted(env: gym.Env) -> Restricted:
    while not isinstance(env, Restricted):
        assert isinstance(env, gym.Wrapper)
        env = env.env
    return env


# The contract, over all environments


def test_the_six_tasks_and_their_originals_are_registered():
    assert list(RULES) == RESTRICTED
    assert [name.removeprefix("restricted-") for name in RESTRICTED] == envs.names("control")
    for name, (task, *_) in RULES.items():
        assert envs.get(name).id == f"SavoBench/Restricted{task}-v0"
        assert envs.get(name).benchmark
        assert envs.get(name).metrics == {"valid": "mean"}
        original = envs.get(name.removeprefix("restricted-"))
        assert original.id == f"{task}-v5"
        assert not original.benchmark
        assert not original.keywords


# The checker warns of wrappers, which are part of what is checked here, and of Gymnasium's own unbounded observations.
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
@pytest.mark.filterwarnings("ignore:.*infinity. This is probably too (low|high):UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_gymnasium_finds_nothing_wrong(name: str):
    why_blind = no_picture(name)
    blind = why_blind is not None
    check_env(envs.make(name), skip_render_check=blind)
    if envs.get(name).benchmark:  # an original's own id is Gymnasium's matter
        check_env(gym.make(envs.get(name).id), skip_render_check=blind)
    if blind:
        pytest.skip(f"all but the pictures: {why_blind}")


def no_picture(name: str) -> str | None:
    """Why no picture can be drawn here, None if one can."""
    if not envs.get(name).pictures:
        return None
    env = envs.make(name, render_mode="rgb_array")
    env.reset(seed=0)
    try:
        env.render()
    except NoRenderer as error:
        return str(error)
    finally:
        env.close()
    return None


@pytest.mark.parametrize("name", [name for name in NAMES if envs.get(name).benchmark and envs.get(name).pictures])
@pytest.mark.parametrize("mode", ["human", "depth_array"])
def test_other_pictures_than_rgb_arrays_are_refused_before_a_window_can_be_opened(name: str, mode: str):
    with pytest.raises(ValueError, match=f"render_mode='{mode}': must be rgb_array"):
        gym.make(envs.get(name).id, render_mode=mode)
    assert gym.make(envs.get(name).id).metadata["render_modes"] == ["rgb_array"]


@pytest.mark.parametrize("name", NAMES)
def test_agents_see_float32_vectors_and_unit_actions(name: str):
    env = envs.make(name)
    (obs, _), actions = env.reset(seed=0), env.action_space
    assert obs.dtype == np.float32
    assert obs.ndim == 1
    if name not in CATALOGUES:
        assert isinstance(actions, gym.spaces.Box)
        assert (actions.low == -1).all()
        assert (actions.high == 1).all()
        assert actions.dtype == np.float32
        assert actions.low.ndim == 1
    for action in actions_for(env, 20):
        obs, _, _, _, info = env.step(action)
        assert obs.dtype == np.float32
        assert np.isfinite(obs).all()
        assert set(envs.get(name).metrics) <= set(info)


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_has_a_vector_for_every_item(name: str):
    env, other = envs.make(name), gym.make(envs.get(name).id)
    vectors = getattr(env.unwrapped, "item_vectors", None)
    assert isinstance(vectors, np.ndarray)
    assert vectors.dtype == np.float32
    assert env.action_space == gym.spaces.Discrete(len(vectors))
    assert vectors.min(axis=0).tolist() == [-1] * vectors.shape[1]
    assert vectors.max(axis=0).tolist() == [1] * vectors.shape[1]
    assert not vectors.flags.writeable
    assert getattr(other.unwrapped, "item_vectors", None) is vectors  # held once per process


@pytest.mark.parametrize("name", CATALOGUES)
@pytest.mark.parametrize("action", [-1, "count"])
def test_an_action_that_is_no_item_is_an_error(name: str, action: int | str):
    env = envs.make(name)
    assert isinstance(env.action_space, gym.spaces.Discrete)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=rf"must be an? .*index from 0 to {env.action_space.n - 1}"):
        env.step(env.action_space.n if action == "count" else np.int64(action))


@pytest.mark.parametrize("name", NAMES)
def test_time_limit_is_a_truncation(name: str):
    env = envs.make(name)
    assert env.spec is not None
    assert env.spec.max_episode_steps == LIMITS.get(name, 1000)
    short = gym.make(env.spec, max_episode_steps=1)
    short.reset(seed=0)
    *_, terminated, truncated, _ = short.step(short.action_space.sample())
    assert (terminated, truncated) == (False, True)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_and_actions_give_the_same_episodes(name: str):
    env, other = envs.make(name), envs.make(name)
    actions = actions_for(env, 60)
    first = digest(rollout(env, actions, seed=5))
    assert digest(rollout(env, actions, seed=5)) == first
    assert digest(rollout(other, actions, seed=5)) == first
    assert digest(rollout(other, actions, seed=6)) != first
    assert digest(rollout(env, actions[::-1], seed=5)) != first


def test_another_process_sees_the_same_episodes(run_python):
    code = (
        "import test_envs as t; from savo_bench import envs\n"
        "for name in t.NAMES:\n"
        "    env = envs.make(name)\n"
        "    print(name, t.digest(t.rollout(env, t.actions_for(env, 60), seed=5)))\n"
    )
    here = []
    for name in NAMES:
        env = envs.make(name)
        here.append(f"{name} {digest(rollout(env, actions_for(env, 60), seed=5))}")
    there = run_python(code, Path(__file__).parent)
    assert there.stdout.splitlines() == here, there.stderr


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_is_its_random_state_and_its_actions(name: str):
    """What resume relies on: reset from the stored random state, replay the actions, go on as if never stopped."""
    env, resumed = envs.make(name), envs.make(name)
    rollout(env, actions_for(env, 30), seed=11)  # somewhere in a run, not at its beginning
    state = env.unwrapped.np_random.bit_generator.state
    env.reset()
    episode = []
    for action in actions_for(env, 200, seed=1):
        episode.append((action, env.step(action)))
        if episode[-1][1][2]:
            break
    middle = len(episode) // 2
    assert middle >= 2

    rollout(resumed, actions_for(resumed, 17, seed=2), seed=3)  # whatever it did before must not matter
    resumed.unwrapped.np_random.bit_generator.state = state
    obs, _ = resumed.reset()
    for action, _ in episode[:middle]:
        obs = resumed.step(action)[0]
    np.testing.assert_array_equal(obs, episode[middle - 1][1][0])
    for action, (expected_obs, *expected) in episode[middle:]:
        obs, *rest = resumed.step(action)
        np.testing.assert_array_equal(obs, expected_obs)
        assert rest == expected
    assert resumed.unwrapped.np_random.bit_generator.state == env.unwrapped.np_random.bit_generator.state


@pytest.mark.parametrize("name", NAMES)
def test_observations_share_no_memory(name: str):
    env = envs.make(name)
    kept = [obs for obs, *_ in rollout(env, actions_for(env, 20), seed=0)]
    assert not any(np.shares_memory(one, other) for one, other in pairwise(kept))
    copies = [obs.copy() for obs in kept]
    rollout(env, actions_for(env, 20, seed=1))
    np.testing.assert_array_equal(kept, copies)


@pytest.mark.parametrize("name", NAMES)
def test_no_element_of_the_observation_is_constant(name: str):
    env = envs.make(name)
    kept = np.array([obs for obs, *_ in rollout(env, actions_for(env, LONG.get(name, 100)), seed=0)])
    assert np.flatnonzero(kept.std(axis=0) == 0).tolist() == RARE.get(name, [])


@pytest.mark.parametrize("name", NAMES)
def test_initial_state_varies_with_the_seed_and_from_episode_to_episode(name: str):
    env = envs.make(name)
    starts = [env.reset(seed=0)[0], env.reset(seed=1)[0], env.reset()[0], env.reset()[0]]
    assert len({obs.tobytes() for obs in starts}) == STARTS.get(name, 4)


@pytest.mark.parametrize("name", NAMES)
def test_spec_is_a_recipe(name: str):
    keywords: dict[str, Any] = {"volume": 0.7, "extra_dims": 2, "penalty": -10} if name in RESTRICTED else {}
    keywords |= {"mineworld": {"layout_seed": 3}, "recsim": {"items": 500, "catalogue_seed": 3}}.get(name, {})
    env = envs.make(name, **keywords)
    assert env.spec is not None
    actions = actions_for(env, 30)
    expected = digest(rollout(env, actions, seed=4))
    for spec in (env.spec, pickle.loads(pickle.dumps(env.spec)), EnvSpec.from_json(env.spec.to_json())):
        again = gym.make(spec)
        assert str(again) == str(env)
        assert again.spec == env.spec
        assert digest(rollout(again, actions, seed=4)) == expected


def test_making_an_environment_is_silent_and_leaves_no_file(tmp_path, capfd):
    for name in NAMES:
        envs.make(name).close()
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_an_original_is_the_raw_environment_with_scaled_actions():
    env, raw = envs.make("inverted-pendulum"), base("InvertedPendulum", "v5")
    np.testing.assert_array_equal(env.reset(seed=2)[0], raw.reset(seed=2)[0].astype(np.float32))
    for action in actions_for(env, 5):
        seen, expected = env.step(action), raw.step(3 * action)  # its range is ±3
        np.testing.assert_array_equal(seen[0], expected[0].astype(np.float32))
        assert seen[1] == expected[1]


# The restriction


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


def test_restricted_ant_observes_no_contact_forces():
    for version in ("v5", "v4"):
        assert envs.make("restricted-ant", version=version).observation_space.shape == (27,)
    assert envs.make("ant").observation_space.shape == (27,)


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
