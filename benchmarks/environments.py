"""Steps per second of every task on one core, what our wrappers add to one, and what is small beside an update.

    python benchmarks/environments.py [--quick] [--cpu-time] [--out environments.json]

- Every task of the benchmark, and Gymnasium's originals beside the restricted ones: uniformly random actions, resets
  included, as agents see it.
- Wrappers: the same stack over the same task as `gym.make` gives it, both with a `step` that does nothing in the place
  of the simulator's, so that what is left is the wrappers' own time.
- Environments that are ours altogether: their step beside a step of td3's training on them, one seed, quick profile.

Sides take turns and each counts with its fastest round. Exit code 1 if a demand is missed.
"""

import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.table import Table
from speed import Demand, Measured, Result, Settings, Work, advancing, compare, report

from savo_bench import envs
from savo_bench.bench import resolving
from savo_bench.bench.cells import Cell, Pack
from savo_bench.bench.errors import UserError
from savo_bench.bench.options import Options
from savo_bench.bench.training.loop import Training

OURS = ("recsim", "recsim-data", "mineworld")
ADDED = 15.0  # µs a step, demanded of wrappers
SHARE = 10.0  # %, demanded of an environment's step in a step of the training
ACTIONS = 1_009  # drawn before; a prime, so that they meet the lengths of episodes at every phase
PACKS = (1, 10)  # seeds; the first is judged
WARMUP = 150  # random steps before the first update, more than a batch
SETTLE = 60  # updates before the first measurement: kernels are chosen, memory is touched


def stepping(env: gym.Env) -> Work:
    """Steps with random actions, and a reset where an episode ends."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(ACTIONS)]
    env.reset(seed=0)
    position = 0

    def run(count: int) -> None:
        nonlocal position
        for _ in range(count):
            position = (position + 1) % ACTIONS
            _, _, terminated, truncated, _ = env.step(actions[position])
            if terminated or truncated:
                env.reset()

    return run


def throughput(names: Sequence[str], settings: Settings) -> list[Result]:
    """A step of every task."""
    sides = {name: (stepping(envs.make(name)), 1) for name in names}
    return compare("step", sides, settings, None)


def idle(env: gym.Env) -> gym.Env:
    """The environment with a simulator that does nothing."""
    task: Any = env.unwrapped
    obs, _ = task.reset(seed=0)
    *_, info = task.step(env.action_space.sample())
    task.reset = lambda **_: (obs, info)
    task.step = lambda _: (obs, 0.0, False, False, info)
    return env


def added(name: str, settings: Settings) -> tuple[list[Result], Demand]:
    """What our wrappers add to a MuJoCo task: agents' view of it beside what `gym.make` gives of the task itself."""
    ours, bare = idle(envs.make(name)), idle(envs.make(name)).unwrapped
    theirs = gym.wrappers.TimeLimit(gym.wrappers.OrderEnforcing(bare), max_episode_steps=1_000)
    sides = {"bare": (stepping(theirs), 1), "wrapped": (stepping(ours), 1)}
    results = compare(f"{name}, idle", sides, settings, None)
    difference = 1e3 * (results[1].best - results[0].best)
    return results, Demand(f"{name}: µs a step that wrappers add", difference, ADDED, False, True)


def training(cell: Cell, seeds: int, folder: Path) -> Training:
    """The training of a cell, past its random steps."""
    root = Path(tempfile.mkdtemp(dir=folder))
    pack = Pack(cell, tuple(range(seeds)), root, device="cpu", checkpoint_every=float("inf"), launcher="inline")
    for seed in pack.seeds:
        pack.folder(seed).mkdir(parents=True)
    loop = Training(pack, pack.seeds, 0, threading.Event())
    loop.prepare()
    advancing(loop)(WARMUP + SETTLE)
    return loop


def share(cell: Cell, settings: Settings) -> tuple[list[Result], list[Demand]]:
    """An environment's step, in steps of the training of a seed on it."""
    name = cell.environment
    sides = {"environment": (stepping(envs.make(name)), 1)}
    for seeds in PACKS:
        sides[f"td3, pack of {seeds}"] = (advancing(training(cell, seeds, settings.folder)), seeds)
    results = compare(f"{name}, quick profile", sides, settings, None)
    demands = []
    for seeds, result in zip(PACKS, results[1:], strict=True):
        what = f"{name}: its step, in % of td3's (a seed of a pack of {seeds})"
        demands.append(Demand(what, 100 * results[0].best / result.best, SHARE, False, seeds == PACKS[0]))
    return results, demands


def measure(settings: Settings) -> Measured:
    """All of it."""
    warmup = (("warmup_steps", str(WARMUP)),)
    try:
        cells = resolving.cells(Options(algos="td3", envs=",".join(OURS), profile="quick", settings=warmup))
    except UserError as error:  # no ratings
        raise SystemExit(str(error)) from None
    tasks = [name for name in envs.names() if envs.get(name).benchmark or "control" in envs.get(name).tags]
    results = throughput(tasks, settings)
    demands = []
    for name in (name for tag in ("restricted", "adroit", "control") for name in envs.names(tag)):
        found, demand = added(name, settings)
        results += found
        demands.append(demand)
    for cell in cells:
        found, judged = share(cell, settings)
        results += found
        demands += judged
    return results, demands, {}


def table(results: Sequence[Result]) -> Table:
    """The results, as they are shown."""
    shown = Table(title="one step of one environment, or of one seed")
    for column in ("case", "side", "µs, best", "µs, median", "steps/s"):
        shown.add_column(column, justify="left" if column in ("case", "side") else "right")
    for result in results:
        times = (f"{1e3 * result.best:.1f}", f"{1e3 * result.median:.1f}", f"{1e3 / result.best:,.0f}")
        shown.add_row(result.case, result.side, *times)
    return shown


if __name__ == "__main__":
    sys.exit(report(__doc__, measure, table, ((3, 0.05), (7, 0.2))))
