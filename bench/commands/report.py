"""`bench report`: writes the report of a set of cells and prints its scores."""

from pathlib import Path
from typing import Any

from rich.console import Console

from savo_bench.bench import show
from savo_bench.bench.commands.watch import watching
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grammar import choose
from savo_bench.results.files import said
from savo_bench.results.frame import MixedRuns
from savo_bench.results.page import plain
from savo_bench.results.report import CURVES, SUMMARIES, CannotWrite, NoRuns, NoVariant, Report, write_report
from savo_bench.results.tables import NAMES
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


def labels(text: str) -> tuple[str, ...]:
    """The variants that `savo,td3:tau=0.01,lr=0.001` names: savo, and td3 with two fields."""
    found: list[str] = []
    for part in filter(None, text.split(",")):
        if found and "=" in part and ":" not in part.partition("=")[0]:
            found[-1] += f",{part}"
        else:
            found.append(part)
    return tuple(dict.fromkeys(found))


def print_report(
    root: Path,
    out: Path,
    console: Console,
    *,
    summary: str,
    curves: str,
    per_seed: bool,
    width: str | None,
    highlight: str | None,
    watch: bool = False,
) -> None:
    """Write the report of the runs in a folder; print its scores, its notes, and where it is.

    With `watch` it is written again while seeds train, see `watching`.

    Raises:
        UserError: there is nothing to report, an option has no such value, the runs cannot be read, the folder cannot
            be written, or Ctrl-C ended a watch.
    """
    summary, curves = choose(summary, SUMMARIES, "--summary:"), choose(curves, CURVES, "--curves:")
    figures: dict[str, Any] = {"width": None if width is None else inches(width), "highlight": labels(highlight or "")}

    def written(reload: int | None = None) -> Report:
        try:
            options: dict[str, Any] = {"summary": summary, "statistic": curves, "per_seed": per_seed, "reload": reload}
            return write_report(root, out, **options, **figures)
        except CannotWrite as error:
            raise UserError(f"--out: cannot write to {said(error)}", exit_code=MACHINE) from None
        except OSError as error:
            raise UserError(f"cannot read {said(error)}", exit_code=MACHINE) from None
        except NoVariant as error:
            raise UserError(f"--highlight: {error}") from None
        except (NoRuns, MixedRuns) as error:
            raise UserError(str(error)) from None

    report = watching(root, written, console) if watch else written()
    scores = report.score_text
    scores = scores[[name for name in map(str, scores) if "return" not in name or name.startswith(NAMES[summary])]]
    rows = [(str(row[0]), str(row[1]), list(map(str, row[2:]))) for row in scores.itertuples(index=False)]
    console.print(show.cell_table(list(scores.columns[2:]), rows, console.width, wrap=True))
    for note in report.notes:
        show.line(console, plain(note), "yellow")
    for line in report.answer:
        show.line(console, plain(line))
    show.line(console, f"written: {report.files[0]}, with {len(report.files) - 1} files beside it")
