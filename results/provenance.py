"""The code version, packages and hardware of pooled runs: what is the same, and every entry in which they differ."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from savo_bench.results.format import text
from savo_bench.results.page import literal
from savo_bench.results.words import listed

# the entries that may explain a different result; times, folders and the command line do not
COMPARED = ("version", "git", "dirty", "python", "platform", "cpu", "device", "gpu", "packages")


def flat(provenance: Mapping[str, Any]) -> dict[str, str]:
    """The entries of COMPARED as text; a package is an entry `packages.torch`."""
    found: dict[str, str] = {}
    for name in COMPARED:
        value = provenance.get(name)
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": text(item) for key, item in value.items()}
        elif name in provenance:
            found[name] = text(value)
    return found


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    """A row per value of each entry in which runs differ.

    Args:
        runs: `Runs.runs`.

    Returns:
        Columns entry, value, seeds (how many have it) and cells (those that have it), all text.
    """
    known = runs[runs["provenance"].notna()]
    entries = [flat(provenance) for provenance in known["provenance"]]
    cells = [f"{variant} on {environment}" for variant, environment in known[["variant", "environment"]].to_numpy()]
    rows = []
    for name in dict.fromkeys(name for one in entries for name in one):
        values = [one.get(name, "unknown") for one in entries]
        if len(set(values)) > 1:
            for value in sorted(set(values)):
                having = [cell for cell, found in zip(cells, values, strict=True) if found == value]
                distinct = list(dict.fromkeys(having))
                where = "in every cell" if set(distinct) == set(cells) else listed(distinct)
                rows.append({"entry": name, "value": value, "seeds": str(len(having)), "cells": where})
    return pd.DataFrame(rows, columns=["entry", "value", "seeds", "cells"])


def line(runs: pd.DataFrame) -> str:
    """One paragraph of `page` text: what is the same for all pooled runs, and every entry in which they differ."""
    entries = [
        {literal(name): literal(value) for name, value in flat(provenance).items()}
        for provenance in runs["provenance"].dropna()
    ]
    if not entries:
        return "No run has recorded its provenance."
    names = list(dict.fromkeys(name for one in entries for name in one))
    values = {name: sorted({one.get(name, "unknown") for one in entries}) for name in names}
    same = {name: found[0] for name, found in values.items() if len(found) == 1}
    differing = [f"{name} ({', '.join(found)})" for name, found in values.items() if len(found) > 1]
    plain = [f"{name} {value}" for name, value in same.items() if not name.startswith("packages.")]
    packages = [
        f"{name.removeprefix('packages.')} {value}" for name, value in same.items() if name.startswith("packages.")
    ]
    sentences = [f"All runs: {'; '.join(plain)}."] if plain else []
    sentences += [f"Packages: {', '.join(packages)}."] if packages else []
    return " ".join([
        *sentences,
        f"**The runs differ in:** {'; '.join(differing)}." if differing else "The runs do not differ in any of these.",
    ])  # fmt: skip
