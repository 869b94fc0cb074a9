"""The run directory of a name: find it, write down what is asked for, refuse to mix configs in it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savo_bench.bench import grammar
from savo_bench.bench.errors import UserError
from savo_bench.results import format as fmt
from savo_bench.results.files import CorruptFile
from savo_bench.results.format import OtherSchema, SeedFolder, cell_folder, spec_differences, text

if TYPE_CHECKING:
    from savo_bench.bench.cells import Cell


def find(runs: Path, name: str) -> Path:
    """The folder of a name that exists.

    Raises:
        UserError: there is none; names the nearest.
    """
    folder = runs / grammar.name(name)
    if not folder.is_dir():
        there = [path.name for path in runs.iterdir() if path.is_dir()] if runs.is_dir() else []
        raise UserError(f"there are no runs called {name!r} in {runs}: {grammar.nearest(name, there)}")
    return folder


def ask(root: Path, cells: Iterable["Cell"], seeds: Sequence[int]) -> None:
    """Write down what is asked for, so that `bench status` and `bench report` know what is missing."""
    for cell in cells:
        fmt.ask(root, cell.env_label, cell.variant, seeds)


def check_specs(root: Path, cells: Iterable["Cell"]) -> None:
    """Refuse to add to a cell that was trained with another config or budget.

    Raises:
        UserError: naming the field, both values and what to do.
    """
    for cell in cells:
        planned: dict[str, Any] | None = None
        folder = cell_folder(root, cell.env_label, cell.variant)
        for path in sorted(folder.glob("seed-*")):
            try:
                run = SeedFolder(path).read_run()
            except (CorruptFile, OtherSchema, OSError):
                continue  # an unreadable seed, which is named and left alone
            if run is None:
                continue
            planned = planned or cell.spec(0)
            differences = spec_differences(run["spec"] | {"seed": 0}, planned)
            if differences:
                raise UserError(_refusal(cell, folder, differences))


def _refusal(cell: "Cell", folder: Path, differences: Sequence[tuple[str, Any, Any]]) -> str:
    """One line about a cell that exists with another spec."""
    first = sorted(differences, key=lambda entry: not entry[0].startswith("budget"))  # what one changes most often
    named = [f"{name}={text(old)}, not {text(new)}" for name, old, new in first[:2]]
    more = f" (and {len(first) - 2} more fields)" if len(first) > 2 else ""
    return (
        f"{cell.variant} on {cell.env_label} was trained with {' and '.join(named)}{more}: "
        f"take another --name, or delete {folder}"
    )
