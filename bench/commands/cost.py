"""`bench cost`: what updates and actions cost: parameters, counted FLOPs, time, memory; and how that grows with actors.

Nothing is trained for a result: each variant is built for a task's sizes and updated on made-up numbers, on the CPU.
FLOPs (algos/flops.py) are counted and the same on every machine; so is memory (`memory.tensors`), but for what its
kernels need. Times are processor time of one thread: the variants take turns over some rounds, and the median counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.progress import track

from savo_bench import algos
from savo_bench.algos import flops
from savo_bench.algos.agent import parameters
from savo_bench.bench import memory, resolving, show
from savo_bench.bench.cells import Cell
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.options import Options, at_least_one
from savo_bench.bench.spaces import check_fit, probe
from savo_bench.results import costs, plots
from savo_bench.results.files import make_folder, replacing, said
from savo_bench.results.format import label

REFERENCE = "td3"  # beside it the others stand, so it is measured first
ENVIRONMENT = "restricted-hopper"
EXTRA_ACTORS = (0, 1, 3, 5, 10, 20)  # ours: as in benchmarks/frozen_critic.py
RATIOS = ("update_flops", "update_ms", "action_flops", "action_ms")
LEAST_SECONDS = 0.01  # ours: of work that is timed, a thousand times what reading the clock takes


def print_costs(options: Options, console: Console, *, rounds: int, out: Path) -> None:
    """Measure, print tables and laws, and write costs.csv and figures.

    Args:
        options: Which algorithms, on which environments, with which fields; all built-in ones, and savo with several
            numbers of extra actors, where none are named. The first is the reference.
        console: Where to print.
        rounds: How often each is timed.
        out: The folder to write to.

    Raises:
        UserError: an option is not valid, an environment cannot be made, or a file cannot be written.
    """
    at_least_one("rounds", rounds)
    torch.set_num_threads(1)  # both as in training
    torch.set_flush_denormal(True)
    cells: dict[str, list[Cell]] = {}
    for cell in resolving.cells(options):
        check_fit(cell, probe(cell))
        cells.setdefault(cell.env_label, []).append(cell)
    rows = [row for own in cells.values() for row in _measure(own, rounds, console)]
    table = pd.DataFrame(rows, columns=list(costs.COLUMNS))
    _tell(console, table)
    figure = costs.cost_figure(table)
    contents = {"costs.csv": table.to_csv(index=False, lineterminator="\n").encode()}
    if figure is not None:
        contents |= {f"costs.{kind}": plots.content(figure, kind) for kind in ("svg", "png", "pdf")}
    try:
        make_folder(out)
        for name, content in contents.items():
            with replacing(out / name, durable=False) as file:
                file.write(content)
    except OSError as error:
        raise UserError(f"cannot write {said(error)}", exit_code=MACHINE) from None
    show.line(console, f"written: {', '.join(str(out / name) for name in contents)}")


def default_algos() -> str:
    """All built-in algorithms, and savo with several numbers of extra actors, as `--algos` takes them."""
    names = [entry.name for entry in algos.BUILT_IN]
    return ",".join([*names, f"savo:extra_actors={','.join(map(str, EXTRA_ACTORS))}"])


def _measure(cells: Sequence[Cell], rounds: int, console: Console) -> list[dict[str, Any]]:
    """The rows of one environment's cells, in the columns of `costs`."""
    rows, trials = [], []
    for cell in track(cells, "counting", console=console, transient=True):
        trial = flops.Trial(algos.get(cell.algorithm), cell.config, probe(cell))
        trials.append(trial)
        others = {key: value for key, value in cell.overrides.items() if key != "extra_actors"}
        rows.append(
            {
                "environment": cell.env_label,
                "variant": cell.variant,
                "family": label(cell.algorithm, others),
                "extra_actors": getattr(cell.config, "extra_actors", None),
                "parameters": parameters(trial.agent),
                "update_flops": flops.of_update(trial),
                "action_flops": flops.of_action(trial),
                "update_ms": [],
                "action_ms": [],
                "tensor_bytes": memory.tensors(trial),
            }
        )
    for _ in track(range(rounds), "timing", console=console, transient=True):
        for row, trial in zip(rows, trials, strict=True):
            row["update_ms"].append(1e3 * _seconds(trial.update) / trial.delay)
            row["action_ms"].append(1e3 * _seconds(trial.act))
    for row in rows:
        row |= {name: float(np.median(row[name])) for name in ("update_ms", "action_ms")}
    return rows


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of some work, which is done as often as the clock needs."""
    began, times = time.process_time(), 0
    while (taken := time.process_time() - began) < LEAST_SECONDS:
        work()
        times += 1
    return taken / times


def _tell(console: Console, table: pd.DataFrame) -> None:
    """Print the costs of updates, of actions, and the laws."""
    first = table.groupby("environment")[list(RATIOS)].transform("first")  # td3's
    shown = table.join((table[list(RATIOS)] / first).add_suffix(" ratio"))
    show.paragraph(
        console,
        f"An update: trained parameters; FLOPs of its matrix products and milliseconds of one thread, also in those of "
        f"{REFERENCE}; MB of tensors that the agent keeps and the update holds at most, without replay",
    )
    _print(console, shown, {
        "parameters": ("parameters", show.thousands),
        "update_flops": ("FLOPs", show.thousands),
        "update_flops ratio": (f"× {REFERENCE}", show.decimal),
        "update_ms": ("ms", show.decimal),
        "update_ms ratio": (f"× {REFERENCE}", show.decimal),
        "tensor_bytes": ("MB", lambda size: show.decimal(size / 1e6)),
    })  # fmt: skip
    show.paragraph(console, "An action with exploration: FLOPs and microseconds")
    _print(console, shown, {
        "action_flops": ("FLOPs", show.thousands),
        "action_flops ratio": (f"× {REFERENCE}", show.decimal),
        "action_ms": ("µs", lambda ms: show.decimal(1e3 * ms)),
        "action_ms ratio": (f"× {REFERENCE}", show.decimal),
    })  # fmt: skip
    for (environment, family), rows in costs.families(table).items():
        for cost, unit, name in (("update_flops", 1e6, "MFLOPs"), ("update_ms", 1.0, "ms")):
            law = costs.law(rows, cost)
            if law is not None:
                show.paragraph(console, f"{family} on {environment}, k ≥ 1 extra actors: {law_text(law, unit, name)}")


def law_text(law: costs.Law, unit: float, name: str) -> str:
    """`an update takes 13.1 + 35.2 k + 1.1 k² MFLOPs; largest residual 0.00 MFLOPs`: a law in a unit."""
    constant, linear, quadratic, residual = (value / unit for value in law)
    signs = ["-" if value < 0 else "+" for value in (linear, quadratic)]
    terms = f"{constant:.4g} {signs[0]} {abs(linear):.4g} k {signs[1]} {abs(quadratic):.4g} k²"
    return f"an update takes {terms} {name}; largest residual {residual:.2f} {name}"


def _print(console: Console, table: pd.DataFrame, columns: dict[str, tuple[str, Callable[[float], str]]]) -> None:
    """Some columns of a table, each under its title and in its own form."""
    rows = [
        (row["environment"], row["variant"], [form(row[name]) for name, (_, form) in columns.items()])
        for row in table.to_dict("records")
    ]
    console.print(show.cell_table([title for title, _ in columns.values()], rows, console.width))
