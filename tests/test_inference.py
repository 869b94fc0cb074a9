"""Welch's test and Holm's correction, against scipy and by hand."""

from typing import Any

import numpy as np
import pytest
import scipy.stats

from savo_bench.results.inference import holm, welch


def ttest(x, y, **options) -> Any:
    return scipy.stats.ttest_ind(x, y, equal_var=False, **options)


def test_welch_agrees_with_scipys():
    draw = np.random.default_rng(0)
    for n, m in [(2, 2), (3, 9), (10, 5)]:
        x, y = draw.normal(size=n), draw.normal(1, 3, size=m)
        difference, theirs = welch(x, y), ttest(x, y)
        assert difference.p_two_sided() == pytest.approx(theirs.pvalue, abs=1e-12)
        assert difference.interval() == pytest.approx(tuple(theirs.confidence_interval()), abs=1e-9)
        below = ttest(x + 0.5, y, alternative="less")
        assert difference.p_below(-0.5) == pytest.approx(below.pvalue, abs=1e-12)


def test_the_one_sided_bound_and_its_test_agree():
    difference = welch([1.0, 2, 4], [0.0, 3])
    assert difference.p_below(difference.lower(0.95)) == pytest.approx(0.95)


def test_groups_without_spread_are_compared_exactly():
    same, other = welch([0.1] * 3, [0.1] * 5), welch([2, 2], [1, 1, 1])
    assert (same.value, same.error, same.p_two_sided()) == (0, 0, 1)
    assert (other.p_two_sided(), other.interval(), other.lower()) == (0, (1, 1), 1)
    assert (other.p_below(1.5), other.p_below(1)) == (0, 1)


def test_a_single_value_has_no_spread():
    with pytest.raises(ValueError, match="1 and 3 values"):
        welch([1], [1, 2, 3])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]).tolist() == [0.03, 0.06, 0.06]
    assert holm([0.6, 0.9]).tolist() == [1, 1]
    assert holm([]).tolist() == []
