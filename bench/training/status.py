"""status.json of the seeds of a pack: how far each is, how fast, and who trains it. It is also the heartbeat."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Literal

import torch

from savo_bench.algos.agent import Agent
from savo_bench.bench import memory
from savo_bench.bench.cells import Pack
from savo_bench.bench.training.seed import SeedRun
from savo_bench.results import lock

HEARTBEAT = 2.0  # seconds between two writes of status.json; ours: fresh enough to watch, cheap enough to forget


class StatusWriter:
    """Writes status.json for seeds that train in lockstep, from the step at which this attempt begins."""

    def __init__(self, pack: Pack, runs: Sequence[SeedRun], agent: Agent, step: int) -> None:
        self.pack, self.runs, self.agent = pack, runs, agent
        for run in runs:
            run.sharing = len(runs)
        self.resumed_from = step
        self.last_step, self.last_time = step, time.monotonic()  # of the last heartbeat
        self.speed: float | None = None  # steps per second between the last two heartbeats
        self.acting_seconds = 0.0  # spent on choosing actions in this attempt

    def due(self) -> bool:
        """Whether it is time for a heartbeat."""
        return time.monotonic() - self.last_time >= HEARTBEAT

    def write_running(self, step: int) -> None:
        """Write a heartbeat for every seed that has not failed."""
        now = time.monotonic()
        if step > self.last_step:
            self.speed = round((step - self.last_step) / (now - self.last_time), 2)
        self.last_step, self.last_time = step, now
        for run in self.runs:
            if run.failure is None:
                self.write(run, "running", step)

    def write(self, run: SeedRun, state: Literal["running", "interrupted", "done", "failed"], step: int) -> None:
        """Write one seed's status.json.

        Raises:
            LostLock: another process has taken the seed over.
            OSError: it cannot be written.
        """
        lock.check(run.folder.lock)
        run.folder.write_status(
            {
                "state": state,
                "reason": run.failure,
                "step": step,
                "steps": self.pack.cell.budget.steps,
                "resumed_from": self.resumed_from,
                "attempt": run.attempt,
                "heartbeat": time.time(),
                "steps_per_s": self.speed,
                "last_return": run.last_return,
                "seconds": run.seconds,
                "cpu_seconds": run.cpu_seconds,
                "peak_memory": memory.peak_memory(torch.device(self.pack.device)),
                "action_seconds": self.acting_seconds / max(1, step - self.resumed_from),
                "parameters": memory.policy_weights(self.agent),
                "owner": {
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "launcher": self.pack.launcher,
                    "job": self.pack.job,
                    "pack": [other.seed for other in self.runs],
                },
            },
            durable=state != "running",
        )
