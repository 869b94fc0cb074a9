"""Networks with a leading axis of seeds, their initialisation and their optimiser.

A `Stack` holds M networks of one shape for each of S seeds in one flat tensor (S, M, P). So Adam, gradient clipping and
the polyak update are a few operations on one tensor, and a seed's networks are one row. Its parameters are views of it.

A `NetworkSpec` says which arrays a network has and how they are initialised. The functions that end in `_spec` make
one; the function of the same name without it computes the network's output.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from savo_bench.algos.products import CACHE_LINE, WHOLE_REGISTERS, aligned, aligned_empty, products

Params = Mapping[str, Tensor]  # parameter name -> (S, M, *shape)

# Gradients are views of one flat tensor on purpose; autograd warns about that once.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")


def dense(p: Params, layer: str, x: Tensor, *, relu: bool = False) -> Tensor:
    """The layer x w + b of every network, followed by ReLU if asked for: x (S, M or 1, B, I) -> (S, M, B, J)."""
    weight, bias = p[f"{layer}.weight"], p[f"{layer}.bias"]  # (S, M, I, J), (S, M, J)
    if not torch.is_grad_enabled():
        return _forward(aligned(x), weight, bias, relu)
    y = _Dense.apply(x, weight, bias, relu)
    assert isinstance(y, Tensor)
    return y


def _forward(x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
    """The values of `dense` for an aligned x."""
    S, M, _, J = weight.shape
    y = products(aligned_empty((S, M, x.shape[2], J), x), x, weight, bias)
    return y.relu_() if relu else y


class _Dense(torch.autograd.Function):
    """`dense` as a function that autograd knows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, relu: bool) -> Tensor:
        x = aligned(x)
        y = _forward(x, weight, bias, relu)
        ctx.save_for_backward(x, weight, y if relu else None)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight, y = ctx.saved_tensors
        grad = aligned(grads[0] if y is None else torch.ops.aten.threshold_backward(grads[0], y, 0))
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            S, M, B, _ = grad.shape
            grad_x = products(aligned_empty((S, M, B, x.shape[3]), x), grad, weight.mT)
            if x.shape[1] != M:  # the input was shared by the networks
                grad_x = grad_x.sum(1, keepdim=True)
        if ctx.needs_input_grad[1]:
            x = x.expand(-1, weight.shape[1], -1, -1) if x.shape[1] != weight.shape[1] else x
            grad_weight = products(aligned_empty(weight.shape, weight), x.mT, grad)
            grad_bias = grad.sum(2)
        return grad_x, grad_weight, grad_bias, None


def layer_norm(p: Params, layer: str, x: Tensor) -> Tensor:
    """Layer normalisation with gain and bias per network: (S, M, B, H) -> (S, M, B, H)."""
    normal = F.layer_norm(x, x.shape[-1:])
    return normal * p[f"{layer}.weight"].unsqueeze(2) + p[f"{layer}.bias"].unsqueeze(2)


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


Init = Literal["torch", "code"]  # how networks are initialised: as torch.nn does, or as the SAVO authors' code does


class ParameterSpec(NamedTuple):
    """One array of a network, initialised as `start` + U(-bound, bound), or as a scaled orthogonal matrix."""

    shape: tuple[int, ...]
    bound: float
    start: float = 0.0
    orthogonal: float | None = None  # the scale of an orthogonal matrix, in the place of the uniform numbers


NetworkSpec = dict[str, ParameterSpec]  # parameter name -> its array


def dense_spec(name: str, inputs: int, outputs: int, *, gain: float = 1.0, bias: float = 0.0) -> NetworkSpec:
    """A layer x w + b, uniform within 1 / sqrt(inputs) as in torch.nn.Linear; `gain` scales the weight alone (code)."""
    bound = 1 / math.sqrt(inputs)
    return {
        f"{name}.weight": ParameterSpec((inputs, outputs), gain * bound),
        f"{name}.bias": ParameterSpec((outputs,), bound, bias),
    }


def orthogonal_spec(name: str, inputs: int, outputs: int) -> NetworkSpec:
    """A layer x w + b as the authors' code begins: w orthogonal times √2, b 0 (code: USC-Lira/Q3C@4a5456b)."""
    return {
        f"{name}.weight": ParameterSpec((inputs, outputs), 0.0, orthogonal=math.sqrt(2)),
        f"{name}.bias": ParameterSpec((outputs,), 0.0),
    }


def norm_spec(name: str, size: int, init: Init = "torch") -> NetworkSpec:
    """Gain and bias of a layer normalisation; the gain starts at 1, in the authors' code in U(0, 1)."""
    gain = ParameterSpec((size,), 0.0, 1.0) if init == "torch" else ParameterSpec((size,), 0.5, 0.5)
    return {f"{name}.weight": gain, f"{name}.bias": ParameterSpec((size,), 0.0)}


class Stack:
    """M networks of one shape for each of S seeds, kept in one flat tensor (S, M, P).

    `params` are the parameters as views that are trained. `frozen` is the same memory as constants, for passes that
    need no gradient, or only that of the input.
    """

    def __init__(self, spec: NetworkSpec, flat: Tensor, grad: Tensor | None) -> None:
        self.spec, self.flat, self.grad = spec, flat, grad
        self.frozen = self._views(flat)
        self.params = self.frozen
        if grad is not None:
            self.params = {name: view.detach().requires_grad_() for name, view in self.frozen.items()}
            for name, view in self._views(grad).items():
                self.params[name].grad = view  # backward adds into the flat gradient

    @classmethod
    def initialise(
        cls, spec: NetworkSpec, rngs: Sequence[np.random.Generator], members: int, device: torch.device
    ) -> Stack:
        """A trainable stack of `members` networks for each generator, drawn seed by seed and network by network."""
        rows = [_initialise(spec, rng) for rng in rngs for _ in range(members)]
        flat = torch.from_numpy(np.array(rows, np.float32).reshape(len(rngs), members, _row_size(spec))).to(device)
        return cls(spec, flat, torch.zeros_like(flat))

    def copy(self) -> Stack:
        """A copy of the same values that is not trained, as target networks are."""
        return Stack(self.spec, self.flat.clone(), None)

    @cached_property
    def members(self) -> list[Stack]:
        """The M networks one by one, as stacks with M = 1 on the same memory."""
        parts = [slice(index, index + 1) for index in range(self.flat.shape[1])]
        return [
            Stack(self.spec, self.flat[:, part], None if self.grad is None else self.grad[:, part]) for part in parts
        ]

    def polyak_update(self, online: Stack, tau: float) -> None:
        """Move this target network towards its online network: target <- (1 - tau) target + tau online."""
        self.flat.lerp_(online.flat, tau)

    def clip_gradient(self, max_norm: float) -> None:
        """Scale each network's gradient down to an L2 norm of at most `max_norm`."""
        assert self.grad is not None
        norm = torch.linalg.vector_norm(self.grad, dim=-1, keepdim=True)
        self.grad.mul_((max_norm / (norm + 1e-6)).clamp_(max=1.0))  # 1e-6 code: torch.nn.utils.clip_grad_norm_

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        views, start = {}, 0
        for name, parameter in self.spec.items():
            views[name] = flat[..., start : start + math.prod(parameter.shape)].unflatten(-1, parameter.shape)
            start += _room(parameter)
        return views


def _room(parameter: ParameterSpec) -> int:
    """Numbers that an array takes in the flat tensor: whole cache lines, so that all networks are aligned alike."""
    return -(-math.prod(parameter.shape) // CACHE_LINE) * CACHE_LINE


def _row_size(spec: NetworkSpec) -> int:
    """Numbers of one network: whole registers, so that the optimiser treats all numbers of all networks alike."""
    return -(-sum(map(_room, spec.values())) // WHOLE_REGISTERS) * WHOLE_REGISTERS


def _initialise(spec: NetworkSpec, rng: np.random.Generator) -> np.ndarray:
    row = np.zeros(_row_size(spec), np.float32)
    start = 0
    for parameter in spec.values():
        size = math.prod(parameter.shape)
        if parameter.orthogonal is None:
            row[start : start + size] = parameter.start + rng.uniform(-parameter.bound, parameter.bound, size)
        else:
            row[start : start + size] = parameter.orthogonal * _orthogonal(parameter.shape, rng).ravel()
        start += _room(parameter)
    return row


def _orthogonal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """A uniformly drawn matrix whose rows or columns, whichever are fewer, are orthonormal (arXiv:1312.6120v3)."""
    rows, columns = shape
    tall = rng.standard_normal((max(shape), min(shape)))
    q, r = np.linalg.qr(tall)
    q *= np.where(np.diagonal(r) < 0, -1, 1)  # else the decomposition's signs are not uniform
    return q if rows >= columns else q.T


class Optimizer:
    """Adam on the flat tensors of some stacks, with gradients clipped per network; empty stacks are left out."""

    def __init__(self, stacks: Sequence[Stack], lr: float, max_grad_norm: float) -> None:
        self.stacks, self.max_grad_norm = [stack for stack in stacks if stack.flat.numel()], max_grad_norm
        self.adam = torch.optim.Adam(
            [stack.flat for stack in self.stacks], lr=lr, capturable=stacks[0].flat.is_cuda, foreach=False
        )
        for stack in self.stacks:
            stack.flat.grad = stack.grad

    def step(self, loss: Tensor) -> None:
        """One step down `loss`, a scalar that sums over seeds and networks, so that none of them affects another."""
        for stack in self.stacks:
            assert stack.grad is not None
            stack.grad.zero_()
        loss.backward()
        if self.max_grad_norm > 0:
            for stack in self.stacks:
                stack.clip_gradient(self.max_grad_norm)
        self.adam.step()

    def forget(self) -> None:
        """Begin anew, without moments."""
        self.adam.state.clear()

    def seed_state(self, index: int) -> list[dict[str, Tensor]]:
        """A copy of one seed's moments, per stack; empty before the first step."""
        return [
            {name: _slice(value, index).clone() for name, value in self.adam.state[stack.flat].items()}
            for stack in self.stacks
        ]

    def load_seed_state(self, index: int, state: Sequence[Mapping[str, Tensor]]) -> None:
        """Load what `seed_state` returned for one seed."""
        for stack, values in zip(self.stacks, state, strict=True):
            moments = self.adam.state[stack.flat]
            for name, value in values.items():
                if name not in moments:  # the optimiser of a fresh agent has no moments yet
                    moments[name] = torch.zeros(() if value.ndim == 0 else stack.flat.shape, device=stack.flat.device)
                _slice(moments[name], index).copy_(value)


def _slice(value: Tensor, index: int) -> Tensor:
    """A seed's part of an optimiser entry; the step count is one number for all."""
    return value if value.ndim == 0 else value[index]


def mlp_spec(
    inputs: int, hidden: Sequence[int], outputs: int, *, norm: bool = False, gain: float = 1.0, init: Init = "torch"
) -> NetworkSpec:
    """An MLP; with `norm`, layer normalisation before the output; `gain` scales the output layer's initial weight."""
    hidden_spec = dense_spec if init == "torch" else orthogonal_spec
    spec: NetworkSpec = {}
    for index, (before, after) in enumerate(zip([inputs, *hidden], hidden, strict=False)):
        spec |= hidden_spec(f"hidden{index}", before, after)
    if norm:
        spec |= norm_spec("norm", hidden[-1], init)
    return spec | dense_spec("output", hidden[-1], outputs, gain=gain)


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


def film_spec(
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    summary: int,
    *,
    norm: bool = False,
    gain: float = 1.0,
    init: Init = "torch",
) -> NetworkSpec:
    """An MLP whose hidden layers are each scaled and shifted by a linear function of a summary vector.

    With torch's initialisation the scale's bias starts at 1, so that an untrained layer is close to a plain one (ours).
    In the authors' code it starts at 0, as all biases, so that an untrained layer depends on the summary as on x.
    """
    spec = mlp_spec(inputs, hidden, outputs, norm=norm, gain=gain, init=init)
    for index, width in enumerate(hidden):
        if init == "torch":
            spec |= dense_spec(f"scale{index}", summary, width, bias=1.0)
            spec |= dense_spec(f"shift{index}", summary, width)
        else:
            spec |= orthogonal_spec(f"scale{index}", summary, width)
            spec |= orthogonal_spec(f"shift{index}", summary, width)
    return spec


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
    """Two Q-networks on [obs, action] and their target networks, for every seed."""

    def __init__(
        self, inputs: int, hidden: Sequence[int], rngs: Sequence[np.random.Generator], device: torch.device, init: Init
    ) -> None:
        self.online = Stack.initialise(mlp_spec(inputs, hidden, 1, init=init), rngs, 2, device)
        self.target = self.online.copy()
        self.first, self.first_target = self.online.members[0], self.target.members[0]


class GivenQ(dict[str, Tensor]):
    """Stands in the place of a stack's `frozen` parameters where Q is a known function and no network.

    `q` gets obs (S, B, O) and actions (S, B, K, A) and returns (S, B, K); all M critics of the stack are equal to it.
    """

    def __init__(self, q: Callable[[Tensor, Tensor], Tensor], members: int) -> None:
        super().__init__()  # there are no parameters
        self.q, self.members = q, members


def q_values(p: Params, obs: Tensor, actions: Tensor) -> Tensor:
    """Values of K actions at each state by M critics: obs (S, B, O), actions (S, B, K, A) -> (S, M, B, K)."""
    if isinstance(p, GivenQ):
        return p.q(obs, actions).unsqueeze(1).expand(-1, p.members, -1, -1)
    S, B, K, _ = actions.shape
    x = torch.cat([obs.unsqueeze(2).expand(S, B, K, -1), actions], dim=-1)  # (S, B, K, O + A)
    return mlp(p, x.flatten(1, 2).unsqueeze(1)).reshape(S, -1, B, K)
