"""Checks of keywords: a wrong value is one line that names the keyword, the value and what is allowed."""

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
