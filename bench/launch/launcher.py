"""The interface of launchers: what one says about itself, and what it does."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from savo_bench.bench import forecast, room
from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grid import Grid, Queue
from savo_bench.bench.launch.stop import Stopped
from savo_bench.bench.options import Options
from savo_bench.bench.progress import Board
from savo_bench.bench.room import Memory
from savo_bench.results import lock
from savo_bench.results.files import dangling, make_folder
from savo_bench.results.state import CellState

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read when torch and numpy load


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """The options of a launcher that has none of its own."""


class Launcher(ABC):
    """A place where packs are trained, chosen by `--on NAME`.

    Wherever it runs a pack, it runs `savo_bench.bench.worker.train(pack)` in a process of its own, so the results do
    not depend on the launcher. Only `name`, `summary` and `launch` must be given.
    """

    name: ClassVar[str]
    summary: ClassVar[str]  # a few words for the help of --on
    options_type: ClassVar[type] = NoOptions  # a frozen dataclass whose fields have a savo_bench.bench.flags.Flag
    splits: ClassVar[bool] = True  # whether packs are made smaller where workers would be idle otherwise

    def __init__(self, options: Options) -> None:
        """Take the options of `bench run`.

        Raises:
            UserError: they do not fit this launcher.
        """
        self.options = options
        self.own: Any = self.options_type() if options.own is None else options.own  # of `options_type`

    def device(self) -> str:
        """Where the agents compute, "cpu" or "cuda". By default what `--device` and this machine say.

        Raises:
            UserError: it was asked for and is not there.
        """
        asked = self.options.device
        if asked == "cpu":
            return "cpu"
        import torch

        there = torch.cuda.is_available()
        if asked == "cuda" and not there:
            raise UserError(
                "--device cuda: torch sees no GPU here; take --device cpu, or a torch that is built for CUDA"
            )
        return "cuda" if there else "cpu"

    def workers(self, device: str) -> int:  # noqa: ARG002
        """How many packs it trains at a time, for the estimate of `--dry-run`. By default 1."""
        return 1

    def memory(self) -> Memory:
        """What the packs may take, for a warning. By default what is free on this machine."""
        return room.free_memory()

    @classmethod
    def queue(cls, root: Path) -> Queue:  # noqa: ARG003
        """What it knows of the seeds in runs/<name>, for `bench status` and every `bench run`. By default nothing."""
        return Queue()

    @abstractmethod
    def launch(self, grid: Grid, console: Console) -> int:
        """Train what is not done, or hand it to somebody who does; wait for that if asked; returns the exit code.

        Raises:
            Stopped: a signal asked for it.
            UserError: it cannot be done.
        """

    def stopped(self, stopped: Stopped) -> str:  # noqa: ARG002
        """A line for the user after `launch` raised Stopped."""
        return "stopped"


def board(grid: Grid, states: Sequence[CellState], packs: Sequence[Pack], workers: int, console: Console) -> Board:
    """The display of the progress of packs."""
    every = [seed for cell in states for seed in cell.seeds]
    saved = {seed.folder.path: seed.saved for seed in every}
    return Board(
        console,
        seeds=grid.size,
        done=sum(seed.state == "done" for seed in every),
        failed=sum(seed.state == "unreadable" for seed in every),
        workers=workers,
        queue=[
            (
                pack,
                forecast.work(pack, saved.get(pack.folder(pack.seeds[0]), 0)).times(grid.calibration.ratio(pack.cell)),
            )
            for pack in packs
        ],
    )


def check_writable(root: Path) -> str | None:
    """Check, before anything trains, that results can be written; returns a line if there are no locks.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    for folder in (root, *root.parents):
        if folder.is_file():
            raise UserError(f"--runs: {folder} is a file, not a folder; choose another with --runs DIR")
        if (link := dangling(folder)) is not None:
            raise UserError(f"--runs: {link} is a link to {link.readlink()}, which is not there")
    try:
        make_folder(root)
        reason = lock.why_none(root)
    except OSError as error:
        reason = error.strerror or error
        line = f"--runs: cannot write to {root}: {reason}; choose another with --runs DIR"
        raise UserError(line, exit_code=MACHINE) from None
    if reason is None:
        return None
    return (
        f"note: the file system of {root} has no locks ({reason}); files with the owners' heartbeats take their place"
    )
