"""The sections of a report, in the order in which a reader asks.

A section is a function from `Findings` to `page.Section`, or to None where there is nothing to say. Its file holds its
texts and says which tables and figures it has. To add one: write its function here in a file of its own, and put it
into SECTIONS. `report.write_report` writes its text and tables into the page, Markdown and LaTeX, its figures as SVG
and PNG, and its data as CSV.
"""

from collections.abc import Callable

from savo_bench.results.findings import Findings
from savo_bench.results.page import Section
from savo_bench.results.sections import (
    aggregates,
    answer,
    cost,
    curves,
    differences,
    improvement,
    opening,
    published,
    scores,
    seeds,
    task_metrics,
    warnings,
)

SECTIONS: list[Callable[[Findings], Section | None]] = [
    opening.section,
    answer.section,
    scores.section,
    curves.section,
    aggregates.section,
    improvement.section,
    task_metrics.section,
    cost.section,
    published.section,
    warnings.section,
    seeds.unfinished,
    seeds.problems,
    differences.fields,
    differences.origins,
]
