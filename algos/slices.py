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
    surrogates = getattr(agent, "surrogates", None)
    if not isinstance(surrogates, Surrogates):
        return []
    critic, config = agent.critic.online.frozen, surrogates.config
    q = clipped_double_q(q_values(critic, obs, actions))  # (S, B, N)
    q_proposals = clipped_double_q(q_values(critic, obs, proposals))  # (S, B, K)
    earlier, points = list(proto_actions.unbind(2)), list(actions.unbind(2))
    found = []
    for i, network in surrogates.networks(frozen=True):
        floor = q_proposals[..., :i].amax(-1) if i and config.truncation else None
        exact = q if floor is None else truncate(q, floor.unsqueeze(-1))
        learnt = surrogate_value(network, config.summariser, obs, points, earlier[:i]).mT  # (S, N, B) -> (S, B, N)
        found.append(SurrogateSlice(i, floor, exact, learnt))
    return found
