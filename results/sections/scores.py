"""Scores of every cell, with intervals and coverage."""

import pandas as pd

from savo_bench.results import metrics, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table, Text

_HOW_TO_READ = """\
A seed's score at a step is the mean return of its evaluation episodes there. The **final** return is that of the last \
evaluation, the **{name}** the mean over {window}. **IQM** is the interquartile mean: the lowest and the highest \
quarter of the seeds are left out. In brackets: 95 % percentile bootstrap interval over seeds, 50 000 resamples. \
Scores count only seeds that are done; a failed seed has no score, which can flatter a variant that fails."""


def section(found: Findings) -> Section:
    """The score table; as data also every seed and every evaluation."""
    text = text_table(found)
    summary = found.headings[found.options.summary]
    numbers = [name for name in text.columns if name not in ("environment", "variant", "seeds")]
    others = [name for name in numbers if not name.endswith((", mean", ", IQM"))]
    latex = ("environment", "variant", f"{summary}, mean", f"{summary}, IQM", *others, "seeds")
    window = metrics.window_words(found.evaluations)
    caption = "Score per environment, with 95 % bootstrap intervals over seeds. "
    caption += f"{found.headings['last10'].capitalize()}: the mean over {window}."
    table = Table("scores", caption, text, numbers, found.faded, latex, group="environment")
    how_to_read = _HOW_TO_READ.format(name=found.headings["last10"], window=window)
    data = {"scores": found.scores, "seeds": tables.seed_table(found.runs), "evaluations": found.runs.evals}
    return Section("Scores", [table, Text(how_to_read)], data)


def text_table(found: Findings) -> pd.DataFrame:
    """The score table as text."""
    labels = tables.metric_labels(found.runs)
    invalid = {"invalid": labels[tables.VALID].label} if tables.VALID in labels else {}
    return tables.score_text(found.scores, names=found.headings, **invalid)
