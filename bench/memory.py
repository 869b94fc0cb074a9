"""What a training takes of memory: of the process, and of the networks that a seed acts with."""

import re
import resource
import sys
from pathlib import Path

import torch

from savo_bench.algos.agent import Agent

STATUS = Path("/proc/self/status")


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
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
