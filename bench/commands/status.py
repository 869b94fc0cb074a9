"""`bench status`: prints the state of every seed of a set of cells."""

from pathlib import Path

from rich.console import Console

from savo_bench.bench import launch, run_directory, show
from savo_bench.results import foreign
from savo_bench.results.state import survey


def print_status(root: Path, console: Console) -> int:
    """Print the states of each cell's seeds, the reasons, and which seeds were not made by one processor and code.

    Args:
        root: The folder of the name, `runs/<name>`.
        console: Where to print.

    Returns:
        The exit code: 1 if a seed has failed or is unreadable, else 0.

    Raises:
        UserError: a folder cannot be read.
    """
    queues = launch.queues(root).values()
    with run_directory.reading():
        cells = survey(root)
        for queue in queues:
            cells = queue.join(cells)
    console.print(show.states_table(cells, console.width))
    for queue in queues:
        for text in queue.notes():
            show.line(console, f"note: {text}", "yellow")
    for text, style in show.reasons(cells):
        show.line(console, text, style)
    for cell in cells:
        if origin := foreign.of_cell(cell):
            show.line(console, f"{cell.variant} on {cell.environment}: foreign, imported from {origin}", "yellow")
    for text in show.doubts(cells):
        show.line(console, text, "yellow")
    return 1 if any(cell.count()["failed"] or cell.count()["unreadable"] for cell in cells) else 0
