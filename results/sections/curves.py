"""Learning curves, and how fast variants learn."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from savo_bench.results import plots, tables
from savo_bench.results.findings import Findings
from savo_bench.results.format import slug
from savo_bench.results.page import Figure, Gallery, Section, Table, Text, code


def section(found: Findings) -> Section:
    """A figure per environment, one of all of them for papers, and the table of sample efficiency."""
    curves = found.curves
    efficiency = tables.efficiency_table(found.runs, found.scores, found.bounds)
    there = set(curves["environment"])
    environments = [name for name in dict.fromkeys(found.scores["environment"]) if name in there]
    figures = [_figure(found, curves, f"curves-{slug(name)}", [name]) for name in environments]
    if len(environments) == 1:
        together = [replace(figures[0], name="curves")]
    else:
        together = [_figure(found, curves, "curves", environments)] if environments else []
    what = "Mean" if found.options.statistic == "mean" else "IQM"
    text = Text(
        f"{what} over seeds, with its pointwise 95 % bootstrap interval as a band; at each step only seeds that were "
        "evaluated there count. A tick marks where a curve loses seeds and how many are left; incomplete cells are "
        "faded."
    )
    blocks = [Gallery(figures), text, *coloured(found), _efficiency_table(found, efficiency)]
    return Section("Learning curves", blocks, {"curves": curves, "efficiency": efficiency}, together)


def _figure(found: Findings, curves: pd.DataFrame, name: str, environments: list[str]) -> Figure:
    statistic = found.options.statistic
    evals = found.runs.evals if found.options.per_seed else None
    width = found.column if len(environments) == 1 else found.page
    look: dict[str, Any] = {"width": width, "chosen": found.chosen}
    alt = "Learning curves on " + " ".join(_in_words(curves, environment, statistic) for environment in environments)
    return plots.rendered(name, alt, plots.curve_figure(environments, curves, found.scores, evals, statistic, **look))


def coloured(found: Findings) -> list[Text]:
    """A paragraph on which variants have colour, if not all have."""
    if not found.chosen:
        return []
    why = (
        "" if found.options.highlight else ", which have the best mean rank over the tasks (`--highlight` names others)"
    )
    names = ", ".join(map(code, found.chosen))
    return [Text(f"These variants have colour{why}: {names}. All others are thin and grey.")]


def _in_words(curves: pd.DataFrame, environment: str, statistic: str) -> str:
    """Where the curves of an environment end."""
    ends = [
        f"{variant} ends at {tables.interval_text(curve[statistic].iloc[-1])} at step {curve['step'].iloc[-1]}, "
        f"n={curve['n'].iloc[-1]}"
        for variant, curve in curves[curves["environment"] == environment].groupby("variant", sort=True)
    ]
    return f"{environment}: {'; '.join(ends) or 'nothing yet'}."


def _efficiency_table(found: Findings, efficiency: pd.DataFrame) -> Table:
    frame = efficiency[["environment", "variant"]].copy()
    frame[tables.NAMES["area"]] = tables.interval_column(efficiency, "area")
    for goal in tables.GOALS if found.bounds else ():
        reached = zip(efficiency[f"to_{goal}"], efficiency[f"reached_{goal}"], efficiency["n"], strict=True)
        frame[f"steps to {goal:g}"] = [
            "–" if np.isnan(step) else f"{'∞' if np.isinf(step) else plots.steps_text(step)} ({k}/{n})"
            for step, k, n in reached
        ]
    caption = "Sample efficiency: the average return over training (the area under the learning curve over its length)"
    caption += (
        "; and the median step of the first evaluation that reaches a normalised return, with the seeds that do."
        if found.bounds
        else "."
    )
    numbers = [name for name in frame.columns if name not in ("environment", "variant")]
    return Table("efficiency", caption, frame, numbers, found.faded)
