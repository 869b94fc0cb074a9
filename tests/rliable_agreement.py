"""Agreement with rliable. Collected only by the nox session of this name: rliable needs old pandas and heavy packages.

rliable's own `random_state` has no effect, so its bootstraps draw from numpy's global generator, which is seeded here.
"""

# pyright: reportMissingImports=false

import numpy as np
import pytest
from rliable import library
from rliable import metrics as theirs

from savo_bench.results import metrics as ours

SHAPES = [(2, 1), (3, 1), (10, 1), (3, 2), (5, 7), (4, 13), (10, 6), (17, 3), (100, 26)]  # (runs, tasks)
INTERVALS = [(3, 2), (5, 4), (10, 1), (10, 6), (25, 3)]
RESAMPLES = 20_000


def matrix(shape, seed=0, ties=False):
    """Scores of tasks with unlike means and spreads, (runs, tasks)."""
    draw = np.random.default_rng([seed, *shape])
    scores = draw.normal(size=shape) * draw.exponential(size=shape[1]) + draw.normal(size=shape[1])
    return np.round(scores) if ties else scores


def tasks(scores):
    return list(scores.T)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ties", [False, True])
def test_point_estimates_are_equal(shape, ties):
    scores, other = matrix(shape, ties=ties), matrix((shape[0] + 3, shape[1]), 1, ties)
    pairs = [
        (ours.mean(tasks(scores)), theirs.aggregate_mean(scores)),
        (ours.median(tasks(scores)), theirs.aggregate_median(scores)),
        (ours.iqm(tasks(scores)), theirs.aggregate_iqm(scores)),
        (ours.optimality_gap(tasks(scores)), theirs.aggregate_optimality_gap(scores)),
        (ours.optimality_gap(tasks(scores), 0.5), theirs.aggregate_optimality_gap(scores, gamma=0.5)),
        (
            ours.probability_of_improvement(tasks(scores), tasks(other)),
            theirs.probability_of_improvement(scores, other),
        ),
    ]
    for mine, reference in pairs:
        assert abs(mine - reference) < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_profiles_are_equal(shape):
    scores, thresholds = matrix(shape), np.linspace(-2, 2, 41)
    (reference, _) = library.create_performance_profile({"x": scores}, thresholds, reps=10)
    assert np.abs(ours.profile(tasks(scores), thresholds) - reference["x"]).max() < 1e-12


@pytest.mark.parametrize("shape", INTERVALS)
def test_intervals_of_aggregates_agree_within_monte_carlo_error(shape):
    scores = matrix(shape)
    for mine, reference in [
        (ours.iqm, theirs.aggregate_iqm),
        (ours.mean, theirs.aggregate_mean),
        (ours.median, theirs.aggregate_median),
        (ours.optimality_gap, theirs.aggregate_optimality_gap),
    ]:
        np.random.seed(0)
        function = lambda x, f=reference: np.array([f(x)])  # noqa: E731
        _, ends = library.get_interval_estimates({"x": scores}, function, reps=RESAMPLES)
        interval = ours.bootstrap(tasks(scores), mine, np.random.default_rng(0), resamples=RESAMPLES)
        # standard error of a 2.5 % quantile of 20 000 normal values is .019 standard deviations, a 1/206 of the
        # interval; both sides have it; four of them
        assert np.abs(np.subtract(interval, ends["x"][:, 0])).max() < 4 * np.sqrt(2) * np.ptp(interval) / 206 + 1e-12


@pytest.mark.parametrize("shape", INTERVALS)
def test_intervals_of_profiles_and_improvement_agree_within_monte_carlo_error(shape):
    scores, other, thresholds = matrix(shape), matrix(shape, 1) + 0.3, np.linspace(-1, 1, 9)
    np.random.seed(0)
    _, bands = library.create_performance_profile({"x": scores}, thresholds, reps=2_000)
    low, high = ours.bootstrap_profile(tasks(scores), thresholds, np.random.default_rng(0))
    # 2 000 resamples: .06 standard deviations, and shares of runs are no finer than one run
    assert np.abs(np.stack([low, high]) - bands["x"]).max() < 0.1 * np.ptp([low, high]) + 1.01 / scores.size
    np.random.seed(0)
    _, ends = library.get_interval_estimates(
        {"x": (scores, other)}, lambda x, y: np.array([theirs.probability_of_improvement(x, y)]), reps=2_000
    )
    interval = ours.bootstrap_improvement(tasks(scores), tasks(other), np.random.default_rng(0))
    assert np.abs(np.subtract(interval, ends["x"][:, 0])).max() < 0.1 * np.ptp(interval) + 1.01 / scores.size
