"""The interface of launchers: one of another package is found by its name and needs nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from savo_bench.bench import launch
from savo_bench.bench.errors import UserError
from savo_bench.bench.grid import Queue
from savo_bench.bench.options import Options

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "tests" / "example_launcher"
TINY = ("--set", "warmup_steps=10", "--set", "hidden=8-8", "--set", "batch_size=4", "--eval-episodes", "1")
GRID = ("--algos", "td3", "--envs", "restricted-inverted-pendulum", "--seeds", "2", "--steps", "20", *TINY)


def installed(folder: Path, module: str, entry: str) -> dict[str, str]:
    """Environment variables with which an entry point of the launchers is found."""
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[savo_bench.launchers]\n{module} = {entry}\n")
    path = os.pathsep.join(map(str, (folder, EXAMPLE, ROOT / "src")))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def call(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "savo_bench.bench.cli", *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_launcher_of_another_package_is_used_by_its_name(tmp_path):
    environment = installed(tmp_path / "site", "spool", "spool:Spool")
    shown = call(environment, tmp_path, "run", "--help")
    assert "inline: this process; spool: files for others to take." in " ".join(shown.stdout.replace("│", "").split())
    assert "With --on spool" in shown.stdout
    assert "Packs of a lower number are taken first." in shown.stdout

    (tmp_path / "grid.toml").write_text("[spool]\npriority = 3\n")
    command = ("run", *GRID, "--on", "spool", "--config", "grid.toml")
    planned = call(environment, tmp_path, *command, "--dry-run")
    assert (planned.returncode, "0 done, 2 to train (2 new)" in planned.stdout) == (0, True), planned.stderr
    spooled = call(environment, tmp_path, *command)
    assert (spooled.returncode, spooled.stderr) == (0, "")
    (pack,) = (tmp_path / "runs" / "default" / "spool").iterdir()
    assert pack.name == "3-0000.pack"
    assert "seeds 0-1: queued (3-0000.pack)" in call(environment, tmp_path, "status").stdout
    again = call(environment, tmp_path, *command, "--priority", "1")
    assert "0 done, 0 to train, 2 queued" in again.stdout
    assert "written: 0 packs" in again.stdout

    with pack.open("rb") as waiting:
        worker = [sys.executable, "-m", "savo_bench.bench.worker"]
        assert subprocess.run(worker, stdin=waiting, env=environment, cwd=tmp_path, check=False).returncode == 0
    assert call(environment, tmp_path, *command).stdout == "nothing to do: 2 of 2 seeds are done\n"


def test_a_mistyped_launcher_and_another_ones_option_are_named(tmp_path):
    environment = installed(tmp_path / "site", "spool", "spool:Spool")
    wrong = call(environment, tmp_path, "run", *GRID, "--on", "spol")
    assert (wrong.returncode, "did you mean spool?" in wrong.stderr) == (2, True)
    wrong = call(environment, tmp_path, "run", *GRID, "--priority", "1")
    assert wrong.stderr == "error: --priority: is for --on spool only; add that, or leave it out\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('no spool')", "no spool"),
        (
            "from dataclasses import dataclass\nfrom typing import Annotated\n"
            "from savo_bench.bench.flags import Flag\nfrom savo_bench.bench.launch.launcher import Launcher\n"
            "@dataclass\nclass Own:\n    mem: Annotated[str, Flag('a')] = ''\n"
            "class Broken(Launcher):\n    name, summary, options_type = 'broken', 'a', Own\n",
            "the option mem is there already",
        ),
    ],
)
def test_a_broken_launcher_is_left_out_in_one_line_and_the_others_work(tmp_path, code, reason):
    environment = installed(tmp_path / "site", "broken", "broken:Broken")
    (tmp_path / "site" / "broken.py").write_text(code)
    done = call(environment, tmp_path, "list", "profiles")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: launcher plug-in broken (broken:Broken) is left out: ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_built_in_launchers_are_made_from_options():
    assert launch.names()[:3] == ["local", "slurm", "inline"]
    for name in launch.names():
        assert launch.create(Options(on=name)).name == name
    with pytest.raises(UserError, match="did you mean local"):
        launch.create(Options(on="locl"))


def test_a_queue_that_knows_nothing_changes_nothing(tmp_path):
    assert launch.queues(tmp_path)["local"].join([]) == []
    assert Queue().notes() == []
