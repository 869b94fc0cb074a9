"""What was compared, how complete it is, and what readers must know before the numbers."""

from collections.abc import Iterable

import pandas as pd

from savo_bench.results import tables
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
    if incomplete := sum(found.faded):
        notes.append(
            f"**Not complete:** {incomplete} of {len(scores)} cells lack seeds; their scores may still change."
        )
    if few := int((scores["n"] < tables.FEW_SEEDS).sum()):
        notes.append(
            f"**Few seeds:** {few} of {len(scores)} cells have fewer than {tables.FEW_SEEDS} scored seeds. Their "
            "intervals are too narrow (of normal scores, 95 % intervals hold the true value about 74 times in 100 with "
            "3 seeds, 90 times with 5), so no comparison of theirs gets a verdict."
        )
    done = found.runs.runs[found.runs.runs["state"] == "done"]
    if single := len(done.loc[done["evaluations"] == 1, ["environment", "variant"]].drop_duplicates()):
        notes.append(
            f"**One evaluation:** {single} of {len(scores)} cells {'has' if single == 1 else 'have'} "
            "a single evaluation per seed, so last-10 and final are the same number and there is no curve."
        )
    unbounded = [name for name in dict.fromkeys(scores["environment"]) if name not in found.bounds]
    if unbounded:
        have, their = ("has", "its") if len(unbounded) == 1 else ("have", "their")
        notes.append(
            f"**Raw returns:** {_names(unbounded)} {have} no committed bounds, so {their} scores are not normalised "
            "and not in the aggregates."
        )
    return notes


def _notes_on_runs(found: Findings) -> list[str]:
    notes, fields = [], found.fields[0]
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
