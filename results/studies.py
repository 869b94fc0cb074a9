"""Studies among the variants: of one numeric field (a knob), and of single fields left out or changed (an ablation).

Both are found, not declared: from the fields that the runs themselves wrote down. Variants belong to one study where
all their other fields, those of the budget included, are equal.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from savo_bench.results import comparisons, tables
from savo_bench.results.declared import Pair
from savo_bench.results.frame import Runs
from savo_bench.results.reference import Bounds

LEAST = 3  # values of a knob. ours: two are a difference, which the ablation shows
KNOB = ["field", "family", "environment", "variant", "value", "default", "n", "score", "score_low", "score_high"]
KNOB += ["hours", "hours_low", "hours_high"]
CHANGE = ["environment", "variant", "reference", "field", "from", "to", "n", "score", "score_low", "score_high"]
CHANGE += ["n_reference", "difference", "low", "high"]


class _Cell(NamedTuple):
    """A variant on an environment: its name in the report and in run.json, its algorithm, all and numeric fields."""

    environment: str
    variant: str
    stored: str
    algorithm: str
    fields: Mapping[str, str]
    numbers: Mapping[str, float]


def knobs(runs: Runs, summary: str) -> pd.DataFrame:
    """A row per cell of a study of a numeric field of at least LEAST values, with the columns of KNOB.

    `family` is what its variants have in common, `default` whether this one has the field's default value; `n` counts
    the seeds with a score; `hours` are those of a seed, see `tables.cost_table`, NaN where they were not recorded or on
    different devices. Intervals are 95 % bootstrap intervals of means over seeds.
    """
    measured = _measured(runs, summary)
    rows = []
    groups: dict[tuple[Any, ...], list[_Cell]] = {}
    for cell in _cells(runs):
        for field in cell.numbers:
            rest = tuple((name, value) for name, value in cell.fields.items() if name != field)
            groups.setdefault((field, cell.environment, cell.algorithm, rest), []).append(cell)
    for (field, environment, *_), cells in groups.items():
        if len({cell.numbers[field] for cell in cells}) < LEAST:
            continue
        family = min((_without(cell.variant, field) for cell in cells), key=lambda name: (len(name), name))
        for cell in sorted(cells, key=lambda cell: cell.numbers[field]):
            if (own := measured.get((environment, cell.variant))) is not None:
                default = _without(cell.stored, field) == cell.stored
                names = field, family, environment, cell.variant, cell.numbers[field], default
                rows.append(dict(zip(KNOB[:6], names, strict=True)) | {name: own[name] for name in KNOB[6:]})
    found = pd.DataFrame(rows, columns=KNOB)
    order = ["field", "family", "environment", "value"]
    counted = found.groupby(order[:3])["value"].transform("nunique") if len(found) else pd.Series(dtype=int)
    return found[counted >= LEAST].sort_values(order, kind="stable", ignore_index=True)


def ablations(
    runs: Runs,
    summary: str,
    family: pd.DataFrame,
    bounds: Mapping[str, Bounds],
) -> pd.DataFrame:
    """A row per variant that differs in one field from its algorithm's reference, with the columns of CHANGE.

    The reference is the variant with the fewest fields of its own. The interval of a pair that the report compares is
    the one of that comparison, so that it never contradicts the verdict; all others are as wide as if they were
    compared, too.

    Args:
        runs: The runs.
        summary: What counts as a seed's score.
        family: What the report compares, from `comparisons.table`.
        bounds: Of the environments that have any.
    """
    changes = list(_changes(runs))
    measured = _measured(runs, summary)
    known = _by_pair(family)
    pairs: list[tuple[str, Pair]] = [
        (cell.environment, (cell.variant, reference.variant)) for cell, reference, _ in changes
    ]
    new = [(at, pair) for at, pair in pairs if not {(at, pair), (at, (pair[1], pair[0]))} & known.keys()]
    everything = comparisons.table([*known, *new], tables.scores_of(runs, summary), bounds)
    others = _by_pair(everything)
    rows = []
    for (cell, reference, field), (environment, pair) in zip(changes, pairs, strict=True):
        own, base = (measured.get((environment, name)) for name in pair)
        if own is None or base is None:
            continue
        difference = _difference(known, environment, pair) or _difference(others, environment, pair)
        rows.append(
            {"environment": environment, "variant": cell.variant, "reference": reference.variant, "field": field}
            | {"from": reference.fields.get(field, "–"), "to": cell.fields.get(field, "–"), "n_reference": base["n"]}
            | {name: own[name] for name in ("n", "score", "score_low", "score_high")}
            | dict(zip(("difference", "low", "high"), difference or (np.nan,) * 3, strict=True))
        )
    return pd.DataFrame(rows, columns=CHANGE)


def _changes(runs: Runs) -> Iterator[tuple[_Cell, _Cell, str]]:
    """Variants that differ in one field from the reference of their algorithm on a task: both, and the field."""
    groups: dict[tuple[str, str], list[_Cell]] = {}
    for cell in _cells(runs):
        groups.setdefault((cell.environment, cell.algorithm), []).append(cell)
    for _, cells in sorted(groups.items()):
        reference = min(cells, key=lambda cell: (cell.stored.count("="), cell.stored))
        for cell in cells:
            differing = [
                name
                for name in dict.fromkeys([*reference.fields, *cell.fields])
                if reference.fields.get(name) != cell.fields.get(name)
            ]
            if len(differing) == 1:
                yield cell, reference, differing[0]


_Differences = Mapping[tuple[str, Pair], tuple[float, float, float]]


def _by_pair(table: pd.DataFrame) -> _Differences:
    """The differences of a table of comparisons and their intervals, by environment and pair."""
    names, values = table[["environment", "variant", "against"]], table[["difference", "low", "high"]]
    return {
        (str(environment), (str(variant), str(against))): (float(difference), float(low), float(high))
        for (environment, variant, against), (difference, low, high) in zip(
            names.to_numpy(), values.to_numpy(dtype=float), strict=True
        )
    }


def _difference(rows: _Differences, environment: str, pair: Pair) -> tuple[float, float, float] | None:
    """A difference and its interval, from whichever way round the pair was compared."""
    if (row := rows.get((environment, pair))) is not None:
        return row
    if (row := rows.get((environment, (pair[1], pair[0])))) is not None:
        return -row[0], -row[2], -row[1]
    return None


def _cells(runs: Runs) -> Iterator[_Cell]:
    specs = runs.runs[runs.runs["spec"].notna()].drop_duplicates(["environment", "variant"])
    for row in specs[["environment", "variant", "spec"]].to_dict("records"):
        algorithm = row["spec"]["algorithm"]
        numbers = {
            name: float(value)
            for name, value in algorithm["config"].items()
            if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
        }
        fields = tables.fields_of(row["spec"])
        environment, variant, stored = str(row["environment"]), str(row["variant"]), str(algorithm["variant"])
        yield _Cell(environment, variant, stored, str(algorithm["name"]), fields, numbers)


def _measured(runs: Runs, summary: str) -> dict[tuple[str, str], dict[str, Any]]:
    """n, score and hours of each cell with a score, with their intervals."""
    rows = [
        {"environment": environment, "variant": variant, "score": score}
        for environment, cells in tables.scores_of(runs, summary).items()
        for variant, scores in cells.items()
        for score in scores
    ]
    sizes = Counter((str(row["environment"]), str(row["variant"])) for row in rows)
    done = runs.runs[runs.runs["state"] == "done"]
    for (environment, variant), cell in done.groupby(["environment", "variant"], sort=True):
        if cell["device"].nunique(dropna=False) == 1:  # times on different devices do not compare
            hours = (cell["seconds"] / cell["pack"] / 3600).astype(float)
            rows += [{"environment": environment, "variant": variant, "hours": each} for each in hours]
    seeds = pd.DataFrame(rows, columns=["environment", "variant", "score", "hours"])
    cells = tables.gap_table(seeds, ["environment", "variant"], ("score", "hours"))
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in cells.to_dict("records"):
        cell = str(row["environment"]), str(row["variant"])
        if sizes[cell]:
            found[cell] = {str(name): value for name, value in row.items()} | {"n": sizes[cell]}
    return found


def _without(variant: str, field: str) -> str:
    """A variant's name without one of its fields."""
    name, _, fields = variant.partition(":")
    kept = [part for part in fields.split(",") if part and not part.startswith(f"{field}=")]
    return f"{name}:{','.join(kept)}" if kept else name
