"""What a `bench report` was asked for: the command line over a TOML file over the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from savo_bench.bench import flags, grammar
from savo_bench.bench.errors import UserError
from savo_bench.bench.flags import Flag

TABLES = ("labels", "colours")


def _patterns(value: Any) -> tuple[str, ...]:
    """`--variants 'savo,td3:*'`, or in a file variants = ["savo", "td3:*"]."""
    texts = value if isinstance(value, list | tuple) else [value]
    return tuple(dict.fromkeys(name for text in texts for name in grammar.variants(grammar.convert(text, str))))


def _renamed(value: list[str]) -> dict[str, str]:
    """`--label savo:truncation=false=SAVO-` as {"savo:truncation=false": "SAVO-"}: the last = divides."""
    found = {}
    for text in value:
        name, equals, new = (piece.strip() for piece in text.rpartition("="))
        if not (name and equals and new):
            raise ValueError(f"{text}: write VARIANT=TEXT, as savo=SAVO; the last = divides")
        found[name] = new
    return found


def _highlight(value: Any) -> str:
    return ",".join(_patterns(value))


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The options of `bench report`, but for where the runs are and where the report goes."""

    title: Annotated[str | None, Flag("The title. Without it the names.")] = None
    envs: Annotated[
        tuple[str, ...],
        Flag(
            "Only these environments, in this order: restricted-hopper,mine*. * and ? stand for letters.",
            repeatable=True, read=_patterns,
        ),
    ] = ()  # fmt: skip
    variants: Annotated[
        tuple[str, ...],
        Flag("Only these variants, in this order: savo,td3:*,ensemble.", repeatable=True, read=_patterns),
    ] = ()
    labels: Annotated[
        Mapping[str, str],
        Flag(
            "What to call a variant or an environment: 'savo=SAVO (ours)'.",
            name="--label", repeatable=True, in_file=False, read=_renamed,
        ),
    ] = field(default_factory=dict)  # fmt: skip
    colours: Annotated[
        Mapping[str, str],
        Flag(
            "The colour of a variant: savo=#0072B2.",
            name="--colour", repeatable=True, in_file=False, read=_renamed,
        ),
    ] = field(default_factory=dict)  # fmt: skip
    summary: Annotated[str, Flag("What a seed's score is: last10, final or best.")] = "last10"
    curves: Annotated[str, Flag("What a learning curve is over seeds: mean or iqm.")] = "mean"
    per_seed: Annotated[bool, Flag("Draw a thin line per seed, too.")] = False
    width: Annotated[
        str | None,
        Flag("How wide every figure is: neurips, icml, icml-column, rlc, column, page, or a number of inches."),
    ] = None
    highlight: Annotated[
        str | None,
        Flag("Variants with colour in the figures, as savo,td3; the others are grey.", read=_highlight),
    ] = None


def make(given: Mapping[str, Any], path: Path | None = None) -> ReportOptions:
    """Merge the defaults, a TOML file and the command line, each winning over the one before.

    Args:
        given: What the command line gives, by the names of the fields of ReportOptions.
        path: The TOML file.

    Raises:
        UserError: a key is unknown or a value is not allowed.
    """
    found: dict[str, Any] = {}
    if path is not None:
        where = f"--config {path}: "
        document = flags.document(path)
        tables = {name: _names(document.pop(name, {}), f"{where}{name}") for name in TABLES}
        if isinstance(document.get("width"), int | float):
            document["width"] = f"{document['width']:g}"
        found = flags.from_table(ReportOptions, document, where, tables=TABLES) | tables
    own = flags.from_command_line(ReportOptions, given)
    for name in TABLES:
        found[name] = found.get(name, {}) | own.pop(name, {})
    return ReportOptions(**found | own)


def _names(table: Any, where: str) -> dict[str, str]:
    """A table of names and texts of a TOML file."""
    if not isinstance(table, dict):
        raise UserError(f"{where} must be a table, written [{where.rpartition(' ')[2]}]")
    for name, value in table.items():
        if isinstance(value, dict):
            raise UserError(f'{where}.{name}: write the name in quotes, as "{name}" = "…"')
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{where}: {name} = {value!r}: must be text that is not empty")
    return dict(table)
