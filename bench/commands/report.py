"""`bench report`: writes the report of a set of cells and prints its scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from savo_bench.bench import show
from savo_bench.bench.commands.watch import watching
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grammar import choose, variants
from savo_bench.bench.report_options import ReportOptions
from savo_bench.results.arrangement import Choices, WrongChoice
from savo_bench.results.declared import OtherDeclaration
from savo_bench.results.files import said
from savo_bench.results.frame import MixedRuns
from savo_bench.results.page import plain
from savo_bench.results.report import CURVES, SUMMARIES, CannotWrite, NoRuns, NoVariant, Report, write_report
from savo_bench.results.widths import LEAST, MOST, WIDTHS


def inches(text: str) -> float:
    """What `--width` says: a name of WIDTHS, or a number.

    Raises:
        UserError: it is neither, or a width at which no figure can be drawn.
    """
    try:
        found = float(text)
    except ValueError:
        return WIDTHS[choose(text, WIDTHS, "--width:")]
    if not LEAST <= found <= MOST:
        raise UserError(f"--width {text}: must be from {LEAST:g} to {MOST:g} inches, or one of {', '.join(WIDTHS)}")
    return found


def print_report(
    roots: Sequence[Path], out: Path, console: Console, options: ReportOptions, *, watch: bool = False
) -> None:
    """Write the report of the runs in some folders; print its scores, its notes, and where it is.

    With `watch` it is written again while seeds train, see `watching`.

    Raises:
        UserError: there is nothing to report, an option has no such value, the runs cannot be read, the folder cannot
            be written, or Ctrl-C ended a watch.
    """
    summary = choose(options.summary, SUMMARIES, "--summary:")
    look: dict[str, Any] = {
        "summary": summary,
        "statistic": choose(options.curves, CURVES, "--curves:"),
        "per_seed": options.per_seed,
        "width": None if options.width is None else inches(options.width),
        "highlight": variants(options.highlight or ""),
    }
    chosen = Choices(options.title, options.envs, options.variants, options.labels, options.colours)

    def written(reload: int | None = None) -> Report:
        try:
            return write_report(roots, out, choices=chosen, reload=reload, **look)
        except CannotWrite as error:
            raise UserError(f"--out: cannot write to {said(error)}", exit_code=MACHINE) from None
        except OSError as error:
            raise UserError(f"cannot read {said(error)}", exit_code=MACHINE) from None
        except NoVariant as error:
            raise UserError(f"--highlight: {error}") from None
        except (NoRuns, MixedRuns, OtherDeclaration, WrongChoice) as error:
            raise UserError(str(error)) from None

    report = watching(roots, written, console) if watch else written()
    scores = report.score_text
    scores = scores[[name for name in map(str, scores) if "return" not in name or name.startswith(report.summary)]]
    rows = [(str(row[0]), str(row[1]), list(map(str, row[2:]))) for row in scores.itertuples(index=False)]
    console.print(show.cell_table(list(scores.columns[2:]), rows, console.width, wrap=True))
    for note in report.notes:
        show.line(console, plain(note), "yellow")
    for line in report.answer:
        show.line(console, plain(line))
    show.line(console, f"written: {report.files[0]}, with {len(report.files) - 1} files beside it")
    names = " ".join(root.name for root in roots)
    show.line(console, f"look at it in a browser; bench compare A B {names} says whether one variant is better")
    show.line(console, f"bench landscape {roots[0].name} --env ENV --algo A shows what its actors maximise")
