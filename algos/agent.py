"""The contract between the algorithms and the training loop: what an agent gets and what it returns.

The functions after it copy the state of one seed of an agent, and say how large it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

from savo_bench.algos.catalogue import Catalogue
from savo_bench.algos.nets import Optimizer, Stack

Call = Literal["act", "evaluate", "update"]
Noise = Mapping[str, Tensor]


class Batch(NamedTuple):
    """B transitions for each of S seeds, as sampled from replay."""

    obs: Tensor  # (S, B, O)
    action: Tensor  # (S, B, A) the executed action; on a catalogue its item's vector
    proto_actions: Tensor  # (S, B, P, A) the actors' outputs with noise, as far as the update needs them; P may be 0
    proposals: Tensor  # (S, B, P or J, A) the stored proto-actions; on a catalogue the vectors of the J stored items
    reward: Tensor  # (S, B)
    next_obs: Tensor  # (S, B, O)
    terminated: Tensor  # (S, B) 1 at the true end of the MDP; a time limit is not one


class Acted(NamedTuple):
    """The result of `Agent.act`."""

    action: Tensor  # (S, B, A) in [-1, 1]; on a catalogue the vector of the chosen item
    proto_actions: Tensor  # (S, B, P, A) what replay stores of the actors' outputs
    chosen: Tensor  # (S, B) index of the proposal that was executed
    items: Tensor | None = None  # (S, B, K) on a catalogue the index of each proposal's item

    @property
    def executed(self) -> Tensor:
        """What the environment gets: the action (S, B, A); on a catalogue the index (S, B) of the chosen item."""
        if self.items is None:
            return self.action
        return self.items.gather(-1, self.chosen.unsqueeze(-1)).squeeze(-1)


@dataclass(frozen=True)
class Spaces:
    """What an agent must know of a task. Actors' outputs lie in [-1, 1]^action_dim.

    With a catalogue an action is one of its items; their vectors have action_dim numbers.
    """

    obs_dim: int
    action_dim: int
    catalogue: Catalogue | None = None


class Agent(Protocol):
    """S seeds of one algorithm, trained in lockstep.

    It is built as `Agent(config, spaces, rngs, device)`, with one generator per seed, from which that seed's networks
    are initialised. After that an agent is a deterministic function of its arguments: every random number comes in
    through `noise`, which the loop draws from each seed's own streams. `update` never reads a tensor back to the host
    and never branches on one.
    """

    stored_proto_actions: int  # P, per transition
    stored_items: int  # J, the items of proposals, per transition on a catalogue; not used in a box
    updates: int  # gradient steps so far, the same for all seeds
    networks: Mapping[str, Stack]  # all of them, targets too
    optimizers: Mapping[str, Optimizer]
    policy: tuple[str, ...]  # names of the networks that `act` uses

    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """Choose an action for each obs (S, B, O); with `explore`, one that explores."""
        ...

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """The noise a call needs, per seed. "explore" comes from the exploration process, the rest is N(0, 1)."""
        ...

    def update(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One gradient step on every seed; returns metrics of shape (S,)."""
        ...

    def diagnose(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Metrics of shape (S,) that cost too much for every update; `noise` as for an update. Changes nothing."""
        ...

    def gaps(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Metrics (S,) of the names `maxima.COLUMNS`, once an evaluation; {} without a critic. Changes nothing."""
        ...


def policy_state(agent: Agent, index: int) -> dict[str, Tensor]:
    """A copy of all networks of one seed but the targets: name -> (M, P). It needs those of `policy` to act."""
    kept = [name for name in agent.networks if not name.endswith("_target")]
    return {name: agent.networks[name].flat[index].clone() for name in dict.fromkeys([*agent.policy, *kept])}


def load_policy_state(agent: Agent, index: int, state: Mapping[str, Tensor]) -> None:
    """Load what `policy_state` returned for one seed. Files of earlier versions hold the networks of `policy` alone.

    Raises:
        KeyError: one of `policy` is not there.
    """
    for name in agent.policy:
        agent.networks[name].flat[index].copy_(state[name])
    for name in state.keys() & agent.networks.keys() - set(agent.policy):
        agent.networks[name].flat[index].copy_(state[name])


def seed_state(agent: Agent, index: int) -> dict[str, Any]:
    """A copy of all that one seed of an agent needs to resume: networks, optimisers, the number of updates."""
    return {
        "updates": agent.updates,
        "networks": {name: stack.flat[index].clone() for name, stack in agent.networks.items()},
        "optimizers": {name: optimizer.seed_state(index) for name, optimizer in agent.optimizers.items()},
    }


def load_seed_state(agent: Agent, index: int, state: Mapping[str, Any]) -> None:
    """Load what `seed_state` returned for one seed; all seeds of a pack must be at the same update."""
    agent.updates = state["updates"]
    for name, stack in agent.networks.items():
        stack.flat[index].copy_(state["networks"][name])
    for name, optimizer in agent.optimizers.items():
        optimizer.load_seed_state(index, state["optimizers"][name])


def parameters(agent: Agent) -> int:
    """How many numbers of one seed are trained."""
    stacks = [stack for optimizer in agent.optimizers.values() for stack in optimizer.stacks]
    return sum(len(stack.members) * sum(math.prod(p.shape) for p in stack.spec.values()) for stack in stacks)
