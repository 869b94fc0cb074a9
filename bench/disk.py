"""How many bytes a seed writes. A small training of the cell's own agent is done once and saved, and so measured."""

import dataclasses
import io
import json
from dataclasses import dataclass

import torch

from savo_bench import algos, envs
from savo_bench.algos import maxima
from savo_bench.algos.agent import Agent, Spaces, policy_state, seed_state
from savo_bench.algos.noise import Streams, standard_normal
from savo_bench.algos.replay import Layout
from savo_bench.bench import cost
from savo_bench.bench.cells import AnyConfig, Cell
from savo_bench.bench.errors import UserError
from savo_bench.bench.training import checkpoint
from savo_bench.envs.values import reason_of

# ours: measured on runs of all algorithms in a box and on catalogues, tests/test_disk.py
NUMBER = 18  # bytes of a number with decimals in a CSV file, with its comma
COUNT = 6  # bytes of a whole number there
HEADER = 10  # bytes of a column's name there
PROVENANCE = 830  # bytes of run.json beside the spec
STATUS = 400  # bytes of status.json

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Disk:
    """Bytes that one seed writes."""

    final: int  # by a seed that is done: policy.pt, evals.csv, train.csv, run.json, status.json
    log: int  # until it is done, beside them: the replay log, at most
    state: int  # the same: one of the two states of its checkpoint
    record: int  # of a transition in the log
    policies: int = 0  # beside `final`, where policies of steps on the way are kept

    @property
    def kept(self) -> int:
        """What is left of a seed that is done."""
        return self.final + self.policies

    @property
    def checkpoint(self) -> int:
        """What it writes, at most, and deletes when it is done."""
        return self.log + 2 * self.state

    @property
    def largest_file(self) -> int:
        """No file of a seed is larger."""
        return max(self.final, self.state, min(self.log, self.record * checkpoint.SEGMENT))


def estimate(cell: Cell, spaces: Spaces, keep_policies: int = 0) -> Disk:
    """What one seed of a cell writes, from an agent that is built and updated once.

    `keep_policies` is how many policies are kept on the way.

    Raises:
        UserError: the agent cannot be built or updated.
    """
    config = _small(cell.config)
    try:
        agent: Agent = algos.get(cell.algorithm).agent(config, spaces, [Streams(0).init], CPU)
        layout = Layout(spaces, agent.stored_proto_actions, agent.stored_items)
        metrics = _update(agent, layout, config.batch_size)
    except Exception as error:  # a plug-in may raise anything
        raise UserError(f"{cell.algorithm} on {cell.env_label} cannot be trained: {reason_of(error)}") from None
    spec = cell.spec(0)
    policy = _saved({"spec": spec, **policy_state(agent, 0)})
    csv = _evals_csv(cell) + _train_csv(cell, metrics)
    return Disk(
        final=policy + csv + len(json.dumps(spec)) + PROVENANCE + STATUS,
        log=_replay_log(cell, layout),
        state=_state(cell, spaces, agent),
        record=layout.width * checkpoint.FLOAT32,
        policies=policy * len(cell.budget.policy_steps(keep_policies)),
    )


def _small(config: AnyConfig) -> AnyConfig:
    """The config with a small batch, which nothing on disk depends on, and with all networks trained in each update."""
    try:
        return dataclasses.replace(config, batch_size=2, policy_delay=1)
    except ValueError:  # a plug-in's may refuse them
        return config


def _update(agent: Agent, layout: Layout, batch_size: int) -> int:
    """Update an agent once, which gives its optimisers their moments; the number of metrics that train.csv gets."""
    batch = layout.unpack(torch.zeros(1, batch_size, layout.width))
    noise = standard_normal([Streams(0).update], agent.noise_shapes("update"), CPU)
    return len(agent.update(batch, noise) | agent.diagnose(batch, noise))


def _saved(value: object) -> int:
    """The length of the file that `checkpoint.save` would write."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.tell()


def _evals_csv(cell: Cell) -> int:
    metrics = len(envs.get(cell.environment).metrics)
    rows = -(-cell.budget.steps // cell.budget.eval_every) * cell.budget.eval_episodes
    return rows * (3 * COUNT + (1 + metrics) * NUMBER)


def _train_csv(cell: Cell, metrics: int) -> int:
    budget, gaps = cell.budget, len(maxima.COLUMNS)
    rows = cost.learning_steps(cell) // budget.log_every
    with_gaps = min(rows, budget.steps // budget.eval_every)  # in the other rows a comma stands for each
    return (metrics + gaps) * HEADER + rows * (3 * COUNT + metrics * NUMBER + gaps) + with_gaps * gaps * NUMBER


def _replay_log(cell: Cell, layout: Layout) -> int:
    """Its largest size: what the buffer no longer holds is deleted a segment at a time."""
    records = min(cell.budget.steps, cell.config.buffer_size + checkpoint.SEGMENT)
    return records * layout.width * checkpoint.FLOAT32


def _state(cell: Cell, spaces: Spaces, agent: Agent) -> int:
    """A state in the middle of an episode."""
    action = (spaces.action_dim,) if spaces.catalogue is None else (2,)  # an item is an int64
    actions = torch.zeros(cost.episode(cell.environment) // 2, *action)
    return _saved({"agent": seed_state(agent, 0), "streams": Streams(0).state(), "actions": actions})
