"""Evaluations in the files of other programs: Stable-Baselines3's evaluations.npz, CSV, TensorBoard's event files.

Each reader gives a frame with a row per evaluation episode: step, episode, return, length and perhaps success, ordered
by step and episode. Where a file has only means of evaluations, an evaluation is one episode. What is not known is NaN.
"""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from savo_bench.results.files import said
from savo_bench.results.state import EPISODE_COLUMNS

# what a column or tag may be called, the first that is there
NAMES = {
    "step": ("step", "global_step", "timesteps", "total_timesteps", "time/total_timesteps"),
    "episode": ("episode",),
    "return": ("return", "eval/mean_reward", "eval/return", "mean_reward", "episodic_return", "charts/episodic_return"),
    "length": ("length", "eval/mean_ep_length", "eval/length"),
    "success": ("success", "eval/success_rate", "eval/success"),
    "seed": ("seed",),
}
LARGEST = 2**53  # a step above is no longer exact as a float


class NotReadable(ValueError):
    """A file is not what it was said to be; the message names it and what is wrong."""


def from_sb3(path: Path, names: Mapping[str, str]) -> dict[int | None, pd.DataFrame]:
    """Evaluations of Stable-Baselines3's `EvalCallback`: timesteps (E,), results and ep_lengths (E, episodes).

    Args:
        path: evaluations.npz.
        names: Nothing, as the names in such a file are fixed.

    Raises:
        NotReadable: it is no such file.
    """
    if names:
        raise NotReadable(f"{path}: an npz of Stable-Baselines3 has names of its own; --columns is for the others")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        why = _first_line(error) if isinstance(error, OSError) else "it holds something else"
        raise NotReadable(f"{path}: no npz file of numbers: {why}") from None
    if lacking := [name for name in ("timesteps", "results") if name not in arrays]:
        raise NotReadable(f"{path}: has no {' and no '.join(lacking)}, as Stable-Baselines3's evaluations.npz has")
    steps, returns = arrays["timesteps"], arrays["results"]
    if returns.ndim != 2 or steps.shape != returns.shape[:1]:
        shapes = f"timesteps {steps.shape} and results {returns.shape}"
        raise NotReadable(f"{path}: {shapes}, where (evaluations,) and (evaluations, episodes) belong")
    columns = {"return": returns}
    columns |= {to: arrays[of] for to, of in (("length", "ep_lengths"), ("success", "successes")) if of in arrays}
    if wrong := [name for name, values in columns.items() if values.shape != returns.shape]:
        raise NotReadable(f"{path}: {wrong[0]} has the shape {columns[wrong[0]].shape}, and results {returns.shape}")
    episodes = returns.shape[1]
    flat = {"step": np.repeat(steps, episodes), "episode": np.tile(np.arange(episodes), len(steps))}
    return {None: _checked(path, pd.DataFrame(flat | {name: values.ravel() for name, values in columns.items()}))}


def from_csv(path: Path, names: Mapping[str, str]) -> dict[int | None, pd.DataFrame]:
    """Evaluations of a CSV file, by its column of seeds; by None where it has none.

    Args:
        path: The file: a row per evaluation, or per episode where it has that column.
        names: What columns are called, by the names here, where they have none of the usual names.

    Raises:
        NotReadable: it is no such file, a column is not there, or it holds several variants or environments.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise NotReadable(f"{path}: no CSV file: {_first_line(error)}") from None
    for name in ("environment", "variant"):
        if name in table and table[name].nunique() > 1:
            several = ", ".join(map(str, table[name].unique()[:4]))
            raise NotReadable(f"{path}: holds more than one {name} ({several}): keep the rows of one")
    columns = {name: found for name in NAMES if (found := _column(path, name, names, table.columns))}
    frame = pd.DataFrame({name: pd.to_numeric(table[found], errors="coerce") for name, found in columns.items()})
    frame = frame[frame["return"].notna()]  # a log of everything has lines of other things
    if "seed" not in frame:
        return {None: _checked(path, frame)}
    if not len(frame):
        raise NotReadable(f"{path}: has no number in {columns['return']}")
    if not (frame["seed"] >= 0).all() or (frame["seed"] % 1 != 0).any():
        raise NotReadable(f"{path}: seeds must be whole numbers from 0 on")
    seeds = frame.pop("seed").to_numpy(dtype=int)
    return {int(seed): _checked(path, frame[seeds == seed]) for seed in np.unique(seeds)}


def from_tensorboard(path: Path, names: Mapping[str, str]) -> dict[int | None, pd.DataFrame]:
    """Evaluations of an event file of TensorBoard, or of a folder of one run; of a step that is there twice, the last.

    Args:
        path: The file or the folder.
        names: What tags are called, by the names here, where they have none of the usual names.

    Raises:
        ModuleNotFoundError: the package tensorboard is not installed.
        NotReadable: it is no such file, or a tag is not there.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-not-found]
    from tensorboard.util.tensor_util import make_ndarray  # type: ignore[import-not-found]

    if not any("tfevents" in each.name for each in (path.iterdir() if path.is_dir() else [path])):
        raise NotReadable(f"{path}: no event file of TensorBoard, whose name has tfevents, is there")
    try:
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0}).Reload()
        tags = events.Tags()
        found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags["scalars"]}
        for tag in tags["tensors"]:  # as newer writers keep scalars
            values = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
            if all(value.ndim == 0 and value.dtype.kind in "fiu" for _, value in values):
                found[tag] = [(step, float(value)) for step, value in values]
    except Exception as error:
        raise NotReadable(f"{path}: cannot be read as an event file: {_first_line(error)}") from None
    columns = {}
    for name in ("return", "length", "success"):
        tag = _column(path, name, names, sorted(found))
        if tag:
            columns[name] = pd.Series(dict(found[tag]), dtype=float)
    frame = pd.DataFrame(columns).rename_axis("step").reset_index()
    return {None: _checked(path, frame[frame["return"].notna()])}


READERS: dict[str, Callable[[Path, Mapping[str, str]], dict[int | None, pd.DataFrame]]] = {
    "sb3-npz": from_sb3,
    "csv": from_csv,
    "tensorboard": from_tensorboard,
}


def _column(path: Path, name: str, given: Mapping[str, str], there: "pd.Index | list[str]") -> str | None:
    """The column or tag that holds something; None where that is no matter."""
    if name in given and given[name] not in there:
        raise NotReadable(f"{path}: has no {given[name]!r}; there are: {_some(there)}")
    found = given.get(name) or next((known for known in NAMES[name] if known in there), None)
    if found is None and name in ("step", "return"):
        raise NotReadable(f"{path}: say where the {name} is, as --columns {name}=NAME; there are: {_some(there)}")
    return found


def _some(names: "pd.Index | list[str]") -> str:
    return ", ".join(map(str, names[:12])) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "none"


def _checked(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """The evaluations in order and with every column, as evals.csv has them.

    Raises:
        NotReadable: a step or a return is no number that can be one.
    """
    if len(frame) == 0:
        raise NotReadable(f"{path}: holds no evaluation")
    steps, returns = frame["step"].to_numpy(dtype=float), frame["return"].to_numpy(dtype=float)
    if not np.isfinite(returns).all():
        raise NotReadable(f"{path}: the return at step {steps[~np.isfinite(returns)][0]:g} is not finite")
    if not ((steps >= 0) & (steps < LARGEST) & (steps % 1 == 0)).all() or steps.max() == 0:
        raise NotReadable(f"{path}: steps must be whole numbers, the last one above 0")
    frame = frame.assign(step=steps.astype(np.int64), **{"return": returns})
    sizes = frame.groupby("step").size()
    if "episode" not in frame or sizes.nunique() > 1:
        if sizes.nunique() > 1:  # an evaluation is then its mean
            frame = frame.drop(columns="episode", errors="ignore").groupby("step", as_index=False).mean()
        frame = frame.assign(episode=frame.groupby("step").cumcount())
    frame = frame.assign(length=frame.get("length", np.nan))
    others = [name for name in frame.columns if name not in EPISODE_COLUMNS]
    frame = frame[[*EPISODE_COLUMNS, *others]].sort_values(["step", "episode"], kind="stable", ignore_index=True)
    frame["episode"] = frame.groupby("step").cumcount()
    return frame


def _first_line(error: Exception) -> str:
    text = said(error) if isinstance(error, OSError) else str(error)
    return text.splitlines()[0] if text else type(error).__name__
