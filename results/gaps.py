"""How rugged Q was where policies went, and how far below its maxima their proposals lay.

During training: from the columns of train.csv that only the rows of evaluations fill (`Agent.gaps` in algos/ says what
they are). Of final policies: from the gaps.csv that `bench gap` writes into the folder of a name.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from savo_bench.results import metrics
from savo_bench.results.files import CorruptFile, csv_columns, read_bytes, read_csv, said
from savo_bench.results.format import GAPS, SeedFolder
from savo_bench.results.frame import Runs

COLUMNS = ("maxima", "stuck", "first_gap", "best_gap")  # maxima in a state, share of states, shares of Q's span
ONE = 1.5  # maxima on average. ours: below it most states have a single one
SEARCHED = ("learnt_gap", "exact_gap", "independent_gap")  # shares of Q's span, of ascents in place of later actors
SURROGATES = ("exact_maxima", "learnt_maxima", "surrogate_error")  # maxima in a state, share of Q's span
RETURNS = ("return", "first_return")
OF_POLICIES = (*COLUMNS, *SEARCHED, *SURROGATES, *RETURNS)
PLAIN = ("maxima", "exact_maxima", "learnt_maxima", *RETURNS)  # the others are shares
SAME_RETURN = 1e-6  # ours: share of a return; float64 in text and back, added up in another order
_SEED = ["environment", "variant", "seed"]


def of_seeds(root: Path, runs: Runs) -> pd.DataFrame:
    """A row per seed that is done and recorded them: environment, variant, seed, COLUMNS.

    Means over the rows of as many last evaluations as `last10` takes; NaN where a task has no such number. Its
    `attrs["problems"]` has a line per train.csv that cannot be read.
    """
    rows, problems = [], []
    for row in runs.runs[runs.runs["state"] == "done"].to_dict("records"):
        try:
            recorded = _recorded(SeedFolder(Path(root) / row["path"]).train_csv)
        except (OSError, CorruptFile) as error:
            problem = said(error) if isinstance(error, OSError) else str(error)
            problems.append(problem.replace(f"{root}/", ""))
            continue
        if len(recorded):
            last = recorded.iloc[-metrics.last10_length(len(recorded)) :]
            rows.append({name: row[name] for name in _SEED} | last.mean().to_dict())
    frame = pd.DataFrame(rows, columns=[*_SEED, *COLUMNS])
    frame.attrs["problems"] = problems
    return frame


def _recorded(path: Path) -> pd.DataFrame:
    """The rows of one train.csv that hold them, with COLUMNS; empty where there is no such file or column.

    Raises:
        CorruptFile, OSError: it cannot be read.
    """
    if not set(COLUMNS) <= set(csv_columns(path)):
        return pd.DataFrame(columns=list(COLUMNS))
    return read_csv(path)[list(COLUMNS)].dropna(how="all")


def of_policies(root: Path, runs: Runs) -> pd.DataFrame:
    """What `bench gap` measured of the seeds that are done: environment, variant, seed, OF_POLICIES; NaN where empty.

    Where it measured several policies of a seed, at different steps, the last one counts. Without rows if there is no
    such file. Its `attrs` have "problems", a line if the file cannot be used, and "notes", sentences about rows that
    are left out or in doubt.
    """
    rows = pd.DataFrame(columns=[*_SEED, *OF_POLICIES])
    problems: list[str] = []
    try:
        rows = _policies(Path(root) / GAPS)
    except FileNotFoundError:
        pass
    except (OSError, CorruptFile) as error:
        problem = said(error) if isinstance(error, OSError) else str(error)
        problems.append(problem.replace(f"{root}/", ""))
    done = runs.runs.loc[runs.runs["state"] == "done", [*_SEED, "final"]]
    merged = rows.merge(done, on=_SEED, how="left", indicator="known")
    known = merged[merged["known"] == "both"]
    measured, evaluated = known["return"].astype(float), known["final"].astype(float)
    others = measured.notna() & ~np.isclose(measured, evaluated, rtol=SAME_RETURN, atol=0)
    kept = known[list(rows.columns)].reset_index(drop=True)
    kept.attrs = {"problems": problems, "notes": _notes(merged[merged["known"] != "both"], known[others])}
    return kept


def _notes(unknown: pd.DataFrame, others: pd.DataFrame) -> list[str]:
    notes = []
    if len(unknown):
        notes.append(f"Left out, as this report has no such finished seed: {_seeds(unknown)}.")
    if len(others):
        notes.append(
            "The return that was measured is not that of the last evaluation, so it was measured on another kind of "
            f"processor or of another training: {_seeds(others)}."
        )
    return notes


def _seeds(rows: pd.DataFrame) -> str:
    """`savo on env-a, seeds 0, 3; td3 on env-a, seeds 1`."""
    groups = rows.groupby(["variant", "environment"], sort=True)["seed"]
    return "; ".join(
        f"{variant} on {environment}, seeds {', '.join(map(str, sorted(seeds)))}"
        for (variant, environment), seeds in groups
    )


def _policies(path: Path) -> pd.DataFrame:
    """The rows of a gaps.csv, of each seed the last one; columns that it lacks are NaN.

    Raises:
        CorruptFile, OSError: it cannot be read, or is not what `bench gap` writes.
    """
    remedy = "bench gap writes it anew"
    try:
        text = read_bytes(path).decode()
        frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False)
    except ValueError as error:  # not UTF-8, empty, or not a table
        raise CorruptFile(f"{path}: no table ({' '.join(str(error).split())}); {remedy}") from None
    missing = [name for name in (*_SEED, *COLUMNS) if name not in frame]
    if missing:
        raise CorruptFile(f"{path}: has no column {missing[0]}; {remedy}")
    for name in ("seed", "step", *OF_POLICIES):
        if name in frame:
            frame[name] = _numbers(frame, name, path, remedy)
    seeds = frame["seed"]
    if (seeds.isna() | (seeds % 1 != 0)).any():
        raise CorruptFile(f"{path}: a seed is no whole number; {remedy}")
    frame["seed"] = seeds.astype("int64")
    if "step" in frame:
        latest = frame["step"].fillna(np.inf)  # without a step it is the final policy
        frame = frame[latest == latest.groupby([frame[name] for name in _SEED]).transform("max")]
    twice = frame[frame.duplicated(_SEED)]
    if len(twice):
        raise CorruptFile(f"{path}: has {_seeds(twice)} twice; {remedy}")
    return frame.reindex(columns=[*_SEED, *OF_POLICIES])


def _numbers(frame: pd.DataFrame, name: str, path: Path, remedy: str) -> pd.Series:
    """A column as float64; NaN where it is empty."""
    texts = frame[name].fillna("")
    numbers = pd.to_numeric(texts, errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers) & (texts != "")
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0])
        raise CorruptFile(f"{path}: line {line + 2}: {name}={texts.iloc[line]!r} is no number; {remedy}")
    return numbers
