"""What tests do inside the worker processes of a `bench run`, so that events decide and not seconds.

A worker imports a sitecustomize that calls one of the hooks below; it wraps methods of the training loop.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parent
KILLS = 3  # attempts that `kill_after_the_first_save` ends
WAITING_STEP, WAITING_SEED = 700, 1  # where `wait_until_the_parent_is_dead` waits


def environment(folder: Path, hook: Callable[[], None]) -> dict[str, str]:
    """Environment variables of a `bench run` whose workers call the hook; writes into the folder."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import worker_hooks\nworker_hooks.{hook.__name__}()\n")
    path = os.pathsep.join(map(str, (folder, TESTS, TESTS.parent / "src")))
    return {**os.environ, "PYTHONPATH": path}


def kill_after_the_first_save() -> None:
    """Kill the first three attempts of a worker with -9, each at a random moment after it has saved something."""
    if not _in_a_worker():
        return
    from savo_bench.bench.training.loop import Training

    save, finish = Training.save_checkpoint, Training.finish
    killers = []

    def save_and_be_killed(self: Training) -> None:
        save(self)
        attempt = self.runs[0].attempt
        if attempt <= KILLS and not killers:
            delay = random.Random(attempt).uniform(0, 0.5)
            killers.append(subprocess.Popen(["sh", "-c", f"sleep {delay}; kill -9 {os.getpid()}"]))

    def do_not_finish_before(self: Training) -> None:
        if self.runs[0].attempt <= KILLS:
            self.save_checkpoint()
            time.sleep(60)
        finish(self)

    Training.save_checkpoint, Training.finish = save_and_be_killed, do_not_finish_before


def wait_until_the_parent_is_dead() -> None:
    """Let one seed wait at one step of its first attempt, after making a file `waiting` under the runs' name."""
    if not _in_a_worker():
        return
    from savo_bench.bench.training.loop import Training

    advance, parent = Training.advance, os.getppid()

    def advance_and_wait(self: Training) -> None:
        advance(self)
        run = self.runs[0]
        if (run.seed, run.attempt, self.step) == (WAITING_SEED, 1, WAITING_STEP):
            (self.pack.root / "waiting").touch()
            while os.getppid() == parent:
                time.sleep(0.01)

    Training.advance = advance_and_wait


def no_locks() -> None:
    """Let every file system be one without flock."""
    import errno
    import fcntl

    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    fcntl.flock = flock


def _in_a_worker() -> bool:
    return "savo_bench.bench.worker" in sys.orig_argv
