"""What a pack costs beside its time: memory and weights."""

import resource
import sys

import torch

from algos.agent import Agent


def weights(agent: Agent) -> int:
    """How many weights the networks have that a seed acts with."""
    return sum(agent.networks[name].flat[0].numel() for name in agent.policy)


def peak_memory(device: torch.device) -> float:
    """The most bytes that this process held: on a GPU in torch's tensors there, else in all of its memory."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
