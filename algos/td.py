"""Pure functions that the algorithms share: targets, the best proposal, truncation, distances."""

from __future__ import annotations

import torch
from torch import Tensor


def td_target(reward: Tensor, terminated: Tensor, next_q: Tensor, gamma: float) -> Tensor:
    """The Bellman target r + gamma (1 - terminated) Q'(s', a'), all (S, B)."""
    return reward + gamma * (1 - terminated) * next_q


def clipped_double_q(q: Tensor) -> Tensor:
    """The smaller of the twin critics, (S, 2, B, ...) -> (S, B, ...). Section 4.2 of arXiv:1802.09477v3."""
    return torch.minimum(q[:, 0], q[:, 1])


def smooth(action: Tensor, normal: Tensor, sigma: float, clip: float) -> Tensor:
    """Target policy smoothing: add clipped noise to an action in [-1, 1]. Section 5.3 of arXiv:1802.09477v3."""
    return (action + (sigma * normal).clamp(-clip, clip)).clamp(-1, 1)


def best(actions: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The proposal with the highest value: actions (S, B, K, A), q (S, B, K) -> action (S, B, A), index (S, B).

    The first of equals wins. The maximizer policy of arXiv:2410.11833v2.
    """
    index = q.argmax(-1)
    chosen = index[..., None, None].expand(*index.shape, 1, actions.shape[-1])
    return actions.gather(2, chosen).squeeze(2), index


def top(points: Tensor, q: Tensor, count: int) -> Tensor:
    """Those of points (S, B, N, A) with the highest q (S, B, N), the best first: (S, B, count, A)."""
    index = q.topk(count, dim=-1, sorted=True).indices
    return points.gather(2, index.unsqueeze(-1).expand(-1, -1, -1, points.shape[-1]))


def floors(q: Tensor) -> Tensor:
    """The best value before each proposal but the first: (S, B, K) -> (S, B, K - 1), entry i - 1 is max_{j<i} q_j."""
    return q.cummax(-1).values[..., :-1]


def truncate(q: Tensor, floor: Tensor) -> Tensor:
    """The truncated landscape max(Q(s, a), floor): values below the floor are raised to it."""
    return torch.maximum(q, floor)


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the batch, for every seed and network: (S, M, B) -> (S, M)."""
    return (prediction - target).square().mean(-1)


def mean_distance(actions: Tensor) -> Tensor:
    """Mean distance between two different proposals: (S, B, K, A) -> (S,), in units of the maximal action."""
    K = actions.shape[2]
    apart = (actions.unsqueeze(3) - actions.unsqueeze(2)).square().sum(-1).sqrt()  # (S, B, K, K)
    return apart.sum((2, 3)).mean(1) / (K * (K - 1))
