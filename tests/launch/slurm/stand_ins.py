"""Stand-ins for SLURM's commands, and seeds as a task leaves them."""

import stat
import time
from pathlib import Path
from typing import Any

import fake_training
from fake_training import FakeConfig

from savo_bench.bench import launch
from savo_bench.bench.cells import Budget, Cell
from savo_bench.bench.grid import Grid
from savo_bench.bench.launch.slurm import records
from savo_bench.bench.launch.slurm.launcher import Slurm
from savo_bench.bench.launch.slurm.queue import SlurmQueue
from savo_bench.bench.options import Options
from savo_bench.results.files import append_csv
from savo_bench.results.format import SeedFolder
from savo_bench.results.state import survey

CELL = Cell("hopper", {}, "fake", FakeConfig(), {}, Budget("ci", 4, 1, 1))


def say(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def planned(root: Path, seeds: int = 2, **given: Any) -> Grid:
    """A grid of one cell for SLURM, prepared as `bench run` does."""
    asked = Options(**{"name": root.name, "runs": root.parent, "on": "slurm", "pack": 1} | given)
    return Grid(asked, (CELL,), tuple(range(seeds)), "cpu", 2, split=Slurm.splits, queues=launch.queues(root))


def list_queue(root: Path, folder: Path, *lines: str) -> None:
    """Let squeue list tasks, written `state|index|reason`, of the one submission."""
    (submission,) = records.submissions(root)
    listed = [f"1|{index}|{state}|{reason}|{submission.name}" for state, index, reason in (x.split("|") for x in lines)]
    (folder / "listed").write_text("\n".join([*listed, "7|0|RUNNING|None|somebody-elses"]))
    say(folder, "squeue", f"cat {folder}/listed")


def joined(root: Path) -> list[tuple[str, str | None]]:
    (cell,) = SlurmQueue(root).join(survey(root))
    return [(seed.state, seed.reason) for seed in cell.seeds]


def finished(folder: SeedFolder) -> None:
    begun(folder, host="another", state="done", step=4)
    append_csv(folder.evals_csv, ["step", "episode", "return", "length"], [[step, 0, 1.0, 1] for step in range(1, 5)])


def begun(
    folder: SeedFolder,
    *,
    host: str,
    state: str = "running",
    step: int = 2,
    launcher: str = "local",
    clock: float = 0,
    **owner: str,
) -> None:
    folder.write_run({**fake_training.spec_of(type("Pack", (), {"cell": CELL}), 0), "seed": folder.seed}, {})
    folder.write_status(
        {
            "state": state,
            "step": step,
            "steps": 4,
            "reason": "boom" if state == "failed" else None,
            "heartbeat": time.time() + clock,
            "owner": {"host": host, "pid": 1, "launcher": launcher, **owner},  # type: ignore[typeddict-item]
        }
    )
    folder.lock.touch()
