"""`bench status`: prints the state of every seed of a set of cells."""

from pathlib import Path

from rich.console import Console

from savo_bench.bench import launch, run_directory, show
from savo_bench.results.state import survey


def print_status(root: Path, console: Console) -> int:
    """Print how many seeds of each cell are in each state, why, and which were made by unlike processors or code.

    Args:
        root: The folder of the name, `runs/<name>`.
        console: Where to print.

    Returns:
        The exit code: 1 if a seed has failed, else 0.

    Raises:
        UserError: a folder cannot be read.
    """
    queues = launch.queues(root).values()
    with run_directory.reading():
        cells = survey(root)
        for queue in queues:
            cells = queue.join(cells)
    console.print(show.states_table(cells, {}, console.width))
    for queue in queues:
        for text in queue.notes():
            show.line(console, f"note: {text}", "yellow")
    for text, style in show.reasons(cells):
        show.line(console, text, style)
    for text in show.doubts(cells):
        show.line(console, text, "yellow")
    return 1 if any(cell.count()["failed"] for cell in cells) else 0
