"""Scores against what they cost: by time, and by operations where `bench cost` has counted them."""

import numpy as np
import pandas as pd

from savo_bench.results import plots, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Block, Figure, Section, Text, code
from savo_bench.results.study_plots import unit_of_operations, unit_of_time

_TIME = """\
Time is that of the seed's device, a pack's time being shared evenly among its seeds. It is taken to be the same for \
all steps, though the first ones, without updates, take less."""

_OPERATIONS = """\
Floating-point operations as `bench cost` counted them: of one action a step, and of the updates after the warm-up."""

_UNCOUNTED = "Operations are not shown: there is no `costs.csv` here, which `bench cost --out` this folder would write."


def section(found: Findings) -> Section | None:
    """Learning curves by time and by operations; None where nothing was recorded or nothing is beside another."""
    curves = found.curves
    if len(curves) == 0 or curves.groupby("environment")["variant"].nunique().max() < 2:
        return None
    blocks = [*_by_time(found, curves), *_by_operations(found, curves)]
    return Section("Score against cost", blocks) if any(isinstance(block, Figure) for block in blocks) else None


def _by_time(found: Findings, curves: pd.DataFrame) -> list[Block]:
    """A figure by time, or a sentence where times do not compare."""
    costs = tables.cost_table(found.runs)
    devices = sorted(set(costs["device"]))
    if len(devices) > 1:
        return [Text(f"Time is not shown: times on {' and '.join(map(code, devices))} do not compare.")]
    speeds = {(row["environment"], row["variant"]): row["steps_per_s"] for row in costs.to_dict("records")}
    cells = zip(curves["environment"], curves["variant"], strict=True)
    speed = np.array([speeds.get(cell, np.nan) for cell in cells], dtype=float)
    timed = curves.assign(along=curves["step"].to_numpy(dtype=float) / speed / 3600).dropna(subset=["along"])
    if len(timed) == 0:
        return []
    unit, name = unit_of_time(float(timed["along"].max()))
    figure = _figure(found, timed.assign(along=timed["along"] / unit), "curves-by-time", f"{name} of a seed")
    return [figure, Text(f"{_TIME} Device: {code(devices[0])}.")]


def _by_operations(found: Findings, curves: pd.DataFrame) -> list[Block]:
    """A figure by operations, or a sentence where they are not counted."""
    counted, _ = found.operations
    parts = [
        own.assign(along=counted[str(environment), str(variant)].by(own["step"].to_numpy(dtype=float)))
        for (environment, variant), own in curves.groupby(["environment", "variant"], sort=True)
        if (environment, variant) in counted
    ]
    if not parts:
        return [Text(_UNCOUNTED)]
    along = pd.concat(parts, ignore_index=True)
    unit, name = unit_of_operations(float(along["along"].max()))
    figure = _figure(found, along.assign(along=along["along"] / unit), "curves-by-operations", f"{name} of a seed")
    lacking = len(curves.groupby(["environment", "variant"])) - len(parts)
    return [figure, Text(_OPERATIONS + (f" Of {lacking} cells there are none." if lacking else ""))]


def _figure(found: Findings, curves: pd.DataFrame, name: str, along: str) -> Figure:
    statistic = found.options.statistic
    environments = list(map(str, dict.fromkeys(curves["environment"])))
    width = found.page if len(environments) > 1 else found.column
    drawn = plots.curve_figure(
        environments, curves, found.scores, None, statistic, width=width, chosen=found.chosen, x=("along", along)
    )
    return plots.rendered(name, f"Learning curves by {along}.", drawn)
