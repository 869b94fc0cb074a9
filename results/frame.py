"""All runs of a name as pandas frames: one row per seed, one row per evaluation.

Every seed has its row, whatever its state. A damaged file is named in `problems`, and its content is left out; nothing
is left out without a word. Only runs of different specs under one name are refused, since they must not be pooled.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from savo_bench.results import metrics
from savo_bench.results.attempts import Attempt, attempts_of
from savo_bench.results.files import CorruptFile, names_in, read_csv, said
from savo_bench.results.format import (
    ASKED,
    Metric,
    OtherSchema,
    SeedFolder,
    labels,
    seed_folders,
    spec_differences,
    text,
)
from savo_bench.results.state import SeedState, gaps, read_evals, survey

COSTS = ["peak_memory", "action_seconds", "parameters"]  # NaN where status.json does not have them
_TIMES = ("seconds", "cpu_seconds", "steps_per_s")
RUN_COLUMNS = [
    "environment",
    "variant",
    "algorithm",
    "seed",
    "state",  # as results.state judges it: done, running, failed, unreadable, interrupted or missing
    "reason",
    "step",
    "steps",
    "resumed_from",
    "evaluations",
    "final",
    "last10",
    "best",
    "area",
    "seconds",  # wall time of training, over all attempts
    "cpu_seconds",  # the seed's share of the processor time, over all attempts
    "steps_per_s",
    "pack",  # how many seeds shared that time
    *COSTS,
    "profile",
    "host",
    "device",
    "hash",
    "spec",
    "attempts",  # those that made it, see results.attempts; none for a seed without run.json
    "path",
]
EVAL_COLUMNS = ["environment", "variant", "seed", "step", "return", "length"]


_UNSAID = {"missing": "never began", "interrupted": "no process trains it"}  # reasons that the state itself says


class MixedRuns(ValueError):
    """Runs of one variant on one environment have different specs and must not be pooled."""


@dataclass(frozen=True)
class Runs:
    """What a folder of runs holds."""

    runs: pd.DataFrame  # a row per seed folder, RUN_COLUMNS; spec is a dictionary or None
    # a row per seed and evaluation, EVAL_COLUMNS and the environments' metrics; means over episodes
    evals: pd.DataFrame
    problems: list[str]  # a line per file that is damaged or out of place
    metrics: dict[str, Metric] = field(default_factory=dict)  # how to show those that the runs describe, by name


def load(root: Path, now: float | None = None) -> Runs:
    """Read every seed under runs/<name>; `now` (unix time) decides who is still alive, by default the clock.

    Raises:
        MixedRuns: a cell holds runs of different configs or budgets; the field is named.
        OSError: the root, or a folder of an environment or a variant, cannot be read.
    """
    root = Path(root)
    rows: list[dict[str, Any]] = []
    evals: list[pd.DataFrame] = []
    shown: dict[str, Metric] = {}
    problems = _out_of_place(root)
    read = functools.cache(read_evals)  # the judge of a seed's state reads them as well
    for cell in survey(root, now=now, evals=read):
        names = {"environment": cell.environment, "variant": cell.variant}
        steps = max(seed.steps for seed in cell.seeds)  # also for seeds that do not know their own
        for seed in cell.seeds:
            evaluations, wrong = _evaluations(seed, read)
            attempts, unread = _attempts(seed)
            row = _row(root, seed, evaluations) | {"attempts": attempts}
            wrong += unread
            rows.append(row | names | {"steps": row["steps"] or steps})
            problems += [line.replace(f"{root}/", "") for line in wrong]
            shown |= seed.run.get("metrics", {}) if seed.run else {}
            if len(evaluations):
                evals.append(evaluations.assign(**names, seed=seed.seed))
    refuse_mixtures(rows)
    runs = pd.DataFrame(rows, columns=RUN_COLUMNS)
    frame = pd.concat(evals, ignore_index=True) if evals else pd.DataFrame(columns=EVAL_COLUMNS)
    order = ["environment", "variant", "seed"]
    return Runs(
        runs.sort_values(order, kind="stable", ignore_index=True),
        frame[[*EVAL_COLUMNS, *sorted(set(frame.columns) - set(EVAL_COLUMNS))]].sort_values(
            [*order, "step"], kind="stable", ignore_index=True
        ),
        problems,
        shown,
    )


def load_train(root: Path) -> pd.DataFrame:
    """The scalars of every seed's training: environment, variant, seed, step, seconds and a column per metric.

    For a diagnosis: what cannot be read is left out, `load` says why.
    """
    frames = [pd.DataFrame(columns=["environment", "variant", "seed", "step", "seconds"])]
    for folder in seed_folders(root):
        try:
            run = folder.read_run()
            frame = read_csv(folder.train_csv)
        except (CorruptFile, OtherSchema, OSError):
            continue
        if run is not None and len(frame):
            environment, variant = labels(run["spec"])
            names = {"environment": environment, "variant": variant, "seed": folder.seed}
            frames.append(frame.assign(**names)[[*names, *frame.columns]])
    return pd.concat(frames[1:] or frames, ignore_index=True)


def _row(root: Path, seed: SeedState, evaluations: pd.DataFrame) -> dict[str, Any]:
    """A seed's row, but for the names of its cell."""
    numbers = {"seed": seed.seed, "step": seed.step, "steps": seed.steps, "resumed_from": 0, "evaluations": 0}
    unknown = dict.fromkeys(("final", "last10", "best", "area", *_TIMES, *COSTS), np.nan)
    reason = seed.reason or _UNSAID.get(seed.state, "")
    row = dict.fromkeys(RUN_COLUMNS) | numbers | unknown | {"pack": len(seed.pack) or 1, "state": seed.state}
    row |= {"path": seed.folder.path.relative_to(root).as_posix(), "reason": reason.replace(f"{root}/", "")}
    if seed.run is not None:
        spec, provenance = seed.run["spec"], seed.run["provenance"]
        row |= {"spec": spec, "hash": seed.run["hash"]}
        row |= {"algorithm": spec["algorithm"]["name"], "profile": spec["budget"]["profile"]}
        row |= {key: provenance.get(key) for key in ("host", "device")}
    if seed.status is not None:
        row |= {"resumed_from": seed.status.get("resumed_from", 0)}
        row |= {key: _number(seed.status.get(key)) for key in (*_TIMES, *COSTS)}
    if len(evaluations):
        returns = evaluations["return"].to_numpy()
        row |= {"evaluations": len(returns), "final": metrics.final(returns), "last10": metrics.last10(returns)}
        row |= {"best": metrics.best(returns), "area": metrics.area(evaluations["step"], returns)}
    return row


def _attempts(seed: SeedState) -> tuple[list[Attempt], list[str]]:
    """The attempts that made a seed, and what is wrong with the file that names them."""
    if seed.run is None:
        return [], []
    try:
        return attempts_of(seed.folder, seed.run), []
    except OSError as error:
        return [], [said(error)]


def _evaluations(seed: SeedState, read: Callable[[SeedFolder], pd.DataFrame]) -> tuple[pd.DataFrame, list[str]]:
    """A seed's evaluations (step, return, length, metrics; means over episodes), and what is wrong with its files.

    Half an evaluation counts as none. What is damaged counts as none, too, and is named.
    """
    none = pd.DataFrame()
    if seed.state == "unreadable":
        return none, [seed.reason or ""]
    if seed.run is None:
        return none, []
    path, episodes = seed.folder.evals_csv, seed.run["spec"]["budget"]["eval_episodes"]
    try:
        rows = read(seed.folder)
    except FileNotFoundError:
        return none, []
    except CorruptFile as error:
        return none, [str(error)]
    except OSError as error:
        return none, [said(error)]
    problems = [rows.attrs["torn"]] if "torn" in rows.attrs else []
    if len(rows) == 0:
        return none, problems
    if wrong := gaps(rows, seed.run["spec"]["budget"]):
        problems.append(f"{path}: {wrong}")
    at, counts = np.unique(rows["step"].to_numpy(), return_counts=True)
    whole = counts == episodes
    kept = rows.drop(columns=["step", "episode"]).to_numpy(dtype=float)[np.repeat(whole, counts)]
    means = kept.reshape(-1, counts[whole].max(initial=1), kept.shape[1]).mean(axis=1)
    if not np.isfinite(means[:, 0]).all():
        problems.append(f"{path}: holds returns that are not finite")
    frame = pd.DataFrame(means, columns=rows.columns[2:])
    frame.insert(0, "step", at[whole])
    return frame, problems


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


def _out_of_place(root: Path) -> list[str]:
    """Names beside the seeds of a variant that are no seeds; hidden files are nobody's business."""
    known = {folder.path for folder in seed_folders(root)}
    return [
        f"{path.relative_to(root).as_posix()}: not a seed's folder"
        for variant in sorted({path.parent for path in known})
        for path in names_in(variant)
        if path not in known and path.name != ASKED and not path.name.startswith(".")
    ]


def refuse_mixtures(rows: Sequence[Mapping[Any, Any]]) -> None:
    """Refuse seeds of one cell with different specs, and variants that met different versions of one task.

    Raises:
        MixedRuns: the first that was found.
    """
    first: dict[tuple[str, str], Mapping[Any, Any]] = {}
    tasks: dict[str, Mapping[Any, Any]] = {}
    for row in (row for row in rows if row["spec"]):
        other = first.setdefault((row["environment"], row["variant"]), row)
        for name, a, b in [] if other["hash"] == row["hash"] else spec_differences(other["spec"], row["spec"]):
            if name != "seed":
                paths = [Path(one["path"]) for one in (other, row)]
                one_cell = paths[0].parent == paths[1].parent
                here, there = (path.name if one_cell else path.as_posix() for path in paths)
                remedy = "keep different specs under different names" if one_cell else "they are no seeds of one cell"
                values = f"{name} is {text(a)} in {here} and {text(b)} in {there}"
                raise MixedRuns(f"{row['variant']} on {row['environment']}: {values}; {remedy}")
        other = tasks.setdefault(row["environment"], row)
        here, there = (_task(one["spec"]["environment"]) for one in (row, other))
        if here != there:
            raise MixedRuns(
                f"{row['environment']}: the task is {there} for {other['variant']} and {here} for {row['variant']}; "
                "keep different tasks under different names"
            )


def _task(environment: dict[str, Any]) -> str:
    """What an environment's name and keywords do not say: its id and what data it is made from."""
    return " made from ".join(environment[key] for key in ("id", "data") if key in environment)
