"""What is declared to be compared before the first result: `bench run --compare`, kept in comparisons.jsonl.

A later declaration is written beside the earlier ones, with how many seeds were done by then, so that nobody can take
it for one that was made before.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from savo_bench.results.files import append_json, make_folder, read_json_lines
from savo_bench.results.format import COMPARISONS

MEASURES = ("last10", "final", "best", "area")  # what can count as a seed's score

Pair = tuple[str, str]  # a variant, and the one that it is compared with


class OtherDeclaration(ValueError):
    """What was declared under one name does not go with what was declared under another."""


class Declaration(NamedTuple):
    """What is compared.

    Attributes:
        pairs: Variants, and what each is compared with.
        measure: What counts as a seed's score, one of MEASURES.
        margin: δ, the largest difference that does not matter, in shares of the range between a task's bounds; None
            where nothing is called equivalent.
        done: How many seeds were done when it was declared.
    """

    pairs: tuple[Pair, ...]
    measure: str = "last10"
    margin: float | None = None
    done: int = 0

    @property
    def hash(self) -> str:
        """Eight letters that change with what is declared."""
        text = json.dumps([sorted(self.pairs), self.measure, self.margin])
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def declare(root: Path, declaration: Declaration) -> Declaration | None:
    """Write a declaration down, unless it is the one that holds; returns the one that held before, if there was one.

    Raises:
        OSError: the file cannot be read or written.
    """
    before = read(root)
    if not before or before[-1].hash != declaration.hash:
        make_folder(root)
        append_json(root / COMPARISONS, declaration._asdict() | {"hash": declaration.hash})
    return before[-1] if before else None


def read(root: Path) -> list[Declaration]:
    """All declarations of a name, the one that holds last; a damaged line counts for nothing.

    Raises:
        OSError: the file cannot be read.
    """
    return [found for line in read_json_lines(Path(root) / COMPARISONS) if (found := _declaration(line)) is not None]


def pooled(names: Sequence[Sequence[Declaration]]) -> list[Declaration]:
    """The declarations of several names as those of one: what holds in each of them, together.

    Raises:
        OtherDeclaration: they declare different measures or margins, which one family cannot have.
    """
    holding = [declarations[-1] for declarations in names if declarations]
    if len({one.hash for one in holding}) < 2:
        return list(max(names, key=len)) if holding else []
    for one in holding:
        for field in ("measure", "margin"):
            if getattr(one, field) != getattr(holding[0], field):
                values = f"{getattr(holding[0], field)} and {getattr(one, field)}"
                raise OtherDeclaration(f"the names declare different {field}s, {values}: report them apart")
    pairs = tuple(dict.fromkeys(pair for one in holding for pair in one.pairs))
    earlier = [one for declarations in names for one in declarations[:-1]]
    return [*earlier, holding[0]._replace(pairs=pairs, done=max(one.done for one in holding))]


def _declaration(value: Any) -> Declaration | None:
    """The declaration of a line; None if it is none, or not the one that was written."""
    try:
        pairs = tuple((str(first), str(second)) for first, second in value["pairs"])
        margin = None if value["margin"] is None else float(value["margin"])
        found = Declaration(pairs, str(value["measure"]), margin, int(value["done"]))
        return found if found.measure in MEASURES and found.hash == value["hash"] else None
    except (KeyError, TypeError, ValueError):
        return None
