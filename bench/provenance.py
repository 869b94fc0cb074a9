"""Where an attempt ran: code, packages, hardware, command line. It is recorded and is no part of a run's identity."""

import datetime
import functools
import importlib.metadata
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savo_bench.bench import fingerprint, processor

if TYPE_CHECKING:
    from savo_bench.bench.cells import Cell

# Packages that can change a score or a time. Plug-ins with algorithms or environments are added to them.
PACKAGES = ("savo-bench", "torch", "numpy", "gymnasium", "gymnasium-robotics", "mujoco")
ENTRY_POINTS = ("savo_bench.algos", "savo_bench.envs")

_CODE = Path(__file__).resolve().parent.parent


def provenance(
    cell: "Cell | None" = None, *, device: str, launcher: str, pack: Sequence[int], command: str | None = None
) -> dict[str, Any]:
    """What run.json records beside the spec, and attempts.jsonl of every attempt, as JSON's own types.

    Args:
        cell: what is trained; None counts every plug-in's code.
        device: "cpu" or "cuda".
        launcher: name of the launcher that started this process.
        pack: the seeds that train together.
        command: the command line that asked for the run; None takes that of this process.
    """
    git, dirty = checkout(_CODE)
    return {
        "version": _version("savo-bench"),
        "git": git,
        "dirty": dirty,
        "code": fingerprint.fingerprints() if cell is None else code(cell),
        "packages": packages(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": processor.name(),
        "processor": processor.processor(),
        "cores": cores(),
        "device": device,
        "gpu": _gpu() if device == "cuda" else None,
        "host": socket.gethostname(),
        "node": os.environ.get("SLURMD_NODENAME"),
        "command": command or shlex.join(sys.argv),
        "launcher": launcher,
        "pack": list(pack),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def code(cell: "Cell") -> dict[str, str]:
    """The hash of the source of each package that a cell uses: name -> hash, see `fingerprint`.

    Plug-ins may import each other, so that a cell with an algorithm or an environment of one counts as using all.
    """
    from savo_bench import algos, envs  # need torch, which wrong options do not wait for

    found = fingerprint.fingerprints()
    built_in = algos.get(cell.algorithm) in algos.BUILT_IN and envs.built_in(cell.environment)
    return {fingerprint.OURS: found[fingerprint.OURS]} if built_in else dict(found)


def cores() -> int:
    """Cores that this process may use. On a cluster they can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def checkout(code: Path) -> tuple[str | None, bool | None]:
    """(commit, whether tracked files differ from it) of a checkout; (None, None) for an installed package."""
    # An installed package may lie in another repository, if that holds the virtual environment: ask for our own file.
    if _git(code, "ls-files", "--error-unmatch", "bench/provenance.py") is None:
        return None, None
    changes = _git(code, "status", "--porcelain", "--untracked-files=no")
    return _git(code, "rev-parse", "HEAD"), None if changes is None else changes != ""


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command; None if it fails or there is no git."""
    command = ["git", "-C", str(folder), *arguments]
    # A hook of git, for instance, sets GIT_DIR, which names another repository whatever -C says.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    quiet: dict[str, Any] = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "env": variables}
    try:
        # ours: git answers in far less than ten seconds, and a hung network disk must not stop the training
        done = subprocess.run(command, timeout=10, check=True, **quiet)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@functools.cache
def packages() -> dict[str, str]:
    """Versions of the installed ones of PACKAGES, and of plug-ins: name -> version."""
    names = dict.fromkeys(PACKAGES)
    for group in ENTRY_POINTS:
        names |= {point.dist.name: None for point in importlib.metadata.entry_points(group=group) if point.dist}
    versions = {name: _version(name) for name in names}
    return {name: version for name, version in versions.items() if version is not None}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    import torch  # here: only a run on a GPU asks, and it has torch loaded

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
