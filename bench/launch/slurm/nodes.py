"""Which nodes failed: runs/<name>/slurm/nodes.jsonl has a line for every attempt of a task that ended.

The batch script writes it (batch.py):

    {"node": "n7", "job": "12_3", "submission": "5f0c", "index": 3, "ended": 1732700000, "seconds": 4, "code": 76}

`index` is that of the task in its array, `code` its exit code, `ended` a unix time.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savo_bench.bench import worker
from savo_bench.bench.launch.slurm.batch import BAD_NODE, COME_BACK, FAILURES, OF_THE_NODE
from savo_bench.bench.launch.slurm.records import NAME, submissions
from savo_bench.results.files import read_json_lines, said
from savo_bench.results.format import launcher_folder

QUICK = 60  # seconds; ours: loading torch and the environment takes half of it, and what is slower eats no array
ENDED_BY_SIGNAL = (129, 130, 143)  # SIGHUP, SIGINT, SIGTERM: somebody wanted it
FINE = (worker.TRAINED, worker.INTERRUPTED, COME_BACK)
_FIELDS: dict[str, Any] = {"node": str, "submission": str, "index": int, "seconds": int | float, "code": int}


@dataclass(frozen=True)
class Attempt:
    """How a task ended on a node."""

    node: str
    submission: str
    index: int
    seconds: float
    code: int

    @property
    def task(self) -> tuple[str, int]:
        """The folder of its submission, and its index in the array."""
        return self.submission, self.index

    @property
    def certain(self) -> bool:
        """Whether it failed, and that cannot have to do with what was trained."""
        return self.code in OF_THE_NODE

    @property
    def quick(self) -> bool:
        """Whether it failed before anything was trained."""
        return self.certain or (self.code not in (*FINE, *ENDED_BY_SIGNAL) and self.seconds < QUICK)


def path(root: Path) -> Path:
    """The file of runs/<name>."""
    return launcher_folder(root, NAME) / "nodes.jsonl"


def attempts(root: Path) -> list[Attempt]:
    """What was noted, oldest first, without lines that are damaged.

    Raises:
        OSError: the file is there and cannot be read.
    """
    return [
        Attempt(**{name: noted[name] for name in _FIELDS})
        for noted in read_json_lines(path(root))
        if isinstance(noted, dict) and all(isinstance(noted.get(name), kind) for name, kind in _FIELDS.items())
    ]


def failing(root: Path) -> dict[str, str]:
    """Nodes that are not to be used, and why: two attempts in a row failed on them at once; see `notes`.

    Where seeds of one cell fail at once on several nodes, that is not the nodes' fault, unless the first computation
    failed. Where nobody can read what was noted, no node is left out.
    """
    try:
        noted = attempts(root)
    except OSError:
        return {}
    return _failing(root, noted)


def _failing(root: Path, noted: list[Attempt]) -> dict[str, str]:
    """The same of attempts that have been read."""
    cells = {
        (each.folder.name, index): (each.packs[share[0]].environment, each.packs[share[0]].variant)
        for each in submissions(root)
        for index, share in enumerate(each.shares)
    }
    where: dict[object, set[str]] = defaultdict(set)
    for attempt in noted:
        if attempt.quick and not attempt.certain:
            where[cells.get(attempt.task, attempt.task)].add(attempt.node)
    in_a_row: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in noted:
        if attempt.quick:
            if attempt.certain or len(where[cells.get(attempt.task, attempt.task)]) == 1:
                in_a_row[attempt.node].append(attempt)
        elif attempt.code in FINE:
            in_a_row[attempt.node].clear()
    return {node: _why(found) for node, found in sorted(in_a_row.items()) if len(found) >= FAILURES}


def _why(failed: list[Attempt]) -> str:
    codes = sorted({attempt.code for attempt in failed})
    words = {
        BAD_NODE: "the first computation failed",
        126: "a command cannot be run",
        127: "a command is not there",
        142: "the first computation hung",
    }
    named = "; ".join(f"code {code}" + (f", {words[code]}" if code in words else "") for code in codes)
    return f"{len(failed)} attempts in a row failed there at once ({named})"


def notes(root: Path) -> list[str]:
    """A line for every node that is left out, or one that says why none is."""
    try:
        noted = attempts(root)
    except OSError as error:
        return [f"{said(error)}; so no node is left out, whatever failed there"]
    out = _failing(root, noted)
    return [f"node {node} is left out: {why}; to use it again, delete {path(root)}" for node, why in out.items()]
