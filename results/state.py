"""How a seed stands: the one place that judges it, for every command and for the training itself.

The evidence, in this order:

1. run.json, status.json and the checkpoint's folder. What cannot be read, or belongs to another seed, makes the seed
   unreadable: it is named, and nobody trains it, since that would begin again.
2. evals.csv, where status.json says done: it must hold every evaluation up to the last step.
3. The lock. Who trains a seed holds it, so on one host it decides.
4. status.json, where it says interrupted: its owner has saved and left.
5. The heartbeat in status.json, where the lock cannot decide: for an owner on another host, and where there are no
   locks. It may be a little ahead of this clock, or behind it.
6. What a launcher's queue says of the task that has the seed, where the caller has asked a queue.
"""

import contextlib
import datetime
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from savo_bench.results.files import CorruptFile, read_csv, said
from savo_bench.results.format import (
    OtherSchema,
    Owner,
    SeedFolder,
    Status,
    cell_folder,
    cells_asked,
    labels,
    seed_folders,
    state_steps,
)
from savo_bench.results.lock import STALE_AFTER, held
from savo_bench.results.spent import NOTHING, Spent, of_seed

if TYPE_CHECKING:
    import pandas as pd

State = Literal["done", "running", "queued", "failed", "unreadable", "interrupted", "missing"]
STATES: tuple[State, ...] = ("done", "running", "queued", "failed", "unreadable", "interrupted", "missing")

EPISODE_COLUMNS = ["step", "episode", "return", "length"]  # those every evals.csv begins with; metrics follow


@dataclass(frozen=True)
class QueueEntry:
    """What a launcher's queue says of the task that has a seed."""

    launcher: str  # as status.json names it
    task: str  # its number, as users know it
    phase: Literal["waiting", "active", "ended"]
    reason: str  # why it waits, what it is doing, or how it ended


@dataclass(frozen=True)
class SeedState:
    """How one seed stands."""

    folder: SeedFolder
    state: State
    reason: str | None = None  # of a failure; why it is unreadable, waits or was lost
    run: dict[str, Any] | None = None  # run.json
    status: Status | None = None  # status.json
    saved: int = 0  # the step of its newest checkpoint, which a resume starts from; 0 without one, and once it is done
    task: str | None = None  # of a launcher's queue, for as long as it has the seed

    @property
    def trainable(self) -> bool:
        """Whether it wants training and nobody has it in hand."""
        return self.state in ("missing", "interrupted", "failed") and self.task is None

    @property
    def seed(self) -> int:
        """The seed number."""
        return self.folder.seed

    @property
    def step(self) -> int:
        """The step that it has reached; 0 if it never began."""
        return self.status["step"] if self.status else 0

    @property
    def steps(self) -> int:
        """The steps of its budget; 0 if it never began."""
        return self.run["spec"]["budget"]["steps"] if self.run else 0

    @property
    def owner(self) -> Owner:
        """Who trains it, or did last."""
        return self.status.get("owner", {}) if self.status else {}

    @property
    def pack(self) -> tuple[int, ...]:
        """The pack that it was trained in last."""
        return tuple(self.owner.get("pack") or ())

    @property
    def spent(self) -> Spent:
        """What it has taken, as far as that was recorded."""
        if self.status is None:
            return NOTHING
        device = self.run["provenance"].get("device") if self.run else None
        return of_seed(self.status.get("seconds"), self.status.get("cpu_seconds"), len(self.pack) or 1, device)

    @property
    def who(self) -> str:
        """Who trains it, in words."""
        known = {"host": self.owner.get("host"), "pid": self.owner.get("pid")}
        process = ", ".join(f"{name} {value}" for name, value in known.items() if value) or "an unknown process"
        if self.task is None:
            return process
        return f"job {self.task}, {process}" if self.state == "running" and self.owner else f"job {self.task}"


def read_evals(folder: SeedFolder) -> "pd.DataFrame":
    """A seed's evaluation episodes as evals.csv has them, one row each, without a torn last line.

    Raises:
        FileNotFoundError: there are none.
        CorruptFile: a line is damaged, columns are missing, or an episode is out of order or there twice.
        OSError: the file cannot be opened.
    """
    rows = read_csv(folder.evals_csv)
    if len(rows.columns) and list(rows.columns[: len(EPISODE_COLUMNS)]) != EPISODE_COLUMNS:
        raise CorruptFile(f"{folder.evals_csv}: its columns do not begin with {','.join(EPISODE_COLUMNS)}")
    if len(rows):
        step, episode = (rows[name].to_numpy() for name in ("step", "episode"))
        later, same = step[1:] > step[:-1], step[1:] == step[:-1]
        if not (later | same & (episode[1:] > episode[:-1])).all():
            raise CorruptFile(f"{folder.evals_csv}: its steps and episodes are not in order, each once")
    return rows


def gaps(rows: "pd.DataFrame", budget: Mapping[str, Any]) -> str | None:
    """What is wrong with the steps of a seed's evaluations up to the last one there; None if nothing is.

    Args:
        rows: As `read_evals` gives them.
        budget: The spec's: every `eval_every` steps, and after the last, there are `eval_episodes` episodes.
    """
    if not len(rows):
        return None
    there = Counter(rows["step"].tolist())
    if budget["eval_every"] == 0:  # of a foreign seed: evaluations lie anywhere
        return None
    last, every, episodes = max(there), max(1, budget["eval_every"]), budget["eval_episodes"]
    due = {*range(every, last, every), last if last == budget["steps"] else last - last % every}
    if lacking := sorted(due - there.keys()):
        return f"lacks the evaluation at step {_first(lacking)}"
    if more := sorted(there.keys() - due):
        return f"has an evaluation at step {_first(more)}, where none is due"
    if parts := sorted(step for step, number in there.items() if number != episodes):
        return f"does not have {episodes} episodes at step {_first(parts)}"
    return None


def _first(steps: Sequence[int]) -> str:
    """Some steps as text, of many the first few."""
    return ", ".join(map(str, steps[:3])) + (f" and {len(steps) - 3} more" if len(steps) > 3 else "")


def state_of(
    folder: SeedFolder,
    *,
    now: float | None = None,
    queue: QueueEntry | None = None,
    asking: Owner | None = None,
    evals: Callable[[SeedFolder], "pd.DataFrame"] = read_evals,
) -> SeedState:
    """How a seed stands; never raises for what its files hold.

    Args:
        folder: The seed's.
        now: A unix time to judge heartbeats by, by default the clock's.
        queue: What a launcher's queue says of the seed's task, asked before this call.
        asking: The process that wants to train the seed and holds its lock. An owner with the same launcher and job is
            its own former life, which has ended, whatever its last heartbeat says.
        evals: `read_evals`, or what keeps its answers.
    """
    seed = _by_files(folder, time.time() if now is None else now, asking, evals)
    if queue is None or seed.state == "done":
        return seed
    return _by_queue(seed, queue)


def _by_files(
    folder: SeedFolder, now: float, asking: Owner | None, evals: Callable[[SeedFolder], "pd.DataFrame"]
) -> SeedState:
    """How a seed stands by its files and its lock."""
    seed = SeedState(folder, "missing")
    try:
        seed = replace(seed, run=folder.read_run())
        seed = replace(seed, status=folder.read_status())
        unfinished = _unfinished(seed, evals)
        if unfinished is not None:
            seed = replace(seed, saved=next(iter(state_steps(folder.checkpoint)), 0))
    except (CorruptFile, OtherSchema, OSError) as error:
        if asking is None and held(folder.lock):  # its owner is alive and writes the file again
            return replace(seed, state="running")
        if isinstance(error, OSError):  # it may pass, and what it hides be whole
            reason = f"{said(error)}; fix that, or try again: the seed itself may be whole"
        else:
            reason = f"{error}; fix it, or delete {folder.path} to train this seed from the start"
        return replace(seed, state="unreadable", reason=reason)
    if unfinished is None:
        return replace(seed, state="done")
    locked = False if asking is not None else held(folder.lock)  # the lock of who asks is no evidence
    if locked:
        return replace(seed, state="running")
    status = seed.status
    if status is None:
        return seed
    if status["state"] == "failed":
        return replace(seed, state="failed", reason=status.get("reason") or "no reason was recorded")
    if status["state"] == "done":
        return replace(seed, state="failed", reason=f"says done, but {unfinished}")
    here = status.get("owner", {}).get("host") == socket.gethostname()
    left = status["state"] == "interrupted"
    heartbeat_decides = (locked is None or not here) and not left
    if heartbeat_decides and _beats(status, now, asking):
        return replace(seed, state="running")
    with contextlib.suppress(CorruptFile, OSError):
        again = folder.read_status()
        if again is not None and again["state"] != status["state"]:  # it ended while this was read
            return _by_files(folder, now, asking, evals)
    if seed.run is None:  # nothing says which spec the rest belongs to
        return replace(seed, reason="has no run.json")
    reason = status.get("reason") if left else _ahead(status, now) if heartbeat_decides else None
    return replace(seed, state="interrupted", reason=reason)


def _unfinished(seed: SeedState, evals: Callable[[SeedFolder], "pd.DataFrame"]) -> str | None:
    """Why a seed is not done, None if it is.

    Raises:
        CorruptFile, OSError: as `read_evals`, where status.json says done.
    """
    if seed.status is None or seed.status["state"] != "done":
        return "status.json does not say done"
    if seed.run is None:
        return "has no run.json"
    last = 0
    with contextlib.suppress(FileNotFoundError):
        rows = evals(seed.folder)
        last = int(rows["step"].iloc[-1]) if len(rows) else 0
        if last == seed.steps:
            wrong = gaps(rows, seed.run["spec"]["budget"])
            return f"evals.csv {wrong}" if wrong else None
    return f"evals.csv ends at step {last} of {seed.steps}"


def _beats(status: Status, now: float, asking: Owner | None) -> bool:
    """Whether the owner of a seed that is being trained gave a sign of life, and is not who asks."""
    owner = status.get("owner", {})
    job = (asking or {}).get("job")
    if job is not None and (owner.get("launcher"), owner.get("job")) == ((asking or {}).get("launcher"), job):
        return False
    return abs(now - status.get("heartbeat", 0.0)) <= STALE_AFTER


def _ahead(status: Status, now: float) -> str | None:
    """A sentence about a heartbeat that is too far ahead of this clock to be a sign of life; None if it is not."""
    heartbeat = status.get("heartbeat", 0.0)
    if heartbeat - now <= STALE_AFTER:
        return None
    try:
        when = datetime.datetime.fromtimestamp(heartbeat, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        when = f"{heartbeat:g}"
    units = (("year", 365.25 * 86_400), ("day", 86_400), ("hour", 3_600), ("minute", 60))
    unit, length = next(unit for unit in units if heartbeat - now >= unit[1])
    number = int((heartbeat - now) / length)
    return f"its last heartbeat, {when}, is {number} {unit}{'s' * (number != 1)} ahead of this clock"


def _by_queue(seed: SeedState, queue: QueueEntry) -> SeedState:
    """How a seed that is not done stands once its task's entry in the queue is known."""
    idle = seed.state in ("missing", "interrupted")
    if queue.phase != "ended":
        seed = replace(seed, task=queue.task)
        state: State = "queued" if queue.phase == "waiting" else "running"
        return replace(seed, state=state, reason=queue.reason) if idle else seed
    if seed.state == "running" and seed.owner.get("launcher") == queue.launcher and not held(seed.folder.lock):
        return replace(seed, state="interrupted", reason=queue.reason)  # its last heartbeat is still fresh
    return replace(seed, reason=queue.reason) if idle else seed


@dataclass(frozen=True)
class CellState:
    """How a cell's seeds stand."""

    environment: str  # labels
    variant: str
    seeds: tuple[SeedState, ...]

    def count(self) -> Counter[State]:
        """Number of seeds in each state."""
        return Counter(seed.state for seed in self.seeds)


def survey(
    root: Path, *, now: float | None = None, evals: Callable[[SeedFolder], "pd.DataFrame"] = read_evals
) -> list[CellState]:
    """Every cell under runs/<name>, with the seeds that are there and those that were asked for.

    `now` and `evals` as in `state_of`. A cell is called as it was asked for, else as in a run.json, else as its folder.

    Raises:
        OSError: the root, or a folder of an environment or a variant, or what was asked for, cannot be read.
    """
    asked = {cell_folder(root, each.environment, each.variant): each for each in cells_asked(root)}
    folders: dict[Path, dict[Path, SeedFolder]] = {}
    for cell, each in asked.items():
        wanted = (SeedFolder.of(root, each.environment, each.variant, seed) for seed in each.seeds)
        folders[cell] = {folder.path: folder for folder in wanted}
    for folder in seed_folders(root):
        folders.setdefault(folder.path.parent, {}).setdefault(folder.path, folder)
    found = []
    for cell, members in sorted(folders.items()):
        ordered = sorted(members.values(), key=lambda folder: (folder.seed, folder.path))
        states = tuple(state_of(folder, now=now, evals=evals) for folder in ordered)
        names = [labels(seed.run["spec"]) for seed in states if seed.run]
        named = asked[cell][:2] if cell in asked else names[0] if names else (cell.parent.name, cell.name)
        found.append(CellState(*named, states))
    return found
