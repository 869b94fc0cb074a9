"""The picture of `bench compare`: every seed of two variants on each task, and the differences with their intervals."""

from collections.abc import Mapping

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from savo_bench.results import plots
from savo_bench.results.head_to_head import OVER_TASKS, Scores

ACROSS = 3  # panels in a row; ours: each is then wide enough for its numbers
_ROW = 0.22  # inches of a line of the intervals
_LETTERS = 16  # of a variant's name in a line below its dots; ours: two fit beside each other
_GREY, _MARGIN = "#7F7F7F", "#E5E5E5"


def figure(
    scores: Scores, found: pd.DataFrame, labels: Mapping[str, str], measure: str, margin: float | None = None
) -> Figure | None:
    """A panel per task with a dot per seed, equal seeds joined, and below them the differences, if there are bounds.

    Args:
        scores: See `head_to_head.scores_of`; tasks without scores of both have no panel.
        found: See `head_to_head.table`.
        labels: The names of the two variants as they are to be read, the one that is compared first.
        measure: What a seed's score is, in words.
        margin: δ, a share of the range between a task's bounds.

    Returns:
        None where no task has scores of both.
    """
    tasks = [name for name in sorted(scores) if all(scores[name].get(variant) for variant in labels)]
    if not tasks:
        return None
    rows = -(-len(tasks) // ACROSS)
    across = min(ACROSS, len(tasks))
    normalised = found[np.isfinite(found["normalised"].to_numpy(dtype=float))]
    below = _ROW * len(normalised) + 0.7 if len(normalised) else 0.0
    width = plots.WIDTH * (1 if across == 1 else 2)
    with matplotlib.style.context(plots.STYLE):
        drawn = plots.canvas((width, plots.HEIGHT * rows + below))
        ratios = [plots.HEIGHT * rows, below]
        upper, *lower = drawn.subfigures(2, 1, squeeze=False, height_ratios=ratios).flat if below else [drawn]
        style = plots.styles(labels)
        grid = list(upper.subplots(rows, across, squeeze=False).flat)
        for axes, environment in zip(grid, tasks, strict=False):
            _seeds(axes, scores[environment], labels, {name: style[name].colour for name in labels})
            axes.set_title(environment)
            axes.set_ylabel(measure if axes in grid[::across] else "")
        for axes in grid[len(tasks) :]:
            axes.set_axis_off()
        if lower:
            _differences(lower[0].subplots(), normalised, labels, margin)
    return drawn


def _seeds(
    axes: Axes, scores: Mapping[str, Mapping[int, float]], labels: Mapping[str, str], colours: Mapping[str, str]
) -> None:
    """A dot per seed, a grey line between the dots of one seed, and a bar at each mean."""
    first, second = labels
    for seed in sorted(set(scores[first]) & set(scores[second])):
        axes.plot([0, 1], [scores[first][seed], scores[second][seed]], color=_GREY, linewidth=0.4, alpha=0.6)
    for at, name in enumerate(labels):
        values = [scores[name][seed] for seed in sorted(scores[name])]
        sns.scatterplot(x=[at] * len(values), y=values, color=colours[name], s=14, ax=axes, zorder=3, legend=False)
        axes.hlines(float(np.mean(values)), at - 0.22, at + 0.22, color=colours[name], linewidth=1.6, zorder=2)
    axes.set_xlim(-0.5, 1.5)
    axes.set_xticks([0, 1], [plots.broken(label, _LETTERS) for label in labels.values()])
    axes.grid(axis="x", visible=False)
    axes.set_xlabel("")


def _differences(axes: Axes, found: pd.DataFrame, labels: Mapping[str, str], margin: float | None) -> None:
    """A line per task, and one over tasks: the normalised difference, its interval, and ± δ in grey."""
    if margin is not None:
        axes.axvspan(-margin, margin, color=_MARGIN, zorder=0)
    axes.axvline(0, color="black", linewidth=0.6, zorder=1)
    at = -np.arange(len(found))
    axes.hlines(at, found["normalised_low"], found["normalised_high"], color="black", linewidth=1)
    over = (found["environment"] == OVER_TASKS).to_numpy()
    for chosen, marker in ((~over, "o"), (over, "D")):
        axes.scatter(found["normalised"][chosen], at[chosen], color="black", s=16, marker=marker, zorder=3)
    axes.set_yticks(at, found["environment"].tolist() if len(found) > 1 else [""])
    axes.set_ylim(-len(found) + 0.4, 0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(" − ".join(labels.values()) + ", normalised")
