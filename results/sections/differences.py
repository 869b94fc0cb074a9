"""In what the compared variants differ, and where their runs came from."""

import pandas as pd

from savo_bench.results import provenance, tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Block, Bullets, Section, Table, Text, code


def fields(found: Findings) -> Section:
    """The fields of algorithm and budget in which variants differ, and below them those that all share."""
    differing, equal = found.fields
    every = tables.hyperparameter_table(found.runs)
    data = {"fields": differing, "hyperparameters": every}
    block: Block = Text("None.")
    if len(differing):
        caption = "Every other field of algorithm and budget is the same."
        block = Table("fields", caption, differing, latex=tuple(differing.columns))
    same = f"the other {equal} fields have the same value in every variant"
    rest = Text(f"All else equal: on each environment {same}.")
    title = "Fields in which the variants differ"
    if equal == 0:
        return Section(title, [block, rest], data)
    return Section(title, [block, rest, _shared(every)], data)


def _shared(every: pd.DataFrame) -> Table:
    """The fields that all variants share."""
    own = every[every["shared"]].drop(columns="shared")
    # of values that depend on the environment, those of a variant that is on most of them
    values = [max(map(str, row), key=len) for row in own.drop(columns="field").to_numpy().tolist()]
    frame = pd.DataFrame({"field": own["field"].tolist(), "value": values})
    caption = "The fields of algorithm and budget that have the same value in every variant."
    folded = f"{len(frame)} fields with the same value in every variant"
    return Table("shared-fields", caption, frame, latex=("field", "value"), folded=folded)


def origins(found: Findings) -> Section:
    """Code version, packages and hardware of the runs."""
    blocks: list[Block] = [Text(provenance.line(found.ours.runs))]
    if found.doubtful:
        blocks.append(Bullets([f"{code(cell)}: {code(phrase)}" for cell, phrase in found.doubtful]))
    if len(found.provenance) == 0:
        return Section("Provenance", blocks)
    blocks.append(Table("provenance", "Which runs have which.", found.provenance, numbers=("seeds",)))
    return Section("Provenance", blocks, {"provenance": found.provenance})
