"""Landscapes of a trained policy as a file holds them: Q over actions in one state, surrogates, proposals.

`bench landscape` writes landscapes.json into a seed's folder; `landscape_plots` draws it, and a report shows it.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from savo_bench.results.files import CorruptFile, read_json, replacing, said
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import Runs

SCHEMA = 2
DIGITS = 6  # ours: significant; float32 has seven
Kind = Literal["line", "plane", "items"]


@dataclass(frozen=True)
class Point:
    """An action of a landscape: where it is drawn, its Q, and whether it lies in the plane that is drawn."""

    x: float
    y: float
    q: float
    inside: bool = True


@dataclass(frozen=True)
class Count:
    """How many prominent maxima a landscape has, and how many of them lie on the border of the box."""

    number: int
    border: int


@dataclass(frozen=True)
class Surrogate:
    """A surrogate beside what it is fitted to, with the shape of the landscape's `q`; no counts on a catalogue."""

    index: int
    floor: float | None
    exact: np.ndarray
    learnt: np.ndarray
    exact_maxima: Count | None = None
    learnt_maxima: Count | None = None


@dataclass(frozen=True)
class Landscape:
    """Q over actions in one state.

    Attributes:
        state: The number of the step in the last evaluation in which the policy met it.
        kind: A line (actions of one dimension), a plane through more dimensions, or the items of a catalogue, from the
            highest Q to the lowest.
        x: Along the first axis (N,): the action, the place in the plane, or the rank of the item from 0 on.
        y: Along the second axis (M,); empty but for a plane.
        axes: What the axes are, in words.
        q: Q_1 (N,), in a plane (M, N); NaN outside the box.
        valid: Whether the environment executes the action, like `q`; empty where it executes all.
        proposals: Those of the actors, in order.
        chosen: The index of the one that is executed.
        highest: The highest Q that was found.
        lowest: The lowest value of Q that was found.
        maxima: How many prominent maxima Q_1 has; None on a catalogue.
        surrogates: Those of SAVO.
    """

    state: int
    kind: Kind
    x: np.ndarray
    y: np.ndarray
    axes: tuple[str, ...]
    q: np.ndarray
    valid: np.ndarray
    proposals: tuple[Point, ...]
    chosen: int
    highest: Point
    lowest: float
    maxima: Count | None
    surrogates: tuple[Surrogate, ...] = ()

    @property
    def span(self) -> float:
        """The highest less the lowest value."""
        return self.highest.q - self.lowest

    def gap(self, proposal: int) -> float:
        """How far a proposal is below the highest value, in shares of the span; 0 where Q is flat."""
        return (self.highest.q - self.proposals[proposal].q) / self.span if self.span > 0 else 0.0


def in_shares(landscape: Landscape) -> Landscape:
    """A landscape with heights in shares of the span: 0 is the lowest Q, 1 the highest.

    Ψ and its floor are moved to the height of Q, highest point to highest, and a surrogate by its mean error. What is
    moved as a whole has the same slopes, so no actor goes elsewhere.
    """
    span = landscape.span or 1.0

    def share(values: Any) -> Any:
        return (values - landscape.lowest) / span

    def moved(point: Point) -> Point:
        return dataclasses.replace(point, q=share(point.q))

    surrogates = []
    for each in landscape.surrogates:
        up = np.nanmax(landscape.q) - np.nanmax(each.exact)
        surrogates.append(
            Surrogate(
                each.index,
                None if each.floor is None else float(share(each.floor + up)),
                share(each.exact + up),
                share(each.learnt + up - np.nanmean(each.learnt - each.exact)),
            )
        )
    return dataclasses.replace(
        landscape,
        q=share(landscape.q),
        proposals=tuple(map(moved, landscape.proposals)),
        highest=moved(landscape.highest),
        lowest=0.0,
        surrogates=tuple(surrogates),
    )


def write(folder: SeedFolder, landscapes: Sequence[Landscape]) -> None:
    """Write the landscapes of a seed in the place of those that are there."""
    document = {"schema": SCHEMA, "landscapes": [_plain(dataclasses.asdict(each)) for each in landscapes]}
    with replacing(folder.landscapes) as file:
        file.write(json.dumps(document, separators=(",", ":"), allow_nan=False).encode() + b"\n")


def read(folder: SeedFolder) -> list[Landscape]:
    """The landscapes of a seed; none where there is no such file.

    Raises:
        CorruptFile: it is damaged, or of another version.
        OSError: it cannot be read.
    """
    try:
        document = read_json(folder.landscapes)
    except (FileNotFoundError, NotADirectoryError):
        return []
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise CorruptFile(f"{folder.landscapes}: not the landscapes of this version; bench landscape makes them anew")
    try:
        return [_landscape(each) for each in document["landscapes"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptFile(f"{folder.landscapes}: damaged ({error!r}); bench landscape makes it anew") from None


@dataclass(frozen=True)
class OfSeed:
    """The landscapes of one seed of a cell."""

    environment: str
    variant: str
    seed: int
    landscapes: tuple[Landscape, ...]


def of_seeds(root: Path, runs: Runs) -> tuple[list[OfSeed], list[str]]:
    """Those of every seed that is done and has some, and a line for each file that cannot be read."""
    found, problems = [], []
    for row in runs.runs[runs.runs["state"] == "done"].to_dict("records"):
        try:
            landscapes = read(SeedFolder(Path(root) / row["path"]))
        except (OSError, CorruptFile) as error:
            problem = said(error) if isinstance(error, OSError) else str(error)
            problems.append(problem.replace(f"{root}/", ""))
            continue
        if landscapes:
            found.append(OfSeed(row["environment"], row["variant"], row["seed"], tuple(landscapes)))
    return found, problems


def _landscape(entry: Mapping[str, Any]) -> Landscape:
    if entry["kind"] not in get_args(Kind):
        raise ValueError(f"kind={entry['kind']!r}")
    surrogates = [
        Surrogate(
            each["index"],
            each["floor"],
            np.array(each["exact"], float),
            np.array(each["learnt"], float),
            _count(each["exact_maxima"]),
            _count(each["learnt_maxima"]),
        )
        for each in entry["surrogates"]
    ]
    return Landscape(
        state=entry["state"],
        kind=entry["kind"],
        x=np.array(entry["x"], float),
        y=np.array(entry["y"], float),
        axes=tuple(entry["axes"]),
        q=np.array(entry["q"], float),  # None becomes NaN
        valid=np.array(entry["valid"], bool),
        proposals=tuple(Point(**each) for each in entry["proposals"]),
        chosen=entry["chosen"],
        highest=Point(**entry["highest"]),
        lowest=entry["lowest"],
        maxima=_count(entry["maxima"]),
        surrogates=tuple(surrogates),
    )


def _count(entry: Mapping[str, int] | None) -> Count | None:
    return None if entry is None else Count(**entry)


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers with DIGITS significant digits, NaN as null."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value
