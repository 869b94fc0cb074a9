"""Checks of keyword values, and exceptions as one line."""

from pathlib import Path

import numpy as np
import pytest

from savo_bench.envs.values import expanded, integer, number, one_of, picture_mode, reason_of


@pytest.mark.parametrize("value", [0, 3, np.int64(10)])
def test_a_whole_number_in_the_range_is_returned_as_an_int(value):
    assert integer("items", value, 0, 10) == value
    assert type(integer("items", value, 0, 10)) is int


@pytest.mark.parametrize("value", [-1, 11, 2.0, "3", None, True])
def test_anything_else_is_refused_with_keyword_value_and_range(value):
    with pytest.raises(ValueError, match=r"^items=.*: must be a whole number from 0 to 10$") as caught:
        integer("items", value, 0, 10)
    assert f"items={value!r}" in str(caught.value)


@pytest.mark.parametrize("value", [0, -1.5, np.float32(2), np.int64(3)])
def test_a_finite_number_is_returned_as_a_float(value):
    assert number("volume", value) == value
    assert type(number("volume", value)) is float


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", None, True])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=r"^volume=.*: must be a finite number$"):
        number("volume", value)


def test_a_word_is_one_of_those_that_are_allowed():
    assert one_of("version", "v4", ("v5", "v4")) == "v4"
    with pytest.raises(ValueError, match=r"^version='v3': must be v5 or v4$"):
        one_of("version", "v3", ("v5", "v4"))


@pytest.mark.parametrize("written", ["$HERE/x", "${HERE}/x", "~/x"])
def test_a_path_is_expanded(written, monkeypatch, tmp_path):
    monkeypatch.setenv("HERE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("data", written) == tmp_path / "x"
    assert expanded("data", "a/x") == Path("a/x")


def test_a_folder_whose_name_has_a_dollar_is_itself(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("$no").mkdir()
    assert expanded("data", "$no") == Path("$no")


@pytest.mark.parametrize("written", ["$NOT_SET_HERE/x", "${NOT_SET_HERE}", "~nobody-of-this-name/x"])
def test_a_path_that_cannot_be_expanded_is_refused(written):
    with pytest.raises(ValueError, match=r"^data='.*': .*; (set it|write it out)$") as caught:
        expanded("data", written)
    assert repr(written) in str(caught.value)


def test_the_only_render_mode_is_rgb_array():
    assert picture_mode(None) is None
    assert picture_mode("rgb_array") == "rgb_array"
    with pytest.raises(ValueError, match=r"^render_mode='human': must be rgb_array$"):
        picture_mode("human")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\n  second"), "first second"),
        (KeyError(), "KeyError"),
        (OSError("\x00binary\x1b"), "?binary?"),
    ],
)
def test_an_exception_becomes_one_printable_line(error: Exception, line: str):
    assert reason_of(error) == line
