"""How likely a run of one variant beats a run of another."""

import pandas as pd

from savo_bench.results import plots, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table, Text

TITLE = "Probability of improvement"


def section(found: Findings) -> Section:
    """The matrix of all pairs of variants, as a figure and as a table."""
    improvements = found.in_order(tables.improvement_table(found.pooled, found.options.summary))
    if len(improvements) == 0:
        return Section(TITLE, [Text("None: no two variants have scores on the same task.")])
    alt = "Probability that a run of the row's variant beats one of the column's on the same task."
    figure = plots.rendered("improvement", alt, plots.improvement_figure(improvements, found.options.width))
    frame = pd.DataFrame({"a run of": improvements["x"], "beats one of": improvements["y"]})
    intervals = improvements[["probability", "low", "high"]].to_numpy()
    frame["probability"] = [tables.interval_text(*triple) for triple in intervals]
    frame["tasks"] = improvements["tasks"].astype(str)
    caption = (
        "Probability that a run of one variant beats a run of another on the same task, a tie counting half, mean over "
        "the tasks that both have; 95 % bootstrap intervals. One half means no difference."
    )
    folded = f"The numbers of all {len(frame)} pairs"
    table = Table("improvement", caption, frame, ("probability", "tasks"), latex=tuple(frame.columns), folded=folded)
    return Section(TITLE, [figure, table], {"improvement": improvements})
