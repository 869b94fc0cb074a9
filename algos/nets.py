"""Networks with a leading axis of seeds.

A `Stack` holds M networks of one shape for each of S seeds in one flat tensor (S, M, P), so that Adam, gradient
clipping and the slow copy are a few operations on one tensor, and a seed's networks are one row. Its layers are
views.

On a CPU every product is one matrix multiplication per network, so a network's numbers do not depend on how many
stand beside it: this is what makes a seed in a pack bit-equal to that seed alone. On a GPU it is one batched product.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Params = Mapping[str, Tensor]  # layer name -> (S, M, *shape)

# Gradients are kept as views of one flat tensor on purpose, which autograd remarks on once.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")


def products(out: Tensor, left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """One matrix product per network into `out`: (S, M, I, J) @ (S, M, J, K) [+ bias (S, M, K)] -> (S, M, I, K).

    `left` may have a middle axis of 1, shared by the M networks.
    """
    S, M, J, K = right.shape
    I = left.shape[2]
    lefts = left.expand(S, M, I, J).flatten(0, 1) if M > 1 else left.squeeze(1)
    rights, outs = right.flatten(0, 1), out.flatten(0, 1)
    biases = None if bias is None else bias.flatten(0, 1)
    if out.is_cuda or (I * J * K <= BATCHED_LIMIT and _batched_is_exact(S * M, I, J, K)):
        _batched(outs, lefts, rights, biases)
    elif I * J * K >= LARGE and K > 1 and (linear := _onednn()):
        each = [None] * (S * M) if biases is None else biases.unbind()
        for a, b, c, d in zip(lefts.unbind(), rights.mT.unbind(), outs.unbind(), each, strict=True):
            c.copy_(linear(a, b, d, "none", [], ""))
    else:
        _one_by_one(outs, lefts, rights, biases)
    return out


# ours: multiplications from which on oneDNN was the faster on an AMD EPYC, whatever is transposed, but for vectors
LARGE = 2**21


@cache
def _onednn() -> Callable[..., Tensor] | None:
    """oneDNN's product, a layer's x wᵀ + b; None where torch lacks it. The op is private, so it is tried out first.

    torch.mm calls MKL, which leaves the widest registers of AMD's processors alone and then takes twice as long.
    """
    if not torch.backends.mkldnn.is_available():
        return None
    x, weight = torch.linspace(-1, 1, 6).view(2, 3), torch.linspace(-2, 1, 12).view(4, 3)
    try:
        linear = torch.ops.mkldnn._linear_pointwise
        works = torch.allclose(linear(x, weight, None, "none", [], ""), x @ weight.mT)
    except (AttributeError, RuntimeError):
        return None
    return linear if works else None


def _one_by_one(outs: Tensor, lefts: Tensor, rights: Tensor, biases: Tensor | None) -> None:
    """The reference that fixes the bits on a CPU: one product after another."""
    if biases is None:
        for a, b, c in zip(lefts.unbind(), rights.unbind(), outs.unbind(), strict=True):
            torch.mm(a, b, out=c)
    else:
        for a, b, c, d in zip(lefts.unbind(), rights.unbind(), outs.unbind(), biases.unbind(), strict=True):
            torch.addmm(d, a, b, out=c)


BATCHED_LIMIT = 128 * 64 * 64  # ours: above this size of one product, Python's overhead no longer matters


@cache
def _batched_is_exact(count: int, I: int, J: int, K: int) -> bool:
    """Whether one batched product gives the very bits of `count` single ones, here and for these sizes.

    Math libraries choose their kernels by sizes and count, so this is tried out rather than assumed, once per process.
    """
    if K == 1:  # a single product is then one of a matrix and a vector, with an order of summation of its own
        return False
    rng = np.random.default_rng(0)
    shapes = {"a": (count, I, J), "b": (count, J, K), "c": (count, K)}
    for _ in range(-(-TRIED_NUMBERS // (count * I * K))):
        a, b, c = (torch.from_numpy(rng.standard_normal(shape, np.float32)) for shape in shapes.values())
        for lefts, rights in ((a, b), (a, b.mT.contiguous().mT), (a.mT.contiguous().mT, b)):
            for biases in (None, c):
                batched, single = torch.empty(count, I, K), torch.empty(count, I, K)
                _batched(batched, lefts, rights, biases)
                _one_by_one(single, lefts, rights, biases)
                if not torch.equal(batched, single):
                    return False
    return True


TRIED_NUMBERS = 2048  # ours: another order of summation changes one number in a few, so these show it for certain


def _batched(outs: Tensor, lefts: Tensor, rights: Tensor, biases: Tensor | None) -> None:
    if biases is None:
        torch.bmm(lefts, rights, out=outs)
    else:
        torch.baddbmm(biases.unsqueeze(1), lefts, rights, out=outs)


def elementwise(function: Callable[..., Tensor], *xs: Tensor) -> Tensor:
    """function(x, ...) of equal shapes (S, ...), number by number, the same bits for a seed in any pack.

    The last numbers of a tensor, which fill no vector register, take another path through the math library; so every
    seed's part is padded to whole registers.
    """
    shape = xs[0].shape
    pad = -math.prod(shape[1:]) % WHOLE_REGISTERS
    if pad == 0:
        return function(*xs)
    return function(*(F.pad(x.flatten(1), (0, pad)) for x in xs))[:, :-pad].reshape(shape)


def tanh(x: Tensor) -> Tensor:
    """tanh of (S, ...), see `elementwise`."""
    return elementwise(torch.tanh, x)


WHOLE_REGISTERS = 64  # ours: float32 numbers; at least two of the widest registers, which torch's loops take at once


def _aligned(x: Tensor) -> Tensor:
    """x (S, M, B, I) with every network's block at the start of a cache line: kernels depend on that, too."""
    if x.is_contiguous() and x.shape[2] * x.shape[3] % CACHE_LINE == 0 and x.data_ptr() % (4 * CACHE_LINE) == 0:
        return x
    return _aligned_empty(x.shape, x).copy_(x)


def _aligned_empty(shape: Sequence[int], like: Tensor) -> Tensor:
    S, M, B, I = shape
    if B * I % CACHE_LINE == 0:
        return like.new_empty(S, M, B, I)
    block = -(-B * I // CACHE_LINE) * CACHE_LINE
    return like.new_empty(S, M, block)[..., : B * I].unflatten(-1, (B, I))


CACHE_LINE = 16  # ours: float32 numbers in the 64 bytes to which torch aligns a tensor


def _dense(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """The layer x w + b of every network, followed by ReLU if asked; x is aligned."""
    S, M, _, J = weight.shape
    y = products(_aligned_empty((S, M, x.shape[2], J), x), x, weight, bias)
    return y.relu_() if relu else y


class _Dense(torch.autograd.Function):
    """The layer with its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        x = _aligned(x)
        y = _dense(x, weight, bias, relu)
        ctx.save_for_backward(x, weight, y if relu else None)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight, y = ctx.saved_tensors
        grad = _aligned(grads[0] if y is None else torch.ops.aten.threshold_backward(grads[0], y, 0))
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            S, M, B, _ = grad.shape
            grad_x = products(_aligned_empty((S, M, B, x.shape[3]), x), grad, weight.mT)
            if x.shape[1] != M:  # the input was shared by the networks
                grad_x = grad_x.sum(1, keepdim=True)
        if ctx.needs_input_grad[1]:
            x = x.expand(-1, weight.shape[1], -1, -1) if x.shape[1] != weight.shape[1] else x
            grad_weight = products(_aligned_empty(weight.shape, weight), x.mT, grad)
            grad_bias = grad.sum(2)
        return grad_x, grad_weight, grad_bias, None


def dense(p: Params, layer: str, x: Tensor, *, relu: bool = False) -> Tensor:
    """One layer of every network: x (S, M or 1, B, I) -> (S, M, B, J)."""
    weight, bias = p[f"{layer}.weight"], p[f"{layer}.bias"]
    if not torch.is_grad_enabled():
        return _dense(_aligned(x), weight, bias, relu)
    y = _Dense.apply(x, weight, bias, relu)
    assert isinstance(y, Tensor)
    return y


def layer_norm(p: Params, layer: str, x: Tensor) -> Tensor:
    """Layer normalisation with gain and bias per network: (S, M, B, H) -> (S, M, B, H)."""
    normal = F.layer_norm(x, x.shape[-1:])
    return normal * p[f"{layer}.weight"].unsqueeze(2) + p[f"{layer}.bias"].unsqueeze(2)


class Param(NamedTuple):
    """One array of a network: its values start as `start` + U(-bound, bound)."""

    shape: tuple[int, ...]
    bound: float
    start: float = 0.0


Layers = dict[str, Param]


def dense_layer(name: str, inputs: int, outputs: int, *, gain: float = 1.0, bias: float = 0.0) -> Layers:
    """A layer x w + b, uniform within gain / sqrt(inputs) (code: torch.nn.Linear's default at gain 1)."""
    bound = gain / math.sqrt(inputs)
    return {f"{name}.weight": Param((inputs, outputs), bound), f"{name}.bias": Param((outputs,), bound, bias)}


def norm_layer(name: str, size: int) -> Layers:
    """The gain and bias of a layer normalisation."""
    return {f"{name}.weight": Param((size,), 0.0, 1.0), f"{name}.bias": Param((size,), 0.0)}


class Stack:
    """M networks of one shape for each of S seeds, kept in one flat tensor (S, M, P).

    `params` are the layers as views that take part in training; `frozen` the same memory as constants, for passes that
    need the gradient with respect to the input alone.
    """

    def __init__(self, layers: Layers, flat: Tensor, grad: Tensor | None) -> None:
        self.layers, self.flat, self.grad = layers, flat, grad
        self.frozen = self._views(flat)
        self.params = self.frozen
        if grad is not None:
            self.params = {name: view.detach().requires_grad_() for name, view in self.frozen.items()}
            for name, view in self._views(grad).items():
                self.params[name].grad = view  # backward adds into the flat gradient

    @classmethod
    def drawn(cls, layers: Layers, rngs: Sequence[np.random.Generator], members: int, device: torch.device) -> Stack:
        """A trainable stack whose values are drawn seed by seed, then network by network, then layer by layer."""
        rows = [_draw(layers, rng) for rng in rngs for _ in range(members)]
        flat = torch.from_numpy(np.array(rows, np.float32).reshape(len(rngs), members, _row_size(layers))).to(device)
        return cls(layers, flat, torch.zeros_like(flat))

    def copy(self) -> Stack:
        """An untrained copy of the same values, as target networks are."""
        return Stack(self.layers, self.flat.clone(), None)

    @cached_property
    def members(self) -> list[Stack]:
        """The M networks one by one, as stacks with M = 1 on the same memory."""
        parts = [slice(index, index + 1) for index in range(self.flat.shape[1])]
        return [
            Stack(self.layers, self.flat[:, part], None if self.grad is None else self.grad[:, part]) for part in parts
        ]

    def follow(self, online: Stack, tau: float) -> None:
        """Move a target towards its online network: target <- (1 - tau) target + tau online."""
        self.flat.lerp_(online.flat, tau)

    def clip_gradient(self, max_norm: float) -> None:
        """Scale each network's gradient down to an L2 norm of at most `max_norm`."""
        assert self.grad is not None
        norm = torch.linalg.vector_norm(self.grad, dim=-1, keepdim=True)
        self.grad.mul_((max_norm / (norm + 1e-6)).clamp_(max=1.0))  # 1e-6 code: torch.nn.utils.clip_grad_norm_

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        views, start = {}, 0
        for name, param in self.layers.items():
            views[name] = flat[..., start : start + math.prod(param.shape)].unflatten(-1, param.shape)
            start += _room(param)
        return views


def _room(param: Param) -> int:
    """Places an array takes in the flat tensor: whole cache lines, so that every network is aligned alike."""
    return -(-math.prod(param.shape) // CACHE_LINE) * CACHE_LINE


def _row_size(layers: Layers) -> int:
    """Places of one network: whole registers, so that the optimiser treats every number of every network alike."""
    return -(-sum(map(_room, layers.values())) // WHOLE_REGISTERS) * WHOLE_REGISTERS


def _draw(layers: Layers, rng: np.random.Generator) -> np.ndarray:
    row = np.zeros(_row_size(layers), np.float32)
    start = 0
    for param in layers.values():
        size = math.prod(param.shape)
        row[start : start + size] = param.start + rng.uniform(-param.bound, param.bound, size)
        start += _room(param)
    return row


class Optimizer:
    """Adam on the flat tensors of some stacks (those without networks are left out), clipped per network."""

    def __init__(self, stacks: Sequence[Stack], lr: float, max_grad_norm: float) -> None:
        self.stacks, self.max_grad_norm = [stack for stack in stacks if stack.flat.numel()], max_grad_norm
        self.adam = torch.optim.Adam(
            [stack.flat for stack in self.stacks], lr=lr, capturable=stacks[0].flat.is_cuda, foreach=False
        )
        for stack in self.stacks:
            stack.flat.grad = stack.grad

    def step(self, loss: Tensor) -> None:
        """Descend `loss`, a sum over seeds and networks so that none of them sees another."""
        for stack in self.stacks:
            assert stack.grad is not None
            stack.grad.zero_()
        loss.backward()
        if self.max_grad_norm > 0:
            for stack in self.stacks:
                stack.clip_gradient(self.max_grad_norm)
        self.adam.step()

    def seed_state(self, index: int) -> list[dict[str, Tensor]]:
        """One seed's slice of the moments, per stack; empty before the first step."""
        return [
            {name: _slice(value, index).clone() for name, value in self.adam.state[stack.flat].items()}
            for stack in self.stacks
        ]

    def load_seed_state(self, index: int, state: Sequence[Mapping[str, Tensor]]) -> None:
        """Take over one seed's slice of the moments."""
        for stack, values in zip(self.stacks, state, strict=True):
            moments = self.adam.state[stack.flat]
            for name, value in values.items():
                if name not in moments:  # the optimiser of a fresh agent has no moments yet
                    moments[name] = torch.zeros(() if value.ndim == 0 else stack.flat.shape, device=stack.flat.device)
                _slice(moments[name], index).copy_(value)


def _slice(value: Tensor, index: int) -> Tensor:
    """A seed's part of an optimiser entry; the step count is one number for all."""
    return value if value.ndim == 0 else value[index]


def mlp_layers(inputs: int, hidden: Sequence[int], outputs: int, *, norm: bool = False, gain: float = 1.0) -> Layers:
    """The layers of an MLP; with `norm`, a layer normalisation before the output; `gain` scales the output layer."""
    layers: Layers = {}
    for index, (before, after) in enumerate(zip([inputs, *hidden], hidden, strict=False)):
        layers |= dense_layer(f"hidden{index}", before, after)
    if norm:
        layers |= norm_layer("norm", hidden[-1])
    return layers | dense_layer("output", hidden[-1], outputs, gain=gain)


def mlp(p: Params, x: Tensor) -> Tensor:
    """x (S, M or 1, B, I) -> (S, M, B, J) through ReLU layers."""
    index = 0
    while f"hidden{index}.weight" in p:
        x = dense(p, f"hidden{index}", x, relu=True)
        index += 1
    return _output(p, x)


def _output(p: Params, x: Tensor) -> Tensor:
    if "norm.weight" in p:
        x = layer_norm(p, "norm", x)
    return dense(p, "output", x)


def film_layers(
    inputs: int, hidden: Sequence[int], outputs: int, summary: int, *, norm: bool = False, gain: float = 1.0
) -> Layers:
    """An MLP whose hidden layers are each scaled and shifted by a linear function of a summary vector.

    The scale's bias starts at 1, so an untrained layer is near the plain one (ours: the sources do not say).
    """
    layers = mlp_layers(inputs, hidden, outputs, norm=norm, gain=gain)
    for index, width in enumerate(hidden):
        layers |= dense_layer(f"scale{index}", summary, width, bias=1.0)
        layers |= dense_layer(f"shift{index}", summary, width)
    return layers


def film_mlp(p: Params, x: Tensor, z: Tensor) -> Tensor:
    """h <- relu(W h) * scale(z) + shift(z) at each hidden layer (arXiv:1709.07871v2).

    x (S, M or 1, N B, I) holds N groups of B rows that share z (S, M, B, Z); returns (S, M, N B, J).
    """
    B = z.shape[2]
    index = 0
    while f"hidden{index}.weight" in p:
        h = dense(p, f"hidden{index}", x, relu=True).unflatten(2, (-1, B))  # (S, M, N, B, H)
        scale, shift = dense(p, f"scale{index}", z).unsqueeze(2), dense(p, f"shift{index}", z).unsqueeze(2)
        x = (h * scale + shift).flatten(2, 3)  # (S, M, N B, H)
        index += 1
    return _output(p, x)


class TwinCritic:
    """Two Q-networks on [obs, action] and their slow copies, for every seed."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.online = Stack.drawn(mlp_layers(inputs, hidden, 1), rngs, 2, device)
        self.target = self.online.copy()
        self.first, self.first_target = self.online.members[0], self.target.members[0]
        self.networks = {"critic": self.online, "critic_target": self.target}


def q_values(p: Params, obs: Tensor, actions: Tensor) -> Tensor:
    """The value of K actions at each state: obs (S, B, O), actions (S, B, K, A) -> (S, M, B, K)."""
    S, B, K, _ = actions.shape
    x = torch.cat([obs.unsqueeze(2).expand(S, B, K, -1), actions], dim=-1)  # (S, B, K, O + A)
    return mlp(p, x.flatten(1, 2).unsqueeze(1)).reshape(S, -1, B, K)
