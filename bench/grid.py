"""A `bench run`, from its options to its exit code: plan, estimate, train what is missing, say what came of it."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from savo_bench.bench import cost, grammar, plan, provenance, run_directory, show
from savo_bench.bench.errors import UserError
from savo_bench.bench.jobs import Jobs
from savo_bench.bench.launch import Launcher, Problems, Stop, Stopped
from savo_bench.bench.launch.local import Inline, Local, gpus
from savo_bench.bench.options import Options
from savo_bench.bench.plan import Cell, Pack, Todo, seed_folder
from savo_bench.bench.progress import Board
from savo_bench.results.state import STATES, CellState, SeedState, state_of

if TYPE_CHECKING:
    from savo_bench.algos.agent import Spaces

WAIT = 2.0  # seconds between two looks at seeds that another process trains


@dataclass
class Grid:
    """What was asked for, and how it stands."""

    options: Options
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    device: str
    workers: int
    left_out: tuple[str, ...] = ()  # why environments that were asked for by a tag are not among the cells
    jobs: Jobs = field(init=False)  # what SLURM has of them
    _done: dict[Path, SeedState] = field(default_factory=dict)  # they stay so, and need no second look

    def __post_init__(self) -> None:
        self.jobs = Jobs(self.root)

    @property
    def root(self) -> Path:
        """The folder of the name."""
        return self.options.root

    @property
    def size(self) -> int:
        """Number of seeds asked for."""
        return len(self.cells) * len(self.seeds)

    @property
    def exit_code(self) -> int:
        """Of a command that leaves nothing undone but what this machine lacks."""
        return 1 if self.left_out else 0

    def look(self) -> list[CellState]:
        """How every seed stands, in the order of the cells."""
        cells = [
            CellState(cell.env_label, cell.variant, tuple(self._state(cell, seed) for seed in self.seeds))
            for cell in self.cells
        ]
        return self.jobs.join(cells)

    def _state(self, cell: Cell, seed: int) -> SeedState:
        folder = seed_folder(self.root, cell, seed)
        if folder.path not in self._done:
            found = state_of(folder)
            if found.state != "done":
                return found
            self._done[folder.path] = found
        return self._done[folder.path]

    def todo(self, states: Sequence[CellState], skip: set[Path]) -> list[Todo]:
        """The seeds that can be trained now, but for those in `skip`."""
        return [
            Todo(cell, seed.seed, seed.saved, seed.pack)
            for cell, states_of_cell in zip(self.cells, states, strict=True)
            for seed in states_of_cell.seeds
            if seed.trainable and seed.folder.path not in skip
        ]

    def claim(self, pack: Pack) -> Pack | None:
        """A pack without the seeds that another process has trained, or trains, by now."""
        states = (state_of(seed_folder(pack.root, pack.cell, seed)) for seed in pack.seeds)
        left = tuple(state.seed for state in states if state.trainable)
        return plan.with_seeds(pack, left) if left else None


def prepare(options: Options) -> Grid:
    """Resolve the options into cells and seeds, and look whether they fit what is there.

    Raises:
        UserError: something is not valid, or a cell exists with another config.
    """
    cells = plan.cells(options)
    device = _device(options)
    if options.on == "slurm":
        workers = options.slurm.array_parallelism
    else:
        workers = 1 if options.on == "inline" else options.workers or _workers(device)
    run_directory.check_specs(options.root, cells)
    left_out = tuple(plan.unavailable(options))
    return Grid(options, cells, grammar.seeds(options.seeds), device, workers, left_out)


def _device(options: Options) -> str:
    asked = options.device
    if asked == "cpu":
        return "cpu"
    if options.on == "slurm":  # what this host has says nothing of the nodes
        return "cuda" if asked == "cuda" or options.slurm.wants_gpu else "cpu"
    import torch

    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise UserError("--device cuda: torch sees no GPU here; take --device cpu, or a torch that is built for CUDA")
    return "cuda" if there else "cpu"


def _workers(device: str) -> int:
    return provenance.cores() if device == "cpu" else len(gpus())


# ---- the estimate


def estimate(grid: Grid, packs: Sequence[Pack], todo: Sequence[Todo]) -> str:
    """One line: core-hours, wall-clock and disk."""
    spaces: dict[str, Spaces] = {}
    for item in todo:
        if item.cell.env_label not in spaces:
            spaces[item.cell.env_label] = plan.probe(item.cell)  # also checks the keywords, before anything trains
    for cell in {(item.cell.env_label, item.cell.variant): item.cell for item in todo}.values():
        plan.check_fit(cell, spaces[cell.env_label])
    step = {(item.cell.env_label, item.cell.variant, item.seed): item.step for item in todo}
    times = [cost.pack_seconds(pack, step[pack.cell.env_label, pack.cell.variant, pack.seeds[0]]) for pack in packs]
    workers = min(grid.workers, len(packs))
    unit = "core-" if grid.device == "cpu" else "GPU-"
    kept = sum(cost.policy_bytes(item.cell, spaces[item.cell.env_label]) for item in todo)
    checkpoints = sorted(
        (len(pack.seeds) * cost.checkpoint_bytes(pack.cell, spaces[pack.cell.env_label]) for pack in packs),
        reverse=True,
    )
    peak = kept + sum(checkpoints[:workers])
    wall = cost.makespan(times, workers)
    rough = " (rough: nothing was measured on a GPU yet)" if grid.device == "cuda" else ""
    return (
        f"estimate: {show.span(sum(times), unit)}, {show.span(wall)} with {show.count(workers, 'worker')}{rough}; "
        f"disk {show.size(peak)} at peak, {show.size(kept)} kept"
    )


def standing(grid: Grid, states: Sequence[CellState]) -> str:
    """One line: what there is to do."""
    counts = {state: sum(cell.count()[state] for cell in states) for state in STATES}
    every = [seed for cell in states for seed in cell.seeds]
    unreadable = sum(seed.state == "unreadable" for seed in every)
    counts["failed"] = sum(seed.state == "failed" and seed.trainable for seed in every)
    words = {"missing": "new", "interrupted": "interrupted", "failed": "failed before"}
    parts = [f"{counts[state]} {word}" for state, word in words.items() if counts[state]]
    text = f"{show.count(len(grid.cells), 'cell')}, {show.count(grid.size, 'seed')} in {grid.root}"
    text += f": {counts['done']} done, {sum(counts[state] for state in words)} to train"
    text += f" ({', '.join(parts)})" if parts else ""
    text += f", {counts['running']} running elsewhere" if counts["running"] else ""
    text += f", {counts['queued']} queued" if counts["queued"] else ""
    return text + (f", {unreadable} unreadable" if unreadable else "")


def notes(grid: Grid) -> list[str]:
    """What the user may not have meant."""
    idle = {
        f"{cell.variant} takes {warmup} random steps first, so {cell.budget.steps} steps train nothing"
        for cell in grid.cells
        if (warmup := getattr(cell.config, "warmup_steps", 0)) >= cell.budget.steps
    }
    return sorted(idle)


def announcement(grid: Grid, states: Sequence[CellState]) -> tuple[list[Pack], list[tuple[str, str]]]:
    """The packs, and lines with their styles: what there is to do, what was perhaps not meant, what it costs."""
    todo = grid.todo(states, set())
    # On a cluster there are more CPUs than packs: a task gets as many seeds as it may.
    packs = plan.packs(todo, grid.options, grid.device, 1 if grid.options.on == "slurm" else grid.workers)
    remarks = [*notes(grid), *grid.jobs.notes()]
    lines = [(standing(grid, states), ""), *((f"note: {text}", "yellow") for text in remarks), *_left_out(grid)]
    if todo:
        lines.append((estimate(grid, packs, todo), ""))
    return packs, lines


def _left_out(grid: Grid) -> list[tuple[str, str]]:
    """Lines with their style: the environments that this machine lacks."""
    return [(f"left out: {text}", "red") for text in grid.left_out]


def dry_run(grid: Grid, console: Console) -> int:
    """Print what would be done."""
    states = grid.look()
    packs, lines = announcement(grid, states)
    for text, style in lines:
        show.line(console, text, style)
    rows = []
    for cell, state in zip(grid.cells, states, strict=True):
        todo = [seed for seed in state.seeds if seed.trainable]
        counts = state.count()
        own = [pack for pack in packs if pack.cell is cell]
        saved = {seed.seed: seed.saved for seed in todo}
        numbers = {
            "steps": show.thousands(cell.budget.steps),
            "to do": str(len(todo)),
            **{
                word: str(counts[word])
                for word in ("done", "failed", "running", "queued")
                if any(c.count()[word] for c in states)
            },
            "packs": _packs([len(pack.seeds) for pack in own]),
            "core time": show.span(sum(cost.pack_seconds(pack, saved[pack.seeds[0]]) for pack in own)) if own else "–",
        }
        rows.append((cell.env_label, cell.variant, numbers))
    columns = list(rows[0][2])
    console.print(show.cell_table(columns, [(*labels, list(row.values())) for *labels, row in rows], console.width))
    return 0


def _packs(sizes: Sequence[int]) -> str:
    """Packs of 10, 10 and 5 seeds: 2×10 1×5."""
    return " ".join(f"{sizes.count(size)}×{size}" for size in sorted(set(sizes), reverse=True)) or "–"


# ---- the run


def run(grid: Grid, console: Console) -> int:
    """Train everything that was asked for and is not done; returns the exit code.

    0: every seed is done. 1: some are not, or an environment is left out. 130, 143: stopped by Ctrl-C, by SIGTERM.

    Raises:
        UserError: nothing can be written, from the start or any more.
    """
    states = grid.look()
    if nothing_to_do(grid, states, console):
        return grid.exit_code
    _, lines = announcement(grid, states)
    check_writable(grid.root)
    for text, style in lines:
        show.line(console, text, style)
    launcher: Launcher = Inline() if grid.options.on == "inline" else Local(grid.workers)
    try:
        with Stop() as stop:
            run_directory.ask(grid.root, grid.cells, grid.seeds)
            problems = _train(grid, launcher, console, stop)
    except Stopped as stopped:
        if stopped.killed:
            text = "stopped: what came after the last checkpoints is lost; run the same command again to go on"
        else:
            text = "stopped: everything is saved; run the same command again to go on"
        show.line(console, text, "yellow")
        return stopped.exit_code
    except OSError as error:  # a full disk
        raise UserError(
            f"{error.filename or grid.root}: {error.strerror}; what was saved is safe", exit_code=1
        ) from None
    return conclude(grid, problems, console)


def nothing_to_do(grid: Grid, states: Sequence[CellState], console: Console) -> bool:
    """Whether every seed is done; says so."""
    done = all(cell.count()["done"] == len(grid.seeds) for cell in states)
    if done:
        show.line(console, f"nothing to do: {grid.size} of {grid.size} seeds are done", "green")
        for text, style in _left_out(grid):
            show.line(console, text, style)
    return done


def _train(grid: Grid, launcher: Launcher, console: Console, stop: Stop) -> Problems:
    """Train, wait for what others train, and take that over if they die."""
    problems: Problems = {}
    tried: set[Path] = set()  # once each: what fails twice in a row fails a third time
    elsewhere: set[Path] = set()  # seeds that others were seen to train
    waiting_for: set[str] = set()
    while True:
        states = grid.look()
        every = [seed for cell in states for seed in cell.seeds]
        skip = tried | {seed.folder.path for seed in every if seed.state == "failed" and seed.folder.path in elsewhere}
        todo = grid.todo(states, skip)
        if todo:
            packs = plan.packs(todo, grid.options, grid.device, grid.workers)
            problems |= _launch(grid, launcher, packs, states, console, stop)
            tried |= {seed_folder(grid.root, item.cell, item.seed).path for item in todo}
            continue
        running = [seed for seed in every if seed.state in ("running", "queued")]
        if not running:
            return problems
        tried -= {seed.folder.path for seed in running}
        elsewhere |= {seed.folder.path for seed in running}
        owners = {seed.who for seed in running}
        if owners - waiting_for:
            text = f"waiting for {show.count(len(running), 'seed')} that another process trains: "
            show.line(console, text + "; ".join(sorted(owners)))
            waiting_for |= owners
        pause(stop, WAIT)


def pause(stop: Stop, seconds: float) -> None:
    """Wait a little, but not for a signal.

    Raises:
        Stopped: it came.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stop.check()
        time.sleep(0.1)


def _launch(
    grid: Grid, launcher: Launcher, packs: Sequence[Pack], states: Sequence[CellState], console: Console, stop: Stop
) -> Problems:
    every = [seed for cell in states for seed in cell.seeds]
    board = Board(
        console,
        seeds=grid.size,
        done=sum(seed.state == "done" for seed in every),
        failed=sum(seed.state == "unreadable" for seed in every),
        workers=grid.workers,
        queue=[(pack, cost.pack_seconds(pack)) for pack in packs],
    )
    with board:
        return launcher.run(packs, grid.claim, board, stop)


def conclude(grid: Grid, problems: Problems, console: Console) -> int:
    """Print how every cell stands, and why not better."""
    states = grid.look()
    console.print(show.states_table(states, {"done": "ok"}, console.width))
    for text, style in show.reasons(states):
        show.line(console, text, style)
    for cell in states:
        for seed in cell.seeds:
            if seed.state in ("missing", "interrupted") and seed.folder.path in problems:
                text = f"{cell.environment} {cell.variant} seed {seed.seed}: {problems[seed.folder.path]}"
                show.line(console, text, "red")
    done = sum(cell.count()["done"] for cell in states)
    everything = done == grid.size
    show.line(console, f"{done} of {grid.size} seeds are done", "green" if everything else "red")
    for text, style in _left_out(grid):
        show.line(console, text, style)
    return grid.exit_code if everything else 1


def check_writable(root: Path) -> None:
    """Raise before anything trains if nothing can be kept.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    for folder in (root, *root.parents):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--runs: {folder} is a file, not a folder; choose another with --runs DIR")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"--runs: cannot write to {root}: {reason}; choose another with --runs DIR") from None
