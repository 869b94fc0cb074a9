"""The sections of a report, in the order in which a reader asks.

A section is a function from `Findings` to `page.Section`, or to None where there is nothing to say. Its file holds its
texts and says which tables and figures it has. To add one: write its function here in a file of its own, and put it
into SECTIONS. `report.write_report` writes its text and tables into the page, Markdown and LaTeX, its figures as SVG
and PNG, and its data as CSV.

    opening        what was compared, and how complete it is
    answer         who leads where
    scores         scores per cell
    gaps           how rugged Q is, and how far proposals are below its maxima, in training and of final policies
    landscapes     Q over actions, where it has been drawn
    bars           the scores of each task as bars
    studies        score and cost against a numeric field, and what single changes of a reference do
    curves         learning curves and sample efficiency
    aggregates     normalised scores over tasks
    improvement    probability that a run of one variant beats one of another
    task_metrics   what environments record beside the return
    against        learning curves by time and by operations
    cost           time, memory and parameters beside the score
    published      published scores beside ours
    warnings       signs that a maximiser does not work as it should
    seeds          seeds that are not done, files with problems
    differences    fields in which variants differ, provenance
"""

from collections.abc import Callable

from savo_bench.results.findings import Findings
from savo_bench.results.page import Section
from savo_bench.results.sections import (
    against,
    aggregates,
    answer,
    bars,
    cost,
    curves,
    differences,
    gaps,
    improvement,
    landscapes,
    opening,
    published,
    scores,
    seeds,
    studies,
    task_metrics,
    warnings,
)

SECTIONS: list[Callable[[Findings], Section | None]] = [
    opening.section,
    answer.section,
    scores.section,
    bars.section,
    studies.section,
    gaps.section,
    gaps.policies,
    landscapes.section,
    curves.section,
    aggregates.section,
    improvement.section,
    task_metrics.section,
    cost.section,
    against.section,
    published.section,
    warnings.section,
    seeds.unfinished,
    seeds.problems,
    differences.fields,
    differences.origins,
]
