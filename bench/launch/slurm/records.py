"""Records of what was submitted to SLURM for a name.

    runs/<name>/slurm/<id>/submission.json   an array: the name and the number of its job, and the seeds of every pack;
                                             where not each task has one pack, also which task may train which
    runs/<name>/slurm/<id>/                  beside it submitit's own: batch script, pickled packs, output
    runs/<name>/slurm/lock                   held while somebody submits

A record is written before its array is handed to SLURM. The array is found in the queue by a job's name that no other
job has. So even if the process dies between the two, nothing unknown is in the queue.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.results.files import CorruptFile, folders_in, make_folder, read_json, write_json
from savo_bench.results.format import SeedFolder, launcher_folder
from savo_bench.results.lock import acquire

NAME = "slurm"  # of the launcher, as status.json and its folder have it


class Planned(NamedTuple):
    """The seeds of one pack, by the labels of their cell."""

    environment: str
    variant: str
    seeds: tuple[int, ...]

    def folders(self, root: Path) -> list[Path]:
        """The folders of the seeds in runs/<name>."""
        return [SeedFolder.of(root, self.environment, self.variant, seed).path for seed in self.seeds]


@dataclass(frozen=True)
class Submission:
    """An array as it was submitted."""

    folder: Path
    name: str  # of the job
    job: str | None  # its number, once SLURM gave it one
    packs: tuple[Planned, ...]
    shares: tuple[tuple[int, ...], ...]  # for each task, which of the packs it may train
    processes: int = 1  # of a task, each of which trains one pack at a time

    def folders(self, root: Path) -> set[Path]:
        """The folders of the seeds of all its tasks in runs/<name>."""
        return {folder for planned in self.packs for folder in planned.folders(root)}


def record(root: Path, packs: Sequence[Pack], shares: Sequence[Sequence[int]], processes: int = 1) -> Submission:
    """Write down an array that is going to be submitted; `shares` and `processes` as in Submission."""
    token = secrets.token_hex(4)
    planned = tuple(Planned(pack.cell.env_label, pack.cell.variant, pack.seeds) for pack in packs)
    folder, name = launcher_folder(root, NAME) / token, f"bench-{root.name}-{token}"
    submission = Submission(folder, name, None, planned, tuple(tuple(share) for share in shares), processes)
    make_folder(submission.folder)
    _write(submission)
    return submission


def numbered(submission: Submission, job: str) -> Submission:
    """Add the number that SLURM gave."""
    submission = replace(submission, job=job)
    _write(submission)
    return submission


def _write(submission: Submission) -> None:
    packs = [pack._asdict() for pack in submission.packs]
    known: dict[str, Any] = {"name": submission.name, "job": submission.job, "tasks": packs}
    if submission.shares != _one_each(packs):
        known |= {"shares": submission.shares, "processes": submission.processes}
    write_json(submission.folder / "submission.json", {"submitted": time.time(), **known})


def _one_each(packs: Sequence[object]) -> tuple[tuple[int, ...], ...]:
    """A task for each pack."""
    return tuple((index,) for index in range(len(packs)))


def submissions(root: Path) -> list[Submission]:
    """Everything that was submitted for a name, oldest first.

    Raises:
        UserError: a record is damaged, so that nobody can say which seeds a job has.
        OSError: it, or the folder of all, cannot be read.
    """
    found = []
    for folder in folders_in(launcher_folder(root, NAME)):
        path = folder / "submission.json"
        try:
            found.append(_read(path))
        except FileNotFoundError:  # another process has made the folder just now
            continue
        except CorruptFile as error:
            raise UserError(
                f"{path}: unreadable ({error}); once its job has ended, delete {path.parent}", exit_code=MACHINE
            ) from None
    return [submission for _, submission in sorted(found, key=lambda pair: pair[0])]


def _read(path: Path) -> tuple[float, Submission]:
    """(when, what) was submitted.

    Raises:
        CorruptFile: a field is missing or of another type, or a task is to train what is not there.
        OSError: the file cannot be read.
    """
    known = read_json(path)
    try:
        packs = tuple(Planned(pack["environment"], pack["variant"], tuple(pack["seeds"])) for pack in known["tasks"])
        shares = tuple(map(tuple, known["shares"])) if "shares" in known else _one_each(packs)
        made = Submission(path.parent, known["name"], known["job"], packs, shares, known.get("processes", 1))
        when = known["submitted"]
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptFile(f"{type(error).__name__}: {error}") from None
    texts = [made.name, "" if made.job is None else made.job, *(name for pack in packs for name in pack[:2])]
    numbers = [
        made.processes,
        *(number for numbers in (*shares, *(pack.seeds for pack in packs)) for number in numbers),
    ]
    if not all(isinstance(text, str) for text in texts):
        raise CorruptFile("a name or the job is no text")
    if not all(isinstance(number, int) and number >= 0 for number in numbers) or not isinstance(when, int | float):
        raise CorruptFile("a seed, a share, processes or submitted is no number")
    if not all(share and max(share) < len(packs) for share in shares):
        raise CorruptFile("a task has a pack that is not there")
    return when, made


@contextlib.contextmanager
def submitting(root: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the right to submit for a name; while another process holds it, `waiting` is called again and again."""
    folder = launcher_folder(root, NAME)
    make_folder(folder)
    while (lock := acquire(folder / "lock")) is None:
        waiting()
    try:
        yield
    finally:
        lock.release()
