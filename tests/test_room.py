"""What this machine has left of memory and disk."""

import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from savo_bench.bench import room

KIB = 1024


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    5000 kB\n"}


def free(root: Path, files: dict[str, str]) -> int:
    tree(root, files)
    found = room.free_memory(root / "proc", root / "groups")
    assert found.bytes is not None
    return found.bytes


def test_memory_is_what_is_available(tmp_path):
    assert free(tmp_path, MEMINFO) == 5000 * KIB


def test_a_group_above_this_one_limits_memory(tmp_path):
    groups = {
        "proc/self/cgroup": "0::/user/job\n",
        "groups/user/job/memory.max": "max\n",
        "groups/user/job/memory.current": "1\n",
        "groups/user/memory.max": "4000\n",
        "groups/user/memory.current": "3000\n",
        "groups/user/memory.stat": "anon 2500\ninactive_file 500\n",
    }
    assert free(tmp_path, MEMINFO | groups) == 1500


def test_the_first_kind_of_groups_limits_memory(tmp_path):
    groups = {
        "proc/self/cgroup": "4:cpu:/elsewhere\n3:memory:/job\n",
        "groups/memory/job/memory.limit_in_bytes": "4000",
        "groups/memory/job/memory.usage_in_bytes": "4100",
        "groups/memory/job/memory.stat": "total_inactive_file 0\n",
        "groups/memory/memory.limit_in_bytes": str(2**62),
        "groups/memory/memory.usage_in_bytes": "5000",
        "groups/memory/memory.stat": "",
    }
    assert free(tmp_path, MEMINFO | groups) == 0


def test_memory_that_nobody_tells_of_is_unknown(tmp_path):
    assert room.free_memory(tmp_path, tmp_path) == room.UNKNOWN


@pytest.fixture
def quota(monkeypatch):
    """Let `quota` print something."""

    def say(text: str) -> None:
        monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/quota")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0, stdout=text))

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 0, 10**6))  # type: ignore[attr-defined]
    monkeypatch.setattr(room.os.path, "ismount", lambda path: str(path) == "/")
    return say


def left(root: Path) -> int:
    found = room.free_disk(root)
    assert found is not None
    return found.bytes


HEAD = "Disk quotas for user ann (uid 1000):\n  Filesystem  space  quota  limit  grace  files  quota  limit  grace\n"


def test_a_folder_that_does_not_exist_yet_has_the_space_of_the_one_above(tmp_path, quota):
    quota("")
    found = room.free_disk(tmp_path / "a" / "b")
    assert found == room.Disk(10**6, f"is free in {tmp_path}")


def test_a_quota_limits_the_space(tmp_path, quota):
    quota(f"{HEAD}  /home  5000  0  5001  0  1  0  0  0\n  /  100  150  200  0  1  0  0  0\n")
    assert left(tmp_path) == 100 * KIB
    quota(f"{HEAD}  /  300*  150  200  6days  1  0  0  0\n")
    assert left(tmp_path) == 0
    quota(f"{HEAD}  /  100  150  0  0  1  0  0  0\n")
    assert left(tmp_path) == 50 * KIB


@pytest.mark.parametrize("text", ["", "none", f"{HEAD}  /  100  0  0  0  1  0  0  0\n", "quota: unknown option\n"])
def test_no_quota_limits_nothing(text, tmp_path, quota):
    quota(text)
    assert left(tmp_path) == 10**6


@pytest.mark.parametrize("error", [subprocess.TimeoutExpired("quota", 5), OSError(5, "input/output error")])
def test_a_quota_that_cannot_be_asked_for_limits_nothing(error, tmp_path, quota, monkeypatch):
    def fail(*_, **__):
        raise error

    quota("")
    monkeypatch.setattr(subprocess, "run", fail)
    assert left(tmp_path) == 10**6


def test_the_limit_of_files_is_the_shells(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, 0))
    assert room.largest_file() is None
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 0))
    assert room.largest_file() == 512
