"""Cells that were not trained here: scores that `bench import` took from a file of another program.

They stand in the run directory as ours do, with two marks: their run.json has a `spec` with the field `foreign`, which
names the kind of file, and their variants are called `foreign-NAME`. No `bench run` can have a cell of such a name, so
none resumes or overwrites one. They have scores and no policy. Reports show them beside ours; they are compared and
pooled with ours only where `--compare` names them, and no check judges by them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from savo_bench.results import format as fmt
from savo_bench.results.files import append_csv, read_bytes
from savo_bench.results.format import SeedFolder
from savo_bench.results.state import EPISODE_COLUMNS, CellState

if TYPE_CHECKING:
    import pandas as pd

    from savo_bench.results.frame import Runs

PREFIX = "foreign-"
ANY_STEPS = 0  # as `eval_every` in the spec: evaluations lie where the other program made them
NO_POLICY = "is foreign: bench import took its scores from a file, so it has no policy"


class Taken(ValueError):
    """Another result is in the place of the one that is imported."""


def named(variant: str) -> str:
    """What a foreign variant is called: `foreign-sb3-td3` for `sb3-td3`."""
    return variant if variant.startswith(PREFIX) else PREFIX + variant


def is_foreign(run: Mapping[str, Any] | None) -> bool:
    """Whether a run.json, as `SeedFolder.read_run` gives it, is of a foreign cell."""
    return run is not None and "foreign" in run["spec"]


def write(
    root: Path, environment: Mapping[str, Any], variant: str, seed: int, kind: str, file: Path, evals: pd.DataFrame
) -> bool:
    """Write a seed of a foreign cell under runs/<name>; returns False where the same file was imported before.

    Args:
        root: runs/<name>.
        environment: Its part of a spec: name, id and keywords.
        variant: As `named` gives it.
        seed: The seed.
        kind: The kind of the file.
        file: Where the scores are from; its name and a hash of what it holds are written down.
        evals: A row per evaluation episode, as `results.imports` reads it.

    Raises:
        Taken: there is such a seed, and it is from another file.
        CorruptFile, OtherSchema: there is one, and it cannot be read.
        OSError: the file cannot be read, or the seed cannot be written.
    """
    content = b"".join(read_bytes(path) for path in _files(file))
    origin = {"kind": kind, "file": file.name, "sha256": hashlib.sha256(content).hexdigest()}
    last = int(evals["step"].iloc[-1])
    spec = {
        "environment": dict(environment),
        "algorithm": {"name": variant, "variant": variant, "config": {}},
        "budget": {
            "profile": "foreign",
            "steps": last,
            "eval_every": ANY_STEPS,
            "eval_episodes": int(evals.groupby("step").size().iloc[0]),
        },
        "seed": seed,
        "foreign": kind,
    }
    label, _ = fmt.labels(spec)
    folder = SeedFolder.of(root, label, variant, seed)
    there = folder.read_run()
    if there is not None and folder.read_status() is not None:
        if there["hash"] == fmt.spec_hash(spec) and there["provenance"].get("foreign") == origin:
            return False
        raise Taken(f"seed {seed} of {variant} on {label} is there, from another file: delete {folder.path} first")
    if folder.evals_csv.exists():  # of an import that was stopped
        folder.evals_csv.unlink()
    folder.write_run(spec, {"foreign": origin})
    append_csv(folder.evals_csv, list(map(str, evals.columns)), _rows(evals))
    fmt.ask(root, label, variant, [seed])
    folder.write_status({"state": "done", "step": last, "steps": last, "reason": None}, durable=True)
    return True


def _files(path: Path) -> list[Path]:
    """A file; of a folder the files in it."""
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _rows(evals: pd.DataFrame) -> Iterator[list[Any]]:
    """The rows of evals.csv; a number that is not known is an empty cell."""
    whole = evals.columns.isin(EPISODE_COLUMNS[:2])
    for row in evals.to_numpy():
        yield [int(v) if w else None if np.isnan(v) else float(v) for v, w in zip(row, whole, strict=True)]


def variants(runs: Runs) -> frozenset[str]:
    """The foreign variants among some runs."""
    of = runs.runs[["variant", "spec"]].itertuples(index=False)
    return frozenset(str(variant) for variant, spec in of if spec is not None and "foreign" in spec)


def without(runs: Runs, left_out: Iterable[str]) -> Runs:
    """The runs without some variants."""
    names = list(left_out)
    if not names:
        return runs
    ours, evals = (table[~table["variant"].isin(names)].reset_index(drop=True) for table in (runs.runs, runs.evals))
    return dataclasses.replace(runs, runs=ours, evals=evals)


def of_cell(cell: CellState) -> str | None:
    """Where a foreign cell is from, in words; None if it is ours."""
    runs = [seed.run for seed in cell.seeds if seed.run is not None and is_foreign(seed.run)]
    if not runs:
        return None
    return f"{runs[0]['spec']['foreign']}, {len(runs)} seed{'s' * (len(runs) != 1)}"


def table(runs: Runs) -> pd.DataFrame:
    """A row per foreign seed: environment, variant, seed, steps, evaluations, episodes, kind, file, sha256."""
    import pandas as pd  # here, because trainings need this module and not pandas

    rows = []
    for row in runs.runs[runs.runs["variant"].isin(variants(runs))].to_dict("records"):
        if row["spec"] is None:
            continue
        names = {name: row[name] for name in ("environment", "variant", "seed", "steps", "evaluations")}
        origin = {name: _known(row["attempts"], name) for name in ("kind", "file", "sha256")}
        rows.append(names | {"episodes": row["spec"]["budget"]["eval_episodes"]} | origin)
    return pd.DataFrame(rows)


def _known(attempts: Iterable[Mapping[str, Any]], name: str) -> str:
    """An entry of where a seed is from."""
    found = (attempt.get("foreign") for attempt in attempts)
    return next((str(origin[name]) for origin in found if isinstance(origin, Mapping) and name in origin), "unknown")
