"""How rugged Q is, and what a better search for its maxima could win."""

import pandas as pd

from savo_bench.results import gaps, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table, Text

_HOW_TO_READ = """\
In states from replay, over as many last evaluations as the last-10 return: how many **maxima** of Q₁(s, ·) are \
**prominent** (to reach a higher point from one, one must go down by at least 5 % of the span, which is the \
highest less the lowest value); in how many states the first proposal is **stuck** (more than 5 % of the span below \
the highest value found); and how far the first and the best proposal are below it on average (**gap**). The first \
proposal is that of the first actor, as a single actor would act. Each variant has a Q of its own. Where Q has one \
maximum there is nothing to win by more proposals."""


def section(found: Findings) -> Section | None:
    """A row per cell; None where no run recorded this."""
    if len(found.gaps) == 0:
        return None
    cells = tables.gap_table(found.gaps, ["environment", "variant"])
    frame = cells[["environment", "variant"]].copy()
    frame["maxima"] = tables.interval_column(cells, "maxima")
    for name, label in (("stuck", "stuck"), ("first_gap", "gap of the first"), ("best_gap", "gap of the best")):
        frame[label] = per_cent(cells, name)
    frame["seeds"] = cells["n"].astype(str)
    caption = "Prominent maxima of Q and gaps below the highest, in per cent of its span, with 95 % intervals."
    table = Table("gaps", caption, frame, tuple(frame.columns[2:]))
    return Section("What there is to win", [table, Text(_HOW_TO_READ)], {"gaps": cells, "gaps-of-seeds": found.gaps})


def headline(found: Findings, environment: str) -> str:
    """A sentence on an environment, over all seeds of all variants; empty where no run there recorded this."""
    seeds = found.gaps[found.gaps["environment"] == environment]
    if len(seeds) == 0:
        return ""
    pooled = tables.gap_table(seeds, ["environment"])
    (count,), (stuck,) = tables.interval_column(pooled, "maxima"), per_cent(pooled, "stuck")
    if pd.isna(pooled["maxima"].iloc[0]):
        return f" The first proposal is stuck in {stuck} of states."
    nothing = ": where Q has one maximum there is nothing to win" if pooled["maxima"].iloc[0] < gaps.ONE else ""
    return f" Q has {count} prominent maxima; a single actor is stuck in {stuck} of states{nothing}."


def per_cent(table: pd.DataFrame, column: str) -> list[str]:
    """The cells of a column of shares as text, with their intervals."""
    triples = 100 * table[[column, f"{column}_low", f"{column}_high"]].to_numpy(dtype=float)
    return [f"{tables.interval_text(*triple)} %" for triple in triples]
