"""One command, one folder: what was compared, who leads, scores, curves, cost, warnings, failures, provenance.

    index.html      everything, in one file that loads nothing from outside itself
    report.md       the same in Markdown
    tables.tex      the tables that papers print
    tables/*.csv    every number
    figures/*       every figure: SVG, PNG and PDF

The same runs give the same bytes: there are no dates and no absolute paths, and the random generators of the bootstrap
always start with the same seed. What the report says is in `sections`; this module writes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from savo_bench.results import page, sections
from savo_bench.results.arrangement import Choices, arrange
from savo_bench.results.files import LOSSLESS, make_folder, replacing
from savo_bench.results.findings import CURVES, SUMMARIES, Findings, Options
from savo_bench.results.frame import Runs
from savo_bench.results.latex import latex
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
        summary: What the number is called that counts as a seed's score.
        scores: The score table, see `tables.score_table`.
        score_text: The score table as text.
        notes: What readers must know before the numbers.
        answer: Which variant leads where.
        files: All files, index.html first.
    """

    folder: Path
    runs: Runs
    summary: str
    scores: pd.DataFrame
    score_text: pd.DataFrame
    notes: list[str]
    answer: list[str]
    files: list[Path]


def write_report(
    root: Path | Sequence[Path],
    out: Path,
    now: float | None = None,
    *,
    summary: str = "last10",
    statistic: str = "mean",
    per_seed: bool = False,
    width: float | None = None,
    highlight: Sequence[str] = (),
    choices: Choices | None = None,
    reload: int | None = None,
) -> Report:
    """Report runs/<name> into a folder. The folder is made; files of the same name in it are replaced.

    Args:
        root: The folder of a name, or those of several names, whose runs are pooled.
        out: The folder to write.
        now: A unix time, which decides which seeds are still running; by default the current time.
        summary: What counts as a seed's score in comparisons and aggregates: last10, final or best.
        statistic: What a learning curve is over seeds: mean or iqm.
        per_seed: Whether learning curves have a thin line per seed.
        width: How wide every figure is, in inches; None: a column or a page, as it needs.
        highlight: The variants in colour, the others being grey; none: all, or where they are many a few.
        choices: What an author wants shown, and how.
        reload: After how many seconds an open page reads its file again, of a report that is written while seeds
            train; None for never.

    Raises:
        NoRuns: There are no runs.
        NoVariant: A variant to highlight is not there.
        MixedRuns, OtherDeclaration: There are runs that must not be pooled.
        WrongChoice: A choice does not fit the runs.
        CannotWrite: The folder cannot be written.
        OSError: The runs cannot be read.
    """
    roots, out = [root] if isinstance(root, str | Path) else list(root), Path(out)
    arranged = arrange(roots, choices, now)
    if len(arranged.runs.runs) == 0:
        raise NoRuns(f"{' and '.join(map(str, roots))}: holds no runs")
    highlight = [arranged.variants.get(name, name) for name in highlight]
    for name in highlight:
        if name not in arranged.variants.values():
            raise NoVariant(f"no variant is called {name}; there are {', '.join(arranged.variants.values())}")
    options = Options(summary, statistic, per_seed, width, tuple(highlight))
    found = Findings(arranged.root, arranged.runs, options, arranged)
    made = [arranged.section(section) for make in sections.SECTIONS if (section := make(found)) is not None]
    files = {
        "index.html": page.web_page(arranged.title, made, reload).encode(errors=LOSSLESS),
        "report.md": page.markdown(arranged.title, made).encode(errors=LOSSLESS),
        "tables.tex": latex(made).encode(errors=LOSSLESS),
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
    heading = found.headings[summary]
    return Report(out, found.runs, heading, found.scores, shown, opening.notes(found), answer.sentences(found), paths)


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
