"""What the environments record beside the return, such as invalid actions."""

from savo_bench.results import tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table


def section(found: Findings) -> Section | None:
    """A row per cell and metric; None if no environment records any."""
    recorded = tables.metric_table(found.runs)
    if len(recorded) == 0:
        return None
    units = {label.label: label.unit for label in tables.metric_labels(found.runs).values()}
    frame = recorded[["environment", "metric", "variant"]].copy()
    frame["value"] = [
        _with_unit(units[metric], *triple)
        for metric, triple in zip(recorded["metric"], recorded[["value", "low", "high"]].to_numpy(), strict=True)
    ]
    frame["seeds"] = recorded["n"].astype(str)
    caption = (
        f"What the environments record beside the return, in the evaluations of the {found.names['last10']}: mean over "
        "seeds with its 95 % interval."
    )
    table = Table("metrics", caption, frame, ("value", "seeds"))
    return Section("What the tasks record", [table], {"metrics": recorded})


def _with_unit(unit: str, *interval: float) -> str:
    """An interval as text; a share is shown in per cent."""
    factor = 100 if unit == "%" else 1
    return f"{tables.interval_text(*(factor * end for end in interval))} {unit}".rstrip()
