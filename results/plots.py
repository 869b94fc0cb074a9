"""Figures: frames in, matplotlib figures out, the same bytes every time.

A learning curve is the mean over seeds with its 95 % bootstrap interval as a band: the mean, because the score tables
give it and because it does not hide seeds that never learn, as a trimmed mean may; the IQM on request. At each step
only seeds that were evaluated there count. Where a curve loses seeds a tick stands on it with the number that goes on;
cells that are not complete are drawn faded and say so in the legend.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from savo_bench.results.files import replacing
from savo_bench.results.tables import FEW_SEEDS, NAMES

Look = tuple[str, Any]  # a colour and matplotlib's line style

# Okabe & Ito 2008, "Color Universal Design", without yellow, which is lost on white, and with a grey and a brown; each
# with dashes of its own, so that lines stay apart when printed in grey
_LOOKS: tuple[Look, ...] = (
    ("#0072B2", "-"),
    ("#D55E00", (0, (5, 1.5))),
    ("#009E73", (0, (1, 1))),
    ("#CC79A7", (0, (5, 1.5, 1, 1.5))),
    ("#E69F00", (0, (8, 2))),
    ("#56B4E9", (0, (3, 1, 1, 1, 1, 1))),
    ("#000000", (0, (2, 1))),
    ("#7F7F7F", (0, (8, 1.5, 1, 1.5))),
    ("#8C4A2F", (0, (3, 1.5))),
)
_KNOWN = (
    "savo",
    "td3",
    "ensemble",
    "cem",
    "wolpertinger",
    "sac",
    "savo-sac",
    "greedy-ac",
    "greedy-td3",
)  # these keep their look everywhere

WIDTH = 3.4  # inches, one column of a two-column paper
HEIGHT = 2.2  # of a panel, with its labels
_ENTRY, _LETTER, _LINE = 0.6, 0.06, 0.17  # inches of a legend: line and gaps of an entry, a letter, a row
_NAME = 34  # letters of a variant's name beside a row or a column; longer ones are broken. ours: a third of a page
_FADED = 0.5
# light on both sides of a half, so that dark letters can be read on all of it; blue and orange are apart to everyone
_MATRIX = LinearSegmentedColormap.from_list("matrix", ["#F0A868", "#F7F7F7", "#7FB2DD"])
_EMPTY = "#EEEEEE"
_ON_MATRIX = "#111111"
_STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "svg.hashsalt": "savo-bench",  # else ids of an SVG file are random
    "svg.fonttype": "path",
}


def looks(variants: Iterable[str]) -> dict[str, Look]:
    """A colour and a line style per variant: known algorithms keep theirs, others take free ones in order of name.

    Where none is free, a variant has the colour of its algorithm and the dashes of another.
    """
    names = sorted(set(variants))
    found = {name: _LOOKS[_KNOWN.index(name)] for name in names if name in _KNOWN}
    for count, name in enumerate(name for name in names if name not in found):
        algorithm = name.partition(":")[0]
        home = _KNOWN.index(algorithm) if algorithm in _KNOWN else count % len(_LOOKS)
        again = [(colour, dashes) for colour, _ in _LOOKS[home:] + _LOOKS[:home] for _, dashes in _LOOKS]
        unused = [look for look in (*_LOOKS, *again) if look not in found.values()]
        found[name] = unused[0] if unused else again[count % len(again)]
    return found


def learning_curves(
    axes: Axes,
    curves: pd.DataFrame,
    cells: pd.DataFrame,
    look: Mapping[str, Look],
    evals: pd.DataFrame | None = None,
    statistic: str = "mean",
) -> None:
    """Draw one environment's curves, without a legend.

    Args:
        axes: Where to.
        curves: The environment's rows of `tables.curve_table`.
        cells: The environment's rows of `tables.score_table`.
        look: From `looks`, of all variants of the report.
        evals: The environment's rows of `Runs.evals`, for a thin line per seed; None draws none.
        statistic: What the line is, mean or iqm.
    """
    ends = ("low", "high") if statistic == "mean" else ("iqm_low", "iqm_high")
    bands = _band(len(cells))
    for cell in cells.to_dict("records"):
        colour, dashes = look[cell["variant"]]
        alpha = 1.0 if cell["n"] == cell["seeds"] else _FADED
        curve = curves[curves["variant"] == cell["variant"]]
        steps, mean, low, high, n = (curve[name].to_numpy() for name in ("step", statistic, *ends, "n"))
        if evals is not None:
            for _, seed in evals[evals["variant"] == cell["variant"]].groupby("seed"):
                axes.plot(seed["step"], seed["return"], color=colour, linewidth=0.4, alpha=0.4 * alpha)
        if len(steps) == 1:  # a line needs two points
            errors = None if np.isnan(low[0]) else np.maximum([mean - low, high - mean], 0)
            axes.errorbar(
                steps, mean, errors, color=colour, alpha=alpha, marker="o", markersize=3, capsize=2, clip_on=False
            )
        axes.fill_between(steps, low, high, color=colour, alpha=bands * alpha, linewidth=0)
        axes.plot(steps, mean, color=colour, linestyle=dashes, alpha=alpha, zorder=3)
        _mark_losses(axes, steps, mean, n, colour)
    _step_axis(axes, cells["steps"].max())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel(f"{NAMES[statistic]} return" if statistic == "mean" else "IQM of the return")


def _step_axis(axes: Axes, end: float) -> None:
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: steps_text(step)))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("environment steps")


def _mark_losses(axes: Axes, steps: np.ndarray, mean: np.ndarray, n: np.ndarray, colour: str) -> None:
    """A tick on the last point before seeds are missing, with the number that goes on; at most three a curve."""
    losses = np.flatnonzero(np.diff(n) < 0)
    for i in losses if len(losses) <= 3 else losses[[0, len(losses) // 2, -1]]:
        axes.plot(steps[i], mean[i], marker="|", markersize=7, color=colour)
        beside = (2, -8) if mean[i + 1] >= mean[i] else (2, 3)  # where the line does not go
        text = axes.annotate(f"n={n[i + 1]}", (steps[i], mean[i]), beside, textcoords="offset points", fontsize=6)
        text.set(color=colour, path_effects=[withStroke(linewidth=1.5, foreground="white")], zorder=4)


def steps_text(step: float) -> str:
    """`50k`, `1.5M`."""
    if step >= 1_000_000:
        return f"{step / 1_000_000:g}M"
    return f"{step / 1_000:g}k" if step >= 1_000 else f"{step:g}"


def curve_figure(
    environments: Sequence[str],
    curves: pd.DataFrame,
    scores: pd.DataFrame,
    evals: pd.DataFrame | None = None,
    statistic: str = "mean",
) -> Figure:
    """Learning curves of some environments side by side, one legend below; a single one fits a column of a paper.

    Args:
        environments: Which, in which order; two a row.
        curves: From `tables.curve_table`.
        scores: From `tables.score_table`, of the whole report, so that a variant looks the same in all its figures.
        evals: `Runs.evals`, for a thin line per seed; None draws none.
        statistic: What the lines are, mean or iqm.
    """
    look = looks(scores["variant"])
    shown = scores[scores["environment"].isin(list(environments))]
    columns = min(2, len(environments))
    rows = -(-len(environments) // columns)
    names = {str(variant): _legend(cells) for variant, cells in shown.groupby("variant", sort=True)}
    labels, across, legend = _legend_size(WIDTH * columns, names)
    height = HEIGHT * rows + legend
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure((WIDTH * columns, height), layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, environment in zip(grid, environments, strict=False):
            here = curves[curves["environment"] == environment]
            cells = scores[scores["environment"] == environment]
            seeds = None if evals is None else evals[evals["environment"] == environment]
            learning_curves(axes, here, cells, look, seeds, statistic)
            axes.set_title(environment)
        for axes in grid[len(environments) :]:
            axes.set_axis_off()
        _draw_legend(figure, look, labels, across)
    return figure


# ---- aggregates


def aggregate_figure(aggregates: pd.DataFrame, look: Mapping[str, Look], names: Mapping[str, str]) -> Figure:
    """IQM, median, mean and optimality gap of normalised scores side by side, a line per variant with its interval.

    Args:
        aggregates: From `tables.aggregate_table`.
        look: From `looks`, of all variants of the report.
        names: What a variant is called; one that is called otherwise than it is lacks seeds and is drawn faded.
    """
    panels = {"iqm": "IQM", "median": "median", "mean": "mean", "gap": "gap (less is better)"}
    variants = list(aggregates["variant"])
    labels = [_broken(names[variant], _NAME) for variant in variants]
    row = max(0.24, *(_LINE * (1 + label.count("\n")) for label in labels))
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure((2 * WIDTH, 0.75 + row * len(variants)), layout="constrained")
        grid = figure.subplots(1, len(panels), sharey=True)
        for axes, (name, title) in zip(grid, panels.items(), strict=True):
            for at, cell in enumerate(aggregates.to_dict("records")):
                colour = look[cell["variant"]][0]
                alpha = _alpha(cell["variant"], names)
                ends, style = [cell[f"{name}_low"], cell[f"{name}_high"]], {"solid_capstyle": "butt", "linewidth": 5}
                axes.plot(ends, [at, at], color=colour, alpha=0.35 * alpha, **style)
                axes.plot(cell[name], at, marker="|", markersize=9, markeredgewidth=2, color=colour, alpha=alpha)
            axes.set_title(title)
            axes.set_yticks(range(len(variants)), labels)
            axes.set_ylim(len(variants) - 0.5, -0.5)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.grid(visible=False)
            axes.tick_params(axis="y", length=0)
        figure.supxlabel("normalised score", fontsize=_STYLE["axes.labelsize"])
    return figure


def profile_figure(profiles: pd.DataFrame, look: Mapping[str, Look], names: Mapping[str, str]) -> Figure:
    """Performance profiles: the share of runs above each normalised score, with pointwise 95 % bands.

    Args:
        profiles: From `tables.profile_table`.
        look: From `looks`, of all variants of the report.
        names: As for `aggregate_figure`.
    """
    x, y, ends = "height", "share", ("low", "high")
    figure, axes = _lines(profiles, look, names, x, y, ends)
    axes.set_xlim(profiles[x].min(), profiles[x].max())
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("normalised score x")
    axes.set_ylabel("share of runs above x")
    return figure


def aggregate_curve_figure(curves: pd.DataFrame, look: Mapping[str, Look], names: Mapping[str, str]) -> Figure:
    """IQM of the normalised return by step, with pointwise 95 % bands.

    Args:
        curves: From `tables.aggregate_curve_table`.
        look: From `looks`, of all variants of the report.
        names: As for `aggregate_figure`.
    """
    figure, axes = _lines(curves, look, names, "step", "iqm", ("low", "high"))
    _step_axis(axes, curves["step"].max())
    axes.set_ylabel("IQM of the normalised return")
    return figure


def _lines(
    table: pd.DataFrame, look: Mapping[str, Look], names: Mapping[str, str], x: str, y: str, ends: tuple[str, str]
) -> tuple[Figure, Axes]:
    """One panel with a line and a band per variant and a legend below."""
    labels, across, legend = _legend_size(WIDTH, {variant: names[variant] for variant in table["variant"]})
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure((WIDTH, HEIGHT + legend), layout="constrained")
        axes = figure.subplots()
        for variant in labels:
            (colour, dashes), alpha = look[variant], _alpha(variant, names)
            own = table[table["variant"] == variant]
            band = _band(len(labels)) * alpha
            axes.fill_between(own[x], own[ends[0]], own[ends[1]], color=colour, alpha=band, linewidth=0)
            axes.plot(own[x], own[y], color=colour, linestyle=dashes, alpha=alpha, zorder=3)
        _draw_legend(figure, look, labels, across)
    return figure, axes


def _alpha(variant: str, names: Mapping[str, str]) -> float:
    return 1.0 if names[variant] == variant else _FADED


def _band(lines: int) -> float:
    """How opaque the band of one line of many is: many on top of each other would hide the lines."""
    return 0.18 if lines <= 4 else 0.08


def improvement_figure(improvements: pd.DataFrame) -> Figure:
    """The matrix of the probability that a run of the row's variant beats one of the column's.

    Args:
        improvements: From `tables.improvement_table`.
    """
    variants = sorted({*improvements["x"], *improvements["y"]})
    cells = {(row["x"], row["y"]): row for row in improvements.to_dict("records")}
    labels = [_broken(variant, _NAME) for variant in variants]
    broken = labels != variants
    side = 0.62 * len(variants)
    margin = 0.25 + _LETTER * max(len(line) for label in labels for line in label.split("\n"))
    with matplotlib.style.context(["default", _STYLE, {"axes.grid": False}]):
        figure = Figure((side + margin + 0.2, side + (1.0 if broken else 0.75) * margin + 0.2), layout="constrained")
        axes = figure.subplots()
        for i, j in np.ndindex(len(variants), len(variants)):
            row = cells.get((variants[i], variants[j]))
            colour = _MATRIX(row["probability"]) if row else _EMPTY
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1))
            if row:
                letters: dict[str, Any] = {"ha": "center", "va": "center", "color": _ON_MATRIX}
                axes.text(j, i - 0.12, f"{row['probability']:.2f}", fontsize=8, **letters)
                ends = "" if np.isnan(row["low"]) else f"{row['low']:.2f}–{row['high']:.2f}"
                axes.text(j, i + 0.22, ends, fontsize=5.5, **letters)
        axes.set(xlim=(-0.5, len(variants) - 0.5), ylim=(len(variants) - 0.5, -0.5), aspect="equal")
        turned: dict[str, Any] = (
            {"rotation": 90} if broken else {"rotation": 30, "ha": "left", "rotation_mode": "anchor"}
        )
        axes.set_xticks(range(len(variants)), labels, **turned)
        axes.set_yticks(range(len(variants)), labels)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylabel("a run of …")
        axes.set_xlabel("… beats one of")
        axes.xaxis.set_label_position("top")
    return figure


# ---- legends, files


def _broken(name: str, letters: int) -> str:
    """A variant's name in lines that are no longer than so many letters, broken between its fields."""
    lines = [""]
    for part in re.split(r"(?<=[,:])", name):
        if lines[-1] and len(lines[-1] + part) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _legend_size(width: float, names: Mapping[str, str]) -> tuple[dict[str, str], int, float]:
    """The labels of a legend, how many it has a row, and its height, in a figure of a width in inches."""
    labels = {variant: _broken(name, int((width - _ENTRY) / _LETTER)) for variant, name in names.items()}
    lines = [label.split("\n") for label in labels.values()]
    across = max(1, int(width / (_ENTRY + _LETTER * max(len(line) for label in lines for line in label))))
    height = sum(max(map(len, lines[first : first + across])) for first in range(0, len(lines), across))
    return labels, across, _LINE * height


def _draw_legend(figure: Figure, look: Mapping[str, Look], labels: Mapping[str, str], across: int) -> None:
    handles = [
        Line2D([], [], color=look[variant][0], linestyle=look[variant][1], label=label)
        for variant, label in labels.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=across)


def _legend(cells: pd.DataFrame) -> str:
    """A variant's name, and how many seeds it has where that is not all or not enough."""
    name = cells["variant"].iloc[0]
    if (cells["n"] == cells["seeds"]).all() and (cells["n"] >= FEW_SEEDS).all():
        return name
    notes = set(cells["coverage"])
    return f"{name} ({notes.pop() if len(notes) == 1 else 'incomplete'})"


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write name.svg and name.png into an existing folder, whole or not at all, without date; returns the paths."""
    paths = []
    for suffix, metadata in ((".svg", {"Date": None}), (".png", {"Software": None})):
        content = io.BytesIO()
        with matplotlib.style.context(["default", _STYLE]):
            figure.savefig(content, format=suffix[1:], metadata=metadata)
        paths.append(folder / f"{name}{suffix}")
        with replacing(paths[-1], durable=False) as file:
            file.write(content.getvalue())
    return paths
