"""A `bench run --on slurm`: hand what is missing to SLURM, and follow it to its end if asked."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console

from savo_bench.bench import cost, grid, jobs, run_directory, show
from savo_bench.bench.errors import UserError
from savo_bench.bench.grid import Grid
from savo_bench.bench.jobs import Task
from savo_bench.bench.launch import Stop, Stopped, slurm
from savo_bench.bench.plan import Pack, seed_folder
from savo_bench.bench.progress import Board
from savo_bench.results.state import CellState, state_of


def run(planned: Grid, console: Console) -> int:
    """Submit everything that was asked for and is neither done nor queued nor running; returns the exit code.

    0: submitted, or, if that was waited for, done. 1: not everything is done that was waited for, or will be: a seed is
    unreadable, an environment is left out. 130, 143: not waited for any more, after Ctrl-C or SIGTERM.

    Raises:
        UserError: SLURM refuses, or cannot say what it has already; nothing can be written.
    """
    grid.check_writable(planned.root)
    try:
        with Stop() as stop:
            code = _submit(planned, console, stop)
            if code is not None:
                return code
            _follow(planned, console, stop)
    except Stopped as stopped:
        show.line(console, "stopped following; what was submitted goes on, and `bench status` shows it", "yellow")
        return stopped.exit_code
    except OSError as error:  # a full disk
        raise UserError(f"{error.filename or planned.root}: {error.strerror}", exit_code=1) from None
    return grid.conclude(planned, {}, console)


def _submit(planned: Grid, console: Console, stop: Stop) -> int | None:
    """Submit what nobody has in hand; the exit code, None if there is something that is to be followed."""

    def wait() -> None:
        stop.check()
        show.line(console, "waiting for another `bench run` that is submitting")

    with jobs.submitting(planned.root, wait):
        states = planned.look()
        if grid.nothing_to_do(planned, states, console):
            return planned.exit_code
        if unknown := planned.jobs.unknown():
            what = f"job {', '.join(unknown)} may still have seeds; nothing was submitted, try again"
            raise UserError(f"{planned.jobs.problem}: {what}", exit_code=1)
        packs, lines = grid.announcement(planned, states)
        for text, style in lines:
            show.line(console, text, style)
        run_directory.ask(planned.root, planned.cells, planned.seeds)
        submitted = slurm.submit(planned.root, packs, planned.options.slurm) if packs else []
    if submitted:
        numbers = ", ".join(str(each.job) for each in submitted)
        tasks = show.count(len(packs), "task")
        show.line(console, f"submitted {tasks} as job {numbers}; `{slurm.cancel_line(submitted)}` cancels", "green")
    else:
        show.line(console, "nothing to submit: what can be trained is done, queued or running")
    if planned.options.wait:
        return None
    unreadable = [
        replace(cell, seeds=tuple(seed for seed in cell.seeds if seed.state == "unreadable")) for cell in states
    ]
    for text, style in show.reasons(unreadable):
        show.line(console, text, style)
    show.line(console, "`bench status` says how they stand; --wait follows them")
    return 1 if any(cell.seeds for cell in unreadable) else planned.exit_code


@dataclass
class _Followed:
    """A task on the board."""

    pack: Pack
    running: bool = False
    ended: bool = False


@dataclass
class _Follower:
    """Tells a board what the queue says."""

    board: Board
    tasks: dict[str, _Followed]
    looked: float = field(default_factory=time.time)  # when the queue was asked last

    def tell(self, tasks: Sequence[Task]) -> None:
        """Start and end packs on the board. A task that is not among those given belongs to an array that is done."""
        found = {task.id: task for task in tasks}
        for name, followed in self.tasks.items():
            if followed.ended:
                continue
            task, key = found.get(name), id(followed.pack)
            active = task is not None and task.active
            runs = active and not (task and task.waits)
            if not followed.running and (runs or not active):
                self.board.started(followed.pack, key, since=self.looked)
                followed.running = True
            if followed.running and not runs:
                self.board.ended(key, _problem(task, followed.pack))
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


def _follow(planned: Grid, console: Console, stop: Stop) -> None:
    """Show how the tasks get on until none is queued or running.

    Raises:
        Stopped: a signal came.
    """
    states = planned.look()
    every = [seed for cell in states for seed in cell.seeds]
    packs = {task.id: pack for task in planned.jobs.tasks if task.active and (pack := _pack(planned, states, task))}
    board = Board(
        console,
        seeds=planned.size,
        done=sum(seed.state == "done" for seed in every),
        failed=sum(seed.state == "unreadable" for seed in every),
        workers=min(planned.workers, max(1, len(packs))),
        queue=[(pack, cost.pack_seconds(pack)) for pack in packs.values()],
    )
    follower = _Follower(board, {task: _Followed(pack) for task, pack in packs.items()})
    with board:
        while any(seed.state in ("running", "queued") for cell in states for seed in cell.seeds):
            if not planned.jobs.problem:
                follower.tell(planned.jobs.tasks)
            grid.pause(stop, jobs.POLL)
            states = planned.look()
        follower.tell(planned.jobs.tasks)


def _pack(planned: Grid, states: Sequence[CellState], task: Task) -> Pack | None:
    """What of a task belongs to the grid and is not done."""
    environment, variant, seeds = task.planned
    for cell, state in zip(planned.cells, states, strict=True):
        if (cell.env_label, cell.variant) == (environment, variant):
            left = tuple(seed.seed for seed in state.seeds if seed.seed in seeds and seed.state != "done")
            options = planned.options
            return (
                Pack(cell, left, planned.root, planned.device, options.checkpoint_every, options.on) if left else None
            )
    return None
