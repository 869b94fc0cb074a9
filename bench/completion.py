"""What a shell completes after TAB, once `bench --install-completion` has told it to ask.

A list separated by commas is completed at its end. What cannot be found out is no completion, and no error.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

VARIABLE = "_BENCH_COMPLETE"  # of the environment: a shell asks
OPTIONS = ("--install-completion", "--show-completion")


def requested(arguments: Sequence[str]) -> bool:
    """Whether a command line is about completion, or a shell asks for some."""
    return VARIABLE in os.environ or any(word in OPTIONS for word in arguments[:1])


def answer(command: Any, arguments: Sequence[str]) -> int:
    """Let Typer answer the shell, or write its script; returns the exit code."""
    try:
        command.main(args=list(arguments), prog_name="bench", standalone_mode=False)
    except SystemExit as done:  # Typer's way to end here
        return done.code if isinstance(done.code, int) else 0
    return 0


def _among(found: Callable[[str], Iterable[str]]) -> Callable[[str], list[str]]:
    """A completion for Typer from what gives the words that may stand after what is typed of a list already."""

    def complete(incomplete: str) -> list[str]:
        typed, comma, last = incomplete.rpartition(",")
        with contextlib.suppress(Exception):  # a broken plug-in, say: the command itself tells it
            words = (word for word in found(typed) if word.startswith(last) and (":" in last or ":" not in word))
            return [f"{typed}{comma}{word}" for word in words]
        return []

    return complete


def _algorithms(typed: str) -> list[str]:
    from savo_bench import algos
    from savo_bench.bench import fields

    words = [*algos.names()]
    words += [f"{name}:{field}=" for name in algos.names() for field in fields.of(algos.get(name).config)]
    before = re.findall(r"(?:^|,)([a-z][\w-]*):", typed)  # a field after a comma belongs to the algorithm before it
    own = algos.get(before[-1]).config if before and before[-1] in algos.names() else None
    return words + ([f"{field}=" for field in fields.of(own)] if own else [])


def _environments(_: str) -> list[str]:
    from savo_bench import envs

    keywords = [f"{name}:{key}=" for name in envs.names() for key in envs.get(name).keywords]
    return ["all", *envs.tags(), *envs.names(), *keywords]


def _fields(_: str) -> list[str]:
    from savo_bench import envs
    from savo_bench.bench import fields

    keywords = {key for name in envs.names() for key in envs.get(name).keywords}
    return [f"{name}=" for name in fields.names()] + [f"env.{key}=" for key in sorted(keywords)]


def _listed(_: str) -> list[str]:
    from savo_bench import algos
    from savo_bench.bench import fields
    from savo_bench.bench.commands.list import SUBJECTS

    return [*SUBJECTS, *algos.names(), *fields.names()]


def _profiles(_: str) -> list[str]:
    from savo_bench.bench import profiles

    return list(profiles.PROFILES)


def names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The folders under --runs."""
    runs = Path(ctx.params.get("runs") or "runs")
    with contextlib.suppress(OSError):
        found = sorted(path.name for path in runs.iterdir() if path.is_dir())
        return [name for name in found if name.startswith(incomplete)]
    return []


algorithms, environments, fields, listed, profiles = map(
    _among, (_algorithms, _environments, _fields, _listed, _profiles)
)
OF_OPTIONS = {  # by parameters of the verbs
    "algos": algorithms, "algo": algorithms, "envs": environments, "env": environments, "settings": fields,
    "name": names, "profile": profiles, "what": listed,
}  # fmt: skip
