"""Grids of the stand-in's cells, and what tests of launchers ask about them."""

import io
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_training import FakeConfig
from rich.console import Console

from savo_bench.bench import launch, show
from savo_bench.bench.cells import Budget, Cell
from savo_bench.bench.commands import run as verb
from savo_bench.bench.grid import Grid
from savo_bench.bench.options import Options


def cell_of(name: str = "fake", steps: int = 4, **config) -> Cell:
    fields = FakeConfig(**config)
    return Cell("hopper", {}, name, fields, {}, Budget("ci", steps, 1, 1))


def grid_of(root: Path, *cells: Cell, seeds: int = 2, workers: int = 2, **options: Any) -> Grid:
    usual: dict[str, Any] = {"name": root.name, "runs": root.parent, "pack": 1}
    opted = Options(**usual | options)
    queues = launch.queues(opted.root)
    return Grid(opted, cells or (cell_of(),), tuple(range(seeds)), "cpu", workers, queues=queues)


def run(grid: Grid) -> tuple[int, str]:
    """Exit code and output of a grid, where there is no terminal."""
    output = io.StringIO()
    console = Console(file=output, width=show.WIDE, highlight=False)
    return verb.run(grid, launch.create(grid.options), console), output.getvalue()


def states(grid: Grid) -> list[str]:
    return [seed.state for cell in grid.look() for seed in cell.seeds]


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def pids(root: Path) -> list[int]:
    """Processes that have trained, in the order in which they began."""
    return [int(line.split()[3]) for line in (root / "attempts.txt").read_text().splitlines()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # ended; nobody has asked how


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What a process prints, up to the first line that begins with a text."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if line.startswith(text):
            return read
    raise AssertionError(read)
