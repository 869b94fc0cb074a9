"""`bench list` and `bench report`: what there is, and what came of it, printed."""

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import profiles, show
from bench.errors import UserError
from bench.grammar import choose
from results.format import text

SUBJECTS = ("algos", "envs", "profiles")


def print_lists(what: str, console: Console) -> None:
    """Print one of the subjects, or all of them.

    Raises:
        UserError: there is no such subject.
    """
    printers = {"algos": _algorithms, "envs": _environments, "profiles": _profiles}
    for subject in (choose(what, SUBJECTS, "bench list:"),) if what else SUBJECTS:
        printers[subject](console)


def _algorithms(console: Console) -> None:
    """Names and summaries; then every field with its default, those that all algorithms share only once."""
    import algos

    entries = [algos.get(name) for name in algos.names()]
    table = show.table("algorithm", "summary")
    for entry in entries:
        table.add_row(entry.name, entry.summary)
    console.print(table)
    fields = {entry.name: _fields(entry.config) for entry in entries}
    shared = {
        key: value for key, value in next(iter(fields.values())).items() if all(key in own for own in fields.values())
    }
    _print_fields(console, "fields of all, before a profile", shared)
    for name, own in fields.items():
        different = {key: value for key, value in own.items() if shared.get(key) != value}
        if different:
            _print_fields(console, f"fields of {name}", different)


def _fields(config: type) -> dict[str, str]:
    defaults = config()
    return {field.name: text(getattr(defaults, field.name)) for field in dataclasses.fields(config)}


def _print_fields(console: Console, title: str, fields: Mapping[str, str]) -> None:
    console.print(f"{title}: {' '.join(f'{key}={value}' for key, value in fields.items())}", markup=False)


def _environments(console: Console) -> None:
    import envs

    table = show.table("environment", "tags", "keywords", "summary")
    for environment in map(envs.get, envs.names()):
        tags = ", ".join((*environment.tags, *(["all"] if environment.benchmark else [])))
        table.add_row(environment.name, tags, _keywords(environment.keywords), environment.summary)
    console.print(table)


def _keywords(keywords: Mapping[str, inspect.Parameter]) -> str:
    return " ".join(f"{key}={text(parameter.default)}" for key, parameter in keywords.items())


def _profiles(console: Console) -> None:
    numbers = ("steps", "random steps", "batch", "lr", "evaluation")
    table = show.table("profile", *numbers, "networks", "summary", numbers=numbers)
    for profile in profiles.PROFILES.values():
        fields: dict[str, Any] = profile.fields
        table.add_row(
            f"{profile.name} (default)" if profile.name == profiles.DEFAULT else profile.name,
            show.thousands(profile.steps) if profile.steps else "by task",
            show.thousands(fields["warmup_steps"]),
            text(fields["batch_size"]),
            text(fields["lr"]),
            f"{profile.eval_episodes} episodes every {show.thousands(profile.eval_every)}",
            text(fields["hidden"]),
            profile.summary,
        )
    console.print(table)


def print_report(root: Path, out: Path, console: Console) -> None:
    """Write the report of a name; print its scores, what to know before reading them, and where the rest is.

    Raises:
        UserError: there is nothing to report, or the folder cannot be written.
    """
    from results.report import write_report

    try:
        report = write_report(root, out)
    except OSError as error:
        raise UserError(f"--out: cannot write to {error.filename or out}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(str(error)) from None
    scores = report.score_text
    labels = ("environment", "variant")
    table = show.table(*scores.columns, numbers=[name for name in scores.columns if name not in labels])
    for row in scores.itertuples(index=False):
        table.add_row(*map(str, row))
    console.print(table)
    for note in report.notes:
        show.line(console, f"note: {note}", "yellow")
    show.line(
        console, f"written: {report.files[0]}, with {show.count(len(report.files) - 1, 'table or figure')} beside it"
    )
