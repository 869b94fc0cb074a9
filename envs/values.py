"""What is said in one line: of a wrong keyword its name, value and what is allowed, and the reason of an exception."""

import math
import operator
from typing import Any

import numpy as np


def integer(keyword: str, value: Any, low: int, high: int) -> int:
    """The value as an int in low..high; a bool is none.

    Raises:
        ValueError: It is not one.
    """
    try:
        index = operator.index(value)
    except TypeError:
        index = low - 1
    if isinstance(value, bool) or not low <= index <= high:
        raise ValueError(f"{keyword}={value!r}: must be a whole number from {low} to {high}")
    return index


def number(keyword: str, value: Any) -> float:
    """The value as a finite float; a bool is none.

    Raises:
        ValueError: It is not one.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise ValueError(f"{keyword}={value!r}: must be a finite number")
    return float(value)


def picture_mode(render_mode: str | None) -> str | None:
    """The value, which is the one way of drawing that all environments of ours have, or None.

    Raises:
        ValueError: It is another.
    """
    if render_mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode={render_mode!r}: must be rgb_array")
    return render_mode


def reason_of(error: Exception) -> str:
    """What an exception says, its kind if nothing: one line, printable also where it quotes a binary file."""
    said = " ".join(str(error).split()) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in said)
