"""A stand-in for bench.train without torch: it keeps the rules of a run directory and does as its config says.

`install` puts it in the place of bench.train in this process; a folder with a sitecustomize that calls `install` on the
import path does so in worker processes as well.
"""

import dataclasses
import os
import signal
import socket
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savo_bench.results.files import append_csv
from savo_bench.results.format import Owner, SeedFolder
from savo_bench.results.lock import acquire
from savo_bench.results.state import state_of

SITECUSTOMIZE = "import fake_training\nfake_training.install()\n"


class Interrupted(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class FakeConfig:
    seconds: float = 0.0  # per step
    held: str = ""  # a file, with {seed} for the seed's number; no step is taken while it is there
    killed: tuple[int, ...] = ()  # seeds at which the process dies in its first attempt
    crashed: tuple[int, ...] = ()  # seeds at which it raises
    failed: tuple[int, ...] = ()  # seeds that fail
    deaf: bool = False  # to signals
    hidden: tuple[int, ...] = (8, 8)
    batch_size: int = 8
    warmup_steps: int = 0
    buffer_size: int = 8
    policy_delay: int = 1


def install() -> None:
    """Put this module in the place of bench.train, and nothing in that of torch."""
    sys.modules["savo_bench.bench.train"] = sys.modules[__name__]
    torch = types.ModuleType("torch")
    torch.set_num_threads = lambda _: None  # type: ignore[attr-defined]
    sys.modules["torch"] = torch


def estimate_nothing(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Replace the estimates and the question for other code: the stand-in is not in the registry of algorithms."""
    from savo_bench.bench import cost, estimate, run_directory

    replace(cost, "seconds", lambda *_: 1.0)
    replace(cost, "pack_seconds", lambda *_: 1.0)
    replace(estimate, "lines", lambda *_: [("estimate: none", "")])
    replace(run_directory, "made_by_other_code", lambda *_: None)


def spec_of(pack, seed: int) -> dict:
    cell = pack.cell
    return {
        "environment": {"name": cell.environment, "id": cell.environment, "keywords": {}},
        "algorithm": {"name": cell.algorithm, "variant": cell.variant, "config": {}},
        "budget": dataclasses.asdict(cell.budget),
        "seed": seed,
    }


def train_pack(pack) -> None:
    stopped = []
    before = {number: signal.signal(number, lambda *_: stopped.append(1)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for seed in pack.seeds:
            train_seed(pack, SeedFolder(pack.folder(seed)), stopped)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train_seed(pack, folder: SeedFolder, stopped: list[int]) -> None:
    config, steps, seed = pack.cell.config, pack.cell.budget.steps, folder.seed
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = acquire(folder.lock)
    if lock is None:
        return
    if state_of(folder, asking={}).state == "done":
        lock.release()
        return
    before = folder.read_status()
    begin = before["step"] if before else 0
    attempt = before.get("attempt", 0) + 1 if before else 1
    provenance = {"threads": os.environ.get("OMP_NUM_THREADS"), "launcher": pack.launcher}
    folder.write_run(spec_of(pack, seed), provenance)
    with (pack.root / "attempts.txt").open("a") as file:
        file.write(f"{pack.cell.variant} {seed} {begin} {os.getpid()} {time.time()}\n")

    def tell(state: str, step: int, reason: str | None = None) -> None:
        owner: Owner = {"host": socket.gethostname(), "pid": os.getpid(), "pack": list(pack.seeds)}
        folder.write_status(
            {
                "state": state,
                "reason": reason,
                "step": step,
                "steps": steps,
                "resumed_from": begin,
                "attempt": attempt,
                "heartbeat": time.time(),
                "steps_per_s": 10.0,
                "last_return": 1.0,
                "owner": owner,
            }
        )

    for step in range(begin, steps):
        tell("running", step)
        if stopped and not config.deaf:
            raise Interrupted
        if seed in config.killed and attempt == 1 and step == steps // 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if seed in config.crashed:
            raise ValueError("boom")
        time.sleep(config.seconds)
        while config.held and Path(config.held.format(seed=seed)).exists():
            time.sleep(0.01)
        if seed in config.failed:
            tell("failed", step, "the environment fell over")
            lock.release()
            return
    budget = pack.cell.budget
    due = [*range(budget.eval_every, steps, budget.eval_every), steps]
    rows = [[step, episode, 1.0, 1] for step in due for episode in range(budget.eval_episodes)]
    append_csv(folder.evals_csv, ["step", "episode", "return", "length"], rows)
    tell("done", steps)
    lock.release()


def attempts(root: Path) -> list[tuple[str, int, int]]:
    """(variant, seed, first step) of every training that was begun, in order."""
    path = root / "attempts.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], int(line.split()[1]), int(line.split()[2])) for line in lines]
