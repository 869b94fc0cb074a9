"""Numbers and lists in words."""

from collections.abc import Iterable

from savo_bench.results.page import code


def count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number} {noun}{'s' * (number != 1)}"


def several(names: Iterable[str], noun: str) -> str:
    """`2 variants (a, b)`: the number of different names, and all of them."""
    distinct = list(dict.fromkeys(names))
    return f"{count(len(distinct), noun)} ({', '.join(map(code, distinct))})"


def listed(names: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 2 more`: the first names, and the number of the others."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
