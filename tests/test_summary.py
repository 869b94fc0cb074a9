"""Summaries of earlier actions, against torch's own modules and by hand."""

import numpy as np
import pytest
import torch
from small_agents import CPU
from torch import Tensor, tensor

from savo_bench.algos.nets import Params, Stack
from savo_bench.algos.summary import SUMMARISERS, summarise, summary_spec

I, H, Z = 5, 6, 4
SEEDS, MEMBERS, COUNT, STATES = 2, 3, 3, 7

every_kind = pytest.mark.parametrize("kind", SUMMARISERS)


pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def made(kind: str, members: int = MEMBERS) -> Stack:
    return Stack.initialise(summary_spec(kind, I, H, Z), [np.random.default_rng(s) for s in range(SEEDS)], members, CPU)


def elements(count: int = COUNT) -> Tensor:
    """(S, count, B, I)"""
    return torch.randn(SEEDS, count, STATES, I, generator=torch.Generator().manual_seed(0))


def summary(kind: str, p: Params, x: Tensor) -> Tensor:
    """x (S, count, B, I) -> (S, M, B, Z)"""
    return summarise(p, kind, x.flatten(1, 2).unsqueeze(1), x.shape[1])


def one(p: Params, s: int, m: int) -> dict[str, Tensor]:
    return {name: value[s, m].double() for name, value in p.items()}


def linear(p: dict[str, Tensor], layer: str, x: Tensor) -> Tensor:
    return x @ p[f"{layer}.weight"] + p[f"{layer}.bias"]


def pooled_deepset(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """x (count, B, I) -> (B, H), element by element."""
    return torch.stack([linear(p, "feature", linear(p, "element", element).relu()) for element in x]).amax(0)


def pooled_lstm(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """By torch's LSTM, whose gates stand in another order: input, forget, cell, output."""
    order = torch.cat([torch.arange(0, 2 * H), torch.arange(3 * H, 4 * H), torch.arange(2 * H, 3 * H)])
    lstm = torch.nn.LSTM(I, H, num_layers=2, bidirectional=True).double()
    ours = {}
    for layer in range(2):
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            for theirs, name in (("ih", "input"), ("hh", "recurrent")):
                ours[f"weight_{theirs}_l{layer}{suffix}"] = p[f"{direction}{layer}_{name}.weight"].mT[order]
                ours[f"bias_{theirs}_l{layer}{suffix}"] = p[f"{direction}{layer}_{name}.bias"][order]
    lstm.load_state_dict(ours)
    with torch.no_grad():
        return lstm(x)[0].mean(0)


def pooled_transformer(p: dict[str, Tensor], x: Tensor) -> Tensor:
    """By torch's encoder layers of one head."""
    for layer in range(2):
        encoder = torch.nn.TransformerEncoderLayer(I, 1, H, dropout=0.0).double()
        inputs = [f"{name}{layer}" for name in ("query", "key", "value")]
        ours = {
            "self_attn.in_proj_weight": torch.cat([p[f"{name}.weight"].mT for name in inputs]),
            "self_attn.in_proj_bias": torch.cat([p[f"{name}.bias"] for name in inputs]),
            "self_attn.out_proj.weight": p[f"mixed{layer}.weight"].mT,
            "self_attn.out_proj.bias": p[f"mixed{layer}.bias"],
            "linear1.weight": p[f"wide{layer}.weight"].mT,
            "linear1.bias": p[f"wide{layer}.bias"],
            "linear2.weight": p[f"narrow{layer}.weight"].mT,
            "linear2.bias": p[f"narrow{layer}.bias"],
        }
        encoder.load_state_dict(encoder.state_dict() | ours)
        with torch.no_grad():
            x = encoder(x)
    return x.mean(0)


PLAIN = {"deepset": pooled_deepset, "lstm": pooled_lstm, "transformer": pooled_transformer}


@every_kind
@pytest.mark.parametrize("count", [1, 3])
def test_a_summary_is_that_of_plain_arithmetic(kind: str, count: int):
    p, x = made(kind).frozen, elements(count)
    found = summary(kind, p, x)
    assert found.shape == (SEEDS, MEMBERS, STATES, Z)
    for s in range(SEEDS):
        for m in range(MEMBERS):
            single = one(p, s, m)
            pooled = PLAIN[kind](single, x[s].double())
            expected = linear(single, "pooled1", linear(single, "pooled0", pooled).relu())
            torch.testing.assert_close(found[s, m].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "sees"), [("deepset", False), ("lstm", True), ("transformer", False)])
def test_only_the_lstm_sees_the_order_of_the_actions(kind: str, sees: bool):
    p, x = made(kind).frozen, elements()
    before, after = summary(kind, p, x), summary(kind, p, x[:, [2, 0, 1]])
    assert torch.allclose(before, after, atol=1e-6) is not sees


@every_kind
def test_a_summary_depends_on_every_element_and_on_its_own_state_alone(kind: str):
    p, x = made(kind).frozen, elements()
    before = summary(kind, p, x)
    for count in range(COUNT):
        changed = x.clone()
        changed[:, count, 2] *= -3
        same = (summary(kind, p, changed) == before).all(-1)  # (S, M, B)
        assert same[:, :, [0, 1, 3, 4, 5, 6]].all()
        assert not same[:, :, 2].all()


def test_a_deep_set_takes_the_largest_of_each_feature():
    stack = Stack.initialise(summary_spec("deepset", 2, 2, 2), [np.random.default_rng(0)], 1, CPU)
    stack.flat.zero_()
    for layer in ("element", "feature", "pooled0", "pooled1"):
        stack.frozen[f"{layer}.weight"][:] = torch.eye(2)
    x = tensor([[1.0, 8], [2, 6], [3, 4], [5, 0]]).view(1, 1, 4, 2)  # two elements for each of two states
    assert summarise(stack.frozen, "deepset", x, 2).tolist() == [[[[3, 8], [5, 6]]]]


def test_a_deep_set_does_not_count_equal_elements_twice():
    p, x = made("deepset").frozen, elements()
    torch.testing.assert_close(summary("deepset", p, x[:, [0, 1, 1, 2, 2]]), summary("deepset", p, x))
    assert not torch.allclose(summary("deepset", p, x[:, :2]), summary("deepset", p, x))
