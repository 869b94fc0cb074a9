"""The bandit whose Q is known: its maximum, its local optima, and its keywords."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.optimize import minimize

from savo_bench import envs
from savo_bench.envs import Metric
from savo_bench.envs.landscape import Landscape, LandscapeBandit, landscape, optimal

CONTEXTS = np.random.default_rng(7).uniform(-1, 1, (3, 2))


def values(drawn: Landscape, context: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Q of actions (N, D), written out once more: (N,)."""
    gaps = actions[:, None] - drawn.centres(context)
    squares = np.square(gaps).sum(-1) / actions.shape[1]
    return drawn.height / (1 / drawn.heights + squares / drawn.width**2).min(1)


def lowered(drawn: Landscape, peak: int) -> Landscape:
    """The same with one peak 7 % lower: where it still is an optimum, it is one by more than a grid can miss."""
    heights = drawn.heights.copy()
    heights[peak] *= 0.93
    return Landscape(drawn.frames, heights, drawn.width, drawn.height)


def line(points: int) -> np.ndarray:
    return np.linspace(-1, 1, points)


def square(points: int) -> np.ndarray:
    return np.stack(np.meshgrid(line(points), line(points), indexing="ij"), axis=-1)


def test_it_is_registered_outside_the_benchmark():
    known = envs.get("landscape")
    assert (known.id, known.tags, known.benchmark) == ("SavoBench/Landscape-v0", ("landscape",), False)
    assert known.metrics == {"regret": Metric("mean", "regret"), "optimum": Metric("max", "basin of the optimum", "%")}


def test_the_value_is_the_formula():
    drawn = landscape(dims=4)
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 4))
    expected = values(drawn, CONTEXTS[0], actions)
    assert [drawn.value(CONTEXTS[0], action)[0] for action in actions] == pytest.approx(expected)


@pytest.mark.parametrize("clustering", [0, 0.8])
@pytest.mark.parametrize("context", CONTEXTS)
def test_a_dense_search_finds_the_maximum_on_a_line(context: np.ndarray, clustering: float):
    drawn = landscape(dims=1, clustering=clustering)
    assert values(drawn, context, line(20_001)[:, None]).max() == pytest.approx(drawn.height, abs=1e-3)


@pytest.mark.parametrize("clustering", [0, 0.8])
@pytest.mark.parametrize("context", CONTEXTS)
def test_a_dense_search_finds_the_maximum_in_a_square(context: np.ndarray, clustering: float):
    drawn = landscape(dims=2, clustering=clustering)
    coarse = square(401).reshape(-1, 2)
    best = coarse[values(drawn, context, coarse).argmax()]
    fine = best + square(201).reshape(-1, 2) * 0.005
    assert values(drawn, context, fine).max() == pytest.approx(drawn.height, abs=1e-3)


@pytest.mark.parametrize("dims", [3, 6])
def test_ascents_from_everywhere_find_the_maximum_and_end_at_optima_alone(dims: int):
    drawn, context = landscape(dims=dims, width=0.2), CONTEXTS[0]
    centres, optima = drawn.centres(context), drawn.optima(context)
    ends = []
    for start in np.random.default_rng(0).uniform(-1, 1, (150, dims)):
        found = minimize(lambda a: -drawn.value(context, a)[0], start, method="L-BFGS-B", bounds=[(-1, 1)] * dims)
        peak = np.square(centres - found.x).sum(1).argmin()
        np.testing.assert_allclose(found.x, centres[peak], atol=0.01)
        assert optima[peak]
        ends.append(-found.fun)
    assert max(ends) == pytest.approx(drawn.height, abs=1e-3)


@pytest.mark.parametrize("keywords", [{}, {"peaks": 40}, {"clustering": 0.8}, {"width": 0.3}, {"peaks": 1}])
@pytest.mark.parametrize("context", CONTEXTS)
def test_optima_are_those_of_a_grid_on_a_line(context: np.ndarray, keywords: dict[str, Any]):
    drawn = landscape(dims=1, **keywords)
    grid = line(100_001)
    padded = np.pad(values(drawn, context, grid[:, None]), 1, constant_values=-np.inf)
    top = (padded[1:-1] > padded[:-2]) & (padded[1:-1] > padded[2:])
    expected = np.sort(drawn.centres(context)[drawn.optima(context), 0])
    np.testing.assert_allclose(grid[top], expected, atol=2e-5)


@pytest.mark.parametrize("keywords", [{}, {"clustering": 0.8}, {"width": 0.3}])
@pytest.mark.parametrize("context", CONTEXTS)
def test_optima_are_those_of_a_grid_in_a_square(context: np.ndarray, keywords: dict[str, Any]):
    drawn, points = landscape(dims=2, **keywords), 501
    q = values(drawn, context, square(points).reshape(-1, 2)).reshape(points, points)
    padded = np.pad(q, 1, constant_values=-np.inf)
    shifts = [(x, y) for x in range(3) for y in range(3) if (x, y) != (1, 1)]
    top = np.all([q > padded[x : x + points, y : y + points] for x, y in shifts], axis=0)
    centres, optima = drawn.centres(context), drawn.optima(context)
    found = set()
    for point in square(points)[top]:
        apart = np.abs(centres - point).max(1)
        if apart.min() < 3 / points:
            found.add(int(apart.argmin()))
        else:  # on an edge between two cells a grid has optima that are none: there is a better point nearby
            nearby = point + square(81).reshape(-1, 2) * 3 / points
            assert values(drawn, context, nearby).max() > values(drawn, context, point[None])[0]
    clear = {peak for peak in np.flatnonzero(optima).tolist() if lowered(drawn, peak).optima(context)[peak]}
    assert clear <= found <= set(np.flatnonzero(optima))
    assert len(clear) > 0.6 * optima.sum()


def test_every_cell_of_an_optimum_is_its_basin():
    """A straight way to the centre stays in the cell and rises."""
    drawn, context = landscape(dims=5), CONTEXTS[1]
    centres, optima = drawn.centres(context), drawn.optima(context)
    for start in np.random.default_rng(0).uniform(-1, 1, (100, 5)):
        peak = drawn.value(context, start)[1]
        if optima[peak]:
            way = [drawn.value(context, start + share * (centres[peak] - start)) for share in np.linspace(0, 1, 30)]
            assert {cell for _, cell in way} == {peak}
            assert (np.diff([q for q, _ in way]) > 0).all()


@pytest.mark.parametrize("keywords", [{}, {"clustering": 0.8}, {"movement": 1}, {"clustering": 1}, {"context_dims": 5}])
def test_centres_stay_in_the_box_and_heights_below_the_best(keywords: dict[str, Any]):
    drawn = landscape(dims=3, peaks=50, **keywords)
    corners = np.random.default_rng(0).choice([-1, 1], (20, drawn.frames.shape[1] - 1))
    assert all(np.abs(drawn.centres(corner)).max() <= 1 + 1e-12 for corner in corners)
    assert drawn.heights[0] == 1
    assert ((drawn.heights[1:] >= 0.4) & (drawn.heights[1:] <= 0.8)).all()


def test_clustering_brings_the_peaks_of_a_cluster_together():
    def ratio(clustering: float) -> float:
        """The mean distance to a peak of the same cluster, in that to any peak."""
        found = []
        for seed in range(5):
            centres = landscape(dims=3, peaks=40, clustering=clustering, landscape_seed=seed).centres(CONTEXTS[0])
            apart = np.linalg.norm(centres[:, None] - centres, axis=-1)
            same = (np.subtract.outer(np.arange(40), np.arange(40)) % 4 == 0) & (apart > 0)
            found.append(apart[same].mean() / apart[apart > 0].mean() if same.any() else 0)
        return float(np.mean(found))

    ratios = [ratio(clustering) for clustering in (0, 0.3, 0.6, 0.9)]
    assert ratios[0] == pytest.approx(1, abs=0.05)
    assert sorted(ratios, reverse=True) == ratios
    assert ratios[-1] < 0.2
    one_place = landscape(dims=3, peaks=40, clustering=1)
    assert one_place.optima(CONTEXTS[0]).sum() == 4  # the best of each cluster hides the others


@pytest.mark.parametrize("dims", [1, 10, 1_000])
def test_a_width_means_the_same_in_every_dimension(dims: int):
    drawn = landscape(dims=dims, width=0.15)
    best = drawn.centres(CONTEXTS[0])[0]
    inwards = best - 0.15 * np.where(best > 0, 1, -1)
    alone = Landscape(drawn.frames[:1], drawn.heights[:1], drawn.width, drawn.height)
    assert alone.value(CONTEXTS[0], inwards)[0] == pytest.approx(drawn.height / 2)


def test_q_is_nowhere_flat_in_a_hundred_dimensions():
    drawn = landscape(dims=100)
    for start in np.random.default_rng(0).uniform(-1, 1, (20, 100)):
        q, peak = drawn.value(CONTEXTS[0], start)
        nearer = start + 0.1 * (drawn.centres(CONTEXTS[0])[peak] - start)
        assert drawn.value(CONTEXTS[0], nearer)[0] > 1.1 * q


CHANGED: dict[str, Any] = {
    "dims": 4,
    "peaks": 17,
    "width": 0.2,
    "height": 5,
    "gap": 0.3,
    "spread": 0.2,
    "clustering": 0.5,
    "context_dims": 3,
    "movement": 0.5,
    "landscape_seed": 1,
}


def test_every_keyword_changes_something():
    assert set(CHANGED) | {"clusters"} == set(envs.get("landscape").keywords)

    def seen(**keywords: Any) -> bytes:
        env = envs.make("landscape", **keywords)
        obs, _ = env.reset(seed=0)
        assert env.action_space.shape is not None
        action = np.full(env.action_space.shape, 0.3, np.float32)
        return obs.tobytes() + np.float64(env.step(action)[1]).tobytes()

    usual = {seen(**{keyword: value}) for keyword, value in CHANGED.items()}
    assert len(usual | {seen()}) == len(CHANGED) + 1
    assert seen(clustering=0.5, clusters=3) != seen(clustering=0.5)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"dims": 0}, "dims=0: must be a whole number from 1 to 10000"),
        ({"dims": 1.5}, "dims=1.5: must be a whole number from 1 to 10000"),
        ({"peaks": 0}, "peaks=0: must be a whole number from 1 to 10000"),
        ({"clusters": 0}, "clusters=0: must be a whole number from 1 to 10000"),
        ({"context_dims": 0}, "context_dims=0: must be a whole number from 1 to 100"),
        ({"landscape_seed": -1}, "landscape_seed=-1: must be a whole number from 0 to 4294967295"),
        ({"width": 0}, "width=0.0: must be > 0"),
        ({"width": "a"}, "width='a': must be a finite number"),
        ({"height": -1}, "height=-1.0: must be > 0"),
        ({"clustering": 1.5}, "clustering=1.5: must be from 0 to 1"),
        ({"movement": float("nan")}, "movement=nan: must be a finite number"),
        ({"gap": -0.1}, "gap=-0.1: must be from 0 to 1"),
        ({"gap": 0.6, "spread": 0.4}, "gap=0.6, spread=0.4: their sum must be below 1, or a peak has no height"),
        (
            {"dims": 10_000, "peaks": 10_000},
            "dims=10000, peaks=10000, context_dims=2: dims × peaks × (1 + context_dims) is 300000000, "
            "must be at most 30000000",
        ),
    ],
)
def test_a_wrong_value_is_one_line(keywords: dict[str, Any], message: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        envs.make("landscape", **keywords)
    assert str(caught.value) == message


def test_an_episode_is_one_step_and_the_best_action_has_no_regret():
    env = envs.make("landscape", dims=3, peaks=64, clustering=0.8)
    bandit = env.unwrapped
    assert isinstance(bandit, LandscapeBandit)
    for _ in range(20):
        obs, _ = env.reset()
        np.testing.assert_array_equal(obs, bandit.context)
        after, reward, terminated, _, info = env.step(optimal(bandit))
        np.testing.assert_array_equal(after, obs)
        assert terminated
        assert reward == pytest.approx(bandit.landscape.height, abs=1e-6)
        assert info == {"regret": bandit.landscape.height - float(reward), "optimum": True}
        env.reset()
        _, reward, _, _, info = env.step(np.full(3, -1, np.float32))
        assert info["regret"] == bandit.landscape.height - float(reward) > 0
        assert info["optimum"] is (bandit.landscape.value(bandit.context, np.full(3, -1))[1] == 0)


@pytest.mark.parametrize("action", [[0.0, np.nan, 0.0], [np.inf, 0.0, 0.0], [0.0, 0.0]])
def test_an_action_that_is_not_finite_or_too_short_is_refused(action: list[float]):
    env = gym.make("SavoBench/Landscape-v0", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"^action=\[.*: must be 3 finite numbers$"):
        env.step(np.array(action, np.float32))


def test_environments_share_a_landscape():
    first, second = envs.make("landscape").unwrapped, envs.make("landscape").unwrapped
    assert isinstance(first, LandscapeBandit)
    assert isinstance(second, LandscapeBandit)
    assert first.landscape is second.landscape
    assert not first.landscape.frames.flags.writeable
