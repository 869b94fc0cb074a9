"""What a report calls its variants: shorter than in their run.json, and never two alike.

A field with one value in all variants says nothing of their differences, so it leaves their names:
`td3:hidden=32-32,batch_size=64` is td3 where all have these sizes. In a study of one number (`savo:extra_actors=1`,
`savo`, `savo:extra_actors=5`) the variant with the default shows its number, too: `savo:extra_actors=3`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from savo_bench.results.format import label, text


class Names(NamedTuple):
    """The names of a report's variants.

    Attributes:
        shown: What each variant is called, by what run.json calls it.
        shared: The fields that left the names, with the value that all variants have.
        looks: Whose look each has, by what it is called: that of the algorithm for the default of a study.
    """

    shown: dict[str, str]
    shared: dict[str, str]
    looks: dict[str, str]


def names_of(runs: pd.DataFrame) -> Names:
    """What to call the variants of some runs, see `frame.Runs.runs`."""
    written = {str(name): _fields(str(name)) for name in sorted(set(runs["variant"]))}
    values = _values(runs)
    shared = _shared(written, values)
    short = {
        name: label(_algorithm(name), {field: value for field, value in fields.items() if field not in shared})
        if fields
        else name
        for name, fields in written.items()
    }
    if len(set(short.values())) < len(short):  # they differ in what a label does not say
        short, shared = {name: name for name in written}, {}
    shown = short | _defaults_of_studies(short, values)
    if len(set(shown.values())) < len(shown):
        shown = short
    return Names(shown, shared, {shown[name]: short[name] for name in shown})


def _algorithm(variant: str) -> str:
    return variant.partition(":")[0]


def _fields(variant: str) -> dict[str, str]:
    """The fields in a variant's name; none where it is not made of fields."""
    parts = [part.partition("=") for part in variant.partition(":")[2].split(",")]
    return {field: value for field, _, value in parts} if all(field and equals for field, equals, _ in parts) else {}


def _values(runs: pd.DataFrame) -> dict[str, dict[str, set[str]]]:
    """The values of each variant's fields over the environments; of variants whose config is known."""
    found: dict[str, dict[str, set[str]]] = {}
    known = runs[runs["spec"].notna()].drop_duplicates(["environment", "variant"])
    for row in known[["variant", "spec"]].to_dict("records"):
        own = found.setdefault(row["variant"], {})
        for field, value in row["spec"]["algorithm"]["config"].items():
            own.setdefault(field, set()).add(text(value))
    return found


def _shared(written: Mapping[str, Mapping[str, str]], values: Mapping[str, Mapping[str, set[str]]]) -> dict[str, str]:
    """The fields in names that have one value in all variants. A single variant shares with none."""
    found: dict[str, str] = {}
    for field in dict.fromkeys(field for fields in written.values() for field in fields):
        unknown = {None}  # of a variant that never began, and does not say it
        of_all = [values.get(name, {}).get(field) or {fields.get(field)} for name, fields in written.items()]
        distinct = set().union(*of_all)
        if len(written) > 1 and len(distinct) == 1 and distinct != unknown:
            found[field] = str(next(iter(distinct)))
    return found


def _defaults_of_studies(short: Mapping[str, str], values: Mapping[str, Mapping[str, set[str]]]) -> dict[str, str]:
    """The names of the variants that have the default of a field whose other values stand beside it.

    Two others, or one where the report has no further variant.
    """
    found = {}
    for base, name in short.items():
        others = [_fields(other) for other in short.values() if _algorithm(other) == name and other != name]
        single = [next(iter(fields)) for fields in others if len(fields) == 1]
        enough = 1 if len(short) == 2 else 2
        studied = [field for field in dict.fromkeys(single) if single.count(field) >= enough]
        own = values.get(base, {}).get(studied[0], set()) if len(studied) == 1 else set()
        if len(own) == 1 and _is_number(next(iter(own))):
            found[base] = label(name, {studied[0]: next(iter(own))})
    return found


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
