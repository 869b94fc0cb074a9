"""What a report is made from: the runs, its options, and the tables that more than one section needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from savo_bench.results import comparisons, declared, diagnosis, gaps, landscapes, operations, plots, provenance, tables
from savo_bench.results.format import cells_asked
from savo_bench.results.frame import Runs
from savo_bench.results.plots import LineStyle
from savo_bench.results.reference import Bounds

SUMMARIES = ("last10", "final", "best")  # what can count as a seed's score
CURVES = ("mean", "iqm")  # what a learning curve can be over seeds


@dataclass(frozen=True)
class Options:
    """What a user can choose.

    Attributes:
        summary: What counts as a seed's score in comparisons and aggregates, one of SUMMARIES.
        statistic: What a learning curve is over seeds, one of CURVES.
        per_seed: Whether learning curves have a thin line per seed.
        width: How wide every figure is, in inches; None: a column or a page, as it needs.
        highlight: The variants in colour, the others being grey; none: all, or where they are many a few.
    """

    summary: str = "last10"
    statistic: str = "mean"
    per_seed: bool = False
    width: float | None = None
    highlight: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """The runs of a report and the tables that its sections share; each table is made when it is first needed."""

    root: Path
    runs: Runs
    options: Options

    @cached_property
    def bounds(self) -> Mapping[str, Bounds]:
        """The bounds of the environments that have any."""
        return tables.known_bounds(self.runs)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """See `tables.score_table`."""
        summary = self.options.summary
        return tables.score_table(self.runs, tuple(dict.fromkeys([*tables.ALWAYS_SHOWN, summary])))

    @cached_property
    def faded(self) -> list[bool]:
        """Per row of `scores`, whether the cell lacks seeds."""
        return list(self.scores["n"] < self.scores["seeds"])

    @cached_property
    def styles(self) -> dict[str, LineStyle]:
        """The colour and dashes of each variant, the same in all figures."""
        return plots.styles(self.scores["variant"])

    @property
    def column(self) -> float:
        """The width in inches of a figure of one panel."""
        return self.options.width or plots.WIDTH

    @property
    def page(self) -> float:
        """The width in inches of a figure of several panels."""
        return self.options.width or 2 * plots.WIDTH

    @cached_property
    def chosen(self) -> tuple[str, ...]:
        """The variants in colour in learning curves, others being grey; none: all, or each in a panel of its own."""
        several = self.scores["environment"].nunique() > 1 and self.scores["variant"].nunique() > plots.MANY
        many = several and not self.options.highlight
        return plots.leading(self.scores, f"{self.options.summary}_mean") if many else self.options.highlight

    @cached_property
    def controls(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """The controls of each cell, by environment and variant, as they were written down at its first start."""
        return {(cell.environment, cell.variant): cell.controls for cell in cells_asked(self.root)}

    @cached_property
    def declarations(self) -> list[declared.Declaration]:
        """What was declared, the one that holds last; see `declared.read`."""
        return declared.read(self.root)

    @property
    def measure(self) -> str:
        """What counts as a seed's score in the comparisons: as declared, else as the options say."""
        return self.declarations[-1].measure if self.declarations else self.options.summary

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """See `comparisons.table`."""
        last = self.declarations[-1] if self.declarations else None
        pairs = comparisons.of_runs(self.runs.runs, last, self.controls)
        scores = tables.scores_of(self.runs, self.measure)
        return comparisons.table(pairs, scores, self.bounds, last.margin if last else None)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """See `tables.curve_table`."""
        return tables.curve_table(self.runs)

    @cached_property
    def operations(self) -> tuple[dict[tuple[str, str], operations.Operations], list[str]]:
        """See `operations.of_runs`."""
        return operations.of_runs(self.root, self.runs)

    @cached_property
    def matrix(self) -> tables.ScoreMatrix | None:
        """The normalised scores that are aggregated; None if no environment has bounds and scores."""
        return tables.score_matrix(self.runs, self.bounds, self.options.summary)

    @cached_property
    def aggregates(self) -> pd.DataFrame:
        """See `tables.aggregate_table`; without rows if there is no matrix."""
        return tables.aggregate_table(self.matrix) if self.matrix else pd.DataFrame()

    @cached_property
    def fields(self) -> tuple[pd.DataFrame, int]:
        """See `tables.field_table`."""
        return tables.field_table(self.runs)

    @cached_property
    def diagnoses(self) -> pd.DataFrame:
        """See `diagnosis.diagnose`."""
        return diagnosis.diagnose(self.root, self.runs)

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """See `gaps.of_seeds`."""
        return gaps.of_seeds(self.root, self.runs)

    @cached_property
    def policy_gaps(self) -> pd.DataFrame:
        """See `gaps.of_policies`."""
        return gaps.of_policies(self.root, self.runs)

    @cached_property
    def landscapes(self) -> tuple[list[landscapes.OfSeed], list[str]]:
        """See `landscapes.of_seeds`."""
        return landscapes.of_seeds(self.root, self.runs)

    @property
    def problems(self) -> list[str]:
        """A line per file that is damaged, cannot be read or is out of place."""
        found = [*self.runs.problems, *self.diagnoses.attrs["problems"], *self.gaps.attrs["problems"]]
        found += [*self.policy_gaps.attrs["problems"], *self.landscapes[1], *self.operations[1]]
        return list(dict.fromkeys(found))

    @cached_property
    def warnings(self) -> pd.DataFrame:
        """See `diagnosis.warnings`."""
        return diagnosis.warnings(self.diagnoses)

    @cached_property
    def provenance(self) -> pd.DataFrame:
        """See `provenance.differences`."""
        return provenance.differences(self.runs.runs)

    @cached_property
    def doubtful(self) -> list[tuple[str, str]]:
        """See `provenance.doubtful`."""
        return list(provenance.doubtful(self.runs.runs))

    def score_interval(self, environment: str, variant: str) -> str:
        """A cell's score as text: the mean of the chosen summary with its interval."""
        name = f"{self.options.summary}_mean"
        cell = self.scores[(self.scores["environment"] == environment) & (self.scores["variant"] == variant)]
        return tables.interval_column(cell, name)[0]
