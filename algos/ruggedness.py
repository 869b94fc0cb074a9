"""How many maxima each landscape has that an actor of SAVO climbs: Ψ_i and its surrogate Ψ̂_i (`slices` has both).

Counted as those of Q_1 are (`maxima`): prominent ones, where all prominences are in shares of the span of Q_1 in that
state. So one scale serves Q_1, Ψ_i and Ψ̂_i, and a surrogate that is nearly flat has one maximum.

Of Ψ_i = max(min(Q_1, Q_2), τ_i) these are the maxima of min(Q_1, Q_2) above the floor τ_i. The floor is a plateau that
has something higher beside it, so it is no maximum; where nothing prominent rises above it, Ψ_i is one plateau and has
one. By this count the theorem of arXiv:2410.11833v2 holds, Ψ_{i+1} never has more maxima than Ψ_i: a floor only rises.
min(Q_1, Q_2) itself may have more of them than Q_1.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from savo_bench.algos import maxima
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.maxima import Maxima
from savo_bench.algos.slices import exact, learnt, smaller_q, surrogates_of


class SurrogateMaxima(NamedTuple):
    """The maxima of what one actor climbs; prominences in shares of the span of Q_1."""

    actor: int  # i
    exact: Maxima  # of Ψ_i
    learnt: Maxima  # of Ψ̂_i


def of_surrogates(agent: ActorCritic, obs: Tensor, proposals: Tensor, span: Tensor) -> list[SurrogateMaxima]:
    """Those of each surrogate of an agent, in a box; none for an agent that has no `chain.Surrogates`.

    Args:
        agent: S seeds of it.
        obs: The states (S, B, O).
        proposals: What its actors propose there, (S, B, K, A).
        span: Of Q_1 in each state, (S, B), as `maxima.of_critic` gives it.
    """
    numbers = surrogates_of(agent)
    if not numbers:
        return []
    A = proposals.shape[-1]
    clipped = maxima.of_landscapes(lambda part: lambda actions: smaller_q(agent, obs[:, part], actions), obs, A)
    q, unlimited = smaller_q(agent, obs, proposals), torch.full_like(span, -torch.inf)
    found = []
    for i in numbers:

        def surrogate(part: slice, i: int = i) -> maxima.Landscape:
            return lambda actions: learnt(agent, i, obs[:, part], proposals[:, part, :i], actions)

        floor, _ = exact(agent, q, q[..., :i])
        truncated = clipped.truncated(unlimited if floor is None else floor, span)
        found.append(SurrogateMaxima(i, truncated, maxima.of_landscapes(surrogate, obs, A).truncated(unlimited, span)))
    return found
