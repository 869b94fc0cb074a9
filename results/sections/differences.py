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
    own = every[every["shared"]].drop(columns="shared").to_dict("records")
    rows = [(row.pop("field"), next(iter(row.values()))) for row in own]
    frame = pd.DataFrame(rows, columns=["field", "value"])
    longest = {field: max(map(str, values), key=len) for field, values in zip(frame["field"], map(dict.values, own))}
    frame["value"] = [longest[field] for field in frame["field"]]  # the one of a variant that is on most environments
    caption = "The fields of algorithm and budget that have the same value in every variant."
    return Table("shared-fields", caption, frame, latex=("field", "value"), folded=True)


def origins(found: Findings) -> Section:
    """Code version, packages and hardware of the runs."""
    blocks: list[Block] = [Text(provenance.line(found.runs.runs))]
    if found.doubtful:
        blocks.append(Bullets([f"{code(cell)}: {code(phrase)}" for cell, phrase in found.doubtful]))
    if len(found.provenance) == 0:
        return Section("Provenance", blocks)
    blocks.append(Table("provenance", "Which runs have which.", found.provenance, numbers=("seeds",)))
    return Section("Provenance", blocks, {"provenance": found.provenance})
