"""A finished seed: find it by what a user types, load its policies, play its evaluations again."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch

from savo_bench import algos, envs
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.agent import Agent, Noise, load_policy_state
from savo_bench.algos.noise import Streams, evaluation_stream, standard_normal
from savo_bench.bench import grammar, resolving, show
from savo_bench.bench.errors import INTERNAL, MACHINE, NEGATIVE, UserError
from savo_bench.bench.evaluate import Evaluator
from savo_bench.bench.options import Options
from savo_bench.bench.run_directory import reading
from savo_bench.bench.spaces import spaces_of
from savo_bench.envs.values import reason_of
from savo_bench.results import foreign
from savo_bench.results.files import read_bytes
from savo_bench.results.format import SeedFolder, spec_hash
from savo_bench.results.state import CellState, SeedState, survey

CPU = torch.device("cpu")


def find(root: Path, env: str, algo: str, seed: int | None) -> tuple[SeedState, dict[str, Any]]:
    """A finished seed, the lowest one if `seed` is None, and its spec. `env` and `algo` are as for `bench run`.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    with reading():
        chosen = _seed(_cell(root, env, algo), seed)
    assert chosen.run is not None  # or it would not be done
    return chosen, chosen.run["spec"]


def _cell(root: Path, env: str, algo: str) -> CellState:
    """The cell of a set whose seeds `bench run --envs ENV --algos ALGO` would train."""
    task, algorithm = (_one(value, option) for value, option in ((env, "--env"), (algo, "--algo")))
    if algorithm.name.startswith(foreign.PREFIX):
        raise UserError(f"{algo} {foreign.NO_POLICY}", exit_code=NEGATIVE)
    grammar.choose(task.name, envs.names(), "environment")
    grammar.choose(algorithm.name, algos.names(), "algorithm")
    found = survey(root)
    unread = []
    for state in found:
        spec = _spec(state)
        if spec is None:
            if state.environment.startswith(task.name):
                unread += _unreadable(state)
            continue
        if (spec["environment"]["name"], spec["algorithm"]["name"]) == (task.name, algorithm.name):
            budget = spec["budget"]  # what a variant is called depends on what its profile says anyway
            options = Options(envs=env, algos=algo, profile=budget["profile"], steps=budget["steps"])
            (cell,) = resolving.cells(options)
            if (cell.env_label, cell.variant) == (state.environment, state.variant):
                return state
    if unread:
        raise UserError(f"{algo} on {env} may be among the cells of {root}, but {unread[0].reason}", exit_code=MACHINE)
    there = [f"{state.variant} on {state.environment}" for state in found]
    alike = [each for each in there if each.partition(" on ")[2].partition(":")[0] == task.name]
    listed = "; ".join(alike or there) or "none"
    raise UserError(f"{algo} on {env} is not among the cells of {root}; there are: {listed}")


def _one(value: str, option: str) -> grammar.Item:
    items = grammar.items(value, option)
    if len(items) > 1:
        raise UserError(f"{option} {value}: this is about one policy; name one")
    return items[0]


def _spec(state: CellState) -> dict[str, Any] | None:
    """The spec of a cell, from the first of its seeds that has one."""
    return next((seed.run["spec"] for seed in state.seeds if seed.run), None)


def _unreadable(cell: CellState) -> list[SeedState]:
    """The seeds of a cell that cannot be read."""
    return [seed for seed in cell.seeds if seed.state == "unreadable"]


def _seed(cell: CellState, wanted: int | None) -> SeedState:
    """A finished seed of a cell."""
    done = [seed for seed in cell.seeds if seed.state == "done"]
    what = f"{cell.variant} on {cell.environment}"
    if wanted is None:
        if not done and (unread := _unreadable(cell)):
            line = f"{what}: no seed that can be read is done; seed {unread[0].seed} is unreadable: {unread[0].reason}"
            raise UserError(line, exit_code=MACHINE)
        if not done:
            states = ", ".join(f"{number} {state}" for state, number in cell.count().items())
            raise UserError(f"{what}: no seed is done ({states}); the same `bench run` resumes it", exit_code=NEGATIVE)
        return min(done, key=lambda seed: seed.seed)
    for seed in done:
        if seed.seed == wanted:
            return seed
    there = f"done: {show.seeds([seed.seed for seed in done])}" if done else "none is done yet"
    for seed in cell.seeds:
        if seed.seed == wanted:
            if seed.state == "unreadable":
                raise UserError(f"--seed {wanted}: {what} is unreadable: {seed.reason}", exit_code=MACHINE)
            at = f" at step {seed.step} of {seed.steps}" if seed.steps else ""
            advice = "the policy is written at the end; the same `bench run` resumes it"
            raise UserError(f"--seed {wanted}: {what} is {seed.state}{at} ({there}); {advice}", exit_code=NEGATIVE)
    raise UserError(f"--seed {wanted}: {what} has no such seed ({there})")


@dataclass
class Take:
    """An episode: the seed of its reset, what was seen before each action, and at its end its row of evals.csv."""

    seed: int | None
    observations: list[np.ndarray] = field(default_factory=list)  # of float32, as the agent has them
    actions: list[Any] = field(default_factory=list)
    row: Sequence[float] = ()


class Recorder(gym.Wrapper):
    """Appends a take of each episode to a list."""

    def __init__(self, env: gym.Env, takes: list[Take]) -> None:
        super().__init__(env)
        self.takes = takes
        self.take = Take(None)
        self.obs: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self.take = Take(seed)
        self.takes.append(self.take)
        self.obs, info = self.env.reset(seed=seed, options=options)
        return self.obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take an action."""
        self.take.observations.append(np.array(self.obs, np.float32))
        self.take.actions.append(action.copy())
        self.obs, reward, terminated, truncated, info = self.env.step(action)
        return self.obs, reward, terminated, truncated, info


def perform(
    folder: SeedFolder, spec: Mapping[str, Any], episodes: int, agent: Agent | None = None, step: int | None = None
) -> list[Take]:
    """Play an evaluation of a run again, with as many episodes as that had, or more if more are asked for.

    Args:
        folder: The seed's.
        spec: The seed's.
        episodes: How many at least.
        agent: Has the networks of the policy; None: that of policy.pt is loaded.
        step: After how many steps of the training the evaluation was; None: the last one.

    Raises:
        UserError: the policy cannot be loaded, or an episode fails.
    """
    task, budget = spec["environment"], spec["budget"]
    takes: list[Take] = []

    def make() -> Recorder:
        return Recorder(envs.make(task["name"], evaluation=True, **task["keywords"]), takes)

    evaluator = Evaluator(make, envs.get(task["name"]), [folder.seed], max(episodes, budget["eval_episodes"]))
    try:
        agent = agent or agent_of(folder, spec, evaluator.envs[0][0])
        outcome = evaluator.run(agent, step or budget["steps"], CPU, [True], lambda: False)
    finally:
        evaluator.close()
    assert outcome is not None  # nothing stopped it
    (rows,) = outcome
    if isinstance(rows, str):
        raise UserError(rows, exit_code=INTERNAL)
    assert rows is not None  # the seed was active
    for take, row in zip(takes, rows, strict=True):
        take.row = row
    return takes


class Visit(NamedTuple):
    """An evaluation, played again, and what an agent is given in its states."""

    takes: list[Take]
    states: torch.Tensor  # in which actions were taken, in order: (1, B, O)
    noise: Noise  # one draw of the evaluation's stream, for whichever states are looked at

    @property
    def mean_return(self) -> float:
        """The mean of the episodes' returns."""
        return float(np.mean([take.row[2] for take in self.takes]))


class Policies:
    """The policies of a finished seed, with their critics: those that were kept on the way, and the final one.

    One agent has the networks of one policy at a time, at first of the final one.

    Attributes:
        spec: The seed's.
        task: The environment of its evaluations, which nothing is played in.
        agent: See above.
        steps: After which steps of the training there is a policy, the final one last.
    """

    def __init__(self, seed: SeedState) -> None:
        """Load the final policy.

        Raises:
            UserError: it cannot be loaded, or nothing is known of its critics.
        """
        assert seed.run is not None  # or it would not be done
        self.folder, self.spec = seed.folder, seed.run["spec"]
        environment, name = self.spec["environment"], self.spec["algorithm"]["name"]
        with reading():
            self._kept = self.folder.kept_policies()
        self.steps = [*self._kept, self.spec["budget"]["steps"]]
        self._loaded = self.steps[-1]
        self.task = envs.make(environment["name"], evaluation=True, **environment["keywords"])
        agent = agent_of(self.folder, self.spec, self.task, critics=True)
        if not isinstance(agent, ActorCritic):
            raise UserError(f"{name} is not built on algos.actor_critic, so nothing is known of its critics")
        self.agent = agent

    def load(self, step: int) -> None:
        """Give the agent the networks of the policy of a step, unless it has them.

        Raises:
            UserError: they cannot be loaded.
        """
        if step == self._loaded:
            return
        self._loaded = step
        load_networks(self.agent, self._kept.get(step, self.folder.policy), self.spec, critics=True)

    def visit(self, step: int) -> Visit:
        """Play the evaluation of a step again, with the networks that the agent has.

        Raises:
            UserError: an episode fails.
        """
        takes = perform(self.folder, self.spec, 1, self.agent, step)
        states = torch.from_numpy(np.concatenate([take.observations for take in takes]))[None]
        stream = evaluation_stream(self.folder.seed, step)
        return Visit(takes, states, standard_normal([stream], self.agent.noise_shapes("evaluate"), CPU))

    def close(self) -> None:
        """Close the environment."""
        self.task.close()


def evenly(count: int, most: int) -> list[int]:
    """So many of the numbers 0 to count - 1, at equal distances, each in the middle of its part."""
    most = min(count, most)
    return [int((index + 0.5) * count / most) for index in range(most)]


def agent_of(folder: SeedFolder, spec: Mapping[str, Any], env: gym.Env, *, critics: bool = False) -> Agent:
    """The agent of one seed, with the networks of its policy.pt; with `critics` they must be among these.

    Raises:
        UserError: the file is damaged, is of another run, or lacks the critics.
    """
    entry = algos.get(spec["algorithm"]["name"])
    types = resolving.field_types(entry.config)
    with _playing(folder.policy):
        fields = spec["algorithm"]["config"].items()
        config = entry.config(**{key: grammar.convert(value, types[key]) for key, value in fields})
        agent = entry.agent(config, spaces_of(env, config), [Streams(folder.seed).init], CPU)
    load_networks(agent, folder.policy, spec, critics=critics)
    return agent


def load_networks(agent: Agent, path: Path, spec: Mapping[str, Any], *, critics: bool = False) -> None:
    """Give an agent the networks of a policy's file; with `critics` they must be among these.

    Raises:
        UserError: as `agent_of`.
    """
    with _playing(path):
        policy = torch.load(io.BytesIO(read_bytes(path)), map_location=CPU, weights_only=True)
        if spec_hash(policy["spec"]) != spec_hash(spec):
            raise ValueError("it belongs to another run than run.json")
        load_policy_state(agent, 0, policy)
        if critics and "critic" not in policy:
            raise ValueError("it holds no critics; an earlier version saved it, train the seed again")


@contextlib.contextmanager
def _playing(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a policy's file into one line: torch and pickle raise many kinds."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: cannot be played: {reason_of(error)}", exit_code=MACHINE) from None
