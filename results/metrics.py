"""Scores of single runs, and what many runs say together.

Aggregates follow Agarwal et al. 2021 (arXiv:2108.13264) and rliable. Scores come as one array of runs per task; the
arrays may differ in length, since seeds fail. Aggregates work on the last axis, so resamples can be stacked before it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 50_000  # rliable's default, code: google-research/rliable library.py
LEVEL = 0.95
WINDOW = 10  # evaluations in `last10`, as in the published "last-10" scores

Statistic = Callable[[Sequence[NDArray[Any]]], Any]


# ---- one run


def final(returns: ArrayLike) -> float:
    """Score of a run's last evaluation, NaN where there is none. `returns` (evaluations,) in order of steps."""
    returns = np.asarray(returns, dtype=float)
    return float(returns[-1]) if len(returns) else np.nan


def last10(returns: ArrayLike) -> float:
    """Mean of a run's last ten evaluations, or of the last half (rounded up) where there are fewer than twenty."""
    returns = np.asarray(returns, dtype=float)
    return float(returns[-last10_length(len(returns)) :].mean()) if len(returns) else np.nan


def last10_length(evaluations: int) -> int:
    """How many evaluations `last10` takes of so many."""
    return min(WINDOW, (evaluations + 1) // 2)


def best(returns: ArrayLike) -> float:
    """Score of a run's best evaluation, NaN where there is none. It grows with the number of evaluations."""
    returns = np.asarray(returns, dtype=float)
    return float(returns.max()) if len(returns) else np.nan


def normalised(scores: ArrayLike, low: float, high: float) -> NDArray[Any]:
    """Scores on a scale where `low` is 0 and `high` is 1; bounds are fixed beforehand, never from the compared runs.

    Raises:
        ValueError: the bounds are not in order.
    """
    if not low < high:
        raise ValueError(f"bounds {low} and {high}: the first must be below the second")
    return (np.asarray(scores, dtype=float) - low) / (high - low)


# ---- many runs


def mean(tasks: Sequence[NDArray[Any]]) -> Any:
    """Mean over tasks of the mean over runs: (..., runs) per task -> (...)."""
    return np.mean([scores.mean(axis=-1) for scores in tasks], axis=0)


def median(tasks: Sequence[NDArray[Any]]) -> Any:
    """Median over tasks of the mean over runs: (..., runs) per task -> (...)."""
    return np.median([scores.mean(axis=-1) for scores in tasks], axis=0)


def iqm(tasks: Sequence[NDArray[Any]]) -> Any:
    """Interquartile mean of all runs of all tasks together: (..., runs) per task -> (...).

    The lowest and the highest quarter of the runs, rounded down, are left out: with 10 runs two and two, with 3 none.
    A task with more runs weighs more.
    """
    return scipy.stats.trim_mean(np.concatenate(tasks, axis=-1), proportiontocut=0.25, axis=-1)


def bootstrap(
    tasks: Sequence[ArrayLike],
    statistic: Statistic,
    rng: np.random.Generator,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval of a statistic, from resampling the runs within each task.

    NaN for both ends where no task has two runs: one run says nothing about the spread.

    Raises:
        ValueError: there is no task, or a task has no run or a score that is not finite.
    """
    arrays = [np.asarray(scores, dtype=float) for scores in tasks]
    if not arrays or any(len(scores) == 0 or not np.isfinite(scores).all() for scores in arrays):
        raise ValueError("a bootstrap needs tasks, each with at least one run and finite scores only")
    if all(len(scores) == 1 for scores in arrays):
        return np.nan, np.nan
    drawn = [scores[rng.integers(len(scores), size=(resamples, len(scores)))] for scores in arrays]
    low, high = np.quantile(statistic(drawn), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_mean_curve(
    curves: ArrayLike, rng: np.random.Generator, *, resamples: int = 5_000, level: float = LEVEL
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Percentile interval of the mean over runs at each step: (runs, steps) -> (steps,) and (steps,).

    Whole runs are resampled. NaN with a single run. Pointwise: it does not promise to hold the whole curve at once.
    """
    curves = np.asarray(curves, dtype=float)
    runs, steps = curves.shape
    if runs < 2:
        return np.full(steps, np.nan), np.full(steps, np.nan)
    counts = rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples)  # how often each resample draws each run
    low, high = np.quantile(counts @ curves / runs, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
