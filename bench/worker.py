"""One pack in a process of its own: `python -m savo_bench.bench.worker` reads a pickled Pack from its standard input.

Exit codes: 0 trained (single seeds may have failed, their files say so), 75 interrupted and saved, 1 crashed.
"""

import ctypes
import os
import pickle
import signal
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

from savo_bench.bench import process
from savo_bench.bench.errors import UserError

if TYPE_CHECKING:
    from savo_bench.bench.cells import Pack

TRAINED, CRASHED, INTERRUPTED = 0, 1, 75  # 75: EX_TEMPFAIL, try again later
STOPS = (signal.SIGINT, signal.SIGTERM)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def train(pack: "Pack") -> None:
    """Train a pack in this process; on a CPU on one thread, since other packs run beside it."""
    import torch

    from savo_bench.bench.train import train_pack

    if pack.device == "cpu":
        torch.set_num_threads(1)
    train_pack(pack)


def interrupted() -> type[Exception]:
    """The exception that the training raises after a signal made it save and stop."""
    from savo_bench.bench.train import Interrupted

    return Interrupted


def follow_parent() -> None:
    """Ask the kernel for SIGTERM, which saves and ends the training, when the parent dies. Linux only."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
        return  # a sandbox may forbid it: then a worker without its parent trains its pack to the end
    if os.getppid() != parent:  # it died before the kernel knew
        os.kill(os.getpid(), signal.SIGTERM)


def _nothing_to_save(*_: object) -> NoReturn:
    os._exit(INTERRUPTED)


def main() -> int:
    """Read a pack and train it; returns the exit code."""
    process.settle()
    for number in STOPS:
        signal.signal(number, _nothing_to_save)  # until the training installs its own handlers, which save first
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # the launcher blocked them until there was a handler
    follow_parent()
    try:
        pack: Pack = pickle.load(sys.stdin.buffer)
        try:
            train(pack)
        except interrupted():
            return INTERRUPTED
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return CRASHED
    except Exception:
        traceback.print_exc()
        return CRASHED
    return TRAINED


if __name__ == "__main__":
    sys.exit(main())
