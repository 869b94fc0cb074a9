"""Launcher on a cluster: packs become the tasks of one throttled SLURM array, by way of submitit.

A task trains its pack as every other launcher does, in its own process. What may come over it, and what it does:

    SIGUSR2, some time before its time limit       saves, asks SLURM to requeue it, ends; later goes on
    SIGTERM: preempted, requeued, cancelled        saves and ends; whoever sent it decides whether it comes back
    its node fails                                 SLURM runs it again; it goes on from its last checkpoint
    it is killed, or crashes                       `bench status` says so, and the next `bench run` submits it again

The pickled pack names a run directory and never a checkpoint, so that the first pickle is as good as any later one.
"""

import contextlib
import dataclasses
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from savo_bench.bench import jobs, worker
from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import UserError
from savo_bench.bench.jobs import SlurmProblem, Submission
from savo_bench.bench.launch import THREAD_VARIABLES, record
from savo_bench.bench.options import Slurm

WARNING = 90  # seconds before the time limit in which a task saves: submitit's own
ARRAY = 1_001  # SLURM's default for MaxArraySize


class Train:
    """What a task does: train its pack, and come back if it runs out of time.

    submitit's own handler of SIGUSR2 would requeue in the middle of a step, and give up after some time-outs.
    """

    def __call__(self, pack: Pack) -> None:
        """Train in the main thread of a task."""
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._leave)  # until the training installs its own, which only save
        try:
            worker.train(pack)
        except worker.interrupted() as error:
            came = getattr(error, "signals", ())
            self._leave(signal.SIGUSR2 if signal.SIGUSR2 in came else signal.SIGTERM)
        except Exception as error:
            record(pack, f"crashed: {type(error).__name__}: {' '.join(str(error).split())}")
            raise

    def _leave(self, number: int, *_: object) -> NoReturn:
        """End this attempt, after asking for another one if SLURM will not offer it."""
        for each in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(each, signal.SIG_IGN)  # SLURM repeats itself, and being requeued brings a SIGTERM
        if number == signal.SIGUSR2:
            subprocess.run(["scontrol", "requeue", _task_id()], check=True, timeout=jobs.PATIENCE)
        raise SystemExit(worker.INTERRUPTED)


def _task_id() -> str:
    """This task, and not the whole array, whose number may be the same as this task's."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def submit(root: Path, packs: Sequence[Pack], asked: Slurm) -> list[Submission]:
    """Hand packs to SLURM, one task each: one array, or several in a row where the cluster's limit demands it.

    Raises:
        UserError: SLURM refuses; says what it said, and what had been submitted before.
    """
    limit = largest_array()
    submitted: list[Submission] = []
    for start in range(0, len(packs), limit):
        part = [dataclasses.replace(pack, root=pack.root.absolute()) for pack in packs[start : start + limit]]
        planned = jobs.record(root, part)
        try:
            # The throttle is one array's own: the next one waits for the end of the one before.
            job = _submit(planned, part, asked, after=submitted[-1].job if submitted else None)
        except SlurmProblem as error:
            shutil.rmtree(planned.folder)
            before = f"; submitted before: job {', '.join(str(each.job) for each in submitted)}" if submitted else ""
            raise UserError(f"{error}{before}") from None
        submitted.append(jobs.numbered(planned, job))
    return submitted


def _submit(planned: Submission, packs: Sequence[Pack], asked: Slurm, after: str | None) -> str:
    """Submit one array; its number.

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
        raise SlurmProblem(jobs.one_line("sbatch", str(error)) or "sbatch failed without a word") from None
    return str(submitted[0].job_id).partition("_")[0]


def parameters(name: str, device: str, asked: Slurm, after: str | None = None) -> dict[str, Any]:
    """What submitit's SlurmExecutor is told: the options that were given, and what resuming relies on.

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
    """How many tasks an array may have on this cluster."""
    try:
        shown = jobs.call("scontrol", "show", "config")
    except SlurmProblem:
        return ARRAY
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
    return max(1, int(match[1])) if match else ARRAY


def cancel_line(submitted: Sequence[Submission]) -> str:
    """The command that ends what was submitted."""
    return shlex.join(["scancel", *(str(each.job) for each in submitted)])
