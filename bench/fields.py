"""What each field of the algorithms means: read from the comment beside it in its config class, the one place for it.

`bench list FIELD`, `bench list ALGORITHM` and docs/fields.md say the same, as all three are made here.
"""

import dataclasses
import functools
import inspect
import io
import tokenize
import typing
from collections.abc import Mapping
from dataclasses import dataclass

from savo_bench import algos
from savo_bench.bench import profiles
from savo_bench.results.format import text


@dataclass(frozen=True)
class Field:
    """A field of an algorithm's config.

    Attributes:
        name: Its name.
        values: What it takes, in words.
        default: Before a profile, as text.
        says: Its meaning and the source of its default, as the comment beside it has them.
    """

    name: str
    values: str
    default: str
    says: str


@functools.cache
def of(config: type) -> dict[str, Field]:
    """The fields of a config class, in order, by name."""
    defaults, types = config(), typing.get_type_hints(config)
    said: dict[str, str] = {}
    for part in reversed(config.__mro__):
        if dataclasses.is_dataclass(part):
            said |= _comments(part)
    return {
        each.name: Field(
            each.name, values(types[each.name]), text(getattr(defaults, each.name)), said.get(each.name, "")
        )
        for each in dataclasses.fields(config)
    }


def _comments(config: type) -> dict[str, str]:
    """The comments of a class's own fields: those of the lines just before, and that of its line."""
    try:
        source = inspect.cleandoc("\n" + inspect.getsource(config))
    except (OSError, TypeError):  # of a plug-in without source
        return {}
    comments = {
        token.start[0]: (token.string.lstrip("# "), not token.line[: token.start[1]].strip())
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found, before = {}, []
    own = inspect.get_annotations(config)
    for number, line in enumerate(source.splitlines(), start=1):
        comment, alone = comments.get(number, ("", False))
        name = line.strip().partition(":")[0]
        if alone:
            before.append(comment)
            continue
        if name in own and name not in found and "=" in line:
            found[name] = "; ".join(part for part in (*before, comment) if part)
        before = []
    return found


def values(annotation: object) -> str:
    """What a field of a type takes, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(map(text, arguments))
    if origin is tuple:
        return "widths, as 64-64"
    if arguments:
        return " or ".join("none" if each is type(None) else values(each) for each in arguments)
    words = {bool: "true, false", int: "a whole number", float: "a number", str: "text"}
    return next((word for kind, word in words.items() if kind is annotation), text(annotation))


def takers(name: str) -> dict[Field, list[str]]:
    """The algorithms that have a field, by what it is to them."""
    found: dict[Field, list[str]] = {}
    for algorithm in algos.names():
        field = of(algos.get(algorithm).config).get(name)
        if field is not None:
            found.setdefault(field, []).append(algorithm)
    return found


def names() -> list[str]:
    """The fields of all algorithms, each once, in order."""
    return list(dict.fromkeys(name for algorithm in algos.names() for name in of(algos.get(algorithm).config)))


def by_profile(name: str) -> Mapping[str, str]:
    """What the profiles set a field to, by their names and the tasks that they name; none where the default holds."""
    found: dict[str, str] = {}
    for profile in profiles.PROFILES.values():
        if name in profile.fields:
            found[profile.name] = text(profile.fields[name])
        for task, own in profile.fields_for.items():
            if name in own:
                found[f"{profile.name}, {task}"] = text(own[name])
    if name == "noise_decay_steps":  # its share of the steps is what profiles keep
        found = {key: f"{value} of the paper's steps" for key, value in found.items()}
        found["every other"] = f"{profiles.PAPER_NOISE_DECAY} of the paper's steps, in proportion in shorter runs"
    return found


def page() -> str:
    """docs/fields.md."""
    everywhere = [name for name in names() if _shared(name)]
    parts = [
        "# Fields",
        "Made by `python docs/fields.py` from the comments beside the fields in the code; a test fails where it is out "
        "of date. `bench list FIELD` and `bench list ALGORITHM` print the same. A field is set with "
        "`--algos savo:extra_actors=5` or `--set extra_actors=5`. *paper* and *code* name where a default is from, and "
        "*ours* is this project's choice. Profiles win over defaults, presets over profiles, and what is typed "
        "over all.",
        "## Of all algorithms",
        _table({name: next(iter(takers(name))) for name in everywhere}),
    ]
    for algorithm in (algos.get(entry.name) for entry in algos.BUILT_IN):
        own = {name: field for name, field in of(algorithm.config).items() if name not in everywhere}
        parts += [
            f"## {algorithm.name}",
            f"{algorithm.description[:1].upper()}{algorithm.description[1:]}.",
            _table(own),
        ]
    return "\n\n".join(parts) + "\n"


def _shared(name: str) -> bool:
    """Whether every built-in algorithm has a field and means the same by it."""
    return len({of(entry.config).get(name) for entry in algos.BUILT_IN}) == 1


def _table(fields: Mapping[str, Field]) -> str:
    rows = [
        f"| `{name}` | {field.default} | {profile_text(name) or '–'} | {field.values} | {_cell(field.says)} |"
        for name, field in fields.items()
    ]
    return "\n".join(
        [
            "| field | default | in profiles | values | meaning, and source of the default |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def profile_text(name: str) -> str:
    """What the profiles set a field to, in a line."""
    return "; ".join(f"{profile}: {value}" for profile, value in by_profile(name).items())


def _cell(says: str) -> str:
    return says.replace("|", "\\|").replace("_", "\\_").replace("<", "&lt;")
