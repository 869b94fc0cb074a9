"""Figures of landscapes: Q over actions, what SAVO's later actors climb, and where the proposals lie."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from savo_bench.results import figure_settings  # noqa: F401  # before matplotlib, which reads settings as it loads

# isort: split
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from savo_bench.results.landscapes import Landscape, Point, Surrogate
from savo_bench.results.plots import STYLE, WIDTH, canvas

_PANEL = 1.55  # inches, the height of a panel with curves. ours: a page then holds five states
_MOST, _PLANES = 5, 4  # panels in a row. ours: as many as SAVO with three extra actors has on a catalogue, and in a box
_Q, _EXACT, _LEARNT, _FLOOR = "#0072B2", "#0072B2", "#D55E00", "#7F7F7F"
_INVALID: dict[str, Any] = {"facecolor": "#7F7F7F", "alpha": 0.22, "linewidth": 0}  # seen on white and on black
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_INK = "#000000"  # and white are the page's own colours, see page._inline_svg
_ROOM = 0.06  # round what is drawn of a plane, in shares of its side. ours: a mark on the border is whole
_CLEAR = 11  # points between a plane and its title; the number of a mark on the border is 10 high
_FLAT = 0.85  # height of a plane's panel by its width. ours: what is drawn of a box is seldom a square
_NEAR = 0.04  # of an axis; nearer proposals have one mark. ours: the size of a mark
_HEIGHTS = "cividis"  # its lightness rises evenly, so it can be read in grey and by everyone
_LINES: dict[str, Any] = {"axes.grid": False}

Draw = Callable[[Axes], None]  # draws a panel


def landscape_figure(landscapes: Sequence[Landscape]) -> Figure:
    """The landscapes of a seed, all of one kind.

    A state without surrogates is one panel. With surrogates it begins a row: Q₁ in the first panel, then for each
    surrogate what it is fitted to and what it is; in a plane the second below the first.
    """
    plane = landscapes[0].kind == "plane"
    states = [_panels(each) for each in landscapes]
    if all(len(panels) == 1 for panels in states):
        states = [[panel for panels in states for panel in panels]]
    most = _PLANES if plane else _MOST
    blocks = [panels[first : first + most] for panels in states for first in range(0, len(panels), most)]
    columns, deep = max(map(len, blocks)), 2 if any(len(panel) == 2 for block in blocks for panel in block) else 1
    width = 2 * WIDTH if columns > 2 else WIDTH
    with matplotlib.style.context([*STYLE, _LINES]):
        figure = canvas((width, (_FLAT * width / columns if plane else _PANEL) * deep * len(blocks) + 0.5))
        grid = figure.subplots(deep * len(blocks), columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for row, block in enumerate(blocks):
            for column, panel in enumerate(block):
                for below, draw in enumerate(panel):
                    axes = grid[deep * row + below, column]
                    axes.set_axis_on()
                    draw(axes)
        figure.legend(handles=_legend(landscapes), loc="outside lower center", ncols=2 if width == WIDTH else 4)
    return figure


def _panels(landscape: Landscape) -> list[list[Draw]]:
    """What is drawn of a state, from left to right: one panel, or one above another."""
    panels: list[list[Draw]] = [[partial(_q_panel, landscape=landscape)]]
    for surrogate in landscape.surrogates:
        if landscape.kind == "plane":
            kinds = (("Ψ", surrogate.exact), ("surrogate", surrogate.learnt))
            panels.append(
                [partial(_plane, landscape=landscape, values=v, actor=surrogate.index, name=n) for n, v in kinds]
            )
        else:
            panels.append([partial(_line, landscape=landscape, surrogate=surrogate)])
    return panels


def _q_panel(axes: Axes, landscape: Landscape) -> None:
    """Q₁ with the proposals."""
    axes.set_title(f"Q₁ at step {landscape.state}", pad=_CLEAR if landscape.kind == "plane" else None)
    axes.set_xlabel(landscape.axes[0])
    if landscape.kind == "plane":
        axes.set_ylabel(landscape.axes[1])
        _heights(axes, landscape, landscape.q)
        axes.plot(landscape.highest.x, landscape.highest.y, marker="+", color="white", markersize=8, zorder=4)
    else:
        _shade_invalid(axes, landscape)
        _curve(axes, landscape, landscape.q, color=_Q)
        axes.axhline(landscape.highest.q, color=_FLOOR, linewidth=0.7, linestyle=(0, (2, 2)))
        _mark_executed(axes, landscape)
    _proposals(axes, landscape, dict(enumerate(landscape.proposals)))


def _line(axes: Axes, landscape: Landscape, surrogate: Surrogate) -> None:
    """A surrogate beside what it is fitted to, over actions of one dimension or over items."""
    i = surrogate.index
    axes.set_title(f"what actor {i} climbs")
    axes.set_xlabel(landscape.axes[0])
    _shade_invalid(axes, landscape)
    _curve(axes, landscape, surrogate.exact, color=_EXACT)
    _curve(axes, landscape, surrogate.learnt, color=_LEARNT, linestyle=(0, (4, 1.2)))
    _mark_executed(axes, landscape)
    if surrogate.floor is not None:
        axes.axhline(surrogate.floor, color=_FLOOR, linewidth=0.7, linestyle=(0, (1, 1)))
        axes.annotate(
            f"τ{i}".translate(_SUBSCRIPTS), (1, surrogate.floor), (3, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=7, annotation_clip=False,
        )  # fmt: skip
    point = landscape.proposals[i]
    at = int(np.abs(landscape.x - point.x).argmin())
    _proposals(axes, landscape, {i: Point(point.x, 0.0, float(surrogate.learnt[at]))})


def _mark_executed(axes: Axes, landscape: Landscape) -> None:
    """A thin line at the executed action, so that it can be found in each panel of a state."""
    axes.axvline(landscape.proposals[landscape.chosen].x, color=_INK, linewidth=0.5, alpha=0.5, zorder=1)


def _plane(axes: Axes, landscape: Landscape, values: np.ndarray, actor: int, name: str) -> None:
    """Ψ or a surrogate in a plane, with the proposals that it has to do with."""
    flat = np.nanmax(values) == np.nanmin(values)  # all of the plane lies at the floor
    axes.set_title(f"{name} of actor {actor}{', flat here' if flat else ''}", pad=_CLEAR)
    _heights(axes, landscape, values)
    _proposals(axes, landscape, dict(enumerate(landscape.proposals[: actor + 1])))


def _curve(axes: Axes, landscape: Landscape, values: np.ndarray, **look: Any) -> None:
    axes.plot(landscape.x, values, linewidth=1.0, drawstyle="steps-mid" if landscape.kind == "items" else None, **look)
    axes.set_xlim(landscape.x[0], landscape.x[-1])
    axes.margins(y=0.15)  # for the numbers above the marks
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_locator(MaxNLocator(2, integer=landscape.kind == "items"))


def _heights(axes: Axes, landscape: Landscape, values: np.ndarray) -> None:
    """Values over a plane as colours, with the bound of what is valid and a scale."""
    drawn = axes.pcolormesh(landscape.x, landscape.y, values, cmap=_HEIGHTS, shading="nearest", rasterized=True)
    if landscape.valid.any() and not landscape.valid.all():
        axes.contour(landscape.x, landscape.y, landscape.valid, [0.5], colors="white", linewidths=0.6)
    axes.set_aspect("equal")
    inside = np.isfinite(values)
    for limit, side, seen in ((axes.set_xlim, landscape.x, inside.any(0)), (axes.set_ylim, landscape.y, inside.any(1))):
        ends = side[seen]
        room = _ROOM * (side[-1] - side[0])
        limit(ends[0] - room, ends[-1] + room)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    scale = axes.figure.colorbar(_scale_of(drawn), ax=axes, pad=0.02, fraction=0.05)
    scale.ax.tick_params(labelsize=6)
    scale.locator = MaxNLocator(3)
    scale.update_ticks()


def _scale_of(drawn: Any) -> ScalarMappable:
    """The colours of a mesh without its rasterising, for a scale."""
    return ScalarMappable(Normalize(*drawn.get_clim()), drawn.cmap)


def _shade_invalid(axes: Axes, landscape: Landscape) -> None:
    """A grey ground where the environment replaces the action."""
    if landscape.valid.size == 0:
        return
    half = (landscape.x[1] - landscape.x[0]) / 2
    edges = np.flatnonzero(np.diff(np.concatenate([[True], landscape.valid, [True]]).astype(int)))
    for first, end in edges.reshape(-1, 2):  # from the first invalid one to the next valid one
        axes.axvspan(landscape.x[first] - half, landscape.x[end - 1] + half, zorder=0, **_INVALID)


def _proposals(axes: Axes, landscape: Landscape, points: Mapping[int, Point]) -> None:
    """A mark for each proposal, by its actor, with the number of the actor; filled where it is executed."""
    plane = landscape.kind == "plane"
    near = _NEAR * (landscape.x[-1] - landscape.x[0])
    groups: list[list[int]] = []  # of proposals that would hide each other
    for index, point in points.items():
        if plane and not (
            landscape.x[0] <= point.x <= landscape.x[-1] and landscape.y[0] <= point.y <= landscape.y[-1]
        ):
            continue
        for group in groups:
            other = points[group[0]]
            if abs(other.x - point.x) < near and (not plane or abs(other.y - point.y) < near):
                group.append(index)
                break
        else:
            groups.append([index])
    for group in groups:
        shown = landscape.chosen if landscape.chosen in group else group[0]
        point, executed = points[shown], shown == landscape.chosen
        at = point.x, point.y if plane else point.q
        look: dict[str, Any] = {"markeredgecolor": _INK, "markeredgewidth": 0.8, "markersize": 4.5, "zorder": 5}
        look |= {"markerfacecolor": _INK if executed else "white", "alpha": 1 if point.inside else 0.5}
        axes.plot(*at, marker="o", linestyle="none", clip_on=False, **look)
        share = (at[0] - landscape.x[0]) / (landscape.x[-1] - landscape.x[0])
        side = "left" if share < _NEAR else "right" if share > 1 - _NEAR else "center"  # clear of the axes' labels
        text = axes.annotate(
            ",".join(map(str, group)), at, ({"left": 3, "right": -3}.get(side, 0), 4), textcoords="offset points",
            ha=side, va="bottom", fontsize=6.5, zorder=6, annotation_clip=False,
        )  # fmt: skip
        text.set(path_effects=[withStroke(linewidth=1.5, foreground="white")])


def _legend(landscapes: Sequence[Landscape]) -> list[Any]:
    first = landscapes[0]
    plane = first.kind == "plane"
    dot: dict[str, Any] = {"marker": "o", "linestyle": "none", "markeredgecolor": _INK, "markersize": 4.5}
    handles: list[Any] = [
        Line2D([], [], markerfacecolor="white", label="proposal of an actor", **dot),
        Line2D([], [], markerfacecolor=_INK, label=f"executed{'' if plane else ' (thin line)'}", **dot),
    ]
    if plane:
        handles.append(Line2D([], [], marker="+", color=_INK, linestyle="none", label="highest Q₁ found"))
        if any(each.valid.size for each in landscapes):
            handles.append(Line2D([], [], color="#B0B0B0", linewidth=0.8, label="bound of valid actions"))
        return handles
    handles.append(Line2D([], [], color=_FLOOR, linewidth=0.7, linestyle=(0, (2, 2)), label="highest Q₁"))
    if first.surrogates:
        handles += [
            Line2D([], [], color=_EXACT, linewidth=1.0, label="Q₁, for later actors Ψ"),
            Line2D([], [], color=_LEARNT, linewidth=1.0, linestyle=(0, (4, 1.2)), label="surrogate, fitted to Ψ"),
            Line2D([], [], color=_FLOOR, linewidth=0.7, linestyle=(0, (1, 1)), label="floor τ of Ψ"),
        ]
    if any(each.valid.size for each in landscapes):
        handles.append(Patch(**_INVALID, label="invalid actions"))
    return handles
