"""What was compared, how complete it is, and what readers must know before the numbers."""

from collections.abc import Iterable

import pandas as pd

from savo_bench.results import foreign, metrics, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Note, Section, Text, code
from savo_bench.results.words import count, listed, several

MOST_DOUBTS = 4  # ours: a note is a line or two; the provenance has all


def section(found: Findings) -> Section:
    """The opening, without a heading."""
    names = _names_of_variants(found)
    blocks = [Text(_overview(found)), *map(Text, _on_names(found, names)), *map(Note, notes(found))]
    return Section("", blocks, {"variants": names} if len(names) else {})


def _overview(found: Findings) -> str:
    runs, scores = found.runs.runs, found.scores
    budgets = runs[runs["profile"].notna()].drop_duplicates(["profile", "steps"])
    profiles = [f"{row['profile']} ({row['steps']} steps)" for row in budgets.to_dict("records")]
    done = int((runs["state"] == "done").sum())
    complete = int((scores["n"] == scores["seeds"]).sum())
    return (
        f"{several(scores['variant'], 'variant')} on {several(scores['environment'], 'environment')}, "
        f"profile {' and '.join(profiles) or 'unknown'}: {done} of {len(runs)} seeds are done, "
        f"{complete} of {len(scores)} cells are complete."
    )


def _names_of_variants(found: Findings) -> pd.DataFrame:
    """What each variant is called, and what run.json calls it; without rows where that is the same for all."""
    rows = [(shown, name) for name, shown in found.names.items()]
    same = all(shown == name for shown, name in rows)
    return pd.DataFrame([] if same else rows, columns=["variant", "run.json"])


def _on_names(found: Findings, names: pd.DataFrame) -> list[str]:
    """A paragraph where the report calls variants otherwise than run.json does."""
    if not len(names):
        return []
    shared = [code(f"{field}={value}") for field, value in (found.arranged.shared if found.arranged else {}).items()]
    left = f"All variants have {', '.join(shared)}, which their names leave out. " if shared else ""
    return [f"{left}`tables/variants.csv` has each variant's name in full."]


def notes(found: Findings) -> list[str]:
    """What readers must know before the numbers, a paragraph each."""
    return [*_notes_on_mixtures(found), *_notes_on_scores(found), *_notes_on_runs(found)]


def _notes_on_mixtures(found: Findings) -> list[str]:
    if not found.doubtful:
        return []
    told = "; ".join(f"{code(cell)}: {code(phrase)}" for cell, phrase in found.doubtful[:MOST_DOUBTS])
    more = f"; and {len(found.doubtful) - MOST_DOUBTS} more" if len(found.doubtful) > MOST_DOUBTS else ""
    return [f"**Not of one kind:** {told}{more}; see [provenance](#provenance)."]


def _notes_on_scores(found: Findings) -> list[str]:
    scores, notes = found.scores, []
    runs = found.runs.runs
    done = runs["state"] == "done"
    if incomplete := sum(found.faded):
        change = "" if done.all() else "; their scores may still change"
        lack = "lacks" if incomplete == 1 else "lack"
        notes.append(f"**Not complete:** {incomplete} of {len(scores)} cells {lack} scores of seeds{change}.")
    if few := int((scores["n"] < tables.FEW_SEEDS).sum()):
        narrow = (
            " Intervals from so few are too narrow: of normal scores, 95 % intervals hold the true value about 74 "
            "times in 100 with 3 seeds, 90 times with 5."
        )
        notes.append(
            f"**Few seeds:** {few} of {len(scores)} cells {'has' if few == 1 else 'have'} fewer than "
            f"{tables.FEW_SEEDS} scored seeds, and comparisons get a verdict from {tables.FEW_SEEDS} on. That says "
            "nothing about whether the variants differ."
            + (narrow if scores["n"].between(2, tables.FEW_SEEDS - 1).any() else "")
        )
    if single := len(runs.loc[done & (runs["evaluations"] == 1), ["environment", "variant"]].drop_duplicates()):
        notes.append(
            f"**One evaluation:** {single} of {len(scores)} cells {'has' if single == 1 else 'have'} "
            f"seeds with a single evaluation: their {found.headings['last10']} is the final one, and they have no "
            "curve."
        )
    elif (windows := metrics.window_name(found.evaluations)) != "last-10" and done.any():
        words = metrics.window_words(found.evaluations)
        notes.append(f"**Few evaluations:** {windows} stands for the mean of {words}, where last-10 is usual.")
    begun = set(runs.loc[runs["spec"].notna(), "environment"])  # nothing is known of the task of others
    unbounded = [name for name in dict.fromkeys(scores["environment"]) if name in begun and name not in found.bounds]
    if unbounded:
        have, their = ("has", "its") if len(unbounded) == 1 else ("have", "their")
        notes.append(
            f"**Raw returns:** {_names(unbounded)} {have} no committed bounds, so {their} scores are not normalised "
            "and not in the aggregates."
        )
    return notes


def _notes_on_runs(found: Findings) -> list[str]:
    notes, fields = [], found.fields[0]
    if imported := sorted(foreign.variants(found.runs)):
        notes.append(f"**Foreign:** {_names(imported)}: imported, not trained here; see [these](#foreign-runs).")
    budgets = [field for field in fields["field"] if str(field).startswith("budget.")]
    if budgets:
        notes.append(f"**Unequal budgets:** the variants differ in {_names(budgets)}; that is no fair comparison.")
    if len(found.provenance):
        entries = dict.fromkeys(found.provenance["entry"])
        notes.append(f"**Unlike runs:** they differ in {_names(entries)}; see [provenance](#provenance).")
    if len(found.warnings):
        cells = found.warnings[["environment", "variant"]].drop_duplicates()
        notes.append(f"**Signs of trouble** in {count(len(cells), 'cell')}; see [warnings](#warnings-of-the-method).")
    if found.problems:
        notes.append(f"**Damaged or foreign files:** {len(found.problems)}; see [the list](#files-with-problems).")
    return notes


def _names(names: Iterable[str]) -> str:
    return listed(map(code, names), 4)  # ours: a note is a line or two
