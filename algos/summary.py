"""Summaries of the actions before an actor's own: the vector z_i of SAVO's networks, from pairs (s, a_j), j < i.

There are three kinds: a DeepSet (the paper's), an LSTM, which sees the order, and a Transformer of one layer. They have
the same first layer and the same last layers, so that only their pooling differs.

All take elements (S, M or 1, count B, I), one group of B rows after another, and return (S, M, B, Z).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from savo_bench.algos.nets import NetworkSpec, Params, dense, dense_spec, elementwise, layer_norm, norm_spec


class Summariser(NamedTuple):
    """A kind of summary: its own parameters for a hidden width, and how it pools `count` embedded elements."""

    spec: Callable[[int], NetworkSpec]
    pool: Callable[[Params, Tensor, int], Tensor]


def summary_spec(kind: str, inputs: int, hidden: int, outputs: int) -> NetworkSpec:
    """A summary: a layer for each element, the layers of its kind, and two layers after the pooling."""
    return (
        dense_spec("element", inputs, hidden)
        | SUMMARISERS[kind].spec(hidden)
        | dense_spec("pooled0", hidden, hidden)
        | dense_spec("pooled1", hidden, outputs)
    )


def summarise(p: Params, kind: str, elements: Tensor, count: int) -> Tensor:
    """The summary of `count` elements: (S, M or 1, count B, I) -> (S, M, B, Z)."""
    pooled = SUMMARISERS[kind].pool(p, dense(p, "element", elements, relu=True), count)
    return dense(p, "pooled1", dense(p, "pooled0", pooled, relu=True))


def _deep_set(p: Params, x: Tensor, count: int) -> Tensor:
    """The largest of each feature (arXiv:1703.06114v3): (S, M, count B, H) -> (S, M, B, H)."""
    return dense(p, "feature", x).unflatten(2, (count, -1)).amax(2)


def _lstm(p: Params, x: Tensor, count: int) -> Tensor:
    """The last output of an LSTM that reads the elements in order: (S, M, count B, H) -> (S, M, B, H)."""
    steps = dense(p, "input", x).unflatten(2, (count, -1))  # (S, M, count, B, 4 H)
    H = x.shape[-1]
    h = c = steps.new_zeros(*steps[:, :, 0].shape[:-1], H)
    for step in steps.unbind(2):
        gates = step + dense(p, "recurrent", h)
        taken, kept, shown = elementwise(torch.sigmoid, gates[..., : 3 * H]).chunk(3, dim=-1)
        c = kept * c + taken * elementwise(torch.tanh, gates[..., 3 * H :])
        h = shown * elementwise(torch.tanh, c)
    return h


def _transformer(p: Params, x: Tensor, count: int) -> Tensor:
    """The mean output of one encoder layer of one head (arXiv:1706.03762v7): (S, M, count B, H) -> (S, M, B, H).

    The sums over features and elements are written out, since a batched product of such small matrices would give
    different bits in different packs.
    """
    query, key, value = (
        dense(p, name, x).unflatten(2, (count, -1)).transpose(2, 3)  # (S, M, B, count, H)
        for name in ("query", "key", "value")
    )
    scores = (query.unsqueeze(4) * key.unsqueeze(3)).sum(-1) / math.sqrt(x.shape[-1])  # (S, M, B, count, count)
    seen = (scores.softmax(-1).unsqueeze(-1) * value.unsqueeze(3)).sum(4)  # (S, M, B, count, H)
    x = layer_norm(p, "attended", x + seen.transpose(2, 3).flatten(2, 3))
    x = layer_norm(p, "forwarded", x + dense(p, "forward1", dense(p, "forward0", x, relu=True)))
    return x.unflatten(2, (count, -1)).mean(2)


def _transformer_spec(hidden: int) -> NetworkSpec:
    spec: NetworkSpec = {}
    for name in ("query", "key", "value", "forward0", "forward1"):
        spec |= dense_spec(name, hidden, hidden)
    return spec | norm_spec("attended", hidden) | norm_spec("forwarded", hidden)


SUMMARISERS = {
    "deepset": Summariser(lambda hidden: dense_spec("feature", hidden, hidden), _deep_set),
    "lstm": Summariser(
        lambda hidden: dense_spec("input", hidden, 4 * hidden) | dense_spec("recurrent", hidden, 4 * hidden), _lstm
    ),
    "transformer": Summariser(_transformer_spec, _transformer),
}
