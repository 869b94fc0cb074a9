"""One core and one thread, for every measurement here; imported before torch, which reads the variables once."""

import contextlib
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[name] = "1"

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))  # this checkout is what is measured, installed or not

PACKAGES = ("torch", "numpy", "gymnasium", "mujoco", "stable-baselines3")


def pin(cpu: int | None) -> None:
    """Stay on one CPU, the last allowed one unless told; where the system cannot do that, on one thread alone."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as the training loop does
    if hasattr(os, "sched_setaffinity"):  # Linux
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0)) if cpu is None else cpu})


def hardware() -> dict[str, Any]:
    """What the numbers were measured on."""
    from savo_bench.bench.provenance import provenance

    record = provenance(device="cpu", launcher="", pack=())
    kept = ("version", "git", "dirty", "python", "platform", "cpu")
    return {name: record[name] for name in kept} | {"packages": {name: version(name) for name in PACKAGES}}
