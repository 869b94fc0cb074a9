"""Figures: frames in, matplotlib figures out, drawn with seaborn; the same bytes every time.

A learning curve is the mean over seeds, with its 95 % bootstrap interval as a band. It is the mean because the score
tables show it, and because a trimmed mean may hide seeds that never learn; the IQM is drawn on request. At each step
only seeds that were evaluated there count. Where a curve loses seeds, a tick with the number of seeds left marks it.
Incomplete cells are drawn faded, and the legend says so.

Intervals come from the tables: seaborn draws what is given and estimates nothing (errorbar=None).
"""

import io
import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from savo_bench.results import figure_settings  # noqa: F401  # before matplotlib, which reads settings as it loads

# isort: split
import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from savo_bench.results import page
from savo_bench.results.tables import FEW_SEEDS, NAMES


class LineStyle(NamedTuple):
    """The colour of a variant and its dashes: lengths of segments and gaps, none for a solid line."""

    colour: str
    dashes: tuple[float, ...]

    @property
    def linestyle(self) -> Any:
        """Its dashes as matplotlib takes them."""
        return (0, self.dashes) if self.dashes else "-"


# Okabe & Ito 2008, "Color Universal Design", without yellow, which is hard to see on white, and with a grey and a
# brown; each with dashes of its own, so that lines can be told apart when printed in grey
_STYLES = (
    LineStyle("#D55E00", (5, 1.5)),
    LineStyle("#56B4E9", (3, 1, 1, 1, 1, 1)),
    LineStyle("#8C4A2F", (3, 1.5)),
    LineStyle("#E69F00", (8, 2)),
    LineStyle("#000000", (2, 1)),
    LineStyle("#009E73", (1, 1)),
    LineStyle("#CC79A7", (5, 1.5, 1, 1.5)),
    LineStyle("#0072B2", ()),
    LineStyle("#7F7F7F", (8, 1.5, 1, 1.5)),
)
_SALT = 455  # ours: the smallest that gives this project's nine algorithms nine different styles
# Colour and dashes, by their numbers above, of variants that stand beside algorithms as controls (bench/controls.py, and
# TD3's smoothing). ours: no algorithm has them, and beside its headline each has a colour and dashes of its own
_CONTROLS = {
    "td3:target_noise=0": (4, 8),
    "savo:target_noise=0.2": (8, 5),
    "savo:conditioning=none": (6, 3),
    "savo:truncation=false": (3, 6),
    "savo:extra_actors=0": (2, 4),
    "ensemble:extra_actors=": (1, 2),  # with any number: that of equal compute depends on the task
    "wolpertinger:dual=true": (8, 1),
    "savo-sac:conditioning=none": (6, 2),
    "savo-sac:truncation=false": (3, 8),
}

WIDTH = 3.4  # inches, one column of a two-column paper
HEIGHT = 2.2  # inches of a panel, with its labels
_ENTRY, _LETTER, _LINE = 0.6, 0.06, 0.17  # inches of a legend: line and gaps of an entry, a letter, a row
_NAME = 34  # letters of a variant's name beside a row or a column; longer ones are broken. ours: a third of a page
_FADED = 0.5
# light on both sides of a half, so that dark letters can be read on all of it; blue and orange are apart to everyone
_MATRIX = LinearSegmentedColormap.from_list("matrix", ["#F0A868", "#F7F7F7", "#7FB2DD"])
_EMPTY = "#EEEEEE"
_ON_MATRIX = "#111111"
_RC: dict[str, Any] = {
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
    "svg.hashsalt": "savo-bench",  # otherwise the ids in an SVG file are random
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType; Type 3, the default, is refused by publishers
    "text.parse_math": False,  # a name with two $ is no formula
}
KINDS = {"svg": ("Date",), "png": ("Software",), "pdf": ("CreationDate", "Creator", "Producer")}  # what is left out
STYLE: list[Any] = ["default", _RC]  # whatever a file of the user says


def canvas(size: tuple[float, float]) -> Figure:
    """An empty figure of a size in inches that no window can show, whatever backend is chosen."""
    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def styles(variants: Iterable[str], colours: Mapping[str, str] | None = None) -> dict[str, LineStyle]:
    """A colour and dashes for each variant, no two alike.

    The name of an algorithm decides its style, so that it looks the same in every report, and a committed control has
    its own. Where the style is taken, a variant gets the next free one; where none is free, the colour of its algorithm
    with other dashes. Algorithms with their default fields choose first, then the others, in order of name.

    Args:
        variants: Their names.
        colours: Those that an author chose, by name; the dashes stay, unless two variants were alike.
    """
    found: dict[str, LineStyle] = {}
    kept = {key: LineStyle(_STYLES[i].colour, _STYLES[j].dashes) for key, (i, j) in _CONTROLS.items()}
    for name in sorted(set(variants), key=lambda name: (":" in name, name)):
        algorithm, _, fields = name.partition(":")
        first = zlib.crc32(f"{algorithm}/{_SALT}".encode(errors="backslashreplace")) % len(_STYLES)
        ordered = _STYLES[first:] + _STYLES[:first]
        mixed = [LineStyle(own.colour, other.dashes) for own in ordered for other in ordered]
        free = [style for style in (*ordered, *mixed) if style not in kept.values()]
        key = f"{algorithm}:{fields.partition('=')[0]}=" if "," not in fields else ""
        own = [kept[each] for each in (name, key) if each in kept]
        found[name] = next((style for style in (*own, *free) if style not in found.values()), ordered[0])
    for name, chosen in (colours or {}).items():
        others = [style for other, style in found.items() if other != name]
        dashes = [found[name].dashes, *(style.dashes for style in _STYLES)]
        found[name] = next((one for each in dashes if (one := LineStyle(chosen, each)) not in others), found[name])
    return found


def colour(text: str) -> str:
    """A colour as an author writes it, as #RRGGBB.

    Raises:
        ValueError: it is none.
    """
    return to_hex(text).upper()


def rendered(name: str, alt: str, figure: Figure) -> page.Figure:
    """A figure as the files that a report writes.

    Args:
        name: The name of the files, without folder and suffix.
        alt: What the figure shows, in words.
        figure: The drawing.
    """
    return page.Figure(name, alt, content(figure, "svg").decode(), content(figure, "png"))


def content(figure: Figure, kind: str) -> bytes:
    """A figure as a file of a kind, one of KINDS, without dates and versions."""
    opened = io.BytesIO()
    with matplotlib.style.context(STYLE):
        figure.savefig(opened, format=kind, metadata=dict.fromkeys(KINDS[kind]))
    return opened.getvalue()


def lines(
    axes: Axes,
    table: pd.DataFrame,
    x: str,
    y: str,
    ends: tuple[str, str],
    style: Mapping[str, LineStyle],
    faded: Collection[str] = (),
) -> None:
    """Draw a line with a band for each variant of a table.

    Args:
        axes: Where to draw.
        table: Has columns variant, `x`, `y` and the two `ends` of the interval.
        x: The column along the axis.
        y: The column of the line.
        ends: The columns of the band's lower and upper end.
        style: From `styles`, of all variants of the report.
        faded: The variants that are drawn faded.
    """
    opacity = 0.18 if table["variant"].nunique() <= 4 else 0.08  # many bands on top of each other would hide the lines
    for variant, own in table.groupby("variant"):
        colour, alpha = style[str(variant)].colour, _alpha(variant in faded)
        axes.fill_between(own[x], own[ends[0]], own[ends[1]], color=colour, alpha=opacity * alpha, linewidth=0)
        line: dict[str, Any] = {"color": colour, "linestyle": style[str(variant)].linestyle, "alpha": alpha}
        sns.lineplot(own, x=x, y=y, estimator=None, errorbar=None, zorder=3, **line, ax=axes)


def learning_curves(
    axes: Axes,
    curves: pd.DataFrame,
    cells: pd.DataFrame,
    style: Mapping[str, LineStyle],
    evals: pd.DataFrame | None = None,
    statistic: str = "mean",
) -> None:
    """Draw the learning curves of one environment, without a legend.

    Args:
        axes: Where to draw.
        curves: The environment's rows of `tables.curve_table`.
        cells: The environment's rows of `tables.score_table`.
        style: From `styles`, of all variants of the report.
        evals: The environment's rows of `Runs.evals`, for a thin line per seed; None draws none.
        statistic: What the line is, mean or iqm.
    """
    ends = ("low", "high") if statistic == "mean" else ("iqm_low", "iqm_high")
    faded = set(cells.loc[cells["n"] < cells["seeds"], "variant"])
    for variant, seeds in [] if evals is None else evals.groupby("variant"):
        thin: dict[str, Any] = {"linewidth": 0.4, "alpha": 0.4 * _alpha(variant in faded)}
        colour = style[str(variant)].colour
        sns.lineplot(seeds, x="step", y="return", units="seed", estimator=None, color=colour, **thin, ax=axes)
    lines(axes, curves, "step", statistic, ends, style, faded)
    for variant, curve in curves.groupby("variant"):
        colour = style[str(variant)].colour
        if len(curve) == 1:  # a line needs two points
            _point(axes, curve.iloc[0], statistic, ends, colour, _alpha(variant in faded))
        _mark_losses(axes, curve, statistic, colour)
    _step_axis(axes, cells["steps"].max())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylabel(f"{NAMES[statistic]} return" if statistic == "mean" else "IQM of the return")


def _alpha(faded: bool) -> float:
    return _FADED if faded else 1.0


def _step_axis(axes: Axes, end: float) -> None:
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: steps_text(step)))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("environment steps")


def _point(axes: Axes, at: pd.Series, statistic: str, ends: tuple[str, str], colour: str, alpha: float) -> None:
    """The only point of a curve, with its interval."""
    value, low, high = (float(at[name]) for name in (statistic, *ends))
    error = None if np.isnan(low) else np.maximum([[value - low], [high - value]], 0)
    shown: dict[str, Any] = {"marker": "o", "markersize": 3, "capsize": 2, "clip_on": False}
    axes.errorbar([at["step"]], [value], error, color=colour, alpha=alpha, **shown)


def _mark_losses(axes: Axes, curve: pd.DataFrame, statistic: str, colour: str) -> None:
    """A tick on the last point before seeds are missing, with the number of seeds left; at most three on a curve."""
    steps, values, n = (curve[name].to_numpy() for name in ("step", statistic, "n"))
    losses = np.flatnonzero(np.diff(n) < 0)
    for i in losses if len(losses) <= 3 else losses[[0, len(losses) // 2, -1]]:
        axes.plot(steps[i], values[i], marker="|", markersize=7, color=colour)
        beside = (2, -8) if values[i + 1] >= values[i] else (2, 3)  # where the line does not go
        text = axes.annotate(f"n={n[i + 1]}", (steps[i], values[i]), beside, textcoords="offset points", fontsize=6)
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
    style: Mapping[str, LineStyle] | None = None,
) -> Figure:
    """Learning curves of some environments side by side, with one legend below; a single one fits a paper's column.

    Args:
        environments: Which, in which order; two a row.
        curves: From `tables.curve_table`.
        scores: From `tables.score_table`, of the whole report, so that a variant has one style in all its figures.
        evals: `Runs.evals`, for a thin line per seed; None draws none.
        statistic: What the lines are, mean or iqm.
        style: Of all variants of the report, in its order; None: from `styles`.
    """
    if style is None:
        style = dict(sorted(styles(scores["variant"]).items()))
    shown = scores[scores["environment"].isin(list(environments))]
    columns = min(2, len(environments))
    rows = -(-len(environments) // columns)
    cells_of = dict(list(shown.groupby("variant")))
    names = {variant: _name_with_seeds(cells_of[variant]) for variant in style if variant in cells_of}
    labels, across, legend = _legend_size(WIDTH * columns, names)
    height = HEIGHT * rows + legend
    with matplotlib.style.context(STYLE):
        figure = canvas((WIDTH * columns, height))
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, environment in zip(grid, environments, strict=False):
            here = curves[curves["environment"] == environment]
            cells = scores[scores["environment"] == environment]
            seeds = None if evals is None else evals[evals["environment"] == environment]
            learning_curves(axes, here, cells, style, seeds, statistic)
            axes.set_title(environment)
        for axes in grid[len(environments) :]:
            axes.set_axis_off()
        _draw_legend(figure, style, labels, across)
    return figure


def aggregate_figure(aggregates: pd.DataFrame, style: Mapping[str, LineStyle], names: Mapping[str, str]) -> Figure:
    """IQM, median, mean and optimality gap of normalised scores side by side, a bar per variant for its interval.

    Args:
        aggregates: From `tables.aggregate_table`.
        style: From `styles`, of all variants of the report.
        names: What to call each variant. One whose name here is not its own lacks seeds and is drawn faded.
    """
    panels = {"iqm": "IQM", "median": "median", "mean": "mean", "gap": "gap (less is better)"}
    variants = list(aggregates["variant"])
    labels = [_broken(names[variant], _NAME) for variant in variants]
    row = max(0.24, *(_LINE * (1 + label.count("\n")) for label in labels))
    with matplotlib.style.context(STYLE):
        figure = canvas((2 * WIDTH, 0.75 + row * len(variants)))
        grid = figure.subplots(1, len(panels), sharey=True)
        for axes, (name, title) in zip(grid, panels.items(), strict=True):
            palette = {variant: (style[variant].colour, _alpha(variant in _faded(names))) for variant in variants}
            sns.stripplot(
                aggregates,
                x=name,
                y="variant",
                hue="variant",
                palette=palette,
                jitter=False,
                marker="|",
                size=9,
                linewidth=2,
                legend=False,
                ax=axes,
            )
            intervals = aggregates[[f"{name}_low", f"{name}_high"]].to_numpy()
            for at, ((low, high), (colour, alpha)) in enumerate(zip(intervals, palette.values(), strict=True)):
                axes.hlines(at, low, high, color=colour, alpha=0.35 * alpha, linewidth=5)
            axes.set_title(title)
            axes.set_yticks(range(len(variants)), labels)
            axes.set_ylim(len(variants) - 0.5, -0.5)
            axes.set(xlabel="", ylabel="")
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.grid(visible=True)
            axes.yaxis.grid(visible=False)
            axes.tick_params(axis="y", length=0)
        figure.supxlabel("normalised score", fontsize=_RC["axes.labelsize"])
    return figure


def profile_figure(profiles: pd.DataFrame, style: Mapping[str, LineStyle], names: Mapping[str, str]) -> Figure:
    """Performance profiles: the share of runs above each normalised score, with pointwise 95 % bands.

    Args:
        profiles: From `tables.profile_table`.
        style: From `styles`, of all variants of the report.
        names: As for `aggregate_figure`.
    """
    figure, axes = _panel(profiles, style, names, "height", "share")
    axes.set_xlim(profiles["height"].min(), profiles["height"].max())
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("normalised score x")
    axes.set_ylabel("share of runs above x")
    return figure


def aggregate_curve_figure(curves: pd.DataFrame, style: Mapping[str, LineStyle], names: Mapping[str, str]) -> Figure:
    """IQM of the normalised return by step, with pointwise 95 % bands.

    Args:
        curves: From `tables.aggregate_curve_table`.
        style: From `styles`, of all variants of the report.
        names: As for `aggregate_figure`.
    """
    figure, axes = _panel(curves, style, names, "step", "iqm")
    _step_axis(axes, curves["step"].max())
    axes.set_ylabel("IQM of the normalised return")
    return figure


def _panel(
    table: pd.DataFrame, style: Mapping[str, LineStyle], names: Mapping[str, str], x: str, y: str
) -> tuple[Figure, Axes]:
    """One panel with a line and a band for each variant, and a legend below."""
    labels, across, legend = _legend_size(WIDTH, {variant: names[variant] for variant in table["variant"]})
    with matplotlib.style.context(STYLE):
        figure = canvas((WIDTH, HEIGHT + legend))
        axes = figure.subplots()
        lines(axes, table, x, y, ("low", "high"), style, _faded(names))
        _draw_legend(figure, style, labels, across)
    return figure, axes


def _faded(names: Mapping[str, str]) -> set[str]:
    """The variants that lack seeds: those whose name says so."""
    return {variant for variant, name in names.items() if name != variant}


def improvement_figure(improvements: pd.DataFrame) -> Figure:
    """The matrix of the probability that a run of the row's variant beats one of the column's.

    Args:
        improvements: From `tables.improvement_table`.
    """
    variants = list(dict.fromkeys(improvements["x"]))  # each once, as every pair is there both ways
    ends = [
        "" if np.isnan(low) else f"\n{low:.2f}–{high:.2f}" for low, high in improvements[["low", "high"]].to_numpy()
    ]
    texts = improvements["probability"].map("{:.2f}".format) + ends
    pairs = improvements.assign(text=texts)
    values, notes = (
        pairs.pivot(index="x", columns="y", values=name).reindex(variants).reindex(variants, axis=1)
        for name in ("probability", "text")
    )
    labels = [_broken(variant, _NAME) for variant in variants]
    broken = labels != variants
    side = 0.62 * len(variants)
    margin = 0.25 + _LETTER * max(len(line) for label in labels for line in label.split("\n"))
    with matplotlib.style.context([*STYLE, {"axes.grid": False}]):
        figure = canvas((side + margin + 0.2, side + (1.0 if broken else 0.75) * margin + 0.2))
        axes = figure.subplots()
        axes.set_facecolor(_EMPTY)  # shows where two variants have no task in common
        sns.heatmap(
            values,
            annot=notes.fillna(""),
            fmt="",
            annot_kws={"fontsize": 6.5, "color": _ON_MATRIX},
            vmin=0,
            vmax=1,
            cmap=_MATRIX,
            cbar=False,
            square=True,
            linewidths=1,
            linecolor="white",
            xticklabels=False,  # set below
            yticklabels=False,
            ax=axes,
        )
        turned: dict[str, Any] = (
            {"rotation": 90} if broken else {"rotation": 30, "ha": "left", "rotation_mode": "anchor"}
        )
        axes.set_xticks(np.arange(len(variants)) + 0.5, labels, **turned)
        axes.set_yticks(np.arange(len(variants)) + 0.5, labels, rotation=0)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set(xlabel="… beats one of", ylabel="a run of …")
        axes.xaxis.set_label_position("top")
    return figure


def _broken(name: str, letters: int) -> str:
    """A variant's name in lines that are no longer than so many letters, broken between its fields."""
    lines = [""]
    for part in re.split(r"(?<=[,:])", name):
        if lines[-1] and len(lines[-1] + part) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _legend_size(width: float, names: Mapping[str, str]) -> tuple[dict[str, str], int, float]:
    """The labels of a legend, how many of them fit in a row, and its height, in a figure of a width in inches."""
    labels = {variant: _broken(name, int((width - _ENTRY) / _LETTER)) for variant, name in names.items()}
    split = [label.split("\n") for label in labels.values()]
    across = max(1, int(width / (_ENTRY + _LETTER * max(len(line) for label in split for line in label))))
    rows = sum(max(map(len, split[first : first + across])) for first in range(0, len(split), across))
    return labels, across, _LINE * rows


def _draw_legend(figure: Figure, style: Mapping[str, LineStyle], labels: Mapping[str, str], across: int) -> None:
    handles = [
        Line2D([], [], color=style[variant].colour, linestyle=style[variant].linestyle, label=label)
        for variant, label in labels.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=across)


def _name_with_seeds(cells: pd.DataFrame) -> str:
    """A variant's name, and how many seeds it has where that is not all or not enough."""
    name = cells["variant"].iloc[0]
    if (cells["n"] == cells["seeds"]).all() and (cells["n"] >= FEW_SEEDS).all():
        return name
    notes = set(cells["coverage"])
    return f"{name} ({notes.pop() if len(notes) == 1 else 'incomplete'})"
