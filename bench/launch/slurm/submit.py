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
from savo_bench.bench.errors import MACHINE, USAGE, UserError
from savo_bench.bench.launch.launcher import THREAD_VARIABLES
from savo_bench.bench.launch.slurm import batch, environment, nodes
from savo_bench.bench.launch.slurm.commands import Refused, SlurmProblem, call, one_line
from savo_bench.bench.launch.slurm.options import SlurmOptions
from savo_bench.bench.launch.slurm.records import Submission, numbered, record
from savo_bench.bench.launch.slurm.task import Share, Train, failures

WARNING = 90  # seconds before the time limit in which a task saves: submitit's own
ARRAY = 1_001  # SLURM's default for MaxArraySize
# What sbatch says where a user, an account or a QOS may have no more tasks in the queue (QOSMaxSubmitJobPerUserLimit,
# AssocMaxSubmitJobLimit, AssocGrpSubmitJobsLimit and the like), and where an array may not be as large.
LIMIT = re.compile(
    r"Submit_?Jobs?\w*Limit|MaxSubmitJob|job submit limit|violates accounting/QOS policy|Invalid job array spec",
    re.IGNORECASE,
)
NAMED_LIMIT = re.compile(r"\b(?:QOS|Assoc)\w*Limit\b")
# What sbatch says where nobody could answer it: the controller, its configuration file, munge.
UNANSWERED = re.compile(
    r"slurm controller|configuration (file|source)|munge|authentication|connection|timed out|zero bytes|temporarily|"
    r"standby",
    re.IGNORECASE,
)


def submit(root: Path, packs: Sequence[Pack], asked: SlurmOptions) -> tuple[list[Submission], list[Pack]]:
    """Hand packs to SLURM, `--packs-per-task` in a task: one array, or several in a row where the cluster limits them.

    Where it also limits the tasks that a user may have in the queue, there are fewer tasks, each of which takes one
    pack after the other.

    Returns:
        What was submitted, and the packs that SLURM would not take beside it.

    Raises:
        UserError: SLURM refuses; says what it said, and what had been submitted before. The exit code says whose fault
            it is: the user's, where SLURM does not take what was asked for; the machine's, where it gives no answer or
            takes no more tasks.
    """
    array = largest_array()
    left = [dataclasses.replace(pack, root=pack.root.absolute()) for pack in packs]
    submitted: list[Submission] = []
    limited = False
    tasks = array
    while left:
        tasks = min(tasks, -(-len(left) // asked.packs_per_task))
        part = left if limited else left[: tasks * asked.packs_per_task]
        try:
            # The throttle is one array's own: the next one waits for the end of the one before.
            submitted.append(_submit(root, part, tasks, asked, after=submitted[-1].job if submitted else None))
            left = left[len(part) :]
        except SlurmProblem as error:
            full = _too_many(str(error))
            if full and tasks > 1:
                limited, tasks = True, tasks // 2
            elif full and submitted:
                break
            else:
                typed = isinstance(error, Refused) and not full
                code = USAGE if typed else MACHINE
                raise UserError(f"{error}{_context(root, submitted)}", exit_code=code) from None
    return submitted, left


def _too_many(said: str) -> bool:
    """Whether sbatch refused the number of tasks, and neither their time nor their size.

    Its last line is the same for all limits of an account or a QOS; a line before it may name the limit.
    """
    named = NAMED_LIMIT.findall(said)
    return any("Submit" in name for name in named) if named else LIMIT.search(said) is not None


def _context(root: Path, submitted: Sequence[Submission]) -> str:
    """What may explain a refusal."""
    excluded = ", ".join(nodes.failing(root))
    before = ", ".join(str(each.job) for each in submitted)
    text = f"; left out, as attempts failed there: {excluded} ({nodes.path(root)})" if excluded else ""
    return text + (f"; submitted before: job {before}" if before else "")


def _submit(root: Path, packs: Sequence[Pack], tasks: int, asked: SlurmOptions, after: str | None) -> Submission:
    """Submit one array.

    Args:
        root: runs/<name>
        packs: If there are more than the tasks train at a time, every task may train all of them.
        tasks: Their number.
        asked: The options.
        after: The number of a job that has to end first.

    Raises:
        Refused: SLURM does not take it.
        SlurmProblem: it gives no answer, or is not there.
        UserError: the image of the container is not there.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError

    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if missing:
        raise SlurmProblem(f"--on slurm: {missing[0]} is not installed here; run this on a node that can submit jobs")
    each = asked.packs_per_task
    if len(packs) > tasks * each:
        every = tuple(range(len(packs)))
        planned = record(root, packs, [every] * tasks, each)
        shares = [Share(tuple(packs), task * each, each, tasks * each, failures(packs)) for task in range(tasks)]
    else:
        dealt = [tuple(range(len(packs))[task * each : (task + 1) * each]) for task in range(tasks)]
        planned = record(root, packs, dealt, each)
        parts = [tuple(packs[index] for index in own) for own in dealt]
        shares = [Share(part, 0, each, each, failures(part)) for part in parts]
    try:
        told = parameters(planned, packs[0].device, asked, after)
        python = told.pop("python")
        executor = SlurmExecutor(planned.folder, python=python)
        executor.update_parameters(**told)
        with (
            contextlib.redirect_stderr(io.StringIO()),  # submitit prints there what it also raises
            environment.submitting(asked.given),
        ):
            jobs = executor.map_array(Train(), shares)
    except FailedJobError as error:
        shutil.rmtree(planned.folder)
        said = one_line("sbatch", str(error)) or "sbatch failed without a word"
        raise (SlurmProblem if UNANSWERED.search(said) else Refused)(said) from None
    except UserError:
        shutil.rmtree(planned.folder)
        raise
    return numbered(planned, str(jobs[0].job_id).partition("_")[0])


def parameters(planned: Submission, device: str, asked: SlurmOptions, after: str | None = None) -> dict[str, Any]:
    """The parameters of submitit's SlurmExecutor: the options that were given, and what resuming relies on.

    `after` is the number of a job that has to end first.

    Raises:
        UserError: the image of the container is not there.
    """
    root = planned.folder.parent.parent.absolute()
    extra = {key.replace("-", "_"): value for key, value in asked.extra}
    excluded = ",".join(filter(None, [str(extra.pop("exclude", "")), *nodes.failing(root)]))
    threads = [f"export {variable}=1" for variable in THREAD_VARIABLES] if device == "cpu" else []
    gres = asked.gres or ("gpu:1" if device == "cuda" and not asked.wants_gpu else None)
    setup, srun, python = batch.container(asked.container, device, root) if asked.container else ([], [], None)
    several = {"ntasks_per_node": asked.packs_per_task} if asked.packs_per_task > 1 else {}
    return {
        "python": python,
        "job_name": planned.name,
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "time": asked.minutes,
        "gres": gres,
        "cpus_per_task": asked.cpus,
        "mem": asked.mem,
        "constraint": asked.constraint,
        "exclude": excluded or None,
        "dependency": f"afterany:{after}" if after else None,
        "array_parallelism": asked.array_parallelism,
        "signal_delay_s": min(WARNING, asked.minutes * 15) if asked.minutes else WARNING,  # a quarter of a short one
        "setup": [*batch.script(planned.folder.name, nodes.path(root), excluded), *threads, *setup, *asked.setup],
        "srun_args": [
            f"--cpus-per-task={asked.cpus}",  # srun does not take it over from sbatch, since SLURM 22.05
            "--kill-on-bad-exit=0",  # the packs of a task do not depend on each other
            *srun,
        ],
        "wckey": None,  # submitit's own is refused where keys are enforced
        "additional_parameters": {"requeue": True, **extra},
        **several,
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
