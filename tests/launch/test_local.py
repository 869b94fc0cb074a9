"""The pool of worker processes, with a stand-in for the training."""

import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from fake_training import FakeConfig, attempts
from small_grids import alive, cell_of, grid_of, pids, read_until, run, states, wait_until

from savo_bench.bench.cells import Budget, Cell, Pack, seed_folder
from savo_bench.bench.launch import local
from savo_bench.bench.launch.stop import SAME_STOP
from savo_bench.results.format import SeedFolder
from savo_bench.results.state import state_of


def test_every_seed_is_trained_once_by_workers_of_one_thread(root):
    code, output = run(grid_of(root, cell_of("a"), cell_of("b"), pack=2))
    assert code == 0
    assert "4 of 4 seeds are done" in output
    assert sorted(attempts(root)) == [("a", 0, 0), ("a", 1, 0), ("b", 0, 0), ("b", 1, 0)]
    record = SeedFolder.of(root, "hopper", "a", 1).read_run()
    assert record is not None
    assert record["provenance"] == {"threads": "1", "launcher": "local"}


def test_no_more_workers_than_asked_for_run_at_a_time(root):
    run(grid_of(root, cell_of(seconds=0.05), seeds=4, workers=2))
    lines = [line.split() for line in (root / "attempts.txt").read_text().splitlines()]
    began = {int(seed): float(at) for _, seed, _, _, at in lines}
    ended = {seed: seed_folder(root, cell_of(), seed).status_json.stat().st_mtime for seed in began}
    for seed, moment in began.items():
        others = [other for other in began if other != seed and began[other] <= moment < ended[other] - 0.01]
        assert len(others) <= 1


def test_a_killed_worker_fails_its_own_pack_only_and_is_resumed_by_the_next_run(root):
    planned = grid_of(root, cell_of("dies", killed=(1,)), cell_of("lives"))
    code, output = run(planned)
    assert code == 1
    assert states(planned) == ["done", "failed", "done", "done"]
    assert "worker died (signal 9)" in output
    assert state_of(seed_folder(root, planned.cells[0], 1)).reason == "worker died (signal 9)"
    code, output = run(grid_of(root, *planned.cells))
    assert (code, attempts(root)[-1]) == (0, ("dies", 1, 2))
    assert "1 failed before" in output


def test_a_crash_says_its_last_line_and_where_the_rest_is(root):
    code, output = run(grid_of(root, cell_of("a", crashed=(0,)), seeds=1))
    log = root / "logs" / "hopper--a--seeds-0000-0000.log"
    assert code == 1
    assert "crashed: ValueError: boom" in output
    assert str(log) in output
    assert "Traceback" in log.read_text()
    assert "Traceback" not in output
    run(grid_of(root, cell_of("a", crashed=(0,)), seeds=1))
    assert log.read_text().count("Traceback") == 2  # the next attempt does not wipe it


def test_a_worker_that_dies_before_it_writes_anything_is_reported(root, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    code, output = run(grid_of(root, seeds=1))
    assert code == 1
    assert "hopper fake seed 0: crashed: it printed nothing" in output
    assert "0 of 1 seeds are done" in output


def test_workers_share_the_gpus(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    variables = [local._environment("cuda", slot) for slot in range(3)]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in variables] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc")
    assert local._environment("cuda", 1)["CUDA_VISIBLE_DEVICES"] == "GPU-abc"
    assert local._environment("cpu", 1)["OMP_NUM_THREADS"] == "1"


def test_a_logs_name_fits_a_file_system():
    cell = Cell("e" * 300, {}, "v" * 300, FakeConfig(), {}, Budget("ci", 1, 1, 1))
    assert len(local.log_path(Pack(cell, (0, 9999), Path(), "cpu", 1.0, "local")).name) < 256


@pytest.mark.parametrize("on", ["local", "inline"])
def test_ctrl_c_saves_says_how_to_resume_and_the_same_command_does(root, drive, on):
    process = drive("seconds=0.05, steps=40", f"seeds=2, on={on!r}")
    begun = 2 if on == "local" else 1
    wait_until(lambda: len(attempts(root)) == begun)
    every = [seed_folder(root, cell_of(steps=40), seed) for seed in range(begun)]
    wait_until(lambda: all(state_of(folder).step > 0 for folder in every))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopped: everything is saved; run the same command again to resume" in output
    assert "Traceback" not in output
    assert not any(map(alive, pids(root)))
    planned = grid_of(root, cell_of(steps=40))
    assert set(states(planned)) <= {"interrupted", "missing"}
    code, _ = run(planned)
    assert code == 0
    again = {seed: step for _, seed, step in attempts(root)[begun:]}
    assert all(again[seed] > 0 for seed in range(begun))


def test_sigterm_to_the_parent_alone_stops_the_workers_cleanly(root, drive):
    process = drive("seconds=0.05, steps=400")
    wait_until(lambda: len(attempts(root)) == 2)
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "stopped: everything is saved" in output
    assert "interrupted, saved" in output
    assert not any(map(alive, pids(root)))


def test_a_second_ctrl_c_kills(root, drive):
    process = drive("seconds=0.05, steps=4000, deaf=True")
    wait_until(lambda: len(attempts(root)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    read = read_until(process, "stopping: ")
    time.sleep(2 * SAME_STOP)  # what comes sooner is the same stop
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Ctrl-C again kills" in read
    assert "after the last checkpoints is lost" in output
    assert not any(map(alive, pids(root)))


def test_ctrl_c_while_workers_start_leaves_no_traceback(root, drive):
    process = drive("seconds=0.05, steps=4000")
    logs = root / "logs"
    wait_until(lambda: len(list(logs.glob("*"))) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in output + "".join(path.read_text() for path in logs.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_workers_save_and_end_when_their_parent_is_killed(root, drive):
    process = drive("seconds=0.05, steps=4000")
    wait_until(lambda: len(attempts(root)) == 2)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, pids(root))))
    assert set(states(grid_of(root, cell_of(steps=4000)))) == {"interrupted"}


def test_a_seed_is_told_from_its_lock_while_a_worker_trains_it(root, drive):
    drive("seconds=0.1, steps=400", "seeds=1")
    wait_until(lambda: len(attempts(root)) == 1)
    folder = seed_folder(root, cell_of(), 0)
    wait_until(lambda: state_of(folder).state == "running" and state_of(folder).owner is not None)
    assert state_of(folder).who == f"host {socket.gethostname()}, pid {pids(root)[0]}"


def test_what_no_file_can_say_is_said_at_the_end(root, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SeedFolder, "write_status", full)  # in this process only
    code, output = run(grid_of(root, cell_of(killed=(0,)), seeds=1))
    assert code == 1
    assert "hopper fake seed 0: worker died (signal 9)" in output


@pytest.mark.parametrize("fault", ["a file", "a folder", "a link"])
def test_without_a_log_seeds_are_trained_and_that_is_said_once(root, fault):
    root.mkdir(parents=True, exist_ok=True)
    if fault == "a file":
        (root / "logs").write_text("mine\n")
    elif fault == "a link":
        (root / "logs").symlink_to(root / "nowhere" / "else")
    else:
        for label in ("a", "b"):
            (root / "logs" / f"hopper--{label}--seeds-0000-0000.log").mkdir(parents=True)
    code, output = run(grid_of(root, cell_of("a"), cell_of("b"), seeds=1, workers=1))
    assert code == 0
    assert "2 of 2 seeds are done" in output
    assert output.count("what workers print is lost: ") == 1


def test_a_crash_without_a_log_is_noted_all_the_same(root):
    root.mkdir(parents=True, exist_ok=True)
    (root / "logs").write_text("mine\n")
    code, output = run(grid_of(root, cell_of("a", crashed=(0,)), seeds=1))
    assert code == 1
    assert "crashed: nobody knows what it printed" in output
    assert (root / "logs").read_text() == "mine\n"
