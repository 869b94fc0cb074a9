"""The run directory: where its files are, how they are written and how they are read back.

    runs/<name>/<environment>/<variant>/
        asked.jsonl   the seeds that were asked for in this cell, a line per command that added some
    runs/<name>/<environment>/<variant>/seed-0003/
        run.json      schema, hash, the whole spec, provenance; written once
        status.json   running, done or failed; replaced every few seconds
        evals.csv     one row per evaluation episode: step,episode,return,length and the environment's metrics
        train.csv     sparse scalars of the training: step,seconds and whatever the algorithm reports
        policy.pt     the final networks, once done
        film.mp4      or film.gif, where one was asked for
        checkpoint/   what a resume needs, while unfinished: state-<step>.pt, the two newest, and replay-<first>.bin
        lock          flock'ed by the process that trains the seed

Files are replaced as a whole or grow by whole lines, so a reader at any moment, or after any crash, sees at worst one
torn last line, which it leaves out and names. No other module knows this layout.
"""

import contextlib
import hashlib
import json
import math
import numbers
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, NotRequired, TypedDict

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
ASKED = "asked.jsonl"
STALE_AFTER = 120.0  # seconds without a heartbeat, where one comes every ~2 s; leaves room for slow network disks
_SLUG_LENGTH = 150  # file systems allow 255 bytes a name
_TAIL = 4096  # bytes read to find a CSV file's last line; lines are far shorter


class CorruptFile(ValueError):
    """A file of the run directory cannot be read; the message names it and says why."""


class OtherSchema(ValueError):
    """A run.json was written by another version of the format."""


class Owner(TypedDict, total=False):
    """Who trains a seed."""

    host: str
    pid: int
    launcher: str
    job: str | None
    pack: list[int]


class Status(TypedDict):
    """What status.json holds. `seconds` is the training wall time over all attempts, `heartbeat` a unix time."""

    state: str
    step: int
    steps: int
    reason: NotRequired[str | None]
    resumed_from: NotRequired[int]
    attempt: NotRequired[int]
    heartbeat: NotRequired[float]
    steps_per_s: NotRequired[float | None]
    last_return: NotRequired[float | None]
    seconds: NotRequired[float]
    owner: NotRequired[Owner]
    # what a report shows as cost: most bytes held, seconds that choosing an action for every seed of the pack takes,
    # number of weights that a seed acts with
    peak_memory: NotRequired[float]
    action_seconds: NotRequired[float]
    parameters: NotRequired[int]


class State(NamedTuple):
    """How a seed stands: done, running, interrupted (can be resumed), failed or missing; and why."""

    name: str
    reason: str | None


# ---- whole files


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` for writing; on success it takes the place of `path` in one step.

    On an error, a full disk for instance, `path` stays as it was. `durable` also survives a power cut. One writer at
    a time.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Replace `path` by `value` as JSON, atomically. JSON knows no NaN or infinity: they become null."""
    text = json.dumps(_jsonable(value), indent=1, allow_nan=False)
    with replacing(path, durable=durable) as file:
        file.write(text.encode() + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: there is none.
        CorruptFile: it is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:  # both bad JSON and bad UTF-8
        raise CorruptFile(f"{path}: not valid JSON ({error})") from None


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _jsonable(value: Any) -> Any:
    """Turn numpy's numbers, paths and tuples into JSON's own types."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} has no place in a JSON file")


# ---- identity


def label(name: str, fields: Mapping[str, Any]) -> str:
    """Name of a variant or of an environment with keywords: `savo:extra_actors=5,hidden=64-64`; no fields, no colon."""
    return f"{name}:{','.join(f'{key}={text(value)}' for key, value in fields.items())}" if fields else name


def text(value: Any) -> str:
    """A field's value as labels and tables show it: 0.0003, true, 64-64, none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, list | tuple):
        return "-".join(map(text, value))
    return str(value)


def slug(label: str) -> str:
    """Name of a label's folder: `savo:extra_actors=5,lr=0.1` -> `savo__extra_actors-5__lr-0.1`, only [a-z0-9._-].

    A label that holds anything else, or is very long, gets eight digits of its hash, so that different labels keep
    different folders.
    """
    plain = label.replace(":", "__").replace(",", "__").replace("=", "-").replace("+", "")  # 1e+06 is no 1e-06
    name = re.sub(r"[^a-z0-9._-]", "-", plain.lower())
    if name == plain and name.strip(".") and not name.startswith(".") and len(name) <= _SLUG_LENGTH:
        return name
    digest = hashlib.sha256(label.encode()).hexdigest()[:8]
    return f"{name[:_SLUG_LENGTH].lstrip('.')}-{digest}"


def spec_hash(spec: Mapping[str, Any]) -> str:
    """16 hex digits of the sha256 of the spec's canonical JSON; tuples count as lists.

    Raises:
        ValueError: the spec holds NaN or infinity.
    """
    return hashlib.sha256(_canonical(spec).encode()).hexdigest()[:16]


def spec_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Fields in which two specs differ: (dotted name, value in a, value in b), None where one lacks it.

    Empty exactly if the hashes agree.
    """
    left, right = _flatten(a), _flatten(b)
    names = [*left, *(name for name in right if name not in left)]
    return [
        (name, left.get(name), right.get(name))
        for name in names
        if name not in left or name not in right or _canonical(left[name]) != _canonical(right[name])
    ]


def _canonical(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise ValueError(f"a spec must hold finite numbers only: {value!r}") from None


def _flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            flat |= _flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(item) if isinstance(item, tuple) else item
    return flat


# ---- CSV files that grow by whole lines


def append_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Append rows in one write, after the header where the file is new; returns the file's new length in bytes.

    Floats are written so that they read back exactly. If the write fails half-way the file is cut back to what it was.

    Raises:
        ValueError: a row does not fit the header, or the file's own header is another one.
        CorruptFile: the file ends in a torn line; `truncate` it to a known length first.
    """
    first_line = (",".join(header) + "\n").encode()
    lines = []
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{path}: a row of {len(row)} values under a header of {len(header)}")
        lines.append(",".join(map(_cell, row)) + "\n")
    content = "".join(lines).encode()
    with path.open("a+b", buffering=0) as file:  # unbuffered: nothing may be left to be written when the file is closed
        length = file.seek(0, os.SEEK_END)
        if length == 0:
            content = first_line + content
        else:
            if os.pread(file.fileno(), 1, length - 1) != b"\n":
                raise CorruptFile(f"{path}: ends in a torn line")
            if os.pread(file.fileno(), len(first_line), 0) != first_line:
                raise ValueError(f"{path}: its columns are not {','.join(header)}")
        try:
            rest = memoryview(content)
            while rest:  # a nearly full disk takes a part
                rest = rest[file.write(rest) :]
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(length)
            raise
    return length + len(content)


def truncate(path: Path, length: int) -> None:
    """Cut a growing file to the length a checkpoint names; a file that is not there counts as empty.

    Raises:
        CorruptFile: the file is shorter than that.
    """
    if reaches(path, length) > length:
        os.truncate(path, length)


def reaches(path: Path, length: int) -> int:
    """The size of a growing file, of 0 bytes where there is none, that is at least what a checkpoint names.

    Raises:
        CorruptFile: the file is shorter than that.
    """
    size = path.stat().st_size if path.exists() else 0
    if size < length:
        raise CorruptFile(f"{path}: {size} bytes long where the checkpoint names {length}")
    return size


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file of numbers as a pandas frame, without a torn last line.

    Where a line was torn `frame.attrs["torn"]` is a sentence that names it. A file without a whole line gives an empty
    frame.

    Raises:
        FileNotFoundError: there is none.
        CorruptFile: a line before the last does not fit the header or holds something that is no number.
    """
    whole, _, rest = path.read_bytes().decode(errors="replace").rpartition("\n")
    frame = _parsed(whole)
    if frame is None:
        frame = _read_carefully(path, whole)
    if rest:
        frame.attrs["torn"] = f"{path}: torn last line left out: {rest[:60]!r}"
    return frame


def _parsed(whole: str) -> "pd.DataFrame | None":
    """The frame of a file that is as it should be, at once; None where there is any doubt."""
    import numpy as np
    import pandas as pd  # here, because the training processes need this module but not pandas

    header, *lines = whole.split("\n")
    names = header.split(",")
    try:
        values = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2) if all(lines) and lines else None
    except ValueError:
        return None
    if values is None or values.shape != (len(lines), len(names)):
        return None
    whole_numbers = (values == np.rint(values)).all(axis=0) & (np.abs(values) < 2**53).all(axis=0)
    columns = {
        name: column.astype(int) if exact and cell.lstrip("-").isdigit() else column
        for name, column, exact, cell in zip(names, values.T, whole_numbers, lines[0].split(","), strict=True)
    }
    return pd.DataFrame(columns)


def _read_carefully(path: Path, whole: str) -> "pd.DataFrame":
    """The frame of any file, line by line, or the place of its first fault."""
    import pandas as pd

    lines = [line.split(",") for line in whole.split("\n")] if whole else []
    for number, line in enumerate(lines, start=1):
        if len(line) != len(lines[0]):
            raise CorruptFile(f"{path}: line {number} has {len(line)} values under a header of {len(lines[0])}")
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    return pd.DataFrame({name: _column(path, name, cells) for name, cells in zip(header, columns, strict=True)})


def _column(path: Path, name: str, cells: Sequence[str]) -> list[int] | list[float]:
    """The values of a column: integers if all are, else floats; an empty cell is NaN."""
    with contextlib.suppress(ValueError):
        return [int(cell) for cell in cells]
    values = []
    for number, cell in enumerate(cells, start=2):
        try:
            values.append(float(cell or "nan"))
        except ValueError:
            raise CorruptFile(f"{path}: line {number}, column {name}: {cell!r} is no number") from None
    return values


def _cell(value: Any) -> str:
    """One value as CSV text; a float's repr reads back to the same float."""
    if value is None:
        return ""
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    raise ValueError(f"{value!r} is no number")


def _last_step(path: Path) -> int | None:
    """First value of the last whole line of a CSV file, None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            whole = file.read().rpartition(b"\n")[0]
    except FileNotFoundError:
        return None
    first = whole.rpartition(b"\n")[2].partition(b",")[0]
    return int(first) if first.isdigit() else None


# ---- one seed


class SeedFolder:
    """The folder of one seed: its paths, and its two JSON files read and written."""

    def __init__(self, path: Path) -> None:
        """Of a path that need not exist yet."""
        self.path = Path(path)

    @classmethod
    def of(cls, root: Path, environment: str, variant: str, seed: int) -> "SeedFolder":
        """The folder of a seed of a variant on an environment (labels, not slugs) under runs/<name>."""
        return cls(Path(root) / slug(environment) / slug(variant) / f"seed-{seed:04d}")

    def __repr__(self) -> str:
        """The path."""
        return f"SeedFolder({str(self.path)!r})"

    @property
    def seed(self) -> int:
        """The seed number, from the folder's name."""
        return int(self.path.name.removeprefix("seed-"))

    @property
    def run_json(self) -> Path:
        """The spec and the provenance."""
        return self.path / "run.json"

    @property
    def status_json(self) -> Path:
        """How far it is and who trains it."""
        return self.path / "status.json"

    @property
    def evals_csv(self) -> Path:
        """The evaluation episodes."""
        return self.path / "evals.csv"

    @property
    def train_csv(self) -> Path:
        """The scalars of the training."""
        return self.path / "train.csv"

    @property
    def policy(self) -> Path:
        """The final networks."""
        return self.path / "policy.pt"

    def film(self, suffix: str) -> Path:
        """A film of the policy, where none is asked for elsewhere."""
        return self.path / f"film{suffix}"

    @property
    def checkpoint(self) -> Path:
        """The folder of what a resume needs."""
        return self.path / "checkpoint"

    @property
    def lock(self) -> Path:
        """The file whose flock the training process holds."""
        return self.path / "lock"

    def write_run(self, spec: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        """Write run.json, creating the folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        document = {"schema": SCHEMA, "hash": spec_hash(spec), "spec": spec, "provenance": provenance}
        write_json(self.run_json, document)

    def read_run(self) -> dict[str, Any] | None:
        """run.json as {"schema", "hash", "spec", "provenance"}, None where there is none.

        Raises:
            CorruptFile: it is unreadable, or its hash is not that of its spec.
            OtherSchema: another version of the format wrote it.
        """
        try:
            run = read_json(self.run_json)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not isinstance(run, dict) or "schema" not in run:
            raise CorruptFile(f"{self.run_json}: not a run's description")
        if run["schema"] != SCHEMA:
            raise OtherSchema(f"{self.run_json}: schema {run['schema']!r}, this version reads {SCHEMA}")
        spec, provenance = run.get("spec"), run.get("provenance")
        if not isinstance(spec, dict) or not isinstance(provenance, dict):
            raise CorruptFile(f"{self.run_json}: has no spec or no provenance")
        if run.get("hash") != spec_hash(spec):
            raise CorruptFile(f"{self.run_json}: its hash is not that of its spec: edited by hand?")
        for dotted, kind in _SPEC_FIELDS.items():
            value: Any = spec
            for key in dotted.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if not isinstance(value, kind):
                raise CorruptFile(f"{self.run_json}: spec.{dotted} is {value!r}, not {kind.__name__}")
        return run

    def write_status(self, status: Status, *, durable: bool = False) -> None:
        """Replace status.json; durable where it says done or failed for good."""
        if status["state"] not in _WRITTEN_STATES:
            raise ValueError(f"state={status['state']!r}: must be one of {', '.join(_WRITTEN_STATES)}")
        write_json(self.status_json, status, durable=durable)

    def read_status(self) -> Status | None:
        """status.json, None where there is none.

        Raises:
            CorruptFile: it is unreadable.
        """
        try:
            status = read_json(self.status_json)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if (
            not isinstance(status, dict)
            or status.get("state") not in _WRITTEN_STATES
            or not isinstance(status.get("step"), int)
            or not isinstance(status.get("steps"), int)
            or not isinstance(status.get("heartbeat", 0.0), int | float)
            or not isinstance(status.get("owner", {}), dict)
        ):
            raise CorruptFile(f"{self.status_json}: not a seed's status")
        return status  # type: ignore[return-value]  # checked as far as the code relies on it

    def state(self, now: float | None = None) -> State:
        """How the seed stands, from its files alone; `now` is a unix time, by default the clock's.

        Done means: status.json says so, run.json is there and evals.csv ends with the last step.

        Raises:
            CorruptFile, OtherSchema: as the readers do.
        """
        run, status = self.read_run(), self.read_status()
        if run is None:
            return State("missing", "has no run.json")
        if status is None:
            return State("missing", "never began")
        if status["state"] == "failed":
            return State("failed", status.get("reason") or "no reason was recorded")
        if status["state"] == "running":
            return State("running", None) if alive(status, now) else State("interrupted", "no process trains it")
        steps, last = run["spec"]["budget"]["steps"], _last_step(self.evals_csv)
        if last != steps:
            return State("failed", f"says done, but evals.csv ends at step {last or 0} of {steps}")
        return State("done", None)


def alive(status: Status, now: float | None = None) -> bool:
    """Whether somebody trains this seed: the heartbeat is fresh and, if the owner ran on this host, its process exists.

    A heartbeat in the future counts as fresh: clocks of a cluster differ.
    """
    if status["state"] != "running":
        return False
    if (time.time() if now is None else now) - status.get("heartbeat", 0.0) > STALE_AFTER:
        return False
    owner = status.get("owner", {})
    pid = owner.get("pid")
    if owner.get("host") == socket.gethostname() and isinstance(pid, int) and pid > 0:
        try:
            os.kill(pid, 0)  # signal 0 only asks whether it exists
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
    return True


def state_file(checkpoint: Path, step: int) -> Path:
    """The state of a step in a checkpoint folder."""
    return checkpoint / f"state-{step:09d}.pt"


def state_steps(checkpoint: Path) -> list[int]:
    """The steps of the states in a checkpoint folder, newest first."""
    return sorted((_number(path) for path in checkpoint.glob("state-*.pt")), reverse=True)


def replay_file(checkpoint: Path, first: int) -> Path:
    """The segment of the replay log that begins with transition number `first`."""
    return checkpoint / f"replay-{first:09d}.bin"


def replay_files(checkpoint: Path) -> dict[int, Path]:
    """The segments of the replay log that are there, by the number of their first transition."""
    return {_number(path): path for path in checkpoint.glob("replay-*.bin")}


def _number(path: Path) -> int:
    """The number in state-000012345.pt."""
    return int(path.stem.rpartition("-")[2])


class Asked(NamedTuple):
    """What was asked for in a cell: the names of environment and variant, and every seed."""

    environment: str
    variant: str
    seeds: tuple[int, ...]


def ask(root: Path, environment: str, variant: str, seeds: Iterable[int]) -> None:
    """Record the seeds asked for in a cell, so that readers know which are missing; a line is added only if it adds."""
    cell = SeedFolder.of(root, environment, variant, 0).path.parent
    before = read_asked(cell)
    new = sorted(set(seeds) - set(before.seeds if before else ()))
    if new:
        cell.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"environment": environment, "variant": variant, "seeds": new})
        with (cell / ASKED).open("a+b") as file:
            torn = file.seek(0, os.SEEK_END) > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
            file.write(b"\n" * torn + line.encode() + b"\n")


def read_asked(cell: Path) -> Asked | None:
    """What was asked for in a cell's folder, None where nothing is recorded; a damaged line counts for nothing."""
    try:
        lines = (cell / ASKED).read_bytes().splitlines()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    names, seeds = None, set()
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            seeds |= {int(seed) for seed in entry["seeds"]}
            names = names or (str(entry["environment"]), str(entry["variant"]))
    return Asked(*names, tuple(sorted(seeds))) if names else None


def cells_asked(root: Path) -> Iterator[Asked]:
    """What was asked for in every cell under runs/<name>, in order of folders, but for copied or renamed ones."""
    for path in sorted(Path(root).glob(f"*/*/{ASKED}")):
        asked = read_asked(path.parent)
        if asked and SeedFolder.of(root, asked.environment, asked.variant, 0).path.parent == path.parent:
            yield asked


def seed_folders(root: Path) -> Iterator[SeedFolder]:
    """Every root/<environment>/<variant>/seed-<number>, in order of names and then of numbers."""
    found = [
        SeedFolder(path)
        for path in Path(root).glob("*/*/seed-*")
        if re.fullmatch(r"seed-\d+", path.name) and path.is_dir()
    ]
    yield from sorted(found, key=lambda folder: (folder.path.parent, folder.seed))


_WRITTEN_STATES = ("running", "done", "failed")
_SPEC_FIELDS: dict[str, type] = {  # what the readers of a spec rely on
    "environment.name": str,
    "environment.id": str,
    "environment.keywords": dict,
    "algorithm.name": str,
    "algorithm.variant": str,
    "algorithm.config": dict,
    "budget.profile": str,
    "budget.steps": int,
    "budget.eval_every": int,
    "budget.eval_episodes": int,
    "seed": int,
}
