"""How much memory and disk there is for what a `bench run` wants to do. It imports no torch."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

QUOTA_SECONDS = 5.0  # ours: `quota` asks file servers, of which one may not answer


@dataclass(frozen=True)
class Memory:
    """Memory that can be taken."""

    bytes: int | None  # None: nobody knows
    what: str  # in words: whose limit it is
    packs: int | None = None  # how many of those that are trained at a time share it; None: all


UNKNOWN = Memory(None, "is free here")


@dataclass(frozen=True)
class Disk:
    """Space that can be filled."""

    bytes: int
    what: str  # in words: whose limit it is


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Memory:
    """What is free on this machine, within the limits of this process's control groups.

    Args:
        proc: Where the system tells of its memory and of this process.
        groups: Where it tells of control groups.
    """
    found: list[tuple[int, str]] = []
    with contextlib.suppress(OSError, ValueError):
        match = re.search(r"^MemAvailable:\s+(\d+) kB$", (proc / "meminfo").read_text(), re.MULTILINE)
        if match:
            found.append((1024 * int(match[1]), "is free here"))
    found += ((free, "is left by the limit of this control group") for free in _group_memory(proc, groups))
    return Memory(*min(found)) if found else UNKNOWN


def _group_memory(proc: Path, groups: Path) -> Iterator[int]:
    """What each control group with a limit leaves, of this process's and those above it."""
    lines = []
    with contextlib.suppress(OSError):
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "memory" not in controllers.split(","):
            continue
        top, limit, usage = (
            (groups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            if controllers
            else (groups, "memory.max", "memory.current")
        )
        folder = top / path.lstrip("/")
        for each in (folder, *folder.parents):
            with contextlib.suppress(OSError, ValueError):  # "max" is no limit
                allowed, used = int((each / limit).read_text()), int((each / usage).read_text())
                cached = re.search(
                    r"^(?:total_)?inactive_file (\d+)$", (each / "memory.stat").read_text(), re.MULTILINE
                )
                yield max(0, allowed - used + (int(cached[1]) if cached else 0))
            if each == top:
                break


def free_disk(root: Path) -> Disk | None:
    """What this user can still write under a folder, which need not exist yet; None if it cannot be read."""
    folder = next((each for each in (root, *root.absolute().parents) if each.exists()), None)
    if folder is None:
        return None
    found = []
    with contextlib.suppress(OSError):
        usage = shutil.disk_usage(folder)
        if usage.total:  # a file system that holds no files of its own, as /proc, has none
            found.append(Disk(usage.free, f"is free in {folder}"))
    if (left := _quota(folder)) is not None:
        found.append(Disk(left, f"is left by your quota for {folder}"))
    return min(found, key=lambda each: each.bytes, default=None)


def _quota(folder: Path) -> int | None:
    """Bytes that this user's quota leaves on the file system of a folder; None if there is none, or nobody says."""
    if shutil.which("quota") is None:
        return None
    try:
        command = ["quota", "-w", "-p", "--show-mntpoint", "--hide-device"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=QUOTA_SECONDS, check=False).stdout
        real = Path(os.path.realpath(folder))
        mount = next(each for each in (real, *real.parents) if os.path.ismount(each))
    except (OSError, subprocess.TimeoutExpired, StopIteration, ValueError):
        return None
    for line in shown.splitlines():
        # The mount point, then used, soft and hard limit in blocks of 1 KiB; 0 is no limit, * one that is exceeded.
        match = re.match(r"\s*(/\S*)\s+(\d+)\*?\s+(\d+)\s+(\d+)\s", line)
        if match and Path(match[1]) == mount:
            used, *limits = (int(part) for part in match.groups()[1:])
            hard = limits[1] or limits[0]
            return max(0, hard - used) * 1024 if hard else None
    return None


def largest_file() -> int | None:
    """Bytes of the largest file that this process and those that it starts may write; None if there is no limit."""
    import resource  # here, as Windows has none

    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if soft == resource.RLIM_INFINITY else soft
