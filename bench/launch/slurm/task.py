"""What a task of an array does on its node. submitit pickles it together with the packs.

With `--packs-per-task` a task has several processes, which all run this. Its exit code tells the batch script
(batch.py) what to do.
"""

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from savo_bench.bench import worker
from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.launch.problems import record
from savo_bench.bench.launch.slurm.batch import BAD_NODE, COME_BACK
from savo_bench.results.state import SeedState, state_of

PATIENCE = 50  # seconds until a first computation counts as hung; ours: a GPU's driver may take ten to start


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
    submitted: float  # unix time

    def order(self, process: int) -> list[Pack]:
        """The packs in the order in which a process of this task, counted from 0, goes through them."""
        begin = self.first + process
        return [pack for turn in range(self.processes) for pack in self.packs[(begin + turn) % self.processes :: self.processes]]


class Train:
    """What a process of a task does: check its node, train packs, say how it ended.

    submitit's own handler of SIGUSR2 is not used: it would requeue in the middle of a step, and give up after some
    time-outs.
    """

    def __call__(self, share: Share) -> None:
        """Train in the main thread of a process."""
        for number in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(number, self._leave)  # until the training installs its own handlers, which only save
        first = share.packs[0]
        try:
            check_node(first.root, first.device)
        except BadNode as error:
            print(f"error: node {socket.gethostname()} cannot be used: {error}", file=sys.stderr)
            raise SystemExit(BAD_NODE) from None
        failed: Exception | None = None
        for pack in self._left(share):
            try:
                worker.train(replace(pack, job=os.environ["SLURM_JOB_ID"]))
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
        for pack in share.order(int(os.environ.get("SLURM_PROCID", "0"))):
            states = (state_of(seed_folder(pack.root, pack.cell, seed), asking=_former_life(pack)) for seed in pack.seeds)
            seeds = tuple(state.seed for state in states if state.trainable and not _failed_since(state, share.submitted))
            if seeds:
                yield pack.with_seeds(seeds)

    def _leave(self, number: int, *_: object) -> NoReturn:
        """End this attempt; after the warning before a time limit, ask for another one."""
        for each in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(each, signal.SIG_IGN)  # SLURM repeats its signals, and requeueing sends SIGTERM
        raise SystemExit(COME_BACK if number == signal.SIGUSR2 else worker.INTERRUPTED)
