"""Options declared once, as annotated fields of a dataclass, for the command line and for TOML files alike.

    mem: Annotated[str | None, Flag("Memory of a task, as 4G.")] = None

is `--mem 4G` on the command line and `mem = "4G"` in a file. A field without a Flag is no option.
"""

import dataclasses
import inspect
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from savo_bench.bench import completion, grammar
from savo_bench.bench.errors import MACHINE, UserError, reason

Completion = Callable[..., list[str]]  # what may stand for a word that is begun, see bench.completion


@dataclass(frozen=True)
class Flag:
    """How a field is written by users."""

    help: str
    name: str | None = None  # on the command line; None: the field's own, with hyphens
    repeatable: bool = False  # on the command line, where its values are a list of texts
    in_file: bool = True  # whether a TOML file may hold it
    read: Callable[[Any], Any] | None = None  # turns that list, or a TOML value, into the field's; raises ValueError


def flags(options: type) -> dict[str, Flag]:
    """The flags of a dataclass of options, by the names of its fields."""
    hints = typing.get_type_hints(options, include_extras=True)
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: mark for name, found in marks.items() for mark in found if isinstance(mark, Flag)}


def parameters(
    options: type, panel: str | None = None, texts: Mapping[str, str] | None = None
) -> list[inspect.Parameter]:
    """What Typer is to read in a command's signature for the options of a dataclass.

    An option that was not given is None, a switch False.

    Args:
        options: the dataclass
        panel: the heading of `--help` under which they stand
        texts: help texts, by fields, that replace those of the flags
    """
    texts = texts or {}
    hints = typing.get_type_hints(options)
    made = []
    for name, flag in flags(options).items():
        switch = hints[name] is bool
        kind = hints[name] if switch else (list[str] if flag.repeatable else hints[name]) | types.NoneType
        text = texts.get(name, flag.help) + _default(options, name)
        complete = completion.OF_OPTIONS.get(name)
        made.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if switch else None,
                annotation=Annotated[
                    kind, option(kind, text, name=flag.name or written(name), panel=panel, complete=complete)
                ],
            )
        )
    return made


def _default(options: type, name: str) -> str:
    """The default of an option, as its help ends; nothing where there is none to speak of."""
    default = next(field.default for field in dataclasses.fields(options) if field.name == name)
    none = default is None or isinstance(default, bool) or default is dataclasses.MISSING or default in ("", ())
    return "" if none else f"  [default: {default:g}]" if isinstance(default, float) else f"  [default: {default}]"


def option(
    annotation: Any, text: str, *, name: str | None = None, panel: str | None = None, complete: Completion | None = None
) -> Any:
    """An option of the command line for Typer, which reads its value as a TOML file's is read.

    Args:
        annotation: the type of its value; bool is a switch, a list of texts may be given again and again
        text: its help
        name: as users write it; None: by the parameter's own name
        panel: the heading of `--help` under which it stands
        complete: what a shell completes it with
    """
    names = [] if name is None else [name]
    wanted = _bare(annotation)
    if wanted is bool:
        return typer.Option(*names, help=text, rich_help_panel=panel)
    if typing.get_origin(wanted) is list:
        return typer.Option(*names, help=text, rich_help_panel=panel, metavar="TEXT", autocompletion=complete)
    metavar = {int: "INTEGER", float: "FLOAT", Path: "PATH"}.get(wanted, "TEXT")
    return typer.Option(
        *names, help=text, rich_help_panel=panel, metavar=metavar, parser=_parser(wanted), autocompletion=complete
    )


def argument(text: str, metavar: str | None = None, complete: Completion | None = None) -> Any:
    """A word of the command line that is no option, for Typer; `metavar` is what help calls it."""
    return typer.Argument(help=text, show_default=True, metavar=metavar, parser=_parser(str), autocompletion=complete)


def _parser(annotation: Any) -> Callable[[Any], Any]:
    """What reads a text of the command line."""

    def parse(value: Any) -> Any:
        if not isinstance(value, str):  # a default
            return value
        try:
            return _convert(value, annotation)
        except ValueError as error:
            shown = f"{value!r} " if value.strip() else ""
            raise typer.BadParameter(f"{shown}{error}") from None

    return parse


def written(name: str) -> str:
    """The option of the command line for a field: --eval-every for eval_every."""
    return f"--{name.replace('_', '-')}"


def from_command_line(options: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the command line gives, of the values that it was parsed into.

    Raises:
        UserError: a value is not allowed.
    """
    found = {}
    for name, flag in flags(options).items():
        if name in given:
            try:
                _refuse_blank(given[name])
                found[name] = flag.read(given[name]) if flag.read else given[name]
            except ValueError as error:
                raise UserError(f"{flag.name or written(name)} {error}") from None
    return found


def from_table(
    options: type, table: Mapping[str, Any], where: str, prefix: str = "", tables: Iterable[str] = ()
) -> dict[str, Any]:
    """The fields that a table of a TOML file gives.

    Args:
        options: the dataclass
        table: the keys, with hyphens or underscores, and their values
        where: the beginning of the message about a wrong one
        prefix: the name of the table and a dot, nothing for the file itself
        tables: what the file may hold beside these keys, for the message

    Raises:
        UserError: a key is unknown or a value is not allowed.
    """
    hints = typing.get_type_hints(options)
    known = {name: flag for name, flag in flags(options).items() if flag.in_file}
    found = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            near = grammar.nearest(name, [*known, *tables])
            raise UserError(f"{where}key {prefix + key!r} is unknown: {near}")
        try:
            _refuse_blank(value)
            read = known[name].read
            found[name] = read(value) if read else _convert(value, hints[name])
        except ValueError as error:
            raise UserError(f"{where}{prefix}{key} = {value!r}: {error}") from None
    return found


def document(path: Path) -> dict[str, Any]:
    """What a TOML file holds, as --config names it.

    Raises:
        UserError: it cannot be read.
    """
    content = ""
    try:
        content = path.read_text(encoding="utf-8-sig")  # Windows' editors begin a file with a byte order mark
        return tomllib.loads(content)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise UserError(f"--config {path}: cannot be read: {reason(error)}") from None
    except OSError as error:
        raise UserError(f"--config {path}: cannot be read: {reason(error)}", exit_code=MACHINE) from None
    except UnicodeDecodeError:
        raise UserError(f"--config {path}: not a TOML file: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"--config {path}: not a TOML file: {error}{_in_quotes(content, str(error))}") from None


def _in_quotes(content: str, error: str) -> str:
    """How to fix a line of a TOML file that has a text without quotes, as time = 24:00:00; empty for another fault."""
    number = re.search(r"at line (\d+)", error)
    line = content.splitlines()[int(number[1]) - 1] if number else ""
    match = re.fullmatch(r"\s*([\w.-]+)\s*=\s*([^\s\"'\[\]{}#=]+)\s*(?:#.*)?", line)
    return f'; write {match[1]} = "{match[2]}", with quotes' if match else ""


def _convert(value: Any, annotation: Any) -> Any:
    """A text or a TOML value as the type of a field.

    Raises:
        ValueError: it is empty, or cannot be one.
    """
    _refuse_blank(value)
    if _bare(annotation) is Path:
        return grammar.path(grammar.convert(value, str))
    return grammar.convert(value, annotation)


def _refuse_blank(value: Any) -> None:
    """Refuse a text without a letter, which a script writes that forgot to set a variable."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and not each.strip():
            raise ValueError("must not be empty")


def _bare(annotation: Any) -> Any:
    """`X` for `X | None`."""
    others = [each for each in typing.get_args(annotation) if each is not types.NoneType]
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return others[0] if union and len(others) == 1 else annotation
