"""`bench run`, from its options to its exit code: find the cells, check them, hand what is missing to a launcher."""

import itertools
from collections.abc import Sequence

from rich.console import Console

from savo_bench.bench import estimate, grammar, launch, run_directory, show
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grid import Grid, announcement, nothing_to_do
from savo_bench.bench.launch.launcher import Launcher
from savo_bench.bench.launch.stop import Stopped
from savo_bench.bench.options import Options
from savo_bench.results import declared
from savo_bench.results.declared import Declaration
from savo_bench.results.files import said
from savo_bench.results.format import cells_asked
from savo_bench.results.state import survey


def execute(options: Options, console: Console) -> int:
    """Do what the options ask for; returns the exit code.

    Raises:
        UserError: an option is not valid, a cell exists with another config, or nothing can be written.
    """
    launcher = launch.create(options)
    grid = prepare(options, launcher)
    return dry_run(grid, console) if options.dry_run else run(grid, launcher, console)


def prepare(options: Options, launcher: Launcher) -> Grid:
    """Resolve the options into cells and seeds, and check that they fit what is there.

    Raises:
        UserError: something is not valid, or a cell exists with another config.
    """
    from savo_bench.bench import resolving  # needs torch, which wrong options do not wait for

    cells = resolving.cells(options)
    device = launcher.device()
    run_directory.check_specs(options.root, cells)
    new = (run_directory.is_new(options.root, cell) for cell in cells)
    cells = tuple(resolving.with_controls(cell) if first else cell for cell, first in zip(cells, new, strict=True))
    return Grid(
        options=options,
        cells=cells,
        seeds=grammar.seeds(options.seeds),
        device=device,
        workers=launcher.workers(device),
        memory=launcher.memory(),
        split=launcher.splits,
        queues=launch.queues(options.root),
        left_out=tuple(resolving.unavailable(options)),
        pairs=resolving.pairs(options),
    )


def run(grid: Grid, launcher: Launcher, console: Console) -> int:
    """Let a launcher train everything that was asked for and is not done; returns the exit code.

    0: every seed is done, or the launcher has taken all of them and does not wait. 1: some seeds are not done, or an
    environment is left out. 130, 143: stopped by Ctrl-C, by SIGTERM.

    Raises:
        UserError: nothing can be written, from the start or any more; the launcher cannot do its work.
    """
    with run_directory.reading():
        states = grid.look()
    _declare(grid, console, write=True)
    if nothing_to_do(grid, states, console):
        return grid.exit_code
    try:
        return launcher.launch(grid, console)
    except Stopped as stopped:
        show.line(console, launcher.stopped(stopped), "yellow")
        return stopped.exit_code
    except OSError as error:  # a full disk
        raise UserError(f"{said(error)}; what was saved is safe", exit_code=MACHINE) from None


def dry_run(grid: Grid, console: Console) -> int:
    """Print what `run` would do; returns the exit code."""
    with run_directory.reading():
        states = grid.look()
    _declare(grid, console, write=False)
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
            "core time": estimate.core_time(grid, own, saved) if own else "–",
        }
        rows.append((cell.env_label, cell.variant, numbers))
    columns = list(rows[0][2])
    console.print(show.cell_table(columns, [(*labels, list(row.values())) for *labels, row in rows], console.width))
    return 0


def _declare(grid: Grid, console: Console, *, write: bool) -> None:
    """Write down what is compared, if the options say it, and tell whether that changes what was declared before."""
    if not grid.pairs:
        return
    compared = grid.options.compared
    with run_directory.reading():
        done = sum(seed.state == "done" for cell in survey(grid.root) for seed in cell.seeds)
        declaration = Declaration(grid.pairs, compared.measure, compared.margin, done)
        before = declared.read(grid.root)[-1:]
    known = {cell.variant for cell in grid.cells} | {cell.variant for cell in cells_asked(grid.root)}
    missing = [name for name in dict.fromkeys(itertools.chain(*grid.pairs)) if name not in known]
    if missing:
        show.line(console, f"note: compared and not among the cells: {', '.join(missing)}", "yellow")
    if before and before[0].hash == declaration.hash:
        return
    named = ", ".join(f"{variant}/{against}" for variant, against in grid.pairs)
    show.line(console, f"declared: {named}, by {compared.measure} ({declaration.hash})")
    if before or done:
        what = f"declared after {done} seeds had ended" if done else "declared anew"
        instead = f" in place of {before[0].hash}" if before else ""
        show.line(console, f"note: {what}{instead}: the report says so", "yellow")
    if write:
        declared.declare(grid.root, declaration)


def _packs(sizes: Sequence[int]) -> str:
    """Packs of 10, 10 and 5 seeds: 2×10 1×5."""
    return " ".join(f"{sizes.count(size)}×{size}" for size in sorted(set(sizes), reverse=True)) or "–"
