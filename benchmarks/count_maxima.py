"""How many known maxima algos/maxima.py counts: the error of the column `maxima`, in 1 to 6 dimensions.

    python benchmarks/count_maxima.py [--quick] [--out results/reference/benchmarks/maxima.csv]

The landscapes are those of `envs/landscape.py`, whose local optima are known, in some contexts of some draws. Their
prominence is known, too: the best way from one optimum to another goes over centres in straight lines, as Q falls from
a centre towards the bounds of its cell. (A centre that another peak hides lies outside its cell. There the ways are a
little too low, and a few optima count as prominent that are just below the threshold.)

An optimum is counted if a prominent maximum was found in its cell. What was found beside that is invented: a second
one in a cell, or one in the cell of a peak that is no prominent maximum.
"""

import one_core  # isort: skip  (before torch)

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from savo_bench.algos import maxima
from savo_bench.algos.maxima import Maxima
from savo_bench.envs.landscape import Landscape, landscape
from savo_bench.results.page import markdown_table

DIMS = (1, 2, 3, 6)
PEAKS = (4, 8, 16)
DRAWS, CONTEXTS = 10, 5  # of each kind
BETWEEN = 400  # points on the way between two centres, .005 apart per dimension at most; a peak is .2 wide
LOWEST = 4096  # points at which the lowest value is looked for; the span is then right to a per cent or so


class Known:
    """Q in one context, and its maxima.

    Attributes:
        cells: Which peak is the highest at actions (..., D): (...).
        prominent: Which peaks are prominent maxima: (P,) bool.
    """

    def __init__(self, q: Landscape, context: np.ndarray) -> None:
        self.centres, self.heights = torch.from_numpy(q.centres(context)), torch.tensor(q.heights)
        self.width, self.height = q.width, q.height
        P, D = self.centres.shape
        share = torch.linspace(0, 1, BETWEEN, dtype=torch.float64).view(-1, 1)
        ways = torch.stack([
            self(one + share * (other - one)).amin() for one in self.centres for other in self.centres
        ]).view(P, P)  # fmt: skip
        values = self(self.centres)
        ways = torch.minimum(ways, torch.minimum(values[:, None], values))  # but for rounding they are
        for k in range(P):  # over other centres: Floyd and Warshall's algorithm
            ways = torch.maximum(ways, torch.minimum(ways[:, k, None], ways[k]))
        optima = torch.from_numpy(q.optima(context))
        ways = ways.masked_fill(~(optima[:, None] & optima), -torch.inf)  # only optima are compared
        values = values.masked_fill(~optima, -torch.inf)
        span = self.height - self(maxima.starting_points(LOWEST, D).double()).amin()
        self.prominent = optima & (maxima.prominences(values, ways) / span >= maxima.PROMINENT)

    def depths(self, actions: Tensor) -> Tensor:
        """Of each peak at actions (..., D): (..., P)."""
        squares = (actions.unsqueeze(-2) - self.centres).square().mean(-1)
        return 1 / self.heights + squares / self.width**2

    def __call__(self, actions: Tensor) -> Tensor:
        """Q of actions (..., D): (...), in their type."""
        return (self.height / self.depths(actions.double()).amin(-1)).to(actions.dtype)

    def cells(self, actions: Tensor) -> Tensor:
        return self.depths(actions.double()).argmin(-1)


def found(known: Known, dims: int) -> Maxima:
    """What the product finds."""
    state = torch.zeros(1, 1, 1)
    return maxima.of_landscapes(lambda _: known, state, dims)


def compare(dims: int, peaks: int, draws: int) -> pd.DataFrame:
    """A row per landscape: known maxima, those that were counted, those that were missed, and invented ones."""
    rows = []
    for draw in range(draws):
        q = landscape(dims=dims, peaks=peaks, landscape_seed=draw)
        for context in np.random.default_rng(draw).uniform(-1, 1, (CONTEXTS, q.frames.shape[1] - 1)):
            known = Known(q, context)
            got = found(known, dims)
            cells = known.cells(got.actions[got.prominent()])
            right = known.prominent[cells.unique()].sum()
            there = known.prominent.sum()
            rows.append({
                "dims": dims, "peaks": peaks, "draw": draw, "known": int(there), "counted": int(got.number()),
                "missed": int(there - right), "invented": int(len(cells) - right),
                "gap": 1 - float(got.highest) / q.height,
            })  # fmt: skip
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """Means per kind, as Markdown."""
    kinds = rows.groupby(["dims", "peaks"], as_index=False)
    means = kinds[["known", "counted", "missed", "invented", "gap"]].mean()
    shown = means[["dims", "peaks"]].astype(str)
    shown["known maxima"], shown["counted"] = means["known"].map("{:.2f}".format), means["counted"].map("{:.2f}".format)
    for name in ("missed", "invented"):
        shown[name] = (100 * means[name] / means["known"]).map("{:.1f} %".format)
    shown["below the maximum"] = (100 * means["gap"]).map("{:.2f} %".format)
    return markdown_table(shown, tuple(shown.columns))


def main() -> int:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two draws instead of ten")
    parser.add_argument("--out", type=Path, help="write a row per landscape to this CSV file")
    chosen = parser.parse_args()
    one_core.pin(None)
    draws = 2 if chosen.quick else DRAWS
    rows = pd.concat([compare(dims, peaks, draws) for dims in DIMS for peaks in PEAKS], ignore_index=True)
    if chosen.out:
        rows.to_csv(chosen.out, index=False)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
