"""The run directory of a name: find it, write down what is asked for, refuse to mix configs in it."""

import contextlib
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savo_bench.bench import grammar
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.results import foreign
from savo_bench.results import format as fmt
from savo_bench.results.attempts import attempts_of, code_of
from savo_bench.results.files import CorruptFile, folders_in, naming, said
from savo_bench.results.format import OtherSchema, cell_folder, seeds_in, spec_differences, text

if TYPE_CHECKING:
    from savo_bench.bench.cells import Cell
    from savo_bench.results.frame import Runs


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Turn an OSError inside into one line: what cannot be read must not pass for what is not there.

    Raises:
        UserError: names the file and what the system says.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {said(error)}", exit_code=MACHINE) from None


def find(runs: Path, name: str) -> Path:
    """The folder of a name that exists.

    Raises:
        UserError: there is none; names the nearest. Or nobody can say, and why.
    """
    folder = runs / grammar.name(name)
    with reading():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), naming(folder):
            if stat.S_ISDIR(folder.stat().st_mode):
                return folder
        there = [path.name for path in folders_in(runs)]
    raise UserError(f"there are no runs called {name!r} in {runs}: {grammar.nearest(name, there)}")


def loaded(root: Path) -> "Runs":
    """The runs in the folder of a name.

    Raises:
        UserError: they cannot be read, or must not stand in one folder.
    """
    from savo_bench.results import frame  # pandas, which not every command needs

    try:
        with reading():
            return frame.load(root)
    except frame.MixedRuns as error:
        raise UserError(str(error)) from None


def ask(root: Path, cells: Iterable["Cell"], seeds: Sequence[int]) -> None:
    """Write down what is asked for, so that `bench status` and `bench report` know what is missing."""
    for cell in cells:
        fmt.ask(root, cell.env_label, cell.variant, seeds, cell.controls)


def is_new(root: Path, cell: "Cell") -> bool:
    """Whether nothing was ever asked for in a cell.

    Raises:
        UserError: what was asked for cannot be read.
    """
    with reading():
        return fmt.read_asked(cell_folder(root, cell.env_label, cell.variant)) is None


def check_specs(root: Path, cells: Iterable["Cell"]) -> None:
    """Refuse to add to a cell that was trained with another config or budget.

    Raises:
        UserError: naming the field, both values and what to do; or the folder cannot be read.
    """
    for cell in cells:
        planned: dict[str, Any] | None = None
        folder = cell_folder(root, cell.env_label, cell.variant)
        with reading():
            seeds = seeds_in(folder)
        for seed in seeds:
            try:
                run = seed.read_run()
            except (CorruptFile, OtherSchema, OSError):
                continue  # an unreadable seed, which is named and left alone
            if run is None:
                continue
            if foreign.is_foreign(run):
                where = f"{cell.variant} on {cell.env_label}"
                raise UserError(f"{where}: {folder} was imported, not trained: take another --name, or delete it")
            planned = planned or cell.spec(0)
            differences = spec_differences(run["spec"] | {"seed": 0}, planned)
            if differences:
                raise UserError(_refusal(cell, folder, differences))


def made_by_other_code(root: Path, cells: Iterable["Cell"]) -> str | None:
    """One line that names the cells with seeds of other code than this process has; None if there are none.

    Seeds of which nobody recorded the code are no sign of anything.

    Raises:
        UserError: the folder of a cell cannot be read.
    """
    from savo_bench.bench import provenance

    found: dict[str, int] = {}  # seeds by cell
    packages: dict[str, None] = {}
    for cell in cells:
        now = provenance.code(cell)
        with reading():
            seeds_of_cell = seeds_in(cell_folder(root, cell.env_label, cell.variant))
        for folder in seeds_of_cell:
            try:
                run = folder.read_run()
                attempts = attempts_of(folder, run) if run else []
            except (CorruptFile, OtherSchema, OSError):
                continue  # an unreadable seed, which is named and left alone
            before = [code_of(attempt) for attempt in attempts]
            other = {name for code in before for name in code if now.get(name, code[name]) != code[name]}
            if other:
                packages |= dict.fromkeys(sorted(other))
                name = f"{cell.variant} on {cell.env_label}"
                found[name] = found.get(name, 0) + 1
    if not found:
        return None
    seeds = sum(found.values())
    named = [f"{name} ({count})" for name, count in found.items()]
    more = f" and {len(named) - 4} more" if len(named) > 4 else ""  # ours: a line is a line
    were = "seed was" if seeds == 1 else "seeds were"
    return (
        f"{seeds} {were} made by other code of {' and '.join(packages)} than is installed now: "
        f"{', '.join(named[:4])}{more}; take another --name to keep them apart"
    )


def _refusal(cell: "Cell", folder: Path, differences: Sequence[tuple[str, Any, Any]]) -> str:
    """One line about a cell that exists with another spec."""
    first = sorted(differences, key=lambda entry: not entry[0].startswith("budget"))  # what one changes most often
    named = [  # an earlier version of this project may lack a field
        f"no {name}" if old is None else f"{name}={text(old)}, not {text(new)}" for name, old, new in first[:2]
    ]
    more = f" (and {len(first) - 2} more fields)" if len(first) > 2 else ""
    return (
        f"{cell.variant} on {cell.env_label} was trained with {' and '.join(named)}{more}: "
        f"take another --name, or delete {folder}"
    )
