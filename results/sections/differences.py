"""In what the compared variants differ, and where their runs came from."""

from savo_bench.results import provenance
from savo_bench.results.findings import Findings
from savo_bench.results.page import Block, Bullets, Section, Table, Text, code


def fields(found: Findings) -> Section:
    """The fields of algorithm and budget in which variants differ."""
    differing, equal = found.fields
    block: Block = Text("None.")
    if len(differing):
        caption = "Every other field of algorithm and budget is the same."
        block = Table("fields", caption, differing, latex=tuple(differing.columns))
    same = f"the other {equal} fields have the same value in every variant"
    rest = Text(f"All else equal: on each environment {same}.")
    return Section("Fields in which the variants differ", [block, rest], {"fields": differing})


def origins(found: Findings) -> Section:
    """Code version, packages and hardware of the runs."""
    blocks: list[Block] = [Text(provenance.line(found.ours.runs))]
    if found.doubtful:
        blocks.append(Bullets([f"{code(cell)}: {code(phrase)}" for cell, phrase in found.doubtful]))
    if len(found.provenance) == 0:
        return Section("Provenance", blocks)
    blocks.append(Table("provenance", "Which runs have which.", found.provenance, numbers=("seeds",)))
    return Section("Provenance", blocks, {"provenance": found.provenance})
