"""Normalised scores over all tasks: IQM, median, mean, optimality gap, profiles, and the IQM by step."""

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from savo_bench.results import plots, tables
from savo_bench.results.findings import Findings
from savo_bench.results.frame import Runs
from savo_bench.results.page import Block, Figure, Gallery, Section, Table, Text, code, literal
from savo_bench.results.tables import ScoreMatrix
from savo_bench.results.words import count

TITLE = "Aggregates over tasks"


def section(found: Findings) -> Section:
    """Tables and figures of the score matrix, or a sentence if there is none."""
    matrix = found.matrix
    if matrix is None:
        why = "None: no environment here has committed bounds, so returns of different tasks have no common scale. All "
        return Section(TITLE, [Text(why + "numbers above are raw returns.")])
    data = {
        "aggregates": found.aggregates,
        "profiles": tables.profile_table(matrix),
        "aggregate-curves": tables.aggregate_curve_table(found.runs, matrix),
    }
    data = {name: table for name, table in data.items() if len(table)}
    aggregates, *others = _figures(found, matrix, data)
    blocks = [*_texts(found, matrix), _table(found, matrix), aggregates, Gallery(others), *_families(found)]
    return Section(TITLE, blocks, data)


def _texts(found: Findings, matrix: ScoreMatrix) -> Iterator[Text]:
    """Which tasks count, between which bounds, and what is left out."""
    families = found.scores.groupby("environment")["family"].first()
    named = ", ".join(f"{code(environment)} ({families[environment]})" for environment in matrix.environments)
    sources = "; ".join(f"{code(name)}: {literal(bound.source)}" for name, bound in matrix.bounds.items())
    yield Text(
        f"Normalised {tables.NAMES[found.options.summary]}s over {count(len(matrix.environments), 'task')}: {named}. "
        f"Bounds are fixed beforehand, in `results/reference/normalisation.csv`: {sources}."
    )
    if matrix.left_out:
        yield Text(f"Not in the aggregates: {'; '.join(matrix.left_out)}.")


def _table(found: Findings, matrix: ScoreMatrix) -> Table:
    frame = found.aggregates[["variant"]].copy()
    for name in ("iqm", "median", "mean", "gap"):
        frame[tables.NAMES[name]] = tables.interval_column(found.aggregates, name)
    runs = [_runs(found, matrix, variant) for variant in matrix.variants]
    frame["runs"] = [str(n) if n == seeds else f"{n}/{seeds}" for n, seeds in runs]
    faded = [n < seeds for n, seeds in runs]
    tasks = count(len(matrix.environments), "task")
    caption = f"Aggregates of normalised scores over {tasks}, with 95 % stratified bootstrap intervals."
    return Table("aggregates", caption, frame, list(frame.columns[1:]), faded, tuple(frame.columns))


def _figures(found: Findings, matrix: ScoreMatrix, data: dict[str, pd.DataFrame]) -> Iterator[Figure]:
    style, names = found.styles, {}
    for variant in matrix.variants:
        n, seeds = _runs(found, matrix, variant)
        names[variant] = variant if n == seeds else f"{variant} ({n}/{seeds} runs)"
    of = f"of normalised scores over {count(len(matrix.environments), 'task')}"
    intervals = tables.interval_column(found.aggregates, "iqm")
    values = "; ".join(f"{name} {interval}" for name, interval in zip(matrix.variants, intervals, strict=True))
    figure = plots.aggregate_figure(found.aggregates, style, names, found.page)
    yield plots.rendered(
        "aggregates", f"Aggregates {of}; ↓: of the optimality gap less is better. IQM: {values}.", figure
    )
    figure = plots.profile_figure(data["profiles"], style, names, found.column, found.options.highlight)
    yield plots.rendered("profiles", f"Performance profiles {of}.", figure)
    if "aggregate-curves" in data:
        figure = plots.aggregate_curve_figure(
            data["aggregate-curves"], style, names, found.column, found.options.highlight
        )
        yield plots.rendered("efficiency", f"IQM by environment step, {of}.", figure)


def _runs(found: Findings, matrix: ScoreMatrix, variant: str) -> tuple[int, int]:
    """How many runs of a variant count in the aggregates, and how many there are on their tasks."""
    cells = found.scores[found.scores["environment"].isin(matrix.environments)]
    own = cells[cells["variant"] == variant]
    return int(own["n"].sum()), int(own["seeds"].sum())


def _families(found: Findings) -> Iterator[Block]:
    """The aggregates of each family alone, if there is more than one."""
    families = found.scores.groupby("environment")["family"].first()
    if families.nunique() < 2:
        return
    rows = []
    for family, members in families.groupby(families):
        bounds = {name: bound for name, bound in found.bounds.items() if name in members.index}
        matrix = tables.score_matrix(_only(found.runs, members.index), bounds, found.options.summary)
        for row in tables.aggregate_table(matrix).to_dict("records") if matrix else ():
            interval = tables.interval_text(row["iqm"], row["iqm_low"], row["iqm_high"])
            rows.append((family, row["variant"], interval, str(row["tasks"]), str(row["n"])))
    if rows:
        frame = pd.DataFrame(rows, columns=["family", "variant", "IQM", "tasks", "runs"])
        caption = "IQM of normalised scores per family of tasks, with 95 % stratified bootstrap intervals."
        yield Table("families", caption, frame, ("IQM", "tasks", "runs"), latex=tuple(frame.columns), group="family")


def _only(runs: Runs, environments: pd.Index) -> Runs:
    """The runs on some environments."""
    seeds, evals = (table[table["environment"].isin(environments)] for table in (runs.runs, runs.evals))
    return replace(runs, runs=seeds, evals=evals, problems=[])
