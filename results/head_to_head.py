"""Two variants side by side, for `bench compare`: on each task, and over tasks.

On a task the difference is that of the mean scores, with Welch's interval. Over tasks it is the mean over tasks of the
normalised differences; its error follows from theirs, with the degrees of freedom of Welch and Satterthwaite. All
intervals, the one over tasks included, are one family and hold together with 95 % (comparisons.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from savo_bench.results import comparisons, inference, metrics
from savo_bench.results.frame import Runs
from savo_bench.results.reference import Bounds
from savo_bench.results.tables import scored_seeds

OVER_TASKS = "over tasks"  # in place of an environment
_RNG = 0  # ours: the seed of the resamples
NORMALISED = ("normalised", "normalised_low", "normalised_high", "equivalent_from")
IMPROVEMENT = ("improvement", "improvement_low", "improvement_high")
COLUMNS = [*comparisons.COLUMNS, "mean_variant", "mean_against", *NORMALISED, *IMPROVEMENT]

# of `bench compare`; 3 and 4 mean what they do for `bench check`
EXIT_CODES = {
    comparisons.BETTER: 0,
    comparisons.WORSE: 1,
    comparisons.UNCLEAR: 3,
    comparisons.NO_SCORES: 4,
    comparisons.EQUIVALENT: 5,
}

Scores = dict[str, dict[str, dict[int, float]]]  # of each seed, by environment and variant


class SameSeed(ValueError):
    """A seed of a cell is in two sets of runs, with different scores."""


def scores_of(sets: Mapping[str, Runs], names: Sequence[str], measure: str) -> Scores:
    """The scores of the seeds that count.

    Args:
        sets: Runs, by the name that they have.
        names: The variants.
        measure: What a seed's score is, one of `declared.MEASURES`.

    Raises:
        SameSeed: two sets do not agree on a seed.
    """
    found: Scores = {}
    origin: dict[tuple[str, str, int], str] = {}
    for own, runs in sets.items():
        there = runs.runs[runs.runs["variant"].isin(list(names))]
        for (environment, variant), cell in there.groupby(["environment", "variant"], sort=True):
            scored = scored_seeds(cell)
            seeds = found.setdefault(str(environment), {}).setdefault(str(variant), {})
            for seed, score in zip(map(int, scored["seed"]), map(float, scored[measure]), strict=True):
                first = origin.setdefault((str(environment), str(variant), seed), own)
                if seeds.setdefault(seed, score) != score:
                    raise SameSeed(
                        f"{variant} on {environment}: seed {seed} is in {first} and in {own}, with scores "
                        f"{seeds[seed]:g} and {score:g}; name only one of them"
                    )
    return found


def table(
    scores: Scores,
    variant: str,
    against: str,
    bounds: Mapping[str, Bounds],
    margin: float | None = None,
    others: int = 0,
) -> pd.DataFrame:
    """A row per task, with the columns of COLUMNS, and one over tasks where several have bounds.

    Args:
        scores: See `scores_of`.
        variant: The variant whose differences are given,
        against: from this one.
        bounds: Of the environments that have any.
        margin: δ, a share of the range between a task's bounds.
        others: How many more comparisons of each task count in the family.

    `normalised` and its interval are shares of the range between a task's bounds, as is `equivalent_from`: from this
    margin on the verdict would be equivalent. `improvement` is the probability that a run of the variant beats one of
    the other, with its 95 % bootstrap interval.
    """
    arrays = {
        environment: {name: np.array([own[seed] for seed in sorted(own)]) for name, own in cells.items()}
        for environment, cells in scores.items()
    }
    both = [name for name in arrays if min(len(arrays[name].get(one, ())) for one in (variant, against)) > 1]
    shared = [environment for environment in both if environment in bounds]
    together = len(shared) > 1
    pairs = [(environment, (variant, against)) for environment in sorted(arrays)]
    beside = others * len(pairs) + int(together)
    rows = comparisons.table(pairs, arrays, bounds, margin, beside).to_dict("records")
    found: list[dict[Any, Any]] = [row | _beside(row, arrays, bounds) for row in rows]
    if together:
        in_both = {name: arrays[name] for name in shared}
        found.append(_over_tasks(in_both, variant, against, bounds, margin, len(pairs) + beside))
    return pd.DataFrame(found, columns=COLUMNS)


def _beside(
    row: Mapping[Any, Any], scores: Mapping[str, Mapping[str, np.ndarray]], bounds: Mapping[str, Bounds]
) -> dict[str, Any]:
    """What a task's row has beside a comparison."""
    environment = row["environment"]
    groups = [scores[environment].get(row[name], np.empty(0)) for name in ("variant", "against")]
    said: dict[str, Any] = {
        f"mean_{name}": float(group.mean()) if len(group) else np.nan
        for name, group in zip(("variant", "against"), groups, strict=True)
    }
    if environment in bounds:
        spread = bounds[environment].high - bounds[environment].low
        said |= _normalised(*(row[name] / spread for name in ("difference", "low", "high")))
    return said | _improvement([groups[0]], [groups[1]])


def _over_tasks(
    scores: Mapping[str, Mapping[str, np.ndarray]],
    variant: str,
    against: str,
    bounds: Mapping[str, Bounds],
    margin: float | None,
    family: int,
) -> dict[str, Any]:
    """The row over tasks, one of so many comparisons."""
    groups: list[list[np.ndarray]] = [
        [
            metrics.normalised(cells[name], bounds[environment].low, bounds[environment].high)
            for name in (variant, against)
        ]
        for environment, cells in scores.items()
    ]
    found = inference.mean_of([inference.welch(*pair) for pair in groups])
    variance = sum(float(group.var(ddof=1)) for pair in groups for group in pair) / len(groups) ** 2
    sizes = [min(len(pair[at]) for pair in groups) for at in (0, 1)]
    delta = np.nan if margin is None else margin
    judged = comparisons.judged(found, min(sizes), variance, delta, family)
    return {
        "environment": OVER_TASKS, "variant": variant, "against": against, "margin": delta,
        "n_variant": sizes[0], "n_against": sizes[1],
        "mean_variant": metrics.mean([pair[0] for pair in groups]),
        "mean_against": metrics.mean([pair[1] for pair in groups]),
        **judged,
        **_normalised(*(judged[name] for name in ("difference", "low", "high"))),
        **_improvement([pair[0] for pair in groups], [pair[1] for pair in groups]),
    }  # fmt: skip


def _normalised(difference: float, low: float, high: float) -> dict[str, float]:
    return dict(zip(NORMALISED, (difference, low, high, max(abs(low), abs(high))), strict=True))


def _improvement(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> dict[str, float]:
    """The probability of improvement with its interval; nothing where a cell has no scores."""
    if any(len(group) == 0 for group in (*x, *y)):
        return {}
    interval = metrics.bootstrap_improvement(x, y, np.random.default_rng(_RNG))
    return dict(zip(IMPROVEMENT, (metrics.probability_of_improvement(x, y), *interval), strict=True))


def answer(found: pd.DataFrame) -> str:
    """The verdict of a table: that over tasks, else that of its only task, else the one that all tasks share."""
    verdicts = found["verdict"].tolist()
    if found["environment"].iloc[-1] == OVER_TASKS or len(set(verdicts)) == 1:
        return str(verdicts[-1])
    ran = {verdict for verdict in verdicts if verdict != comparisons.NO_SCORES}
    return str(ran.pop()) if len(ran) == 1 else comparisons.UNCLEAR
