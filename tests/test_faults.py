"""What goes wrong in one seed stays in that seed, and no finished result is lost."""

import contextlib
import errno
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import worker_hooks
from faulty_line import FAULTY, Line, at_step, break_environment, break_network
from small_runs import assert_same_run, cell, one_thread, pack, status, stop_at

from savo_bench.bench import train
from savo_bench.bench.errors import UserError
from savo_bench.bench.training import checkpoint
from savo_bench.results.format import SeedFolder, state_file, state_steps
from savo_bench.results.state import state_of

__all__ = ["at_step", "one_thread", "stop_at"]  # fixtures

pytestmark = pytest.mark.laws


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raises", "RuntimeError: the simulator fell over (faulty_line.py:"),
        ("file", "No such file or directory: '/nowhere/mesh.stl'"),
        ("obs", "FloatingPointError: the environment's observation is not finite"),
        ("reward", "FloatingPointError: the environment's reward is nan"),
        ("network", "FloatingPointError: the network's action is not finite"),
    ],
)
def test_a_fault_in_the_middle_fails_its_seed_alone_with_the_reason(tmp_path, at_step, monkeypatch, fault, reason):
    calm = pack(tmp_path / "calm", cell("td3", FAULTY), 0, 1, 2)
    train.train_pack(calm)
    hit = pack(tmp_path / "hit", cell("td3", FAULTY), 0, 1, 2)
    at_step(170, break_network(1) if fault == "network" else break_environment(1, fault))
    train.train_pack(hit)
    failed = status(hit.folder(1))
    assert failed["state"] == "failed"
    assert reason in failed["reason"]
    assert "\n" not in failed["reason"]
    assert 170 <= failed["step"] <= 190
    for seed in (0, 2):
        assert_same_run(calm.folder(seed), hit.folder(seed))

    monkeypatch.undo()  # the fault is gone, say it was a node's: the next attempt trains the failed seed, and only it
    before = (hit.folder(0) / "evals.csv").stat().st_mtime_ns
    train.train_pack(hit)
    assert_same_run(calm.folder(1), hit.folder(1))
    assert (hit.folder(0) / "evals.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("algorithm", "environment", "network"),
    [
        ("td3", FAULTY, "critic"),
        ("td3", "recsim", "actor"),
        ("wolpertinger", "recsim", "critic"),
        ("cem", FAULTY, "critic"),
        ("sac", "recsim", "temperature"),
    ],
)
def test_a_network_that_is_not_finite_fails_its_seed_where_actions_do_not_show_it(
    tmp_path, at_step, algorithm, environment, network
):
    calm = pack(tmp_path / "calm", cell(algorithm, environment), 0)
    train.train_pack(calm)
    hit = pack(tmp_path / "hit", cell(algorithm, environment), 0, 1)
    at_step(299, break_network(1, network))
    train.train_pack(hit)
    failed = status(hit.folder(1))
    assert failed["state"] == "failed"
    assert failed["reason"].startswith("step 300: FloatingPointError: ")
    assert failed["reason"].endswith(" is not finite")
    assert (hit.folder(1) / "evals.csv").read_text().splitlines()[-1].startswith("150,")
    assert_same_run(calm.folder(0), hit.folder(0))


def test_no_checkpoint_holds_a_network_that_is_not_finite(tmp_path, at_step):
    def break_and_stop(training):
        break_network(0, "critic")(training)
        training.stop.set()

    hit = pack(tmp_path, cell("cem", FAULTY), 0)
    at_step(170, break_and_stop)
    with pytest.raises(train.Interrupted):
        train.train_pack(hit)
    assert status(hit.folder(0))["state"] == "failed"
    assert not state_steps(SeedFolder(hit.folder(0)).checkpoint)


def test_when_every_seed_has_failed_the_pack_ends(tmp_path, at_step):
    hit = pack(tmp_path, cell("td3", FAULTY), 0)
    at_step(100, break_network(0))
    train.train_pack(hit)
    assert status(hit.folder(0))["step"] == 100


def stopped_twice(tmp_path, stop_at):
    """A pack that was stopped at 170 and at 220, so that it has two states, and the undisturbed one beside it."""
    calm = pack(tmp_path / "calm", cell("td3"), 3)
    train.train_pack(calm)
    stopped = pack(tmp_path / "stopped", cell("td3"), 3)
    for step in (170, 220):
        stop_at(step)
        with pytest.raises(train.Interrupted):
            train.train_pack(stopped)
    stop_at(None)
    assert state_steps(SeedFolder(stopped.folder(3)).checkpoint) == [220, 170]
    return calm, stopped


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    for place in range(middle, middle + 256):  # more than torch.save leaves unused between tensors, 63 at most
        content[place] ^= 0xFF
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_state_is_named_and_the_one_before_it_taken(tmp_path, stop_at, capsys, damage):
    calm, stopped = stopped_twice(tmp_path, stop_at)
    newest = SeedFolder(stopped.folder(3)).checkpoint / "state-000000220.pt"
    damage(newest)
    train.train_pack(stopped)
    said = capsys.readouterr().out
    assert str(newest) in said
    assert said.count("\n") == 1
    assert status(stopped.folder(3))["resumed_from"] == 170
    assert_same_run(calm.folder(3), stopped.folder(3))


def test_a_replay_log_that_lost_its_end_is_named_and_the_state_before_it_taken(tmp_path, stop_at, capsys):
    calm, stopped = stopped_twice(tmp_path, stop_at)
    log = SeedFolder(stopped.folder(3)).checkpoint / "replay-000000000.bin"
    log.write_bytes(log.read_bytes()[: -log.stat().st_size // 8])
    train.train_pack(stopped)
    assert str(log) in capsys.readouterr().out
    assert status(stopped.folder(3))["resumed_from"] == 170
    assert_same_run(calm.folder(3), stopped.folder(3))


def test_without_a_whole_state_a_seed_starts_over_and_says_so(tmp_path, stop_at, capsys):
    calm, stopped = stopped_twice(tmp_path, stop_at)
    for path in SeedFolder(stopped.folder(3)).checkpoint.glob("state-*.pt"):
        cut(path)
    train.train_pack(stopped)
    assert capsys.readouterr().out.count("cannot be read") == 2
    assert status(stopped.folder(3))["resumed_from"] == 0
    assert_same_run(calm.folder(3), stopped.folder(3))


@pytest.mark.parametrize("name", ["evals.csv", "train.csv"])
def test_rows_that_a_crash_of_the_machine_took_are_made_again(tmp_path, stop_at, capsys, name):
    calm, stopped = stopped_twice(tmp_path, stop_at)
    (stopped.folder(3) / name).write_text("")
    train.train_pack(stopped)
    assert f"{name}: 0 bytes long where the checkpoint names" in capsys.readouterr().out
    assert_same_run(calm.folder(3), stopped.folder(3))


def test_an_environment_that_cannot_be_played_again_is_not_resumed_silently(tmp_path, stop_at, monkeypatch):
    stopped = pack(tmp_path, cell("td3", FAULTY), 3)
    stop_at(171)
    with pytest.raises(train.Interrupted):
        train.train_pack(stopped)
    stop_at(None)
    obs = Line.obs
    monkeypatch.setattr(Line, "obs", lambda self, fault=None: obs(self, fault) + np.float32(0.5))
    train.train_pack(stopped)
    failed = status(stopped.folder(3))
    assert failed["state"] == "failed"
    assert "cannot be resumed" in failed["reason"]


def test_a_full_disk_ends_the_attempt_and_keeps_what_was_saved(tmp_path, stop_at, monkeypatch):
    calm, stopped = stopped_twice(tmp_path, stop_at)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "append_records", full)
        stop_at(260)
        with pytest.raises(OSError, match="No space left"):
            train.train_pack(stopped)
    stop_at(None)
    assert state_steps(SeedFolder(stopped.folder(3)).checkpoint) == [220, 170]
    train.train_pack(stopped)
    assert status(stopped.folder(3))["resumed_from"] == 220
    assert_same_run(calm.folder(3), stopped.folder(3))


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of four megabytes; mounting one takes root on Linux."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return path


def once(action):
    """Do it the first time only."""
    left = [action]
    return lambda training: left.pop()(training) if left else None


def test_a_disk_that_is_really_full_loses_no_finished_result_and_no_checkpoint(tmp_path, small_disk, at_step):
    calm = pack(tmp_path / "calm", cell("td3"), 0, 3)
    train.train_pack(calm)
    train.train_pack(pack(small_disk, cell("td3"), 0))
    at_step(230, once(lambda _: fill(small_disk)))
    filling = pack(small_disk, cell("td3"), 3, checkpoint_every=1e-9)  # after every step
    with pytest.raises(OSError, match="No space left"):
        train.train_pack(filling)
    saved = state_steps(SeedFolder(filling.folder(3)).checkpoint)[0]
    assert saved > 150
    assert_same_run(calm.folder(0), filling.folder(0))
    (small_disk / "filler").unlink()
    train.train_pack(pack(small_disk, cell("td3"), 3))
    assert status(filling.folder(3))["resumed_from"] == saved
    assert_same_run(calm.folder(3), filling.folder(3))


def test_a_disk_that_became_read_only_is_named_and_can_still_be_looked_at(small_disk, stop_at):
    stopped = pack(small_disk, cell("td3"), 3)
    stop_at(170)
    with pytest.raises(train.Interrupted):
        train.train_pack(stopped)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(UserError, match=r"seed-0003: cannot be written \(Read-only file system\)"):
        train.train_pack(stopped)
    assert state_of(SeedFolder(stopped.folder(3))).state == "interrupted"


def test_a_folder_that_vanishes_ends_the_attempt_and_the_next_one_starts_over(tmp_path, at_step):
    calm, hit = (pack(tmp_path / name, cell("td3"), 3, checkpoint_every=1e-9) for name in ("calm", "hit"))
    train.train_pack(calm)
    at_step(170, once(lambda _: shutil.rmtree(hit.folder(3))))
    with pytest.raises(FileNotFoundError):
        train.train_pack(hit)
    train.train_pack(hit)
    assert_same_run(calm.folder(3), hit.folder(3))


def test_a_seed_that_beats_on_another_host_is_left_alone_and_taken_over_when_it_stops(tmp_path, stop_at):
    both = pack(tmp_path, cell("td3"), 3)
    stop_at(170)
    with pytest.raises(train.Interrupted):
        train.train_pack(both)
    stop_at(None)
    folder = SeedFolder(both.folder(3))
    before = status(folder.path)
    owner = before["owner"] | {"host": "another"}
    trains = before | {"state": "running", "owner": owner}
    folder.write_status(trains | {"heartbeat": time.time()})  # type: ignore[typeddict-item]
    train.train_pack(both)
    assert status(folder.path)["attempt"] == 1
    folder.write_status(trains | {"heartbeat": time.time() - 300})  # type: ignore[typeddict-item]
    train.train_pack(both)
    assert status(folder.path)["state"] == "done"
    assert status(folder.path)["resumed_from"] == 170


def test_a_killed_parent_costs_neither_what_is_done_nor_what_was_saved(tmp_path):
    command = ["run", "--algos", "td3", "--envs", "restricted-inverted-pendulum", "--seeds", "2", "--steps", "1500"]
    command += ["--set", "hidden=16-16", "--set", "batch_size=16", "--set", "warmup_steps=100"]
    command += ["--eval-every", "500", "--eval-episodes", "1", "--pack", "1", "--workers", "1"]
    waiting = worker_hooks.environment(tmp_path / "hook", worker_hooks.wait_until_the_parent_is_dead)

    def start(runs: str) -> subprocess.Popen[bytes]:
        line = [sys.executable, "-m", "savo_bench.bench.cli", *command, "--runs", str(tmp_path / runs)]
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, env=waiting if runs == "hit" else None)

    root = tmp_path / "hit" / "default"
    variant = "td3__hidden-16-16__batch_size-16__warmup_steps-100"
    done, hit = (SeedFolder(root / "restricted-inverted-pendulum" / variant / f"seed-000{seed}") for seed in (0, 1))
    parent = start("hit")
    while not (root / "waiting").exists():  # the worker of the second seed makes it, and waits
        assert parent.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    before = (done.path / "evals.csv").stat().st_mtime_ns
    parent.kill()
    parent.wait()
    assert start("hit").wait() == 0  # it waits until the orphan has saved and ended, and then resumes
    assert (done.path / "evals.csv").stat().st_mtime_ns == before
    assert status(hit.path)["resumed_from"] >= worker_hooks.WAITING_STEP
    assert start("calm").wait() == 0
    for folder in (done, hit):
        assert_same_run(tmp_path / "calm" / folder.path.relative_to(tmp_path / "hit"), folder.path)


def test_a_pack_whose_commit_was_cut_short_resumes_together(tmp_path, stop_at):
    """Killed between two renames, one seed is a checkpoint ahead: the pack takes the step that all have."""
    calm = pack(tmp_path / "calm", cell("td3"), 3, 4)
    train.train_pack(calm)
    both = pack(tmp_path / "both", cell("td3"), 3, 4)
    for step in (170, 220):
        stop_at(step)
        with pytest.raises(train.Interrupted):
            train.train_pack(both)
    stop_at(None)
    (SeedFolder(both.folder(4)).checkpoint / "state-000000220.pt").unlink()
    train.train_pack(both)
    for seed in (3, 4):
        assert status(both.folder(seed))["resumed_from"] == 170
        assert_same_run(calm.folder(seed), both.folder(seed))


def test_a_checkpoint_that_cannot_be_read_now_is_kept_and_used_once_it_can(tmp_path, stop_at, monkeypatch):
    calm, stopped = stopped_twice(tmp_path, stop_at)
    stop_at(None)
    folder = SeedFolder(stopped.folder(3))
    newest = str(state_file(folder.checkpoint, 220))

    def read(path: Path) -> bytes:
        if path.name == Path(newest).name:
            raise OSError(errno.EIO, "Input/output error", str(path))
        return path.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "read_bytes", read)
        train.train_pack(stopped)
    failed = status(folder.path)
    assert failed["state"] == "failed"
    assert "its checkpoint cannot be read" in failed["reason"]
    assert newest in failed["reason"]
    train.train_pack(stopped)
    assert status(folder.path)["resumed_from"] == 220
    assert_same_run(calm.folder(3), folder.path)
