"""What the environments record beside the return, such as invalid actions."""

from collections.abc import Iterator, Sequence

import numpy as np

from savo_bench.results import tables
from savo_bench.results.findings import Findings
from savo_bench.results.page import Section, Table
from savo_bench.results.words import count

VIOLATED = 0.5  # ours: of invalid actions; from here on most of what a policy asks for is not done
WORTH_SAYING = 0.01  # ours: of invalid actions, from which on the answer gives the share of the leading variant


def section(found: Findings) -> Section | None:
    """A row per cell and metric; None if no environment records any."""
    recorded = found.task_metrics
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
        f"What the environments record beside the return, in the evaluations of the {found.headings['last10']}: mean "
        "over seeds with its 95 % interval."
    )
    table = Table("metrics", caption, frame, ("value", "seeds"))
    return Section("What the tasks record", [table], {"metrics": recorded})


def remarks_on(found: Findings, environment: str, variants: Sequence[str]) -> str:
    """What the tasks record of leading variants that a reader of their return must know, a sentence each."""
    labels = {label.label: label for label in tables.metric_labels(found.runs).values()}
    own = found.task_metrics[found.task_metrics["environment"] == environment]
    said = ""
    for variant in variants:
        for row in own[own["variant"] == variant].to_dict("records"):
            remark = _remark(labels[row["metric"]], row["value"])
            said += f" {remark} (`{variant}`)." if remark else ""
        for metric, seeds in _not_finite(found, environment, variant):
            said += f" **Not finite**: {metric} of {count(seeds, 'seed')} (`{variant}`)."
    return said


def _remark(label: tables.MetricLabel, value: float) -> str:
    if label.complement and value >= WORTH_SAYING:
        share = f"{100 * value:.1f} % {label.label}"
        return f"**Constraint violated**: {share}" if value >= VIOLATED else f"With {share}"
    return f"**Never**: {label.label} 0 %" if label.unit == "%" and not label.complement and value == 0 else ""


def _not_finite(found: Findings, environment: str, variant: str) -> Iterator[tuple[str, int]]:
    """The metrics that an environment records and that are not finite for some seeds of a cell, and of how many."""
    evals = found.runs.evals[found.runs.evals["environment"] == environment]
    own = evals[evals["variant"] == variant]
    for name, label in tables.metric_labels(found.runs).items():
        if np.isfinite(evals[name].to_numpy(dtype=float)).any():
            seeds = own.loc[~np.isfinite(own[name].to_numpy(dtype=float)), "seed"].nunique()
            if seeds:
                yield label.label, seeds


def _with_unit(unit: str, *interval: float) -> str:
    """An interval as text; a share is shown in per cent."""
    factor = 100 if unit == "%" else 1
    return f"{tables.interval_text(*(factor * end for end in interval))} {unit}".rstrip()
