"""What the cost model is off by on this machine: its seconds beside those of seeds that have finished here.

Seeds count that were trained on this kind of processor and device, under any name in the folder of the runs, with an
algorithm or on an environment that is asked about. Of each cell a few are read. The nearest of these that have taken
long enough decide: the same algorithm on the same environment, the same algorithm, the same environment, all.
"""

import itertools
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savo_bench.bench import cost
from savo_bench.bench.cells import Budget, Cell, Pack
from savo_bench.results import spent
from savo_bench.results.files import CorruptFile
from savo_bench.results.format import OtherSchema, SeedFolder, seed_folders

SEEDS = 3  # ours: of a cell; they hardly differ
CELLS = 300  # ours: of a folder of runs; reading them takes a fraction of a second
ENOUGH = 10.0  # ours: seconds of a core; what took less says more about the start than about the training


@dataclass(frozen=True)
class Sample:
    """What a seed took, beside what the model says, in seconds."""

    algorithm: str
    environment: str
    expected: float
    wall: float
    cpu: float  # NaN where it was not recorded


class Calibration:
    """How many times as long packs take as the model says."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def ratio(self, cell: Cell, *, cpu: bool = False) -> float:
        """The ratio for a cell, of wall time or of processor time; 1 where nothing is known.

        Where no processor time was recorded, that of wall time stands for it.
        """
        known = [sample for sample in self.samples if not cpu or sample.cpu == sample.cpu]
        algorithm, environment = cell.algorithm, cell.environment
        levels = (
            [each for each in known if (each.algorithm, each.environment) == (algorithm, environment)],
            [each for each in known if each.algorithm == algorithm],
            [each for each in known if each.environment == environment],
            known,
        )
        for samples in levels:
            expected = sum(sample.expected for sample in samples)
            took = sum(sample.cpu if cpu else sample.wall for sample in samples)
            if took >= ENOUGH and expected > 0:
                return took / expected
        return self.ratio(cell) if cpu else 1.0

    def seconds(self, pack: Pack, step: int = 0, *, cpu: bool = False) -> float:
        """Seconds of one worker to train a pack from a step to the end: wall time, or processor time.

        Raises:
            UserError: the environment cannot be made.
        """
        return self.ratio(pack.cell, cpu=cpu) * cost.pack_seconds(pack, step)


def of_runs(runs: Path, cells: Iterable[Cell], device: str) -> Calibration:
    """What has finished on this machine in a folder of runs and helps to tell how long cells take."""
    wanted = {name for cell in cells for name in (cell.algorithm, cell.environment)}
    return Calibration([found for name in _names(runs) for found in _samples(name, wanted, device)])


def _names(runs: Path) -> list[Path]:
    try:
        return sorted(path for path in runs.iterdir() if path.is_dir())
    except OSError:
        return []


def _samples(root: Path, wanted: Container[str], device: str) -> Iterator[Sample]:
    try:
        cells = itertools.groupby(seed_folders(root), key=lambda folder: folder.path.parent)
        for _, folders in itertools.islice(cells, CELLS):
            known = (found for folder in folders if (found := _sample(folder, wanted, device)) is not None)
            yield from itertools.islice(known, SEEDS)
    except OSError:
        return


def _sample(folder: SeedFolder, wanted: Container[str], device: str) -> Sample | None:
    """What a seed took; None if it is not done, did not train on this machine, or says nothing about what is wanted."""
    from savo_bench.bench import processor  # asks the operating system

    try:
        status, run = folder.read_status(), folder.read_run()
    except (CorruptFile, OtherSchema, OSError):
        return None
    if status is None or run is None or status["state"] != "done" or not status.get("seconds"):
        return None
    origin, spec = run["provenance"], run["spec"]
    if spec["algorithm"]["name"] not in wanted and spec["environment"]["name"] not in wanted:
        return None
    if origin.get("cpu") != processor.name() or origin.get("device") != device:
        return None
    seeds = tuple(status.get("owner", {}).get("pack") or (folder.seed,))
    try:
        cell = cell_of(spec)
        expected = cost.pack_seconds(Pack(cell, seeds, folder.path, device, 0.0, "")) / len(seeds)
    except Exception:  # a plug-in that is not here any more, a field of another version
        return None
    took = spent.of_seed(status.get("seconds"), status.get("cpu_seconds"), len(seeds), device)
    return Sample(cell.algorithm, cell.environment, expected, took.wall, took.cpu)


def cell_of(spec: Mapping[str, Any]) -> Cell:
    """The cell of a seed's spec, without its overrides.

    Raises:
        Exception: of many kinds, where this version does not know it.
    """
    from savo_bench import algos  # needs torch
    from savo_bench.bench import grammar, resolving

    entry = algos.get(spec["algorithm"]["name"])
    types = resolving.field_types(entry.config)
    fields = {key: grammar.convert(value, types[key]) for key, value in spec["algorithm"]["config"].items()}
    environment = spec["environment"]
    budget = Budget(**spec["budget"])
    return Cell(
        environment["name"], environment["keywords"], spec["algorithm"]["name"], entry.config(**fields), {}, budget
    )
