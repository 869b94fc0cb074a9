"""Algorithms and environments of another package: the example package, installed, and used by the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def bench(plugin: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), str(ROOT / "src")]), "COLUMNS": "200"}
    command = [sys.executable, "-m", "savo_bench.bench.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_an_installed_algorithm_and_environment_are_listed(example_plugin):
    listed = bench(example_plugin, "list")
    assert listed.returncode == 0, listed.stderr
    assert "best-of-n" in listed.stdout
    assert "an example of a plug-in" in listed.stdout
    assert "line" in listed.stdout


def test_they_train_in_worker_processes_with_fields_and_keywords_and_are_reported(example_plugin, tmp_path):
    run = ["run", "--algos", "td3,best-of-n:perturbations=2", "--envs", "line:friction=0.2", "--seeds", "2"]
    run += ["--steps", "300", "--eval-every", "100", "--set", "warmup_steps=50", "--set", "batch_size=16"]
    trained = bench(example_plugin, *run, "--runs", str(tmp_path))
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "4 of 4 seeds are done" in trained.stdout
    evals = tmp_path / "default" / "line__friction-0.2"
    header = next(evals.glob("best-of-n*/seed-0000/evals.csv")).read_text().splitlines()[0]
    assert header == "step,episode,return,length,near"
    reported = bench(example_plugin, "report", "--runs", str(tmp_path))
    assert reported.returncode == 0, reported.stderr
    assert "best-of-n:" in reported.stdout


def test_a_broken_algorithm_is_named_and_the_others_work(tmp_path):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[savo_bench.algos]\nbroken = no_such_module:entry\n")
    listed = bench(tmp_path, "list", "algos")
    assert listed.returncode == 0
    assert "td3" in listed.stdout
    assert "warning: algorithm plug-in broken (no_such_module:entry) is left out" in listed.stderr


@pytest.mark.parametrize("code", ["raise RuntimeError('two\\nlines')", "import sys; sys.exit(1)"])
@pytest.mark.parametrize(
    "program",
    [
        "import savo_bench, gymnasium; gymnasium.make('SavoBench/MineWorld-v0')",
        "from savo_bench import algos; algos.get('td3')",
        "from savo_bench.bench import launch; launch.get('local')",
    ],
)
def test_broken_plug_ins_stop_no_program_for_which_warnings_are_errors(tmp_path, code, program):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    groups = ("envs", "algos", "launchers")
    (info / "entry_points.txt").write_text("".join(f"[savo_bench.{group}]\nx = broken_plugin\n" for group in groups))
    (tmp_path / "broken_plugin.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines()), done.stderr
    assert "left out" in done.stderr
