"""`bench run --on slurm --wait`: the progress of tasks, until none is left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console

from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.grid import Grid
from savo_bench.bench.launch.launcher import board
from savo_bench.bench.launch.slurm.queue import NAME, POLL, SlurmQueue, Task
from savo_bench.bench.launch.stop import Stop
from savo_bench.bench.progress import Board
from savo_bench.results.state import CellState, state_of


@dataclass
class _Followed:
    """A task on the board."""

    pack: Pack
    running: bool = False
    ended: bool = False


@dataclass
class _Follower:
    """Shows on a board what the queue says."""

    board: Board
    tasks: dict[str, _Followed]
    looked: float = field(default_factory=time.time)  # when the queue was asked last

    def tell(self, tasks: Sequence[Task]) -> None:
        """Start and end packs on the board. If a task is not among those given, all seeds of its array are done."""
        found = {task.id: task for task in tasks}
        for name, followed in self.tasks.items():
            if followed.ended:
                continue
            task = found.get(name)
            active = task is not None and task.active
            runs = active and not (task and task.waits)
            if not followed.running and (runs or not active):
                self.board.started(followed.pack, followed.pack, since=self.looked)
                followed.running = True
            if followed.running and not runs:
                self.board.ended(followed.pack, _problem(task, followed.pack))
                followed.running = False
                followed.ended = not active
        self.looked = time.time()


def _problem(task: Task | None, pack: Pack) -> str | None:
    """Why a task does not run any more, unless it has nothing left to do."""
    if task is None:
        return None
    if task.active:
        return f"job {task.id} is queued again"
    states = {state_of(seed_folder(pack.root, pack.cell, seed)).state for seed in pack.seeds}
    return task.verdict if states & {"missing", "interrupted"} else None


def follow(grid: Grid, queue: SlurmQueue, console: Console, stop: Stop) -> None:
    """Show the progress of a grid's tasks until none is queued or running.

    Raises:
        Stopped: a signal came.
    """
    states = grid.look()
    packs = {task.id: pack for task in queue.tasks if task.active and (pack := _pack(grid, states, task))}
    workers = min(grid.workers, max(1, len(packs)))
    shown = board(grid, states, list(packs.values()), workers, console)
    follower = _Follower(shown, {task: _Followed(pack) for task, pack in packs.items()})
    with shown:
        while any(seed.state in ("running", "queued") for cell in states for seed in cell.seeds):
            if not queue.problem:
                follower.tell(queue.tasks)
            stop.pause(POLL)
            states = grid.look()
        follower.tell(queue.tasks)


def _pack(grid: Grid, states: Sequence[CellState], task: Task) -> Pack | None:
    """The seeds of a task that belong to the grid and are not done."""
    environment, variant, seeds = task.planned
    for cell, state in zip(grid.cells, states, strict=True):
        if (cell.env_label, cell.variant) == (environment, variant):
            left = tuple(seed.seed for seed in state.seeds if seed.seed in seeds and seed.state != "done")
            every = grid.options.checkpoint_every
            return Pack(cell, left, grid.root, grid.device, every, NAME) if left else None
    return None
