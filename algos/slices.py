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
    numbers = surrogates_of(agent)
    if not numbers:
        return []
    q, of_proposals = smaller_q(agent, obs, actions), smaller_q(agent, obs, proposals)
    return [
        SurrogateSlice(
            i, *exact(agent, q, of_proposals[..., :i]), learnt(agent, i, obs, proto_actions[:, :, :i], actions)
        )
        for i in numbers
    ]


def surrogates_of(agent: ActorCritic) -> list[int]:
    """The numbers of the actors that climb a surrogate; none for an agent that has no `chain.Surrogates`."""
    surrogates = getattr(agent, "surrogates", None)
    return [i for i, _ in surrogates.networks(frozen=True)] if isinstance(surrogates, Surrogates) else []


def smaller_q(agent: ActorCritic, obs: Tensor, actions: Tensor) -> Tensor:
    """min(Q_1, Q_2) of actions (S, B, N, A): (S, B, N), differentiable in them."""
    return clipped_double_q(q_values(agent.critic.online.frozen, obs, actions))


def exact(agent: ActorCritic, q: Tensor, earlier: Tensor) -> tuple[Tensor | None, Tensor]:
    """τ_i (S, B), None where the landscape is not truncated, and Ψ_i (S, B, N), of an agent that has surrogates.

    `q` is min(Q_1, Q_2) of the actions (S, B, N), and `earlier` that of the i earlier proposals (S, B, i).
    """
    if not earlier.shape[-1] or not agent.surrogates.config.truncation:  # type: ignore[attr-defined] - see `surrogates_of`
        return None, q
    floor = earlier.amax(-1)
    return floor, truncate(q, floor.unsqueeze(-1))


def learnt(agent: ActorCritic, i: int, obs: Tensor, earlier_protos: Tensor, actions: Tensor) -> Tensor:
    """Ψ̂_i of actions (S, B, N, A), differentiable in them: (S, B, N). The i earlier proto-actions are (S, B, i, A)."""
    surrogates = agent.surrogates  # type: ignore[attr-defined] - see `surrogates_of`
    network, summariser = dict(surrogates.networks(frozen=True))[i], surrogates.config.summariser
    points, before = list(actions.unbind(2)), list(earlier_protos.unbind(2))
    return surrogate_value(network, summariser, obs, points, before).mT  # (S, N, B) -> (S, B, N)
