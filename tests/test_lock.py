"""The lock of a seed: who holds it, and that looking does not disturb."""

import builtins
import subprocess
import sys
from pathlib import Path

from savo_bench.results.lock import acquire, held, holding


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
