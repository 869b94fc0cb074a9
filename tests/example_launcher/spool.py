"""A launcher that writes packs into a folder, from which any process takes them and trains them:

python -m savo_bench.bench.worker < runs/default/spool/5-0000.pack
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from rich.console import Console

from savo_bench.bench import run_directory, show
from savo_bench.bench.flags import Flag
from savo_bench.bench.grid import Grid, Queue, announcement
from savo_bench.bench.launch.launcher import Launcher, check_writable
from savo_bench.results.state import CellState


@dataclass(frozen=True, kw_only=True)
class SpoolOptions:
    """`--priority 3`, or `priority = 3` in the table [spool] of a TOML file."""

    priority: Annotated[int, Flag("Packs of a lower number are taken first.")] = 5


class SpoolQueue(Queue):
    """The packs that wait in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def join(self, cells: Sequence[CellState]) -> list[CellState]:
        """A seed that is in the folder, and would be missing otherwise, is queued."""
        waiting: dict[Path, str] = {}
        for path in sorted(self.folder.glob("*.pack")):
            pack = pickle.loads(path.read_bytes())
            waiting |= {pack.folder(seed): path.name for seed in pack.seeds}
        return [
            replace(
                cell,
                seeds=tuple(
                    replace(seed, state="queued", reason=waiting[seed.folder.path])
                    if seed.state == "missing" and seed.folder.path in waiting
                    else seed
                    for seed in cell.seeds
                ),
            )
            for cell in cells
        ]


class Spool(Launcher):
    """Writes packs down and leaves them to others."""

    name = "spool"
    summary = "files for others to take"
    options_type = SpoolOptions
    splits = False

    @classmethod
    def queue(cls, root: Path) -> Queue:
        """The packs that wait for runs/<name>."""
        return SpoolQueue(root / "spool")

    def launch(self, grid: Grid, console: Console) -> int:
        """Write a file for each pack that nobody has yet."""
        packs, lines = announcement(grid, grid.look())
        check_writable(grid.root)
        for text, style in lines:
            show.line(console, text, style)
        run_directory.ask(grid.root, grid.cells, grid.seeds)
        folder = grid.root / "spool"
        folder.mkdir(exist_ok=True)
        there = len(list(folder.iterdir()))
        for number, pack in enumerate(packs, there):
            (folder / f"{self.own.priority}-{number:04d}.pack").write_bytes(pickle.dumps(pack))
        show.line(console, f"written: {show.count(len(packs), 'pack')} in {folder}")
        return grid.exit_code
