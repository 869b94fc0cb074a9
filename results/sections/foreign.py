"""Cells whose scores another program made, and where those are from."""

from savo_bench.results import foreign
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table, Text, code
from savo_bench.results.words import listed

TITLE = "Foreign runs"


def section(found: Findings) -> Section | None:
    """A row per foreign seed, with the file that its scores are from; None if there is none."""
    table = foreign.table(found.runs)
    if len(table) == 0:
        return None
    frame = table[["environment", "variant"]].copy()
    frame["seed"], frame["steps"] = table["seed"].astype(str), table["steps"].astype(str)
    frame["evaluations"] = [f"{n} × {episodes}" for n, episodes in table[["evaluations", "episodes"]].to_numpy()]
    frame["from"], frame["file"] = table["kind"], table["file"]
    frame["sha256"] = table["sha256"].str[:12]
    caption = "Where the scores of foreign runs are from; evaluations × episodes of each."
    numbers = ("seed", "steps", "evaluations")
    return Section(TITLE, [Text(_said(found)), Table("foreign", caption, frame, numbers)], {"foreign": table})


def _said(found: Findings) -> str:
    """How foreign cells count."""
    variants = foreign.variants(found.runs)
    counted, apart = sorted(variants - found.apart), sorted(found.apart)
    sentences = [
        "`bench import` took these scores from files of other programs. What trained and evaluated them is not known "
        "here: network, fields, version of the task, evaluation episodes."
    ]
    if apart:
        sentences.append(
            f"{listed(map(code, apart))}: shown beside ours, and not among the comparisons, leads and aggregates, as "
            "no `--compare` names them."
        )
    if counted:
        sentences.append(f"{listed(map(code, counted))}: compared and aggregated, as a declaration names them.")
    return " ".join([*sentences, "No check judges by them."])
