"""`bench report`: writes the report of a set of cells and prints its scores."""

from pathlib import Path

from rich.console import Console

from savo_bench.bench import show
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grammar import choose
from savo_bench.results.files import said
from savo_bench.results.frame import MixedRuns
from savo_bench.results.page import plain
from savo_bench.results.report import CURVES, SUMMARIES, CannotWrite, NoRuns, write_report


def print_report(root: Path, out: Path, console: Console, *, summary: str, curves: str, per_seed: bool) -> None:
    """Write the report of the runs in a folder; print its scores, its notes, and where it is.

    Raises:
        UserError: there is nothing to report, an option has no such value, the runs cannot be read, or the folder
            cannot be written.
    """
    summary, curves = choose(summary, SUMMARIES, "--summary:"), choose(curves, CURVES, "--curves:")
    try:
        report = write_report(root, out, summary=summary, statistic=curves, per_seed=per_seed)
    except CannotWrite as error:
        raise UserError(f"--out: cannot write to {said(error)}", exit_code=MACHINE) from None
    except OSError as error:
        raise UserError(f"cannot read {said(error)}", exit_code=MACHINE) from None
    except (NoRuns, MixedRuns) as error:
        raise UserError(str(error)) from None
    scores = report.score_text
    scores = scores[[name for name in map(str, scores) if "return" not in name or name.startswith(report.summary)]]
    rows = [(str(row[0]), str(row[1]), list(map(str, row[2:]))) for row in scores.itertuples(index=False)]
    console.print(show.cell_table(list(scores.columns[2:]), rows, console.width, wrap=True))
    for note in report.notes:
        show.line(console, plain(note), "yellow")
    for line in report.answer:
        show.line(console, plain(line))
    show.line(console, f"written: {report.files[0]}, with {len(report.files) - 1} files beside it")
