"""One command, one folder: what was compared, who leads, scores, curves, cost, warnings, failures, provenance.

    index.html      everything, in one file that loads nothing from outside itself
    report.md       the same in Markdown
    tables.tex      the tables that papers print
    tables/*.csv    every number
    figures/*       every figure: SVG, PNG and PDF

The same runs give the same bytes: there are no dates and no absolute paths, and the random generators of the bootstrap
always start with the same seed. What the report says is in `sections`; this module writes it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from savo_bench.results import page, sections
from savo_bench.results.files import LOSSLESS, make_folder, replacing
from savo_bench.results.findings import CURVES, SUMMARIES, Findings, Options
from savo_bench.results.frame import Runs, load
from savo_bench.results.page import Section
from savo_bench.results.sections import answer, opening, scores

__all__ = ["CURVES", "SUMMARIES", "CannotWrite", "NoRuns", "NoVariant", "Report", "write_report"]


class NoRuns(ValueError):
    """There is nothing to report."""


class NoVariant(ValueError):
    """There is no variant of a name."""


class CannotWrite(OSError):
    """The report cannot be written, for the reason of an OSError; its file is named."""


@dataclass(frozen=True)
class Report:
    """A report as written, and what of it a terminal shows.

    Attributes:
        folder: Where it is.
        runs: The runs.
        scores: The score table, see `tables.score_table`.
        score_text: The score table as text.
        notes: What readers must know before the numbers.
        answer: Which variant leads where.
        files: All files, index.html first.
    """

    folder: Path
    runs: Runs
    scores: pd.DataFrame
    score_text: pd.DataFrame
    notes: list[str]
    answer: list[str]
    files: list[Path]


def write_report(
    root: Path,
    out: Path,
    now: float | None = None,
    *,
    summary: str = "last10",
    statistic: str = "mean",
    per_seed: bool = False,
    width: float | None = None,
    highlight: Sequence[str] = (),
    reload: int | None = None,
) -> Report:
    """Report runs/<name> into a folder. The folder is made; files of the same name in it are replaced.

    Args:
        root: The folder of a name.
        out: The folder to write.
        now: A unix time, which decides which seeds are still running; by default the current time.
        summary: What counts as a seed's score in comparisons and aggregates: last10, final or best.
        statistic: What a learning curve is over seeds: mean or iqm.
        per_seed: Whether learning curves have a thin line per seed.
        width: How wide every figure is, in inches; None: a column or a page, as it needs.
        highlight: The variants in colour, the others being grey; none: all, or where they are many a few.
        reload: After how many seconds an open page reads its file again, of a report that is written while seeds
            train; None for never.

    Raises:
        NoRuns: There are no runs.
        NoVariant: A variant to highlight is not there.
        MixedRuns: There are runs that must not be pooled.
        CannotWrite: The folder cannot be written.
        OSError: The runs cannot be read.
    """
    root, out = Path(root), Path(out)
    runs = load(root, now)
    if len(runs.runs) == 0:
        raise NoRuns(f"{root}: holds no runs")
    for name in highlight:
        if name not in set(runs.runs["variant"]):
            there = ", ".join(sorted(map(str, set(runs.runs["variant"]))))
            raise NoVariant(f"no variant is called {name}; there are {there}")
    found = Findings(root, runs, Options(summary, statistic, per_seed, width, tuple(highlight)))
    made = [section for make in sections.SECTIONS if (section := make(found)) is not None]
    title = Path(os.path.realpath(root)).name  # Path.resolve() raises where a folder cannot be looked at
    files = {
        "index.html": page.web_page(title, made, reload).encode(errors=LOSSLESS),
        "report.md": page.markdown(title, made).encode(errors=LOSSLESS),
        "tables.tex": page.latex(made).encode(errors=LOSSLESS),
    }
    for section in made:
        files |= _files(section)
    for name, content in files.items():
        path = out / name
        try:
            make_folder(path.parent)
            with replacing(path, durable=False) as file:
                file.write(content)
        except OSError as error:
            raise CannotWrite(error.errno, error.strerror, error.filename or str(path)) from error
    shown = scores.text_table(found)
    paths = [out / name for name in files]
    return Report(out, runs, found.scores, shown, opening.notes(found), answer.sentences(found), paths)


def _files(section: Section) -> dict[str, bytes]:
    """The data and the figures of a section, by their paths in the report."""
    found = {
        f"tables/{name}.csv": table.to_csv(index=False, lineterminator="\n").encode(errors=LOSSLESS)
        for name, table in section.data.items()
    }
    for figure in section.figures:
        found[f"figures/{figure.name}.svg"] = figure.svg.encode(errors=LOSSLESS)
        found[f"figures/{figure.name}.png"] = figure.png
        if figure.pdf:
            found[f"figures/{figure.name}.pdf"] = figure.pdf
    return found
