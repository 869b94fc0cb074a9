"""Options that are declared once, for the command line and for TOML files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from savo_bench.bench import flags
from savo_bench.bench.errors import UserError
from savo_bench.bench.flags import Flag


def upper(value: Any) -> tuple[str, ...]:
    if "x" in value:
        raise ValueError("x: is not allowed")
    return tuple(str(each).upper() for each in value)


@dataclass(frozen=True)
class Example:
    most_steps: Annotated[int, Flag("Steps.")] = 3
    words: Annotated[tuple[str, ...], Flag("Words.", name="--word", repeatable=True, read=upper)] = ()
    folder: Annotated[Path | None, Flag("A folder.", in_file=False)] = None
    loud: Annotated[bool, Flag("Aloud.")] = False
    hidden: int = 0  # no option


def test_a_command_takes_the_options_of_a_dataclass():
    names = [parameter.name for parameter in flags.parameters(Example)]
    assert names == ["most_steps", "words", "folder", "loud"]
    assert [parameter.default for parameter in flags.parameters(Example)] == [None, None, None, False]
    options = [
        parameter.annotation.__metadata__[0] for parameter in flags.parameters(Example, texts={"loud": "Shout."})
    ]
    assert [option.help for option in options] == ["Steps.  [default: 3]", "Words.", "A folder.", "Shout."]
    assert all(isinstance(option, type(typer.Option())) for option in options)


def test_only_what_was_given_is_taken():
    assert flags.from_command_line(Example, {"most_steps": 4, "other": 1}) == {"most_steps": 4}
    assert flags.from_command_line(Example, {"words": ["a", "b"]}) == {"words": ("A", "B")}
    with pytest.raises(UserError, match=r"^--word x: is not allowed$"):
        flags.from_command_line(Example, {"words": ["x"]})


def test_a_table_of_a_file_takes_hyphens_and_converts_to_the_types_of_the_fields():
    assert flags.from_table(Example, {"most-steps": 4, "loud": True}, "f: ") == {"most_steps": 4, "loud": True}
    assert flags.from_table(Example, {"most_steps": "4"}, "f: ") == {"most_steps": 4}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"most_stesp": 1}, "f: key 't.most_stesp' is unknown: did you mean most_steps?"),
        ({"hidden": 1}, "f: key 't.hidden' is unknown"),
        ({"folder": "a"}, "f: key 't.folder' is unknown"),
        ({"most-steps": "a"}, "f: t.most-steps = 'a': must be a whole number"),
        ({"words": ["x"]}, "f: t.words = ['x']: x: is not allowed"),
    ],
)
def test_a_wrong_entry_of_a_table_is_named(table, message):
    with pytest.raises(UserError) as caught:
        flags.from_table(Example, table, "f: ", "t.")
    assert str(caught.value).startswith(message)
