"""Runs in a notebook: every table of a report as a pandas frame, every figure as matplotlib's.

    runs = load("runs/default")
    runs.scores()                      # a frame, a row per cell
    runs.figure("aggregates")          # a matplotlib figure
    runs.learning_curves(ax=axes)      # the same drawing in axes of one's own

Nothing is computed here: numbers come from the tables and sections of the report, drawings from its plots.
"""

from collections.abc import Iterator
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from savo_bench.results import page, plots, sections
from savo_bench.results.arrangement import arrange
from savo_bench.results.findings import CURVES, SUMMARIES, Findings, Options
from savo_bench.results.report import NoRuns, write_report
from savo_bench.results.sections import answer, opening, scores

__all__ = ["NotThere", "Results", "load"]


class NotThere(ValueError):
    """There is no table, figure or environment of a name."""


def load(folder: Path | str, *, summary: str = "last10", curves: str = "mean") -> "Results":
    """Read the runs of a name.

    Args:
        folder: The folder of the name: runs/NAME.
        summary: What counts as a seed's score in comparisons and aggregates: last10, final or best.
        curves: What a learning curve is over seeds: mean or iqm.

    Raises:
        ValueError: An option has no such value.
        NoRuns: There are no runs.
        MixedRuns: There are runs that must not be pooled; see `frame.load`.
        OSError: The runs cannot be read.
    """
    for name, value, known in (("summary", summary, SUMMARIES), ("curves", curves, CURVES)):
        if value not in known:
            raise ValueError(f"{name}={value!r}: must be one of {', '.join(known)}")
    root = Path(folder)
    if not root.is_dir():
        raise NoRuns(f"{root}: no such folder; give the folder of a name, as runs/default")
    arranged = arrange([root])
    if len(arranged.runs.runs) == 0:
        raise NoRuns(f"{root}: holds no runs; give the folder of a name, as runs/default")
    return Results(Findings(arranged.root, arranged.runs, Options(summary, curves), arranged))


class Results:
    """What the runs of a name hold and say, as they were when they were loaded.

    Frames are copies: what is done to one changes no other.
    """

    def __init__(self, found: Findings) -> None:
        """Take what a report is made from; `load` makes one."""
        self.found = found
        self._waiting = list(sections.SECTIONS)
        self._made: list[page.Section] = []

    @property
    def seeds(self) -> pd.DataFrame:
        """A row per seed, whatever its state; the columns are `frame.RUN_COLUMNS`."""
        return self.found.runs.runs.copy()

    @property
    def evaluations(self) -> pd.DataFrame:
        """A row per seed and evaluation: environment, variant, seed, step, return, length and the tasks' metrics."""
        return self.found.runs.evals.copy()

    @property
    def problems(self) -> list[str]:
        """A line per file that is damaged, cannot be read or is out of place."""
        return self.found.problems

    def scores(self) -> pd.DataFrame:
        """A row per cell: see `tables.score_table`."""
        return self.found.scores.copy()

    def comparisons(self) -> pd.DataFrame:
        """A row per comparison, with its verdict: see `comparisons.table`."""
        return self.found.comparisons.copy()

    def aggregates(self) -> pd.DataFrame:
        """A row per variant, over all tasks with bounds: see `tables.aggregate_table`; empty if no task has any."""
        return self.found.aggregates.copy()

    def curves(self) -> pd.DataFrame:
        """A row per cell and step: see `tables.curve_table`."""
        return self.found.curves.copy()

    def answer(self) -> list[str]:
        """Who leads where, and what each comparison says: a sentence over all tasks, then one per task."""
        return [page.plain(line) for line in answer.sentences(self.found)]

    @property
    def tables(self) -> list[str]:
        """The names of all tables of numbers that `table` gives."""
        return [name for section in self._sections() for name in section.data]

    @property
    def texts(self) -> list[str]:
        """The names of all tables as a reader sees them that `text` gives."""
        return [block.name for section in self._sections() for block in section.blocks if isinstance(block, page.Table)]

    @property
    def figures(self) -> list[str]:
        """The names of all figures that `figure` gives."""
        return [figure.name for section in self._sections() for figure in section.figures]

    def table(self, name: str) -> pd.DataFrame:
        """Numbers of the report, unrounded: what it writes to tables/NAME.csv.

        Raises:
            NotThere: There is no such table.
        """
        for section in self._sections():
            if name in section.data:
                return section.data[name].copy()
        raise NotThere(f"there is no table {name!r}; there are {', '.join(self.tables)}")

    def text(self, name: str) -> pd.DataFrame:
        """A table as the report's page shows it: rounded, with intervals in brackets, all text.

        Raises:
            NotThere: There is no such table.
        """
        for section in self._sections():
            for block in section.blocks:
                if isinstance(block, page.Table) and block.name == name:
                    return block.frame.copy()
        raise NotThere(f"there is no table {name!r} on the page; there are {', '.join(self.texts)}")

    def figure(self, name: str) -> Figure:
        """A figure of the report; its axes are in `.axes`, and what is changed on them stays.

        Raises:
            NotThere: There is no such figure.
        """
        for section in self._sections():
            for figure in section.figures:
                if figure.name == name:
                    return figure.drawing
        raise NotThere(f"there is no figure {name!r}; there are {', '.join(self.figures)}")

    def learning_curves(self, environment: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw the learning curves of one environment, with a legend.

        Args:
            environment: Which, as in `scores()`; None if there is only one.
            ax: Where to draw; None for a new figure of a paper's column.

        Raises:
            NotThere: There is no such environment, or there are several and none was named.
        """
        there = list(dict.fromkeys(map(str, self.found.scores["environment"])))
        if environment not in there and not (environment is None and len(there) == 1):
            which = "say which environment" if environment is None else f"there is no environment {environment!r}"
            raise NotThere(f"{which}; there are {', '.join(there)}")
        own = environment or there[0]
        statistic, style = self.found.options.statistic, self.found.styles
        curves, cells = (table[table["environment"] == own] for table in (self.found.curves, self.found.scores))
        with matplotlib.style.context(plots.STYLE if ax is None else []):
            axes = plots.canvas((plots.WIDTH, plots.HEIGHT)).subplots() if ax is None else ax
            plots.learning_curves(axes, curves, cells, style, None, statistic)
            axes.set(xlabel="environment steps", ylabel="mean return" if statistic == "mean" else "IQM of the return")
            axes.set_title(own)
            lines = plots.legend_entries({str(name): str(name) for name in cells["variant"]}, style)
            axes.legend(lines.values(), lines.keys())
        return axes

    def write_report(self, out: Path | str) -> Path:
        """Write the report of these runs, as they are now, into a folder; returns its page.

        Raises:
            CannotWrite: The folder cannot be written.
        """
        options = self.found.options
        report = write_report(self.found.root, Path(out), summary=options.summary, statistic=options.statistic)
        return report.files[0]

    def __repr__(self) -> str:
        """What was compared and how complete it is, in a line."""
        return f"<{page.plain(self._overview())}>"

    def _repr_html_(self) -> str:
        """What was compared, what must be known before the numbers, and the scores: what a notebook shows."""
        notes = "".join(f"<li>{page.html_inline(note)}</li>" for note in opening.notes(self.found))
        table = scores.text_table(self.found).to_html(index=False, border=0)
        more = "More is behind `.tables`, `.texts` and `.figures`, which list what `.table(name)` and its like give."
        said = f"<p>{page.html_inline(self._overview())}</p>" + (f"<ul>{notes}</ul>" if notes else "")
        return f"{said}{table}<p>{page.html_inline(more)}</p>"

    def _overview(self) -> str:
        (first, *_) = opening.section(self.found).blocks
        assert isinstance(first, page.Text)
        return first.text

    def _sections(self) -> Iterator[page.Section]:
        """The sections of the report, each made when it is first needed."""
        yield from self._made
        while self._waiting:
            made = self._waiting.pop(0)(self.found)
            if made is not None:
                self._made.append(made)
                yield made
