"""What an author chooses of a report: which runs, in which order, under which names, in which colours.

Runs of several names are pooled: their cells stand side by side, and a cell that is in more than one of them has the
seeds of all. Such a cell must have one spec, and a seed that is there twice must have the same evaluations twice.
"""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from savo_bench.results import frame, plots
from savo_bench.results.format import seed_ranges
from savo_bench.results.frame import MixedRuns, Runs
from savo_bench.results.labels import names_of
from savo_bench.results.page import Section, Table
from savo_bench.results.plots import LineStyle

# columns of tables that hold names of environments and of variants, in the order in which they sort rows
_COLUMNS = (("environment",), ("variant", "x", "a run of", "y", "beats one of"))
_SEED = ["environment", "variant", "seed"]
_MOST = 4  # ours: cells that a message names; it is one line


class WrongChoice(ValueError):
    """A choice names what is not there, makes two names alike, or is no colour."""


@dataclass(frozen=True)
class Choices:
    """What an author chooses.

    Attributes:
        title: Of the report; None: the names of its runs.
        envs: Patterns of environments (`restricted-*`), in the order of the report; none: all.
        variants: Patterns of variants, by the names of run.json or of the report, in its order; none: all.
        labels: What to call environments and variants instead.
        colours: Of variants, as matplotlib writes them: `#0072B2`, `teal`.
    """

    title: str | None = None
    envs: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arranged:
    """The runs of a report as it shows them.

    Attributes:
        root: The folder in which the paths of the runs begin.
        title: Of the report.
        runs: Those that were chosen, under the names of the report.
        loaded: All runs of each folder of a name, as run.json calls them.
        variants: What the report calls each variant, by what run.json calls it, in the report's order.
        environments: Likewise.
        shared: The fields that all variants share and that left their names, with their values.
        styles: The colour and dashes of each variant.
        ordered: Whether the order is an author's and not that of the names.
    """

    root: Path
    title: str
    runs: Runs
    loaded: Sequence[tuple[Path, Runs]]
    variants: Mapping[str, str]
    environments: Mapping[str, str]
    shared: Mapping[str, str]
    styles: Mapping[str, LineStyle]
    ordered: bool

    def stored(self, variant: str) -> str:
        """What run.json calls a variant of the report."""
        return next((name for name, shown in self.variants.items() if shown == variant), variant)

    def renamed(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table of run.json's names that the report shows, under its names."""
        if not {"environment", "variant"} <= set(table.columns):
            return table
        there = table["environment"].isin(list(self.environments)) & table["variant"].isin(list(self.variants))
        found = table[there].copy()
        found["environment"] = found["environment"].map(dict(self.environments)).astype(str)
        found["variant"] = found["variant"].map(dict(self.variants)).astype(str)
        found.attrs = dict(table.attrs)
        return found

    def in_order(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with its rows, and the columns that are variants, in the report's order."""
        if not self.ordered:
            return table
        columns = list(table.columns)
        variants = [name for name in self.variants.values() if name in columns]
        if len(variants) > 1:  # as in a table of fields
            columns = [*(name for name in columns if name not in variants), *variants]
        return table.iloc[self._positions(table)].reset_index(drop=True)[columns]

    def section(self, section: Section) -> Section:
        """A section with its tables and data in the report's order."""
        if not self.ordered:
            return section
        blocks = [self._table(block) if isinstance(block, Table) else block for block in section.blocks]
        return replace(section, blocks=blocks, data={name: self.in_order(one) for name, one in section.data.items()})

    def _table(self, table: Table) -> Table:
        positions = self._positions(table.frame)
        faded = None if table.faded is None else [bool(table.faded[row]) for row in positions]
        bold = {(positions.index(row), column) for row, column in table.bold}
        latex = [name for name in self.in_order(table.frame).columns if name in table.latex] if table.latex else ()
        same = set(latex) == set(self.variants.values())
        return replace(
            table, frame=self.in_order(table.frame), faded=faded, bold=bold, latex=latex if same else table.latex
        )

    def _positions(self, table: pd.DataFrame) -> list[int]:
        """The rows of a table by their numbers, in the report's order."""
        keys = []
        for names, columns in zip((self.environments, self.variants), _COLUMNS, strict=True):
            ranks = {name: rank for rank, name in enumerate(names.values())}
            keys += [[ranks.get(name, len(ranks)) for name in table[one]] for one in columns if one in table]
        return sorted(range(len(table)), key=lambda row: tuple(key[row] for key in keys))


def arrange(roots: Sequence[Path], choices: Choices | None = None, now: float | None = None) -> Arranged:
    """Read the runs of some names, pooled, as an author wants them shown.

    Args:
        roots: The folders of the names.
        choices: The author's.
        now: A unix time, see `frame.load`.

    Raises:
        MixedRuns: The runs must not be pooled.
        WrongChoice: A choice names nothing that is there, makes two names alike, or is no colour.
        OSError: The runs cannot be read.
    """
    choices = choices or Choices()
    loaded = [(root, frame.load(root, now)) for root in dict.fromkeys(map(Path, roots))]
    every = pd.concat([runs.runs for _, runs in loaded], ignore_index=True)
    aliases = names_of(every).shown
    environments = {str(name): str(name) for name in sorted(set(every["environment"]))}
    tasks = _chosen(environments, choices.envs, "environments")
    variants = _chosen(aliases, choices.variants, "variants")
    parts = [_only(runs, tasks, variants) for _, runs in loaded]
    root, runs = loaded[0][0], parts[0]
    if len(loaded) > 1:
        root = Path(os.path.commonpath([folder.absolute() for folder, _ in loaded]))
        runs = _pooled([folder.absolute().relative_to(root).as_posix() for folder, _ in loaded], parts)
    names = names_of(runs.runs)
    variants = [name for name in variants if name in names.shown]
    tasks = [name for name in tasks if name in set(runs.runs["environment"])]
    called = {**environments, **aliases, **names.shown}
    labels = {_stored(name, called, "labels"): label for name, label in choices.labels.items()}
    colours = {_stored(name, called, "colours"): _colour(name, one) for name, one in choices.colours.items()}
    shown = {name: labels.get(name, names.shown[name]) for name in variants}
    shown_tasks = {name: labels.get(name, name) for name in tasks}
    for each in (shown, shown_tasks):
        _refuse_twins(each)
    if not choices.variants:
        shown = dict(sorted(shown.items(), key=lambda item: item[1]))
    if not choices.envs:
        shown_tasks = dict(sorted(shown_tasks.items(), key=lambda item: item[1]))
    looks = plots.styles(
        [names.looks[names.shown[name]] for name in shown],
        {names.looks[names.shown[name]]: colour for name, colour in colours.items() if name in shown},
    )
    titles = [Path(os.path.realpath(folder)).name for folder, _ in loaded]  # resolve() raises where it cannot look
    found = Arranged(
        root=root,
        title=" and ".join(titles) if choices.title is None else choices.title,
        runs=runs,
        loaded=loaded,
        variants=shown,
        environments=shown_tasks,
        shared=names.shared,
        styles={label: looks[names.looks[names.shown[name]]] for name, label in shown.items()},
        ordered=bool(choices.envs or choices.variants),
    )
    return replace(found, runs=_sorted(replace(runs, runs=found.renamed(runs.runs), evals=found.renamed(runs.evals))))


def _chosen(names: Mapping[str, str], patterns: Sequence[str], what: str) -> list[str]:
    """The names that patterns choose, in the order of the patterns; each has another name that fits as well."""
    if not patterns:
        return list(names)
    found: dict[str, None] = {}
    for pattern in patterns:
        exact = [name for name, other in names.items() if pattern in (name, other)]
        fit = exact or [
            name for name, other in names.items() if fnmatchcase(name, pattern) or fnmatchcase(other, pattern)
        ]
        if not fit:
            raise WrongChoice(f"{what}: {pattern!r} is none of these runs': {_near(pattern, names)}")
        found |= dict.fromkeys(fit)
    return list(found)


def _near(name: str, names: Mapping[str, str]) -> str:
    """The names nearest to one, or all, as the end of a message."""
    every = sorted({*names, *names.values()})
    near = difflib.get_close_matches(name, every, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(every)}"


def _stored(name: str, called: Mapping[str, str], what: str) -> str:
    """What run.json calls a variant or an environment that an author names.

    Raises:
        WrongChoice: there is none.
    """
    for stored, shown in called.items():
        if name in (stored, shown):
            return stored
    raise WrongChoice(f"{what}: {name!r} is none of these runs': {_near(name, called)}")


def _colour(name: str, value: str) -> str:
    try:
        return plots.colour(value)
    except ValueError:
        raise WrongChoice(f"colours: {name} = {value!r} is no colour: write one as #0072B2 or teal") from None


def _refuse_twins(shown: Mapping[str, str]) -> None:
    first: dict[str, str] = {}
    for name, label in shown.items():
        if label in first:
            raise WrongChoice(f"labels: {first[label]} and {name} would both be called {label!r}: choose another")
        first[label] = name


def _only(runs: Runs, environments: Iterable[str], variants: Iterable[str]) -> Runs:
    """The runs of some variants on some environments."""
    seeds, evals = (
        table[table["environment"].isin(list(environments)) & table["variant"].isin(list(variants))]
        for table in (runs.runs, runs.evals)
    )
    return replace(runs, runs=seeds, evals=evals)


def _sorted(runs: Runs) -> Runs:
    """Runs in the order of their names."""
    seeds = runs.runs.sort_values(_SEED, kind="stable", ignore_index=True)
    return replace(runs, runs=seeds, evals=runs.evals.sort_values([*_SEED, "step"], kind="stable", ignore_index=True))


def _pooled(folders: Sequence[str], parts: Sequence[Runs]) -> Runs:
    """The runs of several names as one. Of a seed that is there twice with the same evaluations, the first counts.

    Raises:
        MixedRuns: a cell has two specs, or a seed is there twice with different evaluations.
    """
    named = list(zip(folders, parts, strict=True))
    rows = pd.concat(
        [part.runs.assign(name=folder, path=folder + "/" + part.runs["path"]) for folder, part in named],
        ignore_index=True,
    )
    evals = pd.concat([part.evals.assign(name=folder) for folder, part in named], ignore_index=True)
    frame.refuse_mixtures(rows.to_dict("records"))
    dropped: list[int] = []
    clashes: dict[tuple[str, str], tuple[list[int], list[str]]] = {}
    twice = rows[rows.duplicated(_SEED, keep=False)]
    for (environment, variant, seed), own in twice.groupby(_SEED, sort=True):
        begun = own[own["spec"].notna()]
        results = [_result(evals, row) for row in begun.to_dict("records")]
        if any(result != results[0] for result in results[1:]):
            seeds, names = clashes.setdefault((str(environment), str(variant)), ([], []))
            seeds.append(int(str(seed)))
            names += [name for name in begun["name"] if name not in names]
        kept = begun.index[0] if len(begun) else own.index[0]
        dropped += [index for index in own.index if index != kept]
    if clashes:
        raise MixedRuns(_clash(clashes))
    lost = rows.loc[dropped, [*_SEED, "name"]].drop_duplicates()
    marked = evals.merge(lost, on=[*_SEED, "name"], how="left", indicator="lost")
    evals = evals[(marked["lost"] == "left_only").to_numpy()].drop(columns="name")
    problems = [f"{folder}/{line}" for folder, part in named for line in part.problems]
    shown = {name: metric for part in reversed(parts) for name, metric in part.metrics.items()}
    return Runs(rows.drop(index=dropped).drop(columns="name"), evals, problems, shown)


def _result(evals: pd.DataFrame, row: Mapping[Any, Any]) -> object:
    """What a seed's evaluations were, and whether it is done."""
    own = evals[
        (evals["name"] == row["name"])
        & (evals["environment"] == row["environment"])
        & (evals["variant"] == row["variant"])
        & (evals["seed"] == row["seed"])
    ]
    return row["state"], own[["step", "return", "length"]].to_numpy(dtype=float).tobytes()


def _clash(clashes: Mapping[tuple[str, str], tuple[Sequence[int], Sequence[str]]]) -> str:
    cells = [
        f"{variant} on {environment}, seeds {seed_ranges(seeds)} ({' and '.join(names)})"
        for (environment, variant), (seeds, names) in clashes.items()
    ]
    more = f"; and {len(cells) - _MOST} cells more" if len(cells) > _MOST else ""
    return (
        f"the same seeds have different results: {'; '.join(cells[:_MOST])}{more}; leave one of the names out, or the "
        "variants with --variants"
    )
