"""Scores of each task as bars."""

from savo_bench.results import plots
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Text
from savo_bench.results.study_plots import bar_figures


def section(found: Findings) -> Section | None:
    """A panel per task; None where no task has scores of two variants."""
    summary = found.options.summary
    scored = found.scores[found.scores["n"] > 0]
    if not (scored.groupby("environment").size() > 1).any():
        return None
    name = found.headings[summary]
    drawn = bar_figures(scored, f"{summary}_mean", name, found.styles, found.page)
    names = ["bars"] if len(drawn) == 1 else [f"bars-{part}" for part in range(1, len(drawn) + 1)]
    alt = f"Mean {name} of each variant, a panel per task; the scores table has the numbers."
    text = Text(f"Mean {name} with its 95 % bootstrap interval over seeds. Each task has its own scale.")
    figures = [plots.rendered(each, alt, figure) for each, figure in zip(names, drawn, strict=True)]
    return Section("Scores per task", [*figures, text])
