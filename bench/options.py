"""What a `bench run` was asked for: the command line over a TOML file over the defaults."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench import grammar, profiles
from bench.errors import UserError
from bench.grammar import choose

LAUNCHERS = ("local", "inline")
DEVICES = ("auto", "cpu", "cuda")

Setting = tuple[str, Any]  # ("lr" | "savo.lr" | "env.balls", text or a TOML value)


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
    file_settings: tuple[Setting, ...] = ()
    settings: tuple[Setting, ...] = ()

    @property
    def root(self) -> Path:
        """The folder of the name."""
        return self.runs / self.name


_TYPES: dict[str, Any] = {field.name: field.type for field in fields(Options)}
_KEYS = [key for key in _TYPES if key not in ("file_settings", "settings")]  # what a TOML file may hold, beside [set]


def make(config: Path | None, command_line: Mapping[str, Any], settings: Sequence[str]) -> Options:
    """Merge the defaults, a TOML file and the command line (None: not given), each winning over the one before.

    Raises:
        UserError: a key is unknown or a value is not allowed.
    """
    from_file, file_settings = _read(config) if config else ({}, ())
    given = {key: value for key, value in command_line.items() if value is not None}
    options = Options(
        **{**from_file, **given},
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
    choose(options.on, LAUNCHERS, "--on")
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
    table = document.pop("set", {})
    if not isinstance(table, dict):
        raise UserError(f"--config {path}: set must be a table, written [set]")
    options = {}
    for written, value in document.items():
        key = written.replace("-", "_")
        if key not in _KEYS:
            raise UserError(f"--config {path}: key {written!r} is unknown: {grammar.nearest(key, [*_KEYS, 'set'])}")
        options[key] = _option(key, value, f"--config {path}: {written}")
    return options, tuple(_flatten(table))


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
