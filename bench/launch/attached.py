"""What launchers have in common that train for as long as `bench run` runs, and end with it."""

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from savo_bench.bench import run_directory, show
from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.grid import Grid, Problems, announcement, conclude
from savo_bench.bench.launch.launcher import Launcher, board, check_writable
from savo_bench.bench.launch.stop import Stop, Stopped
from savo_bench.bench.progress import Board
from savo_bench.results.state import SeedState

WAIT = 2.0  # seconds between two looks at seeds that another process trains

Claim = Callable[[Pack], Pack | None]  # a pack without the seeds that need no training any more, None if none is left


class Attached(Launcher):
    """A launcher that trains packs until all are done."""

    @abstractmethod
    def train(self, packs: Sequence[Pack], workers: int, claim: Claim, board: Board, stop: Stop) -> Problems:
        """Train what `claim` leaves of every pack, in order, `workers` at a time.

        Raises:
            Stopped: a signal asked for it; everything is saved, unless it says otherwise.
        """

    def launch(self, grid: Grid, console: Console) -> int:
        """Train everything that is not done, also what another process leaves undone; returns the exit code.

        Raises:
            Stopped: a signal came.
            UserError: nothing can be written; an environment cannot be made.
        """
        _, lines = announcement(grid, grid.look())
        if note := check_writable(grid.root):
            lines.append((note, "yellow"))
        for text, style in lines:
            show.line(console, text, style)
        with Stop() as stop:
            run_directory.ask(grid.root, grid.cells, grid.seeds)
            problems = self._train_all(grid, console, stop)
        return conclude(grid, problems, console)

    def stopped(self, stopped: Stopped) -> str:
        """Whether everything is saved, and how to resume."""
        if stopped.killed:
            return "stopped: what came after the last checkpoints is lost; run the same command again to resume"
        return "stopped: everything is saved; run the same command again to resume"

    def _train_all(self, grid: Grid, console: Console, stop: Stop) -> Problems:
        """Train, wait for the seeds that other processes train, and train those too if their process dies."""
        problems: Problems = {}
        tried: set[Path] = set()  # once each: what fails twice in a row fails a third time
        elsewhere: set[Path] = set()  # seeds that others were seen to train
        waiting_for: set[str] = set()
        while True:
            states = grid.look()
            every = [seed for cell in states for seed in cell.seeds]
            failed_elsewhere = {seed.folder.path for seed in every if seed.state == "failed"} & elsewhere
            packs = grid.packs(states, skip=tried | failed_elsewhere)
            if packs:
                shown = board(grid, states, packs, grid.workers, console)
                with shown:
                    problems |= self.train(packs, grid.workers, grid.claim, shown, stop)
                tried |= {seed_folder(grid.root, pack.cell, seed).path for pack in packs for seed in pack.seeds}
                continue
            running = [seed for seed in every if seed.state in ("running", "queued")]
            if not running:
                return problems
            tried -= {seed.folder.path for seed in running}
            elsewhere |= {seed.folder.path for seed in running}
            owners = {seed.who for seed in running}
            if owners - waiting_for:
                text = f"waiting for {show.count(len(running), 'seed')} that another process trains: "
                show.line(console, text + "; ".join(sorted({f"{seed.who}{_heard(seed)}" for seed in running})))
                waiting_for |= owners
            stop.pause(WAIT)


def _heard(seed: SeedState) -> str:
    """When a seed's process wrote that it lives, by this machine's clock; empty where it did not say."""
    heartbeat = seed.status.get("heartbeat") if seed.status else None
    if heartbeat is None:
        return ""
    since = time.time() - heartbeat
    return f", heartbeat {show.span(abs(since))} {'ago' if since >= 0 else 'ahead of this clock'}"
