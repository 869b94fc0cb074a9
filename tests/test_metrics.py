"""Scores and aggregates, on numbers that can be checked in the head."""

import numpy as np
import pytest

from results import metrics


def rng(seed=0):
    return np.random.default_rng(seed)


def columns(matrix):
    """A (runs, tasks) matrix as one array of runs per task."""
    return [np.array(column, dtype=float) for column in zip(*matrix, strict=True)]


X = columns([[1, 2], [2, 2], [1, 1], [2, 1]])


def test_aggregates_of_a_small_matrix():
    assert metrics.mean(X) == 1.5
    assert metrics.median(X) == 1.5
    assert metrics.iqm(X) == 1.5
    assert metrics.iqm(columns([[0, 100], [4, 6], [4, 6], [0, 100]])) == 5  # 0 0 | 4 4 6 6 | 100 100


def test_median_is_over_tasks_and_mean_over_runs():
    tasks = columns([[0, 5, 100], [2, 5, 300]])
    assert metrics.median(tasks) == 5
    assert metrics.mean(tasks) == (1 + 5 + 200) / 3


def test_iqm_leaves_out_a_quarter_on_each_side_rounded_down():
    assert metrics.iqm([np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 1000])]) == 4.5  # 2 to 7
    assert metrics.iqm([np.array([0.0, 3, 9])]) == 4
    assert metrics.iqm([np.array([7.0])]) == 7


def test_aggregates_take_tasks_with_unequal_numbers_of_runs():
    tasks = [np.array([1.0, 3]), np.array([6.0])]
    assert metrics.mean(tasks) == 4
    assert metrics.median(tasks) == 4
    assert metrics.iqm(tasks) == 10 / 3


def test_final_last10_and_best_of_a_curve():
    long = np.arange(30.0)
    assert (metrics.final(long), metrics.last10(long), metrics.best(-long)) == (29, 24.5, 0)


@pytest.mark.parametrize(("evaluations", "window"), [(1, 1), (2, 1), (3, 2), (8, 4), (19, 10), (20, 10), (21, 10)])
def test_last10_takes_the_last_half_of_short_curves(evaluations, window):
    assert metrics.last10_length(evaluations) == window
    returns = [0.0] * (evaluations - window) + [2.0] * window
    assert metrics.last10(returns) == 2
    if evaluations > window:
        assert metrics.last10([*returns[:-1], 2.0 + window]) == 3


def test_a_run_without_evaluations_has_no_score():
    assert all(np.isnan(score([])) for score in (metrics.final, metrics.last10, metrics.best))


def test_normalised_score_is_0_at_the_low_bound_and_1_at_the_high_one():
    assert metrics.normalised([-10, 0, 10, 30], -10, 10).tolist() == [0, 0.5, 1, 2]
    with pytest.raises(ValueError, match="bounds 3 and 3"):
        metrics.normalised([1], 3, 3)


def test_bootstrap_of_two_runs_of_the_mean_is_known():
    # resampled means: 0 (1/4), 1 (1/2), 2 (1/4)
    assert metrics.bootstrap([[0, 2]], metrics.mean, rng()) == (0, 2)
    assert metrics.bootstrap([[0, 2]], metrics.mean, rng(), level=0.4) == (1, 1)


def test_bootstrap_resamples_within_each_task():
    assert metrics.bootstrap([[1, 1, 1], [9, 9]], metrics.mean, rng()) == (5, 5)  # mixing tasks would spread


def test_bootstrap_depends_on_the_generator_and_on_nothing_else():
    scores = [np.arange(10.0) ** 2]
    results = {metrics.bootstrap(scores, metrics.iqm, rng(seed), resamples=500) for seed in (0, 0, 1)}
    assert len(results) == 2


def test_bootstrap_of_single_runs_gives_no_interval():
    assert np.isnan(metrics.bootstrap([[1], [2]], metrics.mean, rng())).all()
    assert np.isfinite(metrics.bootstrap([[1], [2, 3]], metrics.mean, rng())).all()


@pytest.mark.parametrize("tasks", [[], [[]], [[1, 2], []], [[1, np.nan]]])
def test_bootstrap_refuses_missing_and_infinite_scores(tasks):
    with pytest.raises(ValueError, match="finite"):
        metrics.bootstrap(tasks, metrics.mean, rng())


def test_bootstrap_interval_agrees_with_theory_for_many_runs():
    scores = rng(1).normal(size=400)
    low, high = metrics.bootstrap([scores], metrics.mean, rng())
    assert (high - low) / (2 * 1.96 * scores.std() / 20) == pytest.approx(1, abs=0.02)


def test_bootstrap_agrees_with_scipys():
    import scipy.stats

    scores = rng(3).exponential(size=12)
    theirs = scipy.stats.bootstrap(
        (scores,), np.mean, n_resamples=20_000, method="percentile", rng=rng(5)
    ).confidence_interval
    assert metrics.bootstrap([scores], metrics.mean, rng()) == pytest.approx(tuple(theirs), abs=0.02)


@pytest.mark.parametrize(("runs", "least", "most"), [(3, 0.68, 0.80), (5, 0.85, 0.94), (10, 0.89, 0.96)])
def test_coverage_of_the_iqm_interval_is_what_reports_warn_of(runs, least, most):
    """Normal scores, one task: 74 % with 3 runs, 90 % with 5, 93 % with 10 instead of 95 %."""
    samples = rng(2).normal(size=(600, runs))
    intervals = np.array([metrics.bootstrap([x], metrics.iqm, rng(7), resamples=1_000) for x in samples])
    covered = ((intervals[:, 0] <= 0) & (intervals[:, 1] >= 0)).mean()
    assert least <= covered <= most


def test_curve_band_agrees_with_the_interval_at_each_step():
    curves = np.stack([np.arange(10.0), np.full(10, 3.0)], axis=1)  # (runs, steps): a spread and none
    low, high = metrics.bootstrap_mean_curve(curves, rng())
    assert (low[1], high[1]) == (3, 3)
    assert (low[0], high[0]) == pytest.approx(metrics.bootstrap([curves[:, 0]], metrics.mean, rng()), abs=0.15)


def test_curve_band_of_one_run_is_empty():
    low, high = metrics.bootstrap_mean_curve(np.ones((1, 4)), rng())
    assert np.isnan(low).all()
    assert np.isnan(high).all()
