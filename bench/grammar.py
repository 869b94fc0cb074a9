"""The words of the command line: names with fields, seeds and values.

    savo,td3:target_noise=0                two variants
    savo:extra_actors=5,target_noise=0     one variant with two fields: `field=value` continues the variant before it
    savo:extra_actors=1,3,5                three variants: a bare value is another variant with the last field changed
    savo:summariser=lstm,transformer       two variants: so is a word that the field takes and that is no name
    restricted-hopper:balls=99,990         the same for environments and their keywords
    10 | 3-7 | 0,4 | 0,4-6                 seeds 0 to 9, 3 to 7, 0 and 4, 0 and 4 to 6

Nothing here knows an algorithm or an environment.
"""

import difflib
import inspect
import math
import os
import re
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from savo_bench.bench.errors import UserError
from savo_bench.results.format import text as text_of

LARGEST_SEED = 9_999  # ours: folders are called seed-0000 to seed-9999, so they sort

_VALUE = re.compile(r"[-+]?\.?\d.*|true|false|none")
_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]*")


@dataclass(frozen=True)
class Item:
    """A name of `--algos` or `--envs` with its fields, as written."""

    name: str
    fields: dict[str, str]


def items(text: str, option: str, takes: Callable[[Item, str], bool] = lambda *_: False) -> list[Item]:
    """Split the value of `--algos` or `--envs`. `takes` says whether a word is a value of an item's last field.

    Raises:
        UserError: a part is empty, belongs to nothing, or gives a field twice.
    """
    found: list[Item] = []
    for part in (part.strip() for part in text.split(",")):
        head, colon, rest = part.partition(":")
        if not part:
            raise UserError(f"{option} {text}: there is nothing between two commas")
        if colon and "=" not in head:
            if not head:
                raise UserError(f"{option} {part}: there is no name before the colon")
            found.append(Item(head, {}))
            _add_field(found[-1], rest, option, part)
        elif "=" in part:
            if not found:
                raise UserError(f"{option} {part}: a field needs a name before it, as name:{part}")
            _add_field(found[-1], part, option, part)
        elif found and found[-1].fields and (_VALUE.fullmatch(part) or takes(found[-1], part)):
            last = list(found[-1].fields)[-1]
            found.append(Item(found[-1].name, {**found[-1].fields, last: part}))
        else:
            found.append(Item(part, {}))
    return found


def pairs(text: str, option: str) -> list[tuple[str, str]]:
    """`savo/td3:tau=0.01,lr=0.001,savo/ensemble` → savo and td3 with two fields, savo and ensemble.

    Raises:
        UserError: a part does not have two sides.
    """
    wholes: list[str] = []
    for part in text.split(",") if text else []:
        continues = "=" in part and ":" not in part.partition("=")[0]  # a field of the variant before it
        wholes = [*wholes[:-1], f"{wholes[-1]},{part}"] if wholes and continues else [*wholes, part]
    found = []
    for whole in wholes:
        sides = [side.strip() for side in whole.split("/")]
        if len(sides) != 2 or not all(sides):
            raise UserError(f"{option} {whole}: must be two variants, as savo/td3")
        found.append((sides[0], sides[1]))
    return found


def variants(text: str) -> tuple[str, ...]:
    """`savo,td3:tau=0.01,lr=0.001,ens*` → savo, td3 with two fields, and what begins with ens; each once."""
    found: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if found and "=" in part and ":" not in part.partition("=")[0]:  # a field of the variant before it
            found[-1] += f",{part}"
        else:
            found.append(part)
    return tuple(dict.fromkeys(found))


def _add_field(item: Item, text: str, option: str, part: str) -> None:
    field, equals, value = (piece.strip() for piece in text.partition("="))
    if not (field and equals and value):
        raise UserError(f"{option} {part}: fields are written {item.name}:field=value")
    if field in item.fields:
        raise UserError(f"{option} {item.name}: {field} is given twice")
    item.fields[field] = value


def seeds(text: str) -> tuple[int, ...]:
    """`10` -> 0..9, `3-7` -> 3..7, `0,4` -> 0 and 4; in order, each once.

    Raises:
        UserError: it is none of these.
    """
    forms = "write --seeds 10 (0 to 9), 3-7 or 0,4"
    parts = [part.strip() for part in text.split(",")]
    found: set[int] = set()
    for part in parts:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part, re.ASCII)
        if match is None:
            raise UserError(f"--seeds {text}: not a number of seeds; {forms}")
        first, last = int(match[1]), int(match[2] or match[1])
        if len(parts) == 1 and match[2] is None:
            if first == 0:
                raise UserError(f"--seeds {text}: at least one seed is needed; {forms}")
            first, last = 0, first - 1
        if last < first:
            raise UserError(f"--seeds {text}: {first} comes after {last}; {forms}")
        if last > LARGEST_SEED:
            raise UserError(f"--seeds {text}: seeds are numbered 0 to {LARGEST_SEED}")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def name(text: str) -> str:
    """Check the name of a set of cells, which is also its folder's.

    Raises:
        UserError: it holds other characters than a-z 0-9 . _ -
    """
    if not _NAME.fullmatch(text) or len(text) > 100:  # ours: file systems allow 255 bytes
        allowed = re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:100].strip("-.")
        hint = f", for instance {allowed}" if allowed else ""
        raise UserError(f"--name {text!r}: a name holds only a-z 0-9 . _ - and starts with none of . and -{hint}")
    return text


def path(text: str) -> Path:
    """A path, with ~ for a home folder and $NAME for an environment variable.

    Raises:
        ValueError: there is no such home folder or variable.
    """
    for match in re.finditer(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})", text):
        variable = match[1] or match[2]
        if variable not in os.environ and not Path(text).exists():
            raise ValueError(f"holds ${variable}, an environment variable that is not set")
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    try:
        return Path(os.path.expandvars(text)).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home folder of somebody who has none here") from None


def setting(text: str) -> tuple[str, str]:
    """Split the value of `--set`.

    Raises:
        UserError: it is not KEY=VALUE.
    """
    key, equals, value = (piece.strip() for piece in text.partition("="))
    if not (key and equals and value):
        raise UserError(f"--set {text}: write --set FIELD=VALUE, ALGORITHM.FIELD=VALUE or env.KEYWORD=VALUE")
    return key, value


def nearest(word: str, choices: Iterable[str]) -> str:
    """The valid choices nearest to a word, or all where none is near, as the end of a message."""
    every = sorted(set(choices))
    if near := alike(word, every):
        return f"did you mean {' or '.join(near)}?"
    return f"choose from {', '.join(every)}" if every else "there is none"


def alike(word: str, choices: Iterable[str]) -> list[str]:
    """The choices that a word may be a slip of, nearest first."""
    return difflib.get_close_matches(word.lower(), sorted(set(choices)), n=3, cutoff=0.6)


def choose(word: str, choices: Iterable[str], what: str) -> str:
    """Return the word if it is one of the choices.

    Raises:
        UserError: it is not; names the nearest.
    """
    every = list(choices)
    if word in every:
        return word
    raise UserError(f"{what} {word!r} is unknown: {nearest(word, every)}")


def convert(value: Any, annotation: Any) -> Any:
    """A value of the command line (text) or of a TOML file (typed) as the type that a field asks for.

    Raises:
        ValueError: it cannot be one; the message says what is allowed.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return _convert_union(value, arguments)
    if origin is Literal:
        by_text = {text_of(choice): choice for choice in arguments}
        text = value if isinstance(value, str) else text_of(value)
        if text not in by_text:
            raise ValueError(f"must be one of {', '.join(by_text)}")
        return by_text[text]
    if origin is tuple or annotation is tuple:
        if value == "none":  # as an empty one is shown
            return ()
        element = arguments[0] if arguments else int
        parts = value.split("-") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
        try:
            return tuple(convert(part, element) for part in parts)
        except ValueError:
            raise ValueError("must be whole numbers joined by -, as 64-64") from None
    converter = {bool: _bool, int: _int, float: _float, str: _str}.get(annotation)
    return converter(value) if converter else value


def _convert_union(value: Any, arguments: tuple[Any, ...]) -> Any:
    optional = type(None) in arguments
    if optional and (value is None or value == "none"):
        return None
    reasons = []
    for argument in arguments:
        if argument is not type(None):
            try:
                return convert(value, argument)
            except ValueError as error:
                reasons.append(str(error))
    raise ValueError(", or ".join([*reasons, "none"] if optional else reasons))


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _int(value: Any) -> int:
    number = _float(value, "must be a whole number")
    if number != int(number):
        raise ValueError("must be a whole number")
    return int(value) if not isinstance(value, str) or re.fullmatch(r"[-+]?[\d_]+", value) else int(number)


def _float(value: Any, demand: str = "must be a number") -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(demand) from None
    if not math.isfinite(number):
        raise ValueError(f"{demand}, not {'nan' if math.isnan(number) else 'infinite'}")
    return number


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def parameter_type(parameter: inspect.Parameter) -> Any:
    """The type that a factory's keyword asks for: its annotation or, where that says nothing, its default's type."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        known = parameter.default is not inspect.Parameter.empty and parameter.default is not None
        return type(parameter.default) if known else str
    return annotation
