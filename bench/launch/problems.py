"""What is noted about the seeds of a pack whose training ended without a word of its own."""

from typing import Literal

from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.grid import Problems
from savo_bench.results.files import CorruptFile
from savo_bench.results.lock import holding


def record(pack: Pack, problem: str, state: Literal["failed", "interrupted"] = "failed") -> Problems:
    """Write into the status files of a dead process's seeds that they failed, or were interrupted, and why.

    Returns:
        The problem for each seed whose file could not be written, or that has none.
    """
    problems: Problems = {}
    for seed in pack.seeds:
        folder = seed_folder(pack.root, pack.cell, seed)
        try:
            if folder.read_status() is None:
                problems[folder.path] = problem
                continue
            with holding(folder.lock) as mine:
                status = folder.read_status()
                if mine and status is not None and status["state"] == "running":
                    folder.write_status({**status, "state": state, "reason": problem}, durable=True)
        except (OSError, CorruptFile):
            problems[folder.path] = problem
    return problems


def saved(pack: Pack) -> bool:
    """Whether the status files of a dead process's seeds say that all have ended or were interrupted, and so saved."""
    for seed in pack.seeds:
        try:
            status = seed_folder(pack.root, pack.cell, seed).read_status()
        except (OSError, CorruptFile):
            return False
        if status is None or status["state"] == "running":
            return False
    return True
