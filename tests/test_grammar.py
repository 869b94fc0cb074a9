"""Seeds, values and types of the command line."""

import inspect
from typing import Literal

import pytest

from savo_bench.bench import grammar
from savo_bench.bench.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", (0,)),
        ("3", (0, 1, 2)),
        ("3-5", (3, 4, 5)),
        ("3-3", (3,)),
        ("0,4", (0, 4)),
        ("4,0,4-6", (0, 4, 5, 6)),
        ("9999-9999", (9999,)),
    ],
)
def test_seeds_are_a_number_ranges_or_a_list(text, expected):
    assert grammar.seeds(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "a", "7-3", "", "1,,2", "1.5", "3-", "10001", "1-99999", "٣"])
def test_wrong_seeds_are_refused_in_one_line_that_shows_them(text):
    with pytest.raises(UserError, match="--seeds") as caught:
        grammar.seeds(text)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("3", int, 3),
        ("1_000", int, 1000),
        ("1e6", int, 1_000_000),
        ("3", float, 3.0),
        ("1e-3", float, 0.001),
        ("true", bool, True),
        ("64-64", tuple[int, ...], (64, 64)),
        ("none", tuple[int, ...], ()),
        ("64", tuple[int, ...], (64,)),
        ([64, 64], tuple[int, ...], (64, 64)),
        ("none", float | None, None),
        ("0.5", float | None, 0.5),
        ("ou", Literal["ou", "gaussian"], "ou"),
        ("v4", str, "v4"),
        (5, float, 5.0),
        (True, bool, True),
    ],
)
def test_values_take_the_type_of_their_field(text, annotation, expected):
    value = grammar.convert(text, annotation)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("text", "annotation"),
    [
        ("x", int),
        ("1.5", int),
        (True, int),
        ("nan", float),
        ("inf", float),
        (True, float),
        ("1", bool),
        ("yes", bool),
        (1, bool),
        ("64-x", tuple[int, ...]),
        ("64-", tuple[int, ...]),
        ("x", float | None),
        ("pink", Literal["ou", "gaussian"]),
        (3, str),
    ],
)
def test_values_of_the_wrong_type_are_refused(text, annotation):
    with pytest.raises(ValueError, match="must be"):
        grammar.convert(text, annotation)


def test_a_keyword_without_annotation_takes_its_defaults_type():
    empty = inspect.Parameter.empty
    kind = inspect.Parameter.KEYWORD_ONLY
    assert grammar.parameter_type(inspect.Parameter("a", kind, default=3)) is int
    assert grammar.parameter_type(inspect.Parameter("a", kind, default=3, annotation=float)) is float
    assert grammar.parameter_type(inspect.Parameter("a", kind, default=None, annotation=empty)) is str


@pytest.mark.parametrize(("text", "named"), [("nan", "not nan"), ("inf", "not infinite"), ("-inf", "not infinite")])
def test_what_is_no_number_is_named_rightly(text, named):
    with pytest.raises(ValueError, match=f"{named}$"):
        grammar.convert(text, float)
