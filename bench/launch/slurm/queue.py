"""What SLURM knows of the seeds under a name: the records of what was submitted, joined with what squeue says.

Whether a seed is done is read from its files; the queue tells only what waits from what was lost. If the queue cannot
be asked, no state is claimed and nothing is submitted.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from savo_bench.bench import grid
from savo_bench.bench.launch.slurm import nodes
from savo_bench.bench.launch.slurm.commands import SlurmProblem, call
from savo_bench.bench.launch.slurm.records import NAME, Planned, Submission, submissions
from savo_bench.results.format import launcher_folder
from savo_bench.results.state import CellState, QueueEntry, SeedState, state_of

POLL = 5.0  # seconds between two looks at the queue; ours: a controller that thousands share is asked sparingly

# States of squeue's manual page in which a job does not come back by itself.
ENDED = {
    "BOOT_FAIL": "died, as its node did not boot",
    "CANCELLED": "was cancelled",
    "COMPLETED": "ended",
    "DEADLINE": "missed its deadline",
    "FAILED": "died",
    "NODE_FAIL": "died with its node",
    "OUT_OF_MEMORY": "died, out of memory",
    "PREEMPTED": "was preempted and not requeued",
    "REVOKED": "was revoked",
    "TIMEOUT": "ran into its time limit",
    "": "is gone from the queue",
}
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")


@dataclass(frozen=True)
class Task:
    """A task of an array as SLURM has it."""

    submission: Submission
    index: int
    job: str | None
    state: str  # squeue's word, empty if the queue does not hold it
    reason: str = ""  # why it waits

    @property
    def planned(self) -> list[Planned]:
        """The packs that it may train."""
        return [self.submission.packs[index] for index in self.submission.shares[self.index]]

    @property
    def shared(self) -> bool:
        """Whether it trains some of its packs after others."""
        return len(self.submission.shares[self.index]) > self.submission.processes

    @property
    def id(self) -> str:
        """Its number as scancel takes it: 12_3, or 12 for an array of one."""
        job = self.job or "?"
        return f"{job}_{self.index}" if len(self.submission.shares) > 1 else job

    @property
    def active(self) -> bool:
        """Whether it runs or will."""
        return self.state not in ENDED

    @property
    def waits(self) -> bool:
        """Whether it has yet to start, or to start again."""
        return self.state in WAITING

    @property
    def verdict(self) -> str:
        """How it ended, in words."""
        log = self.submission.folder / f"{self.id}_0_log.err"
        output = f"; its output is in {log}" if log.exists() else ""
        return f"job {self.id} {ENDED[self.state]}{output}"

    @property
    def entry(self) -> QueueEntry:
        """What the queue says of its seeds."""
        if not self.active:
            return QueueEntry(NAME, self.id, "ended", self.verdict)
        if self.waits:
            return QueueEntry(NAME, self.id, "waiting", f"job {self.job}: {self.reason}")
        if self.shared and self.state == "RUNNING":
            return QueueEntry(NAME, self.id, "waiting", f"job {self.id} trains other seeds first")
        doing = "starting" if self.state == "RUNNING" else self.state.lower()
        return QueueEntry(NAME, self.id, "active", f"job {self.id} is {doing}")


class SlurmQueue(grid.Queue):
    """The tasks of the seeds in runs/<name>, asked of SLURM no more often than every few seconds."""

    def __init__(self, root: Path, every: float = POLL) -> None:
        """Take runs/<name>, which need not exist yet, and the seconds between two questions."""
        self.root, self.every = root, every
        self.tasks: list[Task] = []  # of the submissions that have seeds which are not done
        self.problem: str | None = None  # why SLURM could not be asked
        self._asked = -float("inf")
        self._names: frozenset[str] = frozenset()

    def join(self, cells: Sequence[CellState]) -> list[CellState]:
        """The same cells with what squeue adds: which seeds are queued, which will come back, which were lost.

        Raises:
            UserError: a record of a submission is unreadable.
        """
        if not launcher_folder(self.root, NAME).is_dir():
            return list(cells)
        undone = {seed.folder.path for cell in cells for seed in cell.seeds if seed.state != "done"}
        self._look([each for each in submissions(self.root) if undone & each.folders(self.root)])
        latest: dict[Path, Task] = {}
        for task in self.tasks:
            if task.job is None:  # whoever wanted to submit it died before it did
                continue
            for folder in (folder for planned in task.planned for folder in planned.folders(self.root)):
                if folder not in latest or not latest[folder].active:
                    latest[folder] = task
        if self.problem:
            return list(cells)
        return [replace(cell, seeds=tuple(_joined(seed, latest) for seed in cell.seeds)) for cell in cells]

    def unknown(self) -> list[str]:
        """Jobs of which nobody can say whether they still wait or run."""
        return sorted({task.submission.job or task.submission.name for task in self.tasks}) if self.problem else []

    def notes(self) -> list[str]:
        """Lines about a SLURM that could not be asked, and about nodes that failed."""
        jobs = self.unknown()
        unknown = [f"{self.problem}; what became of job {', '.join(jobs)} is not known"] if jobs else []
        return unknown + nodes.notes(self.root)

    def _look(self, submitted: Sequence[Submission]) -> None:
        """Ask SLURM, unless it was asked just now about the same."""
        names = frozenset(each.name for each in submitted)
        if names == self._names and time.monotonic() < self._asked + self.every:
            return
        self._names, self.problem = names, None
        if not submitted:
            self.tasks = []
            return
        try:
            self.tasks = _tasks(submitted)
        except SlurmProblem as error:
            self.problem = str(error)
            self.tasks = [Task(each, index, each.job, "") for each in submitted for index in range(len(each.shares))]
        self._asked = time.monotonic()


def _joined(seed: SeedState, latest: Mapping[Path, Task]) -> SeedState:
    """A seed that is judged again if it has a task, which may have ended since."""
    task = latest.get(seed.folder.path)
    return seed if task is None or seed.state == "done" else state_of(seed.folder, queue=task.entry)


def _tasks(submitted: Sequence[Submission]) -> list[Task]:
    """Every task of some submissions as SLURM has it.

    Raises:
        SlurmProblem: squeue fails.
    """
    by_name = {each.name: each for each in submitted}
    # By name, since squeue calls it an error to be asked for a number that it has forgotten. All states, since it
    # remembers for some minutes how a job ended, which without accounting nobody else does.
    listed = call(
        "squeue", "--noheader", "--array", "--states=all", f"--name={','.join(by_name)}", "--format=%F|%K|%T|%r|%j"
    )
    found: dict[tuple[str, int], Task] = {}
    for line in listed.splitlines():
        if line.count("|") < 4:  # a cluster's name, where SLURM_CLUSTERS names one
            continue
        job, index, state, reason, name = (part.strip() for part in line.split("|", 4))
        submission = by_name.get(name)
        number = int(index) if index.isdigit() else 0
        if submission and number < len(submission.shares):
            found[name, number] = Task(submission, number, job, state, reason)
    every = [(each, index) for each in submitted for index in range(len(each.shares))]
    numbers = {name: task.job for (name, _), task in found.items()}
    gone = {each.job for each, index in every if (each.name, index) not in found and each.job}
    ended = _ended(gone)
    return [
        found.get((each.name, index))
        or Task(each, index, each.job or numbers.get(each.name), ended.get(Task(each, index, each.job, "").id, ""))
        for each, index in every
    ]


def _ended(jobs: Iterable[str]) -> dict[str, str]:
    """States of tasks that squeue has forgotten, as far as the accounting knows them: {"12_3": "FAILED"}."""
    numbers = sorted(jobs)
    if not numbers:
        return {}
    try:
        listed = call(
            "sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={','.join(numbers)}", "--format=JobID,State"
        )
    except SlurmProblem:  # many clusters keep no accounting
        return {}
    states = {}
    for line in listed.splitlines():
        task, _, words = line.partition("|")
        state = words.split()[0] if words.split() else ""  # "CANCELLED by 1000"
        if re.fullmatch(r"\d+(_\d+)?", task) and state in ENDED:
            states[task] = state
    return states
