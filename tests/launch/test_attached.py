"""The loop of launchers that train while the command runs: what it trains again, waits for and takes over."""

import os
import shutil
import signal
import socket

import pytest
from fake_training import attempts
from small_grids import cell_of, grid_of, read_until, run, wait_until

from savo_bench.bench import run_directory
from savo_bench.bench.cells import seed_folder
from savo_bench.bench.errors import UserError
from savo_bench.results.files import read_json


def test_a_failed_seed_has_its_reason_in_the_table_and_the_others_go_on(root):
    code, output = run(grid_of(root, cell_of(failed=(0,)), seeds=3, pack=3))
    assert code == 1
    assert "hopper fake seed 0: failed at step 0 of 4: the environment fell over" in output
    assert "2 of 3 seeds are done" in output
    assert len(attempts(root)) == 3  # within one run, what fails is not tried again


def test_a_second_run_trains_nothing_and_after_deleting_a_seed_only_that(root):
    run(grid_of(root, cell_of("a"), cell_of("b")))
    before = attempts(root)
    code, output = run(grid_of(root, cell_of("a"), cell_of("b")))
    assert (code, attempts(root)) == (0, before)
    assert "nothing to do: 4 of 4 seeds are done" in output
    shutil.rmtree(seed_folder(root, cell_of("b"), 1).path)
    code, output = run(grid_of(root, cell_of("a"), cell_of("b")))
    assert (code, attempts(root)[len(before) :]) == (0, [("b", 1, 0)])
    assert "3 done, 1 to train (1 new)" in output


def test_an_unreadable_seed_is_named_and_left_alone(root):
    run(grid_of(root))
    status = seed_folder(root, cell_of(), 0).status_json
    status.write_text("{")
    code, output = run(grid_of(root))
    assert code == 1
    assert str(status) in output
    assert status.read_text() == "{"
    assert len(attempts(root)) == 2


def test_two_runs_at_once_never_train_a_seed_twice(root, drive, tmp_path):
    held = tmp_path / "held-0"
    held.touch()
    config, options = f"held={str(tmp_path / 'held-{seed}')!r}", "seeds=3, workers=1"
    first = drive(config, options)
    wait_until(lambda: len(attempts(root)) == 1)  # of seed 0
    second = drive(config, options)
    read_until(second, f"waiting for 1 seed that another process trains: host {socket.gethostname()}, pid")
    held.unlink()
    for process in (first, second):
        process.communicate(timeout=40)
        assert process.returncode == 0
    assert [seed for _, seed, _ in attempts(root)] == [0, 1, 2]


def test_seeds_whose_process_dies_while_another_waits_are_taken_over(root, drive, tmp_path):
    held = tmp_path / "held"
    config = f"seconds=0.05, steps=400, held={str(held)!r}"
    first = drive(config, "seeds=1")
    wait_until(lambda: any(read_json(status)["step"] > 0 for status in root.rglob("status.json")))
    held.touch()  # 400 steps would be 20 seconds
    second = drive(config, "seeds=1")
    read_until(second, f"waiting for 1 seed that another process trains: host {socket.gethostname()}, pid")
    os.killpg(first.pid, signal.SIGKILL)
    held.unlink()
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert [seed for _, seed, _ in attempts(root)] == [0, 0]
    assert attempts(root)[1][2] > 0


def test_what_fails_in_another_process_is_not_tried_again_by_the_one_that_waited(root, drive, tmp_path):
    held = tmp_path / "held"
    held.touch()
    config = f"failed=(0,), held={str(held)!r}"
    first = drive(config, "seeds=1")
    wait_until(lambda: len(attempts(root)) == 1)
    second = drive(config, "seeds=1")
    waiting = read_until(second, "waiting for 1 seed that another process trains")
    held.unlink()
    outputs = [first.communicate(timeout=40)[0], waiting + second.communicate(timeout=40)[0]]
    assert [first.returncode, second.returncode] == [1, 1]
    assert len(attempts(root)) == 1
    assert all("the environment fell over" in output for output in outputs)


def test_a_disk_that_fills_up_under_the_grid_is_one_line(root, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(run_directory, "ask", full)
    with pytest.raises(UserError, match="somewhere: No space left on device") as caught:
        run(grid_of(root))
    assert caught.value.exit_code == 74
