"""The verb `run` before anything is launched."""

import io

import fake_training
from rich.console import Console
from small_grids import grid_of

from savo_bench.bench.commands import run as verb


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch):
    fake_training.estimate_nothing(monkeypatch.setattr)
    root = tmp_path / "name"
    output = io.StringIO()
    assert verb.dry_run(grid_of(root, seeds=3), Console(file=output, width=80)) == 0
    assert not root.exists()
    assert "0 done, 3 to train" in output.getvalue()
    assert "3×1" in output.getvalue()  # its packs
