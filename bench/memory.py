"""What a training takes of memory: what it took, in all and of networks that act, and an estimate before it begins.

`tensors` counts what an agent and its update take, for `bench cost`.
"""

import contextlib
import re
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from savo_bench import algos, envs
from savo_bench.algos.agent import Agent
from savo_bench.bench.cells import Cell, Pack
from savo_bench.bench.disk import Disk
from savo_bench.bench.evaluate import at_once

if TYPE_CHECKING:
    from savo_bench.algos.flops import Trial

STATUS = Path("/proc/self/status")

# ours: measured on trainings of several algorithms and environments, tests/test_memory.py
GRADIENTS = 0.3  # of a checkpoint's state, which has networks, targets and two moments: the gradients
ACTIVATIONS = 9  # float32 tensors of batch and width that an update like TD3's holds at a time, of each layer
ENVIRONMENT = 8_000_000  # bytes of an environment that cannot be measured: an Adroit hand, the heaviest of ours
ENVIRONMENTS_TRIED = 3  # the first one loads libraries as well
LONG = 2.0  # seconds after which no further one is made to be measured

# a guess, until measured: what CUDA keeps in the memory of the host
GPU_PROCESS = 2_000_000_000

_environments: dict[str, int] = {}  # bytes of one, by the environment's label


def held() -> tuple[int, int]:
    """Bytes of memory that this process holds, and how many of them it shares with others like it: its libraries."""
    if not STATUS.exists():
        return int(peak_memory(torch.device("cpu"))), 0
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    found = {name: 1024 * int(number) for name, number in lines}
    return found["VmRSS"], found.get("RssFile", 0) + found.get("RssShmem", 0)


def environment_bytes(cell: Cell) -> int:
    """Bytes of one environment of a cell, which is made some times and measured, once in a process."""
    if cell.env_label not in _environments:
        began, made, growth = time.monotonic(), [], []
        with contextlib.suppress(Exception):  # a plug-in's may raise anything; in the training, its seed says so
            while len(made) < ENVIRONMENTS_TRIED and time.monotonic() - began < LONG:
                before, _ = held()
                made.append(envs.make(cell.environment, evaluation=True, **cell.env_keywords))
                made[-1].reset(seed=0)
                growth.append(held()[0] - before)
        for env in made:
            with contextlib.suppress(Exception):
                env.close()
        later = growth[1:]
        _environments[cell.env_label] = max(0, sum(later) // len(later)) if later else ENVIRONMENT
    return _environments[cell.env_label]


def estimate(pack: Pack, step: int, written: Disk, process: int) -> int:
    """Bytes that the process of a pack holds at most, roughly.

    Args:
        pack: The seeds, and where they are trained; what lies on a GPU is not counted.
        step: They resume from it.
        written: What one of the seeds writes.
        process: Bytes of a process that has loaded everything and trains nothing.
    """
    cell, seeds = pack.cell, len(pack.seeds)
    evaluated, episodes = at_once(seeds, cell.budget.eval_episodes)
    process += (seeds + evaluated * episodes) * environment_bytes(cell)
    if pack.device == "cuda":
        return process + GPU_PROCESS
    capacity = min(cell.budget.steps, cell.config.buffer_size)
    # One seed after the other resumes, from a copy of its part of the buffer.
    replay = written.record * max(seeds * capacity, (seeds + 2) * min(step, capacity))
    saving = 2 * written.state  # one seed's, and its file, before it is written
    return process + replay + saving + round(seeds * ((1 + GRADIENTS) * written.state + _activations(cell)))


def _activations(cell: Cell) -> float:
    """Bytes of one seed's intermediate results in an update."""
    hidden = getattr(cell.config, "hidden", (256, 256))  # a plug-in's config need not have it
    relative = algos.get(cell.algorithm).cost.relative(cell.config)
    return 4 * ACTIVATIONS * cell.config.batch_size * sum(hidden) * relative


def policy_weights(agent: Agent) -> int:
    """The number of weights of the networks that one seed acts with."""
    return sum(agent.networks[name].flat[0].numel() for name in agent.policy)


def peak_memory(device: torch.device) -> float:
    """The largest number of bytes that this process held: on a GPU in torch's tensors there, else in all its memory."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    if STATUS.exists():  # Linux: its ru_maxrss begins with what the parent process held when it started this one
        found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
        if found:
            return 1024.0 * int(found[1])
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others kilobytes
    import resource  # here, as Windows has none

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def tensors(trial: "Trial") -> int:
    """Bytes of the tensors that an agent keeps, and of those that an update makes and holds at a time at most.

    They are the networks with their targets, gradients and moments, and what an update computes. Not counted are the
    replay buffer, the batch, libraries and the rest of the process. Updates the agent.
    """
    trial.update()  # the first one makes the optimisers' moments
    agent = trial.agent
    stacks = agent.networks.values()
    kept = [*(stack.flat for stack in stacks), *(stack.grad for stack in stacks if stack.grad is not None)]
    for optimizer in agent.optimizers.values():
        kept += [value for moments in optimizer.adam.state.values() for value in moments.values()]
    with Made() as made:
        trial.update()
    return sum(each.nbytes for each in kept) + made.peak


class Made(TorchDispatchMode):
    """Adds up the memory of the tensors that are made in its block, as long as each is held.

    What one operation of torch makes and drops within itself is not seen.

    Attributes:
        peak: The most bytes that were held at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: set[int] = set()  # the storages that are held

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            if storage._cdata not in given and storage._cdata not in self._known:
                self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        self._known.add(storage._cdata)
        self.held += storage.nbytes()
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._drop, storage._cdata, storage.nbytes())

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size


def _storages(values: Any) -> list[torch.UntypedStorage]:
    """The memory of each tensor in nested values; views share it with what they are views of."""
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]
