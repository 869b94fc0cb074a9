"""Differences between two groups of runs: Welch's test and intervals, and Holm's correction for many tests."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray


class Difference(NamedTuple):
    """The difference of two means, and what its tests and intervals need.

    Attributes:
        value: Mean of one group minus mean of the other.
        error: Its standard error.
        freedom: Welch's degrees of freedom.
    """

    value: float
    error: float
    freedom: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided confidence interval; a single point if neither group has any spread."""
        margin = self.error * float(scipy.stats.t.ppf((1 + level) / 2, self.freedom)) if self.error else 0.0
        return self.value - margin, self.value + margin

    def lower(self, level: float = 0.95) -> float:
        """Lower end of the one-sided confidence interval."""
        return self.value - (self.error * float(scipy.stats.t.ppf(level, self.freedom)) if self.error else 0.0)

    def p_below(self, bound: float) -> float:
        """p value of the one-sided test of the null hypothesis that the difference is at least `bound`."""
        if not self.error:
            return 0.0 if self.value < bound else 1.0
        return float(scipy.stats.t.cdf((self.value - bound) / self.error, self.freedom))

    def p_two_sided(self) -> float:
        """p value of the two-sided test of the null hypothesis that there is no difference."""
        if not self.error:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * scipy.stats.t.sf(abs(self.value) / self.error, self.freedom))


def welch(x: ArrayLike, y: ArrayLike) -> Difference:
    """Mean of x minus mean of y, for groups of unequal size and spread.

    Args:
        x: Scores of one group, (runs,).
        y: Scores of the other, (runs,).

    Raises:
        ValueError: A group has fewer than two values, so that its spread is unknown.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"groups of {len(x)} and {len(y)} values: each needs at least two")
    a, b = _squared_error(x), _squared_error(y)
    # Welch 1947 and Satterthwaite 1946
    freedom = (a + b) ** 2 / (a**2 / (len(x) - 1) + b**2 / (len(y) - 1)) if a + b else np.inf
    value = (x - y[0]).mean() - (y - y[0]).mean()  # exactly 0 where all are equal
    return Difference(float(value), float(np.sqrt(a + b)), float(freedom))


def mean_of(differences: Sequence[Difference]) -> Difference:
    """The mean of differences of independent groups, with Satterthwaite's degrees of freedom."""
    N = len(differences)
    parts = [(each.error / N) ** 2 for each in differences]
    square = sum(part**2 / each.freedom for part, each in zip(parts, differences, strict=True))
    freedom = sum(parts) ** 2 / square if square else np.inf
    return Difference(sum(each.value for each in differences) / N, float(np.sqrt(sum(parts))), float(freedom))


def holm(p: Sequence[float]) -> NDArray[Any]:
    """Holm's adjusted p values (Holm 1979), (tests,) in the order given.

    All tests with an adjusted value below .05 may be called significant together.
    """
    p_values = np.asarray(p, dtype=float)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(adjusted, 1.0)


def _squared_error(values: NDArray[Any]) -> float:
    """Squared standard error of a mean; exactly 0 for equal values, whose computed spread may be a rounding error."""
    return 0.0 if (values == values[0]).all() else float(values.var(ddof=1)) / len(values)
