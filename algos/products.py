"""Matrix products and functions of numbers, with the same bits for a seed alone and in any pack.

Arrays have the axes (S, M, ...): M networks for each of S seeds. On a CPU every product is one matrix multiplication
per network, so a network's numbers do not depend on how many stand beside it. That makes a seed in a pack bit-equal to
the same seed alone. On a GPU it is one batched product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

LARGE = 2**21  # ours: multiplications from which on oneDNN was faster than MKL on an AMD EPYC, except for vectors
BATCHED_LIMIT = 128 * 64 * 64  # ours: multiplications above which Python's overhead no longer matters
TRIED_NUMBERS = 2048  # ours: another order of summation changes one number in a few, so that many show it for certain
WHOLE_REGISTERS = 64  # ours: float32 numbers; at least two of the widest registers, which torch's loops take at once
CACHE_LINE = 16  # ours: float32 numbers in the 64 bytes to which torch aligns a tensor


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
    elif I * J * K >= LARGE and K > 1 and (product := _onednn()):
        each = [None] * (S * M) if biases is None else biases.unbind()
        for a, b, c, d in zip(lefts.unbind(), rights.mT.unbind(), outs.unbind(), each, strict=True):
            c.copy_(product(a, b, d, "none", [], ""))
    else:
        _one_by_one(outs, lefts, rights, biases)
    return out


@cache
def _onednn() -> Callable[..., Tensor] | None:
    """oneDNN's product x wᵀ + b; None where torch lacks it. The operator is private, so it is tried first.

    torch.mm calls MKL, which does not use the widest registers of AMD's processors and is half as fast there.
    """
    if not torch.backends.mkldnn.is_available():
        return None
    x, weight = torch.linspace(-1, 1, 6).view(2, 3), torch.linspace(-2, 1, 12).view(4, 3)
    try:
        product = torch.ops.mkldnn._linear_pointwise
        works = torch.allclose(product(x, weight, None, "none", [], ""), x @ weight.mT)
    except (AttributeError, RuntimeError):
        return None
    return product if works else None


def _one_by_one(outs: Tensor, lefts: Tensor, rights: Tensor, biases: Tensor | None) -> None:
    """The reference that fixes the bits on a CPU: one product after another."""
    if biases is None:
        for a, b, c in zip(lefts.unbind(), rights.unbind(), outs.unbind(), strict=True):
            torch.mm(a, b, out=c)
    else:
        for a, b, c, d in zip(lefts.unbind(), rights.unbind(), outs.unbind(), biases.unbind(), strict=True):
            torch.addmm(d, a, b, out=c)


@cache
def _batched_is_exact(count: int, I: int, J: int, K: int) -> bool:
    """Whether one batched product gives the same bits as `count` single ones, on this machine and for these sizes.

    Math libraries choose their kernels by sizes and count. So this is measured, once per process.
    """
    if K == 1:  # a product of a matrix and a vector sums in another order
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


def _batched(outs: Tensor, lefts: Tensor, rights: Tensor, biases: Tensor | None) -> None:
    if biases is None:
        torch.bmm(lefts, rights, out=outs)
    else:
        torch.baddbmm(biases.unsqueeze(1), lefts, rights, out=outs)


def elementwise(function: Callable[..., Tensor], *xs: Tensor) -> Tensor:
    """function(x, ...) of equal shapes (S, ...), number by number, the same bits for a seed in any pack.

    The last numbers of a tensor may not fill a vector register, and then take another path through the math library.
    So every seed's part is padded to whole registers.
    """
    shape = xs[0].shape
    pad = -math.prod(shape[1:]) % WHOLE_REGISTERS
    if pad == 0:
        return function(*xs)
    return function(*(F.pad(x.flatten(1), (0, pad)) for x in xs))[:, :-pad].reshape(shape)


def tanh(x: Tensor) -> Tensor:
    """tanh of (S, ...), see `elementwise`."""
    return elementwise(torch.tanh, x)


def _aligned(x: Tensor) -> Tensor:
    """x (S, M, B, I) with every network's numbers at the start of a cache line, on which kernels depend, too."""
    if x.is_contiguous() and x.shape[2] * x.shape[3] % CACHE_LINE == 0 and x.data_ptr() % (4 * CACHE_LINE) == 0:
        return x
    return _aligned_empty(x.shape, x).copy_(x)


def _aligned_empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """An empty tensor (S, M, B, I) that is aligned like that."""
    S, M, B, I = shape
    if B * I % CACHE_LINE == 0:
        return like.new_empty(S, M, B, I)
    padded = -(-B * I // CACHE_LINE) * CACHE_LINE
    return like.new_empty(S, M, padded)[..., : B * I].unflatten(-1, (B, I))


def linear(x: Tensor, weight: Tensor, bias: Tensor, *, relu: bool) -> Tensor:
    """The layer x w + b of every network, followed by ReLU if asked for, with its gradients.

    x (S, M or 1, B, I), weight (S, M, I, J), bias (S, M, J) -> (S, M, B, J).
    """
    if not torch.is_grad_enabled():
        return _forward(_aligned(x), weight, bias, relu)
    y = _Linear.apply(x, weight, bias, relu)
    assert isinstance(y, Tensor)
    return y


def _forward(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """The values of `linear` for an aligned x."""
    S, M, _, J = weight.shape
    y = products(_aligned_empty((S, M, x.shape[2], J), x), x, weight, bias)
    return y.relu_() if relu else y


class _Linear(torch.autograd.Function):
    """`linear` as a function that autograd knows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        x = _aligned(x)
        y = _forward(x, weight, bias, relu)
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
