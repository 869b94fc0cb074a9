"""What a task does on its node."""

import signal
import subprocess
from pathlib import Path

import pytest
from stand_ins import CELL

from savo_bench.bench import worker
from savo_bench.bench.cells import Pack
from savo_bench.bench.launch.slurm import task


class Interrupted(Exception):
    signals: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("signals", "requeued"),
    [((signal.SIGTERM,), False), ((signal.SIGUSR2, signal.SIGTERM), True), ((signal.SIGTERM, signal.SIGUSR2), True)],
)
def test_a_task_that_saved_asks_to_come_back_only_if_it_was_warned(monkeypatch, signals, requeued):
    called: list[list[str]] = []

    def interrupt(_: object) -> None:
        error = Interrupted()
        error.signals = signals
        raise error

    monkeypatch.setattr(worker, "train", interrupt)
    monkeypatch.setattr(worker, "interrupted", lambda: Interrupted)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: called.append(command))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")  # the last task of an array has its number
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    try:
        with pytest.raises(SystemExit) as ended:
            task.Train()(Pack(CELL, (0,), Path(), "cpu", 300.0, "slurm"))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.value.code == worker.INTERRUPTED
    assert called == ([["scontrol", "requeue", "12_3"]] if requeued else [])
