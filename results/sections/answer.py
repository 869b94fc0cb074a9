"""Which variant leads where, and what each comparison says."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from savo_bench.results import comparisons, tables
from savo_bench.results.findings import Findings
from savo_bench.results.format import COMPARISONS
from savo_bench.results.page import Block, Bullets, Section, Table, Text, code
from savo_bench.results.sections import gaps
from savo_bench.results.sections.task_metrics import remarks_on
from savo_bench.results.words import count

SAID = (comparisons.BETTER, comparisons.WORSE, comparisons.EQUIVALENT, comparisons.UNCLEAR)  # in this order
MOST_ROWS = 20  # ours: comparisons that stand open on the page and are all named in its text; about a screen
NUMBERS = ("difference", "p", "δ", "n", "seeds")


def section(found: Findings) -> Section:
    """A paragraph over all environments, a line for each, and a table of what is compared."""
    first, *others = sentences(found)
    blocks: list[Block] = [Text(first), *([Bullets(others)] if others else [])]
    if len(found.comparisons) == 0:
        return Section("Answer", blocks)
    table = _table(found.comparisons)
    folded = f"The table of all {len(table)} comparisons" if len(table) > MOST_ROWS else None
    blocks.append(Table("comparisons", _caption(found), table, NUMBERS, latex=tuple(table.columns), folded=folded))
    return Section("Answer", blocks, {"comparisons": found.comparisons})


def sentences(found: Findings) -> list[str]:
    """The paragraph over all environments, then the line of each environment."""
    lines, leads = [], Counter[str]()
    for environment, cells in found.scores.groupby("environment", sort=False):
        cells = cells[~cells["variant"].isin(found.apart)]
        scored = cells[cells["n"] > 0].sort_values(f"{found.options.summary}_mean", ascending=False, kind="stable")
        ruggedness = gaps.headline(found, str(environment))
        lead, controls = _lead(found, str(environment), scored), _controls(found, str(environment), cells, scored)
        remarks = remarks_on(found, str(environment), leaders(found, scored))
        verdicts = _verdicts(found, str(environment))
        lines.append(f"{code(environment)}: {lead}.{remarks}{verdicts}{controls}{ruggedness}")
        if len(scored) > 1:
            leads.update(leaders(found, scored))
    return [_overall(found, leads), *lines]


def leaders(found: Findings, scored: pd.DataFrame) -> list[str]:
    """The variants with the highest mean, from an environment's cells with scores, the best first."""
    means = scored[f"{found.options.summary}_mean"]
    return [str(name) for name in scored.loc[means == means.max(), "variant"]]


def _lead(found: Findings, environment: str, scored: pd.DataFrame) -> str:
    """Which variant has the highest mean on an environment, from its cells with scores."""
    if len(scored) == 0:
        here = found.pooled.runs[found.pooled.runs["environment"] == environment]
        done = (here["state"] == "done").any()
        return "no seed that is done has a finite score" if done else "no seed is done"
    first, *equal = leaders(found, scored)
    value = f"{found.score_interval(environment, first)} (n={scored['n'].iloc[0]})"
    if equal:
        return f"{code(first)} and {', '.join(map(code, equal))} share the highest mean, {value}"
    return f"{code(first)} {'alone has scores' if len(scored) == 1 else 'has the highest mean'}, {value}"


def _verdicts(found: Findings, environment: str) -> str:
    """A sentence on each kind of verdict on an environment, with its comparisons but those without scores.

    Where the report has more than MOST_ROWS comparisons, those that nobody can tell are counted.
    """
    rows = found.comparisons[found.comparisons["environment"] == environment]
    said = ""
    for verdict in SAID:
        pairs = [_pair(row) for row in rows[rows["verdict"] == verdict].to_dict("records")]
        if pairs and verdict == comparisons.UNCLEAR and len(found.comparisons) > MOST_ROWS:
            said += f" **{verdict}** in {count(len(pairs), 'comparison')}."
        else:
            said += f" **{verdict}**: {'; '.join(pairs)}." if pairs else ""
    return said


def _pair(row: Mapping[Any, Any]) -> str:
    """A comparison in words: `savo` − `td3` 120 [20, 220] (n=10, 10)."""
    n = f"n={', '.join(dict.fromkeys(f'{row[size]:.0f}' for size in ('n_variant', 'n_against')))}"
    if np.isnan(row["difference"]):
        return f"{code(row['variant'])} − {code(row['against'])} ({n}: the spread is not known)"
    interval = tables.interval_text(row["difference"], row["low"], row["high"])
    delta = f", δ = {tables.interval_text(row['margin'])}" if row["verdict"] == comparisons.EQUIVALENT else ""
    would = f", some {row['seeds_needed']:.0f} seeds would" if np.isfinite(row["seeds_needed"]) else ""
    return f"{code(row['variant'])} − {code(row['against'])} {interval} ({n}{delta}{would})"


def _controls(found: Findings, environment: str, cells: pd.DataFrame, scored: pd.DataFrame) -> str:
    """A sentence on the controls of the leading variant that have no scores; empty if there are none of them."""
    variants = list(map(str, scored["variant"]))
    wanted = found.controls.get((environment, variants[0]), ()) if variants else ()
    runs = found.pooled.runs
    here = runs[(runs["environment"] == environment) & (runs["state"] != "missing")]
    stand = {str(cell["variant"]): str(cell["coverage"]) for cell in cells.to_dict("records")}
    began = {variant: stand[variant] for variant in map(str, here["variant"].unique())}
    waiting = [f"{code(control)} ({began[control]})" for control in wanted if control in began.keys() - {*variants}]
    missing = [code(control) for control in wanted if control not in began]
    said, cause = "", "so the lead cannot be put down to one cause"
    if waiting:
        said += f" **Without scores**: its {_controls_word(waiting)} {', '.join(waiting)}, {cause}."
    if missing:
        command = f"`bench run --algos {found.stored(variants[0])} --controls`"
        trains = f"{command} trains {'it' if len(missing) == 1 else 'them'}"
        said += f" **Not run**: its {_controls_word(missing)} {', '.join(missing)}, {cause}; {trains}."
    return said


def _controls_word(controls: list[str]) -> str:
    return "control" if len(controls) == 1 else "controls"


def _overall(found: Findings, leads: Counter[str]) -> str:
    """The paragraph over all environments; `leads` says on how many of them each variant has the highest mean."""
    sentences = []
    if found.matrix and len(found.matrix.variants) > 1:
        ordered = found.aggregates.sort_values("iqm", ascending=False, kind="stable")
        intervals = tables.interval_column(ordered, "iqm")
        values = [f"{code(name)} {interval}" for name, interval in zip(ordered["variant"], intervals, strict=True)]
        tasks = count(len(found.matrix.environments), "task")
        sentences.append(f"Over {tasks} with bounds, the IQM of the normalised score is {', '.join(values)}.")
    of = count(found.scores["environment"].nunique(), "environment")
    ordered_leads = sorted(leads.items(), key=lambda item: (-item[1], item[0]))
    listed = [f"{code(name)} has the highest mean on {number} of {of}" for name, number in ordered_leads]
    if listed:
        sentences.append(f"By the {found.headings[found.options.summary]}, {', '.join(listed)}.")
    return " ".join([*sentences, _declared(found), _family(found)]).strip()


def _declared(found: Findings) -> str:
    """Who chose what is compared, and when."""
    if not found.declarations:
        return (
            "Nothing was declared, so each variant is compared with the control that differs least from it; "
            "`bench run --compare` declares what is compared before the first result."
        )
    *earlier, last = found.declarations
    when = f"after {count(last.done, 'seed')} had ended" if last.done else "before the first seed ended"
    changed = (
        f", **in place of what was declared before** ({', '.join(one.hash for one in earlier)})" if earlier else ""
    )
    return f"What is compared was declared {when}{changed} (`{COMPARISONS}`, {last.hash})."


def _family(found: Findings) -> str:
    """How verdicts come about."""
    size = len(found.comparisons)
    if size == 0:
        return ""
    return (
        f"{count(size, 'comparison')} by the {found.headings[found.measure]}: the intervals of the differences hold "
        f"together with {100 * comparisons.LEVEL:g} %, and each verdict is read off its interval, from "
        f"{tables.FEW_SEEDS} seeds on."
    )


def _caption(found: Findings) -> str:
    """What the table of comparisons shows."""
    return (
        f"Differences of the {found.headings[found.measure]}, with intervals that hold together with "
        f"{100 * comparisons.LEVEL:g} %. Better and worse: the interval leaves out 0. Equivalent: it lies within ± δ. "
        "p: Welch's test, times the number of comparisons. Seeds: with so many of each, four of five experiments would "
        "tell a difference like the one that is seen."
    )


def _table(pairs: pd.DataFrame) -> pd.DataFrame:
    """The comparisons as text."""
    frame = pairs[["environment", "variant", "against"]].copy()
    frame["difference"] = tables.interval_column(
        pairs.rename(columns={"low": "difference_low", "high": "difference_high"}), "difference"
    )
    frame["p"] = [tables.p_text(p) for p in pairs["p_adjusted"]]
    frame["δ"] = [tables.interval_text(margin) for margin in pairs["margin"]]
    frame["verdict"] = pairs["verdict"]
    frame["n"] = [f"{a}, {b}" if a != b else f"{a}" for a, b in pairs[["n_variant", "n_against"]].to_numpy(dtype=int)]
    frame["seeds"] = ["–" if np.isnan(needed) else f"{needed:.0f}" for needed in pairs["seeds_needed"]]
    return frame
