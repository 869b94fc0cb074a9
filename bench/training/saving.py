"""What a checkpoint of a seed holds, how the seed resumes from it, and the policy that is left at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from savo_bench.algos.agent import Agent, load_seed_state, policy_state, seed_state
from savo_bench.algos.noise import ExplorationNoise
from savo_bench.algos.replay import Replay
from savo_bench.bench.training import checkpoint
from savo_bench.bench.training.seed import SeedRun
from savo_bench.results import lock
from savo_bench.results.files import truncate


class Saver:
    """Saves and restores seeds that train in lockstep.

    Args:
        runs: The seeds.
        agent: Their networks and optimisers.
        exploration: Their exploration noise.
        replay: Their transitions.
        arithmetic: How this process computes, see `processor.arithmetic`; None where nobody asked.
    """

    def __init__(
        self,
        runs: Sequence[SeedRun],
        agent: Agent,
        exploration: ExplorationNoise,
        replay: Replay,
        arithmetic: str | None = None,
    ) -> None:
        self.runs, self.agent, self.exploration, self.replay = runs, agent, exploration, replay
        self.arithmetic = arithmetic
        self.logged = 0  # transitions that the replay logs on disk hold

    def begin(self, index: int, step: int) -> dict[str, Any]:
        """Bring a seed to `step`: 0 is a fresh start, another one the step of a checkpoint.

        Returns:
            The loop's part of the checkpoint: {"evaluated": step of the last evaluation, "metrics": of this seed}.

        Raises:
            CorruptFile: a CSV file is shorter than the checkpoint names.
            RuntimeError: the environment cannot be resumed, see `SeedRun.load_state`.
        """
        run = self.runs[index]
        before = run.folder.read_status()
        run.attempt = before.get("attempt", 0) + 1 if before else 1
        run.folder.checkpoint.mkdir(exist_ok=True)
        checkpoint.discard_after(run.folder.checkpoint, step)
        run.env.unwrapped.np_random = run.streams.environment
        if step:
            loop = self._restore(index, step)
        else:
            loop = {"evaluated": 0, "metrics": {}}
            run.reset()
        truncate(run.folder.evals_csv, run.evals_bytes)
        truncate(run.folder.train_csv, run.train_bytes)
        return loop

    def _restore(self, index: int, step: int) -> dict[str, Any]:
        """Load a seed's checkpoint; returns the loop's part of it."""
        run = self.runs[index]
        state = checkpoint.load(run.folder.checkpoint, step)
        load_seed_state(self.agent, index, state["agent"])
        run.streams.load_state(state["streams"])
        self.exploration.state[index] = state["noise"].numpy()
        log = state["replay"]
        rows = checkpoint.read_records(run.folder.checkpoint, log["oldest"], log["added"], log["width"])
        self.replay.load_rows(index, rows, log["added"])
        self.logged = log["added"]
        run.evals_bytes, run.train_bytes = state["evals_bytes"], state["train_bytes"]
        run.earlier_seconds = state["seconds"]
        saved_by = state.get("arithmetic")
        other = None not in (saved_by, self.arithmetic) and saved_by != self.arithmetic
        if not run.load_state(state["environment"], other_arithmetic=other):
            print(
                f"warning: {run.folder.path}: saved on a processor that computes otherwise ({saved_by}) than this one "
                f"({self.arithmetic}); its episode cannot be continued here, so a new one begins",
                flush=True,
            )
        return {"evaluated": state["evaluated"], "metrics": state["metrics"]}

    def save(self, step: int, evaluated: int, metrics: Mapping[str, Tensor]) -> None:
        """Write a checkpoint of every seed that has not failed; `evaluated` and metrics (S,) are the loop's part.

        First all logs and states are written and only then made to count, so that a pack stays together.

        Raises:
            LostLock: another process has taken a seed over.
            OSError: they cannot be written.
        """
        active = [(index, run) for index, run in enumerate(self.runs) if run.failure is None]
        for _, run in active:
            lock.check(run.folder.lock)
        oldest = max(0, self.replay.added - self.replay.capacity)
        start = max(self.logged, oldest)
        for index, run in active:
            checkpoint.append_records(run.folder.checkpoint, start, self.replay.rows(index, start))
            for path in (run.folder.evals_csv, run.folder.train_csv):
                if path.exists():
                    checkpoint.sync(path)
            state = {
                "agent": seed_state(self.agent, index),
                "streams": run.streams.state(),
                "noise": torch.from_numpy(self.exploration.state[index].copy()),
                "environment": run.state(),
                "arithmetic": self.arithmetic,
                "replay": {"oldest": oldest, "added": self.replay.added, "width": self.replay.width},
                "metrics": {name: float(value[index]) for name, value in metrics.items()},
                "evaluated": evaluated,
                "evals_bytes": run.evals_bytes,
                "train_bytes": run.train_bytes,
                "seconds": run.seconds,
            }
            checkpoint.stage(run.folder.checkpoint, step, state)
        for _, run in active:
            checkpoint.commit(run.folder.checkpoint, step, oldest)
        self.logged = self.replay.added

    def save_policy(self, index: int, spec: Mapping[str, Any]) -> None:
        """Write policy.pt: a seed's final networks and its spec."""
        checkpoint.save(self.runs[index].folder.policy, {"spec": spec, **policy_state(self.agent, index)})
