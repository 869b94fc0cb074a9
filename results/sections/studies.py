"""Studies of single fields: score and cost against a numeric one, and the differences to a reference."""

import pandas as pd

from savo_bench.results import plots, studies, tables
from savo_bench.results.findings import Findings
from savo_bench.results.format import slug
from savo_bench.results.page import Block, Figure, Section, Table, Text, code
from savo_bench.results.study_plots import knob_figure

_KNOBS = """\
Mean over seeds with 95 % bootstrap intervals; a filled mark is the field's default. Hours are those of the seed's \
device, a pack's time being shared evenly among its seeds."""

_CHANGES = """\
Each row changes one field of its algorithm's reference, the variant with the fewest fields of its own. In brackets: \
of scores a 95 % bootstrap interval, of differences Welch's. Where the section Answer compares the pair, the \
difference is the one that it judges; all others have no verdict, and intervals as wide as if they were compared, \
too."""


def section(found: Findings) -> Section | None:
    """A figure per numeric field, and a table of single changes; None where no variants differ in one field."""
    summary = found.measure
    knobs = studies.knobs(found.runs, summary)
    changes = studies.ablations(found.runs, summary, found.comparisons, found.bounds)
    if len(knobs) == 0 and len(changes) == 0:
        return None
    blocks: list[Block] = [_figure(found, str(field), own) for field, own in knobs.groupby("field", sort=True)]
    blocks += [Text(_KNOBS)] if blocks else []
    if len(changes):
        blocks += [_table(changes, found.headings[summary]), Text(_CHANGES)]
    data = {"knobs": knobs, "ablations": changes}
    return Section("Studies of single fields", blocks, {name: table for name, table in data.items() if len(table)})


def _figure(found: Findings, field: str, own: pd.DataFrame) -> Figure:
    families = list(dict.fromkeys(own["family"]))
    known = found.styles
    style = {family: known[family] for family in families if family in known}
    style |= {family: look for family, look in plots.styles(families).items() if family not in style}
    score = found.headings[found.measure]
    many = own["environment"].nunique() > 1
    figure = knob_figure(own, style, score, found.page if many else found.column)
    values = "; ".join(
        f"{row['variant']} on {row['environment']} {tables.interval_text(row['score'])}"
        for row in own.to_dict("records")
    )
    return plots.rendered(f"knob-{slug(field)}", f"{score} and cost against {field}: {values}.", figure)


def _table(changes: pd.DataFrame, score: str) -> Table:
    frame = changes[["environment", "reference"]].copy()
    frame["change"] = [
        f"{field}: {before} → {after}"
        for field, before, after in changes[["field", "from", "to"]].itertuples(index=False, name=None)
    ]
    frame[score] = tables.interval_column(changes, "score")
    frame["difference to the reference"] = [
        tables.interval_text(*triple) for triple in changes[["difference", "low", "high"]].to_numpy(dtype=float)
    ]
    frame["seeds"] = [f"{n}, {base}" for n, base in zip(changes["n"], changes["n_reference"], strict=True)]
    numbers = (score, "difference to the reference", "seeds")
    references = ", ".join(code(name) for name in dict.fromkeys(changes["reference"]))
    caption = f"What single changes of {references} do: the {score}, and its difference to the reference."
    return Table("ablations", caption, frame, numbers, latex=tuple(frame.columns), group="environment")
