"""Maxima of a function of the action, as Q(s, ·), over the box [-1, 1]^A or over the items of a catalogue.

What a way of proposing actions can win depends on how many maxima Q(s, ·) has, and on how far below the highest its
proposals lie. Both are given here in shares of the span, the difference between the highest and the lowest value:
neither the level of Q nor its scale matters.

    prominence of a maximum    how far one must go down from it to reach a higher point; of the highest the whole span
    prominent                  a prominence of at least 5 % of the span
    gap of a proposal          (highest - Q(s, proposal)) / span
    stuck                      a gap of more than 5 % of the span

`on_grid` is for one dimension: all of the box, in steps of .01. `by_ascents` is for more: gradient ascents from fixed
points. Two of their ends are the same maximum unless Q goes down on the way from one to the other; the ways are
straight lines, from end to end. So a valley that one can walk round counts as a valley, and a peak that no ascent
reaches is not seen: tests/test_maxima.py has landscapes whose number of maxima is known.

Nothing here draws random numbers. A seed's results are the same bits alone and in any pack.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from savo_bench.algos.catalogue import Catalogue
from savo_bench.algos.nets import Stack, q_values

Landscape = Callable[[Tensor], Tensor]  # actions (S, B, N, A) -> their values (S, B, N)

PROMINENT = 0.05  # ours: share of the span; a smaller bump is no maximum, and who is nearer to the highest is not stuck
ROUNDING = 1e-4  # ours: share of |Q|; a smaller span is flat, as 5 % of it may be float32's rounding in a network
GRID = 201  # ours: points in one dimension, steps of .01 of the maximal action
STARTS = 32  # ours: ascents from each state, and as many descents
STEPS = 30  # ours: of an ascent; together they can cross the box
FIRST_STEP, LAST_STEP = 0.3, 0.003  # ours: in each dimension, in units of the maximal action
BETWEEN = 7  # ours: points on the way from one end to another
ITEMS = 1_000  # ours: of a larger catalogue so many items are valued, at equal distances in its order

COLUMNS = ("maxima", "stuck", "first_gap", "best_gap")  # of train.csv
GRID_STATES, ASCENT_STATES = 32, 8  # ours: of a batch; costs are in docs/algorithms.md
AT_ONCE = 1_024  # ours: points of a seed in a call, about an update's


class Maxima(NamedTuple):
    """What was found at each state: N points, those that are maxima with their prominence."""

    actions: Tensor  # (S, B, N, A) the points: of the grid, or the ends of the ascents
    values: Tensor  # (S, B, N)
    prominence: Tensor  # (S, B, N) in shares of the span: 1 of the highest, 0 of a point that is no maximum
    highest: Tensor  # (S, B) the largest value that was met
    span: Tensor  # (S, B) highest - lowest value; above 0, see `span_of`
    border: Tensor  # (S, B, N) whether the point lies on the border of the box, or its plateau reaches it

    def prominent(self, threshold: float = PROMINENT) -> Tensor:
        """Which points are maxima of at least this prominence: (S, B, N) bool. A plateau is one of them."""
        return self.prominence >= threshold

    def number(self, threshold: float = PROMINENT) -> Tensor:
        """The number of maxima of at least this prominence, those on the border included: (S, B).

        1 or more: where nothing is prominent the landscape is one plateau.
        """
        return self.prominent(threshold).sum(-1).clamp(min=1)

    def number_on_border(self, threshold: float = PROMINENT) -> Tensor:
        """How many of these lie on the border: (S, B); 0 where nothing is prominent."""
        return (self.prominent(threshold) & self.border).sum(-1)

    def truncated(self, floor: Tensor, span: Tensor) -> Maxima:
        """The maxima of max(landscape, floor), from those of the landscape; prominences in shares of another span.

        What lies above the floor is as high as before, and from it one need not go down below the floor. So no
        prominence grows, and there are never more maxima than before. The floor is one only where nothing rises above
        it. No search is needed, which could not leave the floor.

        Args:
            floor: (S, B); -inf where nothing is truncated.
            span: (S, B), above 0: of Q, say, where the landscape is a surrogate of Q.
        """
        above = torch.minimum(self.prominence * self.span.unsqueeze(-1), self.values - floor.unsqueeze(-1))
        return self._replace(
            values=torch.maximum(self.values, floor.unsqueeze(-1)),
            prominence=(above / span.unsqueeze(-1)).clamp(0, 1),
            highest=torch.maximum(self.highest, floor),
            span=span,
        )


class Found(NamedTuple):
    """What proposals are compared with in each state, all (S, B)."""

    highest: Tensor  # the largest value that was found
    span: Tensor  # see `span_of`
    number: Tensor  # of prominent maxima; NaN on a catalogue, where items have no neighbourhood


def span_of(highest: Tensor, lowest: Tensor) -> Tensor:
    """The span of values, all (S, B); where it is below the rounding of a network's output, that rounding."""
    rounding = ROUNDING * torch.maximum(highest.abs(), lowest.abs())
    return torch.maximum(highest - lowest, rounding).clamp(min=torch.finfo(highest.dtype).tiny)


def prominences(values: Tensor, passes: Tensor) -> Tensor:
    """How far each point lies above the pass to a higher one, (..., N); of the highest infinite.

    Args:
        values: Of N points, (..., N).
        passes: The lowest value on the best way from one point to another, (..., N, N); symmetric.
            No entry is above the values of its two points.
    """
    N = values.shape[-1]
    index = torch.arange(N, device=values.device)
    to, here = values.unsqueeze(-2), values.unsqueeze(-1)
    higher = (to > here) | ((to == here) & (index < index.unsqueeze(-1)))  # of equals the first counts as higher
    return values - passes.masked_fill(~higher, -torch.inf).amax(-1)


@torch.no_grad()
def on_grid(landscape: Landscape, like: Tensor, points: int = GRID) -> Maxima:
    """The maxima on an even grid in one dimension, which includes both ends.

    Args:
        landscape: The values, of actions with A = 1.
        like: A tensor (S, B, ...) with the states' axes, for shape, type and device.
        points: N, of the grid.
    """
    S, B = like.shape[:2]
    grid = torch.linspace(-1, 1, points, dtype=like.dtype, device=like.device)
    actions = grid.view(1, 1, -1, 1).expand(S, B, -1, 1)
    values = landscape(actions)
    later = torch.ones(points, points, dtype=torch.bool, device=like.device).triu()
    ways = values.unsqueeze(-2).expand(S, B, points, points).masked_fill(~later, torch.inf)
    passes = ways.cummin(-1).values  # entry i, j is the lowest from i to j, for i <= j
    passes = torch.where(later, passes, passes.mT)
    found = _found(actions, values, passes, values.amin(-1))
    first, last = (values == values[..., :1]), (values == values[..., -1:])
    plateaus = first.cummin(-1).values | last.flip(-1).cummin(-1).values.flip(-1)  # those that reach an end
    return found._replace(border=plateaus)


def by_ascents(landscape: Landscape, like: Tensor, action_dim: int, starts: int = STARTS, steps: int = STEPS) -> Maxima:
    """The maxima that gradient ascents find in any number of dimensions; descents find the lowest value.

    Args:
        landscape: The values; differentiable.
        like: A tensor (S, B, ...) with the states' axes, for shape, type and device.
        action_dim: A.
        starts: N, the number of ascents.
        steps: Of each ascent.
    """
    S, B = like.shape[:2]
    first = starting_points(starts, action_dim).to(like).expand(S, B, -1, -1)
    up = torch.tensor([1.0, -1.0]).to(like).repeat_interleave(starts)  # the second half descends
    ends, values = climb(lambda actions: up * landscape(actions), torch.cat([first, first], dim=2), steps)
    ends, values, lowest = ends[:, :, :starts], values[..., :starts], -values[..., starts:].amax(-1)
    with torch.no_grad():
        lines, lowest_on_lines = _lowest_between(landscape, ends, values)
    return _found(ends, values, _best_ways(lines), torch.minimum(lowest, lowest_on_lines))


@cache
def starting_points(count: int, action_dim: int) -> Tensor:
    """Fixed points that fill the box evenly, (N, A): Sobol's sequence without its first point, a corner."""
    sequence = torch.quasirandom.SobolEngine(action_dim)  # not scrambled, so it draws nothing
    return 2 * sequence.fast_forward(1).draw(count) - 1


def climb(
    landscape: Landscape, actions: Tensor, steps: int = STEPS, first: float = FIRST_STEP, last: float = LAST_STEP
) -> tuple[Tensor, Tensor]:
    """Gradient ascents within the box from actions (S, B, N, A): the best point of each, and its value (S, B, N).

    A step moves each dimension by the same length in the direction of its derivative, and the lengths shrink from
    `first` to `last` (the projected gradient ascent of arXiv:1706.06083v4). So an ascent reaches a corner however many
    dimensions there are, and ends on the edges that a network's landscape has. Measured on random networks with 17
    dimensions: .01 of the span below what ten times as many steps find; steps along the gradient end .08 below.
    """
    best, highest = actions, torch.full(actions.shape[:-1], -torch.inf, dtype=actions.dtype, device=actions.device)
    shrink = (last / first) ** (1 / max(1, steps - 1))
    for step in range(steps + 1):
        with torch.enable_grad():
            actions = actions.detach().requires_grad_()
            values = landscape(actions)
            (gradient,) = torch.autograd.grad(values.sum(), actions)
        actions, values = actions.detach(), values.detach()
        better = values > highest
        best, highest = torch.where(better.unsqueeze(-1), actions, best), torch.where(better, values, highest)
        actions = (actions + first * shrink**step * gradient.sign()).clamp(-1, 1)
    return best, highest


def _lowest_between(landscape: Landscape, ends: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest value on the straight line between any two ends, (S, B, N, N), and of all of them, (S, B)."""
    B, N = values.shape[1:]
    passes = torch.minimum(values.unsqueeze(-1), values.unsqueeze(-2))  # (S, B, N, N)
    share = torch.linspace(0, 1, BETWEEN + 2, dtype=ends.dtype, device=ends.device)[1:-1].unsqueeze(-1)
    pairs = torch.combinations(torch.arange(N, device=ends.device))  # (N (N - 1) / 2, 2)
    for i, j in (part.unbind(1) for part in pairs.split(max(1, AT_ONCE // (B * BETWEEN)))):
        one, other = ends[:, :, i].unsqueeze(3), ends[:, :, j].unsqueeze(3)  # (S, B, pairs, 1, A)
        between = landscape((one + share * (other - one)).flatten(2, 3)).unflatten(2, (-1, BETWEEN)).amin(-1)
        passes[:, :, i, j] = passes[:, :, j, i] = torch.minimum(passes[:, :, i, j], between)
    return passes, passes.amin((2, 3))


def _best_ways(passes: Tensor) -> Tensor:
    """The lowest value on the best way over any other points, from that on the direct ways: (..., N, N), both."""
    for k in range(passes.shape[-1]):  # Floyd and Warshall's algorithm
        passes = torch.maximum(passes, torch.minimum(passes[..., :, k : k + 1], passes[..., k : k + 1, :]))
    return passes


def _found(actions: Tensor, values: Tensor, passes: Tensor, lowest: Tensor) -> Maxima:
    highest = values.amax(-1)
    span = span_of(highest, lowest)
    prominence = (prominences(values, passes) / span.unsqueeze(-1)).clamp(0, 1)
    return Maxima(actions, values, prominence, highest, span, (actions.abs() >= 1).any(-1))


def of_critic(critic: Stack, obs: Tensor, action_dim: int) -> Maxima:
    """The maxima of a single critic's Q(s, ·) in a box: on a grid in one dimension, else by ascents.

    Args:
        critic: One Q-network for each of S seeds, as `TwinCritic.first`.
        obs: The states (S, B, O).
        action_dim: A.
    """
    return of_landscapes(lambda part: _values_of(critic, obs[:, part]), obs, action_dim)


def of_landscapes(landscape: Callable[[slice], Landscape], obs: Tensor, action_dim: int) -> Maxima:
    """The maxima of any function of the action in a box, one function for each state.

    Args:
        landscape: That of some states, given as a slice of the batch.
        obs: The states (S, B, O), which are taken a few at a time, as memory allows.
        action_dim: A.
    """
    found = []
    count = AT_ONCE // (GRID if action_dim == 1 else 2 * STARTS)
    for start in range(0, obs.shape[1], count):
        part = slice(start, start + count)
        values, states = landscape(part), obs[:, part]
        found.append(on_grid(values, states) if action_dim == 1 else by_ascents(values, states, action_dim))
    return Maxima(*(torch.cat(parts, dim=1) for parts in zip(*found, strict=True)))


def _values_of(critic: Stack, obs: Tensor) -> Landscape:
    return lambda actions: q_values(critic.frozen, obs, actions).squeeze(1)


@torch.no_grad()
def of_items(critic: Stack, obs: Tensor, catalogue: Catalogue) -> tuple[Tensor, Tensor]:
    """The largest and the smallest Q(s, ·) of a catalogue's items at obs (S, B, O): (S, B), both.

    Of a catalogue of more than ITEMS items so many are valued, the same ones each time.
    """
    count = min(len(catalogue), ITEMS)
    items = torch.linspace(0, len(catalogue) - 1, count, dtype=torch.float64).round().long()
    vectors = catalogue[items.to(obs.device)]  # (N, A)
    extremes = []
    for states in obs.split(max(1, AT_ONCE // count), 1):
        values = q_values(critic.frozen, states, vectors.expand(*states.shape[:2], -1, -1)).squeeze(1)
        extremes.append(torch.stack([values.amax(-1), values.amin(-1)]))
    highest, lowest = torch.cat(extremes, dim=-1)
    return highest, lowest


@torch.no_grad()
def gap_of_each(critic: Stack, obs: Tensor, proposals: Tensor, found: Found) -> Tensor:
    """How far each proposal lies below the highest Q(s, ·), in shares of the span: (S, B, K).

    A proposal above all that was found counts as the highest.

    Args:
        critic: Q_1 of S seeds.
        obs: States (S, B, O).
        proposals: Of each state K actions (S, B, K, A); on a catalogue vectors of items.
        found: What `found_in` gave for these states.
    """
    values = q_values(critic.frozen, obs, proposals).squeeze(1)  # (S, B, K)
    highest = torch.maximum(found.highest, values.amax(-1))
    return (highest.unsqueeze(-1) - values) / found.span.unsqueeze(-1)


def found_in(critic: Stack, obs: Tensor, action_dim: int, catalogue: Catalogue | None = None) -> Found:
    """The extremes of Q(s, ·) in states (S, B, O): over a catalogue's items, or over the box where that is None."""
    if catalogue is None:
        maxima = of_critic(critic, obs, action_dim)
        return Found(maxima.highest, maxima.span, maxima.number().to(obs.dtype))
    highest, lowest = of_items(critic, obs, catalogue)
    return Found(highest, span_of(highest, lowest), torch.full_like(highest, torch.nan))


@torch.no_grad()
def gaps(
    critic: Stack,
    obs: Tensor,
    proposals: Tensor,
    catalogue: Catalogue | None = None,
    states: int | None = None,
    found: Found | None = None,
) -> dict[str, Tensor]:
    """How many maxima Q(s, ·) has in the first states of a batch, and how far below the highest proposals lie.

    Args:
        critic: Q_1 of S seeds.
        obs: States (S, B, O).
        proposals: Of each state K actions (S, B, K, A), the first actor's first; on a catalogue vectors of items.
        catalogue: None in a box.
        states: How many states; by default GRID_STATES or ASCENT_STATES.
        found: What `found_in` gave for exactly these states, where they were searched before.

    Returns:
        Means over the states, (S,), for each name of COLUMNS. `maxima`: the number of prominent ones; NaN on a
        catalogue, where items have no neighbourhood. `stuck`: the share of states in which the gap of the first
        proposal is above PROMINENT. `first_gap`, `best_gap`: the gap of the first and of the best proposal, in shares
        of the span.
    """
    if states is None:
        states = GRID_STATES if catalogue is not None or proposals.shape[-1] == 1 else ASCENT_STATES
    obs, proposals = obs[:, :states], proposals[:, :states]
    found = found or found_in(critic, obs, proposals.shape[-1], catalogue)
    each = gap_of_each(critic, obs, proposals, found)
    first, best = each[..., 0].contiguous(), each.amin(-1)  # alike in memory, so that equal ones have equal means
    stuck = (first > PROMINENT).to(obs.dtype)
    means = (value.mean(1) for value in (found.number, stuck, first, best))
    return dict(zip(COLUMNS, means, strict=True))
