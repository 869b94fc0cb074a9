"""What is printed: the console, numbers for people, and the tables of seeds."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from savo_bench.results import spent
from savo_bench.results.attempts import doubts_of
from savo_bench.results.format import seed_ranges as seeds
from savo_bench.results.state import STATES, CellState, SeedState, State

WIDE = 200  # ours: columns where the output is a file or a pipe
_TIMES = {"wall": "wall/seed", "cpu": "CPU/seed", "gpu": "GPU/seed"}  # kinds of `spent.Spent`
STYLES: dict[State, str] = {
    "done": "green",
    "running": "cyan",
    "queued": "blue",
    "failed": "red",
    "unreadable": "red",
    "interrupted": "yellow",
    "missing": "yellow",
}


def console(*, stderr: bool = False) -> Console:
    """A console for standard output or standard error, as wide as the terminal; WIDE columns for a file or a pipe.

    Nothing that it prints is read as markup or as the name of an emoji, and only a terminal gets a live display,
    whatever FORCE_COLOR says.
    """
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream is not None and stream.isatty()
    width = None if terminal or "COLUMNS" in os.environ else WIDE
    interactive = None if terminal else False
    return Console(file=stream, width=width, force_interactive=interactive, markup=False, emoji=False, highlight=False)


def printable(text: str) -> str:
    """A text with what is no letter replaced, so that no name and no message steers the terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def line(to: Console, text: str, style: str = "") -> None:
    """Print a text as one line. Only the terminal may break it."""
    to.print(Text(printable(text), style=style), soft_wrap=True)


def paragraph(to: Console, text: str) -> None:
    """Print a text, broken between words where the console ends."""
    to.print(Text(printable(text)))


class PlainTable(Table):
    """A table whose cells are what they are, without markup."""

    def add_row(self, *cells: Any, **given: Any) -> None:
        """Add a row of texts."""
        plain = [Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells]
        super().add_row(*plain, **given)


def table(*columns: str, numbers: Iterable[str] = (), title: str | None = None) -> Table:
    """An empty table with these columns. Those in `numbers` are right-aligned, and their cells stay on one line."""
    heading = None if title is None else Text(printable(title), style="bold")
    made = PlainTable(box=box.SIMPLE_HEAD, title=heading, title_justify="left", pad_edge=False)
    right = set(numbers)
    for column in columns:
        if column in right:
            made.add_column(Text(printable(column)), justify="right", no_wrap=True)
        else:
            made.add_column(Text(printable(column)), overflow="fold")
    return made


def cell_table(
    columns: Sequence[str], rows: Sequence[tuple[str, str, Sequence[str | Text]]], width: int, *, wrap: bool = False
) -> RenderableType:
    """A table with a row per cell; where it is wider than `width`, a table per environment.

    Args:
        columns: The names of the numbers' columns.
        rows: Environment, variant and numbers of each cell.
        width: Columns of the terminal.
        wrap: Whether numbers may be broken at spaces.
    """
    widths = [max(map(len, (column, *(str(row[2][at]) for row in rows)))) for at, column in enumerate(columns)]
    labels = [max((len(row[at]) for row in rows), default=0) for at in (0, 1)]
    if sum(widths) + sum(labels) + 3 * (len(columns) + 2) <= width:  # two blanks and a margin a column
        made = table("environment", "variant", *columns, numbers=columns)
        for environment, variant, numbers in rows:
            made.add_row(environment, variant, *numbers)
        return made
    room = max(8, width - sum(widths) - 3 * len(columns) - 2)  # for the variant, so that no column is pushed out
    tables: dict[str, Table] = {}
    for environment, variant, numbers in rows:
        if environment not in tables:
            tables[environment] = table("variant", *columns, numbers=columns, title=environment)
            for column, size in zip(tables[environment].columns, (labels[1], *widths), strict=True):
                column.min_width = None if wrap else min(size, 24, room)  # so that the tables' columns align
            for column in tables[environment].columns[1:]:
                column.no_wrap = not wrap
        tables[environment].add_row(variant, *numbers)
    return Group(*tables.values())


def cut(text: str, width: int) -> str:
    """A text of at most so many columns; what is too long loses its middle."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def count(number: int, thing: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}".replace(",", " ")


def thousands(number: float) -> str:
    """1234567 -> 1.23M, 50000 -> 50k, 999 -> 999: at most five characters."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit * 0.9995:  # so that 999 999 is 1M
            return f"{number / limit:.3g}{unit}"
    return f"{number:.0f}"


def clock(seconds: float | None) -> str:
    """Time to wait: 0:07, 12:34, 5:06:07, 3d 04h."""
    if seconds is None:
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}h"
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute}:{second:02d}"


def span(seconds: float, unit: str = "") -> str:
    """A rough length of time: 40 seconds, 12 minutes, 5.2 hours, 70 days; with a unit: 5.2 core-hours."""
    units = ((120, "second", 1), (7_200, "minute", 60), (172_800, "hour", 3_600), (float("inf"), "day", 86_400))
    name, length = next((name, length) for limit, name, length in units if seconds < limit)
    number = seconds / length
    text = f"{number:.1f}" if name in ("hour", "day") and number < 10 else f"{number:.0f}"
    return f"{text} {unit}{name}{'' if text == '1' else 's'}"


def size(number: float) -> str:
    """Bytes: 512 B, 1.2 MB, 3.4 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1_000:
            return f"{number:.3g} {unit}"
        number /= 1_000
    return f"{number:.3g} TB"


def decimal(number: float | None) -> str:
    """A return or a rate: 9354, 37.2, 0.52."""
    if number is None:
        return "–"
    magnitude = abs(number)
    return f"{number:.0f}" if magnitude >= 100 else f"{number:.1f}" if magnitude >= 10 else f"{number:.2f}"


def states_table(cells: Sequence[CellState], width: int) -> RenderableType:
    """How many seeds of each cell are in each state, and what a seed that is done took, where that was recorded.

    The columns done, failed and missing are always there, the others where a seed is in their state.
    """
    there = {seed.state for cell in cells for seed in cell.seeds} | {"done", "failed", "missing"}
    states: list[State] = [state for state in STATES if state in there]
    rows = []
    took = [spent.mean(seed.spent for seed in cell.seeds if seed.state == "done") for cell in cells]
    kinds = [kind for kind in spent.Spent._fields if any(getattr(each, kind) > 0 for each in took)]
    for cell, each in zip(cells, took, strict=True):
        counts = cell.count()
        numbers = [Text(str(counts[state]), style=STYLES[state] if counts[state] else "") for state in states]
        times = [Text(spent.duration(getattr(each, kind))) for kind in kinds]
        rows.append((cell.environment, cell.variant, numbers + times))
    return cell_table([*states, *(_TIMES[kind] for kind in kinds)], rows, width)


def reasons(cells: Iterable[CellState]) -> list[tuple[str, str]]:
    """Lines, each with its style, that say why seeds are not done; seeds of a cell with one reason share a line."""
    lines = []
    for cell in cells:
        alike: dict[tuple[State, str], list[SeedState]] = {}
        for seed in cell.seeds:
            if seed.state not in ("done", "missing") or (seed.state == "missing" and seed.reason):
                alike.setdefault((seed.state, _what(seed)), []).append(seed)
        for (state, what), members in alike.items():
            numbers = seeds([member.seed for member in members])
            word = "seed" if len(members) == 1 else "seeds"
            lines.append((f"{cell.environment} {cell.variant} {word} {numbers}: {what}", STYLES[state]))
    return lines


def doubts(cells: Iterable[CellState]) -> list[str]:
    """Lines that name the cells of which seeds were made by other processors, versions or code than others."""
    return [f"{cell.environment} {cell.variant} {phrase}" for cell in cells for phrase in doubts_of(cell.seeds)]


def _what(seed: SeedState) -> str:
    """The state of a seed, its step and its reason."""
    at = f" at step {seed.step} of {seed.steps}" if seed.steps else ""
    if seed.state == "failed":
        said = f"step {seed.step}:" in str(seed.reason)
        return f"failed{'' if said else at}: {seed.reason}"
    if seed.state == "unreadable":
        return f"unreadable: {seed.reason}"
    if seed.state == "running":
        return f"running{at} ({seed.reason or seed.who})"
    if seed.state == "queued":
        return f"queued{at} ({seed.reason})"
    why = f": {seed.reason}" if seed.reason else ""
    return f"{seed.state}{at}{why}; the same `bench run` resumes it"
