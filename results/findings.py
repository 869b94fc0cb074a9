"""What a report is made from: the runs, its options, and the tables that more than one section needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from savo_bench.results import (
    comparisons,
    declared,
    diagnosis,
    foreign,
    gaps,
    landscapes,
    operations,
    plots,
    provenance,
    tables,
)
from savo_bench.results.arrangement import Arranged
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
    arranged: Arranged | None = None  # None: the runs as they are loaded, under the names of run.json

    @property
    def names(self) -> Mapping[str, str]:
        """What the report calls each variant, by what run.json calls it; those that it shows."""
        if self.arranged:
            return self.arranged.variants
        return {str(name): str(name) for name in sorted(set(self.runs.runs["variant"]))}

    @property
    def folders(self) -> list[tuple[Path, Runs]]:
        """The folders of the names that are pooled, each with all its runs under the names of run.json."""
        return list(self.arranged.loaded) if self.arranged else [(self.root, self.runs)]

    def in_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """See `Arranged.in_order`."""
        return self.arranged.in_order(table) if self.arranged else table

    @cached_property
    def evaluations(self) -> list[int]:
        """How many evaluations the seeds that are done have, each."""
        return [int(n) for n in self.runs.runs.loc[self.runs.runs["state"] == "done", "evaluations"]]

    @cached_property
    def headings(self) -> dict[str, str]:
        """What to call each summary and statistic; last10 by the evaluations that it is a mean of, here."""
        return tables.names(self.evaluations)

    @cached_property
    def bounds(self) -> Mapping[str, Bounds]:
        """The bounds of the environments that have any."""
        return tables.known_bounds(self.runs)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """See `tables.score_table`."""
        summary = self.options.summary
        return self.in_order(tables.score_table(self.runs, tuple(dict.fromkeys([*tables.ALWAYS_SHOWN, summary]))))

    @cached_property
    def faded(self) -> list[bool]:
        """Per row of `scores`, whether the cell lacks seeds."""
        return list(self.scores["n"] < self.scores["seeds"])

    @cached_property
    def styles(self) -> dict[str, LineStyle]:
        """The colour and dashes of each variant, the same in all figures, in the report's order."""
        if self.arranged:
            return dict(self.arranged.styles)
        return dict(sorted(plots.styles(self.scores["variant"]).items()))

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
        asked = [cell for folder, _ in self.folders for cell in cells_asked(folder)]
        tasks = self.arranged.environments if self.arranged else {}
        return {
            (tasks.get(cell.environment, cell.environment), self.called(cell.variant)): tuple(
                map(self.called, cell.controls)
            )
            for cell in asked
        }

    def called(self, variant: str) -> str:
        """What the report calls a variant of run.json."""
        return self.names.get(variant, variant)

    def stored(self, variant: str) -> str:
        """What run.json calls a variant of the report."""
        return self.arranged.stored(variant) if self.arranged else variant

    @cached_property
    def declarations(self) -> list[declared.Declaration]:
        """What was declared, the one that holds last; see `declared.read` and `declared.pooled`."""
        return declared.pooled([declared.read(folder) for folder, _ in self.folders])

    @property
    def measure(self) -> str:
        """What counts as a seed's score in the comparisons: as declared, else as the options say."""
        return self.declarations[-1].measure if self.declarations else self.options.summary

    @cached_property
    def apart(self) -> frozenset[str]:
        """The foreign variants that no declaration names: they are shown, and neither compared nor pooled."""
        pairs = self.declarations[-1].pairs if self.declarations else ()
        return foreign.variants(self.runs).difference(*(map(self.called, pair) for pair in pairs))

    @cached_property
    def pooled(self) -> Runs:
        """The runs that are compared and pooled."""
        return foreign.without(self.runs, self.apart)

    @cached_property
    def ours(self) -> Runs:
        """The runs that were trained here."""
        return foreign.without(self.runs, foreign.variants(self.runs))

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """See `comparisons.table`."""
        last = self.declarations[-1] if self.declarations else None
        runs, left_out = self.runs.runs, set()
        if last and self.arranged:  # what was declared is one family, whatever is shown of it
            runs = pd.concat([loaded.runs for _, loaded in self.arranged.loaded], ignore_index=True)
            tasks, names = self.arranged.environments, self.arranged.variants
            left_out = {*runs["environment"], *runs["variant"]} - {*tasks, *names}
            runs = runs.replace({"environment": dict(tasks), "variant": dict(names)})
            pairs = tuple((self.called(variant), self.called(against)) for variant, against in last.pairs)
            last = last._replace(pairs=pairs)
        family = comparisons.of_runs(runs[~runs["variant"].isin(self.apart)], last, self.controls)
        scores = tables.scores_of(self.pooled, self.measure)
        found = comparisons.table(family, scores, self.bounds, last.margin if last else None)
        shown = ~found[["environment", "variant", "against"]].isin(list(left_out)).any(axis=1)
        return found[shown].reset_index(drop=True)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """See `tables.curve_table`."""
        return tables.curve_table(self.runs)

    @cached_property
    def operations(self) -> tuple[dict[tuple[str, str], operations.Operations], list[str]]:
        """See `operations.of_runs`."""
        found: dict[tuple[str, str], operations.Operations] = {}
        problems: list[str] = []
        tasks = self.arranged.environments if self.arranged else {}
        for folder, runs in self.folders:
            own, lines = operations.of_runs(folder, runs)
            problems += lines
            for (environment, variant), each in own.items():
                found.setdefault((tasks.get(environment, environment), self.called(variant)), each)
        return found, problems

    @cached_property
    def matrix(self) -> tables.ScoreMatrix | None:
        """The normalised scores that are aggregated; None if no environment has bounds and scores."""
        found = tables.score_matrix(self.pooled, self.bounds, self.options.summary)
        if found is None or self.arranged is None:
            return found
        variants = [name for name in self.arranged.variants.values() if name in found.variants]
        environments = [name for name in self.arranged.environments.values() if name in found.environments]
        at = [found.environments.index(name) for name in environments]
        scores = {variant: [found.scores[variant][index] for index in at] for variant in variants}
        return replace(found, variants=variants, environments=environments, scores=scores)

    @cached_property
    def aggregates(self) -> pd.DataFrame:
        """See `tables.aggregate_table`; without rows if there is no matrix."""
        return tables.aggregate_table(self.matrix) if self.matrix else pd.DataFrame()

    @cached_property
    def fields(self) -> tuple[pd.DataFrame, int]:
        """See `tables.field_table`."""
        differing, equal = tables.field_table(self.ours)
        return self.in_order(differing), equal

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
        each = [gaps.of_policies(folder, runs) for folder, runs in self.folders]
        if self.arranged is None:
            return each[0]
        found = self.arranged.renamed(pd.concat(each, ignore_index=True))
        found = found.drop_duplicates(["environment", "variant", "seed"], ignore_index=True)
        found.attrs = {name: [line for one in each for line in one.attrs[name]] for name in ("problems", "notes")}
        return found

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
    def task_metrics(self) -> pd.DataFrame:
        """See `tables.metric_table`."""
        return tables.metric_table(self.runs)

    @cached_property
    def provenance(self) -> pd.DataFrame:
        """See `provenance.differences`."""
        return provenance.differences(self.ours.runs)

    @cached_property
    def doubtful(self) -> list[tuple[str, str]]:
        """See `provenance.doubtful`."""
        return list(provenance.doubtful(self.ours.runs))

    def score_interval(self, environment: str, variant: str) -> str:
        """A cell's score as text: the mean of the chosen summary with its interval."""
        name = f"{self.options.summary}_mean"
        cell = self.scores[(self.scores["environment"] == environment) & (self.scores["variant"] == variant)]
        return tables.interval_column(cell, name)[0]
