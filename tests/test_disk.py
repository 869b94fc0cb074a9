"""Estimates of disk, beside the bytes that trainings write."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_cells import one
from small_runs import cell, one_thread, pack, stop_at

from savo_bench import algos
from savo_bench.algos.replay import Layout
from savo_bench.algos.sac import SAC, SACConfig
from savo_bench.bench import disk, train
from savo_bench.bench.cells import Budget, Cell
from savo_bench.bench.errors import UserError
from savo_bench.bench.spaces import probe
from savo_bench.bench.training import checkpoint

__all__ = ["one_thread", "stop_at"]  # fixtures

STEPS = 160
WIDTHS = (64, 64)  # as in the quick profile


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check(root: Path, cell: Cell, stop_at, keep_policies: int = 0) -> None:
    """Train a seed of a cell with a stop on the way, and compare what is on disk then and in the end."""
    estimated = disk.estimate(cell, probe(cell), keep_policies)
    job = pack(root, cell, 0, keep_policies=keep_policies)
    folder = job.folder(0)
    for step in (STEPS - 10, STEPS - 1):  # two states are kept
        stop_at(step)
        with pytest.raises(train.Interrupted):
            train.train_pack(job)
    assert estimated.checkpoint == pytest.approx(bytes_in(folder / "checkpoint"), rel=0.1)
    stop_at(None)
    train.train_pack(job)
    assert estimated.kept == pytest.approx(bytes_in(folder), rel=0.1)


@pytest.mark.parametrize("environment", ["restricted-inverted-pendulum", "recsim", "mineworld"])
@pytest.mark.parametrize("algorithm", algos.names())
def test_a_seed_writes_what_was_estimated(algorithm, environment, tmp_path, stop_at):
    check(tmp_path, cell(algorithm, environment, STEPS, hidden=WIDTHS), stop_at)


def test_policies_that_are_kept_on_the_way_are_counted(tmp_path, stop_at):
    trained = replace(cell("savo", steps=STEPS, hidden=WIDTHS), budget=Budget("quick", STEPS, 40, 2))
    check(tmp_path, trained, stop_at, keep_policies=3)
    with_them, without = (disk.estimate(trained, probe(trained), number) for number in (3, 0))
    assert with_them.kept > 2 * without.kept
    assert with_them.largest_file == without.largest_file


@dataclass(frozen=True, kw_only=True)
class OwnConfig:
    """A plug-in's: with what the training reads, and names of its own for the rest."""

    batch_size: int = 16
    buffer_size: int = 1_000
    warmup_steps: int = 50
    policy_delay: int = 1
    widths: tuple[int, ...] = (60, 50, 40)


def own_agent(config: OwnConfig, *given: Any) -> SAC:
    return SAC(SACConfig(hidden=config.widths, batch_size=config.batch_size), *given)


def test_a_seed_of_another_packages_algorithm_writes_what_was_estimated(tmp_path, stop_at, monkeypatch):
    entry = algos.Entry("own", OwnConfig, own_agent, "a plug-in's")
    usual = cell("td3", "restricted-inverted-pendulum", STEPS)
    monkeypatch.setattr(algos, "get", lambda _: entry)
    check(tmp_path, replace(usual, algorithm="own", config=OwnConfig(), overrides={}), stop_at)


def test_an_agent_that_cannot_be_updated_is_named(monkeypatch):
    def broken(*_: Any) -> None:
        raise TypeError("no such thing")

    monkeypatch.setattr(algos, "get", lambda name: algos.Entry(name, OwnConfig, broken, ""))
    with pytest.raises(UserError, match="td3 on restricted-hopper cannot be trained: no such thing"):
        disk.estimate(one(), probe(one()))


def test_a_replay_log_is_as_large_as_was_estimated(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SEGMENT", 40)
    trained = cell("savo", steps=1_000, buffer_size=90)
    spaces = probe(trained)
    layout = Layout(spaces, 3, 0)
    largest = 0
    for step in range(10, 1_001, 10):
        checkpoint.append_records(tmp_path, step - 10, np.zeros((10, layout.width), np.float32))
        checkpoint.stage(tmp_path, step, {})
        checkpoint.commit(tmp_path, step, max(0, step - 90))
        largest = max(largest, sum(path.stat().st_size for path in tmp_path.glob("replay-*")))
    assert disk._replay_log(trained, layout) == pytest.approx(largest, rel=0.1)
