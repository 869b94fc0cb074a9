"""Training in this process."""

import os

import pytest
from small_grids import cell_of, grid_of, run


def test_inline_trains_in_this_process_and_shows_an_error_of_the_harness(root):
    code, _ = run(grid_of(root, on="inline"))
    assert code == 0
    assert f" {os.getpid()} " in (root / "attempts.txt").read_text()
    with pytest.raises(ValueError, match="boom"):
        run(grid_of(root, cell_of("b", crashed=(0,)), on="inline"))
