"""Gradient ascents in place of trained actors: what keeps the best proposal of a policy below the maximum of Q?

    independent    later actors climb Q_1, as those of an ensemble
    exact          actor i climbs Ψ_i, which is max(min(Q_1, Q_2), τ_i) and has no slope below its floor τ_i
    learnt         actor i climbs its surrogate Ψ̂_i

The first actor keeps its proposal. Each later one is replaced by an ascent, which begins at the same point whatever it
climbs, and sees the ends of those before it. So `learnt` beside the policy's own proposals says what the actors miss of
their surrogates, `exact` beside `learnt` what the surrogates' error takes or gives, and `independent` beside `exact`
what truncation does.
"""

from typing import Literal

import torch
from torch import Tensor

from savo_bench.algos import maxima
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.nets import q_values
from savo_bench.algos.slices import exact, learnt, smaller_q

Climbed = Literal["independent", "exact", "learnt"]


def proposals_of(agent: ActorCritic, obs: Tensor, proposals: Tensor, climbed: Climbed) -> Tensor:
    """The first proposal and, in place of each later one, the end of an ascent: (S, B, K, A).

    Args:
        agent: S seeds of an algorithm of several actors, in a box.
        obs: The states (S, B, O).
        proposals: What its actors propose there, (S, B, K, A).
        climbed: What the ascents climb. The surrogates need an agent that has them (`slices.surrogates_of`).
    """
    K, A = proposals.shape[2:]
    starts = maxima.starting_points(K - 1, A).to(proposals).expand(*proposals.shape[:2], -1, -1)
    found = proposals[:, :, :1]
    for i in range(1, K):
        end, _ = maxima.climb(_climbed(agent, obs, found, climbed), starts[:, :, i - 1 : i])
        found = torch.cat([found, end], dim=2)
    return found


def _climbed(agent: ActorCritic, obs: Tensor, earlier: Tensor, climbed: Climbed) -> maxima.Landscape:
    """What the ascent climbs that comes after the `earlier` proposals (S, B, i, A)."""
    if climbed == "independent":
        return lambda actions: q_values(agent.critic.first.frozen, obs, actions).squeeze(1)
    if climbed == "learnt":
        return lambda actions: learnt(agent, earlier.shape[2], obs, earlier, actions)
    of_earlier = smaller_q(agent, obs, earlier)
    return lambda actions: exact(agent, smaller_q(agent, obs, actions), of_earlier)[1]
