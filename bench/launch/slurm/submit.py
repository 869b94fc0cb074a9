"""Handing packs to SLURM: arrays, and what sbatch is told."""

import contextlib
import dataclasses
import io
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch.launcher import THREAD_VARIABLES
from savo_bench.bench.launch.slurm.commands import SlurmProblem, call, one_line
from savo_bench.bench.launch.slurm.options import SlurmOptions
from savo_bench.bench.launch.slurm.records import Submission, numbered, record
from savo_bench.bench.launch.slurm.task import Train

WARNING = 90  # seconds before the time limit in which a task saves: submitit's own
ARRAY = 1_001  # SLURM's default for MaxArraySize


def submit(root: Path, packs: Sequence[Pack], asked: SlurmOptions) -> list[Submission]:
    """Hand packs to SLURM, one task each: one array, or several in a row where the cluster's limit demands it.

    Raises:
        UserError: SLURM refuses; says what it said, and what had been submitted before.
    """
    limit = largest_array()
    submitted: list[Submission] = []
    for start in range(0, len(packs), limit):
        part = [dataclasses.replace(pack, root=pack.root.absolute()) for pack in packs[start : start + limit]]
        planned = record(root, part)
        try:
            # The throttle is one array's own: the next one waits for the end of the one before.
            job = _submit(planned, part, asked, after=submitted[-1].job if submitted else None)
        except SlurmProblem as error:
            shutil.rmtree(planned.folder)
            before = f"; submitted before: job {', '.join(str(each.job) for each in submitted)}" if submitted else ""
            raise UserError(f"{error}{before}") from None
        submitted.append(numbered(planned, job))
    return submitted


def _submit(planned: Submission, packs: Sequence[Pack], asked: SlurmOptions, after: str | None) -> str:
    """Submit one array; returns the number of its job.

    Raises:
        SlurmProblem: SLURM refuses.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError

    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if missing:
        raise SlurmProblem(f"--on slurm: {missing[0]} is not installed here; run this on a node that can submit jobs")
    executor = SlurmExecutor(planned.folder)
    executor.update_parameters(**parameters(planned.name, packs[0].device, asked, after))
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints there what it also raises
            submitted = executor.map_array(Train(), packs)
    except FailedJobError as error:
        raise SlurmProblem(one_line("sbatch", str(error)) or "sbatch failed without a word") from None
    return str(submitted[0].job_id).partition("_")[0]


def parameters(name: str, device: str, asked: SlurmOptions, after: str | None = None) -> dict[str, Any]:
    """The parameters of submitit's SlurmExecutor: the options that were given, and what resuming relies on.

    `after` is the number of a job that has to end first.
    """
    threads = [f"export {variable}=1" for variable in THREAD_VARIABLES] if device == "cpu" else []
    gres = asked.gres or ("gpu:1" if device == "cuda" and not asked.wants_gpu else None)
    extra = {key.replace("-", "_"): value for key, value in asked.extra}
    return {
        "job_name": name,
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "time": asked.minutes,
        "gres": gres,
        "cpus_per_task": asked.cpus,
        "mem": asked.mem,
        "constraint": asked.constraint,
        "dependency": f"afterany:{after}" if after else None,
        "array_parallelism": asked.array_parallelism,
        "signal_delay_s": min(WARNING, asked.minutes * 15) if asked.minutes else WARNING,  # a quarter of a short one
        "setup": [*threads, *asked.setup],
        "srun_args": [f"--cpus-per-task={asked.cpus}"],  # srun does not take it over from sbatch, since SLURM 22.05
        "wckey": None,  # submitit's own is refused where keys are enforced
        "additional_parameters": {"requeue": True, **extra},
    }


def largest_array() -> int:
    """The largest number of tasks that an array may have on this cluster."""
    try:
        shown = call("scontrol", "show", "config")
    except SlurmProblem:
        return ARRAY
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
    return max(1, int(match[1])) if match else ARRAY


def cancel_line(submitted: Sequence[Submission]) -> str:
    """The command that ends what was submitted."""
    return shlex.join(["scancel", *(str(each.job) for each in submitted)])
