"""What a task of an array does on its node. submitit pickles it together with the pack."""

import os
import signal
import subprocess
from dataclasses import replace
from typing import NoReturn

from savo_bench.bench import worker
from savo_bench.bench.cells import Pack
from savo_bench.bench.launch.problems import record
from savo_bench.bench.launch.slurm.commands import PATIENCE


class Train:
    """What a task does: train its pack, and ask to be requeued if its time runs out.

    submitit's own handler of SIGUSR2 is not used: it would requeue in the middle of a step, and give up after some
    time-outs.
    """

    def __call__(self, pack: Pack) -> None:
        """Train in the main thread of a task."""
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._leave)  # until the training installs its own handlers, which only save
        try:
            worker.train(replace(pack, job=os.environ["SLURM_JOB_ID"]))
        except worker.interrupted() as error:
            came = getattr(error, "signals", ())
            self._leave(signal.SIGUSR2 if signal.SIGUSR2 in came else signal.SIGTERM)
        except Exception as error:
            record(pack, f"crashed: {type(error).__name__}: {' '.join(str(error).split())}")
            raise

    def _leave(self, number: int, *_: object) -> NoReturn:
        """End this attempt; after the warning before a time limit, ask for another one."""
        for each in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(each, signal.SIG_IGN)  # SLURM repeats its signals, and requeueing sends SIGTERM
        if number == signal.SIGUSR2:
            subprocess.run(["scontrol", "requeue", _task_id()], check=True, timeout=PATIENCE)
        raise SystemExit(worker.INTERRUPTED)


def _task_id() -> str:
    """The number of this task as 12_3; 12 alone might mean the whole array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
