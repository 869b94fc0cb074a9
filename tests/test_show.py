"""How numbers look on a terminal."""

import pytest

from savo_bench.bench import show


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
        (show.seeds, (0, 1, 2, 5), "0-2,5"),
        (show.seeds, (7,), "7"),
    ],
)
def test_numbers_are_short(function, value, expected):
    assert function(value) == expected
