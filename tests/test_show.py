"""How numbers look on a terminal."""

import math

import pytest

from savo_bench.bench import show
from savo_bench.results import spent


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (show.thousands, 999, "999"),
        (show.thousands, 2_500, "2.5k"),
        (show.thousands, 999_999, "1M"),
        (show.thousands, 1_234_567, "1.23M"),
        (show.clock, None, "–"),
        (show.clock, 7, "0:07"),
        (show.clock, 3_725, "1:02:05"),
        (show.clock, 273_600, "3d 04h"),
        (show.span, 40, "40 seconds"),
        (show.span, 600, "10 minutes"),
        (show.span, 18_720, "5.2 hours"),
        (show.span, 6_048_000, "70 days"),
        (show.size, 3_400_000_000, "3.4 GB"),
        (show.size, 0, "0 B"),
        (show.decimal, 9354.4, "9354"),
        (show.decimal, -0.517, "-0.52"),
        (spent.duration, 6.948, "6.9 s"),
        (spent.duration, 738, "12 min"),
        (spent.duration, 11_520, "3.2 h"),
        (spent.duration, 6_048_000, "70 d"),
        (spent.duration, math.nan, "–"),
        (spent.durations, (6.948, math.nan, 11_520), ["6.95 s", "–", "11520 s"]),
        (spent.durations, (8_000, 400_000), ["2.22 h", "111 h"]),
        (show.seeds, (0, 1, 2, 5), "0-2,5"),
        (show.seeds, (7,), "7"),
    ],
)
def test_numbers_are_short(function, value, expected):
    assert function(value) == expected


def test_a_long_text_loses_its_middle():
    assert show.cut("savo:extra_actors=5", 9) == "savo…rs=5"
    assert show.cut("td3", 3) == "td3"
    assert [len(show.cut("savo:extra_actors=5", width)) for width in range(1, 25)] == [*range(1, 20), *5 * [19]]
