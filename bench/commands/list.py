"""`bench list`: prints which algorithms, environments and profiles there are, and what fields mean."""

import dataclasses
from collections.abc import Mapping

from rich.console import Console

from savo_bench.bench import profiles, show
from savo_bench.bench.grammar import choose
from savo_bench.results.format import label, text

SUBJECTS = ("algos", "envs", "profiles", "controls")


def print_lists(what: str | None, console: Console) -> None:
    """Print one of the subjects, all of them if `what` is None; or what an algorithm's fields mean, or a field.

    Raises:
        UserError: there is no such subject, algorithm or field.
    """
    if what is not None and what not in SUBJECTS and _explained(what, console):
        return
    printers = {"algos": _algorithms, "envs": _environments, "profiles": _profiles, "controls": _controls}
    for subject in (choose(what, SUBJECTS, "bench list:"),) if what is not None else SUBJECTS:
        printers[subject](console)


def _explained(what: str, console: Console) -> bool:
    """Print what an algorithm's fields mean, or what a field means; whether it is one.

    Raises:
        UserError: it is nothing that can be listed.
    """
    from savo_bench import algos
    from savo_bench.bench import fields

    choose(what, [*SUBJECTS, *algos.names(), *fields.names()], "bench list:")
    if what in algos.names():
        entry = algos.get(what)
        show.paragraph(console, f"{entry.name}: {entry.description}")
        table = show.table("field", "default", "meaning and source of the default; what it takes")
        table.columns[0].no_wrap = True
        for field in fields.of(entry.config).values():
            table.add_row(field.name, field.default, f"{field.says}; {field.values}")
        console.print(table)
    for field, takers in fields.takers(what).items():
        show.paragraph(console, f"{field.name} of {', '.join(takers)}: {field.says or 'no comment in its source'}")
        show.paragraph(console, f"  default {field.default}; takes {field.values}")
    if in_profiles := fields.profile_text(what):
        show.paragraph(console, f"  in profiles: {in_profiles}")
    return True


def _algorithms(console: Console) -> None:
    """Names and summaries; then every field with its default, those that all algorithms share only once."""
    from savo_bench import algos

    entries = [algos.get(name) for name in algos.names()]
    table = show.table("algorithm", "summary")
    for entry in entries:
        table.add_row(entry.name, entry.description)
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


def _controls(console: Console) -> None:
    """What is trained beside an algorithm with `bench run --controls`, and why."""
    from savo_bench.bench.controls import CONTROLS, ENTRIES, KINDS, NOMINAL

    table = show.table("algorithm", "control", "actions", "a difference says")
    for name, controls in CONTROLS.items():
        usual = ENTRIES[name].config()
        for control in controls:
            kinds = "" if control.kinds == KINDS else ", ".join(control.kinds)
            table.add_row(name, label(control.algorithm, control.values(usual, NOMINAL)), kinds, control.answers)
    console.print(table)
    sizes = f"{NOMINAL.obs_dim} numbers in an observation and {NOMINAL.action_dim} in an action"
    show.paragraph(console, f"Computed numbers are for the default fields and {sizes}; each task has its own.")


def _fields(config: type) -> dict[str, str]:
    defaults = config()
    return {field.name: text(getattr(defaults, field.name)) for field in dataclasses.fields(config)}


def _print_fields(console: Console, title: str, fields: Mapping[str, str]) -> None:
    show.paragraph(console, f"{title}: {' '.join(f'{key}={value}' for key, value in fields.items())}")


def _environments(console: Console) -> None:
    """Names, tags and summaries; then the keywords, those that several take with the same defaults only once."""
    from savo_bench import envs

    table = show.table("environment", "tags", "summary")
    table.columns[0].no_wrap = True
    takers: dict[str, list[str]] = {}
    lacking = []
    for environment in map(envs.get, envs.names()):
        tags = ", ".join((*environment.tags, *(["all"] if environment.benchmark else [])))
        table.add_row(environment.name, tags, environment.summary)
        keywords = " ".join(f"{key}={text(parameter.default)}" for key, parameter in environment.keywords.items())
        takers.setdefault(keywords, []).append(environment.name)
        lacks = environment.unavailable({})
        lacking += [] if lacks is None else [lacks]
    console.print(table)
    for lacks in lacking:
        show.line(console, f"not available here: {lacks}", "yellow")
    for keywords, names in takers.items():
        if keywords:
            show.paragraph(console, f"keywords of {', '.join(names)}: {keywords}")


def _profiles(console: Console) -> None:
    """One column a profile."""
    table = show.table("profile", *(_mark(name) for name in profiles.PROFILES))
    every = profiles.PROFILES.values()
    table.add_row("for", *(profile.summary for profile in every))
    table.add_row("steps", *(show.thousands(profile.steps) if profile.steps else _paper_steps() for profile in every))
    for field in next(iter(every)).fields:
        table.add_row(field, *(text(profile.fields[field]) for profile in every))
    table.add_row("evaluation", *(
        f"{_eval_episodes(profile)} every {show.thousands(profile.eval_every)} steps" for profile in every
    ))  # fmt: skip
    console.print(table)


def _mark(name: str) -> str:
    return f"{name} (default)" if name == profiles.DEFAULT else name


def _eval_episodes(profile: profiles.Profile) -> str:
    counts = {profile.eval_episodes, *profile.eval_episodes_for.values()}
    if len(counts) > 1:
        return f"{min(counts)} to {max(counts)} episodes, by environment,"
    return f"{profile.eval_episodes} episodes"


def _paper_steps() -> str:
    steps = {*profiles.PAPER_STEPS_BY_TAG.values(), *profiles.PAPER_STEPS_BY_NAME.values()}
    return f"{show.thousands(min(steps))} to {show.thousands(max(steps))}, by environment"
