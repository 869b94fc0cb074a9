"""What a seed costs, beside its score."""

import numpy as np
import pandas as pd

from savo_bench.results import spent, tables
from savo_bench.results.findings import Findings
from savo_bench.results.frame import COSTS
from savo_bench.results.page import Section, Table, Text, code

TITLE = "Cost beside score"


def section(found: Findings) -> Section:
    """Time, speed, memory, latency and parameters of a seed, and the time of all seeds together."""
    costs = tables.cost_table(found.runs)
    if len(costs) == 0:
        return Section(TITLE, [Text("No seed that is done recorded its time.")])
    measured = bool(costs[COSTS].notna().to_numpy().any())
    return Section(TITLE, [_table(found, costs, measured), _together(costs, measured)], {"cost": costs})


def _table(found: Findings, costs: pd.DataFrame, measured: bool) -> Table:
    summary = found.headings[found.options.summary]
    frame = costs[["environment", "variant"]].copy()
    frame[summary] = [found.score_interval(*cell) for cell in costs[["environment", "variant"]].to_numpy()]
    frame["device"] = costs["device"]
    frame["wall time"] = spent.durations(3_600 * costs["hours"])
    frame["CPU time"] = spent.durations(costs["cpu_seconds"])
    if costs["gpu_seconds"].notna().any():
        frame["GPU time"] = spent.durations(costs["gpu_seconds"])
    frame["seeds"] = costs["n"].astype(str)
    frame["pack"] = [f"{pack:g}" for pack in costs["pack"]]
    frame["steps/s"] = [f"{speed:.3g}" for speed in costs["steps_per_s"]]
    if measured:
        frame["peak memory"] = [_measured(value, "{:.0f} MB", 1e-6) for value in costs["peak_memory"]]
        frame["action latency"] = [_measured(value, "{:.2g} ms", 1e3) for value in costs["action_seconds"]]
        frame["parameters"] = [_measured(value, "{:.0f}") for value in costs["parameters"]]
    numbers = [name for name in frame.columns if name not in ("environment", "variant", "device")]
    caption = (
        "Cost of a seed, mean over the seeds that are done: its share of the wall time and of the processor time of "
        "its pack, which the pack's seeds share evenly, and its steps in a second of that wall time. Wall time grows "
        "with what else the machine does; CPU time hardly does. A dash: not recorded."
    )
    latex = ("environment", "variant", summary, "wall time", "CPU time", "steps/s", "device")
    return Table("cost", caption, frame, numbers, latex=latex, group="environment")


def _together(costs: pd.DataFrame, measured: bool) -> Text:
    totals = []
    for device, rows in costs.groupby("device"):
        wall, cpu = ((rows[name] * rows["n"]).sum(skipna=False) for name in ("hours", "cpu_seconds"))
        of = "GPU" if "cuda" in str(device) else "core"
        processor = "" if np.isnan(cpu) else f", {spent.duration(cpu)} of them CPU time" if of == "core" else ""
        totals.append(f"{spent.duration(3_600 * wall)} of a {of} on {code(str(device))}{processor}")
    return Text(
        f"All seeds that are done: {'; '.join(totals)}."
        + (" Times on different devices do not compare." if len(totals) > 1 else "")
        + ("" if measured else " Peak memory, action latency and parameters were not recorded.")
    )


def _measured(value: float, shown: str, unit: float = 1.0) -> str:
    return "–" if np.isnan(value) else shown.format(value * unit)
