"""The run directory: the names of its files and folders, and what its JSON files hold.

    runs/<name>/<environment>/<variant>/   a cell
        asked.jsonl   the seeds that were asked for in this cell, a line per command that added some
    runs/<name>/<environment>/<variant>/seed-0003/
        run.json      schema, hash, the whole spec, provenance, the environment's metrics; written once
        status.json   running, done or failed; replaced every few seconds
        attempts.jsonl  a line for each process that trained it: from which step on, where, with which code
        evals.csv     one row per evaluation episode: step,episode,return,length and the environment's metrics
        train.csv     sparse scalars of the training: step,seconds and whatever the algorithm reports
        policy.pt     the final networks without the targets, once done
        policies/     the same of steps on the way, where `bench run --keep-policies` asked for them
            step-000030000.pt      after 30 000 steps
        landscapes.json  Q over actions in some states, where `bench landscape` was asked for it; figures beside it
        film.mp4      or film.gif, where one was asked for
        lock          locked by the process that trains the seed, see results.lock
        lock.owners/  who has the lock, where the file system has none
        checkpoint/   what a resume needs, while the seed is not done
            state-000012345.pt     everything but the replay, at step 12345
            replay-000000000.bin   packed float32 records from that transition number on
    runs/<name>/comparisons.jsonl   what is declared to be compared, a line per declaration, see results.declared
    runs/<name>/gaps.csv  what `bench gap` writes
    runs/<name>/report/   what `bench report` writes
    runs/<name>/exports/  what `bench export` writes, a folder per kind
    runs/<name>/logs/     output of worker processes
    runs/<name>/slurm/    what the launcher of that name keeps

No other module knows these names. Files are written and read by `results.files`; how a seed stands is said by
`results.state`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict

from savo_bench.results.files import (
    CorruptFile,
    append_json,
    folders_in,
    make_folder,
    names_in,
    read_json,
    read_json_lines,
    write_json,
)

SCHEMA = 1
ASKED = "asked.jsonl"
COMPARISONS = "comparisons.jsonl"
GAPS = "gaps.csv"
_SLUG_LENGTH = 150  # file systems allow 255 bytes a name
_WRITTEN_STATES = ("running", "interrupted", "done", "failed")
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
_NUMBER, _NONE = (int, float), type(None)
_STATUS_FIELDS: dict[str, tuple[type, ...]] = {  # of Status, but for its state
    "step": (int,),
    "steps": (int,),
    "reason": (str, _NONE),
    "resumed_from": (int,),
    "attempt": (int,),
    "heartbeat": _NUMBER,
    "steps_per_s": (*_NUMBER, _NONE),
    "last_return": (*_NUMBER, _NONE),
    "seconds": (*_NUMBER, _NONE),
    "cpu_seconds": (*_NUMBER, _NONE),
    "owner": (dict,),
    "peak_memory": (*_NUMBER, _NONE),
    "action_seconds": (*_NUMBER, _NONE),
    "parameters": (*_NUMBER, _NONE),
}
_OWNER_FIELDS: dict[str, tuple[type, ...]] = {
    "host": (str, _NONE),
    "pid": (int, _NONE),
    "launcher": (str, _NONE),
    "job": (str, _NONE),
    "pack": (list, _NONE),
}


class OtherSchema(ValueError):
    """A run.json was written by another version of the format."""


class Owner(TypedDict, total=False):
    """Who trains a seed."""

    host: str
    pid: int
    launcher: str
    job: str | None
    pack: list[int]


class Metric(TypedDict):
    """How a report shows a metric that an environment gives beside its return."""

    label: str
    unit: str
    how: str  # what an evaluation is over its episodes' steps: mean, max or sum


class Status(TypedDict):
    """What status.json holds. `heartbeat` is a unix time; times of training are over all attempts."""

    state: str
    step: int
    steps: int
    reason: NotRequired[str | None]
    resumed_from: NotRequired[int]
    attempt: NotRequired[int]
    heartbeat: NotRequired[float]
    steps_per_s: NotRequired[float | None]
    last_return: NotRequired[float | None]
    seconds: NotRequired[float]  # wall time of the seed's packs
    cpu_seconds: NotRequired[float | None]  # the seed's share of their processor time; older runs lack it
    owner: NotRequired[Owner]
    # what a report shows as cost: most bytes held, seconds that choosing an action for every seed of the pack takes,
    # number of weights that a seed acts with
    peak_memory: NotRequired[float]
    action_seconds: NotRequired[float]
    parameters: NotRequired[int]


def label(name: str, fields: Mapping[str, Any]) -> str:
    """Name of a variant or of an environment with keywords: `savo:extra_actors=5,hidden=64-64`; no fields, no colon."""
    return f"{name}:{','.join(f'{key}={text(value)}' for key, value in fields.items())}" if fields else name


def text(value: Any) -> str:
    """A field's value as labels and tables show it: 0.0003, true, 64-64, none (also for an empty list)."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, list | tuple):
        return "-".join(map(text, value)) or "none"
    return str(value)


def seed_ranges(numbers: Iterable[int]) -> str:
    """(0, 1, 2, 5) -> 0-2,5."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1][1:] = [number]
        else:
            ranges.append([number])
    return ",".join("-".join(map(str, ends)) for ends in ranges)


def slug(label: str) -> str:
    """Name of a label's folder: `savo:extra_actors=5,lr=0.1` -> `savo__extra_actors-5__lr-0.1`, only [a-z0-9._-].

    A label that holds anything else, or is very long, gets eight digits of its hash, so that different labels keep
    different folders.
    """
    plain = label.replace(":", "__").replace(",", "__").replace("=", "-").replace("+", "")  # 1e+06 is no 1e-06
    name = re.sub(r"[^a-z0-9._-]", "-", plain.lower())
    if name == plain and name.strip(".") and not name.startswith(".") and len(name) <= _SLUG_LENGTH:
        return name
    digest = hashlib.sha256(label.encode(errors="backslashreplace")).hexdigest()[:8]
    return f"{name[:_SLUG_LENGTH].lstrip('.')}-{digest}"


def labels(spec: Mapping[str, Any]) -> tuple[str, str]:
    """The labels of a spec's environment and variant."""
    return label(spec["environment"]["name"], spec["environment"]["keywords"]), spec["algorithm"]["variant"]


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


class SeedFolder:
    """The folder of one seed: its paths, and its two JSON files read and written.

    Args:
        path: runs/<name>/<environment>/<variant>/seed-<number>, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @classmethod
    def of(cls, root: Path, environment: str, variant: str, seed: int) -> "SeedFolder":
        """The folder of a seed of a variant on an environment (labels, not slugs) under runs/<name>."""
        return cls(cell_folder(root, environment, variant) / f"seed-{seed:04d}")

    def __repr__(self) -> str:
        """The path."""
        return f"SeedFolder({str(self.path)!r})"

    @property
    def seed(self) -> int:
        """The seed number, from the folder's name."""
        return _number(self.path)

    @property
    def run_json(self) -> Path:
        """The spec and the provenance."""
        return self.path / "run.json"

    @property
    def status_json(self) -> Path:
        """How far it is and who trains it."""
        return self.path / "status.json"

    @property
    def attempts_jsonl(self) -> Path:
        """Where each attempt to train it came from."""
        return self.path / "attempts.jsonl"

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

    def kept_policy(self, step: int) -> Path:
        """The networks of a step on the way, where they are kept."""
        return self._policies / f"step-{step:09d}.pt"

    def kept_policies(self) -> dict[int, Path]:
        """The policies of steps on the way that are there, by step, earliest first.

        Raises:
            OSError: their folder cannot be read, or a link to it leads nowhere.
        """
        return _numbered(self._policies, r"step-\d+\.pt")

    @property
    def _policies(self) -> Path:
        return self.path / "policies"

    @property
    def landscapes(self) -> Path:
        """Landscapes of the policy, where they were asked for."""
        return self.path / "landscapes.json"

    def film(self, suffix: str) -> Path:
        """A film of the policy, where none is asked for elsewhere."""
        return self.path / f"film{suffix}"

    @property
    def checkpoint(self) -> Path:
        """The folder of what a resume needs."""
        return self.path / "checkpoint"

    @property
    def lock(self) -> Path:
        """The file that the training process locks."""
        return self.path / "lock"

    def write_run(
        self,
        spec: Mapping[str, Any],
        provenance: Mapping[str, Any],
        metrics: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Write run.json, creating the folder. `metrics` says, as `Metric`, how to show the environment's metrics."""
        make_folder(self.path)
        document = {"schema": SCHEMA, "hash": spec_hash(spec), "spec": spec, "provenance": provenance}
        write_json(self.run_json, document | ({} if metrics is None else {"metrics": metrics}))

    def read_run(self) -> dict[str, Any] | None:
        """run.json as {"schema", "hash", "spec", "provenance"} and perhaps "metrics"; None where there is none.

        Raises:
            CorruptFile: it is unreadable, its hash is not that of its spec, or it belongs to another seed's folder.
            OtherSchema: another version of the format wrote it.
            OSError: it cannot be opened.
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
        if run.get("hash") != spec_hash(spec):  # of finite numbers, as `read_json` gives no others
            raise CorruptFile(f"{self.run_json}: its hash is not that of its spec: edited by hand?")
        for dotted, kind in _SPEC_FIELDS.items():
            value: Any = spec
            for key in dotted.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if not isinstance(value, kind):
                raise CorruptFile(f"{self.run_json}: spec.{dotted} is {value!r}, not {kind.__name__}")
        if not _are_metrics(run.get("metrics", {})):
            raise CorruptFile(f"{self.run_json}: metrics is {run['metrics']!r}, not label, unit and how by name")
        expected = SeedFolder.of(Path(), *labels(spec), spec["seed"]).path
        if expected.parts != self.path.absolute().parts[-3:]:
            raise CorruptFile(f"{self.path}: its run.json belongs to {expected}: copied or renamed")
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
            OSError: it cannot be opened.
        """
        try:
            status = read_json(self.status_json)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if (
            not isinstance(status, dict)
            or status.get("state") not in _WRITTEN_STATES
            or not {"step", "steps"} <= {*status}
        ):
            raise CorruptFile(f"{self.status_json}: not a seed's status")
        wrong = _wrong(status, _STATUS_FIELDS) or _wrong(status.get("owner", {}), _OWNER_FIELDS, "owner.")
        if wrong is None and not all(isinstance(seed, int) for seed in status.get("owner", {}).get("pack") or ()):
            wrong = f"owner.pack is {status['owner']['pack']!r}, not a list of int"
        if wrong is not None:
            raise CorruptFile(f"{self.status_json}: {wrong}")
        return status  # type: ignore[return-value]

    def add_attempt(self, attempt: Mapping[str, Any]) -> None:
        """Write down an attempt to train the seed: its provenance, and the step `resumed_from` that it begins with."""
        append_json(self.attempts_jsonl, attempt)

    def read_attempts(self) -> list[dict[str, Any]]:
        """Every attempt that is written down, in order; a damaged line counts for nothing.

        Raises:
            OSError: attempts.jsonl is there and cannot be read.
        """
        return [
            attempt
            for attempt in read_json_lines(self.attempts_jsonl)
            if isinstance(attempt, dict) and isinstance(attempt.get("resumed_from"), int)
        ]


def _wrong(document: Mapping[str, Any], fields: Mapping[str, tuple[type, ...]], prefix: str = "") -> str | None:
    """The first of some fields that is there and of another type, in words; None if there is none."""
    for name, kinds in fields.items():
        if name in document and not isinstance(document[name], kinds):
            known = " or ".join("null" if kind is _NONE else kind.__name__ for kind in kinds)
            return f"{prefix}{name} is {document[name]!r}, not {known}"
    return None


def _are_metrics(value: Any) -> bool:
    """Whether a value has the form of run.json's metrics."""
    return isinstance(value, dict) and all(
        isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in Metric.__annotations__)
        for entry in value.values()
    )


def cell_folder(root: Path, environment: str, variant: str) -> Path:
    """The folder of a variant on an environment (labels, not slugs) under runs/<name>."""
    return Path(root) / slug(environment) / slug(variant)


def report_folder(root: Path) -> Path:
    """Where the report of runs/<name> lies, unless another place is asked for."""
    return Path(root) / "report"


def exports_folder(root: Path, kind: str) -> Path:
    """Where an export of runs/<name> lies, unless another place is asked for."""
    return Path(root) / "exports" / kind


def logs_folder(root: Path) -> Path:
    """Where the output of runs/<name>'s worker processes lies."""
    return Path(root) / "logs"


def launcher_folder(root: Path, launcher: str) -> Path:
    """Where a launcher keeps what it must know again, under runs/<name>."""
    return Path(root) / launcher


def state_file(checkpoint: Path, step: int) -> Path:
    """The state of a step in a checkpoint folder."""
    return checkpoint / f"state-{step:09d}.pt"


def state_steps(checkpoint: Path) -> list[int]:
    """The steps of the states in a checkpoint folder, newest first.

    Raises:
        OSError: the folder cannot be read, or a link to it leads nowhere.
    """
    return sorted(_numbered(checkpoint, r"state-\d+\.pt"), reverse=True)


def replay_file(checkpoint: Path, first: int) -> Path:
    """The segment of the replay log that begins with transition number `first`."""
    return checkpoint / f"replay-{first:09d}.bin"


def replay_files(checkpoint: Path) -> dict[int, Path]:
    """The segments of the replay log that are there, by the number of their first transition.

    Raises:
        OSError: as `state_steps`.
    """
    return _numbered(checkpoint, r"replay-\d+\.bin")


def _numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """The files in a folder whose names fit a pattern, by the numbers in them, in order."""
    return dict(sorted((_number(path), path) for path in names_in(folder) if re.fullmatch(pattern, path.name)))


def _number(path: Path) -> int:
    """The number in state-000012345.pt, step-000012345.pt or seed-0003."""
    return int(path.stem.rpartition("-")[2])


class Asked(NamedTuple):
    """What was asked for in a cell: the names of environment and variant, every seed, and the variant's controls."""

    environment: str
    variant: str
    seeds: tuple[int, ...]
    controls: tuple[str, ...] = ()  # the variants that must stand beside it before a lead can be put down to a cause


def ask(root: Path, environment: str, variant: str, seeds: Iterable[int], controls: Sequence[str] = ()) -> None:
    """Write down the seeds asked for in a cell, so that readers know which are missing; none is written twice.

    Its controls are written beside the first seeds.
    """
    cell = cell_folder(root, environment, variant)
    before = read_asked(cell)
    new = sorted(set(seeds) - set(before.seeds if before else ()))
    if new:
        make_folder(cell)
        beside = {"controls": list(controls)} if before is None and controls else {}
        append_json(cell / ASKED, {"environment": environment, "variant": variant, "seeds": new} | beside)


def read_asked(cell: Path) -> Asked | None:
    """What was asked for in a cell's folder, None where nothing is written down; a damaged line counts for nothing.

    Raises:
        OSError: it cannot be read.
    """
    try:
        entries = read_json_lines(cell / ASKED)
    except IsADirectoryError:
        return None
    names, seeds, controls = None, set(), ()
    for entry in filter(_is_asked, entries):
        seeds |= {*entry["seeds"]}
        names = names or (entry["environment"], entry["variant"])
        controls = controls or tuple(entry.get("controls", ()))
    return Asked(*names, tuple(sorted(seeds)), controls) if names else None


def _is_asked(value: Any) -> bool:
    """Whether a value has the form of a line of asked.jsonl."""
    if not isinstance(value, dict):
        return False
    names, seeds, controls = (
        (value.get("environment"), value.get("variant")),
        value.get("seeds"),
        value.get("controls", []),
    )
    return (
        all(isinstance(name, str) for name in names)
        and isinstance(seeds, list)
        and all(isinstance(seed, int) and seed >= 0 for seed in seeds)
        and isinstance(controls, list)
        and all(isinstance(name, str) for name in controls)
    )


def cells_asked(root: Path) -> Iterator[Asked]:
    """What was asked for in every cell under runs/<name>, in order of folders, but for copied or renamed ones.

    Raises:
        OSError: a folder, or what was written down, cannot be read.
    """
    for path in _cell_folders(root):
        asked = read_asked(path)
        if asked and cell_folder(root, asked.environment, asked.variant) == path:
            yield asked


def seed_folders(root: Path) -> Iterator[SeedFolder]:
    """Every root/<environment>/<variant>/seed-<number>, in order of names and then of numbers.

    Raises:
        OSError: the root, or a folder of an environment or a variant, cannot be read.
    """
    for cell in _cell_folders(root):
        yield from seeds_in(cell)


def seeds_in(cell: Path) -> list[SeedFolder]:
    """The folders of seeds in a cell's folder, in order of their numbers.

    Raises:
        OSError: the folder cannot be read.
    """
    found = (SeedFolder(path) for path in folders_in(cell) if re.fullmatch(r"seed-\d+", path.name))
    return sorted(found, key=lambda folder: folder.seed)


def _cell_folders(root: Path) -> Iterator[Path]:
    """Every root/*/*, whether a cell or not."""
    for environment in folders_in(Path(root)):
        yield from folders_in(environment)
