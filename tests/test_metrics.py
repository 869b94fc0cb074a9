"""Scores and aggregates, on numbers that can be checked in the head."""

import numpy as np
import pytest

from savo_bench.results import metrics


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


def test_the_optimality_gap_forgives_nothing_and_rewards_nothing_above_the_goal():
    assert metrics.optimality_gap(columns([[0, 3], [0.5, 1]])) == 0.375  # means of 0, .5 and of 1, 1
    assert metrics.optimality_gap([np.array([3.0]), np.array([0.0, 0.0])], goal=2) == 1


def test_a_profile_is_the_share_of_runs_above_each_height():
    tasks = [np.array([0.0, 1, 2, 3]), np.array([2.0])]
    assert metrics.profile(tasks, [-1, 0, 1, 2, 3]).tolist() == [1, (0.75 + 1) / 2, (0.5 + 1) / 2, 0.25 / 2, 0]


def test_the_probability_of_improvement_counts_pairs_and_halves_ties():
    assert metrics.probability_of_improvement([[1, 2]], [[0, 2, 2]]) == (1 + 1 + 0.5 + 0.5) / 6
    assert metrics.probability_of_improvement([[1], [5]], [[0], [9]]) == 0.5
    assert metrics.probability_of_improvement([[3, 3]], [[3]]) == 0.5
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        metrics.probability_of_improvement([[1], [2]], [[1]])


def test_the_intervals_of_profile_and_improvement_hold_the_value_and_are_seeded():
    x, y = [rng(1).normal(size=9), rng(2).normal(size=4)], [rng(3).normal(size=5), rng(4).normal(size=6)]
    thresholds = np.linspace(-1, 1, 5)  # no run is above the last
    low, high = metrics.bootstrap_profile(x, thresholds, rng())
    assert ((low <= metrics.profile(x, thresholds)) & (metrics.profile(x, thresholds) <= high)).all()
    assert (low < high)[:4].all()
    ends = metrics.bootstrap_improvement(x, y, rng())
    assert 0 < ends[0] < metrics.probability_of_improvement(x, y) < ends[1] < 1
    assert ends == metrics.bootstrap_improvement(x, y, rng()) != metrics.bootstrap_improvement(x, y, rng(1))


def test_single_runs_give_no_interval_of_profile_and_improvement():
    assert np.isnan(metrics.bootstrap_profile([[1], [2]], [0, 1], rng())).all()
    assert np.isnan(metrics.bootstrap_improvement([[1]], [[2]], rng())).all()
    assert metrics.bootstrap_improvement([[1]], [[2, 3]], rng()) == (0, 0)


def test_the_area_is_the_mean_height_between_the_first_and_the_last_evaluation():
    assert metrics.area([100, 200, 400], [0, 10, 10]) == (5 * 100 + 10 * 200) / 300
    assert metrics.area([100], [7]) == 7
    assert np.isnan(metrics.area([], []))


def test_steps_to_a_return_are_those_of_the_first_evaluation_there():
    assert metrics.steps_to([10, 20, 30], [1, 5, 2], 2) == 20
    assert metrics.steps_to([10, 20], [1, 5], 6) == np.inf


@pytest.mark.parametrize(("cut", "statistic"), [(0.0, metrics.mean), (metrics.CUT, metrics.iqm)])
@pytest.mark.parametrize("runs", [2, 3, 5, 10])
def test_shared_resamples_agree_with_the_plain_bootstrap(cut, statistic, runs):
    scores = rng(runs).exponential(size=runs)
    ends = metrics.Resamples().interval(scores[:, None], cut=cut)
    plain = metrics.bootstrap([scores], statistic, rng(1))
    assert np.ravel(ends) == pytest.approx(plain, abs=0.04 * np.ptp(scores))


def test_shared_resamples_treat_each_column_alone_and_whatever_else_was_asked_before():
    scores = rng(3).normal(size=(6, 4))
    resamples = metrics.Resamples(count=500)
    resamples.interval(rng(4).normal(size=(9, 2)))
    together = np.stack(resamples.interval(scores, cut=metrics.CUT))
    alone = [np.ravel(metrics.Resamples(count=500).interval(scores[:, [k]], cut=metrics.CUT)) for k in range(4)]
    np.testing.assert_allclose(together.T, alone, rtol=0, atol=1e-12)
    other = np.stack(metrics.Resamples(1, count=500).interval(scores, cut=metrics.CUT))
    assert not (together == other).all()


def test_shared_resamples_of_equal_scores_are_exact_and_of_one_run_empty():
    assert [end.tolist() for end in metrics.Resamples(count=50).interval(np.full((3, 1), 0.1))] == [[0.1], [0.1]]
    assert np.isnan(metrics.Resamples().interval(np.ones((1, 4)))).all()
