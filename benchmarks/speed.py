"""Steps per second on one core with one thread, against Stable-Baselines3's TD3 and SAC, as ratios within one run.

    python benchmarks/speed.py [--quick] [--out speed.json]

Both sides do the same work: the same task, widths, batch, learning rate, one update per environment step, TD3's actor
at every second update; neither evaluates nor writes. Ours is the training loop itself, with environment, replay and
noise. The sides take turns over several rounds and each counts with its fastest, since whatever else the machine does
only slows them.

Exit code 1 if a demanded ratio is missed.
"""

import one_core  # isort: skip  (before torch)

import argparse
import dataclasses
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.noise import NormalActionNoise

from savo_bench import algos, envs
from savo_bench.algos.agent import Spaces
from savo_bench.algos.products import products
from savo_bench.algos.td3 import TD3Config
from savo_bench.bench.cells import Budget, Cell, Pack
from savo_bench.bench.spaces import spaces_of
from savo_bench.bench.training.loop import Training, take_step

WARMUP = 1_000  # random steps before the first update, for both sides
SETTLE = 60  # updates before the first measurement: kernels are chosen, memory is touched
STEPS = 1_000_000  # of the budget, which is never reached

Work = Callable[[int], None]  # does something n times
Measured = tuple[list["Result"], list["Demand"], dict[str, float]]  # the last: numbers that stand for themselves


@dataclasses.dataclass(frozen=True)
class Task:
    """A task in our registry, and the sizes at which the sides are compared on it."""

    name: str
    hidden: tuple[int, ...]
    batch_size: int
    lr: float
    packs: tuple[int, ...]

    def config(self, algorithm: str, preset: str, fields: Mapping[str, Any]) -> Any:
        """A preset of an algorithm at these sizes, with some fields changed."""
        config = algos.get(algorithm).config
        sizes = {"hidden": self.hidden, "batch_size": self.batch_size, "lr": self.lr, "warmup_steps": WARMUP}
        return config(preset=preset, **(config.PRESETS[preset] | sizes | fields))

    def __str__(self) -> str:
        return f"{self.name} {'-'.join(map(str, self.hidden))} batch {self.batch_size}"


HOPPER = Task("hopper", (256, 256), 256, 3e-4, (1, 5))
PENDULUM = Task("inverted-pendulum", (64, 64), 128, 1e-3, (10,))
PRESETS = ("published", "fair")  # the first is what Stable-Baselines3 has, and what is judged
# demanded of a seed's steps per second
FASTER = {
    ("td3", HOPPER, 1): 1.05,
    ("td3", HOPPER, 5): 1.15,
    ("td3", PENDULUM, 10): 3.0,
    ("sac", HOPPER, 1): 1.25,
}
SAVO_COST = 6.0  # demanded of SAVO's update over TD3's, at HOPPER's sizes


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure."""

    rounds: int
    seconds: float  # of one turn
    clock: Callable[[], float]
    folder: Path  # for the folders of runs; nothing much is written to them


@dataclasses.dataclass(frozen=True)
class Result:
    """One line of the table: milliseconds of one unit of work for one seed."""

    case: str
    side: str
    best: float
    median: float
    ratio: float | None = None  # of the base's best time to this one: above 1 is faster
    ratio_median: float | None = None


@dataclasses.dataclass(frozen=True)
class Demand:
    """A ratio and what it must be; unless `judged` it is only shown."""

    what: str
    ratio: float
    limit: float
    at_least: bool
    judged: bool

    @property
    def met(self) -> bool:
        """Whether it is so."""
        return self.ratio >= self.limit if self.at_least else self.ratio <= self.limit

    def __str__(self) -> str:
        verdict = ("met" if self.met else "MISSED") if self.judged else "(shown)"
        return f"{verdict:8}{self.what}: {self.ratio:.2f}, demanded {'≥' if self.at_least else '≤'} {self.limit:g}"


def training(
    task: Task, algorithm: str, preset: str, seeds: int, folder: Path, fields: Mapping[str, Any] | None = None
) -> Training:
    """Our training loop, past its random steps."""
    budget = Budget(profile="benchmark", steps=STEPS, eval_every=STEPS, eval_episodes=1)
    cell = Cell(task.name, {}, algorithm, task.config(algorithm, preset, fields or {}), {}, budget)
    root = Path(tempfile.mkdtemp(dir=folder))
    pack = Pack(cell, tuple(range(seeds)), root, device="cpu", checkpoint_every=float("inf"), launcher="inline")
    for seed in pack.seeds:
        pack.folder(seed).mkdir(parents=True)
    loop = Training(pack, pack.seeds, 0, threading.Event())
    loop.prepare()
    advancing(loop)(WARMUP + SETTLE)
    return loop


def advancing(loop: Training) -> Work:
    """Steps of our training loop, each with an update."""

    def run(count: int) -> None:
        for _ in range(count):
            loop.advance()

    return run


def updating(loop: Training) -> Work:
    """The agent's updates alone, on one batch."""
    assert loop.learnt is not None
    batch, noise = loop.learnt

    def run(count: int) -> None:
        for _ in range(count):
            loop.agent.update(batch, noise)

    return run


def parts(loop: Training) -> dict[str, Work]:
    """What a step consists of beside the update: the action, the environment, the batch from replay."""
    actions, *_ = loop.act()

    def act(count: int) -> None:
        for _ in range(count):
            loop.act()

    def step(count: int) -> None:
        for _ in range(count):
            for run, action in zip(loop.runs, actions, strict=True):
                take_step(run, action)

    def sample(count: int) -> None:
        for _ in range(count):
            loop.replay.sample([run.streams.replay for run in loop.runs], loop.config.batch_size)

    return {"act": act, "environment": step, "sample": sample}


def baseline(algorithm: str, task: Task) -> Work:
    """Steps of Stable-Baselines3's TD3 or SAC, each with an update, past its random steps."""
    env = gym.make(envs.get(task.name).id)
    assert env.action_space.shape is not None
    A = env.action_space.shape[0]
    settings: dict[str, Any] = {
        "learning_rate": task.lr,
        "batch_size": task.batch_size,
        "learning_starts": WARMUP,
        "train_freq": 1,
        "gradient_steps": 1,
        "policy_kwargs": {"net_arch": list(task.hidden)},
        "device": "cpu",
        "seed": 0,
    }
    if algorithm == "sac":
        model = stable_baselines3.SAC("MlpPolicy", env, **settings)
    else:
        noise = NormalActionNoise(np.zeros(A), np.full(A, 0.1))
        model = stable_baselines3.TD3("MlpPolicy", env, action_noise=noise, **settings)

    def run(count: int) -> None:
        model.learn(count, log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]  # it may be None

    run(WARMUP + SETTLE)
    return run


def compare(case: str, sides: Mapping[str, tuple[Work, int]], settings: Settings, base: str | None) -> list[Result]:
    """Time every side in turn, round after round. A side is some work and how many seeds it serves at once."""
    clock = settings.clock
    counts = {}
    for name, (work, _) in sides.items():
        start = clock()
        work(10)
        counts[name] = 2 * max(1, round(5 * settings.seconds / (clock() - start)))  # even: the actor waits for one
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(settings.rounds):
        for name, (work, seeds) in sides.items():
            start = clock()
            work(counts[name])
            times[name].append(1e3 * (clock() - start) / counts[name] / seeds)
    results = []
    for name, found in times.items():
        best, median = min(found), statistics.median(found)
        if base is None:
            results.append(Result(case, name, best, median))
        else:
            ratio_median = statistics.median(times[base]) / median
            results.append(Result(case, name, best, median, min(times[base]) / best, ratio_median))
    return results


def against_baseline(algorithm: str, task: Task, settings: Settings) -> tuple[list[Result], list[Demand]]:
    """A seed's step in our loop, in every preset and size of pack, and in Stable-Baselines3."""
    demanded = [seeds for name, at, seeds in FASTER if (name, at) == (algorithm, task)]
    chosen = [(preset, seeds) for preset in PRESETS for seeds in demanded]
    base = f"sb3 {algorithm}"
    sides = {base: (baseline(algorithm, task), 1)}
    for preset, seeds in chosen:
        loop = training(task, algorithm, preset, seeds, settings.folder)
        sides[f"{algorithm} {preset}, pack of {seeds}"] = (advancing(loop), seeds)
    results = compare(f"{task}: step", sides, settings, base)
    demands = []
    for (preset, seeds), result in zip(chosen, results[1:], strict=True):
        assert result.ratio is not None
        what = f"{task}, {result.side}: steps/s of a seed, over sb3's"
        demands.append(Demand(what, result.ratio, FASTER[algorithm, task, seeds], True, preset == PRESETS[0]))
    return results, demands


def savo_against_td3(task: Task, seeds: int, peak: float, settings: Settings) -> tuple[list[Result], Demand]:
    """Updates of SAVO with its usual number of extra actors and of TD3, and the parts of their steps."""
    loops = {name: training(task, name, "fair", seeds, settings.folder) for name in ("td3", "savo")}
    case = f"{task}, pack of {seeds}"
    sides = {f"{name} update": (updating(loop), seeds) for name, loop in loops.items()}
    results = compare(case, sides, settings, "td3 update")
    ratio = results[1].best / results[0].best
    demand = Demand(f"{case}: savo's update, in td3's", ratio, SAVO_COST, False, task is HOPPER)
    config = loops["td3"].config
    assert isinstance(config, TD3Config)
    flops = td3_flops(spaces_of(loops["td3"].runs[0].env), config)
    share = flops / (1e-3 * results[0].best) / peak
    results[0] = dataclasses.replace(results[0], side=f"td3 update, {share:.0%} of peak")
    for name, loop in loops.items():
        others = {f"{name} {part}": (work, seeds) for part, work in parts(loop).items()}
        results += compare(case, others, dataclasses.replace(settings, seconds=settings.seconds / 4), None)
    return results, demand


def gemm_peak(clock: Callable[[], float]) -> float:
    """FLOP/s of this core in our product of two 256 x 256 matrices of float32, the best of several trials."""
    a, b, c = (torch.randn(1, 1, 256, 256) for _ in range(3))
    best = float("inf")
    for _ in range(50):
        start = clock()
        for _ in range(20):
            products(c, a, b)
        best = min(best, (clock() - start) / 20)
    return 2 * 256**3 / best


def td3_flops(spaces: Spaces, config: TD3Config) -> float:
    """Multiplications and additions that an update of one seed needs, averaged over the actor's delay.

    A product of B rows with a matrix takes 2 B per weight. Its backward pass takes as much for the gradient of the
    weights, and as much for that of the input, which the first layer has no need of.
    """
    O, A, hidden = spaces.obs_dim, spaces.action_dim, config.hidden
    inner = sum(before * after for before, after in itertools.pairwise(hidden))
    actor, actor_first = O * hidden[0] + inner + hidden[-1] * A, O * hidden[0]
    critic, critic_first = (O + A) * hidden[0] + inner + hidden[-1], (O + A) * hidden[0]
    of_critics = actor + 2 * critic + 2 * (3 * critic - critic_first)  # target action, target value, the step itself
    of_actor = 3 * actor - actor_first + 2 * critic
    return 2 * config.batch_size * (of_critics + of_actor / config.policy_delay)


FIRST_STEP = """
import sys, threading, time
from pathlib import Path
import torch
from savo_bench.algos.td3 import TD3Config
from savo_bench.bench.cells import Budget, Cell, Pack
from savo_bench.bench.training.loop import Training, take_step
torch.set_num_threads(1)
cell = Cell("hopper", {}, "td3", TD3Config(), {}, Budget("benchmark", 1_000, 1_000, 1))
pack = Pack(cell, (0,), Path(sys.argv[1]), "cpu", 1e9, "inline")
pack.folder(0).mkdir(parents=True)
loop = Training(pack, pack.seeds, 0, threading.Event())
loop.prepare()
loop.advance()
print(time.time())
"""


def start_up(folder: Path) -> float:
    """Seconds from the start of a process to the end of its first step, wall time."""
    start = time.time()
    command = [sys.executable, "-c", FIRST_STEP, tempfile.mkdtemp(dir=folder)]
    done = subprocess.run(command, cwd=one_core.ROOT / "src", stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout) - start


def measure(settings: Settings) -> Measured:
    """Every comparison with Stable-Baselines3, and of SAVO with TD3."""
    peak = gemm_peak(settings.clock)
    results, demands = [], []
    for algorithm, task in (("td3", HOPPER), ("td3", PENDULUM), ("sac", HOPPER)):
        found, judged = against_baseline(algorithm, task, settings)
        results += found
        demands += judged
    for task in (HOPPER, PENDULUM):
        for seeds in task.packs:
            found, demand = savo_against_td3(task, seeds, peak, settings)
            results += found
            demands.append(demand)
    numbers = {
        "GFLOP/s of a 256 x 256 x 256 product (peak)": peak / 1e9,
        "seconds from the start of a worker to its first step": min(start_up(settings.folder) for _ in range(3)),
    }
    return results, demands, numbers


def table(results: Sequence[Result]) -> Table:
    """The results, as they are shown."""
    shown = Table(title="milliseconds per seed")
    for column in ("case", "side", "best", "median", "per s", "ratio", "of medians"):
        shown.add_column(column, justify="left" if column in ("case", "side") else "right")
    case = None
    for result in results:
        ratio = ["" if value is None else f"{value:.2f}" for value in (result.ratio, result.ratio_median)]
        times = (f"{result.best:.3f}", f"{result.median:.3f}", f"{1e3 / result.best:.0f}")
        shown.add_row("" if result.case == case else result.case, result.side, *times, *ratio)
        case = result.case
    return shown


def report(
    doc: str | None,
    measure: Callable[[Settings], Measured],
    shown: Callable[[Sequence[Result]], Table] = table,
    lengths: tuple[tuple[int, float], tuple[int, float]] = ((3, 0.4), (9, 2.0)),
) -> int:
    """Read the command line, measure, show, and say by the exit code whether the demands are met.

    `lengths` are rounds, and seconds of one turn: with --quick and without.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few short rounds")
    parser.add_argument("--out", type=Path, help="write everything to this JSON file")
    parser.add_argument("--cpu", type=int, help="the CPU to stay on")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, for a machine that is busy")
    chosen = parser.parse_args()
    one_core.pin(chosen.cpu)
    clock = time.process_time if chosen.cpu_time else time.perf_counter
    hardware = one_core.hardware()
    with tempfile.TemporaryDirectory() as folder:
        rounds, seconds = lengths[0 if chosen.quick else 1]
        results, demands, numbers = measure(Settings(rounds, seconds, clock, Path(folder)))
    console = Console(width=140, highlight=False)
    packages = ", ".join(f"{name} {hardware['packages'][name]}" for name in ("torch", "mujoco"))
    console.print(f"{hardware['cpu']}, one core, one thread, {clock.__name__}; {packages}")
    console.print(shown(results))
    for name, number in numbers.items():
        console.print(f"{number:.6g} {name}")
    for demand in demands:
        console.print(str(demand), style=None if demand.met else "yellow")
    if chosen.out:
        record = {
            "hardware": hardware,
            "clock": clock.__name__,
            "numbers": numbers,
            "results": [dataclasses.asdict(result) for result in results],
            "demands": [dataclasses.asdict(demand) | {"met": demand.met} for demand in demands],
        }
        chosen.out.write_text(json.dumps(record, indent=1) + "\n")
    missed = [demand for demand in demands if demand.judged and not demand.met]
    if missed:
        print(f"{len(missed)} demands are missed", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(report(__doc__, measure))
