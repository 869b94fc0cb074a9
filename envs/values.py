"""Checks of keyword values, with one-line errors that give name, value and what is allowed; exceptions as one line."""

import math
import operator
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def integer(keyword: str, value: Any, low: int, high: int) -> int:
    """Return the value as an int in low..high. A bool is not accepted.

    Raises:
        ValueError: It is not a whole number in this range.
    """
    try:
        index = operator.index(value)
    except TypeError:
        index = low - 1
    if isinstance(value, bool) or not low <= index <= high:
        raise ValueError(f"{keyword}={value!r}: must be a whole number from {low} to {high}")
    return index


def number(keyword: str, value: Any) -> float:
    """Return the value as a finite float. A bool is not accepted.

    Raises:
        ValueError: It is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ValueError(f"{keyword}={value!r}: must be a finite number")
    return float(value)


def one_of(keyword: str, value: Any, allowed: Sequence[str]) -> str:
    """Return the value, one of some words.

    Raises:
        ValueError: It is another.
    """
    if value not in allowed:
        raise ValueError(f"{keyword}={value!r}: must be {' or '.join(allowed)}")
    return value


def expanded(keyword: str, value: str) -> Path:
    """Return the value as a path, with ~ for a home folder and $NAME for an environment variable.

    Raises:
        ValueError: There is no such home folder or variable.
    """
    for match in re.finditer(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})", value):
        variable = match[1] or match[2]
        if variable not in os.environ and not Path(value).exists():
            raise ValueError(f"{keyword}={value!r}: ${variable} is not set in the environment; set it")
    try:
        return Path(os.path.expandvars(value)).expanduser()
    except RuntimeError:
        raise ValueError(f"{keyword}={value!r}: nobody of that name has a home folder here; write it out") from None


def picture_mode(render_mode: str | None) -> str | None:
    """Return the value, "rgb_array" or None.

    Raises:
        ValueError: It is another `render_mode`.
    """
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode={render_mode!r}: must be rgb_array")
    return render_mode


def reason_of(error: BaseException) -> str:
    """Return an exception's message, or its type if it has none, as one line of printable characters."""
    said = " ".join(str(error).split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in said)
