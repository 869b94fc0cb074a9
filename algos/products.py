"""Matrix products, with the same bits for a seed alone and in any pack.

`products` is torch.baddbmm with the axes (S, M, ...): M networks for each of S seeds. On a CPU it is one matrix
multiplication per network, so a network's numbers do not depend on how many stand beside it. That makes a seed in a
pack bit-equal to the same seed alone. On a GPU it is one batched product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

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


def aligned(x: Tensor) -> Tensor:
    """x (S, M, B, I) with every network's numbers at the start of a cache line, on which kernels depend, too."""
    if x.is_contiguous() and x.shape[2] * x.shape[3] % CACHE_LINE == 0 and x.data_ptr() % (4 * CACHE_LINE) == 0:
        return x
    return aligned_empty(x.shape, x).copy_(x)


def aligned_empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """An empty tensor (S, M, B, I) that is aligned like that, with the type and device of another."""
    S, M, B, I = shape
    if B * I % CACHE_LINE == 0:
        return like.new_empty(S, M, B, I)
    padded = -(-B * I // CACHE_LINE) * CACHE_LINE
    return like.new_empty(S, M, padded)[..., : B * I].unflatten(-1, (B, I))
