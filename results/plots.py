"""Figures: frames in, matplotlib figures out, drawn with seaborn; the same bytes every time.

A learning curve is the mean over seeds, with its 95 % bootstrap interval as a band. It is the mean because the score
tables show it, and because a trimmed mean may hide seeds that never learn; the IQM is drawn on request. At each step
only seeds that were evaluated there count. Where a curve loses seeds, a tick with the number of seeds left marks it.
Incomplete cells are drawn faded, and the legend says so.

More than MANY curves in one panel cannot be told apart: each then gets a panel of its own, over the others in grey, or
a chosen few have colour. A figure is as wide as it is printed, with letters of 8 points.

Intervals come from the tables: what draws estimates nothing.
"""

import io
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from savo_bench.results import figure_settings  # noqa: F401  # before matplotlib, which reads settings as it loads

# isort: split
import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator

from savo_bench.results import page
from savo_bench.results.palette import ON_MATRIX, REST
from savo_bench.results.tables import FEW_SEEDS, NAMES
from savo_bench.results.widths import COLUMN


class LineStyle(NamedTuple):
    """The colour of a variant and its dashes: lengths of segments and gaps, none for a solid line."""

    colour: str
    dashes: tuple[float, ...]

    @property
    def linestyle(self) -> Any:
        """Its dashes as matplotlib takes them."""
        return (0, self.dashes) if self.dashes else "-"


# the colours of `palette`, which says where they come from; each with dashes of its own, so that lines can be told
# apart when printed in grey
_STYLES = (
    LineStyle("#D55E00", (5, 1.5)),
    LineStyle("#2E8FC6", (3, 1, 1, 1, 1, 1)),
    LineStyle("#8C4A2F", (3, 1.5)),
    LineStyle("#B87A00", (8, 2)),
    LineStyle("#000000", (2, 1)),
    LineStyle("#009E73", (1, 1)),
    LineStyle("#C7669B", (5, 1.5, 1, 1.5)),
    LineStyle("#0B4F94", ()),
    LineStyle("#6A3D9A", (8, 1.5, 1, 1.5)),
)
_SALT = 455  # ours: the smallest that gives this project's nine algorithms nine different styles
# Colour and dashes, by their numbers above, of the controls that stand beside algorithms: bench/controls.py, and
# TD3's smoothing. ours: no algorithm has them, and beside its headline each has a colour and dashes of its own
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

WIDTH = COLUMN  # inches, what a figure has where nobody says how wide it is
HEIGHT = 2.2  # inches of a panel, with its labels
MANY = 6  # curves in a panel. ours: with seven colours and dashes one looks for each in the legend
_FEW = 5  # of more, that have colour. ours: the rest in grey takes the place of a sixth
_LEAST_PANEL = 1.55  # inches of width. ours: a title of 20 letters and three numbers below
ENTRY, LETTER, LINE = (
    0.6,
    0.068,
    0.18,
)  # inches of a legend: line and gaps of an entry, a letter, a row; all at 8 points
_NAME = 0.4  # of a figure's width, for names beside rows; longer ones are broken. ours: most is left for numbers
_FADED = 0.5
# light on both sides of a half, so that dark letters can be read on all of it; blue and orange are apart to everyone
_MATRIX = LinearSegmentedColormap.from_list("matrix", ["#F0A868", "#F7F7F7", "#7FB2DD"])
_EMPTY = "#EEEEEE"
_CELL = 0.66  # inches of a cell that holds an interval, as 0.55–0.83
_RC: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
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
        seen = {part for style in found.values() for part in style}  # of both, as lines are printed in grey, too
        apart = sorted((*ordered, *mixed), key=lambda style: sum(part in seen for part in style))
        free = [style for style in (ordered[0], *apart) if style not in kept.values()]
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
    with matplotlib.style.context(STYLE):
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)  # once for all files: finding room for the labels takes longer than drawing
            figure.set_layout_engine(None)
    svg, png, pdf = (content(figure, kind) for kind in KINDS)
    return page.Figure(name, alt, svg.decode(), png, pdf, figure)


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
    chosen: Collection[str] = (),
) -> None:
    """Draw a line with a band for each variant of a table.

    Args:
        axes: Where to draw.
        table: Has columns variant, `x`, `y` and the two `ends` of the interval, in the order of `x`.
        x: The column along the axis.
        y: The column of the line.
        ends: The columns of the band's lower and upper end.
        style: From `styles`, of all variants of the report.
        faded: The variants that are drawn faded.
        chosen: The variants in colour, the others being thin and grey; none: all in colour.
    """
    curves = {str(variant): own for variant, own in table.groupby("variant")}
    rest = [own[[x, y]].to_numpy(dtype=float) for variant, own in curves.items() if chosen and variant not in chosen]
    if rest:
        axes.add_collection(LineCollection(rest, colors=REST, linewidths=0.5, zorder=2))
        axes.autoscale_view()
    halo: dict[str, Any] = {"path_effects": [withStroke(linewidth=3, foreground="white")]} if rest else {}
    shown = {variant: own for variant, own in curves.items() if not chosen or variant in chosen}
    opacity = 0.18 if len(shown) <= 4 else 0.08  # many bands on top of each other would hide the lines
    for variant, own in shown.items():
        colour, alpha = style[variant].colour, _alpha(variant in faded)
        axes.fill_between(own[x], own[ends[0]], own[ends[1]], color=colour, alpha=opacity * alpha, linewidth=0)
        dashes = "-" if len(chosen) == 1 else style[variant].linestyle  # alone it cannot be taken for another
        axes.plot(own[x], own[y], color=colour, linestyle=dashes, alpha=alpha, zorder=3, **halo)


def learning_curves(
    axes: Axes,
    curves: pd.DataFrame,
    cells: pd.DataFrame,
    style: Mapping[str, LineStyle],
    evals: pd.DataFrame | None = None,
    statistic: str = "mean",
    *,
    chosen: Collection[str] = (),
    x: str = "step",
) -> None:
    """Draw the learning curves of one environment, without a legend and names of its axes.

    Args:
        axes: Where to draw.
        curves: The environment's rows of `tables.curve_table`.
        cells: The environment's rows of `tables.score_table`.
        style: From `styles`, of all variants of the report.
        evals: The environment's rows of `Runs.evals`, for a thin line per seed; None draws none.
        statistic: What the line is, mean or iqm.
        chosen: The variants in colour; none: all.
        x: The column along the axis. If it is not the step, seeds have no lines of their own.
    """
    ends = ("low", "high") if statistic == "mean" else ("iqm_low", "iqm_high")
    faded = set(cells.loc[cells["n"] < cells["seeds"], "variant"])
    seeds = [] if evals is None or x != "step" else list(evals.groupby(["variant", "seed"]))
    for (variant, _), seed in seeds:
        if not chosen or variant in chosen:
            thin: dict[str, Any] = {"linewidth": 0.4, "alpha": 0.4 * _alpha(variant in faded)}
            axes.plot(seed["step"], seed["return"], color=style[str(variant)].colour, **thin)
    lines(axes, curves, x, statistic, ends, style, faded, chosen)
    for variant, curve in curves.groupby("variant"):
        if chosen and variant not in chosen:
            continue
        colour = style[str(variant)].colour
        if len(curve) == 1:  # a line needs two points
            _point(axes, curve.iloc[0], x, statistic, ends, colour, _alpha(variant in faded))
        _mark_losses(axes, curve, x, statistic, colour)
    if x == "step":
        _step_axis(axes, cells["steps"].max())


def _alpha(faded: bool) -> float:
    return _FADED if faded else 1.0


def _step_axis(axes: Axes, end: float) -> None:
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: steps_text(step)))


def _point(axes: Axes, at: pd.Series, x: str, statistic: str, ends: tuple[str, str], colour: str, alpha: float) -> None:
    """The only point of a curve, with its interval."""
    value, low, high = (float(at[name]) for name in (statistic, *ends))
    error = None if np.isnan(low) else np.maximum([[value - low], [high - value]], 0)
    shown: dict[str, Any] = {"marker": "o", "markersize": 3, "capsize": 2, "clip_on": False}
    axes.errorbar([at[x]], [value], error, color=colour, alpha=alpha, **shown)


def _mark_losses(axes: Axes, curve: pd.DataFrame, x: str, statistic: str, colour: str) -> None:
    """A tick on the last point before seeds are missing, with the number of seeds left; at most three on a curve."""
    steps, values, n = (curve[name].to_numpy() for name in (x, statistic, "n"))
    losses = np.flatnonzero(np.diff(n) < 0)
    for i in losses if len(losses) <= 3 else losses[[0, len(losses) // 2, -1]]:
        axes.plot(steps[i], values[i], marker="|", markersize=7, color=colour)
        beside = (2, -8) if values[i + 1] >= values[i] else (2, 3)  # where the line does not go
        text = axes.annotate(f"n={n[i + 1]}", (steps[i], values[i]), beside, textcoords="offset points")
        text.set(color=colour, path_effects=[withStroke(linewidth=1.5, foreground="white")], zorder=4)


def steps_text(step: float) -> str:
    """`50k`, `1.5M`."""
    if step >= 1_000_000:
        return f"{step / 1_000_000:g}M"
    return f"{step / 1_000:g}k" if step >= 1_000 else f"{step:g}"


def leading(scores: pd.DataFrame, column: str) -> tuple[str, ...]:
    """The variants in colour where there are more than MANY and nobody chose: those with the best mean rank over tasks.

    Args:
        scores: From `tables.score_table`.
        column: The score by which they are ranked, such as last10_mean.
    """
    ranks = scores.assign(rank=scores.groupby("environment")[column].rank(ascending=False, na_option="bottom"))
    mean = ranks.groupby("variant", sort=True)["rank"].mean().sort_values(kind="stable")
    return tuple(map(str, mean.index[:_FEW]))


def curve_figure(
    environments: Sequence[str],
    curves: pd.DataFrame,
    scores: pd.DataFrame,
    evals: pd.DataFrame | None = None,
    statistic: str = "mean",
    *,
    width: float | None = None,
    chosen: Collection[str] = (),
    x: tuple[str, str] = ("step", "environment steps"),
    style: Mapping[str, LineStyle] | None = None,
) -> Figure:
    """Learning curves of some environments side by side, with one legend below.

    Args:
        environments: Which, in which order.
        curves: From `tables.curve_table`.
        scores: From `tables.score_table`, of the whole report, so that a variant has one style in all its figures.
        evals: `Runs.evals`, for a thin line per seed; None draws none.
        statistic: What the lines are, mean or iqm.
        width: Of the figure, in inches; None: a column for one environment, a page for more.
        chosen: The variants in colour, the others being grey; none: all, and of one environment with more than MANY
            each in a panel of its own.
        x: The column of `curves` along the axis, and what it is called.
        style: Of all variants of the report, in its order; None: from `styles`.
    """
    if style is None:
        style = dict(sorted(styles(scores["variant"]).items()))
    shown = scores[scores["environment"].isin(list(environments))]
    width = width or (WIDTH if len(environments) == 1 else 2 * WIDTH)
    cells_of = dict(list(shown.groupby("variant")))
    names = {variant: _name_with_seeds(cells_of[variant]) for variant in style if variant in cells_of}
    of_one = len(environments) == 1 and len(names) > MANY and not chosen

    def draw(axes: Axes, environment: str, chosen: Collection[str]) -> None:
        here = curves[curves["environment"] == environment]
        cells = scores[scores["environment"] == environment]
        seeds = None if evals is None else evals[evals["environment"] == environment]
        learning_curves(axes, here, cells, style, seeds, statistic, chosen=chosen, x=x[0])
        if x[0] != "step":
            axes.set_xlim(left=0)

    labels = x[1], f"{NAMES[statistic]} return" if statistic == "mean" else "IQM of the return"
    if of_one:
        title = environments[0]
        panels = {names[variant]: partial(draw, environment=title, chosen=(variant,)) for variant in names}
        return panel_figure(panels, width, labels, title=title, same=True)
    panels = {name: partial(draw, environment=name, chosen=chosen) for name in environments}
    return panel_figure(panels, width, labels, legend_entries(names, style, chosen))


def panel_figure(
    panels: Mapping[str, Callable[[Axes], None]],
    width: float,
    labels: tuple[str, str],
    legend: Mapping[str, Line2D] | None = None,
    title: str = "",
    same: bool = False,
) -> Figure:
    """A figure of panels that show the same things, as many in a row as have room.

    Args:
        panels: What draws each, by its title.
        width: Of the figure, in inches.
        labels: The names of the axes.
        legend: A line for each name; none without.
        title: Above all of them.
        same: Whether their axes have the same ends.
    """
    columns, rows = grid_of(len(panels), width)
    wide = width / columns
    below, put_legend = legend_below(width, legend or {})
    titles = {name: wrapped(name, wide) for name in panels}
    above = LINE * max(title.count("\n") for title in titles.values())
    height = (min(HEIGHT, max(1.05, 0.62 * wide)) + above) * rows + (0.2 if rows * columns > 1 else 0) + below
    with matplotlib.style.context(STYLE):
        figure = canvas((width, height + (0.2 if title else 0)))
        grid = figure.subplots(rows, columns, squeeze=False, sharex=same, sharey=same)
        for at, (axes, (name, draw)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
            draw(axes)
            ticks = max(2, min(5, int(wide / 0.65)))
            axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
            axes.yaxis.set_major_locator(MaxNLocator(4 if wide < 2.5 else 5))
            lowest = at + columns >= len(panels)
            axes.set(xlabel=labels[0] if lowest else "", ylabel="", title=titles[name])
            axes.tick_params(labelbottom=lowest or not same)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_axis_off()
        if title:
            figure.suptitle(title, fontsize=_RC["axes.titlesize"])
        if rows > 1:
            figure.supylabel(labels[1], fontsize=_RC["axes.labelsize"])
        else:
            grid[0, 0].set_ylabel(labels[1])
        put_legend(figure)
    return figure


def wrapped(name: str, wide: float) -> str:
    """A name as the title of a panel of a width in inches, in as many lines as it needs."""
    return broken(name, max(8, int((wide - 0.35) / LETTER)), "[,:-]")


def legend_below(width: float, entries: Mapping[str, Line2D]) -> tuple[float, Callable[[Figure], None]]:
    """The height of a legend below a figure of a width, both in inches, and what draws it.

    Args:
        width: Of the figure.
        entries: A line for each name; none for no legend.
    """
    if not entries:
        return 0.0, lambda _: None
    letters = max(10, int((width - ENTRY) / LETTER))
    labels = [broken(name, letters) for name in entries]
    across = max(1, int(width / (ENTRY + LETTER * max(len(line) for label in labels for line in label.split("\n")))))
    lines = [1 + label.count("\n") for label in labels]
    rows = sum(max(lines[first : first + across]) for first in range(0, len(lines), across))

    def draw(figure: Figure) -> None:
        for label, line in zip(labels, entries.values(), strict=True):
            line.set_label(label)
        figure.legend(handles=list(entries.values()), loc="outside lower center", ncols=across)

    return LINE * rows, draw


def grid_of(panels: int, width: float) -> tuple[int, int]:
    """How many panels stand in a row of a figure of a width in inches, and how many rows there are."""
    most = max(1, int(width / _LEAST_PANEL))
    rows = -(-panels // most)
    return -(-panels // rows), rows


def legend_entries(
    names: Mapping[str, str], style: Mapping[str, LineStyle], chosen: Collection[str] = ()
) -> dict[str, Line2D]:
    """A line for each variant in colour, by its name, and one for the others together if there are any."""
    own = {variant: name for variant, name in names.items() if not chosen or variant in chosen}
    others = len(names) - len(own)
    with matplotlib.style.context(STYLE):
        found = {
            name: Line2D([], [], color=style[variant].colour, linestyle=style[variant].linestyle)
            for variant, name in own.items()
        }
        if others:
            found["another one" if others == 1 else f"{others} others"] = Line2D([], [], color=REST, linewidth=0.6)
    return found


def aggregate_figure(
    aggregates: pd.DataFrame, style: Mapping[str, LineStyle], names: Mapping[str, str], width: float = 2 * WIDTH
) -> Figure:
    """IQM, median, mean and optimality gap of normalised scores side by side, a bar per variant for its interval.

    Args:
        aggregates: From `tables.aggregate_table`.
        style: From `styles`, of all variants of the report.
        names: What to call each variant. One whose name here is not its own lacks seeds and is drawn faded.
        width: Of the figure, in inches.
    """
    panels = {"iqm": "IQM", "median": "median", "mean": "mean", "gap": "gap ↓"}
    variants = list(aggregates["variant"])
    labels, margin, row = row_labels([names[variant] for variant in variants], width)
    columns = len(panels) if width - margin >= len(panels) * 1.0 else 2  # ours: an inch for three numbers below
    rows = len(panels) // columns
    with matplotlib.style.context(STYLE):
        figure = canvas((width, (0.55 + row * len(variants)) * rows + 0.2))
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes, (name, title) in zip(grid.flat, panels.items(), strict=True):
            values = aggregates[[name, f"{name}_low", f"{name}_high"]].to_numpy(dtype=float)
            for at, (variant, (value, low, high)) in enumerate(zip(variants, values, strict=True)):
                colour, alpha = style[variant].colour, _alpha(variant in _faded(names))
                axes.hlines(at, low, high, color=colour, alpha=0.35 * alpha, linewidth=5)
                axes.plot(value, at, marker="|", markersize=9, markeredgewidth=2, color=colour, alpha=alpha)
            axes.set_title(title)
            axes.set_yticks(range(len(variants)), labels)
            axes.set_ylim(len(variants) - 0.5, -0.5)
            axes.set(xlabel="", ylabel="")
            axes.xaxis.set_major_locator(MaxNLocator(2 if (width - margin) / columns < 1.2 else 4))
            axes.yaxis.grid(visible=False)
            axes.tick_params(axis="y", length=0)
        figure.supxlabel("normalised score", fontsize=_RC["axes.labelsize"])
    return figure


def row_labels(names: Sequence[str], width: float) -> tuple[list[str], float, float]:
    """Names beside the rows of a figure of a width in inches: in lines, how wide they are, and how high a row is."""
    labels = [broken(name, max(10, int(_NAME * width / LETTER))) for name in names]
    margin = 0.25 + LETTER * max(len(line) for label in labels for line in label.split("\n"))
    return labels, margin, max(0.2, *(LINE * (1 + label.count("\n")) - 0.02 for label in labels))


def profile_figure(
    profiles: pd.DataFrame,
    style: Mapping[str, LineStyle],
    names: Mapping[str, str],
    width: float = WIDTH,
    chosen: Collection[str] = (),
) -> Figure:
    """Performance profiles: the share of runs above each normalised score, with pointwise 95 % bands.

    Args:
        profiles: From `tables.profile_table`.
        style: From `styles`, of all variants of the report.
        names: As for `aggregate_figure`.
        width: Of the figure, in inches.
        chosen: The variants in colour; none: all, more than MANY of them in panels of their own.
    """

    def finish(axes: Axes) -> None:
        axes.set_xlim(profiles["height"].min(), profiles["height"].max())
        axes.set_ylim(0, 1.02)

    labels = "normalised score x", "share of runs above x"
    return _of_variants(profiles, style, names, ("height", "share"), finish, labels, width, chosen)


def aggregate_curve_figure(
    curves: pd.DataFrame,
    style: Mapping[str, LineStyle],
    names: Mapping[str, str],
    width: float = WIDTH,
    chosen: Collection[str] = (),
) -> Figure:
    """IQM of the normalised return by step, with pointwise 95 % bands.

    Args:
        curves: From `tables.aggregate_curve_table`.
        style: From `styles`, of all variants of the report.
        names: As for `aggregate_figure`.
        width: As for `profile_figure`.
        chosen: As for `profile_figure`.
    """
    labels = "environment steps", "IQM, normalised"
    end = curves["step"].max()
    return _of_variants(
        curves, style, names, ("step", "iqm"), lambda axes: _step_axis(axes, end), labels, width, chosen
    )


def _of_variants(
    table: pd.DataFrame,
    style: Mapping[str, LineStyle],
    names: Mapping[str, str],
    columns: tuple[str, str],
    finish: Callable[[Axes], None],
    labels: tuple[str, str],
    width: float,
    chosen: Collection[str],
) -> Figure:
    """A panel with a line and a band for each variant and a legend below; or a panel for each, where there are many."""

    def draw(axes: Axes, chosen: Collection[str]) -> None:
        lines(axes, table, *columns, ("low", "high"), style, _faded(names), chosen)
        finish(axes)

    own = {str(variant): names[str(variant)] for variant in dict.fromkeys(table["variant"])}
    if len(own) > MANY and not chosen:
        panels = {name: partial(draw, chosen=(variant,)) for variant, name in own.items()}
        return panel_figure(panels, width, labels, same=True)
    return panel_figure({"": partial(draw, chosen=chosen)}, width, labels, legend_entries(own, style, chosen))


def _faded(names: Mapping[str, str]) -> set[str]:
    """The variants that lack seeds: those whose name says so."""
    return {variant for variant, name in names.items() if name != variant}


def improvement_figure(improvements: pd.DataFrame, width: float | None = None) -> Figure:
    """The matrix of the probability that a run of the row's variant beats one of the column's.

    Intervals are written where they have room. Columns have the numbers of the rows where their names have none.

    Args:
        improvements: From `tables.improvement_table`.
        width: Of the figure, in inches; None: what it needs, at most a page.
    """
    variants = list(dict.fromkeys(improvements["x"]))  # each once, as every pair is there both ways
    most = width or 2 * WIDTH
    labels, margin, row = row_labels(variants, most)
    numbered = any("\n" in label for label in labels) or margin + _CELL * len(variants) > most
    if numbered:
        labels, margin, row = row_labels([f"{i} {name}" for i, name in enumerate(variants, start=1)], most)
    wide = (
        min(_CELL, (most - margin - 0.1) / len(variants)) if width is None else (width - margin - 0.1) / len(variants)
    )
    high = max(row, min(_CELL, wide)) if wide < _CELL else max(row, 0.42)
    texts = [
        _cell_text(value, low, high, wide)
        for value, low, high in improvements[["probability", "low", "high"]].to_numpy(dtype=float)
    ]
    pairs = improvements.assign(text=texts)
    values, notes = (
        pairs.pivot(index="x", columns="y", values=name).reindex(variants).reindex(variants, axis=1)
        for name in ("probability", "text")
    )
    above = 0.45 if numbered else 0.4 + 0.6 * margin
    with matplotlib.style.context([*STYLE, {"axes.grid": False}]):
        figure = canvas((width or margin + wide * len(variants) + 0.1, high * len(variants) + above))
        axes = figure.subplots()
        axes.set_facecolor(_EMPTY)  # shows where two variants have no task in common
        sns.heatmap(
            values,
            annot=notes.fillna(""),
            fmt="",
            annot_kws={"fontsize": 8, "color": ON_MATRIX},
            vmin=0,
            vmax=1,
            cmap=_MATRIX,
            cbar=False,
            linewidths=1,
            linecolor="white",
            xticklabels=False,  # set below
            yticklabels=False,
            ax=axes,
        )
        turned: dict[str, Any] = {} if numbered else {"rotation": 30, "ha": "left", "rotation_mode": "anchor"}
        heads = [str(i) for i in range(1, len(variants) + 1)] if numbered else labels
        axes.set_xticks(np.arange(len(variants)) + 0.5, heads, **turned)
        axes.set_yticks(np.arange(len(variants)) + 0.5, labels, rotation=0)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.set(xlabel="… beats one of", ylabel="a run of …")
        axes.xaxis.set_label_position("top")
    return figure


def _cell_text(value: float, low: float, high: float, wide: float) -> str:
    """A probability, with its interval where a cell of so many inches has room for it."""
    if wide >= _CELL:
        return f"{value:.2f}" if np.isnan(low) else f"{value:.2f}\n{low:.2f}–{high:.2f}"
    return f"{value:.2f}" if wide >= 5 * LETTER else f"{value:.2f}".replace("0.", ".").replace("1.00", "1")


def broken(name: str, letters: int, after: str = "[,:]") -> str:
    """A name in lines that are no longer than so many letters, broken after these where it can be: between fields."""
    lines = [""]
    for part in re.split(f"(?<={after})", name):
        if lines[-1] and len(lines[-1] + part) > letters:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _name_with_seeds(cells: pd.DataFrame) -> str:
    """A variant's name, and how many seeds it has where that is not all or not enough."""
    name = cells["variant"].iloc[0]
    if (cells["n"] == cells["seeds"]).all() and (cells["n"] >= FEW_SEEDS).all():
        return name
    notes = set(cells["coverage"])
    return f"{name} ({notes.pop() if len(notes) == 1 else 'incomplete'})"
