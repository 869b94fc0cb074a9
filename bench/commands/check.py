"""`bench check`: compares runs with a baseline, or writes them as one."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from savo_bench.bench import show
from savo_bench.bench.errors import UserError
from savo_bench.bench.run_directory import reading
from savo_bench.results import regression
from savo_bench.results.files import replacing
from savo_bench.results.frame import load

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
    try:
        with reading():
            runs = load(root)
        table = regression.baseline_table(runs)
    except regression.NotMeasured as error:
        raise UserError(str(error), exit_code=regression.EXIT_CODES["not measured"]) from None
    except ValueError as error:
        raise UserError(str(error)) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        regression.write_baseline(table, path)
    except OSError as error:
        raise UserError(f"--update: cannot write to {error.filename or path}: {error.strerror}") from None
    for cell in table.drop_duplicates(["environment", "variant"]).to_dict("records"):
        margins = f"δ {cell['delta_last10']:.2f} of the score, {cell['delta_area']:.2f} of the curve"
        show.line(console, f"{cell['variant']} on {cell['environment']}: {margins} (bounds: {cell['bounds']})")
    for reason in regression.ungateable(table):
        show.line(console, f"ungateable: {reason}", "yellow")
    for text in regression.mixtures(runs):
        show.line(console, text, "yellow")
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
        with reading():
            runs = load(root)
        found = regression.check(runs, baseline, throughput)
    except ValueError as error:
        raise UserError(str(error)) from None
    contents = {markdown: regression.markdown(found, root.name).encode(), junit: regression.junit(found, root.name)}
    for path, content in contents.items():
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path, durable=False) as file:
                    file.write(content)
            except OSError as error:
                raise UserError(f"cannot write to {error.filename or path}: {error.strerror}") from None
    table = regression.text(found)
    rows = [
        (row[0], row[1], [row[2], Text(row[3], style=_STYLES[row[3]]), *row[4:]]) for row in table.to_numpy().tolist()
    ]
    console.print(show.cell_table(list(table.columns[2:]), rows, console.width, wrap=True))
    for reason in regression.reasons(found):
        show.line(console, reason, "yellow")
    show.line(console, regression.verdict_line(found), _STYLES[found.verdict])
    return found.code
