"""Signs in train.csv that a maximiser of several proposals, or an approximate search, does not work as it should.

The thresholds for maximisers were set on 20 seeds of SAVO that work (both restricted pendulums, under the defaults
before November 2026): in the last quarter of their training the proposals lay .22 to 1.07 apart, the surrogates' error
fell to between .5 and .8 of what it had been in the second quarter, and no actor won more than 85 % of the states.
Actors whose proposals lie together at the start are another sign: they differ only by what later updates make of it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from savo_bench.results.files import CorruptFile, csv_columns, read_csv, said
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import Runs

TOGETHER = 0.05  # mean distance in the first lines, same units. ours: a quarter of the exploration noise (noise_sigma)
COLLAPSED = 0.01  # mean distance, in units of the maximal action. ours: the exploration noise ends there (noise_final)
GROWING = 1.5  # error relative to |q|, last quarter over second. ours: twice what seeds that work show
MISSED = 0.9  # share of the nearest items that are found. ours: below it one in ten is another than was asked for
DOMINANT = 0.95  # share of states. ours: the rest then matters in fewer than one state in twenty
_FIRST = 2  # lines of train.csv. ours: a hundredth of a training; later, updates may have parted the proposals
_ROWS = 8  # lines of train.csv below which there are no quarters to speak of


class Sign(NamedTuple):
    """One sign: the column that shows it, its words for a reader, and from which value on it shows."""

    column: str
    what: str
    limit: float
    above: bool  # whether it shows above the limit or below it

    def shows(self, value: float) -> bool:
        """Whether a seed has it; a value that is not known is no sign."""
        return bool(value > self.limit if self.above else value < self.limit)


SIGNS = (
    Sign("first_spread", "proposals lie together at the start", TOGETHER, above=False),
    Sign("spread", "proposals collapse onto each other", COLLAPSED, above=False),
    Sign("error_growth", "the surrogates' error grows", GROWING, above=True),
    Sign("top_share", "one actor wins nearly all states", DOMINANT, above=True),
    Sign("recall", "the approximate search misses nearest items", MISSED, above=False),
)


def diagnose(root: Path, runs: Runs) -> pd.DataFrame:
    """A row per seed whose train.csv has columns about several proposals or about an approximate search.

    Columns: environment, variant, seed; `first_spread` and `spread` (mean distance of the proposals in the first two
    lines and in the last quarter of the lines, in units of the maximal action), `error_growth` (surrogate error over
    |q|, last quarter over second quarter), `top_share` (largest share of states that one actor wins in the last
    quarter), `recall` (share of the nearest items that an approximate search found in the last quarter), `top` (which
    actor). NaN where not recorded. Its
    `attrs["problems"]` has a line per train.csv that cannot be read.
    """
    rows, problems = [], []
    for row in runs.runs[runs.runs["spec"].notna()].to_dict("records"):
        try:
            found = list(_signs(SeedFolder(Path(root) / row["path"]).train_csv))
        except (OSError, CorruptFile) as error:
            problem = said(error) if isinstance(error, OSError) else str(error)
            problems.append(problem.replace(f"{root}/", ""))
            continue
        rows += [{name: row[name] for name in ("environment", "variant", "seed")} | signs for signs in found]
    frame = pd.DataFrame(rows, columns=["environment", "variant", "seed", *(sign.column for sign in SIGNS), "top"])
    frame.attrs["problems"] = problems
    return frame


def warnings(diagnoses: pd.DataFrame) -> pd.DataFrame:
    """A row per cell and sign that some of its seeds show: environment, variant, warning, seeds, worst, threshold."""
    rows = []
    for (environment, variant), cell in diagnoses.groupby(["environment", "variant"], sort=True):
        for sign in SIGNS:
            values = cell[sign.column].to_numpy(dtype=float)
            shown = [sign.shows(value) for value in values]
            if any(shown):
                worst = float(np.nanmax(values) if sign.above else np.nanmin(values))
                rows.append({
                    "environment": environment,
                    "variant": variant,
                    "warning": sign.what,
                    "seeds": f"{sum(shown)} of {np.isfinite(values).sum()}",
                    "worst": f"{sign.column} {worst:.3g}",
                    "threshold": f"{'above' if sign.above else 'below'} {sign.limit:g}",
                })  # fmt: skip
    return pd.DataFrame(rows, columns=["environment", "variant", "warning", "seeds", "worst", "threshold"])


def _signs(path: Path) -> Iterator[dict[str, Any]]:
    """The signs in one seed's train.csv; none where there is no such file, or no column of either kind in it.

    Raises:
        CorruptFile, OSError: it cannot be read.
    """
    columns = csv_columns(path)
    wins = [name for name in columns if name.startswith("wins_")]
    if not {"spread", "surrogate_error", "recall"} & set(columns) and len(wins) < 2:
        return
    table = read_csv(path)
    if len(table) < _ROWS:
        return
    second, last = (table.iloc[len(table) * i // 4 : len(table) * (i + 1) // 4] for i in (1, 3))
    shares = last[wins].mean() if len(wins) > 1 else pd.Series([np.nan], index=[""])
    yield {
        "first_spread": table["spread"].iloc[:_FIRST].mean() if "spread" in table else np.nan,
        "spread": last["spread"].mean() if "spread" in table else np.nan,
        "error_growth": _relative_error(last) / _relative_error(second),
        "top_share": shares.max(),
        "recall": last["recall"].mean() if "recall" in table else np.nan,
        "top": shares.idxmax() if shares.notna().any() else "",
    }


def _relative_error(part: pd.DataFrame) -> float:
    """Surrogate error relative to the size of Q, which grows as returns do; NaN where there is none."""
    if not {"surrogate_error", "q"} <= set(part.columns) or not part["q"].abs().mean() > 0:
        return np.nan
    error = part["surrogate_error"].mean() / part["q"].abs().mean()
    return float(error) if error > 0 else np.nan
