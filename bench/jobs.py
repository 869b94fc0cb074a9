"""What SLURM knows of the seeds: the arrays that were submitted for a name, joined with its queue.

    runs/<name>/slurm/<id>/submission.json   an array: the name and the number of its job, and the seeds of every task
    runs/<name>/slurm/<id>/                  beside it submitit's own: batch script, pickled packs, output
    runs/<name>/slurm/lock                   held while somebody submits

A submission is written before its array is handed to SLURM and is found in the queue by a job's name that no other job
has, so that a process that dies between the two leaves nothing unknown behind. Done is what a seed's files say; the
queue only tells what waits from what was lost. Where it cannot be asked, nothing is claimed and nothing is submitted.
"""

import contextlib
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from savo_bench.bench.errors import UserError
from savo_bench.bench.plan import Pack
from savo_bench.results.files import CorruptFile, read_json, write_json
from savo_bench.results.format import SeedFolder, launcher_folder
from savo_bench.results.lock import acquire
from savo_bench.results.state import CellState, QueueEntry, SeedState, state_of

FOLDER = "slurm"  # the launcher as status.json names it, and its folder
POLL = 5.0  # seconds between two looks at the queue; ours: a controller that thousands share is asked sparingly
PATIENCE = 30.0  # seconds until a command of SLURM counts as hung; ours

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


class SlurmProblem(Exception):
    """A command of SLURM failed, or is not there; the message is one line."""


class Planned(NamedTuple):
    """The seeds of one task, by the labels of their cell."""

    environment: str
    variant: str
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Submission:
    """An array as it was submitted."""

    folder: Path
    name: str  # of the job
    job: str | None  # its number, once SLURM gave it one
    tasks: tuple[Planned, ...]


@dataclass(frozen=True)
class Task:
    """A task of an array as SLURM has it."""

    submission: Submission
    index: int
    job: str | None
    state: str  # squeue's word, empty if the queue does not hold it
    reason: str = ""  # why it waits

    @property
    def planned(self) -> Planned:
        """Its seeds."""
        return self.submission.tasks[self.index]

    @property
    def id(self) -> str:
        """As scancel takes it: 12_3, or 12 for an array of one."""
        job = self.job or "?"
        return f"{job}_{self.index}" if len(self.submission.tasks) > 1 else job

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
            return QueueEntry(FOLDER, self.id, "ended", self.verdict)
        if self.waits:
            return QueueEntry(FOLDER, self.id, "waiting", f"job {self.job}: {self.reason}")
        doing = "starting" if self.state == "RUNNING" else self.state.lower()
        return QueueEntry(FOLDER, self.id, "active", f"job {self.id} is {doing}")


# ---- records


def record(root: Path, packs: Sequence[Pack]) -> Submission:
    """Write down an array of packs that is going to be submitted."""
    token = secrets.token_hex(4)
    tasks = tuple(Planned(pack.cell.env_label, pack.cell.variant, pack.seeds) for pack in packs)
    submission = Submission(launcher_folder(root, FOLDER) / token, f"bench-{root.name}-{token}", None, tasks)
    submission.folder.mkdir(parents=True)
    _write(submission)
    return submission


def numbered(submission: Submission, job: str) -> Submission:
    """Add the number that SLURM gave."""
    submission = replace(submission, job=job)
    _write(submission)
    return submission


def _write(submission: Submission) -> None:
    known = {"name": submission.name, "job": submission.job, "tasks": [task._asdict() for task in submission.tasks]}
    write_json(submission.folder / "submission.json", {"submitted": time.time(), **known})


def submissions(root: Path) -> list[Submission]:
    """Everything that was submitted for a name, oldest first.

    Raises:
        UserError: a record is unreadable, so that nobody can say which seeds a job has.
    """
    found = []
    for path in launcher_folder(root, FOLDER).glob("*/submission.json"):
        try:
            known = read_json(path)
            tasks = tuple(
                Planned(task["environment"], task["variant"], tuple(task["seeds"])) for task in known["tasks"]
            )
            found.append((known["submitted"], Submission(path.parent, known["name"], known["job"], tasks)))
        except (CorruptFile, KeyError, TypeError) as error:
            raise UserError(f"{path}: unreadable ({error}); once its job has ended, delete {path.parent}") from None
    return [submission for _, submission in sorted(found, key=lambda pair: pair[0])]


@contextlib.contextmanager
def submitting(root: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the right to submit for a name; `waiting` is called again and again while another process holds it."""
    folder = launcher_folder(root, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    while (lock := acquire(folder / "lock")) is None:
        waiting()
    try:
        yield
    finally:
        os.close(lock)


# ---- the queue


class Jobs:
    """The tasks of a name, asked of SLURM no more often than every few seconds."""

    def __init__(self, root: Path, every: float = POLL) -> None:
        """Of runs/<name>, which need not exist yet."""
        self.root, self.every = root, every
        self.tasks: list[Task] = []  # of the submissions that have seeds which are not done
        self.problem: str | None = None  # why SLURM could not be asked
        self._asked = -float("inf")
        self._names: frozenset[str] = frozenset()

    def join(self, cells: Sequence[CellState]) -> list[CellState]:
        """The same cells with what the queue adds: which seeds are queued, which will come back, which were lost.

        Raises:
            UserError: a record of a submission is unreadable.
        """
        if not launcher_folder(self.root, FOLDER).is_dir():
            return list(cells)
        undone = {seed.folder.path for cell in cells for seed in cell.seeds if seed.state != "done"}
        self._look([each for each in submissions(self.root) if undone & set(_folders(self.root, each))])
        latest: dict[Path, Task] = {}
        for task in self.tasks:
            if task.job is None:  # whoever wanted to submit it died before it did
                continue
            for folder in _task_folders(self.root, task.planned):
                if folder not in latest or not latest[folder].active:
                    latest[folder] = task
        if self.problem:
            return list(cells)
        return [replace(cell, seeds=tuple(_joined(seed, latest) for seed in cell.seeds)) for cell in cells]

    def unknown(self) -> list[str]:
        """Submissions of which nobody can say whether they still wait or run."""
        return sorted({task.submission.job or task.submission.name for task in self.tasks}) if self.problem else []

    def notes(self) -> list[str]:
        """What the states cannot say."""
        jobs = self.unknown()
        return [f"{self.problem}; what became of job {', '.join(jobs)} is not known"] if jobs else []

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
            self.tasks = [Task(each, index, each.job, "") for each in submitted for index in range(len(each.tasks))]
        self._asked = time.monotonic()


def _joined(seed: SeedState, latest: Mapping[Path, Task]) -> SeedState:
    """A seed that is judged again if it has a task, which may have ended since."""
    task = latest.get(seed.folder.path)
    return seed if task is None or seed.state == "done" else state_of(seed.folder, queue=task.entry)


def _folders(root: Path, submission: Submission) -> Iterator[Path]:
    for planned in submission.tasks:
        yield from _task_folders(root, planned)


def _task_folders(root: Path, planned: Planned) -> list[Path]:
    return [SeedFolder.of(root, planned.environment, planned.variant, seed).path for seed in planned.seeds]


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
        job, index, state, reason, name = (part.strip() for part in line.split("|", 4))
        submission = by_name.get(name)
        number = int(index) if index.isdigit() else 0
        if submission and number < len(submission.tasks):
            found[name, number] = Task(submission, number, job, state, reason)
    every = [(each, index) for each in submitted for index in range(len(each.tasks))]
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


def call(*command: str) -> str:
    """What a command of SLURM prints.

    Raises:
        SlurmProblem: it is not there, fails or hangs.
    """
    try:
        done: Any = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise SlurmProblem(f"{command[0]} is not installed here") from None
    except OSError as error:
        raise SlurmProblem(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise SlurmProblem(f"{command[0]} gave no answer within {PATIENCE:g} seconds") from None
    if done.returncode:
        raise SlurmProblem(one_line(command[0], done.stderr) or f"{command[0]} failed with code {done.returncode}")
    return done.stdout


def one_line(command: str, said: str) -> str:
    """What a command of SLURM complained of, in one line: its own name, told once."""
    lines = [re.sub(rf"^{re.escape(command)}: (error|fatal): ", "", line).strip() for line in said.splitlines()]
    lines = [line for line in lines if line]
    return f"{command}: {'; '.join(lines)}" if lines else ""
