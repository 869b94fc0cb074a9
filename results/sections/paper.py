"""The table that a paper prints: a method a row, a task a column, the best of each task in bold."""

from typing import Any

import numpy as np
import pandas as pd

from savo_bench.results import inference, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table

LEVEL = 0.95  # of the whole table


def section(found: Findings) -> Section | None:
    """Means with intervals; None where there are fewer than two variants with scores."""
    scores = tables.scores_of(found.runs, found.options.summary)
    variants = [name for name in found.styles if any(name in cells for cells in scores.values())]
    if len(variants) < 2:
        return None
    environments = [name for name in dict.fromkeys(found.scores["environment"]) if name in scores]
    best = best_of({environment: scores[environment] for environment in environments})
    rows: list[dict[str, Any]] = []
    for variant in variants:
        there = [variant in scores[environment] for environment in environments]
        values = [
            found.score_interval(environment, variant) if has else "–"
            for environment, has in zip(environments, there, strict=True)
        ]
        rows.append({"variant": variant} | dict(zip(environments, values, strict=True)))
    frame = pd.DataFrame(rows, columns=["variant", *environments])
    bold = {
        (row, environment)
        for row, variant in enumerate(variants)
        for environment in environments
        if variant in best.get(environment, ())
    }
    columns = tuple(map(str, frame.columns))
    table = Table("paper", _caption(found, scores), frame, columns[1:], latex=columns, bold=bold)
    return Section("Scores by method and task", [table], {"paper": _data(found, environments, variants, best)})


def best_of(scores: dict[str, dict[str, np.ndarray]], level: float = LEVEL) -> dict[str, set[str]]:
    """The variants of each task that are not distinguishable from the one with the highest mean, itself included.

    A variant is, where the one-sided interval of the difference to the highest mean (Welch's, at a level that is
    corrected by Bonferroni) leaves out 0. All of them hold together with `level`: in so many of 100 tables the variant
    that is truly best is among those named, on every task. Only variants with FEW_SEEDS scores are compared; a task
    with fewer than two of these is left out.

    Args:
        scores: (n,), by task and variant.
        level: Of all tasks together.
    """
    compared = {
        task: {name: values for name, values in cells.items() if len(values) >= tables.FEW_SEEDS}
        for task, cells in scores.items()
    }
    compared = {task: cells for task, cells in compared.items() if len(cells) > 1}
    family = sum(len(cells) - 1 for cells in compared.values())  # the rivals of the truly best one of each task
    found = {}
    for task, cells in compared.items():
        highest = max(cells, key=lambda name: float(cells[name].mean()))
        own = 1 - (1 - level) / family
        found[task] = {
            name
            for name, values in cells.items()
            if name == highest or inference.welch(cells[highest], values).lower(own) <= 0
        }
    return found


def _caption(found: Findings, scores: dict[str, dict[str, np.ndarray]]) -> str:
    sizes = {len(values) for cells in scores.values() for values in cells.values()}
    seeds = f"{min(sizes)} to {max(sizes)} seeds" if len(sizes) > 1 else f"{min(sizes)} seeds"
    few = "" if min(sizes) >= tables.FEW_SEEDS else f" Cells with fewer than {tables.FEW_SEEDS} seeds are not compared."
    summary = found.headings[found.options.summary]
    return (
        f"The {summary}, mean over {seeds} with its 95 % bootstrap interval. **Bold**: the highest mean of a task and "
        "every mean that is not distinguishable from it, as the one-sided interval of the difference holds 0 (Welch's; "
        f"those of the whole table hold together with {100 * LEVEL:g} %).{few}"
    )


def _data(found: Findings, environments: list[str], variants: list[str], best: dict[str, set[str]]) -> pd.DataFrame:
    """A row per cell with scores: environment, variant, mean with its ends, and whether it is in bold."""
    name = f"{found.options.summary}_mean"
    cells = found.scores[found.scores["n"] > 0]
    cells = cells[cells["environment"].isin(environments) & cells["variant"].isin(variants)]
    data = cells[["environment", "variant", "n", name, f"{name}_low", f"{name}_high"]].reset_index(drop=True)
    at = zip(data["environment"], data["variant"], strict=True)
    return data.assign(best=[variant in best.get(environment, ()) for environment, variant in at])
