"""What a checkpoint of a seed holds, how the seed resumes from it, and the policy that is left at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from savo_bench.algos.agent import Agent, load_seed_state, policy_state, seed_state
from savo_bench.algos.noise import ExplorationNoise
from savo_bench.algos.replay import Replay
from savo_bench.bench.training import checkpoint
from savo_bench.bench.training.seed import SeedRun
from savo_bench.results import lock
from savo_bench.results.attempts import Attempt, attempts_of, unlike
from savo_bench.results.files import make_folder, truncate

_REPLAYED_BY = ("code", "packages", "processor")  # entries of an attempt that decide where actions lead


class Saver:
    """Saves and restores seeds that train in lockstep.

    Args:
        runs: The seeds.
        agent: Their networks and optimisers.
        exploration: Their exploration noise.
        replay: Their transitions.
        origin: The provenance of this attempt; empty where nobody asked.
    """

    def __init__(
        self,
        runs: Sequence[SeedRun],
        agent: Agent,
        exploration: ExplorationNoise,
        replay: Replay,
        origin: Attempt | None = None,
    ) -> None:
        self.runs, self.agent, self.exploration, self.replay = runs, agent, exploration, replay
        self.origin = {key: (origin or {})[key] for key in _REPLAYED_BY if key in (origin or {})}
        self.logged = 0  # transitions that the replay logs on disk hold

    def begin(self, index: int, step: int) -> dict[str, Any]:
        """Bring a seed to `step`: 0 is a fresh start, another one the step of a checkpoint.

        What was written beyond it is cut off: rows of the CSV files, kept policies.

        Returns:
            The loop's part of the checkpoint: {"evaluated": step of the last evaluation, "metrics": of this seed}.

        Raises:
            CorruptFile: a CSV file is shorter than the checkpoint names.
            RuntimeError: the environment cannot be resumed, see `SeedRun.load_state`.
        """
        run = self.runs[index]
        before = run.folder.read_status()
        run.attempt = before.get("attempt", 0) + 1 if before else 1
        make_folder(run.folder.checkpoint)
        checkpoint.discard_after(run.folder.checkpoint, step)
        run.env.unwrapped.np_random = run.streams.environment
        if step:
            loop = self._restore(index, step)
        else:
            loop = {"evaluated": 0, "metrics": {}}
            run.reset()
        with contextlib.suppress(OSError):  # what stays is written again with the same bytes; no reason not to resume
            for kept, path in run.folder.kept_policies().items():
                if kept > loop["evaluated"]:
                    path.unlink()
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
        run.earlier_seconds, run.earlier_cpu_seconds = state["seconds"], state.get("cpu_seconds")
        causes = self._unlike(_saved_by(run, state, step))
        if not run.load_state(state["environment"], elsewhere=bool(causes)):
            print(
                f"warning: {run.folder.path}: saved with {' and '.join(causes)}; "
                f"its episode cannot be continued here, so a new one begins",
                flush=True,
            )
        return {"evaluated": state["evaluated"], "metrics": state["metrics"]}

    def _unlike(self, saved_by: Attempt) -> list[str]:
        """Why an episode may lead elsewhere here than where it was saved, in words; empty where all is the same."""
        known = {key: saved_by.get(key) for key in _REPLAYED_BY}
        unknown = [] if known["code"] else ["code that was not recorded"]
        if not isinstance(known["processor"], Mapping) or not known["processor"].get("arithmetic"):
            unknown.append("arithmetic that was not recorded")
        return unlike(known, self.origin) + unknown

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
                with contextlib.suppress(FileNotFoundError):  # no row is written yet
                    checkpoint.sync(path)
            state = {
                "agent": seed_state(self.agent, index),
                "streams": run.streams.state(),
                "noise": torch.from_numpy(self.exploration.state[index].copy()),
                "environment": run.state(),
                "origin": self.origin,
                "replay": {"oldest": oldest, "added": self.replay.added, "width": self.replay.width},
                "metrics": {name: float(value[index]) for name, value in metrics.items()},
                "evaluated": evaluated,
                "evals_bytes": run.evals_bytes,
                "train_bytes": run.train_bytes,
                "seconds": run.seconds,
                "cpu_seconds": run.cpu_seconds,
            }
            checkpoint.stage(run.folder.checkpoint, step, state)
        for _, run in active:
            checkpoint.commit(run.folder.checkpoint, step, oldest)
        self.logged = self.replay.added

    def save_policy(self, index: int, spec: Mapping[str, Any], path: Path) -> None:
        """Write a seed's networks and its spec: policy.pt, or a policy that is kept on the way."""
        make_folder(path.parent)
        checkpoint.save(path, {"spec": spec, **policy_state(self.agent, index)})


def _saved_by(run: SeedRun, state: Mapping[str, Any], step: int) -> Attempt:
    """What is known of the attempt that saved a state. An older one holds its arithmetic at most; the rest is on disk.

    Raises:
        CorruptFile, OtherSchema, OSError: the seed's record cannot be read.
    """
    if "origin" in state:
        return state["origin"]
    attempts = attempts_of(run.folder, run.folder.read_run() or {"provenance": {}})
    attempt = [each for each in attempts if each["resumed_from"] < step][-1]
    arithmetic = state.get("arithmetic")
    return {**attempt, "processor": {"arithmetic": arithmetic}} if arithmetic else attempt
