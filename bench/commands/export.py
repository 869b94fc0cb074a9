"""`bench export`: writes the runs of a name for another program."""

from pathlib import Path

from rich.console import Console

from savo_bench.bench import show
from savo_bench.bench.errors import INTERNAL, MACHINE, UserError
from savo_bench.bench.grammar import choose
from savo_bench.results import exports
from savo_bench.results.files import said
from savo_bench.results.format import exports_folder
from savo_bench.results.frame import MixedRuns


def export(root: Path, console: Console, *, to: str, out: Path | None) -> None:
    """Export the runs in a folder; print how many seeds, and where they are.

    Raises:
        UserError: there is no such kind, its package is missing or fails, or something cannot be read or written.
    """
    choose(to, exports.KINDS, "--to")
    where = out or exports_folder(root, to)
    try:
        done = exports.export(root, where, to)
    except ModuleNotFoundError as error:
        raise UserError(f"--to {to} needs {error.name}: pip install 'savo-bench[{to}]'") from None
    except MixedRuns as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"cannot export: {said(error)}", exit_code=MACHINE) from None
    except exports.PackageFails as error:
        raise UserError(f"--to {to}: its package fails: {error}", exit_code=INTERNAL) from None
    for problem in done.problems:
        show.line(console, f"note: {problem}", "yellow")
    same = f", {done.unchanged} unchanged" if done.unchanged else ""
    show.line(console, f"written: {where}, {show.count(done.written, 'seed')}{same}")
