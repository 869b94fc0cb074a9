"""How costs grow with the number of actors: the law of FLOPs, and a figure of FLOPs and time.

A table of costs, as `bench cost` makes it, has a row per cell with these columns:

    environment, variant
    family, extra_actors         the variant without that field, and its value; NaN for algorithms that lack it
    parameters                   numbers that are trained
    update_flops, action_flops   of one seed
    update_ms, action_ms         processor time of one seed alone
    tensor_bytes                 what an agent keeps, and an update holds at most

The first row of an environment is that of td3, beside which the others stand.
"""

from typing import NamedTuple

from savo_bench.results import figure_settings  # noqa: F401  # before matplotlib, which reads settings as it loads

# isort: split
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from savo_bench.results.plots import HEIGHT, STYLE, WIDTH, LineStyle, canvas, styles

COLUMNS = (
    "environment",
    "variant",
    "family",
    "extra_actors",
    "parameters",
    "update_flops",
    "action_flops",
    "update_ms",
    "action_ms",
    "tensor_bytes",
)
LEAST = 4  # points of a fit. ours: a parabola goes through any three, so that its residual says nothing
_DIGITS = 6  # of a coefficient after the point. ours: what lies below is the rounding of the fit
_PANELS = {"update_flops": (1e-6, "MFLOPs of an update"), "update_ms": (1.0, "ms of an update")}
_DOTS = (0, (1, 2))


class Law(NamedTuple):
    """A cost with k ≥ 1 extra actors: constant + linear k + quadratic k²."""

    constant: float
    linear: float
    quadratic: float
    residual: float  # the largest distance of a measured cost from it

    def at(self, k: np.ndarray) -> np.ndarray:
        """The cost with k extra actors."""
        return self.constant + self.linear * k + self.quadratic * k**2


def law(rows: pd.DataFrame, cost: str) -> Law | None:
    """The least-squares fit of a cost to the number of extra actors.

    Without extra actors nothing is selected and nothing is fitted, so that such a row is left out.

    Args:
        rows: Of one family on one environment.
        cost: A column of the table.

    Returns:
        None where there are fewer than LEAST different numbers of extra actors.
    """
    some = rows[rows["extra_actors"] >= 1]
    if some["extra_actors"].nunique() < LEAST:
        return None
    k, costs = some["extra_actors"].to_numpy(float), some[cost].to_numpy(float)
    terms = np.stack([np.ones_like(k), k, k**2], axis=1)
    coefficients, *_ = np.linalg.lstsq(terms, costs, rcond=None)
    residual = float(np.abs(terms @ coefficients - costs).max())
    constant, linear, quadratic = map(float, coefficients.round(_DIGITS))
    return Law(constant, linear, quadratic, residual)


def families(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """The rows of each environment and family with at least two numbers of extra actors, from few to many."""
    known = table.dropna(subset=["extra_actors"]).sort_values("extra_actors", kind="stable")
    grouped = known.groupby(["environment", "family"], sort=False)
    return {(str(at[0]), str(at[1])): rows for at, rows in grouped if rows["extra_actors"].nunique() > 1}


def cost_figure(table: pd.DataFrame) -> Figure | None:
    """FLOPs and time of an update by the number of extra actors, a row of two panels for each environment.

    Points are measured, lines are fits, or join the points where they are too few for one. The dotted line is td3.

    Args:
        table: Of costs.

    Returns:
        None where no family has two numbers of extra actors.
    """
    found = families(table)
    if not found:
        return None
    environments = list(dict.fromkeys(environment for environment, _ in found))
    style = styles(family for _, family in found)
    with matplotlib.style.context(STYLE):
        figure = canvas((2 * WIDTH, HEIGHT * len(environments) + 0.3))
        grid = figure.subplots(len(environments), len(_PANELS), squeeze=False)
        for environment, panels in zip(environments, grid, strict=True):
            for axes, (cost, (unit, name)) in zip(panels, _PANELS.items(), strict=True):
                for (at, family), rows in found.items():
                    if at == environment:
                        _draw(axes, rows, cost, unit, style[family])
                td3 = table.loc[table["environment"] == environment, cost].iloc[0]
                axes.axhline(td3 * unit, color="black", linewidth=0.8, linestyle=_DOTS)
                axes.set(title=environment, xlabel="extra actors", ylabel=name)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
                axes.set_ylim(bottom=0)
        handles = [
            Line2D([], [], color=style[family].colour, marker="o", markersize=3, label=family) for family in style
        ]
        handles.append(Line2D([], [], color="black", linewidth=0.8, linestyle=_DOTS, label="td3"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, cost: str, unit: float, style: LineStyle) -> None:
    """The points of a family and the line of its fit."""
    k = rows["extra_actors"].to_numpy(float)
    fit = law(rows, cost)
    line = k if fit is None else np.linspace(1, k.max(), 100)
    values = rows[cost].to_numpy(float) if fit is None else fit.at(line)
    axes.plot(line, unit * values, color=style.colour)
    axes.plot(k, unit * rows[cost], color=style.colour, marker="o", markersize=3, linestyle="none")
