"""A pack in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from small_grids import wait_until

from savo_bench.bench import worker


def test_a_worker_that_is_stopped_before_it_trains_has_nothing_to_save():
    process = subprocess.Popen(
        [sys.executable, "-m", "savo_bench.bench.worker"],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    wait_until(lambda: int(signal_mask(process.pid, "SigCgt")) & 1 << signal.SIGTERM - 1 != 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == worker.INTERRUPTED
    process.communicate()


def signal_mask(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)), 16)
