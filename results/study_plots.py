"""Figures of studies, of scores per task, and of scores against what they cost."""

from collections.abc import Mapping

from savo_bench.results import figure_settings  # noqa: F401  # before matplotlib, which reads settings as it loads

# isort: split
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from savo_bench.results.plots import STYLE, LineStyle, canvas, grid_of, legend_below, row_labels, wrapped

_PANEL = 1.3  # inches, the height of a panel of a knob
_BARS = 0.85  # inches, the least width of a panel of bars. ours: room for two numbers below
_PAGE = 9.0  # inches, the height of a page of NeurIPS, \textheight of neurips_2024.sty; a higher figure is in parts
_SPREAD = 20  # the largest by the smallest value of a knob from which on its axis is logarithmic. ours
_UNITS = ((1.0, "hours"), (1 / 60, "minutes"), (1 / 3600, "seconds"))
_PREFIXES = ((1e18, "EFLOPs"), (1e15, "PFLOPs"), (1e12, "TFLOPs"), (1e9, "GFLOPs"), (1e6, "MFLOPs"))


def unit_of_time(hours: float) -> tuple[float, str]:
    """The largest unit, in hours and as a name, in which a time has a number of at least 1, else the smallest."""
    return next((each for each in _UNITS if hours >= each[0]), _UNITS[-1])


def unit_of_operations(number: float) -> tuple[float, str]:
    """The same of a number of operations."""
    return next((each for each in _PREFIXES if number >= each[0]), _PREFIXES[-1])


def knob_figure(knob: pd.DataFrame, style: Mapping[str, LineStyle], score: str, width: float) -> Figure:
    """Score and cost against a numeric field: for each environment a panel of each, one above the other.

    A filled mark is the field's default. Bars are 95 % intervals over seeds.

    Args:
        knob: The rows of one field of `studies.knobs`.
        style: The style of each family.
        score: What the score is.
        width: Of the figure, in inches.
    """
    environments = list(dict.fromkeys(knob["environment"]))
    costs = knob["hours"].notna().any()
    columns, rows = grid_of(len(environments), width)
    deep = 2 if costs else 1
    unit, name = unit_of_time(knob["hours"].max()) if costs else _UNITS[0]
    families = list(dict.fromkeys(knob["family"]))
    titles = {each: wrapped(each, width / columns) for each in environments}
    above = 0.17 * max(title.count("\n") for title in titles.values())
    height = rows * (deep * _PANEL + above) + 0.25
    with matplotlib.style.context(STYLE):
        handles = [
            Line2D([], [], color=style[each].colour, linestyle=style[each].linestyle, marker="o", markersize=4)
            for each in families
        ]
        default = Line2D([], [], color="black", linestyle="none", marker="o", markersize=4)
        entries = dict(zip(families, handles, strict=True)) | ({"default": default} if knob["default"].any() else {})
        room, put = legend_below(width, entries)
        figure = canvas((width, height + room))
        grid = figure.subplots(rows * deep, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for at, environment in enumerate(environments):
            own = knob[knob["environment"] == environment]
            row, column = deep * (at // columns), at % columns
            _knob_panel(grid[row, column], own, "score", style)
            grid[row, column].set_title(titles[environment])
            grid[row, column].set_ylabel(score if column == 0 else "")
            if costs:
                below = grid[row + 1, column]
                hours = own.assign(**{each: own[each] / unit for each in ("hours", "hours_low", "hours_high")})
                _knob_panel(below, hours, "hours", style)
                below.set_ylim(bottom=0)
                below.set_ylabel(f"{name} of a seed" if column == 0 else "")
                grid[row, column].tick_params(labelbottom=False)
            if at + columns >= len(environments):
                grid[row + deep - 1, column].set_xlabel(str(knob["field"].iloc[0]))
        put(figure)
    return figure


def _knob_panel(axes: Axes, own: pd.DataFrame, column: str, style: Mapping[str, LineStyle]) -> None:
    """A line through the values of each family, with an interval at each."""
    axes.set_axis_on()
    for family, rows in own.groupby("family", sort=False):
        look = style[str(family)]
        x, y, low, high = (rows[name].to_numpy(float) for name in ("value", column, f"{column}_low", f"{column}_high"))
        axes.plot(x, y, color=look.colour, linestyle=look.linestyle, linewidth=1, zorder=2)
        errors = np.nan_to_num(np.maximum([y - low, high - y], 0))
        axes.errorbar(x, y, errors, color=look.colour, linestyle="none", capsize=2, linewidth=0.8, zorder=3)
        for filled in (False, True):
            at = rows["default"].to_numpy(bool) == filled
            face = look.colour if filled else "white"
            axes.plot(x[at], y[at], "o", color=look.colour, markerfacecolor=face, markersize=4, zorder=4)
    values = sorted(set(own["value"]))
    if values[0] > 0 and values[-1] / values[0] >= _SPREAD:
        axes.set_xscale("log")
    shown = values if len(values) <= 5 else values[:: -(-len(values) // 5)]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def bar_figures(
    scores: pd.DataFrame, column: str, label: str, style: Mapping[str, LineStyle], width: float
) -> list[Figure]:
    """Scores of each environment as bars, a panel for each, with 95 % intervals; several figures where one is too high.

    Args:
        scores: From `tables.score_table`.
        column: Of the score, such as last10_mean.
        label: What the score is.
        style: From `styles`, of all variants of the report.
        width: Of a figure, in inches.
    """
    environments, variants = (list(dict.fromkeys(scores[name])) for name in ("environment", "variant"))
    labels, margin, row = row_labels(variants, width)
    columns = max(1, min(len(environments), int((width - margin) / _BARS)))
    titles = {each: wrapped(each, (width - margin) / columns) for each in environments}
    high = 0.85 * row * len(variants) + 0.45 + 0.17 * max(title.count("\n") for title in titles.values())
    deep = max(1, int((_PAGE - 0.3) / high))  # rows that a page has
    rows = -(-len(environments) // columns)
    columns = -(-len(environments) // rows)  # as even as can be
    parts = [environments[first : first + deep * columns] for first in range(0, len(environments), deep * columns)]
    figures = []
    for part in parts:
        rows = -(-len(part) // columns)
        with matplotlib.style.context(STYLE):
            figure = canvas((width, high * rows + 0.2))
            grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
            for axes, environment in zip(grid.flat, part, strict=False):
                own = scores[scores["environment"] == environment].set_index("variant").reindex(variants)
                _bars(axes, own, column, style)
                axes.set_title(titles[environment])
                axes.set_yticks(range(len(variants)), labels)
                axes.set_ylim(len(variants) - 0.4, -0.6)
            for axes in list(grid.flat)[len(part) :]:
                axes.set_axis_off()
            figure.supxlabel(label, fontsize=8)
        figures.append(figure)
    return figures


def _bars(axes: Axes, own: pd.DataFrame, column: str, style: Mapping[str, LineStyle]) -> None:
    for at, (variant, cell) in enumerate(own.iterrows()):
        value, low, high = (float(cell[f"{column}{end}"]) for end in ("", "_low", "_high"))
        if np.isnan(value):
            continue
        colour, alpha = style[str(variant)].colour, 1.0 if cell["n"] == cell["seeds"] else 0.5
        axes.barh(at, value, height=0.62, color=colour, alpha=alpha, linewidth=0)
        if not np.isnan(low):
            axes.plot([low, high], [at, at], color="white", linewidth=2.6, solid_capstyle="butt")
            axes.plot([low, high], [at, at], color="black", linewidth=1.0, solid_capstyle="butt")
    axes.axvline(0, color="black", linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
