"""A file system without flock: no seed is trained twice at a time, locally, and nobody submits twice on a cluster."""

import errno
import fcntl
import os
import signal
import socket
from pathlib import Path

import pytest
from fake_training import attempts
from small_grids import alive, pids, read_until, wait_until
from worker_hooks import TESTS

from savo_bench.bench.launch.slurm.records import submitting
from savo_bench.results.format import seed_folders


@pytest.fixture
def lockless(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a name, where neither the grid's process nor its workers find locks."""
    hook = tmp_path / "path" / "sitecustomize.py"
    hook.write_text(f"import worker_hooks\nworker_hooks.no_locks()\n{hook.read_text()}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (hook.parent, TESTS, TESTS.parent / "src"))))
    return root


def test_two_runs_at_once_never_train_a_seed_twice_and_say_once_what_is_lacking(lockless, drive, tmp_path):
    held = tmp_path / "held-0"
    held.touch()
    config, options = f"held={str(tmp_path / 'held-{seed}')!r}", "seeds=3, workers=1"
    first = drive(config, options)
    wait_until(lambda: lockless.exists() and len(attempts(lockless)) == 1, 90)  # of seed 0
    second = drive(config, options)
    before = read_until(second, f"waiting for 1 seed that another process trains: host {socket.gethostname()}, pid")
    held.unlink()
    outputs = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert [seed for _, seed, _ in attempts(lockless)] == [0, 1, 2]
    for output in (outputs[0], before + outputs[1]):
        assert output.count("has no locks (Function not implemented)") == 1
    assert all((folder.path / "lock.owners" / "1-free").exists() for folder in seed_folders(lockless))


def test_a_worker_that_is_killed_is_replaced_at_once(lockless, drive, tmp_path):
    held = tmp_path / "held-0"
    held.touch()
    config, options = f"held={str(tmp_path / 'held-{seed}')!r}", "seeds=1, workers=1"
    first = drive(config, options)
    wait_until(lambda: lockless.exists() and len(attempts(lockless)) == 1, 90)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    wait_until(lambda: not alive(pids(lockless)[0]))
    held.unlink()
    second = drive(config, options)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    assert "waiting for" not in output  # until a heartbeat is stale
    assert len(attempts(lockless)) == 2


def test_submitting_to_a_cluster_is_one_at_a_time(root, monkeypatch):
    class Waits(Exception):
        pass

    def waits() -> None:
        raise Waits

    def flock(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", flock)
    with submitting(root, waits), pytest.raises(Waits), submitting(root, waits):
        pass
    with submitting(root, waits):
        pass
