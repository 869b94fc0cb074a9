"""What a further agent would score: tolerance bounds, from the order of the scores alone."""

import numpy as np
import pandas as pd
from scipy.stats import binom

from savo_bench.results import tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table, Text

SHARE = 0.9  # of agents
CONFIDENCE = 0.95
NEEDED = int(np.ceil(np.log(1 - CONFIDENCE) / np.log(SHARE)))  # seeds, for a bound of SHARE of the agents

_HOW_TO_READ = f"""\
A mean says nothing of a single agent. These bounds do, whatever the distribution of scores is (Wilks 1941): with \
{100 * CONFIDENCE:g} % confidence, at least the share {1 - CONFIDENCE:.2g}^(1/n) of all agents that could be trained \
scores above the lowest of n seeds. From {NEEDED} seeds on that is 9 of 10, and with more the bound moves up to the \
second lowest, and so on. Only seeds that are done count."""


def section(found: Findings) -> Section | None:
    """A row per cell; None where no seed has a score."""
    table = tolerance_table(tables.scores_of(found.runs, found.options.summary))
    if len(table) == 0:
        return None
    table = found.in_order(table)
    frame = table[["environment", "variant"]].copy()
    frame["at least"] = [_share(share) for share in table["share"]]
    frame["of agents score above"] = [tables.interval_text(value) for value in table["above"]]
    frame["seeds"] = table["n"].astype(str)
    caption = (
        f"Tolerance bounds: with {100 * CONFIDENCE:g} % confidence at least so many agents have a "
        f"{found.headings[found.options.summary]} above this."
    )
    columns = tuple(frame.columns)
    shown = Table("tolerance", caption, frame, columns[2:], latex=columns, group="environment")
    return Section("What a single agent scores", [shown, Text(_HOW_TO_READ)], {"tolerance": table})


def tolerance_table(scores: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """A row per cell: environment, variant, n, share (of agents), above (the score); see `bound`."""
    rows = [
        (environment, variant, len(values), *bound(values))
        for environment, cells in scores.items()
        for variant, values in cells.items()
    ]
    return pd.DataFrame(rows, columns=["environment", "variant", "n", "share", "above"])


def bound(values: np.ndarray, share: float = SHARE, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """A share of agents and a score that at least so many exceed, with a confidence and for any distribution.

    The share is `share` where n values are enough for it, and the score then the highest order statistic that bounds
    so many; else the score is the lowest value, and the share what that bounds: (1 − confidence)^(1/n).

    Args:
        values: Scores, (n,).
        share: Of agents.
        confidence: That the statement is true.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    # the r-th lowest value lies below the (1 − share) quantile if at least r of n values do
    fit = [r for r in range(1, len(ordered) + 1) if binom.sf(r - 1, len(ordered), 1 - share) >= confidence]
    if fit:
        return share, float(ordered[max(fit) - 1])
    return float((1 - confidence) ** (1 / len(ordered))), float(ordered[0])


def _share(share: float) -> str:
    return "9 of 10" if share == SHARE else f"{100 * np.floor(100 * share) / 100:.0f} %"
