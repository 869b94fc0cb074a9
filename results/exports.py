"""Runs in the files of other programs: CSV, TensorBoard, Weights & Biases, MLflow, Trackio.

An export is made from the run directory, after the fact, and the run directory stays the truth: nothing here is ever
read back. It is made offline, into a folder. Exported again, a seed that is the same is left alone, and one that has
grown is replaced, so nothing is there twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from savo_bench.results.files import CorruptFile, make_folder, read_json, replacing, write_json
from savo_bench.results.format import SeedFolder, text
from savo_bench.results.frame import Runs, load, load_train

SEED = ["environment", "variant", "seed"]
DONE = "exported.json"  # beside what was exported of a seed: of which content


class PackageFails(RuntimeError):
    """The package that writes an export fails; the message is its own."""


@dataclass(frozen=True)
class Seed:
    """What is exported of a seed.

    Attributes:
        project: The name of the set of runs.
        environment: Its label.
        variant: Its label.
        seed: Its number.
        config: Its whole spec, flat, by dotted names; values are JSON's own or text.
        points: A row per step, ordered: `step`, `seconds` of training by then, and a column per scalar, which is
            called `eval/...` or `train/...`; NaN where it has no value at a step.
    """

    project: str
    environment: str
    variant: str
    seed: int
    config: dict[str, Any]
    points: pd.DataFrame

    @property
    def key(self) -> str:
        """16 letters that name the seed in every export of it."""
        return _hash([self.project, self.environment, self.variant, self.seed])[:16]

    @property
    def name(self) -> str:
        """The seed in words."""
        return f"{self.environment} {self.variant} seed {self.seed}"

    @property
    def content(self) -> str:
        """A hash of what is exported."""
        return _hash([self.config, self.points.to_csv(index=False)])

    def folder(self, out: Path) -> Path:
        """Its folder in an export."""
        return SeedFolder.of(out, self.environment, self.variant, self.seed).path

    def scalars(self) -> Iterator[tuple[int, float, dict[str, float]]]:
        """Step, seconds, and the scalars that have a finite value there."""
        names = [str(name) for name in self.points.columns[2:]]
        for step, seconds, *values in self.points.to_numpy():
            known = {name: float(value) for name, value in zip(names, values, strict=True) if np.isfinite(value)}
            if known:
                yield int(step), float(seconds), known


@dataclass(frozen=True)
class Exported:
    """What an export did: how many seeds were written, how many were there already, and a line per problem."""

    written: int
    unchanged: int
    problems: list[str]


def export(root: Path, out: Path, to: str) -> Exported:
    """Export runs/<name> into a folder, which is made.

    Args:
        root: runs/<name>.
        out: The folder.
        to: One of TARGETS.

    Raises:
        ModuleNotFoundError: the package that writes it is not installed.
        PackageFails: it fails.
        MixedRuns: as `frame.load`.
        OSError: the runs cannot be read, or the folder cannot be written.
    """
    runs, train = load(root), load_train(root)
    if to == "csv":
        return _to_csv(runs, train, out)
    written = unchanged = 0
    with TARGETS[to](out) as write:
        for seed in _seeds(Path(os.path.realpath(root)).name, runs, train):
            folder = seed.folder(out)
            if _done(folder) == seed.content:
                unchanged += 1
                continue
            make_folder(folder)
            (folder / DONE).unlink(missing_ok=True)
            try:
                write(seed, folder)
            except OSError:
                raise
            except Exception as error:  # of a package that is not ours
                raise PackageFails((str(error) or type(error).__name__).splitlines()[0]) from error
            write_json(folder / DONE, {"content": seed.content})
            written += 1
    return Exported(written, unchanged, runs.problems)


def _done(folder: Path) -> str | None:
    """The hash of what a folder has the export of."""
    try:
        done = read_json(folder / DONE)
    except (FileNotFoundError, NotADirectoryError, CorruptFile):
        return None
    return done.get("content") if isinstance(done, dict) else None


def _seeds(project: str, runs: Runs, train: pd.DataFrame) -> Iterator[Seed]:
    """Every seed that was evaluated or has scalars."""
    evaluated, trained = (dict(iter(table.groupby(SEED))) for table in (runs.evals, train))
    for row in runs.runs.to_dict("records"):
        key = row["environment"], row["variant"], row["seed"]
        own = evaluated.get(key), trained.get(key)
        if row["spec"] is not None and any(table is not None for table in own):
            points = _points(*own)
            config = _flat(row["spec"]) | {"hash": row["hash"]}
            yield Seed(project, *key, config, points)


def _points(evals: pd.DataFrame | None, train: pd.DataFrame | None) -> pd.DataFrame:
    """`Seed.points` of a seed's evaluations and scalars."""
    evals = pd.DataFrame({"step": []}) if evals is None else evals.drop(columns=SEED)
    train = pd.DataFrame({"step": [], "seconds": []}) if train is None else train.drop(columns=SEED)
    evals = evals.rename(columns={name: f"eval/{name}" for name in evals.columns if name != "step"})
    scalars = train.drop(columns="seconds")
    scalars = scalars.rename(columns={name: f"train/{name}" for name in scalars.columns if name != "step"})
    points = evals.merge(scalars, how="outer", on="step").sort_values("step", kind="stable", ignore_index=True)
    points = points.dropna(axis="columns", how="all")
    known = train.dropna(subset="seconds")
    seconds = np.interp(points["step"], known["step"], known["seconds"]) if len(known) else np.zeros(len(points))
    points.insert(1, "seconds", seconds)
    return points.astype({"step": np.int64})


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A spec by dotted names."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item if isinstance(item, bool | int | float | str) else text(item)
    return flat


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _to_csv(runs: Runs, train: pd.DataFrame, out: Path) -> Exported:
    """Three tidy tables: seeds with their specs, evaluations, scalars of training; each replaced as a whole."""
    known = runs.runs[runs.runs["spec"].notna()]
    seeds = known[[*SEED, "state", "steps", "step", "seconds", "hash"]].reset_index(drop=True)
    specs = pd.DataFrame([{k: v for k, v in _flat(spec).items() if k != "seed"} for spec in known["spec"]])
    scalars = train.melt([*SEED, "step", "seconds"], var_name="scalar").dropna(subset="value")
    scalars = scalars.sort_values([*SEED, "scalar", "step"], kind="stable")
    tables = {"seeds": seeds.join(specs), "evaluations": runs.evals, "scalars": scalars}
    make_folder(out)
    for name, table in tables.items():
        with replacing(out / f"{name}.csv", durable=False) as file:
            file.write(table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace"))
    return Exported(len(seeds), 0, runs.problems)


Writer = Callable[[Seed, Path], None]  # writes a seed into a folder of its own, in place of what is there


@contextlib.contextmanager
def _tensorboard(_: Path) -> Iterator[Writer]:
    """An event file per seed; its clock is the time of training."""
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-not-found]
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-not-found]
    from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-not-found]

    def write(seed: Seed, folder: Path) -> None:
        with replacing(folder / "events.out.tfevents.0000000000.bench") as file:
            records = RecordWriter(file)
            records.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
            for step, seconds, scalars in seed.scalars():
                values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
                event = Event(wall_time=seconds, step=step, summary=Summary(value=values))
                records.write(event.SerializeToString())
            records.flush()

    yield write


@contextlib.contextmanager
def _wandb(_: Path) -> Iterator[Writer]:
    """An offline run per seed, which `wandb sync` uploads; its id is always the same."""
    import wandb  # type: ignore[import-not-found]

    def write(seed: Seed, folder: Path) -> None:
        shutil.rmtree(folder / "wandb", ignore_errors=True)
        settings = wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True
        )
        run = wandb.init(
            mode="offline", dir=folder, project=seed.project, id=seed.key, name=seed.name, config=seed.config,
            group=f"{seed.environment} {seed.variant}", settings=settings, reinit="finish_previous",
        )  # fmt: skip
        for step, seconds, scalars in seed.scalars():
            run.log(scalars | {"seconds": seconds}, step=step)
        run.finish()

    yield write


@contextlib.contextmanager
def _mlflow(out: Path) -> Iterator[Writer]:
    """A run per seed in a database, mlflow.db, for `mlflow ui --backend-store-uri sqlite:///.../mlflow.db`."""
    from mlflow.entities import Metric, Param, RunTag  # type: ignore[import-not-found]
    from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]

    make_folder(out)
    client = MlflowClient(tracking_uri=f"sqlite:///{(out / 'mlflow.db').resolve()}")

    def write(seed: Seed, _: Path) -> None:
        found = client.get_experiment_by_name(seed.project)
        where = (out / "artifacts").resolve().as_uri()
        experiment = found.experiment_id if found else client.create_experiment(seed.project, artifact_location=where)
        for run in client.search_runs([experiment], f"tags.`savo_bench.key` = '{seed.key}'"):
            client.delete_run(run.info.run_id)
        tags = {"savo_bench.key": seed.key, "environment": seed.environment, "variant": seed.variant}
        run = client.create_run(experiment, start_time=0, tags=tags, run_name=seed.name).info.run_id
        metrics = [
            Metric(name, value, round(1000 * seconds), step)
            for step, seconds, scalars in seed.scalars()
            for name, value in scalars.items()
        ]
        params = [Param(name, str(value)) for name, value in seed.config.items()]
        client.log_batch(run, params=params, tags=[RunTag("seed", str(seed.seed))])
        for first in range(0, len(metrics), 1000):  # as many as MLflow takes at once
            client.log_batch(run, metrics=metrics[first : first + 1000])
        client.set_terminated(run, end_time=0)

    yield write


@contextlib.contextmanager
def _trackio(out: Path) -> Iterator[Writer]:
    """A run per seed in Trackio's own database, which lies in the folder: TRACKIO_DIR=... trackio show."""
    os.environ["TRACKIO_DIR"] = str(out.resolve())  # is read when it is imported
    import trackio  # type: ignore[import-not-found]

    def write(seed: Seed, _: Path) -> None:
        with contextlib.suppress(ValueError):  # no such project yet
            for run in trackio.Api().runs(seed.project):
                if run.name == seed.name:
                    run.delete()
        with contextlib.redirect_stdout(None):
            trackio.init(
                seed.project, name=seed.name, group=f"{seed.environment} {seed.variant}", config=seed.config,
                embed=False, auto_log_gpu=False, auto_log_cpu=False,
            )  # fmt: skip
            for step, seconds, scalars in seed.scalars():
                trackio.log(scalars | {"seconds": seconds}, step=step)
            trackio.finish()

    yield write


TARGETS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Writer]]] = {
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
KINDS: Sequence[str] = ("csv", *TARGETS)
