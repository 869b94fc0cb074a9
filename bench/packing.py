"""Seeds that have to be trained → packs, each of which one process trains."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from savo_bench.bench import cost
from savo_bench.bench.cells import Cell, Pack
from savo_bench.bench.options import Options

LARGEST_PACK = 10  # ours: the usual number of seeds; more gain little and lose more when a worker dies


@dataclass(frozen=True)
class Todo:
    """A seed that has to be trained, and where it stands."""

    cell: Cell
    seed: int
    step: int  # of what can be resumed; seeds at one step can go together
    pack: tuple[int, ...] = ()  # the seeds that it was trained with, for a GPU


def packs(todo: Iterable[Todo], options: Options, device: str, workers: int) -> list[Pack]:
    """Put seeds of one cell and one step together. On a GPU an interrupted pack comes back as it was.

    No pack has more seeds than `--pack` says. On CPUs a pack that is more than one worker's share of the work is
    split, so that few cells still use all workers: a seed takes longer in a small pack, but the whole takes less. The
    results of a seed do not depend on its pack.

    Args:
        todo: The seeds.
        options: Where they go, and the limits of a pack.
        device: "cpu" or "cuda".
        workers: Processes that train at a time.

    Returns:
        The packs, the longest first.

    Raises:
        UserError: an environment cannot be made.
    """
    groups: dict[tuple[tuple[str, str], int, tuple[int, ...]], list[Todo]] = {}
    for item in todo:
        key = (item.cell.key, item.step, item.pack if device == "cuda" else ())
        groups.setdefault(key, []).append(item)
    costs = [sum(cost.seconds(item.cell, item.step) for item in group) for group in groups.values()]
    share = sum(costs) / workers
    found = []
    for group, seconds in zip(groups.values(), costs, strict=True):
        parts = -(-len(group) // (options.pack or LARGEST_PACK))
        if device == "cpu" and options.pack is None:
            parts = max(parts, min(len(group), round(seconds / share)))
        for part in _split(sorted(group, key=lambda item: item.seed), parts):
            pack = Pack(
                cell=part[0].cell,
                seeds=tuple(item.seed for item in part),
                root=options.root,
                device=device,
                checkpoint_every=options.checkpoint_every,
                launcher=options.on,
                command=options.command,
                keep_policies=options.keep_policies,
            )
            found.append((cost.pack_seconds(pack, part[0].step), pack))
    return [pack for _, pack in sorted(found, key=lambda pair: -pair[0])]


def _split(group: list[Todo], parts: int) -> list[list[Todo]]:
    """Cut a list into parts whose lengths differ by at most one."""
    bounds = [len(group) * index // parts for index in range(parts + 1)]
    return [group[start:stop] for start, stop in itertools.pairwise(bounds)]
