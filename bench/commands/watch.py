"""`bench report --watch`: the report of a grid that trains, written again whenever there is something new."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from savo_bench.bench import run_directory, show
from savo_bench.bench.errors import INTERRUPTED, UserError
from savo_bench.results.format import COMPARISONS, GAPS
from savo_bench.results.report import Report
from savo_bench.results.state import CellState, survey

EVERY = 10  # seconds between two looks, and after which an open page reads its file again. ours
SHARE = 0.1  # of the time, at most, that writing takes, as it takes it from the training. ours
ENDED = ("done", "failed", "unreadable")  # states that only a new command would change


def watching(
    roots: Sequence[Path],
    write: Callable[[int | None], Report],
    console: Console,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Write a report again and again until every seed is done or has failed; the last one is an ordinary report.

    While seeds train the page reads its file again by itself; that of the last report does not.

    Args:
        roots: The folders of the names, `runs/<name>`.
        write: Writes the report; its argument is after how many seconds an open page reads its file again.
        console: Gets a line whenever it is written.
        sleep: Waits for some seconds.

    Raises:
        UserError: Ctrl-C ended it, after the ordinary report was written; or as `write`.
    """
    seen: Any = None
    try:
        while True:
            with run_directory.reading():
                cells = [cell for root in roots for cell in survey(root)]
                now = _fingerprint(roots, cells)
            if _ended(cells):
                break
            took = 0.0
            if now != seen:
                seen, start = now, time.monotonic()
                report = write(EVERY)
                took = time.monotonic() - start
                show.line(console, f"{_progress(cells)}; written: {report.files[0]}; Ctrl-C ends this")
            sleep(max(EVERY, took * (1 / SHARE - 1)))
    except KeyboardInterrupt:
        report = write(None)
        line = f"stopped by Ctrl-C; the report has all that was there: {report.files[0]}"
        raise UserError(line, exit_code=INTERRUPTED) from None
    return write(None)


def _ended(cells: list[CellState]) -> bool:
    """Whether nothing more will come."""
    return all(seed.state in ENDED for cell in cells for seed in cell.seeds)


def _fingerprint(roots: Sequence[Path], cells: list[CellState]) -> list[Any]:
    """What a report depends on: the states of all seeds, and the sizes of files that grow; not heartbeats."""
    found: list[Any] = [_size(root / name) for root in roots for name in (COMPARISONS, GAPS)]
    for cell in cells:
        for seed in cell.seeds:
            found.append((seed.folder.path, seed.state, seed.reason, _size(seed.folder.evals_csv)))
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _progress(cells: list[CellState]) -> str:
    """`12 of 60 seeds are done, 4 train`."""
    states = [seed.state for cell in cells for seed in cell.seeds]
    return f"{states.count('done')} of {len(states)} seeds are done, {states.count('running')} train"
