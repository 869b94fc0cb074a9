"""What the tests of the SLURM launcher share; those with a real SLURM are in tests/slurm."""

import os
from pathlib import Path

import fake_training
import pytest
from stand_ins import say


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that are found before any real ones; `sbatch` numbers jobs from 1 on."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    fake_training.estimate_nothing(monkeypatch.setattr)
    say(folder, "sbatch", f'echo x >> {folder}/count; echo "Submitted batch job $(wc -l < {folder}/count)"')
    say(folder, "srun", "exit 1")
    say(folder, "squeue", "exit 0")
    say(folder, "sacct", 'echo "Slurm accounting storage is disabled" >&2; exit 1')
    say(folder, "scontrol", 'echo "MaxArraySize            = 3"')
    return folder
