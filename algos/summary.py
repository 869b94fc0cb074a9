"""Summaries of the actions before an actor's own: the vector z_i of SAVO's networks, from pairs (s, a_j), j < i.

There are three kinds, with the layers of the authors' code (USC-Lira/Q3C@4a5456b) as far as they are known: a DeepSet,
a bidirectional LSTM of two layers, whose outputs are averaged, and a Transformer of two layers on the pairs themselves.
The last layers are the same, so that only the pooling differs.

All take elements (S, M or 1, count B, I), one group of B rows after another, and return (S, M, B, Z).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from savo_bench.algos.nets import NetworkSpec, Params, dense, dense_spec, elementwise, layer_norm, norm_spec

LAYERS = 2  # code: USC-Lira/Q3C@4a5456b; of the LSTM and of the Transformer


class Summariser(NamedTuple):
    """A kind of summary: its layers for elements of I numbers and hidden width H, what it pools to, and how."""

    spec: Callable[[int, int], NetworkSpec]
    width: tuple[int, int]  # of what it pools to, in I and in H
    pool: Callable[[Params, Tensor, int], Tensor]


def summary_spec(kind: str, inputs: int, hidden: int, outputs: int) -> NetworkSpec:
    """A summary: the layers of its kind, and two layers after the pooling."""
    summariser = SUMMARISERS[kind]
    pooled = summariser.width[0] * inputs + summariser.width[1] * hidden
    last = dense_spec("pooled0", pooled, hidden) | dense_spec("pooled1", hidden, outputs)
    return summariser.spec(inputs, hidden) | last


def has_summary(p: Params) -> bool:
    """Whether a network has a summary."""
    return "pooled0.weight" in p


def summarise(p: Params, kind: str, elements: Tensor, count: int) -> Tensor:
    """The summary of `count` elements: (S, M or 1, count B, I) -> (S, M, B, Z)."""
    pooled = SUMMARISERS[kind].pool(p, elements, count)
    return dense(p, "pooled1", dense(p, "pooled0", pooled, relu=True))


def _deep_set(p: Params, x: Tensor, count: int) -> Tensor:
    """The largest of each feature (arXiv:1703.06114v3): (S, M or 1, count B, I) -> (S, M, B, H)."""
    return dense(p, "feature", dense(p, "element", x, relu=True)).unflatten(2, (count, -1)).amax(2)


def _deep_set_spec(inputs: int, hidden: int) -> NetworkSpec:
    return dense_spec("element", inputs, hidden) | dense_spec("feature", hidden, hidden)


def _lstm(p: Params, x: Tensor, count: int) -> Tensor:
    """The mean output of a bidirectional LSTM: (S, M or 1, count B, I) -> (S, M, B, 2 H)."""
    for layer in range(LAYERS):
        forward = _read(p, f"forward{layer}", x, count, range(count))
        backward = _read(p, f"backward{layer}", x, count, range(count - 1, -1, -1))
        x = torch.cat([forward, backward], dim=-1).flatten(2, 3)  # (S, M, count B, 2 H)
    return x.unflatten(2, (count, -1)).mean(2)


def _read(p: Params, name: str, x: Tensor, count: int, order: range) -> Tensor:
    """The outputs (S, M, count, B, H) of one LSTM that reads the elements in this order."""
    steps = dense(p, f"{name}_input", x).unflatten(2, (count, -1))  # (S, M, count, B, 4 H)
    H = steps.shape[-1] // 4
    h = c = steps.new_zeros(*steps[:, :, 0].shape[:-1], H)
    outputs = [h] * count
    for index in order:
        gates = steps[:, :, index] + dense(p, f"{name}_recurrent", h)
        taken, kept, shown = elementwise(torch.sigmoid, gates[..., : 3 * H]).chunk(3, dim=-1)
        c = kept * c + taken * elementwise(torch.tanh, gates[..., 3 * H :])
        outputs[index] = h = shown * elementwise(torch.tanh, c)
    return torch.stack(outputs, dim=2)


def _lstm_spec(inputs: int, hidden: int) -> NetworkSpec:
    spec: NetworkSpec = {}
    for layer in range(LAYERS):
        for direction in ("forward", "backward"):
            spec |= dense_spec(f"{direction}{layer}_input", 2 * hidden if layer else inputs, 4 * hidden)
            spec |= dense_spec(f"{direction}{layer}_recurrent", hidden, 4 * hidden)
    return spec


def _transformer(p: Params, x: Tensor, count: int) -> Tensor:
    """The mean output of encoder layers of one head (arXiv:1706.03762v7): (S, M or 1, count B, I) -> (S, M, B, I).

    The sums over features and elements are written out, since a batched product of such small matrices would give
    different bits in different packs.
    """
    for layer in range(LAYERS):
        query, key, value = (
            dense(p, f"{name}{layer}", x).unflatten(2, (count, -1)).transpose(2, 3)  # (S, M, B, count, I)
            for name in ("query", "key", "value")
        )
        scores = (query.unsqueeze(4) * key.unsqueeze(3)).sum(-1) / math.sqrt(x.shape[-1])  # (S, M, B, count, count)
        seen = (scores.softmax(-1).unsqueeze(-1) * value.unsqueeze(3)).sum(4)  # (S, M, B, count, I)
        x = layer_norm(p, f"attended{layer}", x + dense(p, f"mixed{layer}", seen.transpose(2, 3).flatten(2, 3)))
        thought = dense(p, f"narrow{layer}", dense(p, f"wide{layer}", x, relu=True))
        x = layer_norm(p, f"forwarded{layer}", x + thought)
    return x.unflatten(2, (count, -1)).mean(2)


def _transformer_spec(inputs: int, hidden: int) -> NetworkSpec:
    spec: NetworkSpec = {}
    for layer in range(LAYERS):
        for name in ("query", "key", "value", "mixed"):
            spec |= dense_spec(f"{name}{layer}", inputs, inputs)
        spec |= dense_spec(f"wide{layer}", inputs, hidden) | dense_spec(f"narrow{layer}", hidden, inputs)
        spec |= norm_spec(f"attended{layer}", inputs) | norm_spec(f"forwarded{layer}", inputs)
    return spec


SUMMARISERS = {
    "deepset": Summariser(_deep_set_spec, (0, 1), _deep_set),
    "lstm": Summariser(_lstm_spec, (0, 2), _lstm),
    "transformer": Summariser(_transformer_spec, (1, 0), _transformer),
}
