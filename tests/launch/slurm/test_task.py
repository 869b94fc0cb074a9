"""What a task does on its node."""

import errno
import os
import signal
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from stand_ins import CELL, begun, finished

from savo_bench.bench import worker
from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.launch.slurm import batch, task


class Interrupted(Exception):
    signals: tuple[int, ...] = ()


@pytest.fixture
def handlers(monkeypatch) -> Iterator[None]:
    """A task's surroundings; its signal handlers are put back."""
    monkeypatch.setattr(worker, "interrupted", lambda: Interrupted)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def share(*packs: Pack, **more: Any) -> task.Share:
    return task.Share(**{"packs": packs, "first": 0, "own": 1, "processes": 1} | more)


def packs(root: Path, number: int) -> list[Pack]:
    return [Pack(CELL, (seed,), root, "cpu", 300.0, "slurm") for seed in range(number)]


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ((signal.SIGTERM,), worker.INTERRUPTED),
        ((signal.SIGUSR2, signal.SIGTERM), batch.COME_BACK),
        ((signal.SIGTERM, signal.SIGUSR2), batch.COME_BACK),
    ],
)
def test_a_task_that_saved_asks_to_come_back_only_if_it_was_warned(monkeypatch, tmp_path, signals, code):
    def interrupt(_: object) -> None:
        error = Interrupted()
        error.signals = signals
        raise error

    monkeypatch.setattr(worker, "train", interrupt)
    with pytest.raises(SystemExit) as ended:
        task.Train()(share(*packs(tmp_path, 1)))
    assert ended.value.code == code


@pytest.mark.usefixtures("handlers")
def test_what_a_task_inherits_makes_no_error_of_a_warning(monkeypatch, tmp_path):
    def warn(_: object) -> None:
        warnings.showwarning = lambda *_, **__: None
        warnings.warn("of a library", UserWarning, stacklevel=1)

    monkeypatch.setattr(worker, "train", warn)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task.Train()(share(*packs(tmp_path, 1)))


def test_every_process_begins_with_its_own_packs_and_goes_on_with_those_of_others(tmp_path):
    seven = packs(tmp_path, 7)
    orders = [
        [pack.seeds[0] for pack in share(*seven, first=first, own=2, processes=4).order(process)]
        for first in (0, 2)
        for process in (0, 1)
    ]
    assert [order[:2] for order in orders[:3]] == [[0, 4], [1, 5], [2, 6]]
    assert orders[3] == [3, 0, 4, 1, 5, 2, 6]
    assert all(sorted(order) == list(range(7)) for order in orders)


@pytest.mark.usefixtures("handlers")
def test_a_task_trains_what_is_left_and_one_that_crashes_does_not_keep_it_from_the_rest(monkeypatch, tmp_path):
    trained = []

    def train(pack: Pack) -> None:
        trained.append(pack.seeds)
        if pack.seeds == (2,):
            raise ValueError("a bug")

    monkeypatch.setattr(worker, "train", train)
    five = packs(tmp_path, 5)
    finished(seed_folder(tmp_path, CELL, 0))
    begun(seed_folder(tmp_path, CELL, 1), host="another", launcher="slurm", job="7")  # by another task
    begun(seed_folder(tmp_path, CELL, 3), host="another", launcher="slurm", job="12")  # by this one, before
    begun(seed_folder(tmp_path, CELL, 4), host="another", state="failed")  # since it was submitted
    with pytest.raises(ValueError, match="a bug"):
        task.Train()(share(*five))
    assert trained == [(2,), (3,)]
    trained.clear()
    with pytest.raises(ValueError, match="a bug"):
        task.Train()(share(*five, failures=task.failures(five)))
    assert trained == [(2,), (3,), (4,)]


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("clock", [-3600, 0, 600, 3 * 365 * 86_400])  # of the node, seconds ahead
def test_what_has_failed_before_and_since_is_known_whatever_the_nodes_clock_says(monkeypatch, tmp_path, clock):
    trained = []
    monkeypatch.setattr(worker, "train", lambda pack: trained.append(pack.seeds))
    before, since = packs(tmp_path, 2)
    for pack in (before, since):
        begun(seed_folder(tmp_path, CELL, *pack.seeds), host="another", state="failed", clock=clock)
    submitted = task.failures((before, since))
    begun(seed_folder(tmp_path, CELL, *since.seeds), host="another", state="failed", clock=clock)
    task.Train()(share(before, since, failures=submitted))
    assert trained == [before.seeds]


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("fault", ["gpu", "arithmetic", "disk"])
def test_on_a_node_that_cannot_compute_or_write_nothing_is_trained(monkeypatch, tmp_path, capsys, fault):
    monkeypatch.setattr(worker, "train", lambda _: pytest.fail("it trained"))
    (pack,) = packs(tmp_path / ("nowhere" if fault == "disk" else ""), 1)
    if fault == "gpu":
        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
        pack = replace(pack, device="cuda")
    if fault == "arithmetic":
        monkeypatch.setattr(torch.Tensor, "__matmul__", torch.Tensor.__add__)
    with pytest.raises(SystemExit) as ended:
        task.Train()(share(pack))
    assert ended.value.code == batch.BAD_NODE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: node n7 cannot be used: ")
    assert {"gpu": "CUDA", "arithmetic": "multiplies wrongly", "disk": "cannot be written to"}[fault] in line


def test_a_full_disk_is_not_the_fault_of_a_node(monkeypatch, tmp_path):
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    task.check_node(tmp_path, "cpu")
