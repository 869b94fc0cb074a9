"""`bench check`: compares runs with a baseline, or writes them as one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from savo_bench.bench import show
from savo_bench.bench.errors import MACHINE, UserError, reason
from savo_bench.bench.run_directory import loaded
from savo_bench.results import foreign, regression
from savo_bench.results.files import LOSSLESS, make_folder, replacing

_STYLES = {
    "pass": "green",
    "identical": "green",
    "regress": "red",
    "not measured": "red",
    "cannot tell": "yellow",
    "ungateable": "yellow",
}


def update(root: Path, path: Path, console: Console) -> int:
    """Write a baseline of the runs in a folder, and print what cannot be checked with it.

    Raises:
        UserError: seeds are not done (exit code 4), the runs cannot be read, or the file cannot be written.
    """
    runs = loaded(root)
    try:
        table = regression.baseline_table(runs)
    except regression.NotMeasured as error:
        raise UserError(str(error), exit_code=regression.EXIT_CODES["not measured"]) from None
    with _writing("--update", path):
        regression.write_baseline(table, path)
    for cell in table.drop_duplicates(["environment", "variant"]).to_dict("records"):
        margins = f"δ {cell['delta_last10']:.2f} of the score, {cell['delta_area']:.2f} of the curve"
        show.line(console, f"{cell['variant']} on {cell['environment']}: {margins} (bounds: {cell['bounds']})")
    for text in regression.ungateable(table, regression.names(runs)):
        show.line(console, f"ungateable: {text}", "yellow")
    for text in regression.mixtures(runs):
        show.line(console, text, "yellow")
    if imported := foreign.variants(runs):
        show.line(console, f"note: {', '.join(sorted(imported))}: foreign, so not in the baseline", "yellow")
    show.line(console, f"written: {path}, {show.count(len(table), 'seed')}")
    return 0


def check(
    root: Path, against: Path, console: Console, *, markdown: Path | None, junit: Path | None, throughput: float | None
) -> int:
    """Compare the runs in a folder with a baseline; print and write the verdict; returns the exit code.

    Raises:
        UserError: the baseline is no baseline, the runs cannot be read, or a file cannot be written.
    """
    if throughput is not None and not 0 < throughput <= 1:
        raise UserError(f"--throughput {throughput:g}: must be above 0 and at most 1, as 0.8")
    try:
        baseline = regression.read_baseline(against)
    except ValueError as error:
        raise UserError(str(error)) from None
    found = regression.check(loaded(root), baseline, throughput)
    for option, path, content in (
        ("--markdown", markdown, regression.markdown(found, root.name).encode(errors=LOSSLESS)),
        ("--junit", junit, regression.junit(found, root.name)),
    ):
        if path is not None:
            with _writing(option, path), replacing(path, durable=False) as file:
                file.write(content)
    table = regression.text(found)
    rows = [
        (row[0], row[1], [row[2], Text(row[3], style=_STYLES[row[3]]), *row[4:]]) for row in table.to_numpy().tolist()
    ]
    console.print(show.cell_table(list(table.columns[2:]), rows, console.width, wrap=True))
    for text in regression.reasons(found):
        show.line(console, text, "yellow")
    show.line(console, regression.verdict_line(found), _STYLES[found.verdict])
    return found.code


@contextlib.contextmanager
def _writing(option: str, path: Path) -> Iterator[None]:
    """A context manager for writing the file that an option names: makes its folder, and names what fails."""
    try:
        make_folder(path.parent)
        yield
    except OSError as error:
        where = error.filename or path
        raise UserError(f"{option}: cannot write to {where}: {reason(error)}", exit_code=MACHINE) from None
