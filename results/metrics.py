"""Scores of single runs, aggregates over many runs, and their bootstrap intervals.

Aggregates follow Agarwal et al. 2021 (arXiv:2108.13264). They agree with rliable where rliable is defined: with the
same number of runs on every task. Scores are given as one array of runs per task. The arrays may differ in length,
since seeds fail. Aggregates work on the last axis, so resamples can be stacked before it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 50_000  # rliable's default, code: google-research/rliable library.py
PAIR_RESAMPLES = 2_000  # for the probability of improvement, as rliable's authors take for it
CURVE_RESAMPLES = 5_000  # ours: of a band at each step, which is only drawn
LEVEL = 0.95
WINDOW = 10  # evaluations in `last10`, as in the published "last-10" scores
CUT = 0.25  # share of runs that the IQM drops on each side, paper: arXiv:2108.13264 section 4.2
_HELD = 4_000_000  # ours: resampled scores in memory at a time, 32 MB

Statistic = Callable[[Sequence[NDArray[Any]]], Any]


def final(returns: ArrayLike) -> float:
    """Return of a run's last evaluation; NaN if there is none.

    Args:
        returns: Mean return of each evaluation, (evaluations,), in order of steps.
    """
    returns = np.asarray(returns, dtype=float)
    return float(returns[-1]) if len(returns) else np.nan


def last10(returns: ArrayLike) -> float:
    """Mean return of a run's last ten evaluations, or of the last half (rounded up) if there are fewer than twenty.

    Args:
        returns: Mean return of each evaluation, (evaluations,), in order of steps. NaN is returned if there is none.
    """
    returns = np.asarray(returns, dtype=float)
    return float(returns[-last10_length(len(returns)) :].mean()) if len(returns) else np.nan


def last10_length(evaluations: int) -> int:
    """How many of a run's evaluations `last10` averages."""
    return min(WINDOW, (evaluations + 1) // 2)


def window_name(evaluations: Iterable[int]) -> str:
    """What to call `last10` of runs with so many evaluations each: last-10, last-4, last-4 to last-10."""
    names = [f"last-{length}" for length in _windows(evaluations)]
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def window_words(evaluations: Iterable[int]) -> str:
    """Over what `last10` of runs with so many evaluations each is a mean: the last 4 of 8 evaluations."""
    counts = sorted({number for number in evaluations if number > 0})
    if len(counts) == 1:
        return f"the last {last10_length(counts[0])} of {counts[0]} evaluation{'s' * (counts[0] != 1)}"
    lengths = _windows(counts)
    if len(lengths) == 1:
        return f"the last {lengths[0]} evaluations"
    few = f"where a run has fewer than {2 * WINDOW}, of the last half, rounded up"
    return f"the last {lengths[0]} to {lengths[-1]} evaluations ({few})"


def _windows(evaluations: Iterable[int]) -> list[int]:
    """The different lengths of the window of `last10`, in order; WINDOW where there are no evaluations."""
    return sorted({last10_length(number) for number in evaluations if number > 0}) or [WINDOW]


def best(returns: ArrayLike) -> float:
    """Return of a run's best evaluation; NaN if there is none. It grows with the number of evaluations.

    Args:
        returns: Mean return of each evaluation, (evaluations,).
    """
    returns = np.asarray(returns, dtype=float)
    return float(returns.max()) if len(returns) else np.nan


def area(steps: ArrayLike, returns: ArrayLike) -> float:
    """Average return over training: the area under the learning curve divided by the steps it covers.

    It is in units of the return, and covers the steps from the first evaluation to the last.

    Args:
        steps: Step of each evaluation, (evaluations,), in order.
        returns: Mean return of each evaluation, (evaluations,). NaN is returned if there is none.
    """
    steps, returns = np.asarray(steps, dtype=float), np.asarray(returns, dtype=float)
    if len(returns) < 2:
        return float(returns[0]) if len(returns) else np.nan
    return float(np.trapezoid(returns, steps) / (steps[-1] - steps[0]))


def steps_to(steps: ArrayLike, returns: ArrayLike, goal: float) -> float:
    """Step of the first evaluation whose return is at least `goal`; infinity if there is none.

    Args:
        steps: Step of each evaluation, (evaluations,), in order.
        returns: Mean return of each evaluation, (evaluations,).
        goal: A return.
    """
    reached = np.flatnonzero(np.asarray(returns, dtype=float) >= goal)
    return float(np.asarray(steps)[reached[0]]) if len(reached) else np.inf


def normalised(scores: ArrayLike, low: float, high: float) -> NDArray[Any]:
    """Scores on a scale on which `low` is 0 and `high` is 1: (score − low) / (high − low).

    Bounds are fixed in advance and never taken from the compared runs.

    Raises:
        ValueError: the bounds are not in order.
    """
    if not low < high:
        raise ValueError(f"bounds {low} and {high}: the first must be below the second")
    return (np.asarray(scores, dtype=float) - low) / (high - low)


def mean(tasks: Sequence[NDArray[Any]]) -> Any:
    """Mean over tasks of the mean over runs: (..., runs) per task -> (...)."""
    return np.mean([scores.mean(axis=-1) for scores in tasks], axis=0)


def median(tasks: Sequence[NDArray[Any]]) -> Any:
    """Median over tasks of the mean over runs: (..., runs) per task -> (...)."""
    return np.median([scores.mean(axis=-1) for scores in tasks], axis=0)


def iqm(tasks: Sequence[NDArray[Any]]) -> Any:
    """Interquartile mean of all runs of all tasks together: (..., runs) per task -> (...).

    The lowest and the highest quarter of the runs, each rounded down, are dropped: 2 and 2 of 10 runs, none of 3.
    A task with more runs weighs more.
    """
    scores = np.sort(np.concatenate(tasks, axis=-1), axis=-1)
    cut = int(CUT * scores.shape[-1])
    return scores[..., cut : scores.shape[-1] - cut].mean(axis=-1)


def optimality_gap(tasks: Sequence[NDArray[Any]], goal: float = 1.0) -> Any:
    """How far runs are below `goal` on average; a score above it counts as `goal`. Smaller is better.

    Mean over tasks of the mean over runs: (..., runs) per task -> (...).
    """
    return goal - mean([np.minimum(scores, goal) for scores in tasks])


def profile(tasks: Sequence[ArrayLike], thresholds: ArrayLike) -> NDArray[Any]:
    """Performance profile: the share of runs with a score above each threshold, mean over tasks; -> (thresholds,)."""
    thresholds = np.asarray(thresholds, dtype=float)
    return np.mean([_above(np.asarray(scores, dtype=float), thresholds).mean(axis=0) for scores in tasks], axis=0)


def probability_of_improvement(x: Sequence[ArrayLike], y: Sequence[ArrayLike]) -> float:
    """Probability that a run of X scores more than a run of Y on the same task; a tie counts half; mean over tasks.

    Args:
        x: Scores of X, (runs,) per task.
        y: Scores of Y, (runs,) per task, in the same order of tasks.

    Raises:
        ValueError: X and Y do not have the same number of tasks.
    """
    return float(np.mean([_beats(a, b).mean() for a, b in zip(x, y, strict=True)]))


class Resamples:
    """Bootstrap resamples that all cells with the same number of runs share, so that many intervals are cheap.

    They depend only on the seed and the number of runs: a cell's interval does not depend on other cells.
    """

    def __init__(self, seed: int = 0, count: int = RESAMPLES) -> None:
        """Take the seed of the random generator, and how many resamples an interval is made from."""
        self.seed, self.count = seed, count
        self._counts: dict[tuple[int, float], NDArray[Any]] = {}

    def interval(
        self, scores: ArrayLike, *, cut: float = 0.0, level: float = LEVEL
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Percentile intervals of the mean or the interquartile mean over runs.

        Args:
            scores: (runs, K). Each of the K columns gets an interval; all use the same resamples of whole runs.
            cut: 0 for the mean, CUT for the interquartile mean.
            level: The confidence level.

        Returns:
            Lower and upper ends, (K,) each; NaN with fewer than two runs.
        """
        scores = np.sort(np.asarray(scores, dtype=float), axis=0)  # resamples are of ranks, so sorted once for all
        runs, K = scores.shape
        if runs < 2:
            return np.full(K, np.nan), np.full(K, np.nan)
        kept = runs - 2 * int(cut * runs)
        worst = scores[0]  # subtracted, so that equal scores give exactly that score
        drawn = self._drawn(runs, cut) @ (scores - worst) / kept
        above = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return worst + above[0], worst + above[1]

    def _drawn(self, runs: int, cut: float) -> NDArray[Any]:
        """How often each resample holds each rank, after its extremes were cut off: (count, runs)."""
        if (runs, cut) not in self._counts:
            ranks = np.random.default_rng(self.seed).integers(runs, size=(self.count, runs))
            off = int(cut * runs)
            middle = np.sort(ranks, axis=1)[:, off : runs - off] + runs * np.arange(self.count)[:, None]
            counts = np.bincount(middle.ravel(), minlength=runs * self.count)
            self._counts[runs, cut] = counts.reshape(self.count, runs).astype(float)
        return self._counts[runs, cut]


def bootstrap(
    tasks: Sequence[ArrayLike],
    statistic: Statistic,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of a statistic, from resampling the runs within each task.

    Args:
        tasks: Scores, (runs,) per task.
        statistic: A function of such tasks that works on the last axis: `mean`, `median`, `iqm` or `optimality_gap`.
        rng: Draws the resamples.
        resamples: How many.
        level: The confidence level.

    Returns:
        Lower and upper end; NaN if no task has two runs, as one run says nothing about the spread.

    Raises:
        ValueError: there is no task, or a task has no run or a score that is not finite.
    """
    arrays = _checked(tasks)
    if all(len(scores) == 1 for scores in arrays):
        return np.nan, np.nan
    most = max(1, _HELD // sum(map(len, arrays)))
    values = []
    for start in range(0, resamples, most):
        size = min(most, resamples - start)
        values.append(statistic([scores[rng.integers(len(scores), size=(size, len(scores)))] for scores in arrays]))
    low, high = np.quantile(np.concatenate(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_profile(
    tasks: Sequence[ArrayLike],
    thresholds: ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = PAIR_RESAMPLES,
    level: float = LEVEL,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pointwise percentile interval of a performance profile: (thresholds,) and (thresholds,); see `bootstrap`."""
    arrays, thresholds = _checked(tasks), np.asarray(thresholds, dtype=float)
    if all(len(scores) == 1 for scores in arrays):
        return np.full(len(thresholds), np.nan), np.full(len(thresholds), np.nan)
    shares = [_shares(scores, rng, resamples) @ _above(scores, thresholds) for scores in arrays]
    low, high = np.quantile(np.mean(shares, axis=0), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def bootstrap_improvement(
    x: Sequence[ArrayLike],
    y: Sequence[ArrayLike],
    rng: np.random.Generator,
    *,
    resamples: int = PAIR_RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of the probability of improvement; runs of X and Y are resampled independently.

    NaN for both ends if neither has a task with two runs. Arguments and errors are those of `bootstrap`.
    """
    left, right = _checked(x), _checked(y)
    if all(len(scores) == 1 for scores in (*left, *right)):
        return np.nan, np.nan
    drawn = [
        np.sum(_shares(a, rng, resamples) @ _beats(a, b) * _shares(b, rng, resamples), axis=1)
        for a, b in zip(left, right, strict=True)
    ]
    low, high = np.quantile(np.mean(drawn, axis=0), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _checked(tasks: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    arrays = [np.asarray(scores, dtype=float) for scores in tasks]
    if not arrays or any(len(scores) == 0 or not np.isfinite(scores).all() for scores in arrays):
        raise ValueError("a bootstrap needs tasks, each with at least one run and finite scores only")
    return arrays


def _above(scores: NDArray[Any], thresholds: NDArray[Any]) -> NDArray[Any]:
    """1 where a run is above a threshold: (runs, thresholds)."""
    return (scores[:, None] > thresholds).astype(float)


def _beats(x: ArrayLike, y: ArrayLike) -> NDArray[Any]:
    """1 where a run of X is better than one of Y, half where they are equal: (runs of X, runs of Y)."""
    difference = np.sign(np.subtract.outer(np.asarray(x, dtype=float), np.asarray(y, dtype=float)))
    return (difference + 1) / 2


def _shares(scores: NDArray[Any], rng: np.random.Generator, resamples: int) -> NDArray[Any]:
    """The share of each run in each resample: (resamples, runs)."""
    runs = len(scores)
    return rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples) / runs
