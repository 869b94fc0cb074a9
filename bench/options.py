"""What a `bench run` was asked for: the command line over a TOML file over the defaults."""

import datetime
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from savo_bench.bench import grammar, profiles
from savo_bench.bench.errors import UserError
from savo_bench.bench.grammar import choose

LAUNCHERS = ("local", "inline", "slurm")
DEVICES = ("auto", "cpu", "cuda")

# sbatch's options that have one here, and those that resuming and `bench status` rely on
HAVE_ONE = ("partition", "account", "qos", "time", "gres", "cpus-per-task", "mem", "constraint")
OURS = ("job-name", "array", "output", "error", "open-mode", "signal", "requeue", "no-requeue")

Setting = tuple[str, Any]  # ("lr" | "savo.lr" | "env.balls", text or a TOML value)


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """What SLURM is asked for, for each task of an array. None: what the cluster gives without being asked."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: str | None = None
    gres: str | None = None
    cpus: int = 1  # ours: a pack trains on one thread
    mem: str | None = None
    constraint: str | None = None
    setup: tuple[str, ...] = ()  # shell lines
    extra: tuple[tuple[str, str | bool], ...] = ()  # further options of sbatch; True: one without a value
    array_parallelism: int = 256  # submitit's own

    @property
    def minutes(self) -> int | None:
        """The time limit."""
        return _minutes(self.time) if self.time else None

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


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `bench run`, checked one by one. None: depends on the profile or on the machine."""

    algos: str = ""
    envs: str = ""
    seeds: str = "1"
    profile: str = profiles.DEFAULT
    steps: int | None = None
    eval_every: int | None = None
    eval_episodes: int | None = None
    name: str = "default"
    runs: Path = Path("runs")
    on: str = "local"
    device: str = "auto"
    workers: int | None = None
    pack: int | None = None
    checkpoint_every: float = 300.0  # seconds
    wait: bool = False  # for what SLURM was given
    slurm: Slurm = Slurm()
    file_settings: tuple[Setting, ...] = ()
    settings: tuple[Setting, ...] = ()
    command: str | None = None  # the command line itself, for run.json

    @property
    def root(self) -> Path:
        """The folder of the name."""
        return self.runs / self.name


_TYPES: dict[str, Any] = {field.name: field.type for field in fields(Options)}
_SLURM_TYPES: dict[str, Any] = {field.name: field.type for field in fields(Slurm)}
# what a TOML file may hold, beside [set] and [slurm]
_KEYS = [key for key in _TYPES if key not in ("file_settings", "settings", "slurm", "command")]


def make(config: Path | None, command_line: Mapping[str, Any], settings: Sequence[str]) -> Options:
    """Merge the defaults, a TOML file and the command line (None: not given), each winning over the one before.

    The command line's options for SLURM are in a mapping of their own under the key slurm.

    Raises:
        UserError: a key is unknown or a value is not allowed.
    """
    from_file, file_settings = _read(config) if config else ({}, ())
    given = {key: value for key, value in command_line.items() if value is not None}
    slurm = {key: value for key, value in given.pop("slurm", {}).items() if value is not None}
    if slurm and {**from_file, **given}.get("on") != "slurm":
        raise UserError(f"--{next(iter(slurm)).replace('_', '-')}: is for SLURM only; add --on slurm, or leave it out")
    if "extra" in slurm:
        slurm["extra"] = _extra(slurm["extra"], "--extra")
    if "setup" in slurm:
        slurm["setup"] = tuple(slurm["setup"])
    options = Options(
        **{**from_file, **given, "slurm": Slurm(**{**from_file.pop("slurm", {}), **slurm})},
        file_settings=file_settings,
        settings=tuple(grammar.setting(text) for text in settings),
    )
    _check(options)
    return options


def _check(options: Options) -> None:
    for key in ("steps", "eval_every", "eval_episodes", "workers", "pack"):
        value = getattr(options, key)
        if value is not None and value < 1:
            raise UserError(f"--{key.replace('_', '-')} {value}: must be at least 1")
    if not 0 < options.checkpoint_every < float("inf"):
        raise UserError(f"--checkpoint-every {options.checkpoint_every:g}: must be a number of seconds above 0")
    for key in ("cpus", "array_parallelism"):
        value = getattr(options.slurm, key)
        if value < 1:
            raise UserError(f"--{key.replace('_', '-')} {value}: must be at least 1")
    if options.slurm.time is not None:
        _minutes(options.slurm.time)
    choose(options.on, LAUNCHERS, "--on")
    if options.on == "slurm" and options.workers is not None:
        raise UserError(f"--workers {options.workers}: SLURM's tasks are limited by --array-parallelism instead")
    choose(options.device, DEVICES, "--device")
    profiles.get(options.profile)
    grammar.name(options.name)
    grammar.seeds(options.seeds)


def _read(path: Path) -> tuple[dict[str, Any], tuple[Setting, ...]]:
    """Options and settings of a TOML file."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config {path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # bad TOML, bad UTF-8
        raise UserError(f"--config {path}: not a TOML file: {error}") from None
    table, slurm = (_table(path, document, name) for name in ("set", "slurm"))
    options: dict[str, Any] = {"slurm": _slurm(slurm, f"--config {path}: slurm")}
    for written, value in document.items():
        key = written.replace("-", "_")
        if key not in _KEYS:
            known = [*_KEYS, "set", "slurm"]
            raise UserError(f"--config {path}: key {written!r} is unknown: {grammar.nearest(key, known)}")
        options[key] = _option(key, value, f"--config {path}: {written}")
    return options, tuple(_flatten(table))


def _table(path: Path, document: dict[str, Any], name: str) -> dict[str, Any]:
    """Take a table out of a TOML document."""
    table = document.pop(name, {})
    if not isinstance(table, dict):
        raise UserError(f"--config {path}: {name} must be a table, written [{name}]")
    return table


def _slurm(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of Slurm in [slurm]."""
    found: dict[str, Any] = {}
    for written, value in table.items():
        key = written.replace("-", "_")
        if key not in _SLURM_TYPES:
            raise UserError(f"{where}.{written} is unknown: {grammar.nearest(key, _SLURM_TYPES)}")
        try:
            if key == "setup":
                lines = value if isinstance(value, list) else [value]
                found[key] = tuple(grammar.convert(line, str) for line in lines)
            elif key == "extra":
                if not isinstance(value, dict):
                    raise ValueError("must be a table, as { nodelist = 'n1', exclusive = true }")
                texts = [name if held is True else f"{name}={held}" for name, held in value.items()]
                found[key] = _extra(texts, f"{where}.extra")
            else:
                plain = isinstance(value, int | datetime.time) and not isinstance(value, bool)
                as_text = key in ("time", "mem") and plain  # time = 30, time = 04:00:00
                found[key] = grammar.convert(str(value) if as_text else value, _SLURM_TYPES[key])
        except ValueError as error:
            raise UserError(f"{where}.{written} = {value!r}: {error}") from None
    return found


def _extra(texts: Sequence[str], where: str) -> tuple[tuple[str, str | bool], ...]:
    """Further options of sbatch, KEY=VALUE or KEY.

    Raises:
        UserError: one is not written so, or is not free to be set.
    """
    found: dict[str, str | bool] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip().removeprefix("--").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", key) or (equals and not value.strip()):
            raise UserError(f"{where} {text}: write KEY=VALUE or KEY, the long name of an option of sbatch")
        if key in HAVE_ONE:
            raise UserError(f"{where} {text}: has an option of its own, --{key.removesuffix('-per-task')}")
        if key in OURS:
            raise UserError(f"{where} {text}: is set by bench, which could not find or resume its tasks without it")
        found[key] = value.strip() if equals else True
    return tuple(found.items())


def _option(key: str, value: Any, where: str) -> Any:
    """One value of the file as its option's type."""
    try:
        if key == "runs":
            return Path(grammar.convert(value, str))
        if key in ("algos", "envs") and isinstance(value, list):
            return ",".join(grammar.convert(item, str) for item in value)
        if key == "seeds" and isinstance(value, list):  # [4] is seed 4, where 4 are seeds 0 to 3
            return ",".join(f"{number}-{number}" for number in (grammar.convert(item, int) for item in value))
        if key == "seeds" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return grammar.convert(value, _TYPES[key])
    except ValueError as error:
        raise UserError(f"{where} = {value!r}: {error}") from None


def _flatten(table: Mapping[str, Any], prefix: str = "") -> list[Setting]:
    """[set] with its tables [set.savo] and [set.env] as ("savo.extra_actors", 5)."""
    flat: list[Setting] = []
    for key, value in table.items():
        flat += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return flat
