"""One seed in training: its episodes, and how an unfinished one is played again."""

import numpy as np
import pytest
from faulty_line import FAULTY

from savo_bench import envs
from savo_bench.algos.noise import Streams
from savo_bench.bench.training.loop import take_step
from savo_bench.bench.training.seed import SeedRun, checked
from savo_bench.results.format import SeedFolder


def begun(tmp_path, environment: str = FAULTY) -> SeedRun:
    run = SeedRun(3, SeedFolder(tmp_path), envs.make(environment), Streams(3))
    run.env.unwrapped.np_random = run.streams.environment
    run.reset()
    return run


def action(value: float) -> np.ndarray:
    return np.array([value], np.float32)


def test_a_time_limit_ends_the_episode_without_terminating_it(tmp_path):
    run = begun(tmp_path)
    rewards, at = [], 0
    for at in range(1, 21):
        next_obs, reward, terminated = take_step(run, action(0.5))
        rewards.append(reward)
        assert not terminated
        assert next_obs[1] == at  # at the end, the last observation of the episode
    assert run.obs[1] == 0  # the first of the next one
    assert (run.episodes, run.actions) == (1, [])
    assert run.last_return == pytest.approx(sum(rewards))


def test_an_unfinished_episode_is_played_again(tmp_path):
    run, other = begun(tmp_path), begun(tmp_path)
    for value in np.linspace(-1, 1, 25):
        take_step(run, action(value))
    other.load_state(run.state())
    assert np.array_equal(other.obs, run.obs)
    assert (other.episodes, other.last_return) == (run.episodes, run.last_return)
    assert other.episode == run.episode
    for value in (0.3, -0.2):
        assert np.array_equal(take_step(other, action(value))[0], take_step(run, action(value))[0])


def test_an_episode_that_leads_elsewhere_is_refused(tmp_path):
    run, other = begun(tmp_path), begun(tmp_path)
    take_step(run, action(1.0))
    state = run.state()
    state["obs"] = state["obs"] + 1
    with pytest.raises(RuntimeError, match="cannot be resumed"):
        other.load_state(state)


@pytest.mark.parametrize(
    ("fault", "message"), [("obs", "observation is not finite"), ("reward", "the environment's reward is nan")]
)
def test_what_is_not_finite_is_refused(tmp_path, fault, message):
    run = begun(tmp_path)
    run.env.unwrapped.fault = fault  # type: ignore[attr-defined]
    for _ in range(6):
        take_step(run, action(0.0))
    with pytest.raises(FloatingPointError, match=message):
        take_step(run, action(0.0))
    with pytest.raises(FloatingPointError, match="action is not finite"):
        take_step(run, action(np.nan))


def test_a_checked_observation_shares_no_memory():
    obs = np.zeros(2, np.float32)
    assert not np.shares_memory(checked(obs), obs)
