"""How rugged Q was where policies went, and how far below its maxima their proposals lay.

From the columns of train.csv that only the rows of evaluations fill (`Agent.gaps` in algos/ says what they are).
"""

from pathlib import Path

import pandas as pd

from savo_bench.results import metrics
from savo_bench.results.files import CorruptFile, csv_columns, read_csv, said
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import Runs

COLUMNS = ("maxima", "stuck", "first_gap", "best_gap")  # maxima in a state, share of states, shares of Q's span
ONE = 1.5  # maxima on average. ours: below it most states have a single one
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
