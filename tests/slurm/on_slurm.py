"""A small training on SLURM, and what the tests of this folder ask about it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from small_runs import assert_same_run

from savo_bench.results.format import SeedFolder, state_steps

ROOT = Path(__file__).parent.parent.parent
TINY = ("--set", "warmup_steps=60", "--set", "hidden=24-17", "--set", "batch_size=19", "--eval-episodes", "1")
VARIANT = "hidden=24-17,batch_size=19,warmup_steps=60"
ONE = ("--algos", "td3", "--envs", "restricted-hopper", *TINY, "--steps", "500", "--eval-every", "150", "--pack", "1")
ON_SLURM = ("--on", "slurm", "--checkpoint-every", "1")
# Beyond its first evaluation a training that was never interrupted takes a second for a step, so that a fault finds it
# at work on any machine and keeps no processor busy. What has resumed goes on at full speed.
SLOW = """
import builtins, sys, time
import_ = builtins.__import__

def slowly(advance):
    def slow(self):
        self.began = getattr(self, "began", self.step)
        if self.began == 0 and self.step > 155:
            time.sleep(1)
        return advance(self)
    return slow

def importing(name, *arguments, **more):
    module = import_(name, *arguments, **more)
    training = getattr(sys.modules.get("savo_bench.bench.training.loop"), "Training", None)
    if training and "slow" not in training.__dict__:
        training.slow, training.advance = True, slowly(training.advance)
    return module

builtins.__import__ = importing
"""


def bench(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Exit code and output of the command line."""
    done = started(*arguments, **environment)
    output, _ = done.communicate(timeout=1500)
    return done.returncode, output


def started(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "savo_bench.bench.cli", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until(holds: Callable[[], object], seconds: float = 600.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, slurm("squeue", "--states=all")
        time.sleep(0.2)


def seed(runs: Path, number: int) -> SeedFolder:
    return SeedFolder.of(runs / "default", "restricted-hopper", f"td3:{VARIANT}", number)


def saved(folder: SeedFolder) -> bool:
    """Whether there is a checkpoint, after the first evaluation."""
    return max(state_steps(folder.checkpoint), default=0) > 150


def of(folder: SeedFolder) -> dict:
    """What status.json says."""
    return dict(folder.read_status() or {})


def jobs(runs: Path) -> list[str]:
    """Numbers of the jobs submitted for a folder, oldest first."""
    found = [json.loads(path.read_text()) for path in (runs / "default" / "slurm").glob("*/submission.json")]
    return [each["job"] for each in sorted(found, key=lambda each: each["submitted"])]


def tasks(runs: Path) -> int:
    found = [json.loads(path.read_text()) for path in (runs / "default" / "slurm").glob("*/submission.json")]
    return sum(len(each["tasks"]) for each in found)


def held(file: Path) -> tuple[str, str]:
    """Make a file, and what `bench run` is to be told so that its tasks begin when that file is gone."""
    file.touch()
    return "--setup", f"while [ -e {file} ]; do sleep 0.2; done"


def steps() -> list[Path]:
    """The daemons of this SLURM that look after a step of a job."""
    ours = f"SLURM_CONF={os.environ['SLURM_CONF']}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (path / "comm").read_text() == "slurmstepd\n" and ours in (path / "environ").read_bytes().split(b"\0"):
                found.append(path)
    return found


def assert_ended_like(calm: Path, runs: Path, *seeds: int) -> None:
    for number in seeds:
        assert of(seed(runs, number))["state"] == "done"
        assert of(seed(runs, number))["resumed_from"] > 150
        assert_same_run(seed(calm, number).path, seed(runs, number).path)
