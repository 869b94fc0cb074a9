"""Q and SAVO's surrogates at any actions of a state: the landscapes that actors climb, to be looked at.

    Q_1(s, a)     by which the best proposal is chosen, and which a first actor climbs in a box
    Ψ_i(s, a)     max(min(Q_1, Q_2), τ_i), to which surrogate i is fitted; the floor τ_i is the best of the earlier
                  proposals by min(Q_1, Q_2)
    Ψ̂_i(s, a)     surrogate i, which sees the earlier proto-actions

Ψ_i is made from the online critics, also where the training took the target critics (`surrogate_critics=target`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from savo_bench.algos.actor_critic import ActorCritic, clipped_double_q
from savo_bench.algos.chain import Surrogates, surrogate_value, truncate
from savo_bench.algos.nets import q_values


class SurrogateSlice(NamedTuple):
    """A surrogate beside what it is fitted to, at N actions of each state."""

    actor: int  # i
    floor: Tensor | None  # (S, B) τ_i; None where it is not truncated
    exact: Tensor  # (S, B, N) Ψ_i
    learnt: Tensor  # (S, B, N) Ψ̂_i


@torch.no_grad()
def q_slice(agent: ActorCritic, obs: Tensor, actions: Tensor) -> Tensor:
    """Q_1 of actions (S, B, N, A) at obs (S, B, O): (S, B, N)."""
    return q_values(agent.critic.first.frozen, obs, actions).squeeze(1)


@torch.no_grad()
def surrogate_slices(
    agent: ActorCritic, obs: Tensor, proto_actions: Tensor, proposals: Tensor, actions: Tensor
) -> list[SurrogateSlice]:
    """Each surrogate of an agent at actions (S, B, N, A); none for an agent that has no `chain.Surrogates`.

    Args:
        agent: S seeds of it.
        obs: The states (S, B, O).
        proto_actions: What the actors propose there (S, B, K, A), which later ones see.
        proposals: The same in a box, and on a catalogue the items' vectors, which the critics value: (S, B, K, A).
        actions: Where the landscapes are wanted.
    """
    return [
        surrogate_slice(agent, i, obs, proto_actions[:, :, :i], proposals[:, :, :i], actions)
        for i in surrogates_of(agent)
    ]


def surrogates_of(agent: ActorCritic) -> list[int]:
    """The numbers of the actors that climb a surrogate; none for an agent that has no `chain.Surrogates`."""
    surrogates = getattr(agent, "surrogates", None)
    return [i for i, _ in surrogates.networks(frozen=True)] if isinstance(surrogates, Surrogates) else []


def surrogate_slice(
    agent: ActorCritic, i: int, obs: Tensor, earlier_protos: Tensor, earlier: Tensor, actions: Tensor
) -> SurrogateSlice:
    """Surrogate i at actions (S, B, N, A), differentiable in them; the other arguments are as for `surrogate_slices`.

    `earlier_protos` and `earlier` are what the i actors before it propose, (S, B, i, A).
    """
    surrogates = agent.surrogates  # type: ignore[attr-defined] - see `surrogates_of`
    critic, config = agent.critic.online.frozen, surrogates.config
    network = dict(surrogates.networks(frozen=True))[i]
    q = clipped_double_q(q_values(critic, obs, actions))  # (S, B, N)
    floor = clipped_double_q(q_values(critic, obs, earlier)).amax(-1) if i and config.truncation else None
    exact = q if floor is None else truncate(q, floor.unsqueeze(-1))
    points, before = list(actions.unbind(2)), list(earlier_protos.unbind(2))
    learnt = surrogate_value(network, config.summariser, obs, points, before).mT  # (S, N, B) -> (S, B, N)
    return SurrogateSlice(i, floor, exact, learnt)
