"""Does a grid survive being killed again and again? Its worker processes, its parent, or both, with kill -9.

    python benchmarks/chaos.py [--steps 600] [--minutes 10] [--folder DISK] [--out chaos.json]

Twenty packs of two seeds on two cores, trained once undisturbed and then with a kill every 15 to 30 seconds and a
checkpoint every 3, started again by the same command whenever it has ended before everything is done; and all of it
once more until the kills have lasted `--minutes`. Asserts that no attempt resumes from before a checkpoint that was
there, that nothing fails, and that each grid ends as the undisturbed one bit by bit.

Needs Linux and the packages of the dev extra (it compares as the tests do). Exit code 1 if a demand is missed.
"""

import one_core  # isort: skip  (before torch)

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(one_core.ROOT / "tests"))

from small_runs import assert_same_run

from savo_bench.results.files import CorruptFile
from savo_bench.results.format import SeedFolder, seed_folders, state_steps

GRID = (
    "--algos", "savo,td3", "--envs", "restricted-inverted-pendulum,restricted-hopper", "--seeds", "10", "--pack", "2",
    "--set", "hidden=24-17", "--set", "batch_size=19", "--set", "warmup_steps=60", "--eval-episodes", "1",
    "--workers", "2", "--checkpoint-every", "3",
)  # fmt: skip
PACKS, PACK = 20, 2
CALM_BETWEEN_KILLS = (15.0, 30.0)  # seconds
VICTIMS = ("worker", "parent", "both")
LOOK = 0.1  # seconds between two looks at the checkpoints


def start(runs: Path, name: str, steps: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "savo_bench.bench.cli",
        "run",
        *GRID,
        "--steps",
        str(steps),
        "--eval-every",
        str(steps // 4),
    ]
    with (runs / f"{name}.txt").open("ab") as output:
        return subprocess.Popen(
            [*command, "--runs", str(runs), "--name", name],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(one_core.ROOT / "src")},
        )


def children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(number) for number in text.split()]


def strike(parent: int, rng: random.Random) -> str | None:
    """Kill somebody; who it was, None if there was nobody any more."""
    victim = rng.choice(VICTIMS)
    try:
        workers = children(parent)
        if victim == "worker":
            os.kill(rng.choice(workers), signal.SIGKILL)
        else:
            os.kill(parent, signal.SIGKILL)
            for worker in workers if victim == "both" else []:
                os.kill(worker, signal.SIGKILL)
    except (OSError, IndexError):
        return None
    return victim


class Watch:
    """Remembers the newest checkpoint that all seeds of a pack had, and compares where attempts go on from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.best: dict[tuple[Path, int], int] = {}  # a pack: its cell and number
        self.attempts: dict[Path, int] = {}
        self.resumed = 0
        self.wrong: list[str] = []

    def look(self) -> None:
        packs: dict[tuple[Path, int], list[SeedFolder]] = {}
        for folder in seed_folders(self.root):
            packs.setdefault((folder.path.parent, folder.seed // PACK), []).append(folder)
        for pack, folders in packs.items():
            for folder in folders:
                self.compare(folder, self.best.get(pack, 0))
            common = set.intersection(*(steps(folder) for folder in folders)) if len(folders) == PACK else set()
            self.best[pack] = max(self.best.get(pack, 0), *common, 0)

    def compare(self, folder: SeedFolder, best: int) -> None:
        try:
            status = folder.read_status()
        except CorruptFile as error:
            self.wrong.append(str(error))
            return
        if status is None:
            return
        attempt, resumed_from = status.get("attempt", 1), status.get("resumed_from", 0)
        if attempt > self.attempts.get(folder.path, 1):
            self.resumed += resumed_from > 0
            if resumed_from < best:
                self.wrong.append(f"{folder.path}: attempt {attempt} began at {resumed_from}, after a save at {best}")
        self.attempts[folder.path] = attempt


def steps(folder: SeedFolder) -> set[int]:
    return set(state_steps(folder.checkpoint))


@dataclass
class Outcome:
    """What happened under the kills."""

    seconds: float = 0.0
    grids: int = 0
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    starts: int = 0
    resumed: int = 0  # attempts that resumed from a checkpoint
    wrong: list[str] = field(default_factory=list)


def disturb(runs: Path, steps: int, rng: random.Random, outcome: Outcome) -> None:
    """Train a grid under kills until everything is done, and compare it with the undisturbed one."""
    outcome.grids += 1
    name, began = f"killed-{outcome.grids}", time.monotonic()
    watch = Watch(runs / name)
    process = start(runs, name, steps)
    outcome.starts += 1
    strike_at = began + rng.uniform(*CALM_BETWEEN_KILLS)
    while process.poll() != 0:
        if process.poll() == 2:
            sys.exit((runs / f"{name}.txt").read_text())  # the command is wrong, which no repetition fixes
        if process.poll() is not None:
            process = start(runs, name, steps)
            outcome.starts += 1
        if time.monotonic() >= strike_at:
            victim = strike(process.pid, rng)
            if victim:
                outcome.kills[victim] += 1
                print(f"{outcome.seconds + time.monotonic() - began:6.0f} s  killed {victim}", flush=True)
                strike_at = time.monotonic() + rng.uniform(*CALM_BETWEEN_KILLS)
                if victim != "worker":
                    process.wait()
        watch.look()
        time.sleep(LOOK)
    watch.look()
    outcome.seconds += time.monotonic() - began
    outcome.resumed += watch.resumed
    outcome.wrong += watch.wrong
    for folder in seed_folders(runs / "calm"):
        try:
            assert_same_run(folder.path, runs / name / folder.path.relative_to(runs / "calm"))
        except (AssertionError, OSError) as error:
            outcome.wrong.append(f"{name}: {folder.path.relative_to(runs)} does not end as undisturbed: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--minutes", type=float, default=10.0, help="of kills, at least")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--folder", type=Path, help="an empty one, where the runs stay; without it a temporary one")
    parser.add_argument("--out", type=Path, help="write the outcome as JSON")
    given = parser.parse_args()
    rng, outcome = random.Random(given.seed), Outcome()
    with tempfile.TemporaryDirectory() as temporary:
        runs = given.folder or Path(temporary)
        runs.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        if start(runs, "calm", given.steps).wait() != 0:
            print((runs / "calm.txt").read_text())
            return 1
        calm = round(time.monotonic() - began)
        print(f"undisturbed: {calm} s", flush=True)
        while outcome.seconds < given.minutes * 60 and not outcome.wrong:
            disturb(runs, given.steps, rng, outcome)
    found = {
        "packs": PACKS,
        "steps": given.steps,
        "undisturbed seconds": calm,
        "seconds under kills": round(outcome.seconds),
        "grids": outcome.grids,
        "kills": outcome.kills,
        "starts": outcome.starts,
        "attempts that resumed from a checkpoint": outcome.resumed,
        "wrong": outcome.wrong,
    }
    if given.out:
        given.out.write_text(json.dumps({"hardware": one_core.hardware()} | found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
