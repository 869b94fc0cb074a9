"""The environment variables of SLURM's commands."""

import os

import pytest
from small_grids import run
from stand_ins import planned, say

from savo_bench.bench.launch.slurm import environment
from savo_bench.bench.launch.slurm.commands import call
from savo_bench.bench.launch.slurm.options import SlurmOptions

OUTER = {
    "SLURM_JOB_ID": "7", "SLURM_CPU_BIND": "quiet,mask_cpu:0x1", "SLURM_MEM_PER_CPU": "100", "SLURM_NTASKS": "4",
    "SLURM_EXPORT_ENV": "NONE", "SLURMD_NODENAME": "n1", "SBATCH_MEM_PER_NODE": "1", "SBATCH_ARRAY_INX": "0-9",
    "SBATCH_REQUEUE": "0", "SRUN_CPUS_PER_TASK": "9", "PMI_RANK": "1", "PMIX_RANK": "1", "CUDA_VISIBLE_DEVICES": "3",
    "SQUEUE_USERS": "me", "SACCT_FORMAT": "user",
}  # fmt: skip
OURS = {
    "PATH": "/bin",
    "SLURM_CONF": "/etc/slurm.conf",
    "SBATCH_ACCOUNT": "lab",
    "SBATCH_PARTITION": "long",
    "SLURMY": "1",
}


def test_what_an_allocation_sets_is_dropped_and_what_users_set_is_kept():
    assert environment.of_commands(OUTER | OURS) == OURS


def test_the_gpus_of_somebody_without_an_allocation_stay():
    assert environment.of_commands({"CUDA_VISIBLE_DEVICES": "3"}) == {"CUDA_VISIBLE_DEVICES": "3"}


def test_an_option_wins_over_a_variable_which_sbatch_would_prefer():
    kept = environment.of_commands(OURS, SlurmOptions(partition="short", extra=(("reservation", "r"),)).given)
    assert "SBATCH_PARTITION" not in kept
    assert kept["SBATCH_ACCOUNT"] == "lab"


@pytest.fixture
def inside(monkeypatch) -> None:
    for name, value in OUTER.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("inside")
def test_no_command_of_slurm_sees_them_and_they_are_there_again_afterwards(commands, tmp_path):
    for name in ("squeue", "scontrol", "sbatch"):
        said = "Submitted batch job 1" if name == "sbatch" else ""
        say(commands, name, f"env >> {tmp_path}/{name}.env; echo {said}")
    assert run(planned(tmp_path / "name"))[0] == 0
    call("squeue")
    for name in ("squeue", "scontrol", "sbatch"):
        seen = {line.partition("=")[0] for line in (tmp_path / f"{name}.env").read_text().splitlines()}
        assert "PATH" in seen
        assert not seen & OUTER.keys()
    assert OUTER.items() <= os.environ.items()
