"""All runs of a folder as pandas frames: one row per seed, one row per evaluation.

Whatever a directory holds is loaded: finished, running, interrupted and failed seeds, empty ones, damaged ones. What
cannot be used is named in `problems` and counts as a seed that is not done; nothing is dropped in silence. Only runs of
different specs under one name are refused, since they must not be pooled.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from savo_bench.results import metrics
from savo_bench.results.format import (
    ASKED,
    CorruptFile,
    OtherSchema,
    SeedFolder,
    State,
    cells_asked,
    label,
    read_csv,
    seed_folders,
    spec_differences,
    text,
)

EPISODE_COLUMNS = ["step", "episode", "return", "length"]  # those every evals.csv begins with; metrics follow
COSTS = ["peak_memory", "action_seconds", "parameters"]  # NaN where status.json does not have them
RUN_COLUMNS = [
    "environment",
    "variant",
    "algorithm",
    "seed",
    "state",  # done, running, interrupted, failed, missing (never began) or unreadable
    "reason",
    "step",
    "steps",
    "resumed_from",
    "evaluations",
    "final",
    "last10",
    "best",
    "area",
    "seconds",  # of training, over all attempts
    "steps_per_s",
    "pack",  # how many seeds shared that time
    *COSTS,
    "profile",
    "host",
    "device",
    "hash",
    "spec",
    "provenance",
    "path",
]
EVAL_COLUMNS = ["environment", "variant", "seed", "step", "return", "length"]


class MixedRuns(ValueError):
    """Runs of one variant on one environment have different specs and must not be pooled."""


@dataclass(frozen=True)
class Runs:
    """What a folder of runs holds."""

    runs: pd.DataFrame  # a row per seed folder, RUN_COLUMNS; spec and provenance are dictionaries or None
    # a row per seed and evaluation, EVAL_COLUMNS and the environments' metrics; means over episodes
    evals: pd.DataFrame
    problems: list[str]  # a line per file that is damaged or out of place


def load(root: Path, now: float | None = None) -> Runs:
    """Read every seed under runs/<name>; `now` (unix time) decides who is still alive, by default the clock.

    Raises:
        MixedRuns: a cell holds runs of different configs or budgets; the field is named.
    """
    root = Path(root)
    rows: list[dict[str, Any]] = []
    evals: list[pd.DataFrame] = []
    problems = _out_of_place(root)
    for folder in seed_folders(root):
        row, evaluations, wrong = _load_seed(root, folder, now)
        rows.append(row)
        problems += [line.replace(f"{root}/", "") for line in wrong]
        if len(evaluations):
            names = {"environment": row["environment"], "variant": row["variant"], "seed": row["seed"]}
            evals.append(evaluations.assign(**names))
    for asked in cells_asked(root):
        cell = SeedFolder.of(root, asked.environment, asked.variant, 0).path.parent.relative_to(root).as_posix()
        there = {row["seed"] for row in rows if Path(row["path"]).parent.as_posix() == cell}
        for seed in sorted(set(asked.seeds) - there):
            names = {"environment": asked.environment, "variant": asked.variant}
            rows.append(
                _empty_row(f"{cell}/seed-{seed:04d}", seed) | names | {"state": "missing", "reason": "never began"}
            )
    _name_the_nameless(rows)
    _refuse_mixtures(rows)
    runs = pd.DataFrame(rows, columns=RUN_COLUMNS)
    frame = pd.concat(evals, ignore_index=True) if evals else pd.DataFrame(columns=EVAL_COLUMNS)
    order = ["environment", "variant", "seed"]
    return Runs(
        runs.sort_values(order, kind="stable", ignore_index=True),
        frame[[*EVAL_COLUMNS, *sorted(set(frame.columns) - set(EVAL_COLUMNS))]].sort_values(
            [*order, "step"], kind="stable", ignore_index=True
        ),
        problems,
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
            environment, variant = _labels(run["spec"])
            names = {"environment": environment, "variant": variant, "seed": folder.seed}
            frames.append(frame.assign(**names)[[*names, *frame.columns]])
    return pd.concat(frames[1:] or frames, ignore_index=True)


# ---- one seed


def _load_seed(root: Path, folder: SeedFolder, now: float | None) -> tuple[dict[str, Any], pd.DataFrame, list[str]]:
    """A seed's row, its evaluations (step, return, length, metrics) and what is wrong with it."""
    row = _empty_row(folder.path.relative_to(root).as_posix(), folder.seed)
    evaluations, problems = pd.DataFrame(), []
    try:
        run = folder.read_run()
        if run is None:
            return row | {"state": "missing", "reason": "has no run.json"}, evaluations, problems
        spec, provenance = run["spec"], run["provenance"]
        environment, variant = _labels(spec)
        expected = SeedFolder.of(root, environment, variant, spec["seed"]).path
        if expected != folder.path:
            raise CorruptFile(f"{folder.path}: its run.json belongs to {expected}: copied or renamed?")
        row |= {"environment": environment, "variant": variant, "algorithm": spec["algorithm"]["name"]}
        row |= {"steps": spec["budget"]["steps"], "profile": spec["budget"]["profile"], "hash": run["hash"]}
        row |= {"spec": spec, "provenance": provenance}
        row |= {key: provenance.get(key) for key in ("host", "device")}
        evaluations, problems = _evaluations(folder, spec["budget"]["eval_episodes"])
        status = folder.read_status()
        if status is not None:
            row |= {"step": status["step"], "resumed_from": status.get("resumed_from", 0)}
            row |= {key: _number(status.get(key)) for key in ("seconds", "steps_per_s", *COSTS)}
            row |= {"pack": len(status.get("owner", {}).get("pack") or (0,))}
        state = folder.state(now)
    except (CorruptFile, OtherSchema, OSError) as error:
        problem = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        problems = [problem]
        state = State("unreadable", problem.replace(f"{root}/", ""))
    row |= {"state": state.name, "reason": state.reason or ""}
    if len(evaluations):
        returns = evaluations["return"].to_numpy()
        row |= {"evaluations": len(returns), "final": metrics.final(returns), "last10": metrics.last10(returns)}
        row |= {"best": metrics.best(returns), "area": metrics.area(evaluations["step"], returns)}
    return row, evaluations, problems


def _empty_row(path: str, seed: int) -> dict[str, Any]:
    numbers = {"step": 0, "steps": 0, "resumed_from": 0, "evaluations": 0, "pack": 1}
    unknown = dict.fromkeys(("final", "last10", "best", "area", "seconds", "steps_per_s", *COSTS), np.nan)
    return dict.fromkeys(RUN_COLUMNS) | numbers | unknown | {"path": path, "seed": seed, "reason": ""}


def _evaluations(folder: SeedFolder, episodes: int) -> tuple[pd.DataFrame, list[str]]:
    """A seed's evaluations, means over episodes, and what is wrong with them. Half an evaluation counts as none."""
    try:
        rows = read_csv(folder.evals_csv)
    except FileNotFoundError:
        return pd.DataFrame(), []
    path = folder.evals_csv
    problems = [rows.attrs["torn"]] if "torn" in rows.attrs else []
    if len(rows.columns) and list(rows.columns[: len(EPISODE_COLUMNS)]) != EPISODE_COLUMNS:
        raise CorruptFile(f"{path}: its columns do not begin with {','.join(EPISODE_COLUMNS)}")
    if len(rows) == 0:
        return pd.DataFrame(), problems
    order = rows[["step", "episode"]].to_numpy()
    apart = np.diff(order, axis=0)
    if not ((apart[:, 0] > 0) | (apart[:, 0] == 0) & (apart[:, 1] > 0)).all():
        raise CorruptFile(f"{path}: its steps and episodes are not in order, each once")
    at, counts = np.unique(rows["step"].to_numpy(), return_counts=True)
    whole = counts == episodes
    if not whole.all():
        steps = ", ".join(map(str, at[~whole]))
        problems.append(f"{path}: evaluations without all {episodes} episodes left out, at step {steps}")
    kept = rows.drop(columns=["step", "episode"]).to_numpy(dtype=float)[np.repeat(whole, counts)]
    means = kept.reshape(-1, episodes, kept.shape[1]).mean(axis=1)
    if not np.isfinite(means[:, 0]).all():
        problems.append(f"{path}: holds returns that are not finite")
    frame = pd.DataFrame(means, columns=rows.columns[2:])
    frame.insert(0, "step", at[whole])
    return frame, problems


def _labels(spec: dict[str, Any]) -> tuple[str, str]:
    """The names of a spec's environment and variant."""
    return label(spec["environment"]["name"], spec["environment"]["keywords"]), spec["algorithm"]["variant"]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan


# ---- all seeds


def _out_of_place(root: Path) -> list[str]:
    """Names beside the seeds of a variant that are no seeds; hidden files are nobody's business."""
    known = {folder.path for folder in seed_folders(root)}
    return [
        f"{path.relative_to(root).as_posix()}: not a seed's folder"
        for variant in sorted({path.parent for path in known})
        for path in sorted(variant.iterdir())
        if path not in known and path.name != ASKED and not path.name.startswith(".")
    ]


def _name_the_nameless(rows: list[dict[str, Any]]) -> None:
    """Give a seed whose run.json is no use the names of its neighbours, so that its cell is counted as incomplete."""
    names = {Path(row["path"]).parent: row for row in rows if row["environment"]}
    names |= {Path(row["path"]).parent: row for row in rows if row["spec"]}  # these know the steps, too
    for row in rows:
        if not row["spec"]:
            parent = Path(row["path"]).parent
            neighbour = names.get(parent, {"environment": parent.parent.name, "variant": parent.name, "steps": 0})
            row |= {key: neighbour[key] for key in ("environment", "variant", "steps")}


def _refuse_mixtures(rows: list[dict[str, Any]]) -> None:
    """Refuse seeds of one cell with different specs, and variants that met different versions of one task."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    tasks: dict[str, dict[str, Any]] = {}
    for row in (row for row in rows if row["spec"]):
        other = first.setdefault((row["environment"], row["variant"]), row)
        for field, a, b in [] if other["hash"] == row["hash"] else spec_differences(other["spec"], row["spec"]):
            if field != "seed":
                raise MixedRuns(
                    f"{row['variant']} on {row['environment']}: {field} is {text(a)} in {Path(other['path']).name} and "
                    f"{text(b)} in {Path(row['path']).name}; keep different specs under different names"
                )
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
