"""Which variant leads where, and whether its lead is shown."""

from collections import Counter

import pandas as pd

from savo_bench.results import tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Block, Bullets, Section, Text, code
from savo_bench.results.sections import gaps
from savo_bench.results.words import count


def section(found: Findings) -> Section:
    """A paragraph over all environments, and a line for each."""
    first, *others = sentences(found)
    blocks: list[Block] = [Text(first), *([Bullets(others)] if others else [])]
    return Section("Answer", blocks, {"comparisons": found.comparisons} if len(found.comparisons) else {})


def sentences(found: Findings) -> list[str]:
    """The paragraph over all environments, then the line of each environment."""
    lines, leads, shown = [], Counter[str](), Counter[str]()
    for environment, cells in found.scores.groupby("environment", sort=True):
        scored = cells[cells["n"] > 0].sort_values(f"{found.options.summary}_mean", ascending=False, kind="stable")
        ruggedness = gaps.headline(found, str(environment))
        lead, controls = _lead(found, str(environment), scored), _controls(found, str(environment), scored)
        lines.append(f"{code(environment)}: {lead}.{controls}{ruggedness}")
        if len(scored) > 1:
            first = str(scored["variant"].iloc[0])
            leads[first] += 1
            shown[first] += len(_pairs(found, str(environment), first, shown=True)) == len(scored) - 1
    return [_overall(found, leads, shown), *lines]


def _lead(found: Findings, environment: str, scored: pd.DataFrame) -> str:
    """Who leads on an environment, from its cells with scores, the best first."""
    if len(scored) == 0:
        return "no seed is done"
    first, n = str(scored["variant"].iloc[0]), scored["n"].iloc[0]
    value = found.score_interval(environment, first)
    if len(scored) == 1:
        return f"{code(first)} alone has scores, {value} (n={n})"
    apart, alike = (_pairs(found, environment, first, shown=shown) for shown in (True, False))
    tested = {*apart["other"], *alike["other"]}
    untested = [code(other) for other in scored["variant"].iloc[1:] if other not in tested]
    parts = [f"{code(first)} leads with {value} (n={n})"]
    parts += [f"**shown** to be above {_rivals(apart)}"] if len(apart) else []
    parts += [f"**not shown** to differ from {_rivals(alike)}"] if len(alike) else []
    parts += [f"with single seeds nothing can be said of {', '.join(untested)}"] if untested else []
    return "; ".join(parts)


def _controls(found: Findings, environment: str, scored: pd.DataFrame) -> str:
    """A sentence on the controls of the leading variant that have no scores; empty if there are none of them."""
    variants = list(map(str, scored["variant"]))
    wanted = found.controls.get((environment, variants[0]), ()) if variants else ()
    missing = [code(control) for control in wanted if control not in variants]
    if not missing:
        return ""
    one = len(missing) == 1
    return (
        f" **Not run**: its {'control' if one else 'controls'} {', '.join(missing)}, so the lead cannot be put down to "
        f"one cause; `bench run --algos {variants[0]} --controls` trains {'it' if one else 'them'}."
    )


def _pairs(found: Findings, environment: str, better: str, *, shown: bool) -> pd.DataFrame:
    """The comparisons of an environment in which a variant is the better one."""
    pairs = found.comparisons
    return pairs[(pairs["environment"] == environment) & (pairs["better"] == better) & (pairs["shown"] == shown)]


def _rivals(pairs: pd.DataFrame) -> str:
    """The nearest rivals, with the differences; the others as a number."""
    most = 4  # ours: a line or two of text; tables/comparisons.csv has every pair
    nearest = pairs.sort_values("difference", kind="stable")
    intervals = [tables.interval_text(*triple) for triple in nearest[["difference", "low", "high"]].to_numpy()]
    rivals = zip(nearest["other"], intervals, nearest["n_other"], strict=True)
    named = [f"{code(other)} (by {interval}, n={n})" for other, interval, n in rivals][:most]
    return ", ".join(named) + (f" and {len(pairs) - most} more, farther below" if len(pairs) > most else "")


def _overall(found: Findings, leads: Counter[str], shown: Counter[str]) -> str:
    """The paragraph over all environments.

    Args:
        found: The findings.
        leads: On how many environments each variant leads.
        shown: On how many of them it is shown to be above every other.
    """
    sentences = []
    if found.matrix and len(found.matrix.variants) > 1:
        ordered = found.aggregates.sort_values("iqm", ascending=False, kind="stable")
        intervals = tables.interval_column(ordered, "iqm")
        values = [f"{code(name)} {interval}" for name, interval in zip(ordered["variant"], intervals, strict=True)]
        tasks = count(len(found.matrix.environments), "task")
        sentences.append(f"Over {tasks} with bounds, the IQM of the normalised score is {', '.join(values)}.")
    of = count(found.scores["environment"].nunique(), "environment")
    listed = [
        f"{code(name)} leads on {number} of {of}"
        + (f" (on {shown[name]} it is shown to be above every other)" if shown[name] else "")
        for name, number in sorted(leads.items(), key=lambda item: (-item[1], item[0]))
    ]
    if listed:
        sentences.append(f"By the mean {tables.NAMES[found.options.summary]}, {', '.join(listed)}.")
        sentences += [] if shown.total() else ["No lead over every other variant is shown."]
    sentences.append(
        "A difference counts as shown where Welch's test, corrected by Holm over the pairs of the environment, has "
        f"p < {tables.SIGNIFICANT:g} and both have at least {tables.FEW_SEEDS} seeds; in brackets its 95 % interval "
        "without that correction."
    )
    return " ".join(sentences)
