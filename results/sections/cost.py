"""What a seed costs, beside its score."""

import numpy as np
import pandas as pd

from savo_bench.results import tables
from savo_bench.results.findings import Findings
from savo_bench.results.frame import COSTS
from savo_bench.results.page import Section, Table, Text, code

TITLE = "Cost beside score"


def section(found: Findings) -> Section:
    """Hours, speed, memory, latency and parameters of a seed, and the hours of all seeds together."""
    costs = tables.cost_table(found.runs)
    if len(costs) == 0:
        return Section(TITLE, [Text("No seed that is done recorded its time.")])
    measured = bool(costs[COSTS].notna().to_numpy().any())
    return Section(TITLE, [_table(found, costs, measured), _together(costs, measured)], {"cost": costs})


def _table(found: Findings, costs: pd.DataFrame, measured: bool) -> Table:
    summary = tables.NAMES[found.options.summary]
    rows = []
    for cost in costs.to_dict("records"):
        row = {"environment": cost["environment"], "variant": cost["variant"]}
        row[summary] = found.score_interval(cost["environment"], cost["variant"])
        row["device"] = cost["device"]
        row |= {"hours per seed": f"{cost['hours']:.3g}", "seeds": str(cost["n"]), "pack": f"{cost['pack']:g}"}
        row["steps/s"] = f"{cost['steps_per_s']:.3g}"
        if measured:
            row["peak memory"] = _measured(cost["peak_memory"], "{:.0f} MB", 1e-6)
            row["action latency"] = _measured(cost["action_seconds"], "{:.2g} ms", 1e3)
            row["parameters"] = _measured(cost["parameters"], "{:.0f}")
        rows.append(row)
    frame = pd.DataFrame(rows)
    numbers = [name for name in frame.columns if name not in ("environment", "variant", "device")]
    caption = (
        "Cost of a seed: hours of its device and steps in a second of it, over the seeds that are done. A pack's time "
        "is shared evenly among the seeds that trained in it."
    )
    latex = ("environment", "variant", summary, "hours per seed", "steps/s", "device")
    return Table("cost", caption, frame, numbers, latex=latex, group="environment")


def _together(costs: pd.DataFrame, measured: bool) -> Text:
    hours = (costs["hours"] * costs["n"]).groupby(costs["device"]).sum()
    totals = [f"{total:.3g} {_kind(str(device))}-hours on {code(device)}" for device, total in hours.items()]
    return Text(
        f"Together: {', '.join(totals)}."
        + (" Times on different devices do not compare." if len(totals) > 1 else "")
        + ("" if measured else " Peak memory, action latency and parameters were not recorded.")
    )


def _kind(device: str) -> str:
    return "GPU" if "cuda" in device else "core"


def _measured(value: float, shown: str, unit: float = 1.0) -> str:
    return "–" if np.isnan(value) else shown.format(value * unit)
