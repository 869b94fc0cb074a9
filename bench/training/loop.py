"""The training loop: act, step, store, update, evaluate, for the seeds of a pack in lockstep.

The loop owns environments, replay and random streams. The agent owns networks and optimisers. S seeds stand at the same
step, and each array has them as its first axis. A seed that fails stays in the arrays, idle, and the others continue.

    actions ← agent.act(obs, noise)            uniformly random in the first `warmup_steps` steps
    next_obs, reward, terminated ← environments
    replay ← obs, actions, reward, terminated, next_obs
    agent.update(batch from replay, noise)     after the first `warmup_steps` steps, `replay_ratio` times
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from savo_bench import algos, envs
from savo_bench.algos import maxima
from savo_bench.algos.agent import Agent, Batch, Noise
from savo_bench.algos.noise import Streams, exploration, reset_stream, standard_normal
from savo_bench.algos.replay import Layout, Replay
from savo_bench.bench.cells import Cell, Pack
from savo_bench.bench.evaluate import Evaluator, describe
from savo_bench.bench.spaces import spaces_of
from savo_bench.bench.training import checkpoint
from savo_bench.bench.training.saving import Saver
from savo_bench.bench.training.seed import SeedRun, checked
from savo_bench.bench.training.signals import Interrupted
from savo_bench.bench.training.status import StatusWriter
from savo_bench.results.files import append_csv
from savo_bench.results.format import SeedFolder


class Training:
    """Some seeds of a pack, trained in lockstep from one step to the last.

    Args:
        pack: What is trained, where and how.
        seeds: Those that stand at the same step.
        step: Where they begin: 0, or the step of a checkpoint that all of them have.
        stop: Set from outside where the training should save and end.
        origin: The provenance of this attempt, for attempts.jsonl.
    """

    def __init__(
        self,
        pack: Pack,
        seeds: Sequence[int],
        step: int,
        stop: threading.Event,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        torch.set_flush_denormal(True)  # denormal numbers are slow, and must be treated alike everywhere
        cell = pack.cell
        self.origin = origin or {}
        self.pack, self.step, self.stop = pack, step, stop
        self.config, self.budget = cell.config, cell.budget
        self.device = torch.device(pack.device)
        self.runs = [SeedRun(seed, SeedFolder(pack.folder(seed)), make_env(cell), Streams(seed)) for seed in seeds]
        self.spaces = spaces_of(self.runs[0].env, self.config, self.device)
        self.replay_ratio = getattr(self.config, "replay_ratio", 1)  # a plug-in's config need not have these
        self.reset_every = getattr(self.config, "reset_every", 0)
        self.agent = self.make_agent([run.streams.init for run in self.runs])
        self.layout = Layout(self.spaces, self.agent.stored_proto_actions, self.agent.stored_items)
        self.replay = Replay(len(seeds), min(self.config.buffer_size, self.budget.steps), self.layout, self.device)
        self.noise_shapes = self.agent.noise_shapes("act")
        self.exploration = exploration(self.config, self.noise_shapes.pop("explore", None), len(seeds))
        make_evaluation_env = functools.partial(make_env, cell, evaluation=True)
        self.evaluator = Evaluator(make_evaluation_env, envs.get(cell.environment), seeds, self.budget.eval_episodes)
        self.status = StatusWriter(pack, self.runs, self.agent, step)
        self.saver = Saver(self.runs, self.agent, self.exploration, self.replay, self.origin)
        self.evaluated = 0  # step of the last evaluation
        self.metrics: dict[str, Tensor] = {}  # of the last updates, each (S,)
        self.learnt: tuple[Batch, Noise] | None = None  # what the last update was given
        self.log_every = self.budget.log_every
        self.last_checkpoint = time.monotonic()

    def run(self) -> None:
        """Train to the last step.

        Raises:
            Interrupted: a signal asked for a stop. Everything is saved.
        """
        try:
            self.prepare()
            self.status.write_running(self.step)
            while self.step < self.budget.steps and self.active.any():
                self.evaluate_if_due()
                self.stop_if_asked()
                self.advance()
                self.heartbeat()
                if time.monotonic() - self.last_checkpoint >= self.pack.checkpoint_every:
                    self.save_checkpoint()
            self.evaluate_if_due()
            self.stop_if_asked()
            self.finish()
        finally:
            self.evaluator.close()
            for run in self.runs:
                run.env.close()

    def make_agent(self, rngs: Sequence[np.random.Generator]) -> Agent:
        """An untrained agent, initialised from one generator per seed."""
        return algos.get(self.pack.cell.algorithm).agent(self.config, self.spaces, rngs, self.device)

    @property
    def active(self) -> np.ndarray:
        """Which seeds have not failed: (S,) bool."""
        return np.array([run.failure is None for run in self.runs])

    def advance(self) -> None:
        """One environment step of every seed and, after the warm-up, updates."""
        if self.step > 0 and self.reset_every and self.step % self.reset_every == 0:
            self.reset_networks()
        began = time.perf_counter()
        actions, proto_actions, items = self.act()
        self.status.acting_seconds += time.perf_counter() - began
        S = len(self.runs)
        obs = np.stack([run.obs for run in self.runs])
        next_obs = np.zeros_like(obs)
        reward, terminated = np.zeros(S, np.float32), np.zeros(S, np.float32)
        for index, run in enumerate(self.runs):
            if run.failure is None:
                with self.guarded(run, f"step {self.step}"):
                    next_obs[index], reward[index], terminated[index] = take_step(run, actions[index])
        self.replay.add(self.layout.pack(obs, actions, proto_actions, items, reward, terminated, next_obs))
        self.step += 1
        if self.step > self.config.warmup_steps:
            for _ in range(self.replay_ratio):
                self.update()
            if self.step % self.log_every == 0 and self.agent.updates >= 2 * self.config.policy_delay:
                self.log()

    def act(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What to execute and what to store; executed actions are random in the warm-up, and later with probability ε.

        Returns:
            Actions (S, A), on a catalogue items (S,); proto-actions (S, P, A) and items (S, J) for replay.
        """
        rngs = [run.streams.explore for run in self.runs]
        noise = standard_normal(rngs, self.noise_shapes, self.device)
        begins = [not run.actions for run in self.runs]
        noise["explore"] = torch.from_numpy(self.exploration.sample(rngs, self.step, begins)).to(self.device)
        obs = torch.from_numpy(np.stack([run.obs for run in self.runs])).unsqueeze(1).to(self.device)  # (S, 1, O)
        acted = self.agent.act(obs, noise, explore=True)
        actions, proto_actions = acted.executed.squeeze(1).cpu().numpy(), acted.proto_actions.squeeze(1).cpu().numpy()
        items = np.zeros((len(rngs), 0)) if acted.items is None else acted.items.squeeze(1).cpu().numpy()
        share = 1.0 if self.step < self.config.warmup_steps else self.exploration.random_share(self.step)
        if share > 0:  # otherwise nothing is drawn
            random = [share == 1 or rng.random() < share for rng in rngs]
            actions = np.stack([self.random_action(rngs[i]) if random[i] else actions[i] for i in range(len(rngs))])
        return actions, proto_actions, items[:, : self.layout.items]

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

    def reset_networks(self) -> None:
        """Begin all networks and optimisers anew; replay, environments and the count of updates go on."""
        rngs = [reset_stream(run.seed, self.step) for run in self.runs]
        fresh = self.make_agent(rngs)
        for name, stack in self.agent.networks.items():
            stack.flat.copy_(fresh.networks[name].flat)
        for optimizer in self.agent.optimizers.values():
            optimizer.forget()

    def evaluate_if_due(self) -> None:
        """Play the evaluation episodes of this step and write evals.csv. A stop leaves them to the next attempt."""
        at_step = self.step % self.budget.eval_every == 0 or self.step == self.budget.steps
        if not at_step or self.step <= self.evaluated:
            return
        self.fail_if_not_finite()
        outcome = self.evaluator.run(self.agent, self.step, self.device, self.active.tolist(), self.heartbeat)
        if outcome is None:
            return
        for run, rows in zip(self.runs, outcome, strict=True):
            if isinstance(rows, str):
                self.fail(run, rows)
            elif rows is not None:
                run.evals_bytes = append_csv(run.folder.evals_csv, self.evaluator.header(), rows)
                run.last_return = float(np.mean([row[2] for row in rows]))
        if self.step in self.budget.policy_steps(self.pack.keep_policies):
            self.keep_policies()
        self.evaluated = self.step

    def keep_policies(self) -> None:
        """Keep the networks of every active seed, as they are now."""
        for index, run in enumerate(self.runs):
            if run.failure is None:
                self.saver.save_policy(index, self.pack.cell.spec(run.seed), run.folder.kept_policy(self.step))

    def log(self) -> None:
        """Write one row of train.csv for every seed. The cells of `gaps` are empty but at evaluations."""
        assert self.learnt is not None
        metrics = self.metrics | self.agent.diagnose(*self.learnt)
        columns = {name: value.cpu().numpy() for name, value in metrics.items()}
        measured = getattr(self.agent, "gaps", lambda *_: {})  # a plug-in's agent need not have it
        gaps = measured(*self.learnt) if self.budget.gaps_at(self.step) else {}
        columns |= {name: gaps[name].cpu().numpy() if name in gaps else None for name in maxima.COLUMNS}
        header = ["step", "seconds", "episodes", *columns]
        for index, run in enumerate(self.runs):
            if run.failure is None:
                values = [None if value is None else float(value[index]) for value in columns.values()]
                row = [self.step, run.seconds, run.episodes, *values]
                run.train_bytes = append_csv(run.folder.train_csv, header, [row])

    def prepare(self) -> None:
        """Bring every seed to the first step of this attempt: by a reset, or from its checkpoint."""
        for index, run in enumerate(self.runs):
            with self.guarded(run, "start" if self.step == 0 else "resume"):
                saved = self.saver.begin(index, self.step)
                self.evaluated = saved["evaluated"]
                for name, value in saved["metrics"].items():
                    self.metrics.setdefault(name, torch.zeros(len(self.runs), device=self.device))[index] = value
            attempt = {"attempt": run.attempt, "resumed_from": self.step, "new_episode": run.began_anew}
            run.folder.add_attempt({**attempt, **self.origin})

    def heartbeat(self) -> bool:
        """Write a heartbeat if it is time. Returns whether a signal asked for a stop."""
        if self.status.due():
            self.status.write_running(self.step)
        return self.stop.is_set()

    def save_checkpoint(self) -> None:
        """Save every active seed."""
        self.fail_if_not_finite()  # such a network cannot be resumed
        self.saver.save(self.step, self.evaluated, self.metrics)
        self.last_checkpoint = time.monotonic()
        self.status.write_running(self.step)

    def stop_if_asked(self) -> None:
        """Save, say "interrupted" and leave if a signal asked for a stop.

        Raises:
            Interrupted: one did.
        """
        if self.stop.is_set():
            if self.step > 0:
                self.save_checkpoint()
            for run in itertools.compress(self.runs, self.active):
                self.status.write(run, "interrupted", self.step)
            raise Interrupted

    def finish(self) -> None:
        """Write the final networks and then the state "done". Only then delete the checkpoint."""
        for index, run in enumerate(self.runs):
            if run.failure is None:
                self.saver.save_policy(index, self.pack.cell.spec(run.seed), run.folder.policy)
                self.status.write(run, "done", self.step)
                checkpoint.remove(run.folder.checkpoint)

    @contextlib.contextmanager
    def guarded(self, run: SeedRun, where: str) -> Iterator[None]:
        """Let an error inside fail this seed alone, with its reason in status.json."""
        try:
            yield
        except Exception as error:  # environments and plug-ins may raise anything
            if isinstance(error, OSError) and Path(str(error.filename)).is_relative_to(run.folder.path):
                raise  # the disk's fault, not the seed's
            self.fail(run, describe(where, error))

    def fail(self, run: SeedRun, reason: str) -> None:
        """Record a seed's failure. Its last checkpoint stays."""
        run.failure = reason
        run.obs = np.zeros(self.spaces.obs_dim, np.float32)
        self.status.write(run, "failed", self.step)

    def fail_if_not_finite(self) -> None:
        """Fail every seed with a network that is not finite. Items and searched actions need not show it."""
        for name, stack in self.agent.networks.items():
            finite = stack.flat.isfinite().flatten(1).all(dim=1).tolist()  # (S,)
            for run in itertools.compress(self.runs, np.logical_not(finite)):
                if run.failure is None:
                    self.fail(run, f"step {self.step}: FloatingPointError: the network {name} is not finite")


def make_env(cell: Cell, *, evaluation: bool = False) -> gym.Env:
    """One environment of a cell, to train on or its twin to evaluate on."""
    return envs.make(cell.environment, evaluation=evaluation, **cell.env_keywords)


def take_step(run: SeedRun, action: Any) -> tuple[np.ndarray, float, bool]:
    """Let one seed's environment take an action (A,) or an item, and begin the next episode where one ends.

    Returns:
        next_obs (O,), the reward, and whether the episode terminated. At an end, next_obs is the last observation.

    Raises:
        FloatingPointError: the action, the observation or the reward is not finite.
    """
    if not np.isfinite(action).all():
        raise FloatingPointError("the network's action is not finite")
    run.actions.append(action)
    obs, reward, terminated, truncated, info = run.env.step(action.copy())
    next_obs, reward = checked(obs), float(reward)
    if not np.isfinite(reward):
        raise FloatingPointError(f"the environment's reward is {reward}")
    run.episode.add(reward, info, {})
    run.obs = next_obs
    if terminated or truncated:
        run.episodes += 1
        if run.evals_bytes == 0:
            run.last_return = run.episode.episode_return
        run.reset()
    return next_obs, reward, bool(terminated)
