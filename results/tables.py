"""Tables of numbers from runs: scores with intervals and coverage, aggregates, comparisons, cost, differing fields.

A cell is a variant on an environment. A score counts the seeds that are done, a point of a curve the seeds that were
evaluated there. The random generators of the bootstrap always start with the same seed: the same runs give the same
table, and the numbers of a cell do not depend on other cells.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from savo_bench.results import gaps, metrics, reference, spent
from savo_bench.results.format import text
from savo_bench.results.frame import COSTS, EVAL_COLUMNS, Runs
from savo_bench.results.reference import Bounds

FEW_SEEDS = 5  # with fewer, intervals are too narrow: tests/test_metrics.py, coverage of the IQM interval
_RNG = 0  # any constant

ALWAYS_SHOWN = ("last10", "final")  # summaries of a seed; `best` only on request
STATISTICS = {"mean": 0.0, "iqm": metrics.CUT}
NAMES = {
    "last10": "last-10 return",
    "final": "final return",
    "best": "best return",
    "mean": "mean",
    "iqm": "IQM",
    "median": "median",
    "gap": "optimality gap",
    "area": "average return over training",
}
GOALS = (0.5, 0.9)  # normalised returns whose first step is reported. ours: half way and nearly there
THRESHOLDS = np.linspace(0, 1.2, 61)  # of performance profiles. ours: from the low bound to somewhat above the high one
MOST_MATRICES = 10_000  # ours: sets of tasks to choose from; ten variants have at most 1 023
VALID = "valid"  # the metric of environments that reject actions; it stands beside the scores

_RESAMPLES = metrics.Resamples(_RNG)
_CURVE_RESAMPLES = metrics.Resamples(_RNG, metrics.CURVE_RESAMPLES)


class MetricLabel(NamedTuple):
    """How a metric that environments record is shown.

    Attributes:
        label: Its name in reports.
        unit: Its unit; with "%" the recorded number is a share from 0 to 1.
        complement: Whether 1 − the recorded share is shown: of valid actions, the invalid ones.
    """

    label: str
    unit: str = ""
    complement: bool = False

    def shown(self, values: Any) -> Any:
        """The values to show for recorded ones."""
        return 1 - values if self.complement else values


# of runs whose run.json has no labels yet
_UNLABELLED = {VALID: MetricLabel("invalid actions", "%", complement=True), "success": MetricLabel("success rate", "%")}


def names(evaluations: Iterable[int]) -> dict[str, str]:
    """What to call each summary and statistic of runs with so many evaluations each; last10 by what it is a mean of."""
    return NAMES | {"last10": f"{metrics.window_name(evaluations)} return"}


def metric_labels(runs: Runs) -> dict[str, MetricLabel]:
    """How to show each metric of some runs: as their run.json says, by name of the metric."""
    names = [str(name) for name in runs.evals.columns if name not in EVAL_COLUMNS]
    found = {name: _UNLABELLED.get(name, MetricLabel(name)) for name in names}
    for name, said in runs.metrics.items():
        if name in found and said.get("label"):
            found[name] = MetricLabel(str(said["label"]), str(said.get("unit", "")), bool(said.get("complement")))
    return found


def score_table(runs: Runs, summaries: Sequence[str] = ALWAYS_SHOWN) -> pd.DataFrame:
    """A row per cell, with numbers for further use.

    Columns: environment, variant, family, steps, n (seeds that are done and have a finite score), seeds (all),
    coverage; then for each summary, for mean and iqm, the value, with `_low` and `_high` of its 95 % bootstrap
    interval; the same for `area`, the average return over training; `invalid`, the share of invalid actions in the
    window of last10, if environments record the metric `valid`.
    """
    rows = []
    valid = _last10_of_metrics(runs, [VALID]) if VALID in runs.evals.columns else None
    for (environment, variant), cell in runs.runs.groupby(["environment", "variant"], sort=True):
        scored = scored_seeds(cell)
        row: dict[str, Any] = {"environment": environment, "variant": variant, "family": _family(cell)}
        row |= {"steps": cell["steps"].max(), "n": len(scored), "seeds": len(cell), "coverage": coverage(cell)}
        for summary, (name, cut) in itertools.product(summaries, STATISTICS.items()):
            row |= _columns(f"{summary}_{name}", _with_interval(scored[summary], cut))
        row |= _columns("area", _with_interval(scored["area"], 0.0))
        if valid is not None:
            values = _of_seeds(valid, VALID, (environment, variant), scored["seed"])
            row["invalid"] = 1 - values.mean() if len(values) else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def score_text(
    scores: pd.DataFrame, invalid: str = _UNLABELLED[VALID].label, names: Mapping[str, str] = NAMES
) -> pd.DataFrame:
    """The score table as text: value [low, high], coverage, and the share of invalid actions if there is any.

    Args:
        scores: From `score_table`.
        invalid: What to call the column of invalid actions, from `metric_labels`.
        names: What to call summaries and statistics, see `Findings.headings`.
    """
    table = pd.DataFrame({"environment": scores["environment"], "variant": scores["variant"]})
    for column in scores.columns:
        summary, _, name = column.rpartition("_")
        if name in STATISTICS and summary in names:
            table[f"{names[summary]}, {names[name]}"] = interval_column(scores, column)
    if "invalid" in scores and scores["invalid"].notna().any():
        table[invalid] = ["–" if np.isnan(share) else f"{100 * share:.1f} %" for share in scores["invalid"]]
    table["seeds"] = scores["coverage"]
    return table


def interval_column(table: pd.DataFrame, column: str) -> list[str]:
    """The cells of a column as text, with the interval of its `_low` and `_high`."""
    return [interval_text(*triple) for triple in table[[column, f"{column}_low", f"{column}_high"]].to_numpy()]


def interval_text(value: float, low: float = np.nan, high: float = np.nan) -> str:
    """`639 [510, 782]`, with decimals where the numbers are small; a dash where there is no value."""
    if np.isnan(value):
        return "–"
    known = [abs(x) for x in (value, low, high) if not np.isnan(x)]
    decimals = 0 if max(known) >= 100 else 1 if max(known) >= 10 else 2
    shown = [number_text(x, decimals) for x in (value, low, high)]
    return shown[0] if np.isnan(low) else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def p_text(p: float) -> str:
    """A p value as text: .012 as 0.012, below a thousandth < .001."""
    return "–" if np.isnan(p) else f"{p:.3f}" if p >= 0.001 else "< .001"


def number_text(value: float, decimals: int) -> str:
    """A number with a true minus sign; none before zero."""
    shown = f"{value:.{decimals}f}"
    return shown.lstrip("-") if float(shown) == 0 else shown.replace("-", "−")


def coverage(cell: pd.DataFrame) -> str:
    """How complete a cell is: `10 seeds`, or `8/10 seeds, 1 failed, 1 running`; names scores that are not finite."""
    done = int((cell["state"] == "done").sum())
    parts = [f"{done}/{len(cell)} seeds" if done < len(cell) else f"{done} seed{'s' * (done != 1)}"]
    others = ("failed", "running", "interrupted", "missing", "unreadable")
    parts += [f"{count} {state}" for state in others if (count := int((cell["state"] == state).sum()))]
    if without := done - len(scored_seeds(cell)):
        parts.append(f"{without} without a finite score")
    return ", ".join(parts)


def metric_table(runs: Runs) -> pd.DataFrame:
    """What environments record beside the return, in the window of last10: a row per cell and metric.

    Columns: environment, variant, metric (its label, see `metric_labels`), n (seeds), value, low, high.
    """
    labels = metric_labels(runs)
    means = _last10_of_metrics(runs, list(labels))
    rows = []
    for (environment, variant), cell in runs.runs.groupby(["environment", "variant"], sort=True):
        scored = scored_seeds(cell)
        for name, label in labels.items():
            values = _of_seeds(means, name, (environment, variant), scored["seed"])
            values = values[np.isfinite(values)]
            if len(values):
                row = {"environment": environment, "variant": variant, "metric": label.label, "n": len(values)}
                interval = _with_interval(label.shown(values), 0.0)
                rows.append(row | dict(zip(("value", "low", "high"), interval, strict=True)))
    return pd.DataFrame(rows, columns=["environment", "variant", "metric", "n", "value", "low", "high"])


def gap_table(seeds: pd.DataFrame, by: Sequence[str], columns: Sequence[str] = gaps.COLUMNS) -> pd.DataFrame:
    """A row per group of seeds, from `gaps.of_seeds`: the columns of `by`, n, and each of `columns` with its ends.

    The ends are those of 95 % bootstrap intervals of the mean over seeds, in columns NAME_low and NAME_high.
    """
    rows = []
    for names, group in seeds.groupby(list(by), sort=True):
        row = dict(zip(by, names, strict=True)) | {"n": len(group)}
        for name in columns:
            row |= _columns(name, _with_interval(group[name].dropna(), 0.0))
        rows.append(row)
    ends = [f"{name}{end}" for name in columns for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*by, "n", *ends])


def improvement_table(runs: Runs, summary: str = "last10") -> pd.DataFrame:
    """Probability that a run of X beats one of Y on the same task, mean over the tasks on which both have scores.

    A row per ordered pair: x, y, tasks, probability, low, high (95 % bootstrap), n (fewest seeds of a cell). Needs no
    bounds, as it only compares returns on the same task.
    """
    scores = scores_of(runs, summary)
    variants = sorted({variant for cells in scores.values() for variant in cells})
    rows = []
    for x, y in itertools.permutations(variants, 2):
        both = [cells for cells in scores.values() if x in cells and y in cells]
        if both:
            a, b = [cells[x] for cells in both], [cells[y] for cells in both]
            value = metrics.probability_of_improvement(a, b)
            low, high = metrics.bootstrap_improvement(a, b, np.random.default_rng(_RNG))
            row = {"x": x, "y": y, "tasks": len(both), "probability": value, "low": low, "high": high}
            rows.append(row | {"n": min(map(len, (*a, *b)))})
    return pd.DataFrame(rows, columns=["x", "y", "tasks", "probability", "low", "high", "n"])


@dataclass(frozen=True)
class ScoreMatrix:
    """Normalised scores of variants that all have scores on the same tasks, so that their aggregates compare.

    Attributes:
        variants: Its rows.
        environments: Its columns, all with known bounds.
        bounds: Of each environment.
        scores: For each variant, an array of its seeds' normalised scores per environment.
        left_out: What has scores and is not in the matrix, in words.
    """

    variants: list[str]
    environments: list[str]
    bounds: Mapping[str, Bounds]
    scores: Mapping[str, Sequence[np.ndarray]]
    left_out: list[str]


def known_bounds(runs: Runs) -> dict[str, Bounds]:
    """The bounds of the environments that have any."""
    specs = runs.runs[runs.runs["spec"].notna()].drop_duplicates("environment")
    found = {row["environment"]: reference.bounds(row["spec"]["environment"]) for row in specs.to_dict("records")}
    return {environment: bounds for environment, bounds in found.items() if bounds is not None}


def score_matrix(runs: Runs, bounds: Mapping[str, Bounds], summary: str = "last10") -> ScoreMatrix | None:
    """The largest matrix of variants × environments without a gap; None if no environment has scores and bounds.

    An algorithm that lacks a task is not compared by aggregates with one that has it. Of the possible matrices the one
    with most cells is taken; of equally large ones, the one with more variants. What is left out is named.
    """
    scores = scores_of(runs, summary)
    variants = sorted({variant for cells in scores.values() for variant in cells})
    bounded = [environment for environment in scores if environment in bounds]
    has = {variant: frozenset(e for e in bounded if variant in scores[e]) for variant in variants}
    candidates = _intersections(has.values()) | {frozenset(bounded).intersection(*has.values())}
    sizes = {tasks: sum(tasks <= other for other in has.values()) for tasks in candidates if tasks}
    if not sizes:
        return None
    chosen = max(sorted(sizes, key=sorted), key=lambda tasks: (len(tasks) * sizes[tasks], sizes[tasks]))
    members = [variant for variant in variants if chosen <= has[variant]]
    environments = [environment for environment in bounded if environment in chosen]
    normalised = {
        v: [metrics.normalised(scores[e][v], bounds[e].low, bounds[e].high) for e in environments] for v in members
    }
    left_out = [f"`{v}`, which lacks scores on some of these tasks" for v in variants if v not in members]
    left_out += [
        f"`{e}`, {'where a variant lacks scores' if e in bounds else 'which has no committed bounds'}"
        for e in scores
        if e not in environments
    ]
    return ScoreMatrix(members, environments, {e: bounds[e] for e in environments}, normalised, left_out)


def _intersections(sets: Iterable[frozenset[str]]) -> set[frozenset[str]]:
    """The sets and all intersections of two, of three and so on, until there are no new ones, or MOST_MATRICES."""
    sets = set(sets)
    found, newest = set(sets), set(sets)
    while newest and len(found) < MOST_MATRICES:
        newest = {a & b for a in newest for b in sets} - found
        found |= newest
    return found


def aggregate_table(matrix: ScoreMatrix) -> pd.DataFrame:
    """IQM, median, mean and optimality gap of the normalised scores, each with its 95 % bootstrap interval.

    A row per variant; columns variant, tasks, n (runs), then the four with `_low` and `_high`.
    """
    statistics = {"iqm": metrics.iqm, "median": metrics.median, "mean": metrics.mean, "gap": metrics.optimality_gap}
    rows = []
    for variant in matrix.variants:
        tasks = matrix.scores[variant]
        row: dict[str, Any] = {"variant": variant, "tasks": len(tasks), "n": sum(map(len, tasks))}
        for name, statistic in statistics.items():
            interval = metrics.bootstrap(tasks, statistic, np.random.default_rng(_RNG))
            row |= _columns(name, (float(statistic(tasks)), *interval))
        rows.append(row)
    return pd.DataFrame(rows)


def profile_table(matrix: ScoreMatrix) -> pd.DataFrame:
    """Performance profiles, a row per variant and threshold.

    Columns: variant, height (the threshold, a normalised score), share (of runs above it), low, high (pointwise 95 %).
    """
    parts = []
    for variant in matrix.variants:
        tasks = matrix.scores[variant]
        low, high = metrics.bootstrap_profile(tasks, THRESHOLDS, np.random.default_rng(_RNG))
        columns = {"variant": variant, "height": THRESHOLDS, "share": metrics.profile(tasks, THRESHOLDS)}
        parts.append(pd.DataFrame(columns | {"low": low, "high": high}))
    return pd.concat(parts, ignore_index=True)


def aggregate_curve_table(runs: Runs, matrix: ScoreMatrix) -> pd.DataFrame:
    """IQM of the normalised returns by step: variant, step, n (runs), iqm, low, high.

    It has only steps at which every task of the matrix was evaluated, so a curve ends with the first task that ends.
    """
    columns = ["variant", "step", "n", "iqm", "low", "high"]
    rows = []
    evals = runs.evals[runs.evals["environment"].isin(matrix.environments) & np.isfinite(runs.evals["return"])]
    for variant in matrix.variants:
        own = evals[evals["variant"] == variant]
        tasks = [
            _returns_by_step(own[own["environment"] == e], matrix.bounds[e].low, matrix.bounds[e].high)
            for e in matrix.environments
        ]
        for step in sorted(set.intersection(*(set(task) for task in tasks))):
            scores = [task[step] for task in tasks]
            interval = metrics.bootstrap(
                scores, metrics.iqm, np.random.default_rng(_RNG), resamples=metrics.PAIR_RESAMPLES
            )
            rows.append((variant, step, sum(map(len, scores)), float(metrics.iqm(scores)), *interval))
    return pd.DataFrame(rows, columns=columns)


def _returns_by_step(evals: pd.DataFrame, low: float, high: float) -> dict[int, np.ndarray]:
    """The normalised returns of one cell's seeds at each step."""
    ordered = evals.sort_values(["step", "seed"], kind="stable")
    values = metrics.normalised(ordered["return"], low, high)
    steps, starts = np.unique(ordered["step"].to_numpy(), return_index=True)
    return dict(zip(steps.tolist(), np.split(values, starts[1:]), strict=True))


def curve_table(runs: Runs) -> pd.DataFrame:
    """A row per environment, variant and step: n seeds that were evaluated there, mean and IQM of the return.

    `low` and `high` are the mean's 95 % interval, `iqm_low` and `iqm_high` that of the IQM: percentile bootstraps of
    whole runs, pointwise. A return that is not finite does not count.
    """
    parts = []
    for (environment, variant), evals in runs.evals.groupby(["environment", "variant"], sort=True):
        finite = evals[np.isfinite(evals["return"])]
        returns = finite.pivot(index="seed", columns="step", values="return")
        present = returns.notna()
        table = pd.DataFrame({"n": present.sum(), "mean": returns.mean(), "low": np.nan, "high": np.nan})
        table = table.assign(iqm=np.nan, iqm_low=np.nan, iqm_high=np.nan)
        # steps that the same seeds reached share one set of resamples
        for seeds, steps in _columns_by_pattern(present):
            here = returns.loc[list(seeds), steps].to_numpy(dtype=float)
            table.loc[steps, "low"], table.loc[steps, "high"] = _CURVE_RESAMPLES.interval(here)
            table.loc[steps, "iqm"] = metrics.iqm([here.T])
            table.loc[steps, "iqm_low"], table.loc[steps, "iqm_high"] = _CURVE_RESAMPLES.interval(here, cut=metrics.CUT)
        parts.append(table.reset_index(names="step").assign(environment=str(environment), variant=str(variant)))
    columns = ["environment", "variant", "step", "n", "mean", "low", "high", "iqm", "iqm_low", "iqm_high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def efficiency_table(runs: Runs, scores: pd.DataFrame, bounds: Mapping[str, Bounds]) -> pd.DataFrame:
    """How fast variants learn: a row per cell, the average return over training and the steps to reach a return.

    Columns: environment, variant, n, area with `_low` and `_high`; for each of GOALS `to_0.5`, the median over seeds of
    the step of the first evaluation with this normalised return (infinite if half the seeds never reach it, NaN without
    bounds), and `reached_0.5`, how many seeds reach it.
    """
    curves = {key: dict(list(cell.groupby("seed"))) for key, cell in runs.evals.groupby(["environment", "variant"])}
    table = scores[["environment", "variant", "n", "area", "area_low", "area_high"]].copy()
    for goal in GOALS:
        medians, reached = [], []
        for (environment, variant), cell in runs.runs.groupby(["environment", "variant"], sort=True):
            seeds = scored_seeds(cell)["seed"]
            if environment not in bounds or len(seeds) == 0:
                medians.append(np.nan)
                reached.append(0)
                continue
            low, high = bounds[str(environment)][:2]
            own = [curves[environment, variant][seed] for seed in seeds]
            steps = [metrics.steps_to(one["step"], one["return"], low + goal * (high - low)) for one in own]
            medians.append(float(np.quantile(steps, 0.5, method="higher")))
            reached.append(int(np.isfinite(steps).sum()))
        table[f"to_{goal}"], table[f"reached_{goal}"] = medians, reached
    return table


def cost_table(runs: Runs) -> pd.DataFrame:
    """What a seed costs, over the seeds that are done and recorded their time: a row per cell and device.

    Columns: environment, variant, device, n; hours (of the device, per seed: the time of a pack, shared evenly among
    its seeds), cpu_seconds and gpu_seconds (per seed, see `spent`), pack (how many seeds trained together, the median),
    steps_per_s (steps of a seed per second of the device), and medians of COSTS, NaN if not recorded.
    """
    done = runs.runs[(runs.runs["state"] == "done") & runs.runs["seconds"].notna()]
    rows = []
    for (environment, variant, device), cell in done.groupby(["environment", "variant", "device"], dropna=False):
        seconds = cell["seconds"] / cell["pack"]
        row = {"environment": environment, "variant": variant, "device": text(device), "n": len(cell)}
        each = zip(cell["seconds"], cell["cpu_seconds"], cell["pack"], strict=True)
        took = spent.mean(spent.of_seed(*seed, text(device)) for seed in each)
        row |= {"hours": took.wall / 3600, "cpu_seconds": took.cpu, "gpu_seconds": took.gpu}
        row |= {"pack": cell["pack"].median()}
        row |= {"steps_per_s": (cell["steps"] / seconds.where(seconds > 0)).mean()}
        rows.append(row | {name: cell[name].astype(float).median() for name in COSTS})
    columns = ["environment", "variant", "device", "n", "hours", "cpu_seconds", "gpu_seconds"]
    columns += ["pack", "steps_per_s", *COSTS]
    return pd.DataFrame(rows, columns=columns)


def published_table(runs: Runs) -> pd.DataFrame:
    """Published scores of the same task, algorithm and steps beside ours, without a verdict.

    Columns: environment, variant, summary, ours, std, n, published, published_std, seeds, differs (in words, empty if
    no difference is known), source. A published statistic that we do not have stands beside last10.
    """
    published = reference.published()
    rows = []
    for (environment, variant), cell in runs.runs[runs.runs["spec"].notna()].groupby(["environment", "variant"]):
        scored, spec = scored_seeds(cell), cell["spec"].iloc[0]
        same = (published["env"] == reference.task(spec["environment"])) & (
            published["algo"] == spec["algorithm"]["name"]
        )
        same &= published["steps"] == spec["budget"]["steps"]
        for other in published[same].to_dict("records") if len(scored) else ():
            summary = {"final": "final", "last-10": "last10", "best": "best"}.get(other["statistic"])
            ours, window = scored[summary or "last10"], metrics.window_name(scored["evaluations"])
            differs = [] if other["env_version"] == (own := reference.version(spec["environment"])) else [
                f"version ({other['env_version']}, ours {own})"
            ]  # fmt: skip
            if summary is None or (summary == "last10" and window != "last-10"):
                differs.append(f"statistic ({other['statistic']}, ours {window})")
            keywords = {key: value for key, value in spec["environment"]["keywords"].items() if key != "version"}
            if other["condition"] or keywords:
                here = ", ".join(f"{key} {text(value)}" for key, value in keywords.items())
                differs.append(f"task ({other['condition'] or 'default'}, ours {here or 'default'})")
            differs += _unlike_published(spec)
            rows.append({
                "environment": environment, "variant": variant, "summary": summary or "last10",
                "ours": ours.mean(), "std": ours.std(ddof=1), "n": len(ours),
                "published": other["mean"], "published_std": other["std"], "seeds": other["seeds"],
                "differs": "; ".join(differs), "source": other["source"],
            })  # fmt: skip
    columns = ["environment", "variant", "summary", "ours", "std", "n", "published", "published_std", "seeds"]
    return pd.DataFrame(rows, columns=[*columns, "differs", "source"])


def _unlike_published(spec: dict[str, Any]) -> list[str]:
    """In what a run's profile and algorithm differ from those that stand for published ones here, in words."""
    algorithm, profile = spec["algorithm"], spec["budget"]["profile"]
    preset = algorithm["config"].get("preset")  # a plug-in's algorithm need not have any
    found = [] if profile == "paper" else [f"profile (ours {profile})"]
    if preset not in (None, "published"):
        found.append(f"preset (ours {preset})")
    fields = [field for field in algorithm["variant"].partition(":")[2].split(",") if not field.startswith("preset=")]
    return found + ([f"fields (ours {', '.join(fields)})"] if any(fields) else [])


def field_table(runs: Runs) -> tuple[pd.DataFrame, int]:
    """The fields in which variants differ, a column per variant; and the number of fields that are equal in all.

    Variants are compared on each environment separately. A dash stands for a field that an algorithm does not have.
    Where a variant's value depends on the environment, the cell lists all its values.
    """
    every = hyperparameter_table(runs)
    differing = every[~every["shared"].astype(bool)].drop(columns="shared").reset_index(drop=True)
    return differing, len(every) - len(differing)


def hyperparameter_table(runs: Runs) -> pd.DataFrame:
    """Every field of algorithm and budget, a column per variant; `shared` says whether no two variants differ in it.

    Cells as in `field_table`.
    """
    specs = runs.runs[runs.runs["spec"].notna()].drop_duplicates(["environment", "variant"])
    flat = {
        (row["environment"], row["variant"]): fields_of(row["spec"])
        for row in specs[["environment", "variant", "spec"]].to_dict("records")
    }
    variants = sorted({variant for _, variant in flat})
    environments = sorted({environment for environment, _ in flat})
    rows = []
    for field in dict.fromkeys(field for values in flat.values() for field in values):
        values = {key: own.get(field, "–") for key, own in flat.items()}
        on_each = [{values[key] for key in flat if key[0] == environment} for environment in environments]
        row: dict[str, Any] = {"field": field, "shared": all(len(distinct) == 1 for distinct in on_each)}
        of_each = {variant: {e: values[e, v] for e, v in flat if v == variant} for variant in variants}
        rows.append(row | {variant: values_text(own) for variant, own in of_each.items()})
    return pd.DataFrame(rows, columns=["field", "shared", *variants])


def values_text(values: Mapping[str, str]) -> str:
    """A variant's values of a field by environment: one where all are the same, else each with its environment."""
    distinct = dict.fromkeys(values.values())
    return next(iter(distinct)) if len(distinct) == 1 else "; ".join(f"{v} ({e})" for e, v in values.items())


def seed_table(runs: Runs) -> pd.DataFrame:
    """A row per seed, without columns that depend on time or machine."""
    columns = [
        "environment",
        "variant",
        "seed",
        "state",
        "reason",
        "step",
        "steps",
        "evaluations",
        "last10",
        "final",
        "best",
        "area",
        "hash",
    ]
    return runs.runs[columns]


def scored_seeds(cell: pd.DataFrame) -> pd.DataFrame:
    """The rows of a cell that count for its score: seeds that are done and have finite scores."""
    finite = np.isfinite(cell[list(ALWAYS_SHOWN)].to_numpy(dtype=float)).all(axis=1)
    return cell[(cell["state"] == "done").to_numpy() & finite]


def scores_of(runs: Runs, summary: str) -> dict[str, dict[str, np.ndarray]]:
    """Scores of the seeds that count, per environment and variant; cells without such seeds are left out."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for (environment, variant), cell in runs.runs.groupby(["environment", "variant"], sort=True):
        scored = scored_seeds(cell)
        if len(scored):
            found.setdefault(str(environment), {})[str(variant)] = scored[summary].to_numpy(dtype=float)
    return found


def _family(cell: pd.DataFrame) -> str:
    specs = cell["spec"].dropna()
    return reference.family(specs.iloc[0]["environment"]) if len(specs) else "unknown"


def _with_interval(scores: pd.Series, cut: float) -> tuple[float, float, float]:
    if len(scores) == 0:
        return np.nan, np.nan, np.nan
    values = scores.to_numpy(dtype=float)[:, None]
    low, high = _RESAMPLES.interval(values, cut=cut)
    return float(metrics.iqm([values[:, 0]]) if cut else values.mean()), float(low[0]), float(high[0])


def _columns(name: str, triple: tuple[float, float, float]) -> dict[str, float]:
    """A value and its interval as columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), triple, strict=True))


def _last10_of_metrics(runs: Runs, names: Sequence[str]) -> pd.DataFrame:
    """Means of metrics in each seed's window of last10, indexed by environment, variant and seed."""
    keys = ["environment", "variant", "seed"]
    evals = runs.evals
    of_seed = evals.groupby(keys)["step"]
    left = of_seed.transform("size") - of_seed.cumcount()  # evaluations from here to the seed's end
    window = of_seed.transform("size").map(metrics.last10_length)
    return evals.loc[left <= window, [*keys, *names]].groupby(keys)[list(names)].mean()


def _of_seeds(means: pd.DataFrame, name: str, cell: tuple[Any, Any], seeds: pd.Series) -> pd.Series:
    """A metric of some seeds of a cell, from `_last10_of_metrics`."""
    return means[name].reindex([(*cell, seed) for seed in seeds])


def _columns_by_pattern(present: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    """Steps grouped by the seeds that are there: (seeds, steps), …."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for step in present.columns:
        groups.setdefault(tuple(present.index[present[step]]), []).append(step)
    yield from groups.items()


def fields_of(spec: dict[str, Any]) -> dict[str, str]:
    """The fields of a spec that a comparison is about, as text."""
    return {
        "algorithm": spec["algorithm"]["name"],
        **{field: text(value) for field, value in spec["algorithm"]["config"].items()},
        **{f"budget.{field}": text(value) for field, value in spec["budget"].items()},
    }
