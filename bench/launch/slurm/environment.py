"""The environment variables that SLURM's commands get.

An allocation in which `bench run` is started sets variables that would steer the tasks that it submits: a CPU binding,
memory of a CPU, a number of tasks. And what sbatch reads of its environment wins over the options of a script.
"""

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping

# Variables of SLURM, of the process managers of its steps, and what filters the answers of squeue and sacct.
PREFIXES = (
    "SLURM_", "SLURMD_", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SACCT_", "SCONTROL_", "PMI_", "PMI2_", "PMIX_",
)  # fmt: skip
# How to reach the cluster that was meant.
REACH = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
# What users set for all their jobs, and SLURM never sets, by the option of sbatch that wins over it.
OF_USERS = {
    "SBATCH_ACCOUNT": "account",
    "SBATCH_CLUSTERS": "clusters",
    "SBATCH_CONSTRAINT": "constraint",
    "SBATCH_PARTITION": "partition",
    "SBATCH_QOS": "qos",
    "SBATCH_RESERVATION": "reservation",
    "SBATCH_TIMELIMIT": "time",
    "SBATCH_WCKEY": "wckey",
}
# The GPUs of an allocation, which another one does not have.
DEVICES = ("CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


def of_commands(variables: Mapping[str, str], given: Collection[str] = ()) -> dict[str, str]:
    """The variables without those of an allocation and of steps.

    Args:
        variables: those of this process
        given: options of sbatch that are given, by their long names; they win over a user's variables
    """
    kept = {*REACH, *(name for name, option in OF_USERS.items() if option not in given)}
    dropped = DEVICES if "SLURM_JOB_ID" in variables else ()
    return {
        name: value
        for name, value in variables.items()
        if name in kept or not (name.startswith(PREFIXES) or name in dropped)
    }


@contextlib.contextmanager
def submitting(given: Collection[str]) -> Iterator[None]:
    """Give this process the variables that sbatch is to have, for as long as submitit calls it."""
    before = dict(os.environ)
    for name in before.keys() - of_commands(before, given).keys():
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)
