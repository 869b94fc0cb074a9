"""The simulated recommender: its catalogue, its users and its budget against the formulas."""

import hashlib
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from savo_bench import envs
from savo_bench.envs import recsim
from savo_bench.envs.recsim import RecSim, catalogue, click_greedy, click_probability, drift, generalising, privileged

SIGNS = np.array([1.0] * 15 + [-1.0] * 15)  # what a category's centroid holds in its dimension


def make(**keywords: Any) -> RecSim:
    env = envs.make("recsim", **keywords).unwrapped
    assert isinstance(env, RecSim)
    return env


def play(policy: Callable[[RecSim], int], episodes: int, **keywords: Any) -> np.ndarray:
    """The return of each episode."""
    env = envs.make("recsim", **keywords)
    assert isinstance(env.unwrapped, RecSim)
    env.reset(seed=0)
    returns = np.zeros(episodes)
    for episode in range(episodes):
        env.reset()
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(policy(env.unwrapped))
            returns[episode] += float(reward)
            ended = terminated or truncated
    return returns


def show_until(env: RecSim, item: int, click: bool, budget: float, gain: float) -> dict[str, Any]:
    """The info of the first recommendation with this outcome; user and budget are as they were before each."""
    interest = env.interest.copy()
    for _ in range(200):
        env.interest, env.budget, env.gain = interest.copy(), budget, gain
        *_, info = env.step(np.int64(item))
        if info["click"] is click:
            return info
    raise AssertionError("this outcome never came")


@pytest.mark.parametrize("items", [1, 7, 500, 10_000])
def test_a_catalogue_has_as_many_items_as_asked_for(items: int):
    drawn = catalogue(items, 0)
    assert drawn.vectors.shape == (items, 35)
    assert drawn.hidden.shape == (items, 30)
    assert drawn.category.shape == drawn.quality.shape == (items,)
    for table in (drawn.vectors, drawn.hidden):
        assert table.dtype == np.float32
        assert np.abs(table).max() == 1  # also in a column that one item alone cannot spread
    counts = np.bincount(drawn.category, minlength=30)
    assert counts.max() - counts.min() <= 1
    assert make(items=items).action_space == gym.spaces.Discrete(items)


def test_the_default_has_ten_thousand_items():
    assert make().catalogue is catalogue(10_000, 0)


def test_a_catalogue_is_drawn_once_and_nobody_can_write_to_it():
    first, second = make(items=500, catalogue_seed=4), make(items=500, catalogue_seed=4)
    assert first.item_vectors is second.item_vectors
    for array in first.catalogue:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert not np.array_equal(catalogue(500, 4).vectors, catalogue(500, 5).vectors)


def test_categories_are_blobs_round_their_centroids():
    """Stretching a dimension changes neither a distance in standard deviations nor which side it lies on."""
    drawn = catalogue(10_000, 0)
    means = np.array([drawn.hidden[drawn.category == k].mean(axis=0) for k in range(30)])  # (category, dimension)
    within = np.sqrt(np.mean([drawn.hidden[drawn.category == k].var(axis=0) for k in range(30)], axis=0))
    apart = (means - means.sum(axis=0) / 30) / within
    expected = (np.eye(30) - 1 / 30) * SIGNS / 0.35
    # 333 items a category: a standard error of .055 in 900 cells, the largest of which is some 3.5 of them
    assert np.abs(apart - expected).max() < 0.25
    assert np.abs(apart - expected).std() < 0.06


def test_shown_vectors_are_the_hidden_ones_in_unit_noise_and_five_dimensions_of_noise():
    drawn = catalogue(10_000, 0)
    hidden, vectors = drawn.hidden.astype(float), drawn.vectors.astype(float)
    hidden -= hidden.mean(axis=0)
    shown = vectors[:, :30] - vectors[:, :30].mean(axis=0)
    scale = (hidden * shown).sum(axis=0) / (hidden**2).sum(axis=0)  # how much a dimension was stretched
    noise = (shown - scale * hidden).std(axis=0) / scale
    assert noise.mean() == pytest.approx(1, abs=0.05)  # some .01 of sampling error
    alone = np.corrcoef(np.hstack([hidden, vectors]).T)[30 + 30 :, : 30 + 30]  # noise dimensions with all the others
    assert np.abs(alone).max() < 0.05  # five standard errors
    assert (vectors[:, 30:].std(axis=0) > 0.1).all()


def test_quality_depends_on_the_category():
    drawn = catalogue(10_000, 0)
    means = [drawn.quality[drawn.category == k].mean() for k in range(30)]
    expected = [-3 + 3 * k / 20 for k in range(21)] + [3 * k / 8 for k in range(9)]
    np.testing.assert_allclose(means, expected, atol=0.025)  # a standard error of .0055
    spread = drawn.quality - np.array(expected)[drawn.category]
    assert spread.std() == pytest.approx(0.1, abs=0.003)


def digest(items: int, seed: int) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in catalogue(items, seed))).hexdigest()


def test_another_process_draws_the_same_catalogue(run_python):
    there = run_python("import test_recsim as t; print(t.digest(5_000, 1))", Path(__file__).parent)
    assert there.stdout.strip() == digest(5_000, 1), there.stderr


def test_half_a_million_items_take_far_less_than_four_gigabytes(run_python):
    code = (
        "from savo_bench import envs\n"
        "env = envs.make('recsim', items=500_000)\n"
        "env.reset(seed=0)\n"
        "env.step(499_999)\n"
        "from savo_bench.bench.memory import peak_memory\n"
        "import torch\n"
        "print(env.unwrapped.item_vectors.shape, peak_memory(torch.device('cpu')))\n"
    )
    result = run_python(code)
    shape, peak = result.stdout.strip().rsplit(" ", 1)
    assert shape == "(500000, 35)", result.stderr
    assert float(peak) < 1 << 30  # bytes: a quarter of what is allowed


def test_a_step_takes_no_memory_that_grows_with_the_items():
    env = make(items=50_000)
    env.reset(seed=0)
    env.step(np.int64(0))
    tracemalloc.start()
    for item in range(100):
        env.step(np.int64(item))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000  # bytes: not even one per item


def test_every_reset_draws_another_user():
    env = make()
    env.reset(seed=0)
    users, gains = [], []
    for _ in range(3_000):
        obs, _ = env.reset()
        np.testing.assert_array_equal(obs, env.interest)
        users.append(obs)
        gains.append(env.gain)
        assert env.budget == 20
    users = np.array(users)
    assert np.abs(users).max() == 1
    # A coordinate round a centroid is at its clip with probability .5, one round 0 with probability .0043.
    clipped = np.mean(users * SIGNS == 1, axis=0)
    assert clipped.mean() == pytest.approx(0.5 / 30 + 29 / 30 * 0.5 * math.erfc(1 / 0.35 / math.sqrt(2)), abs=0.002)
    assert (np.abs(clipped - clipped.mean()) < 4 * math.sqrt(clipped.mean() / 3_000)).all()  # no category is left out
    middle = users[np.abs(users) < 0.5]
    within = math.sqrt(1 - 2 * z(0.5 / 0.35) * 0.5 / 0.35 / math.erf(0.5 / 0.35 / math.sqrt(2)))
    assert middle.std() == pytest.approx(0.35 * within, rel=0.02)  # a normal distribution cut at .5
    assert np.mean(gains) == pytest.approx(0.5, abs=4 / math.sqrt(12 * 3_000))
    assert np.std(gains) == pytest.approx(1 / math.sqrt(12), abs=0.01)


def test_fixed_users_are_those_of_the_code():
    users = recsim.fixed_users(20)
    assert users.shape == (20, 30)
    assert users.dtype == np.float32
    assert not users.flags.writeable
    for k, user in enumerate(users):  # of the first category, each from a random state of its own
        drawn = np.eye(30)[0] + np.random.RandomState(2022 + k).normal(0, 0.35, 30)
        np.testing.assert_array_equal(user, np.clip(drawn, -1, 1).astype(np.float32))
    np.testing.assert_array_equal(recsim.fixed_users(5), users[:5])
    assert len(np.unique(users, axis=0)) == 20


def test_a_reset_draws_one_of_the_fixed_users_and_a_step_does_not_change_them():
    env, known = make(items=50, users=20), recsim.fixed_users(20).copy()
    env.reset(seed=0)
    seen, gains = set(), set()
    for _ in range(300):
        obs, _ = env.reset()
        (match,) = np.flatnonzero((known == obs).all(axis=1))
        seen.add(int(match))
        gains.add(env.gain)
        env.step(np.int64(click_greedy(env)))
    assert seen == set(range(20))  # a user is missed with probability 4e-6
    assert len(gains) == 300  # c is drawn at each reset
    np.testing.assert_array_equal(recsim.fixed_users(20), known)


def z(x: float) -> float:
    """The standard normal density."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize(
    ("affinity", "probability"), [(0, 0.25737), (1, 0.39637), (-0.5, 0.05968), (-60, 0), (60, 0.96774)]
)
def test_click_probability_by_hand(affinity: float, probability: float):
    assert click_probability(affinity) == pytest.approx(probability, abs=1e-5)
    np.testing.assert_allclose(click_probability(np.array([affinity, 1.0])), [probability, 0.39637], atol=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_clicks_and_the_direction_of_drift_come_as_often_as_the_formulas_say(sign: int):
    env = make()
    env.reset(seed=1)
    interest = env.interest.copy()
    affinities = env.catalogue.hidden @ interest
    item = int(np.argmax(sign * affinities))
    u_e = float(affinities[item])
    assert abs(u_e) > 0.5
    score = math.log1p(math.exp(u_e if u_e >= 0 else u_e - 1.5))
    clicks = towards = 0
    n = 20_000
    distance = np.abs(env.catalogue.hidden[item] - interest).sum()
    for _ in range(n):
        env.interest, env.budget = interest.copy(), 20.0
        obs, reward, *_, info = env.step(np.int64(item))
        assert reward == info["click"]
        if info["click"]:
            clicks += 1
            moved = np.abs(env.catalogue.hidden[item] - obs).sum()
            assert moved != distance
            towards += bool(moved < distance)
        else:
            np.testing.assert_array_equal(obs, interest)
    probability = score / (score + 2)
    assert clicks / n == pytest.approx(probability, abs=4 * math.sqrt(probability / n))
    direction = 1 / (1 + math.exp(-u_e))
    assert towards / clicks == pytest.approx(direction, abs=4 * math.sqrt(0.25 / clicks))


def test_drift_by_hand():
    interest, hidden = np.array([0.2, -0.6, 1.0, 0.4], np.float32), np.array([1, -0.2, 0, -1], np.float32)
    strength = np.array([0, 0.5, 1, 0.25])  # |u| from .2 to 1
    change = strength * [0.8, 0.4, -1, -1.4]
    np.testing.assert_allclose(drift(interest, hidden, towards=True), interest + change, atol=1e-6)
    away = drift(interest, hidden, towards=False)
    np.testing.assert_allclose(away, [0.2, -0.8, 1, 0.75], atol=1e-6)  # the third is clipped
    assert interest.tolist() == np.array([0.2, -0.6, 1.0, 0.4], np.float32).tolist()  # not written to
    level = np.full(3, -0.5, np.float32)
    np.testing.assert_array_equal(drift(level, np.ones(3, np.float32), towards=True), level)


def test_budget_by_hand():
    env = make()
    env.reset(seed=0)
    item = int(np.argmax(env.catalogue.hidden @ env.interest))
    quality = env.catalogue.quality[item]
    assert show_until(env, item, False, 20, 0.5)["budget"] == 19.5
    assert show_until(env, item, True, 20, 0.5)["budget"] == pytest.approx(20 - 4 + 0.5 * 4 * quality, rel=1e-12)
    assert show_until(env, item, True, 3, 0.5)["budget"] == pytest.approx(3 - 3 + 0.5 * 3 * quality, rel=1e-12)
    info = show_until(env, item, True, 20, 0)
    assert (info["budget"], info["quality"]) == (16, quality)


def test_an_empty_budget_terminates_and_no_episode_is_longer_than_twenty_steps():
    env, seen = envs.make("recsim"), set()
    rng = np.random.default_rng(0)
    env.reset(seed=3)
    for _ in range(100):
        env.reset()
        ended, steps = False, 0
        while not ended:
            *_, terminated, truncated, info = env.step(rng.integers(10_000))
            steps += 1
            assert terminated == (info["budget"] <= 0)
            assert truncated == (steps == 20)
            ended = terminated or truncated
            seen.add((terminated, truncated))
    assert seen >= {(True, False), (False, True)}


def test_click_greedy_takes_the_most_probable_click():
    env = make()
    for seed in range(5):
        env.reset(seed=seed)
        probabilities = click_probability(env.catalogue.hidden @ env.interest)
        assert probabilities[click_greedy(env)] == probabilities.max()


def test_the_privileged_policy_forgets_the_cost_when_the_budget_cannot_end():
    env = make()
    differs = 0
    for seed in range(10):
        env.reset(seed=seed)
        differs += privileged(env) != click_greedy(env)
        env.budget = 1e6
        assert privileged(env) == click_greedy(env)
        env.budget, env.elapsed = 20.0, 19  # the last step: what it costs does not matter any more
        assert privileged(env) == click_greedy(env)
    assert differs > 0


def test_who_knows_more_gets_more_clicks():
    rng = np.random.default_rng(0)
    random = play(lambda env: int(rng.integers(len(env.item_vectors))), 200)
    greedy, knowing = play(click_greedy, 100), play(privileged, 50)
    for worse, better in ((random, greedy), (greedy, knowing)):
        error = math.hypot(worse.std() / math.sqrt(len(worse)), better.std() / math.sqrt(len(better)))
        assert better.mean() - worse.mean() > 4 * error


def test_vectors_tell_nearly_all_of_few_items_and_little_of_many():
    few, many = play(generalising, 100, items=50), play(generalising, 100)
    knowing = play(privileged, 100, items=50)
    assert few.mean() > 0.8 * knowing.mean()
    assert many.mean() < 0.5 * few.mean()


def test_guesses_are_exact_where_the_vectors_say_all(monkeypatch):
    """Without noise the shown vectors are a linear map of e, and e of them."""
    drawn = catalogue(60, 0)
    shown = np.column_stack([drawn.hidden, np.zeros((60, 5), np.float32)])
    monkeypatch.setattr(recsim, "catalogue", lambda *_: drawn._replace(vectors=shown))
    hidden, quality = recsim._guess.__wrapped__(60, 0)
    np.testing.assert_allclose(hidden, drawn.hidden, atol=1e-6)
    residual = drawn.quality - quality
    np.testing.assert_allclose(residual @ shown, 0, atol=1e-4)  # what is left has no linear part
    assert abs(residual.mean()) < 1e-6


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"items": 0}, r"items=0: must be a whole number from 1 to 5000000"),
        ({"items": 2.5}, r"items=2.5: must be a whole number"),
        ({"items": "5k"}, r"items='5k': must be a whole number"),
        ({"catalogue_seed": -1}, r"catalogue_seed=-1: must be a whole number from 0 to 4294967295"),
        ({"users": -1}, r"users=-1: must be a whole number from 0 to 100000"),
        ({"users": True}, r"users=True: must be a whole number"),
        ({"item": 5}, r"recsim: unknown keyword 'item'; did you mean items\?"),
    ],
)
def test_a_wrong_keyword_gets_one_clear_line(keywords: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as caught:
        envs.make("recsim", **keywords)
    assert "\n" not in str(caught.value)
