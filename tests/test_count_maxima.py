"""The benchmark of the number of maxima: what it calls known is known, and the product counts nearly all of it."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from savo_bench.envs.landscape import Landscape, landscape

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "results" / "reference" / "benchmarks" / "maxima.csv"


@pytest.fixture
def script(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("count_maxima")


def line(*peaks: tuple[float, float]) -> Landscape:
    """Peaks (centre, relative height) in one dimension, which do not move."""
    centres, heights = np.array(peaks).T
    frames = np.zeros((len(peaks), 2, 1))
    frames[:, 0, 0] = centres
    return Landscape(frames, heights, 0.1, 10.0)


def test_prominent_peaks_are_known(script):
    far = script.Known(line((0.6, 1.0), (-0.1, 0.8)), np.zeros(1))
    assert far.prominent.tolist() == [True, True]
    near = script.Known(line((0.6, 1.0), (0.53, 0.8)), np.zeros(1))  # a local optimum: from 8 down to 7.82
    assert near.prominent.tolist() == [True, False]


def test_q_in_torch_is_q_in_numpy_and_so_are_its_cells(script):
    q, rng = landscape(dims=3, peaks=8), np.random.default_rng(0)
    context, actions = rng.uniform(-1, 1, 2), rng.uniform(-1, 1, (50, 3))
    known = script.Known(q, context)
    values, cells = zip(*(q.value(context, action) for action in actions), strict=True)
    torch.testing.assert_close(known(torch.from_numpy(actions)), torch.tensor(values, dtype=torch.float64))
    assert known.cells(torch.from_numpy(actions)).tolist() == list(cells)


@pytest.mark.parametrize("dims", [1, 2, 3, 6])
def test_nearly_all_known_maxima_are_counted_and_none_is_invented(script, dims: int):
    rows = script.compare(dims, 8, draws=2)
    assert rows["invented"].sum() == 0
    assert rows["missed"].sum() <= 0.2 * rows["known"].sum()
    assert rows["gap"].max() < 0.01
    assert (rows["counted"] == rows["known"] - rows["missed"]).all()


def test_the_documents_have_the_table_of_the_kept_rows(script):
    rows = pd.read_csv(KEPT)
    assert sorted(rows["dims"].unique()) == list(script.DIMS)
    assert script.table(rows) in (ROOT / "docs" / "algorithms.md").read_text("utf-8")
