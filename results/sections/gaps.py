"""How rugged Q is, and what a better search for its maxima could win."""

from collections.abc import Mapping

import pandas as pd

from savo_bench.results import gaps, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Block, Note, Section, Table, Text, literal

_TITLE = "Gaps of the final policies"

_HOW_TO_READ = """\
In states from replay, over as many last evaluations as the {last10}: how many **maxima** of Q₁(s, ·) are \
**prominent** (to reach a higher point from one, one must go down by at least 5 % of the span, which is the \
highest less the lowest value); in how many states the first proposal is **stuck** (more than 5 % of the span below \
the highest value found); and how far the first and the best proposal are below it on average (**gap**). The first \
proposal is that of the first actor, as a single actor would act. Each variant has a Q of its own. Where Q has one \
maximum there is nothing to win by more proposals."""

_OF_POLICIES = """\
Measured by `bench gap` in states that the final policies visit in their last evaluation. **Maxima**: prominent ones \
of Q₁(s, ·). **Stuck**: share of states in which the first proposal is more than 5 % of the span of Q₁ below the \
highest value found. **Gap**: how far the first and the best proposal are below it on average. A small gap of the best \
proposal says that this Q needs no better search; it does not say that Q is right."""

_OF_SEVERAL = """\
The first actor keeps its proposal, and ascents take the place of the later ones: on the learnt surrogates **Ψ̂**, on \
the exact truncated landscapes **Ψ**, and on **Q₁** itself. Where **on Ψ̂** is below **best**, the actors do not follow \
their surrogates; where **on Ψ** is below **on Ψ̂**, the surrogates are wrong; where **on Q₁** is below **on Ψ**, \
truncation leaves ascents on a plateau. **Maxima of Ψ** are those that rise above its floor, and one where none does. \
**First alone** is the return of the same episodes with the first actor by itself."""


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
    return Section(
        "What there is to win",
        [table, Text(_HOW_TO_READ.format(last10=found.headings["last10"]))],
        {"gaps": cells, "gaps-of-seeds": found.gaps},
    )


def policies(found: Findings) -> Section | None:
    """Tables of what `bench gap` measured, a row per cell; None where it has measured nothing of these seeds."""
    seeds = found.policy_gaps
    notes = [Note(literal(note)) for note in seeds.attrs["notes"]]
    if len(seeds) == 0:
        return Section(_TITLE, notes) if notes else None
    cells = tables.gap_table(seeds, ["environment", "variant"], gaps.OF_POLICIES)
    done = found.runs.runs[found.runs.runs["state"] == "done"].groupby(["environment", "variant"]).size()
    cells.insert(3, "done", [done[cell] for cell in zip(cells["environment"], cells["variant"], strict=True)])
    several = cells[cells["first_return"].notna()]
    labels = {"maxima": "maxima", "stuck": "stuck", "first_gap": "gap of the first", "best_gap": "gap of the best"}
    others = {"exact_maxima": "maxima of Ψ", "learnt_maxima": "maxima of Ψ̂", "surrogate_error": "error of Ψ̂"}
    others |= {"return": "return", "first_return": "first alone"}
    searched = {"best_gap": "best", "learnt_gap": "on Ψ̂", "exact_gap": "on Ψ", "independent_gap": "on Q₁"}
    share = "in per cent of the span of Q₁"
    blocks: list[Block] = [
        *notes,
        _policy_table("policy-gaps", f"Gaps of the final policies, {share}, with 95 % intervals.", cells, labels),
        Text(_OF_POLICIES),
    ]
    if len(several):
        caption = f"Gaps of the best proposal, and of ascents in place of the later actors, {share}."
        blocks += [
            _policy_table("policy-searches", caption, several, searched),
            _policy_table("policy-returns", "Surrogates, and the return of the first actor alone.", several, others),
            Text(_OF_SEVERAL),
        ]
    return Section(_TITLE, blocks, {"policy-gaps": cells, "policy-gaps-of-seeds": seeds})


def _policy_table(name: str, caption: str, cells: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """Some columns of `tables.gap_table` as text, under these labels."""
    frame = cells[["environment", "variant"]].reset_index(drop=True)
    for column, label in labels.items():
        plain = column in gaps.PLAIN
        frame[label] = tables.interval_column(cells, column) if plain else per_cent(cells, column)
    frame["seeds"] = [
        str(n) if n == done else f"{n} of {done}" for n, done in zip(cells["n"], cells["done"], strict=True)
    ]
    columns = tuple(frame.columns)
    return Table(name, caption, frame, numbers=columns[2:], latex=columns, group="environment")


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
    """The cells of a column of shares as text, with their intervals; a dash where there is no value."""
    triples = 100 * table[[column, f"{column}_low", f"{column}_high"]].to_numpy(dtype=float)
    texts = [tables.interval_text(*triple) for triple in triples]
    return [text if text == "–" else f"{text} %" for text in texts]
