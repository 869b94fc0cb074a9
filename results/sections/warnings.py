"""Signs in train.csv that a method does not work as it should."""

from collections.abc import Iterator

from savo_bench.results import diagnosis
from savo_bench.results.findings import Findings
from savo_bench.results.page import Block, Section, Table, Text
from savo_bench.results.words import count


def section(found: Findings) -> Section:
    """The cells with signs of trouble, what the signs mean, and what approximate searches found."""
    data = {"diagnoses": found.diagnoses, "warnings": found.warnings}
    return Section(
        "Warnings of the method", list(_blocks(found)), {k: table for k, table in data.items() if len(table)}
    )


def _blocks(found: Findings) -> Iterator[Block]:
    if len(found.warnings):
        yield Table("warnings", "Cells with seeds that show a sign of trouble.", found.warnings)
    elif len(found.diagnoses):
        yield Text(f"None in {count(len(found.diagnoses), 'seed')} with several proposals or an approximate search.")
    else:
        yield Text("No run here recorded several proposals or an approximate search.")
    if len(found.diagnoses):
        yield Text(
            "In `train.csv`, per seed: proposals **lie together at the start** where their mean distance in the first "
            f"two lines is below {diagnosis.TOGETHER:g} of the maximal action, be it that the actors begin alike or "
            "that their first updates drive them to one end of the actions, as the young critic says. In the last "
            "quarter of its lines: proposals **collapse** where their mean "
            f"distance (`spread`, in units of the maximal action) is below {diagnosis.COLLAPSED:g}, where "
            "the exploration noise ends; the surrogates' error **grows** where, relative to |q|, it is more than "
            f"{diagnosis.GROWING:g} times that of the second quarter; one actor **wins nearly all** where it has the "
            f"best proposal in more than {100 * diagnosis.DOMINANT:g} % of the states; an approximate search "
            f"**misses** items where it finds fewer than {100 * diagnosis.MISSED:g} % of those nearest to the "
            "proto-actions."
        )
    recall = found.diagnoses.dropna(subset="recall").groupby(["environment", "variant"], sort=True)["recall"]
    if len(recall):
        frame = recall.agg(["mean", "min"]).reset_index()
        frame = frame.rename(columns={"min": "worst seed"})
        frame[["mean", "worst seed"]] = frame[["mean", "worst seed"]].map(lambda share: f"{100 * share:.1f} %")
        caption = "What approximate searches found of the nearest items, in the last quarter of the lines."
        yield Table("recall", caption, frame, ("mean", "worst seed"))
