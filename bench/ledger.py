"""What is done, running, failed, interrupted and missing: from files alone, and from nothing else.

The lock file of a seed is the arbiter: whoever trains a seed holds its flock, and the kernel frees it when the process
ends, however it ends. Not every network disk shows a lock to other hosts; what a process of another host trains is
therefore also told from its heartbeat, which may be ahead of this clock, but not much behind it.
"""

import contextlib
import fcntl
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from savo_bench.bench import grammar
from savo_bench.bench.errors import UserError
from savo_bench.results import format as fmt
from savo_bench.results.format import (
    CorruptFile,
    OtherSchema,
    SeedFolder,
    Status,
    label,
    seed_folders,
    spec_differences,
    text,
)

if TYPE_CHECKING:
    from savo_bench.bench.cells import Cell

State = Literal["done", "running", "queued", "failed", "interrupted", "missing"]  # queued: by SLURM, see bench.jobs
STATES: tuple[State, ...] = ("done", "running", "queued", "failed", "interrupted", "missing")

_LOCK_ATTEMPTS = 10  # ours: a probe holds the lock for microseconds; half a second outlasts any number of them
_LOCK_PAUSE = 0.05  # seconds


@dataclass(frozen=True)
class SeedState:
    """How one seed stands."""

    folder: SeedFolder
    state: State
    step: int = 0  # that it has reached
    steps: int = 0  # of its budget; 0 if it never began
    reason: str | None = None  # of a failure, or why it waits or was lost
    unreadable: bool = False  # a file is corrupt or from another version: nobody may touch it
    owner: dict[str, Any] | None = None  # who trains it, or did last
    returned: float | None = None  # mean return of the last evaluation
    task: str | None = None  # SLURM's, for as long as it has the seed

    @property
    def trainable(self) -> bool:
        """Whether it wants training and nobody has it in hand."""
        return self.state in ("missing", "interrupted", "failed") and not self.unreadable and self.task is None

    @property
    def seed(self) -> int:
        """The seed number."""
        return self.folder.seed

    @property
    def saved(self) -> int:
        """The step of its newest checkpoint, which a resume starts from; 0 without one."""
        return max(
            (int(path.stem.removeprefix("state-")) for path in self.folder.checkpoint.glob("state-*.pt")), default=0
        )

    @property
    def pack(self) -> tuple[int, ...]:
        """The pack that it was trained in last."""
        return tuple((self.owner or {}).get("pack") or ())

    @property
    def who(self) -> str:
        """Who trains it, in words."""
        owner = self.owner or {}
        process = f"host {owner.get('host', '?')}, pid {owner.get('pid', '?')}"
        job = f"job {self.task}"
        return process if self.task is None else f"{job}, {process}" if self.state == "running" and owner else job


def state(folder: SeedFolder) -> SeedState:
    """How a seed stands. A done seed costs a few small reads."""
    try:
        return _state(folder)
    except (CorruptFile, OtherSchema) as error:
        if locked(folder.lock):  # its owner is alive and writes the file again
            return SeedState(folder, "running")
        reason = f"{error}; mend it, or delete {folder.path} to train this seed from the start"
        return SeedState(folder, "failed", reason=reason, unreadable=True)


def _state(folder: SeedFolder) -> SeedState:
    run = folder.read_run()
    status = folder.read_status()
    steps = run["spec"]["budget"]["steps"] if run else 0
    if status is None:
        return SeedState(folder, "running" if locked(folder.lock) else "missing", steps=steps)
    known: dict[str, Any] = {
        "step": status["step"],
        "steps": steps,
        "owner": status.get("owner"),
        "returned": status.get("last_return"),
    }
    verdict, doubt = folder.state()
    if verdict == "done":
        return SeedState(folder, "done", **known)
    if locked(folder.lock):
        return SeedState(folder, "running", **known)
    if status["state"] == "running":
        if _beats_elsewhere(status):
            return SeedState(folder, "running", **known)
        again = folder.read_status()
        if again is not None and again["state"] != "running":  # it ended between the two looks
            return _state(folder)
        # Without run.json nothing says which spec the rest belongs to.
        return SeedState(folder, "interrupted" if run else "missing", **known)
    if status["state"] == "failed":
        reason = status.get("reason") or "no reason was recorded"
    else:
        reason = doubt or "says done, but run.json is missing"
    return SeedState(folder, "failed", reason=reason, **known)


def _beats_elsewhere(status: Status) -> bool:
    """Whether a process of another host, whose lock may not be seen here, gives signs of life."""
    return status.get("owner", {}).get("host") != socket.gethostname() and fmt.alive(status)


def trained_elsewhere(folder: SeedFolder, launcher: str) -> bool:
    """Whether another host trains a seed whose lock is free here. A SLURM task's own former life is dead for sure.

    Raises:
        CorruptFile: status.json is unreadable.
    """
    status = folder.read_status()
    if status is None or not _beats_elsewhere(status):
        return False
    owner, job = status.get("owner", {}), os.environ.get("SLURM_JOB_ID")
    return launcher != "slurm" or owner.get("launcher") != "slurm" or owner.get("job") != job


# ---- locks


def locked(path: Path) -> bool:
    """Whether a live process holds a seed's lock. Looks without getting in the way: a shared lock, freed at once."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def acquire(path: Path) -> int | None:
    """Take a seed's lock: a descriptor that holds it until it is closed or the process ends; None if another has it.

    Tries for half a second, since a probe of another process holds it for an instant.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _LOCK_ATTEMPTS:
                time.sleep(_LOCK_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor
    os.close(descriptor)
    return None


@contextlib.contextmanager
def holding(path: Path) -> Iterator[bool]:
    """Hold a seed's lock for a moment; False if another process has it."""
    descriptor = acquire(path)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


# ---- the grid


def root(runs: Path, name: str) -> Path:
    """The folder of a name that exists.

    Raises:
        UserError: there is none; names the nearest.
    """
    folder = runs / grammar.name(name)
    if not folder.is_dir():
        there = [path.name for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else []
        raise UserError(f"there are no runs called {name!r} in {runs}: {grammar.nearest(name, there)}")
    return folder


def ask(root: Path, cells: Iterable["Cell"], seeds: Sequence[int]) -> None:
    """Record what was asked for, so that `bench status` knows what is missing."""
    for cell in cells:
        fmt.ask(root, cell.env_label, cell.variant, seeds)


@dataclass(frozen=True)
class CellState:
    """How a cell's seeds stand."""

    environment: str  # labels
    variant: str
    seeds: tuple[SeedState, ...]

    def count(self) -> Counter[State]:
        """Number of seeds in each state."""
        return Counter(seed.state for seed in self.seeds)


def survey(root: Path) -> list[CellState]:
    """Every cell under a name, with the seeds that are there and those that were asked for."""
    folders: dict[Path, dict[int, SeedFolder]] = {}
    for path in sorted(root.glob(f"*/*/{fmt.ASKED}")):
        cell, asked = path.parent, fmt.read_asked(path.parent)
        folders[cell] = {seed: SeedFolder(cell / f"seed-{seed:04d}") for seed in (asked.seeds if asked else ())}
    for folder in seed_folders(root):
        folders.setdefault(folder.path.parent, {})[folder.seed] = folder
    found = []
    for cell, members in sorted(folders.items()):
        if members:
            states = tuple(state(members[seed]) for seed in sorted(members))
            found.append(CellState(*_labels(cell, states), states))
    return found


def _labels(cell: Path, states: Iterable[SeedState]) -> tuple[str, str]:
    """A cell's labels: as they were asked for, else from a run.json, else the folders' names."""
    asked = fmt.read_asked(cell)
    if asked:
        return asked.environment, asked.variant
    for seed in states:
        with contextlib.suppress(CorruptFile, OtherSchema):
            run = seed.folder.read_run()
            if run:
                environment = run["spec"]["environment"]
                return label(environment["name"], environment["keywords"]), run["spec"]["algorithm"]["variant"]
    return cell.parent.name, cell.name


def check_specs(root: Path, cells: Iterable["Cell"]) -> None:
    """Refuse to add to a cell that was trained with another config or budget.

    Raises:
        UserError: naming the field, both values and what mends it.
    """
    for cell in cells:
        planned: dict[str, Any] | None = None
        cell_folder = SeedFolder.of(root, cell.env_label, cell.variant, 0).path.parent
        for path in sorted(cell_folder.glob("seed-*")):
            folder = SeedFolder(path)
            try:
                run = folder.read_run()
            except (CorruptFile, OtherSchema):
                continue  # named as a failed seed, and left alone
            if run is None:
                continue
            planned = planned or cell.spec(0)
            differences = spec_differences(run["spec"] | {"seed": 0}, planned)
            if differences:
                raise UserError(_refusal(cell, cell_folder, differences))


def _refusal(cell: "Cell", folder: Path, differences: Sequence[tuple[str, Any, Any]]) -> str:
    """One line about a cell that exists with another spec."""
    first = sorted(differences, key=lambda entry: not entry[0].startswith("budget"))  # what one changes most often
    named = [f"{name}={text(old)}, not {text(new)}" for name, old, new in first[:2]]
    more = f" (and {len(first) - 2} more fields)" if len(first) > 2 else ""
    return (
        f"{cell.variant} on {cell.env_label} was trained with {' and '.join(named)}{more}: "
        f"take another --name, or delete {folder}"
    )
