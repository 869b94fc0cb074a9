"""What `bench run --on slurm` does: submit what nobody has in hand, and follow it if asked."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from savo_bench.bench import run_directory, show
from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grid import Grid, announcement, conclude, nothing_to_do
from savo_bench.bench.launch.launcher import Launcher, check_writable
from savo_bench.bench.launch.slurm.follow import follow
from savo_bench.bench.launch.slurm.options import SlurmOptions
from savo_bench.bench.launch.slurm.queue import NAME, SlurmQueue
from savo_bench.bench.launch.slurm.records import Submission, submitting
from savo_bench.bench.launch.slurm.submit import cancel_line, submit
from savo_bench.bench.launch.stop import Stop, Stopped
from savo_bench.bench.options import Options
from savo_bench.bench.room import Memory


class Slurm(Launcher):
    """Hands packs to SLURM. What is submitted is trained whether the command still runs or not."""

    name = NAME
    summary = "tasks of an array job"
    options_type = SlurmOptions
    splits = False  # a cluster has more CPUs than there are packs: a task gets as many seeds as it may

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.own: SlurmOptions = self.own
        if options.workers is not None:
            limit = "SLURM's tasks are limited by --array-parallelism instead"
            raise UserError(f"--workers {options.workers}: {limit}")

    def device(self) -> str:
        """What the tasks will have. What this host has says nothing of the nodes."""
        asked = self.options.device
        return "cuda" if asked == "cuda" or (asked == "auto" and self.own.wants_gpu) else "cpu"

    def workers(self, device: str) -> int:  # noqa: ARG002
        """The largest number of packs that are trained at a time."""
        return self.own.array_parallelism * self.own.packs_per_task

    def memory(self) -> Memory:
        """What a task gets, where `--mem` asks for it."""
        return Memory(self.own.memory, f"--mem {self.own.mem}", packs=self.own.packs_per_task)

    @classmethod
    def queue(cls, root: Path) -> SlurmQueue:
        """The tasks that SLURM has of runs/<name>."""
        return SlurmQueue(root)

    def launch(self, grid: Grid, console: Console) -> int:
        """Submit everything that is neither done nor queued nor running; returns the exit code.

        0: submitted, or, with `--wait`, done. 1: not every seed is done, or will be: a seed is unreadable, an
        environment is left out.

        Raises:
            Stopped: a signal came, and the tasks are no longer followed.
            UserError: SLURM refuses, or cannot say what it has already; nothing can be written.
        """
        if note := check_writable(grid.root):
            show.line(console, note, "yellow")
        queue = grid.queues[NAME]
        assert isinstance(queue, SlurmQueue)
        with Stop() as stop:

            def wait() -> None:
                stop.check()
                show.line(console, "waiting for another `bench run` that is submitting")

            code = self._submit(grid, queue, console, wait)
            if code is not None:
                return code
            follow(grid, queue, console, stop)
        return conclude(grid, {}, console)

    def stopped(self, stopped: Stopped) -> str:  # noqa: ARG002
        """What happens to the tasks."""
        return "stopped following; what was submitted continues, and `bench status` shows it"

    def _submit(self, grid: Grid, queue: SlurmQueue, console: Console, wait: Callable[[], None]) -> int | None:
        """Submit what nobody has in hand; returns the exit code, None if tasks are to be followed."""
        with submitting(grid.root, wait):
            states = grid.look()
            if nothing_to_do(grid, states, console):
                return grid.exit_code
            if unknown := queue.unknown():
                what = f"job {', '.join(unknown)} may still have seeds; nothing was submitted, try again"
                raise UserError(f"{queue.problem}: {what}", exit_code=MACHINE)
            packs, lines = announcement(grid, states)
            for text, style in lines:
                show.line(console, text, style)
            run_directory.ask(grid.root, grid.cells, grid.seeds)
            submitted, refused = submit(grid.root, packs, self.own) if packs else ([], [])
        if submitted:
            show.line(console, _submitted(submitted), "green")
            for text in _remarks(submitted, refused):
                show.line(console, text, "yellow")
        else:
            show.line(console, "nothing to submit: what can be trained is done, queued or running")
        if self.options.wait:
            return None
        unreadable = [
            replace(cell, seeds=tuple(seed for seed in cell.seeds if seed.state == "unreadable")) for cell in states
        ]
        for text, style in show.reasons(unreadable):
            show.line(console, text, style)
        show.line(console, "`bench status` says how they stand; --wait follows them")
        return 1 if refused or any(cell.seeds for cell in unreadable) else grid.exit_code


def _submitted(submitted: Sequence[Submission]) -> str:
    numbers = ", ".join(str(each.job) for each in submitted)
    tasks, packs = (sum(map(len, found)) for found in zip(*((s.shares, s.packs) for s in submitted), strict=True))
    of = "" if tasks == packs else f" for {show.count(packs, 'pack')}"
    return f"submitted {show.count(tasks, 'task')}{of} as job {numbers}; `{cancel_line(submitted)}` cancels"


def _remarks(submitted: Sequence[Submission], refused: Sequence[Pack]) -> list[str]:
    """What the user may not expect of the tasks."""
    found = []
    if any(len(share) > each.processes for each in submitted for share in each.shares):
        found.append("SLURM takes no more tasks of yours: each trains one pack after the other")
    if refused:
        left = show.count(len(refused), "pack")
        found.append(f"SLURM takes no more tasks of yours: {left} not submitted; the same command does it later")
    return found
