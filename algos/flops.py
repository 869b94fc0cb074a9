"""What an update and an action compute: FLOPs of their matrix products, counted while they run.

A multiplication and an addition are two FLOPs, so a layer of I inputs and J outputs takes 2 I J for a row of its input.
Its gradient takes as much again for the weights, and as much for the input where that needs one. Adam, the targets,
normalisation, tanh and what else goes number by number are not counted. Two parts of algorithms are not made of
products, and so are not counted either: what `summariser=transformer` sums over elements, and the search of
`search=ivf`.

FLOPs depend on no machine: not on its kernels, and not on what else it does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from savo_bench.algos.agent import Agent, Noise, Spaces
from savo_bench.algos.entry import Entry
from savo_bench.algos.noise import standard_normal
from savo_bench.algos.replay import Layout

CPU = torch.device("cpu")


class Trial:
    """Some seeds of an algorithm on the CPU, with a batch, observations and noise that are made up.

    Attributes:
        agent: The agent, untrained.
        seeds: S.
        delay: Updates after which each network has been trained, the config's `policy_delay`.
    """

    def __init__(self, entry: Entry, config: Any, spaces: Spaces, seeds: int = 1) -> None:
        rngs = [np.random.default_rng(seed) for seed in range(seeds)]
        self.agent: Agent = entry.agent(config, spaces, rngs, CPU)
        self.seeds, self.delay = seeds, config.policy_delay
        layout = Layout(spaces, self.agent.stored_proto_actions, self.agent.stored_items)
        self._batch = layout.unpack(_records(layout, spaces, rngs[0], seeds, config.batch_size))
        self._obs = torch.from_numpy(rngs[0].standard_normal((seeds, 1, spaces.obs_dim), np.float32))
        self._noise: dict[str, Noise] = {
            call: standard_normal(rngs, self.agent.noise_shapes(call), CPU) for call in ("act", "update")
        }

    def update(self) -> None:
        """`delay` updates, after which all networks have been trained equally often as in any other call."""
        for _ in range(self.delay):
            self.agent.update(self._batch, self._noise["update"])

    def act(self) -> None:
        """One action of each seed, with exploration."""
        self.agent.act(self._obs, self._noise["act"], explore=True)


def _records(layout: Layout, spaces: Spaces, rng: np.random.Generator, seeds: int, size: int) -> Tensor:
    """Made-up transitions: (S, B, width)."""
    rows, A = seeds * size, spaces.action_dim

    def items(count: int) -> np.ndarray:
        return rng.integers(0 if spaces.catalogue is None else len(spaces.catalogue), size=(rows, count))

    obs, next_obs = rng.standard_normal((2, rows, spaces.obs_dim))
    action = rng.uniform(-1, 1, (rows, A)) if spaces.catalogue is None else items(1)
    proto_actions = rng.uniform(-1, 1, (rows, layout.proto_actions * A))
    proposed = np.zeros((rows, 0)) if spaces.catalogue is None else items(layout.items)
    reward, terminated = rng.standard_normal(rows), np.zeros(rows)
    packed = layout.pack(obs, action, proto_actions, proposed, reward, terminated, next_obs)
    return torch.from_numpy(packed).unflatten(0, (seeds, size))


def of_update(trial: Trial) -> float:
    """FLOPs of one seed's update, a mean over `policy_delay` updates."""
    return counted(trial.update) / (trial.seeds * trial.delay)


def of_action(trial: Trial) -> float:
    """FLOPs of one seed's action."""
    return counted(trial.act) / trial.seeds


def counted(work: Callable[[], object]) -> int:
    """FLOPs of the matrix products that some work does when it is done once more."""
    work()  # in the first one `products` tries its kernels
    with _Counter() as counter:
        work()
    return counter.total


@cache
def formula(operation: Any) -> Callable[..., int] | None:
    """What gives the FLOPs of an operation from its arguments and `out_val`, its result; None if it is no product."""
    if str(operation) == "mkldnn._linear_pointwise":  # algos/products.py; torch counts all others, but not this one
        return _linear
    return flop_registry.get(operation)


def _linear(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    """x (…, I) and a weight (J, I)."""
    return 2 * x.numel() * weight.shape[0]


class _Counter(TorchDispatchMode):
    """Adds up the FLOPs of what runs in its block, gradients included.

    torch's own FlopCounterMode also follows modules, which there are none of here, and takes several times as long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        flops = formula(func.overloadpacket)
        if flops is not None:
            self.total += flops(*args, **kwargs, out_val=out)
        return out
