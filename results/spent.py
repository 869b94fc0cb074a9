"""What the training of a seed has taken, and lengths of time as text.

The seeds of a pack share one process. Of its wall time and of its processor time each has an even share, and of a GPU
that it holds likewise. Wall time grows with what else runs on a machine; processor time hardly does.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

NONE = "–"
_UNITS = (("s", 1.0), ("min", 60.0), ("h", 3_600.0), ("d", 86_400.0))
_FROM = 2.0  # ours: of a unit, from which on it is used; so 90 s, 2 min


class Spent(NamedTuple):
    """Seconds of one seed; NaN where nobody recorded them, or where it had no such thing."""

    wall: float
    cpu: float
    gpu: float


NOTHING = Spent(math.nan, math.nan, math.nan)


def of_seed(seconds: float | None, cpu_seconds: float | None, pack: int, device: str | None) -> Spent:
    """What a seed took.

    Args:
        seconds: Wall time of its packs, as status.json has it.
        cpu_seconds: Its share of their processor time.
        pack: How many seeds it was trained with, itself included.
        device: As run.json has it.
    """
    wall = math.nan if seconds is None else seconds / max(1, pack)
    gpu = wall if "cuda" in str(device) else math.nan
    return Spent(wall, math.nan if cpu_seconds is None else cpu_seconds, gpu)


def mean(seeds: Iterable[Spent]) -> Spent:
    """The mean over the seeds that have each number."""
    every = list(seeds)
    known = [[value for value in values if not math.isnan(value)] for values in zip(*every, strict=True)]
    return Spent(*(sum(values) / len(values) if values else math.nan for values in known)) if every else NOTHING


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it: 0.43 s, 6.9 s, 12 min, 3.2 h, 70 d; a dash for NaN."""
    return _text(seconds, *_unit(seconds), digits=2)


def durations(seconds: Iterable[float]) -> list[str]:
    """A column of a table: lengths of time in one unit, which suits the smallest of them; a dash for NaN."""
    values = [float(value) for value in seconds]
    unit = _unit(min((value for value in values if value > 0), default=0.0))
    return [_text(value, *unit, digits=3) for value in values]


def _unit(seconds: float) -> tuple[str, float]:
    return next((unit for unit in reversed(_UNITS) if seconds >= _FROM * unit[1]), _UNITS[0])


def _text(seconds: float, name: str, length: float, digits: int) -> str:
    if math.isnan(seconds):
        return NONE
    value = seconds / length
    return f"{value:.0f} {name}" if value >= 10 ** (digits - 1) else f"{value:.{digits}g} {name}"
