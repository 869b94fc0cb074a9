"""The grid of a `bench run`: its cells and seeds, how they stand, and the lines that tell the user about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich.console import Console

from savo_bench.bench import calibration, estimate, packing, run_directory, show
from savo_bench.bench.calibration import Calibration
from savo_bench.bench.cells import Cell, Pack, seed_folder
from savo_bench.bench.options import Options
from savo_bench.bench.packing import Todo
from savo_bench.bench.room import UNKNOWN, Memory
from savo_bench.results.declared import Pair
from savo_bench.results.state import STATES, CellState, SeedState, state_of

Problems = dict[Path, str]  # a seed's folder -> why its attempt ended early, where its files cannot say it


class Queue:
    """What a launcher knows of the seeds under a name beside their files. This one knows nothing."""

    def join(self, cells: Sequence[CellState]) -> list[CellState]:
        """The same cells, with the states of seeds that wait in the queue, or were lost, as the queue tells them."""
        return list(cells)

    def notes(self) -> list[str]:
        """Lines for what the states of `join`'s last call cannot say."""
        return []


@dataclass
class Grid:
    """What was asked for, and how it stands."""

    options: Options
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    device: str  # "cpu" or "cuda"
    workers: int  # packs that are trained at a time
    memory: Memory = UNKNOWN  # what they may take
    split: bool = True  # whether packs are made smaller where workers would be idle otherwise
    queues: Mapping[str, Queue] = field(default_factory=dict)  # of the launchers, by their names
    pairs: tuple[Pair, ...] = ()  # of variants, that are declared to be compared
    left_out: tuple[str, ...] = ()  # why environments that a tag stands for are not among the cells
    unread: Problems = field(default_factory=dict)  # seeds that were left alone because a file could not be read then
    _done: dict[Path, SeedState] = field(default_factory=dict)  # they stay done: one look is enough

    @property
    def root(self) -> Path:
        """The folder of the name."""
        return self.options.root

    @cached_property
    def calibration(self) -> Calibration:
        """How long cells take on this machine, as far as seeds have finished here."""
        return calibration.of_runs(self.root.parent, self.cells, self.device)

    @property
    def size(self) -> int:
        """Number of seeds asked for."""
        return len(self.cells) * len(self.seeds)

    @property
    def exit_code(self) -> int:
        """The exit code if every seed is done: 1 if an environment is left out, else 0."""
        return 1 if self.left_out else 0

    def look(self) -> list[CellState]:
        """How every seed stands, in the order of the cells."""
        cells = [
            CellState(cell.env_label, cell.variant, tuple(self._state(cell, seed) for seed in self.seeds))
            for cell in self.cells
        ]
        for queue in self.queues.values():
            cells = queue.join(cells)
        return cells

    def _state(self, cell: Cell, seed: int) -> SeedState:
        folder = seed_folder(self.root, cell, seed)
        if folder.path not in self._done:
            found = state_of(folder)
            if found.state != "done":
                return found
            self._done[folder.path] = found
        return self._done[folder.path]

    def packs(self, states: Sequence[CellState], skip: set[Path] | None = None) -> list[Pack]:
        """Packs of the seeds that can be trained now, except for those whose folders are in `skip`."""
        return packing.packs(self.todo(states, skip), self.options, self.device, self.workers if self.split else 1)

    def todo(self, states: Sequence[CellState], skip: set[Path] | None = None) -> list[Todo]:
        """The seeds that can be trained now, except for those whose folders are in `skip`."""
        return [
            Todo(cell, seed.seed, seed.saved, seed.pack)
            for cell, states_of_cell in zip(self.cells, states, strict=True)
            for seed in states_of_cell.seeds
            if seed.trainable and seed.folder.path not in (skip or ())
        ]

    def claim(self, pack: Pack) -> Pack | None:
        """A pack without the seeds that another process has trained, or trains, by now; None if no seed is left."""
        states = [state_of(seed_folder(pack.root, pack.cell, seed)) for seed in pack.seeds]
        self.unread |= {state.folder.path: str(state.reason) for state in states if state.state == "unreadable"}
        left = tuple(state.seed for state in states if state.trainable)
        return pack.with_seeds(left) if left else None


def standing(grid: Grid, states: Sequence[CellState]) -> str:
    """One line: how many seeds are done, to be trained, or in the hands of another process."""
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
    """Lines about what the user may not have meant."""
    idle = {
        f"{cell.variant} takes {warmup} random steps first, so {cell.budget.steps} steps train nothing"
        for cell in grid.cells
        if (warmup := getattr(cell.config, "warmup_steps", 0)) >= cell.budget.steps
    }
    wanted = grid.options.keep_policies
    few = {
        f"--keep-policies {wanted}: only {n} evaluations come before the last on {cell.env_label}, so {n} are kept"
        for cell in grid.cells
        if (n := len(cell.budget.policy_steps(wanted))) < wanted
    }
    return sorted(idle) + sorted(few)


def announcement(grid: Grid, states: Sequence[CellState]) -> tuple[list[Pack], list[tuple[str, str]]]:
    """What is going to be done.

    Returns:
        The packs, and lines with their styles: how the seeds stand, what was perhaps not meant, what it costs.

    Raises:
        UserError: an environment cannot be made, a config does not fit it, or the disk is too small.
    """
    packs = grid.packs(states)
    remarks = [*notes(grid), *(note for queue in grid.queues.values() for note in queue.notes())]
    lines = [(standing(grid, states), ""), *((f"note: {text}", "yellow") for text in remarks), *_left_out(grid)]
    lines += [*_other_code(grid), *_not_kept(grid, states)]
    if packs:
        lines += estimate.lines(grid, packs, grid.todo(states))
    return packs, lines


def _left_out(grid: Grid) -> list[tuple[str, str]]:
    """Lines with their style: the environments that this machine lacks."""
    return [(f"left out: {text}", "red") for text in grid.left_out]


def _other_code(grid: Grid) -> list[tuple[str, str]]:
    """A line with its style where seeds of these cells were made by other code than this."""
    text = run_directory.made_by_other_code(grid.root, grid.cells)
    return [(f"warning: {text}", "yellow")] if text else []


def _not_kept(grid: Grid, states: Sequence[CellState]) -> list[tuple[str, str]]:
    """A line with its style where seeds are past steps whose policies are to be kept, and have not kept them."""
    number = 0
    with run_directory.reading():
        for cell, state in zip(grid.cells, states, strict=True):
            steps = cell.budget.policy_steps(grid.options.keep_policies)
            for seed in state.seeds if steps else ():
                reached = {"done": cell.budget.steps, "unreadable": 0}.get(seed.state, seed.saved)
                kept = seed.folder.kept_policies() if reached else ()
                number += any(step < reached for step in {*steps} - {*kept})
    if not number:
        return []
    text = (
        f"--keep-policies {grid.options.keep_policies}: {show.count(number, 'seed')} went past some of these steps "
        "without keeping a policy; to keep them all, train under another --name"
    )
    return [(f"note: {text}", "yellow")]


def nothing_to_do(grid: Grid, states: Sequence[CellState], console: Console) -> bool:
    """Whether every seed is done; if so, prints that."""
    done = all(cell.count()["done"] == len(grid.seeds) for cell in states)
    if done:
        show.line(console, f"nothing to do: {grid.size} of {grid.size} seeds are done", "green")
        for text, style in [*_other_code(grid), *_not_kept(grid, states), *_left_out(grid)]:
            show.line(console, text, style)
    return done


def conclude(grid: Grid, problems: Problems, console: Console) -> int:
    """Print how every cell stands at the end and what kept seeds from being done; returns the exit code."""
    states, problems = grid.look(), grid.unread | problems
    console.print(show.states_table(states, console.width))
    for text, style in show.reasons(states):
        show.line(console, text, style)
    for cell in states:
        for seed in cell.seeds:
            if seed.state in ("missing", "interrupted") and seed.folder.path in problems:
                text = f"{cell.environment} {cell.variant} seed {seed.seed}: {problems[seed.folder.path]}"
                show.line(console, text, "red")
    for text in show.doubts(states):
        show.line(console, text, "yellow")
    done = sum(cell.count()["done"] for cell in states)
    everything = done == grid.size
    show.line(console, f"{done} of {grid.size} seeds are done", "green" if everything else "red")
    for text, style in _left_out(grid):
        show.line(console, text, style)
    return grid.exit_code if everything else 1
