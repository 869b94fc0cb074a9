"""Which variants are compared, and what each comparison says: better, worse, equivalent, or that nobody can tell.

Where nothing is declared (declared.py) every variant is compared with the control that differs least from it. All
comparisons of a report, over all environments, are one family: their intervals hold together with 95 % (Bonferroni),
and each verdict is read off its interval. So an interval never contradicts a verdict, and a variant that is in no
comparison changes none.

    better, worse      the interval leaves out 0
    equivalent         it lies within ± the margin δ, a share of the range between the task's bounds
    cannot tell        neither

Bonferroni's correction and not Holm's, which is a little stronger: no intervals are known that are as short as these
and always agree with Holm's verdicts.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from savo_bench.results import inference
from savo_bench.results.declared import Declaration, Pair
from savo_bench.results.reference import Bounds
from savo_bench.results.tables import FEW_SEEDS, fields_of

LEVEL = 0.95  # of all intervals of a report together
POWER = 0.8  # ours, and the usual one: with so many seeds as are named, four of five experiments would show it
MOST_SEEDS = 1_000  # ours: more are not named, as nobody trains them

BETTER, WORSE, EQUIVALENT, UNCLEAR, NO_SCORES = "better", "worse", "equivalent", "cannot tell", "no scores"
JUDGED = ("difference", "low", "high", "p", "p_adjusted", "verdict", "seeds_needed")
COLUMNS = [
    "environment", "variant", "against", "n_variant", "n_against", "difference", "low", "high", "p", "p_adjusted",
    "margin", "verdict", "seeds_needed",
]  # fmt: skip


def nearest(fields: Mapping[str, Mapping[str, str]], controls: Mapping[str, Sequence[str]]) -> tuple[Pair, ...]:
    """Each variant and the control that differs least from it, no pair twice: what is compared if nothing is declared.

    Args:
        fields: The fields of each variant on an environment.
        controls: The controls of each; where none of them is there, all other variants are taken for controls.
    """
    pairs: dict[frozenset[str], Pair] = {}
    for variant in sorted(fields):
        others = [name for name in controls.get(variant, ()) if name in fields and name != variant]
        others = others or [name for name in sorted(fields) if name != variant]
        if others:
            control = min(others, key=lambda other: _distance(fields[variant], fields[other]))
            pairs.setdefault(frozenset((variant, control)), (variant, control))
    return tuple(pairs.values())


def _distance(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    """In how many fields two variants differ."""
    return sum(one.get(field) != other.get(field) for field in {*one, *other})


def table(
    pairs: Iterable[tuple[str, Pair]],
    scores: Mapping[str, Mapping[str, np.ndarray]],
    bounds: Mapping[str, Bounds],
    margin: float | None = None,
    others: int = 0,
) -> pd.DataFrame:
    """A row per comparison, with the columns of COLUMNS: the family of a report.

    Args:
        pairs: Environments, and what is compared on each.
        scores: Of the seeds that are done, (n,), by environment and variant.
        bounds: Of the environments that have any.
        margin: See `Declaration`.
        others: How many comparisons of the family have no row here.

    `p` is of Welch's two-sided test, `p_adjusted` times the number of comparisons, those without scores included;
    `seeds_needed` of each variant would give a verdict with a power of POWER if the difference is the one that is seen.
    """
    family = list(dict.fromkeys(pairs))
    rows = []
    for environment, (variant, against) in family:
        groups = [scores.get(environment, {}).get(name, np.empty(0)) for name in (variant, against)]
        sizes = [len(group) for group in groups]
        own = bounds.get(environment)
        delta = margin * (own.high - own.low) if margin is not None and own is not None else np.nan
        row = dict.fromkeys(COLUMNS, np.nan) | {
            "environment": environment, "variant": variant, "against": against, "margin": delta,
            "n_variant": sizes[0], "n_against": sizes[1], "verdict": NO_SCORES if min(sizes) == 0 else UNCLEAR,
        }  # fmt: skip
        if min(sizes) > 1:
            variance = sum(float(group.var(ddof=1)) for group in groups)
            row |= judged(inference.welch(*groups), min(sizes), variance, delta, len(family) + others)
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def judged(found: inference.Difference, seeds: int, variance: float, margin: float, family: int) -> dict[str, Any]:
    """The columns of COLUMNS that follow from a difference and its error.

    Args:
        found: The difference.
        seeds: Of the variant that has fewer of them.
        variance: The square of the error that the difference would have with one seed of each.
        margin: δ in the units of the difference; NaN for none.
        family: How many comparisons are made together.
    """
    level = 1 - (1 - LEVEL) / family
    low, high = found.interval(level)
    p = found.p_two_sided()
    said = verdict(low, high, margin) if seeds >= FEW_SEEDS else UNCLEAR
    needed = _seeds_needed(found.value, variance, margin, level) if said == UNCLEAR else np.nan
    values = (found.value, low, high, p, min(1.0, p * family), said, needed)
    return dict(zip(JUDGED, values, strict=True))


def verdict(low: float, high: float, margin: float = np.nan) -> str:
    """What an interval says; the direction of a difference within the margin does not matter any more."""
    if -margin < low and high < margin:
        return EQUIVALENT
    return BETTER if low > 0 else WORSE if high < 0 else UNCLEAR


def _seeds_needed(difference: float, variance: float, margin: float, level: float) -> float:
    """Seeds of each variant that would show such a difference, or that it lies within the margin; NaN if too many.

    By normal scores of the spread that is seen, for an interval of this level and a power of POWER.
    """
    sizes = (norm.ppf((1 + level) / 2) + norm.ppf(POWER)) ** 2 * variance
    distances = [abs(difference), margin - abs(difference)]
    needed = [sizes / distance**2 for distance in distances if distance > 0]
    found = max(FEW_SEEDS, int(np.ceil(min(needed)))) if needed else np.inf
    return float(found) if found <= MOST_SEEDS else np.nan


def of_runs(
    runs: pd.DataFrame, declared: Declaration | None, controls: Mapping[Pair, Sequence[str]]
) -> list[tuple[str, Pair]]:
    """Environments and what is compared on each, of the cells that were asked for.

    Args:
        runs: A row per seed, see `frame.Runs`.
        declared: What was declared; None for the nearest controls.
        controls: The controls of each cell, by environment and variant.
    """
    found: list[tuple[str, Pair]] = []
    for environment, cells in runs.groupby("environment", sort=True):
        there = set(cells["variant"])
        if declared is not None:
            pairs = [pair for pair in declared.pairs if there & set(pair)]
        else:
            known = cells[cells["spec"].notna()].groupby("variant")["spec"].first()
            fields = {str(variant): fields_of(spec) for variant, spec in known.items()}
            own = {variant: controls.get((str(environment), variant), ()) for variant in fields}
            pairs = list(nearest(fields, own))
        found += zip(itertools.repeat(str(environment)), pairs)
    return found
