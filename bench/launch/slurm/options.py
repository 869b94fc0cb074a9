"""The options of `bench run --on slurm`: what sbatch is asked for."""

import datetime
import re
from dataclasses import dataclass
from typing import Annotated, Any

from savo_bench.bench import grammar
from savo_bench.bench.errors import UserError
from savo_bench.bench.flags import Flag
from savo_bench.bench.options import at_least_one

# sbatch's options that have one here, and those that resuming and `bench status` rely on
HAVE_ONE = ("partition", "account", "qos", "time", "gres", "cpus-per-task", "mem", "constraint")
OURS = (
    "job-name",
    "array",
    "output",
    "error",
    "open-mode",
    "signal",
    "requeue",
    "no-requeue",
    "ntasks",
    "ntasks-per-node",
)


def _text(value: Any) -> str:
    """A text, a number or a time of a TOML file as text: time = 30, time = 04:00:00, mem = 4000."""
    number = isinstance(value, int | datetime.time) and not isinstance(value, bool)
    return str(value) if number else grammar.convert(value, str)


def _lines(value: Any) -> tuple[str, ...]:
    """Shell lines, or a single one."""
    return tuple(grammar.convert(line, str) for line in (value if isinstance(value, list) else [value]))


def _extra(value: Any) -> tuple[tuple[str, str | bool], ...]:
    """Further options of sbatch, from texts KEY=VALUE or KEY, or from a TOML table.

    Raises:
        ValueError: one is not written so, or is not free to be set.
    """
    if isinstance(value, dict):
        value = [name if held is True else f"{name}={held}" for name, held in value.items()]
    elif not isinstance(value, list):
        raise ValueError("must be a table, as { nodelist = 'n1', exclusive = true }")
    found: dict[str, str | bool] = {}
    for text in value:
        key, equals, held = grammar.convert(text, str).partition("=")
        key = key.strip().removeprefix("--").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", key) or (equals and not held.strip()):
            raise ValueError(f"{text}: write KEY=VALUE or KEY, the long name of an option of sbatch")
        if key in HAVE_ONE:
            raise ValueError(f"{text}: has an option of its own, --{key.removesuffix('-per-task')}")
        if key in OURS:
            raise ValueError(f"{text}: is set by bench, which could not find or resume its tasks without it")
        found[key] = held.strip() if equals else True
    return tuple(found.items())


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """What SLURM is asked for, for each task of an array. None: what the cluster gives without being asked.

    Raises:
        UserError: a value is not allowed.
    """

    partition: Annotated[str | None, Flag("Partition.")] = None
    account: Annotated[str | None, Flag("Account.")] = None
    qos: Annotated[str | None, Flag("Quality of service.")] = None
    time: Annotated[str | None, Flag("Limit of a task: minutes, H:M:S, D-H. At it it is requeued.", read=_text)] = None
    gres: Annotated[str | None, Flag("For each task, as gpu:1.")] = None
    cpus: Annotated[int, Flag("CPUs of a pack.")] = 1  # ours: a pack trains on one thread
    mem: Annotated[str | None, Flag("Memory of a task, as 4G.", read=_text)] = None
    constraint: Annotated[str | None, Flag("Features that nodes must have.")] = None
    packs_per_task: Annotated[int, Flag("Packs that a task trains at once, on one GPU or node.")] = 1
    container: Annotated[str | None, Flag("An image to train in: a file.sif, or what Pyxis takes.")] = None
    setup: Annotated[
        tuple[str, ...], Flag("A shell line to run first: module load cuda. Repeatable.", repeatable=True, read=_lines)
    ] = ()
    extra: Annotated[
        tuple[tuple[str, str | bool], ...],  # True: an option without a value
        Flag("Another option of sbatch, KEY=VALUE or KEY. Repeatable.", repeatable=True, read=_extra),
    ] = ()
    array_parallelism: Annotated[int, Flag("Most tasks that run at a time.")] = 256  # submitit's own

    def __post_init__(self) -> None:
        at_least_one("cpus", self.cpus)
        at_least_one("packs_per_task", self.packs_per_task)
        at_least_one("array_parallelism", self.array_parallelism)
        if self.time is not None:
            _minutes(self.time)

    @property
    def minutes(self) -> int | None:
        """The time limit of a task, rounded up."""
        return _minutes(self.time) if self.time else None

    @property
    def memory(self) -> int | None:
        """Bytes of memory of a task, where `mem` says it as sbatch takes it; 0 would be all of a node's."""
        match = re.fullmatch(r"(\d+)([KMGT]?)B?", self.mem or "", re.ASCII | re.IGNORECASE)
        if match is None or int(match[1]) == 0:
            return None
        return int(match[1]) * 1024 ** (1 + "KMGT".index(match[2].upper() or "M"))

    @property
    def given(self) -> set[str]:
        """The long names of sbatch's options that are given."""
        own = (name for name in HAVE_ONE if getattr(self, name, None) is not None)
        return {*own, *(key for key, _ in self.extra)}

    @property
    def wants_gpu(self) -> bool:
        """Whether a GPU is asked for."""
        return "gpu" in (self.gres or "") or any(key.startswith("gpus") for key, _ in self.extra)


def _minutes(text: str) -> int:
    """A time as sbatch takes it, in whole minutes, rounded up.

    Raises:
        UserError: it is none.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text, re.ASCII)
    if match is None:
        raise UserError(f"--time {text}: write minutes, hours:minutes:seconds or days-hours")
    days, hours, minutes, seconds = (int(part) if part else 0 for part in match.groups())
    if match[1] is None and match[4] is None:  # M or M:S, where the others are D-H, D-H:M, D-H:M:S and H:M:S
        hours, minutes, seconds = 0, hours, minutes
    total = -(-(((days * 24 + hours) * 60 + minutes) * 60 + seconds) // 60)
    if total == 0:
        raise UserError(f"--time {text}: must be above 0")
    return total
