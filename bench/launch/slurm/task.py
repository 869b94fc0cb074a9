"""What a task of an array does on its node. submitit pickles it together with the packs.

With `--packs-per-task` a task has several processes, which all run this. Its exit code tells the batch script
(batch.py) what to do.
"""

import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from savo_bench.bench import process, worker
from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.launch.problems import record
from savo_bench.bench.launch.slurm.batch import BAD_NODE, COME_BACK
from savo_bench.results.format import Status
from savo_bench.results.lock import held
from savo_bench.results.state import state_of

PATIENCE = 50  # seconds until a first computation counts as hung; ours: a GPU's driver may take ten to start

FULL = (errno.ENOSPC, errno.EDQUOT)  # on every node


class BadNode(Exception):
    """The node cannot be used."""


@dataclass(frozen=True)
class Share:
    """Packs that a task may train, and with which of them it begins.

    The packs are dealt out to `processes`, of which this task has `own`, the first of them number `first`. Each begins
    with those that it was dealt. When they are through it takes what nobody else has begun.
    """

    packs: tuple[Pack, ...]
    first: int
    own: int
    processes: int
    failures: Mapping[Path, Status | None] = field(default_factory=dict)  # see `failures`: of its seeds, when submitted

    def order(self, process: int) -> list[Pack]:
        """The packs in the order in which a process of this task, counted from 0, goes through them."""
        begin = self.first + process
        deals = [self.packs[(begin + turn) % self.processes :: self.processes] for turn in range(self.processes)]
        return [pack for deal in deals for pack in deal]


class Train:
    """What a process of a task does: check its node, train packs, say how it ended.

    submitit's own handler of SIGUSR2 is not used: it would requeue in the middle of a step, and give up after some
    time-outs.
    """

    def __call__(self, share: Share) -> None:
        """Train in the main thread of a process."""
        with process.settled():
            self._train(share)

    def _train(self, share: Share) -> None:
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._leave)  # until the training installs its own handlers, which only save
        first = share.packs[0]
        try:
            check_node(first.root, first.device)
        except BadNode as error:
            node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
            print(f"error: node {node} cannot be used: {error}", file=sys.stderr)
            raise SystemExit(BAD_NODE) from None
        failed: Exception | None = None
        for pack in self._left(share):
            try:
                worker.train(pack)
            except worker.interrupted() as error:
                came = getattr(error, "signals", ())
                self._leave(signal.SIGUSR2 if signal.SIGUSR2 in came else signal.SIGTERM)
            except Exception as error:
                record(pack, f"crashed: {type(error).__name__}: {' '.join(str(error).split())}")
                failed = error
        if failed is not None:
            raise failed

    def _left(self, share: Share) -> Iterator[Pack]:
        """The packs that nobody else has in hand when it is their turn, each once."""
        number, job = int(os.environ.get("SLURM_PROCID", "0")), os.environ["SLURM_JOB_ID"]
        for pack in share.order(number):
            # Of two processes of a job neither is the other's former life.
            mine = replace(pack, job=job if share.own == 1 else f"{job}/{number}")
            seeds = tuple(seed for seed in pack.seeds if _free(mine, seed, share.failures))
            if seeds:
                yield mine.with_seeds(seeds)

    def _leave(self, number: int, *_: object) -> NoReturn:
        """End this attempt; after the warning before a time limit, ask for another one."""
        for each in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(each, signal.SIG_IGN)  # SLURM repeats its signals, and requeueing sends SIGTERM
        raise SystemExit(COME_BACK if number == signal.SIGUSR2 else worker.INTERRUPTED)


def failures(packs: Iterable[Pack]) -> dict[Path, Status | None]:
    """The status files of the seeds that have failed, by their folders.

    A seed whose file is another one when its turn comes has failed since. The nodes' clocks are not asked: they differ.
    """
    folders = [seed_folder(pack.root, pack.cell, seed) for pack in packs for seed in pack.seeds]
    found = map(state_of, folders)
    return {each.folder.path: each.status for each in found if each.state == "failed"}


def _free(pack: Pack, seed: int, before: Mapping[Path, Status | None]) -> bool:
    """Whether a seed wants training, nobody else trains it, and it has not failed since the submission."""
    folder = seed_folder(pack.root, pack.cell, seed)
    if held(folder.lock):
        return False
    found = state_of(folder, asking={"launcher": pack.launcher, "job": pack.job})
    failed_since = found.state == "failed" and found.status != before.get(folder.path)
    return found.trainable and not failed_since


def check_node(root: Path, device: str) -> None:
    """Compute a little and write a little before anything is trained. A GPU that hangs ends the process by SIGALRM.

    Raises:
        BadNode: the result is wrong, or something failed.
    """
    try:
        import numpy as np
        import torch

        signal.alarm(PATIENCE)
        numbers = np.arange(16, dtype=np.float32).reshape(4, 4)
        squared = numbers @ numbers
        there = torch.from_numpy(numbers).to(device)
        right = np.array_equal((there @ there).cpu().numpy(), squared) and squared[3, 3] == 506
    except Exception as error:  # torch raises many kinds, also while it is imported
        raise BadNode(f"{type(error).__name__}: {' '.join(str(error).split())}") from None
    finally:
        signal.alarm(0)
    if not right:
        raise BadNode(f"it multiplies wrongly on {device}")
    try:
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in FULL:
            raise BadNode(f"{root} cannot be written to ({error.strerror or error})") from None
