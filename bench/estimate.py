"""What a grid will take of time, memory and disk, in lines for people, and whether there is enough of it.

The figures of one cell come from cost.py, memory.py and disk.py, what there is from room.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from savo_bench.bench import cost, forecast, room, show
from savo_bench.bench.cells import Pack, seed_folder
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.packing import Todo

if TYPE_CHECKING:
    from savo_bench.bench.disk import Disk
    from savo_bench.bench.grid import Grid

FULL = 0.8  # ours: of what is free, from which on there is a warning
CANNOT_FIT = 1.1  # ours: of what is free, from which on nothing is trained; estimates of disk are that good

Written = Mapping[tuple[str, str], "Disk"]  # what one seed writes, by the cell


@dataclass(frozen=True)
class Needs:
    """What the packs take."""

    seconds: float  # of all workers together
    wall: float  # seconds until the end
    workers: int
    processes: tuple[int, ...]  # bytes of memory of a process for each pack
    shared: int  # bytes of them that are in memory once: libraries
    peak: int  # bytes of disk at a time
    kept: int  # bytes of disk in the end
    missing: int  # bytes of disk at a time that are not there yet
    largest_file: int  # bytes

    def memory(self, packs: int) -> int:
        """Bytes of memory of so many processes on one machine, of those that take most."""
        return self.shared + _largest(packs, [each - self.shared for each in self.processes])


def lines(grid: "Grid", packs: Sequence[Pack], todo: Sequence[Todo]) -> list[tuple[str, str]]:
    """Lines with their styles: what the packs will take, and of what there may not be enough.

    Raises:
        UserError: an environment cannot be made, or a config does not fit it. Unless it is a dry run: the disk is too
            small.
    """
    needs = _needs(grid, packs, todo)
    unit = "core-" if grid.device == "cpu" else "GPU-"
    seeds = len(grid.calibration.samples)
    rough = " (rough: nothing was measured on a GPU yet)" if grid.device == "cuda" and not seeds else ""
    workers = show.count(needs.workers, "worker")
    shares = grid.memory.packs
    memory = f"with {workers}" if shares is None else "of a task"
    text = (
        f"estimate: {show.span(needs.seconds, unit)}, {show.span(needs.wall)} with {workers}{rough}; "
        f"memory {show.size(needs.memory(shares or needs.workers))} {memory}; "
        f"disk {show.size(needs.peak)} at peak, {show.size(needs.kept)} kept"
    )
    warnings = [each for each in (_memory(grid, needs), _disk(grid, needs)) if each]
    if seeds:
        text += f"; time by {show.count(seeds, 'seed')} that finished on this machine"
    return [(text, ""), *((f"warning: {each}", "yellow") for each in warnings)]


def core_time(grid: "Grid", packs: Sequence[Pack], saved: Mapping[int, int]) -> str:
    """What packs take of a worker's processor time, in words; `saved` is the step of each seed's checkpoint."""
    return show.span(sum(_seconds(grid, pack, saved[pack.seeds[0]], cpu=True) for pack in packs))


def _seconds(grid: "Grid", pack: Pack, step: int, *, cpu: bool = False) -> float:
    """Seconds of a worker for a pack from a step on, its start included: processor time or wall time."""
    return forecast.START_UP + grid.calibration.seconds(pack, step, cpu=cpu and grid.device == "cpu")


def _needs(grid: "Grid", packs: Sequence[Pack], todo: Sequence[Todo]) -> Needs:
    from savo_bench.bench import disk, memory  # need torch
    from savo_bench.bench.spaces import check_fit, probe

    written: dict[tuple[str, str], disk.Disk] = {}
    for cell in {item.cell.key: item.cell for item in todo}.values():
        spaces = probe(cell)  # also checks the keywords, before anything trains
        check_fit(cell, spaces)
        written[cell.key] = disk.estimate(cell, spaces, grid.options.keep_policies)
        memory.environment_bytes(cell)  # made here, so that what is held includes its libraries
    held, shared = memory.held()
    step = {(item.cell.key, item.seed): item.step for item in todo}
    first = [step[pack.cell.key, pack.seeds[0]] for pack in packs]
    times = [_seconds(grid, pack, start) for pack, start in zip(packs, first, strict=True)]
    taken = [memory.estimate(pack, at, written[pack.cell.key], held) for pack, at in zip(packs, first, strict=True)]
    workers = min(grid.workers, len(packs))
    kept = sum(written[item.cell.key].kept for item in todo)
    return Needs(
        seconds=sum(_seconds(grid, pack, start, cpu=True) for pack, start in zip(packs, first, strict=True)),
        wall=cost.makespan(times, workers),
        workers=workers,
        processes=tuple(taken),
        shared=shared,
        peak=kept + _largest(workers, [len(pack.seeds) * written[pack.cell.key].checkpoint for pack in packs]),
        kept=kept,
        missing=_missing(grid.root, packs, written, workers),
        largest_file=max(each.largest_file for each in written.values()),
    )


def _largest(count: int, numbers: Sequence[int]) -> int:
    return sum(sorted(numbers, reverse=True)[:count])


def _missing(root: Path, packs: Sequence[Pack], written: Written, workers: int) -> int:
    """Bytes to write at peak beyond what the seeds have written: a resumed seed fills up what it has."""
    kept, checkpoints = 0, []
    for pack in packs:
        one, checkpoint = written[pack.cell.key], 0
        for seed in pack.seeds:
            folder = seed_folder(root, pack.cell, seed)
            saved, files = _bytes_in(folder.checkpoint), _bytes_in(folder.path)
            kept += max(0, one.kept - (files - saved))
            checkpoint += max(0, one.checkpoint - saved)
        checkpoints.append(checkpoint)
    return kept + _largest(workers, checkpoints)


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # deleted since, or unreadable: then it is counted as missing
            continue
    return total


def _memory(grid: "Grid", needs: Needs) -> str | None:
    """A warning where there is too little memory."""
    there = grid.memory
    needed = needs.memory(there.packs or needs.workers)
    if there.bytes is None or needed <= there.bytes:
        return None
    about = f"about {show.size(needed)} of memory is needed"
    if there.packs is not None:
        return f"{about} by a task, which has {there.what}: ask for more, or take fewer seeds in a pack with --pack"
    fewer = "fewer --workers, or " if needs.workers > 1 else ""
    with_workers = f"with {show.count(needs.workers, 'worker')}, {show.size(there.bytes)} {there.what}"
    return f"{about} {with_workers}: take {fewer}fewer seeds in a pack with --pack"


def _disk(grid: "Grid", needs: Needs) -> str | None:
    """A warning where the disk may become full.

    Raises:
        UserError: it will, and this is no dry run.
    """
    largest, there = room.largest_file(), room.free_disk(grid.root)
    if largest is not None and needs.largest_file > CANNOT_FIT * largest:
        text = f"a file of {show.size(needs.largest_file)} is needed, but this shell allows {show.size(largest)}"
        return _refused(grid, f"{text}: raise the limit with `ulimit -f unlimited`")
    if there is None or needs.missing <= FULL * there.bytes:
        return None
    text = f"about {show.size(needs.missing)} of disk is needed at peak, {show.size(there.bytes)} {there.what}"
    if needs.missing <= CANNOT_FIT * there.bytes:
        return f"{text}: it may become full"
    fewer = ", or take fewer --workers, whose checkpoints are deleted when they are done" if needs.workers > 1 else ""
    return _refused(grid, f"{text}: free some, choose another disk with --runs DIR{fewer}, or train less at a time")


def _refused(grid: "Grid", text: str) -> str:
    if grid.options.dry_run:
        return text
    raise UserError(f"{text}; nothing was trained", exit_code=MACHINE)
