"""The lock of a seed: who holds it, and that looking does not disturb."""

import builtins
import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from worker_hooks import TESTS

from savo_bench.results import lock as locks
from savo_bench.results.lock import STALE_AFTER, LostLock, acquire, held, holding


def forever(path: Path, first: str, repeated: str) -> subprocess.Popen:
    """A process that has done something and does another thing until it is killed."""
    code = f"""
import sys, time
from pathlib import Path
from savo_bench.results.lock import acquire, held
path = Path(sys.argv[1])
{first}
print(flush=True)
while True:
    {repeated}
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def test_probing_a_lock_does_not_get_in_its_owners_way(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    assert held(path) is False
    lock = acquire(path)
    assert lock is not None
    assert held(path) is True
    assert acquire(path) is None
    with holding(path) as mine:
        assert not mine
    lock.release()
    assert held(path) is False
    with holding(path) as mine:
        assert mine
        assert held(path) is True
    assert held(path) is False


def test_a_lock_is_free_once_its_owner_is_killed(tmp_path):
    path = tmp_path / "lock"
    owner = forever(path, "descriptor = acquire(path)", "time.sleep(1)")
    assert held(path) is True
    end(owner)
    assert held(path) is False


def test_a_lock_can_be_taken_while_others_keep_probing_it(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    prober = forever(path, "pass", "held(path)")
    try:
        for _ in range(50):
            lock = acquire(path)
            assert lock is not None
            lock.release()
    finally:
        end(prober)


def test_nothing_is_locked_where_there_is_no_file(tmp_path):
    assert held(tmp_path / "no" / "lock") is False


def test_it_is_not_known_who_holds_a_lock_where_there_are_none(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    path.touch()
    imports = builtins.__import__

    def without_fcntl(name, *rest):
        if name == "fcntl":
            raise ImportError(name)
        return imports(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_fcntl)
    assert held(path) is None


# ---- file systems without locks


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=errno.errorcode.get)
def path(request, tmp_path, monkeypatch) -> Path:
    """The path of a lock on a file system that has none."""

    def flock(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    return tmp_path / "lock"


def owner(path: Path, number: int, heartbeat: float, place: str | None = "another boot of another host") -> None:
    folder = path.with_name("lock.owners")
    folder.mkdir(exist_ok=True)
    about = {"host": "elsewhere", "pid": 1, "place": place, "began": "1", "heartbeat": heartbeat}
    (folder / str(number)).write_text(json.dumps(about))


def owners(path: Path) -> list[str]:
    return sorted(file.name for file in path.with_name("lock.owners").iterdir())


def test_an_owner_file_takes_the_place_of_a_lock(path):
    path.touch()
    assert held(path) is None  # nobody has ever had it
    lock = acquire(path)
    assert lock is not None
    assert held(path) is True
    assert acquire(path) is None
    with holding(path) as mine:
        assert not mine
    lock.release()
    assert held(path) is False
    for _ in range(3):
        with holding(path) as mine:
            assert mine
            assert held(path) is True
    assert owners(path) == ["4-free"]
    assert str(locks.why_none(path.parent)) in {os.strerror(e) for e in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)}


def test_an_owner_on_another_host_lives_as_long_as_its_heart_beats(path):
    path.touch()
    now = time.time()
    for place in ("another", None):
        for ago, alive in ((0, True), (STALE_AFTER / 2, True), (-STALE_AFTER / 2, True), (1e3, False), (-1e8, False)):
            owner(path, 7, now - ago, place)
            assert held(path) is alive
            lock = acquire(path)
            assert (lock is None) is alive
            if lock is not None:
                lock.release()
                assert owners(path) == ["8-free"]
                path.with_name("lock.owners").joinpath("8-free").unlink()


def test_an_owner_that_has_written_nothing_yet_lives(path):
    owner(path, 1, 0)
    (path.with_name("lock.owners") / "1").write_text("")
    assert acquire(path) is None
    os.utime(path.with_name("lock.owners") / "1", (1, 1))  # and died then
    assert acquire(path) is not None


def test_an_owner_that_was_taken_for_dead_learns_it_before_it_writes(path):
    lock = acquire(path)
    assert lock is not None
    locks.check(path)
    owner(path, 2, time.time())  # of another host, to which it had seemed dead
    assert lock.lost()
    with pytest.raises(LostLock, match="another process took over"):
        locks.check(path)
    lock.release()
    assert held(path) is True
    assert acquire(path) is None
    locks.check(path)  # which has no such lock


def test_an_owner_that_lives_keeps_its_lock_whatever_its_heartbeat_says(path, monkeypatch):
    monkeypatch.setattr(locks, "_BEAT", 1e9)
    lock = acquire(path)
    assert lock is not None
    monkeypatch.setattr(time, "time", lambda: 1e10)  # it was stopped for long
    assert held(path) is True
    assert acquire(path) is None
    lock.release()


def test_a_heart_beats_until_the_release(path, monkeypatch):
    monkeypatch.setattr(locks, "_BEAT", 0.01)
    lock = acquire(path)
    assert lock is not None
    file = path.with_name("lock.owners") / "1"
    first = json.loads(file.read_text())["heartbeat"]
    until = time.monotonic() + 20
    while json.loads(file.read_text())["heartbeat"] == first:
        assert time.monotonic() < until
    lock.release()
    assert owners(path) == ["1-free"]
    time.sleep(0.05)
    assert owners(path) == ["1-free"]


@pytest.mark.parametrize(
    "content",
    ["", "[]", "[" * 100_000, '{"heartbeat": 3}', '{"heartbeat": Infinity, "pid": 1}', '{"heartbeat": 1e999, "pid": 1}',
     '{"heartbeat": "x", "pid": 1}', '{"heartbeat": 3, "pid": "x", "place": PLACE}',
     '{"heartbeat": 3, "place": PLACE}'],
)  # fmt: skip
def test_an_owner_file_that_is_damaged_is_judged_by_its_age(tmp_path, content):
    path = tmp_path / "lock"
    path.touch()
    file = path.with_name("lock.owners") / "1"
    file.parent.mkdir()
    file.write_text(content.replace("PLACE", json.dumps(locks._place())))
    assert held(path) is True  # it was written just now
    os.utime(file, (0, 0))
    assert held(path) is False


NO_LOCKS = "import worker_hooks; worker_hooks.no_locks(); "


def test_an_owner_is_gone_once_it_is_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent / "src"))))
    path = tmp_path / "lock"
    process = forever(path, NO_LOCKS + "lock = acquire(path)", "time.sleep(1)")
    assert held(path) is True
    assert acquire(path) is None  # a host that has locks sees it, too
    end(process)
    assert held(path) is False
    assert acquire(path) is not None


def test_who_finds_no_locks_any_more_sees_who_has_one(tmp_path, monkeypatch):
    """ENOLCK may come and go with a server."""
    path = tmp_path / "lock"
    lock = acquire(path)
    assert lock is not None
    with monkeypatch.context() as patch:

        def flock(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        patch.setattr(fcntl, "flock", flock)
        assert held(path) is True
        assert acquire(path) is None
        lock.release()
        assert held(path) is None
        other = acquire(path)
        assert other is not None
    assert acquire(path) is None
    other.release()


def test_of_many_that_race_for_a_stale_lock_one_has_it_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent / "src"))))
    path = tmp_path / "lock"
    owner(path, 3, 1.0)
    code = f"""
{NO_LOCKS}
import sys, time
from pathlib import Path
from savo_bench.results.lock import acquire
path, inside = Path(sys.argv[1]), Path(sys.argv[1] + ".inside")
had, until = 0, time.monotonic() + 60
while had < 15 and time.monotonic() < until:
    lock = acquire(path)
    if lock is not None:
        inside.touch(exist_ok=False)
        time.sleep(0.001)
        inside.unlink()
        lock.release()
        had += 1
print(had)
"""
    racing = [subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[0].strip() for process in racing] == [b"15"] * 4
