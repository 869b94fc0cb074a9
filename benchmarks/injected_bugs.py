"""Would this project's own gate see a bug? Trains with one in the code, and asks the check or the test that should.

    python benchmarks/injected_bugs.py

SAC's part of the grid of `tests/gate` is trained as it is and with each bug of the training, and judged by SAC's part
of the committed baseline: 0 as it is, 1 with a bug. A bug that returns alone need not show has to make a test fail.

Exit code 1 if a bug goes unnoticed, or if something is noticed where there is none.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
GATE = ROOT / "tests" / "gate"
VARIANT = "sac:tau=0.05"  # ours: the one of restricted.toml that learns the task most reliably

# What is done to the code before it is used.
NOTHING = ""
FROZEN_ACTOR = """
from savo_bench.algos.actor_critic import ActorCritic
init = ActorCritic.__init__
def frozen(self, *args, **parts):
    init(self, *args, **parts)
    self.optimizers["actor"].adam.param_groups[0]["lr"] = 0.0
ActorCritic.__init__ = frozen
"""
WRONG_SIGN = """
from savo_bench.algos import actor_critic
actor_critic.td_target = lambda reward, terminated, next_value, gamma: reward - gamma * (1 - terminated) * next_value
"""
NOT_TRUNCATED = """
from savo_bench.algos import chain
chain.truncate = lambda q, floor: q
"""
TRAINED = {
    "as it is": (NOTHING, 0),
    "the actor's learning rate times 0": (FROZEN_ACTOR, 1),
    "a wrong sign in the TD target": (WRONG_SIGN, 1),
}
TESTED = {
    "as it is": (NOTHING, 0),
    "surrogate targets that are not truncated": (NOT_TRUNCATED, 1),
}


def run(bug: str, module: str, *arguments: object) -> int:
    """`python -m module arguments` with a bug in the code; the exit code."""
    code = f"{bug}\nimport runpy\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    quiet = subprocess.DEVNULL
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, stdout=quiet
    ).returncode


def judged(bug: str, folder: Path) -> int:
    """The exit code of the check of one cell, trained with a bug."""
    baseline = folder / "baseline.csv"
    table = pd.read_csv(GATE / "baseline.csv", dtype=str, keep_default_na=False)
    algorithm, colon, _ = VARIANT.partition(":")
    table[table["variant"].str.startswith(algorithm + colon)].to_csv(baseline, index=False)
    how = ("--algos", VARIANT, "--on", "inline", "--runs", folder, "--name", "bugs")
    if run(bug, "savo_bench.bench.cli", "run", "--config", GATE / "restricted.toml", *how):
        return -1  # it did not even train
    return run(NOTHING, "savo_bench.bench.cli", "check", "bugs", "--runs", folder, "--against", baseline)


def main() -> int:
    """Train and test with every bug; say what came of it."""
    wrong = 0
    for name, (bug, expected) in TRAINED.items():
        with tempfile.TemporaryDirectory() as folder:
            code = judged(bug, Path(folder))
        wrong += code != expected
        print(f"trained with {name}: bench check gives {code}, wanted {expected}", flush=True)
    for name, (bug, expected) in TESTED.items():
        code = run(bug, "pytest", "-q", "-p", "no:cacheprovider", "tests/test_savo.py")
        wrong += code != expected
        print(f"tested with {name}: pytest gives {code}, wanted {expected}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
