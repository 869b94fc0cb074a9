"""In what the machines and the code of pooled runs differ, over every attempt, and what that does to their cells."""

from collections.abc import Iterator, Sequence

import pandas as pd

from savo_bench.results.attempts import code_of, doubts, may_be_unknown, values
from savo_bench.results.page import literal
from savo_bench.results.words import count, listed


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """A row per value of each entry in which attempts differ, of one seed or of several.

    Args:
        runs: `Runs.runs`.

    Returns:
        Columns entry, value, seeds (how many have it) and cells (those that have it), all text.
    """
    known = runs[runs["attempts"].map(len) > 0]
    entries = [values(attempts) for attempts in known["attempts"]]
    cells = [f"{variant} on {environment}" for variant, environment in known[["variant", "environment"]].to_numpy()]
    rows = []
    for name in _names(entries):
        having = _having(name, entries)
        for value in sorted(having) if len(having) > 1 else ():
            distinct = list(dict.fromkeys(cells[index] for index in having[value]))
            where = "in every cell" if set(distinct) == set(cells) else listed(distinct)
            rows.append({"entry": name, "value": value, "seeds": str(len(having[value])), "cells": where})
    return pd.DataFrame(rows, columns=["entry", "value", "seeds", "cells"])


def line(runs: pd.DataFrame) -> str:
    """One paragraph of `page` text: what is the same for all attempts, and every entry in which they differ."""
    seeds = [attempts for attempts in runs["attempts"] if attempts]
    if not seeds:
        return "No run has recorded its provenance."
    entries = [values(attempts) for attempts in seeds]
    found = {name: sorted(_having(name, entries)) for name in _names(entries)}
    same = {name: literal(each[0]) for name, each in found.items() if len(each) == 1}
    differing = [f"{literal(name)} ({', '.join(map(literal, each))})" for name, each in found.items() if len(each) > 1]
    sentences = []
    for title, prefix in (("All runs", ""), ("Packages", "packages."), ("Code", "code.")):
        parts = [
            f"{literal(name.removeprefix(prefix))} {value}" for name, value in same.items() if _kind(name) == prefix
        ]
        sentences += [f"{title}: {(', ' if prefix else '; ').join(parts)}."] if parts else []
    unknown = sum(not all(map(code_of, attempts)) for attempts in seeds)
    if 0 < unknown < len(seeds):
        sentences.append(f"The code of {count(unknown, 'seed')} is not known.")
    return " ".join([
        *sentences,
        f"**The runs differ in:** {'; '.join(differing)}." if differing else "The runs do not differ in any of these.",
    ])  # fmt: skip


def doubtful(runs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(cell, phrase) for what readers must know of how a cell's scores came about, see `attempts.doubts`."""
    for (environment, variant), cell in runs.groupby(["environment", "variant"], sort=True):
        attempts = {seed: found for seed, found in zip(cell["seed"], cell["attempts"], strict=True) if found}
        for phrase in doubts(attempts):
            yield f"{variant} on {environment}", phrase


def _kind(name: str) -> str:
    """The prefix of a package's version or code; empty for any other entry."""
    return next((prefix for prefix in ("packages.", "code.") if name.startswith(prefix)), "")


def _names(entries: Sequence[dict[str, list[str]]]) -> list[str]:
    return list(dict.fromkeys(name for one in entries for name in one))


def _having(name: str, entries: Sequence[dict[str, list[str]]]) -> dict[str, list[int]]:
    """The values of an entry, each with the numbers of the seeds that have it in an attempt."""
    found: dict[str, list[int]] = {}
    for index, one in enumerate(entries):
        for value in one.get(name, [] if may_be_unknown(name) else ["unknown"]):
            found.setdefault(value, []).append(index)
    return found
