"""What every registered environment must do: form, determinism, resuming, pictures."""

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from rollouts import actions_for, digest, rollout

from savo_bench import envs
from savo_bench.envs.simulator import NoRenderer

NAMES = [name for name in envs.names() if name != "recsim-data"]  # needs ratings; test_movielens makes some
RESTRICTED = envs.names("restricted")
CATALOGUES = ["mineworld", "recsim"]
LIMITS = dict.fromkeys(RESTRICTED, 1000) | dict.fromkeys(envs.names("adroit"), 200) | {"mineworld": 100, "recsim": 20}
LIMITS["landscape"] = 2
BANDITS = ["landscape"]  # episodes of one step, after which they terminate

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


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch, tmp_path):
    """For the file in which MuJoCo notes its warnings; Gymnasium's own cheetah causes one at every load."""
    monkeypatch.chdir(tmp_path)


# The checker warns of wrappers, which are part of what is checked here, and of Gymnasium's own unbounded observations.
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version:UserWarning")
@pytest.mark.filterwarnings("ignore:.*infinity. This is probably too (low|high):UserWarning")
@pytest.mark.parametrize("name", NAMES)
def test_gymnasium_finds_nothing_wrong(name: str):
    without_pictures = no_picture(name)
    blind = without_pictures is not None or not envs.get(name).pictures
    own = envs.get(name).benchmark  # an original's id is Gymnasium's matter
    check_env(envs.make(name), skip_render_check=blind or own)
    if own:
        # Its pictures are checked here only, because both draw the same.
        check_env(gym.make(envs.get(name).id), skip_render_check=blind)
    if without_pictures is not None:
        pytest.skip(f"all but the pictures: {without_pictures}")


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
    assert env.spec.max_episode_steps is not None
    assert LIMITS.get(name) in (env.spec.max_episode_steps, None)
    short = gym.make(env.spec, max_episode_steps=1)
    short.reset(seed=0)
    *_, terminated, truncated, _ = short.step(short.action_space.sample())
    assert (terminated, truncated) == (name in BANDITS, True)


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
        "from rollouts import actions_for, digest, rollout\n"
        "from savo_bench import envs\n"
        f"for name in {NAMES}:\n"
        "    env = envs.make(name)\n"
        "    print(name, digest(rollout(env, actions_for(env, 60), seed=5)))\n"
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
    first, _ = env.reset()
    episode = []
    for action in actions_for(env, 200, seed=1):
        episode.append((action, env.step(action)))
        if episode[-1][1][2]:
            break
    middle = len(episode) // 2
    assert middle >= 2 or name in BANDITS

    rollout(resumed, actions_for(resumed, 17, seed=2), seed=3)  # whatever it did before must not matter
    resumed.unwrapped.np_random.bit_generator.state = state
    obs, _ = resumed.reset()
    for action, _ in episode[:middle]:
        obs = resumed.step(action)[0]
    np.testing.assert_array_equal(obs, episode[middle - 1][1][0] if middle else first)
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
    keywords: dict[str, Any] = {}
    if name in RESTRICTED:
        keywords = {"volume": 0.7, "extra_dims": 2, "penalty": -10, "projections": 5, "projections_seed": 3}
    recsim = {"items": 500, "catalogue_seed": 3, "users": 4}
    keywords |= {"mineworld": {"layout_seed": 3}, "recsim": recsim}.get(name, {})
    keywords |= {"landscape": {"dims": 5, "clustering": 0.8, "landscape_seed": 3}}.get(name, {})
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
