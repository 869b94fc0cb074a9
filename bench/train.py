"""The entry of every training: `train_pack` decides which seeds of a pack this process trains, and from which step.

The training itself is in bench/training/; begin with loop.py.
"""

import contextlib

from savo_bench import envs
from savo_bench.bench import run_directory
from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import UserError
from savo_bench.bench.provenance import provenance
from savo_bench.bench.training import checkpoint
from savo_bench.bench.training.loop import Training
from savo_bench.bench.training.signals import Interrupted, stop_on_signal
from savo_bench.results.files import CorruptFile, make_folder, reaches, said
from savo_bench.results.format import SeedFolder, Status, state_steps
from savo_bench.results.lock import acquire
from savo_bench.results.state import state_of

__all__ = ["Interrupted", "train_pack"]


def train_pack(pack: Pack) -> None:
    """Train the seeds of a pack to the end, each from its newest usable checkpoint.

    Seeds that are done, or that another live process trains, are left alone. A seed that fails says so in its
    status.json; the rest of the pack continues.

    Raises:
        Interrupted: a signal asked for a stop. Everything is saved.
        UserError: a folder holds another config, or cannot be written.
    """
    run_directory.check_specs(pack.root, [pack.cell])
    with contextlib.ExitStack() as locks, stop_on_signal() as stop:
        seeds = [seed for seed in pack.seeds if _take(pack, seed, locks)]
        available: dict[int, list[int]] = {}
        for seed in seeds:
            try:
                available[seed] = _usable_steps(SeedFolder(pack.folder(seed)))
            except OSError as error:
                _leave(pack, seed, error)
        for step, group in checkpoint.common_steps(available):
            origin = provenance(pack.cell, device=pack.device, launcher=pack.launcher, pack=group, command=pack.command)
            Training(pack, group, step, stop, origin).run()


def _take(pack: Pack, seed: int, locks: contextlib.ExitStack) -> bool:
    """Lock a seed's folder and write its run.json. False if another process has it, or if it is done."""
    folder = SeedFolder(pack.folder(seed))
    if state_of(folder).state == "done":  # then nothing of it is touched, not even its lock
        return False
    try:
        make_folder(folder.path)
        lock = acquire(folder.lock)
    except OSError as error:
        raise UserError(f"{folder.path}: cannot be written ({error.strerror})") from None
    if lock is None:
        return False
    locks.callback(lock.release)
    found = state_of(folder, asking={"launcher": pack.launcher, "job": pack.job})
    if found.state == "unreadable":
        print(f"warning: seed {seed} is not trained: {found.reason}", flush=True)
    if found.trainable and found.run is None:
        record = provenance(
            pack.cell, device=pack.device, launcher=pack.launcher, pack=pack.seeds, command=pack.command
        )
        metrics = envs.get(pack.cell.environment).metric_labels()
        folder.write_run(pack.cell.spec(seed), record, metrics)
    return found.trainable


def _leave(pack: Pack, seed: int, error: OSError) -> None:
    """Record that a seed cannot be resumed now, and keep all that it has."""
    folder = SeedFolder(pack.folder(seed))
    reason = f"its checkpoint cannot be read, {said(error)}; the same command tries again"
    status: Status = folder.read_status() or {"state": "failed", "step": 0, "steps": pack.cell.budget.steps}
    folder.write_status({**status, "state": "failed", "reason": reason}, durable=True)


def _usable_steps(folder: SeedFolder) -> list[int]:
    """Steps that a seed can resume from, newest first. Damaged checkpoints are left out and named on standard output.

    So are those that name more of a CSV file than is there.

    Raises:
        OSError: one cannot be read. It may be whole, so training from an earlier one would lose what it holds.
    """
    usable = []
    for step in state_steps(folder.checkpoint):
        try:
            state = checkpoint.load(folder.checkpoint, step)
            reaches(folder.evals_csv, state["evals_bytes"])
            reaches(folder.train_csv, state["train_bytes"])
            usable.append(step)
        except CorruptFile as error:
            print(f"warning: {error}; this checkpoint is not used", flush=True)
    return usable
