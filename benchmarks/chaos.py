"""Does a grid survive being killed again and again? Its worker processes, its parent, or both, with kill -9.

    python benchmarks/chaos.py [--steps 20000] [--minutes 10] [--folder DISK] [--out chaos.json]

Twenty packs of two seeds on two cores, trained once undisturbed and once with a kill every 15 to 30 seconds and a
checkpoint every 3, started again by the same command whenever it has ended before everything is done. Asserts that no
attempt goes on from before a checkpoint that was there, that nothing fails, and that the end is the undisturbed one
bit by bit. `--steps` has to be enough for `--minutes` of kills; what a run takes is printed.

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
from pathlib import Path

sys.path.insert(0, str(one_core.ROOT / "tests"))

from small_runs import assert_same_run

from results.format import CorruptFile, SeedFolder, seed_folders

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
    command = [sys.executable, "-m", "bench.cli", "run", *GRID, "--steps", str(steps), "--eval-every", str(steps // 4)]
    with (runs / f"{name}.txt").open("ab") as output:
        return subprocess.Popen(
            [*command, "--runs", str(runs), "--name", name],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(one_core.ROOT)},
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
    return {int(path.stem.removeprefix("state-")) for path in folder.checkpoint.glob("state-*.pt")}


def disturbed(runs: Path, count: int, rng: random.Random) -> dict[str, object]:
    """Train under kills until everything is done; what happened."""
    began = time.monotonic()
    watch, starts = Watch(runs / "killed"), 1
    kills: dict[str, int] = dict.fromkeys(VICTIMS, 0)
    process = start(runs, "killed", count)
    strike_at = began + rng.uniform(*CALM_BETWEEN_KILLS)
    while process.poll() != 0:
        if process.poll() == 2:
            sys.exit((runs / "killed.txt").read_text())  # the command is wrong, which no repetition mends
        if process.poll() is not None:
            process, starts = start(runs, "killed", count), starts + 1
        if time.monotonic() >= strike_at:
            victim = strike(process.pid, rng)
            if victim:
                kills[victim] += 1
                print(f"{time.monotonic() - began:6.0f} s  killed {victim}", flush=True)
                strike_at = time.monotonic() + rng.uniform(*CALM_BETWEEN_KILLS)
                if victim != "worker":
                    process.wait()
        watch.look()
        time.sleep(LOOK)
    watch.look()
    return {
        "seconds": round(time.monotonic() - began),
        "kills": kills,
        "starts": starts,
        "attempts that went on from a checkpoint": watch.resumed,
        "wrong": watch.wrong,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=10.0, help="of kills, at least")
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--folder", type=Path, help="where the runs lie and stay; without it a temporary folder")
    parser.add_argument("--out", type=Path, help="write the outcome as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        runs = given.folder or Path(temporary)
        runs.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        if start(runs, "calm", given.steps).wait() != 0:
            print((runs / "calm.txt").read_text())
            return 1
        calm = round(time.monotonic() - began)
        print(f"undisturbed: {calm} s", flush=True)
        outcome = {"hardware": one_core.hardware(), "packs": PACKS, "steps": given.steps, "undisturbed seconds": calm}
        outcome |= disturbed(runs, given.steps, random.Random(given.seed))
        wrong = list(outcome["wrong"]) if isinstance(outcome["wrong"], list) else []
        for folder in seed_folders(runs / "calm"):
            try:
                assert_same_run(folder.path, runs / "killed" / folder.path.relative_to(runs / "calm"))
            except AssertionError as error:
                wrong.append(f"{folder.path}: not the same after kills: {error}")
        seconds = outcome["seconds"]
        if isinstance(seconds, int) and seconds < given.minutes * 60:
            wrong.append(f"the kills lasted {seconds} s, not {given.minutes:g} minutes: raise --steps")
        outcome["wrong"] = wrong
    if given.out:
        given.out.write_text(json.dumps(outcome, indent=1) + "\n")
    print(json.dumps({key: value for key, value in outcome.items() if key != "hardware"}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
