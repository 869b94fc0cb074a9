"""The loop: act, step, store, update, evaluate, log, checkpoint, for the seeds of a pack in lockstep.

It owns environments, replay, streams and files; the agent owns networks and optimisers. Each seed has its own folder,
streams, checkpoint and failure: a seed that fails leaves its place in the pack idle and the others go on.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from savo_bench import algos, envs
from savo_bench.algos.agent import Agent, Batch, Noise, load_seed_state, policy_state, seed_state
from savo_bench.algos.noise import exploration
from savo_bench.algos.replay import Layout, Replay
from savo_bench.algos.streams import Streams, standard_normal
from savo_bench.bench import checkpoint, footprint, run_directory
from savo_bench.bench.errors import UserError
from savo_bench.bench.evaluate import Episode, Evaluator, describe
from savo_bench.bench.plan import Pack
from savo_bench.bench.provenance import provenance
from savo_bench.bench.spaces import spaces_of
from savo_bench.results.files import CorruptFile, append_csv, reaches, truncate
from savo_bench.results.format import SeedFolder, state_steps
from savo_bench.results.lock import acquire
from savo_bench.results.state import state_of

HEARTBEAT = 2.0  # seconds between two writes of status.json; ours: fresh enough to watch, cheap enough to forget
LOG_ROWS = 200  # ours: rows of train.csv over a whole run, enough for a curve
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)  # SIGUSR2: submitit's warning before a time limit


class Interrupted(Exception):
    """A signal asked for a stop; everything is saved."""

    signals: tuple[int, ...] = ()  # that came, in order


def train_pack(pack: Pack) -> None:
    """Train the seeds of a pack to the end, going on from what their folders hold.

    Seeds that are done, or that another live process trains, are left alone. A seed that fails says so in its
    status.json; the rest of the pack goes on.

    Raises:
        Interrupted: a signal came; everything is saved.
        UserError: a folder holds another config, or cannot be written.
    """
    torch.set_flush_denormal(True)  # denormal numbers are slow, and must be treated alike everywhere
    run_directory.check_specs(pack.root, [pack.cell])
    with contextlib.ExitStack() as locks, _stop_on_signal() as stop:
        seeds = [seed for seed in pack.seeds if _take(pack, seed, locks)]
        available = {seed: _usable_steps(pack, seed) for seed in seeds}
        for step, group in checkpoint.common_steps(available):
            Training(pack, group, step, stop).run()


# ---- Who may train what


def _take(pack: Pack, seed: int, locks: contextlib.ExitStack) -> bool:
    """Lock a seed's folder and write its run.json; False if it is done, unreadable or another process has it."""
    folder = SeedFolder(pack.folder(seed))
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        lock = acquire(folder.lock)
    except OSError as error:
        raise UserError(f"{folder.path}: cannot be written ({error.strerror})") from None
    if lock is None:
        return False
    locks.callback(os.close, lock)
    found = state_of(folder, asking={"launcher": pack.launcher, "job": _job(pack)})
    if found.trainable and found.run is None:
        record = provenance(device=pack.device, launcher=pack.launcher, pack=pack.seeds)
        folder.write_run(pack.cell.spec(seed), record)
    return found.trainable


def _job(pack: Pack) -> str | None:
    """The SLURM job that this process is; several processes that were started within one job are none."""
    return os.environ.get("SLURM_JOB_ID") if pack.launcher == "slurm" else None


def _usable_steps(pack: Pack, seed: int) -> list[int]:
    """Steps from which a seed can go on, newest first; damaged states are left out, and named on standard output.

    So are those that name more of a CSV file than is there.
    """
    folder = SeedFolder(pack.folder(seed))
    usable = []
    for step in state_steps(folder.checkpoint):
        try:
            state = checkpoint.load(folder.checkpoint, step)
            reaches(folder.evals_csv, state["evals_bytes"])
            reaches(folder.train_csv, state["train_bytes"])
            usable.append(step)
        except CorruptFile as error:
            print(f"warning: {error}; going back to the checkpoint before it", flush=True)
    return usable


@contextlib.contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """An event that the stop signals set; the loop looks at it between two steps."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        stop.set()

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield stop
    except Interrupted as interrupted:
        interrupted.signals = tuple(came)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---- One seed


@dataclass
class SeedRun:
    """What belongs to one seed of a pack beside its place in the stacked tensors."""

    seed: int
    folder: SeedFolder
    env: gym.Env
    streams: Streams
    failure: str | None = None
    obs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))  # (O,) the current observation
    reset_state: Mapping[str, Any] = field(default_factory=dict)  # the environment's random state before its last reset
    actions: list[Any] = field(default_factory=list)  # taken since then, each (A,) or an item
    episode: Episode = field(default_factory=Episode)
    episodes: int = 0  # finished ones
    last_return: float | None = None  # of the last evaluation, before the first of the last training episode
    seconds: float = 0.0  # training time of earlier attempts
    attempt: int = 1
    evals_bytes: int = 0  # lengths of the CSV files that the next checkpoint names
    train_bytes: int = 0

    def reset(self) -> None:
        """Begin an episode, remembering the random state that it began from."""
        generator = self.env.unwrapped.np_random
        self.reset_state = copy.deepcopy(generator.bit_generator.state)
        self.actions, self.episode = [], Episode()
        obs, _ = self.env.reset()
        self.obs = checked(obs)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool]:
        """Take an action (A,) or an item; where an episode ends, begin the next: (next_obs, reward, terminated)."""
        if not np.isfinite(action).all():
            raise FloatingPointError("the network's action is not finite")
        self.actions.append(action)
        obs, reward, terminated, truncated, info = self.env.step(action.copy())
        next_obs, reward = checked(obs), float(reward)
        if not np.isfinite(reward):
            raise FloatingPointError(f"the environment's reward is {reward}")
        self.episode.add(reward, info, {})
        self.obs = next_obs
        if terminated or truncated:
            self.episodes += 1
            if self.evals_bytes == 0:
                self.last_return = self.episode.rewards
            self.reset()
        return next_obs, reward, bool(terminated)

    def state(self) -> dict[str, Any]:
        """The environment's part of a checkpoint: an episode is its random state at reset plus its actions."""
        space = self.env.action_space
        actions = np.array(self.actions, space.dtype).reshape(len(self.actions), *(space.shape or ()))
        return {
            "reset_state": self.reset_state,
            "actions": torch.from_numpy(actions),
            "obs": torch.from_numpy(self.obs.copy()),
            "episodes": self.episodes,
            "last_return": self.last_return,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Play the unfinished episode again and check that it leads where it led.

        Raises:
            RuntimeError: it does not; then the environment draws from elsewhere or is not fully reset by `reset`.
        """
        self.env.unwrapped.np_random.bit_generator.state = state["reset_state"]
        self.reset()
        for action in state["actions"].numpy():
            self.actions.append(action)
            obs, reward, *_, info = self.env.step(action.copy())
            self.episode.add(float(reward), info, {})
            self.obs = checked(obs)
        if not np.array_equal(self.obs, state["obs"].numpy()):
            raise RuntimeError(
                "the episode played again does not reach the stored observation: this environment is not a function of "
                "its np_random at reset and the actions, so its runs cannot be resumed"
            )
        self.episodes, self.last_return = state["episodes"], state["last_return"]


def checked(obs: Any) -> np.ndarray:
    """An observation of our own, float32 and finite.

    Raises:
        FloatingPointError: it is not finite.
    """
    obs = np.array(obs, np.float32)
    if not np.isfinite(obs).all():
        raise FloatingPointError("the environment's observation is not finite")
    return obs


# ---- A group of seeds that stand at the same step


class Training:
    """Some seeds of a pack, trained in lockstep from one step to the end."""

    def __init__(self, pack: Pack, seeds: Sequence[int], step: int, stop: threading.Event) -> None:
        self.pack, self.cell, self.stop = pack, pack.cell, stop
        self.config, self.budget = pack.cell.config, pack.cell.budget
        self.device = torch.device(pack.device)
        self.step = self.resumed_from = step
        self.environment = envs.get(self.cell.environment)
        self.runs = [SeedRun(seed, SeedFolder(pack.folder(seed)), self.make_env(), Streams(seed)) for seed in seeds]
        self.spaces = spaces_of(self.runs[0].env, self.config, self.device)
        self.agent: Agent = algos.get(self.cell.algorithm).agent(
            self.config, self.spaces, [run.streams.init for run in self.runs], self.device
        )
        self.layout = Layout(self.spaces, self.agent.protos, self.agent.items)
        self.replay = Replay(len(seeds), min(self.config.buffer_size, self.budget.steps), self.layout, self.device)
        self.noise_shapes = self.agent.noise_shapes("act")
        self.exploration = exploration(self.config, self.noise_shapes.pop("explore", None), len(seeds))
        self.evaluator = Evaluator(
            functools.partial(self.make_env, evaluation=True), self.environment, seeds, self.budget.eval_episodes
        )
        self.evaluated = 0  # step of the last evaluation
        self.logged = 0  # transitions that the replay log on disk holds
        self.metrics: dict[str, Tensor] = {}  # of the last updates, each (S,)
        self.learnt: tuple[Batch, Noise] | None = None  # what the last update was given
        self.log_every = max(1, self.budget.steps // LOG_ROWS)
        self.began = self.last_checkpoint = self.last_heartbeat = time.monotonic()
        self.beat_step = self.step
        self.speed: float | None = None
        self.acting = 0.0  # seconds that choosing actions took

    def make_env(self, *, evaluation: bool = False) -> gym.Env:
        """One environment of this cell, to train on or its twin to evaluate on."""
        return envs.make(self.cell.environment, evaluation=evaluation, **self.cell.env_keywords)

    # -- beginning

    def run(self) -> None:
        """Train to the last step.

        Raises:
            Interrupted: a signal came; everything is saved.
        """
        try:
            self.prepare()
            self.write_status("running")
            while self.step < self.budget.steps and self.active.any():
                self.evaluate_if_due()
                self.stop_if_asked()
                self.advance()
                self.beat()
                if time.monotonic() - self.last_checkpoint >= self.pack.checkpoint_every:
                    self.save_checkpoint()
            self.evaluate_if_due()
            self.stop_if_asked()
            self.finish()
        finally:
            self.evaluator.close()
            for run in self.runs:
                run.env.close()

    @property
    def active(self) -> np.ndarray:
        """Which seeds have not failed: (S,) bool."""
        return np.array([run.failure is None for run in self.runs])

    def prepare(self) -> None:
        """Bring every seed to where it goes on from: its first reset, or its checkpoint."""
        for index, run in enumerate(self.runs):
            with self.guarded(run, "start" if self.step == 0 else "resume"):
                before = run.folder.read_status() if run.folder.status_json.exists() else None
                run.attempt = before.get("attempt", 0) + 1 if before else 1
                run.folder.checkpoint.mkdir(exist_ok=True)
                checkpoint.discard_after(run.folder.checkpoint, self.step)
                run.env.unwrapped.np_random = run.streams.environment
                if self.step:
                    self.restore(index, run)
                else:
                    run.reset()
                truncate(run.folder.evals_csv, run.evals_bytes)
                truncate(run.folder.train_csv, run.train_bytes)

    def restore(self, index: int, run: SeedRun) -> None:
        """Take a seed's state from its checkpoint."""
        state = checkpoint.load(run.folder.checkpoint, self.step)
        load_seed_state(self.agent, index, state["agent"])
        run.streams.load_state(state["streams"])
        self.exploration.state[index] = state["noise"].numpy()
        log = state["replay"]
        rows = checkpoint.read_records(run.folder.checkpoint, log["oldest"], log["added"], log["width"])
        self.replay.load_rows(index, rows, log["added"])
        self.logged, self.evaluated = log["added"], state["evaluated"]
        for name, value in state["metrics"].items():
            self.metrics.setdefault(name, torch.zeros(len(self.runs), device=self.device))[index] = value
        run.evals_bytes, run.train_bytes, run.seconds = state["evals_bytes"], state["train_bytes"], state["seconds"]
        run.load_state(state["environment"])

    @contextlib.contextmanager
    def guarded(self, run: SeedRun, where: str) -> Iterator[None]:
        """Let whatever goes wrong inside fail this seed alone, with its reason on record."""
        try:
            yield
        except Exception as error:  # environments and plug-ins may raise anything
            if isinstance(error, OSError) and Path(str(error.filename)).is_relative_to(run.folder.path):
                raise  # the disk's fault, not the seed's
            self.fail(run, describe(where, error))

    def fail(self, run: SeedRun, reason: str) -> None:
        """Record a seed's failure; its last checkpoint stays."""
        run.failure = reason
        run.obs = np.zeros(self.spaces.obs_dim, np.float32)
        self.write_seed_status(run, "failed")

    # -- one step

    def advance(self) -> None:
        """One environment step of every seed, and one update once the random steps are over."""
        began = time.perf_counter()
        actions, protos, items = self.act()
        self.acting += time.perf_counter() - began
        S = len(self.runs)
        obs = np.stack([run.obs for run in self.runs])
        next_obs = np.zeros_like(obs)
        reward, terminated = np.zeros(S, np.float32), np.zeros(S, np.float32)
        for index, run in enumerate(self.runs):
            if run.failure is None:
                with self.guarded(run, f"step {self.step}"):
                    next_obs[index], reward[index], terminated[index] = run.step(actions[index])
        self.replay.add(self.layout.pack(obs, actions, protos, items, reward, terminated, next_obs))
        self.step += 1
        if self.step > self.config.warmup_steps:
            self.update()

    def act(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Actions (S, A) to execute, on a catalogue items (S,); protos (S, P, A) and items (S, J) to store.

        At first the actions are uniformly random.
        """
        rngs = [run.streams.explore for run in self.runs]
        noise = standard_normal(rngs, self.noise_shapes, self.device)
        noise["explore"] = torch.from_numpy(self.exploration.sample(rngs, self.step)).to(self.device)
        obs = torch.from_numpy(np.stack([run.obs for run in self.runs])).unsqueeze(1).to(self.device)
        acted = self.agent.act(obs, noise, explore=True)  # obs (S, 1, O)
        actions, protos = acted.executed.squeeze(1).cpu().numpy(), acted.protos.squeeze(1).cpu().numpy()
        items = np.zeros((len(rngs), 0)) if acted.items is None else acted.items.squeeze(1).cpu().numpy()
        if self.step < self.config.warmup_steps:
            actions = np.stack([self.random_action(rng) for rng in rngs])
        return actions, protos, items[:, : self.layout.items]

    def random_action(self, rng: np.random.Generator) -> Any:
        """A uniformly random action (A,), on a catalogue an item."""
        if self.spaces.catalogue is not None:
            return rng.integers(len(self.spaces.catalogue))
        return rng.uniform(-1, 1, self.spaces.action_dim).astype(np.float32)

    def update(self) -> None:
        """One gradient step on every seed."""
        batch = self.replay.sample([run.streams.replay for run in self.runs], self.config.batch_size)
        shapes = self.agent.noise_shapes("update")
        noise = standard_normal([run.streams.update for run in self.runs], shapes, self.device)
        self.metrics |= self.agent.update(batch, noise)
        self.learnt = batch, noise
        if self.step % self.log_every == 0 and self.agent.updates >= 2 * self.config.policy_delay:
            self.log()

    # -- evaluation and logs

    def evaluation_due(self) -> bool:
        """Whether this step wants an evaluation that has not been made."""
        at_step = self.step % self.budget.eval_every == 0 or self.step == self.budget.steps
        return at_step and self.step > self.evaluated

    def evaluate_if_due(self) -> None:
        """Play and write the evaluation episodes of this step; a stop on the way leaves them to the next attempt."""
        if not self.evaluation_due():
            return
        self.fail_broken()
        outcome = self.evaluator.run(self.agent, self.step, self.device, self.active.tolist(), self.beat)
        if outcome is None:
            return
        for run, rows in zip(self.runs, outcome, strict=True):
            if isinstance(rows, str):
                self.fail(run, rows)
            elif rows is not None:
                run.evals_bytes = append_csv(run.folder.evals_csv, self.evaluator.header(), rows)
                run.last_return = float(np.mean([row[2] for row in rows]))
        self.evaluated = self.step

    def fail_broken(self) -> None:
        """Fail every seed one of whose networks is not finite, which an item or the best of a search need not show."""
        for name, stack in self.agent.networks.items():
            finite = stack.flat.isfinite().flatten(1).all(dim=1).tolist()  # (S,)
            for run in itertools.compress(self.runs, np.logical_not(finite)):
                if run.failure is None:
                    self.fail(run, f"step {self.step}: FloatingPointError: the network {name} is not finite")

    def log(self) -> None:
        """One row of train.csv for every seed."""
        assert self.learnt is not None
        metrics = self.metrics | self.agent.diagnose(*self.learnt)
        columns = {name: value.cpu().numpy() for name, value in metrics.items()}
        header = ["step", "seconds", "episodes", *columns]
        for index, run in enumerate(self.runs):
            if run.failure is None:
                row = [self.step, self.seconds(run), run.episodes, *(float(value[index]) for value in columns.values())]
                run.train_bytes = append_csv(run.folder.train_csv, header, [row])

    # -- files

    def seconds(self, run: SeedRun) -> float:
        """Training time of a seed over all attempts; the seeds of a pack share the clock."""
        return round(run.seconds + time.monotonic() - self.began, 3)

    def beat(self) -> bool:
        """Write a heartbeat if it is time; returns whether a signal asked for a stop."""
        if time.monotonic() - self.last_heartbeat >= HEARTBEAT:
            self.write_status("running")
        return self.stop.is_set()

    def write_status(self, state: str) -> None:
        """Write every active seed's status.json, which is also its heartbeat."""
        now = time.monotonic()
        if self.step > self.beat_step:
            self.speed = round((self.step - self.beat_step) / (now - self.last_heartbeat), 2)
        self.last_heartbeat, self.beat_step = now, self.step
        for run in self.runs:
            if run.failure is None:
                self.write_seed_status(run, state)

    def write_seed_status(self, run: SeedRun, state: str) -> None:
        """Write one seed's status.json."""
        run.folder.write_status(
            {
                "state": state,
                "reason": run.failure,
                "step": self.step,
                "steps": self.budget.steps,
                "resumed_from": self.resumed_from,
                "attempt": run.attempt,
                "heartbeat": time.time(),
                "steps_per_s": self.speed,
                "last_return": run.last_return,
                "seconds": self.seconds(run),
                "peak_memory": footprint.peak_memory(self.device),
                "action_seconds": self.acting / max(1, self.step - self.resumed_from),
                "parameters": footprint.weights(self.agent),
                "owner": {
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "launcher": self.pack.launcher,
                    "job": os.environ.get("SLURM_JOB_ID"),
                    "pack": [other.seed for other in self.runs],
                },
            },
            durable=state != "running",
        )

    def save_checkpoint(self) -> None:
        """Save every active seed: first all logs and states, then make them count, so that a pack stays together."""
        self.fail_broken()  # so that no checkpoint holds what it could not go on from
        active = [(index, run) for index, run in enumerate(self.runs) if run.failure is None]
        oldest = max(0, self.replay.added - self.replay.capacity)
        start = max(self.logged, oldest)
        for index, run in active:
            folder = run.folder.checkpoint
            checkpoint.append_records(folder, start, self.replay.rows(index, start))
            for path in (run.folder.evals_csv, run.folder.train_csv):
                if path.exists():
                    checkpoint.sync(path)
            checkpoint.stage(
                folder,
                self.step,
                {
                    "agent": seed_state(self.agent, index),
                    "streams": run.streams.state(),
                    "noise": torch.from_numpy(self.exploration.state[index].copy()),
                    "environment": run.state(),
                    "replay": {"oldest": oldest, "added": self.replay.added, "width": self.replay.width},
                    "metrics": {name: float(value[index]) for name, value in self.metrics.items()},
                    "evaluated": self.evaluated,
                    "evals_bytes": run.evals_bytes,
                    "train_bytes": run.train_bytes,
                    "seconds": self.seconds(run),
                },
            )
        for _, run in active:
            checkpoint.commit(run.folder.checkpoint, self.step, oldest)
        self.logged = self.replay.added
        self.last_checkpoint = time.monotonic()
        self.write_status("running")

    def stop_if_asked(self) -> None:
        """Save and leave if a signal came.

        Raises:
            Interrupted: it came.
        """
        if self.stop.is_set():
            if self.step > 0:
                self.save_checkpoint()
            raise Interrupted

    def finish(self) -> None:
        """Write the final networks and say that the seed is done; only then give up its checkpoint."""
        for index, run in enumerate(self.runs):
            if run.failure is None:
                checkpoint.save(
                    run.folder.policy, {"spec": self.cell.spec(run.seed), **policy_state(self.agent, index)}
                )
                self.write_seed_status(run, "done")
                checkpoint.remove(run.folder.checkpoint)
