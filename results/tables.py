"""Tables of what runs say: scores with intervals and coverage, learning curves, fields in which variants differ.

Every number counts seeds that reached the step it stands for: scores take the seeds that are done, a point of a curve
those that were evaluated there. Intervals are made with generators that always start alike, so a table never changes by
itself and a cell's numbers do not depend on the other cells.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from results import metrics
from results.format import text
from results.frame import Runs

FEW_SEEDS = 5  # below it intervals are too narrow: tests/test_metrics.py, coverage of the IQM interval
_RNG = 0  # any constant

SUMMARIES = ("last10", "final")
STATISTICS = {"mean": metrics.mean, "iqm": metrics.iqm}
NAMES = {"last10": "last-10 return", "final": "final return", "mean": "mean", "iqm": "IQM"}


def score_table(runs: Runs) -> pd.DataFrame:
    """A row per environment and variant, numbers for further use.

    Columns: environment, variant, steps, n (seeds that are done and whose score is finite), seeds (all), coverage; then
    for last10 and final, for mean and iqm, the value, `_low` and `_high` of its 95 % bootstrap interval; `invalid`, the
    share of invalid actions in the window of last10, where environments record `valid`.
    """
    rows = []
    for (environment, variant), cell in runs.runs.groupby(["environment", "variant"], sort=True):
        scored = _scored(cell)
        row: dict[str, Any] = {"environment": environment, "variant": variant, "steps": cell["steps"].max()}
        row |= {"n": len(scored), "seeds": len(cell), "coverage": coverage(cell)}
        for summary in SUMMARIES:
            scores = scored[summary].to_numpy(dtype=float)
            for name, statistic in STATISTICS.items():
                column = f"{summary}_{name}"
                row[column], row[f"{column}_low"], row[f"{column}_high"] = _with_interval(scores, statistic)
        if "valid" in runs.evals.columns:
            row["invalid"] = 1 - _mean_of_last10(runs.evals, environment, variant, scored["seed"], "valid")
        rows.append(row)
    return pd.DataFrame(rows)


def score_text(scores: pd.DataFrame) -> pd.DataFrame:
    """The score table as text for readers: value [low, high], coverage, and the column of invalid actions if any."""
    table = pd.DataFrame({"environment": scores["environment"], "variant": scores["variant"]})
    for summary in SUMMARIES:
        for name in STATISTICS:
            column = f"{summary}_{name}"
            triples = zip(scores[column], scores[f"{column}_low"], scores[f"{column}_high"], strict=True)
            table[f"{NAMES[summary]}, {NAMES[name]}"] = [interval_text(*triple) for triple in triples]
    if "invalid" in scores and scores["invalid"].notna().any():
        table["invalid actions"] = ["–" if np.isnan(share) else f"{100 * share:.1f} %" for share in scores["invalid"]]
    table["seeds"] = scores["coverage"]
    return table


def interval_text(value: float, low: float = np.nan, high: float = np.nan) -> str:
    """`639 [510, 782]`, with decimals where the numbers are small; a dash where there is no value."""
    if np.isnan(value):
        return "–"
    known = [abs(x) for x in (value, low, high) if not np.isnan(x)]
    decimals = 0 if max(known) >= 100 else 1 if max(known) >= 10 else 2
    shown = [f"{x:.{decimals}f}".replace("-", "−") for x in (value, low, high)]
    return shown[0] if np.isnan(low) else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def coverage(cell: pd.DataFrame) -> str:
    """How complete a cell is: `10 seeds`, or `8/10 seeds, 1 failed, 1 running`; says where a score is not finite."""
    done = int((cell["state"] == "done").sum())
    parts = [f"{done}/{len(cell)} seeds" if done < len(cell) else f"{done} seed{'s' * (done != 1)}"]
    others = ("failed", "running", "interrupted", "missing", "unreadable")
    parts += [f"{count} {state}" for state in others if (count := int((cell["state"] == state).sum()))]
    if without := done - len(_scored(cell)):
        parts.append(f"{without} without a finite score")
    return ", ".join(parts)


def curve_table(runs: Runs) -> pd.DataFrame:
    """A row per environment, variant and step: n seeds that were evaluated there, mean return, its 95 % interval.

    The interval is a percentile bootstrap of whole runs, pointwise. A return that is not finite does not count.
    """
    parts = []
    for (environment, variant), evals in runs.evals.groupby(["environment", "variant"], sort=True):
        finite = evals[np.isfinite(evals["return"])]
        returns = finite.pivot(index="seed", columns="step", values="return")
        present = returns.notna()
        table = pd.DataFrame({"n": present.sum(), "mean": returns.mean(), "low": np.nan, "high": np.nan})
        # steps that the same seeds reached share one set of resamples
        for seeds, steps in _columns_by_pattern(present):
            block = returns.loc[list(seeds), steps].to_numpy(dtype=float)
            low, high = metrics.bootstrap_mean_curve(block, np.random.default_rng(_RNG))
            table.loc[steps, "low"], table.loc[steps, "high"] = low, high
        parts.append(table.reset_index(names="step").assign(environment=str(environment), variant=str(variant)))
    columns = ["environment", "variant", "step", "n", "mean", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def field_table(runs: Runs) -> tuple[pd.DataFrame, int]:
    """The fields in which the compared variants differ, a column per variant; and how many fields are equal in all.

    Variants are compared on each environment by itself. A field that an algorithm does not have shows a dash; a value
    that depends on the environment shows all of them.
    """
    specs = runs.runs[runs.runs["spec"].notna()].drop_duplicates(["environment", "variant"])
    flat = {
        (row["environment"], row["variant"]): _fields(row["spec"])
        for row in specs[["environment", "variant", "spec"]].to_dict("records")
    }
    variants = sorted({variant for _, variant in flat})
    groups: list[Sequence[tuple[str, str]]] = [
        [key for key in flat if key[0] == environment]
        for environment in sorted({environment for environment, _ in flat})
    ]
    fields = list(dict.fromkeys(field for values in flat.values() for field in values))
    differing = [
        field for field in fields if any(len({flat[key].get(field, "–") for key in group}) > 1 for group in groups)
    ]
    rows = []
    for field in differing:
        row = {"field": field}
        for variant in variants:
            values = {
                environment: flat[environment, variant].get(field, "–") for environment, v in flat if v == variant
            }
            distinct = dict.fromkeys(values.values())
            row[variant] = (
                next(iter(distinct)) if len(distinct) == 1 else "; ".join(f"{v} ({e})" for e, v in values.items())
            )
        rows.append(row)
    return pd.DataFrame(rows, columns=["field", *variants]), len(fields) - len(differing)


def seed_table(runs: Runs) -> pd.DataFrame:
    """A row per seed, without what depends on time or machine."""
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
        "hash",
    ]
    return runs.runs[columns]


# ---- helpers


def _scored(cell: pd.DataFrame) -> pd.DataFrame:
    """The rows of a cell that count for its score."""
    finite = np.isfinite(cell[list(SUMMARIES)].to_numpy(dtype=float)).all(axis=1)
    return cell[(cell["state"] == "done").to_numpy() & finite]


def _with_interval(scores: np.ndarray, statistic: metrics.Statistic) -> tuple[float, float, float]:
    if len(scores) == 0:
        return np.nan, np.nan, np.nan
    return float(statistic([scores])), *metrics.bootstrap([scores], statistic, np.random.default_rng(_RNG))


def _mean_of_last10(
    evals: pd.DataFrame, environment: Hashable, variant: Hashable, seeds: pd.Series, column: str
) -> float:
    """Mean over seeds of a metric in the window of last10, NaN where it was not recorded."""
    chosen = evals[(evals["environment"] == environment) & (evals["variant"] == variant) & evals["seed"].isin(seeds)]
    values = [metrics.last10(group[column]) for _, group in chosen.groupby("seed")]
    return float(np.mean(values)) if values else np.nan


def _columns_by_pattern(present: pd.DataFrame) -> list[tuple[tuple[Any, ...], list[Any]]]:
    """Steps grouped by the seeds that are there: [(seeds, steps), …]."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for step in present.columns:
        groups.setdefault(tuple(present.index[present[step]]), []).append(step)
    return list(groups.items())


def _fields(spec: dict[str, Any]) -> dict[str, str]:
    """The fields of a spec that a comparison is about, as text."""
    return {
        "algorithm": spec["algorithm"]["name"],
        **{field: text(value) for field, value in spec["algorithm"]["config"].items()},
        **{f"budget.{field}": text(value) for field, value in spec["budget"].items()},
    }
