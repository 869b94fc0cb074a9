"""Figures of landscapes: Q over actions, what SAVO's later actors climb, and where the proposals lie."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from savo_bench.results import figure_settings  # noqa: F401  # before matplotlib, which reads settings as it loads

# isort: split
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, MaxNLocator

from savo_bench.results.landscapes import Landscape, Point, Surrogate, in_shares
from savo_bench.results.plots import STYLE, WIDTH, canvas

_PANEL = 1.55  # inches, the height of a panel with curves. ours: a page then holds five states
_NARROW = 1.3  # inches, the least width of a panel. ours: five and their numbers stand on a page
_ENTRY = 1.7  # inches of an entry of the legend
_MOST, _PLANES = 5, 4  # panels in a row. ours: as many as SAVO with three extra actors has on a catalogue, and in a box
_Q, _EXACT, _LEARNT, _FLOOR = "#0072B2", "#0072B2", "#D55E00", "#7F7F7F"
_INVALID: dict[str, Any] = {"facecolor": "#7F7F7F", "alpha": 0.22, "linewidth": 0}  # seen on white and on black
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_INK = "#000000"  # and white are the page's own colours, see page._inline_svg
_ROOM = 0.06  # round what is drawn of a plane, in shares of its side. ours: a mark on the border is whole
_ABOVE = 0.15  # above and below curves, in shares of their range. ours: the numbers above the marks have room
_FILM_DPI = 200  # ours: a film of a page's width is some 1 400 pixels wide, a projector's
_CLEAR = 11  # points between a plane and its title; the number of a mark on the border is 10 high
_FLAT = 0.85  # height of a plane's panel by its width. ours: what is drawn of a box is seldom a square
_NEAR = 0.04  # of an axis; nearer proposals have one mark. ours: the size of a mark
_HEIGHTS = "cividis"  # its lightness rises evenly, so it can be read in grey and by everyone
_LINES: dict[str, Any] = {"axes.grid": False}

Draw = Callable[[Axes], None]  # draws a panel
Ends = tuple[float, float] | None  # of a scale; None: as the values have them


def landscape_pictures(landscapes: Mapping[int, Sequence[Landscape]]) -> list[np.ndarray]:
    """The pictures of a film, each (height, width, 3) uint8 with even sides, as films need them.

    They have the same axes and colours: heights are shares of the span, as level and span of Q grow in training.

    Args:
        landscapes: Of policies, by their steps of the training, one of each state; all of the same states and actions.
    """
    pictures = []
    for step, of_step in landscapes.items():
        title = f"after {step:,} steps of training; heights in shares of Q₁'s span".replace(",", " ")
        figure = landscape_figure([in_shares(each) for each in of_step], title, (0.0, 1.0))
        for axes in figure.axes:
            for mark in (*axes.lines, *axes.texts):  # they move, the panels shall not
                mark.set_in_layout(False)
        figure.set_dpi(_FILM_DPI)
        seen = FigureCanvasAgg(figure)
        with matplotlib.style.context([*STYLE, _LINES]):
            seen.draw()
        picture = np.array(seen.buffer_rgba())[..., :3]
        height, width = (side - side % 2 for side in picture.shape[:2])
        pictures.append(picture[:height, :width])
    return pictures


def landscape_figure(
    landscapes: Sequence[Landscape], title: str = "", heights: Ends = None, width: float | None = None
) -> Figure:
    """The landscapes of a seed, all of one kind.

    A state without surrogates is one panel. With surrogates it begins a row: Q₁ in the first panel, then for each
    surrogate what it is fitted to and what it is; in a plane the second below the first.

    Args:
        landscapes: One of each state.
        title: Above all of them.
        heights: The ends of the scale of every panel; None: each has its own.
        width: Of the figure, in inches; None: a column for two panels in a row, a page for more.
    """
    plane = landscapes[0].kind == "plane"
    states = [_panels(each, heights) for each in landscapes]
    if all(len(panels) == 1 for panels in states):
        states = [[panel for panels in states for panel in panels]]
    most = min(_PLANES if plane else _MOST, max(1, int((width or 2 * WIDTH) / _NARROW)))
    blocks = [panels[first : first + most] for panels in states for first in range(0, len(panels), most)]
    columns, deep = max(map(len, blocks)), 2 if any(len(panel) == 2 for block in blocks for panel in block) else 1
    width = width or (2 * WIDTH if columns > 2 else WIDTH)
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
        if title:
            figure.suptitle(title)
        figure.legend(handles=_legend(landscapes), loc="outside lower center", ncols=max(1, int(width / _ENTRY)))
    return figure


def _panels(landscape: Landscape, heights: Ends) -> list[list[Draw]]:
    """What is drawn of a state, from left to right: one panel, or one above another."""
    panels: list[list[Draw]] = [[partial(_q_panel, landscape=landscape, heights=heights)]]
    for surrogate in landscape.surrogates:
        if landscape.kind == "plane":
            kinds = (("Ψ", surrogate.exact), ("surrogate", surrogate.learnt))
            common = {"landscape": landscape, "actor": surrogate.index, "heights": heights}
            panels.append([partial(_plane, values=values, name=name, **common) for name, values in kinds])
        else:
            panels.append([partial(_line, landscape=landscape, surrogate=surrogate, heights=heights)])
    return panels


def _q_panel(axes: Axes, landscape: Landscape, heights: Ends) -> None:
    """Q₁ with the proposals."""
    axes.set_title(f"Q₁ at step {landscape.state}", pad=_CLEAR if landscape.kind == "plane" else None)
    axes.set_xlabel(landscape.axes[0])
    if landscape.kind == "plane":
        axes.set_ylabel(landscape.axes[1])
        _heights(axes, landscape, landscape.q, heights)
        top, pale = landscape.highest, not landscape.highest.inside
        (cross,) = axes.plot(top.x, top.y, marker="+", color="white", markersize=8, zorder=4, alpha=0.5 if pale else 1)
        cross.set_path_effects([withStroke(linewidth=2.5, foreground="#111111")])  # to be seen on what is bright
    else:
        _shade_invalid(axes, landscape)
        _curve(axes, landscape, landscape.q, heights, color=_Q)
        axes.axhline(landscape.highest.q, color=_FLOOR, linewidth=0.7, linestyle=(0, (2, 2)))
        _mark_executed(axes, landscape)
    _proposals(axes, landscape, dict(enumerate(landscape.proposals)))


def _line(axes: Axes, landscape: Landscape, surrogate: Surrogate, heights: Ends) -> None:
    """A surrogate beside what it is fitted to, over actions of one dimension or over items."""
    i = surrogate.index
    axes.set_title(f"what actor {i} climbs")
    axes.set_xlabel(landscape.axes[0])
    _shade_invalid(axes, landscape)
    _curve(axes, landscape, surrogate.exact, heights, color=_EXACT)
    _curve(axes, landscape, surrogate.learnt, heights, color=_LEARNT, linestyle=(0, (4, 1.2)))
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


def _plane(axes: Axes, landscape: Landscape, values: np.ndarray, heights: Ends, actor: int, name: str) -> None:
    """Ψ or a surrogate in a plane, with the proposals that it has to do with."""
    flat = np.nanmax(values) == np.nanmin(values)  # all of the plane lies at the floor
    axes.set_title(f"{name} of actor {actor}{', flat here' if flat else ''}", pad=_CLEAR)
    _heights(axes, landscape, values, heights)
    _proposals(axes, landscape, dict(enumerate(landscape.proposals[: actor + 1])))


def _curve(axes: Axes, landscape: Landscape, values: np.ndarray, heights: Ends, **look: Any) -> None:
    axes.plot(landscape.x, values, linewidth=1.0, drawstyle="steps-mid" if landscape.kind == "items" else None, **look)
    axes.set_xlim(landscape.x[0], landscape.x[-1])
    axes.margins(y=_ABOVE)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if heights is not None:
        room = _ABOVE * (heights[1] - heights[0])
        axes.set_ylim(heights[0] - room, heights[1] + room)
        axes.set_yticks(np.linspace(*heights, 3))
    axes.xaxis.set_major_locator(MaxNLocator(2, integer=landscape.kind == "items"))


def _heights(axes: Axes, landscape: Landscape, values: np.ndarray, heights: Ends) -> None:
    """Values over a plane as colours, with the bound of what is valid and a scale."""
    drawn = axes.pcolormesh(landscape.x, landscape.y, values, cmap=_HEIGHTS, shading="nearest", rasterized=True)
    drawn.set_clim(*heights or (None, None))
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
    scale.locator = MaxNLocator(3) if heights is None else FixedLocator(np.linspace(*heights, 3).tolist())
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
