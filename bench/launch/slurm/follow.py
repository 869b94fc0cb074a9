"""`bench run --on slurm --wait`: the progress of tasks, until none is left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.grid import Grid
from savo_bench.bench.launch.launcher import board
from savo_bench.bench.launch.slurm.queue import NAME, POLL, SlurmQueue, Task
from savo_bench.bench.launch.slurm.records import Planned
from savo_bench.bench.launch.stop import Stop
from savo_bench.bench.progress import Board
from savo_bench.results.state import CellState, state_of


@dataclass
class _Followed:
    """A pack on the board."""

    pack: Pack
    tasks: tuple[str, ...]  # those that may train it
    running: bool = False
    ended: bool = False


@dataclass
class _Follower:
    """Shows on a board what the queue says."""

    board: Board
    packs: list[_Followed]
    looked: float = field(default_factory=time.time)  # when the queue was asked last

    def tell(self, tasks: Sequence[Task]) -> None:
        """Start and end packs on the board. If a task is not among those given, all seeds of its array are done."""
        found = {task.id: task for task in tasks}
        for followed in self.packs:
            if followed.ended:
                continue
            mine = [found[name] for name in followed.tasks if name in found]
            active = any(task.active for task in mine)
            runs = any(_trains(task, followed.pack) for task in mine)
            if not followed.running and (runs or not active):
                self.board.started(followed.pack, followed.pack, since=self.looked)
                followed.running = True
            if followed.running and not runs:
                self.board.ended(followed.pack, _problem(mine, followed.pack))
                followed.running = False
                followed.ended = not active
        self.looked = time.time()


def _trains(task: Task, pack: Pack) -> bool:
    """Whether a task trains a pack."""
    if not task.active or task.waits:
        return False
    return not task.shared or "running" in _states(pack)


def _states(pack: Pack) -> set[str]:
    return {state_of(seed_folder(pack.root, pack.cell, seed)).state for seed in pack.seeds}


def _problem(tasks: Sequence[Task], pack: Pack) -> str | None:
    """Why no task trains a pack any more, unless it has nothing left to do."""
    if not tasks:
        return None
    task = next((task for task in tasks if task.active), tasks[0])
    if task.active and not task.shared:
        return f"job {task.id} is queued again"
    if not _states(pack) & {"missing", "interrupted"}:
        return None
    return f"job {task.id} left it" if task.active else task.verdict


def follow(grid: Grid, queue: SlurmQueue, console: Console, stop: Stop) -> None:
    """Show the progress of a grid's tasks until none is queued or running.

    Raises:
        Stopped: a signal came.
    """
    states = grid.look()
    followed = _followed(grid, states, queue)
    workers = min(grid.workers, max(1, len(followed)))
    shown = board(grid, states, [each.pack for each in followed], workers, console)
    follower = _Follower(shown, followed)
    with shown:
        while any(seed.state in ("running", "queued") for cell in states for seed in cell.seeds):
            if not queue.problem:
                follower.tell(queue.tasks)
            stop.pause(POLL)
            states = grid.look()
        follower.tell(queue.tasks)


def _followed(grid: Grid, states: Sequence[CellState], queue: SlurmQueue) -> list[_Followed]:
    """The packs of active tasks, as far as they belong to the grid and are not done."""
    tasks: dict[tuple[Path, Planned], list[str]] = {}
    for task in queue.tasks:
        for planned in task.planned if task.active else ():
            tasks.setdefault((task.submission.folder, planned), []).append(task.id)
    found = ((_pack(grid, states, planned), tuple(ids)) for (_, planned), ids in tasks.items())
    return [_Followed(pack, ids) for pack, ids in found if pack is not None]


def _pack(grid: Grid, states: Sequence[CellState], planned: Planned) -> Pack | None:
    """The seeds of a pack that belong to the grid and are not done."""
    environment, variant, seeds = planned
    for cell, state in zip(grid.cells, states, strict=True):
        if (cell.env_label, cell.variant) == (environment, variant):
            left = tuple(seed.seed for seed in state.seeds if seed.seed in seeds and seed.state != "done")
            every = grid.options.checkpoint_every
            return Pack(cell, left, grid.root, grid.device, every, NAME) if left else None
    return None
