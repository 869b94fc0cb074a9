"""Operations of a training, counted: from the costs.csv that `bench cost` writes into the folder of a name.

A step takes one action, and after the warm-up as many updates as the field replay_ratio says.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from savo_bench.results.files import CorruptFile, read_bytes, said
from savo_bench.results.frame import Runs

COSTS = "costs.csv"
_COLUMNS = ("environment", "variant", "update_flops", "action_flops")
_REMEDY = "bench cost writes it anew"


class Operations(NamedTuple):
    """Floating-point operations of a seed of a cell."""

    action: float  # of a step without update
    update: float  # of a step with updates
    warmup: float  # steps without

    def by(self, steps: np.ndarray) -> np.ndarray:
        """Operations until these steps, (steps,)."""
        return self.action * steps + self.update * np.maximum(0, steps - self.warmup)


def of_runs(root: Path, runs: Runs) -> tuple[dict[tuple[str, str], Operations], list[str]]:
    """The operations of each cell that costs.csv has, by environment and variant, and a line if it cannot be used."""
    try:
        table = _read(Path(root) / COSTS)
    except FileNotFoundError:
        return {}, []
    except (OSError, CorruptFile) as error:
        problem = said(error) if isinstance(error, OSError) else str(error)
        return {}, [problem.replace(f"{root}/", "")]
    counted = {(row["environment"], row["variant"]): row for row in table.to_dict("records")}
    specs = runs.runs[runs.runs["spec"].notna()].drop_duplicates(["environment", "variant"])
    found: dict[tuple[str, str], Operations] = {}
    for row in specs[["environment", "variant", "spec"]].to_dict("records"):
        cell = str(row["environment"]), str(row["variant"])
        config: Mapping[str, object] = row["spec"]["algorithm"]["config"]
        warmup, ratio = config.get("warmup_steps", 0), config.get("replay_ratio", 1)
        if cell in counted and isinstance(warmup, int | float) and isinstance(ratio, int | float):
            own = counted[cell]
            found[cell] = Operations(own["action_flops"], own["update_flops"] * ratio, float(warmup))
    return found, []


def _read(path: Path) -> pd.DataFrame:
    """The rows of costs.csv.

    Raises:
        CorruptFile, OSError: it cannot be read, or is not what `bench cost` writes.
    """
    try:
        frame = pd.read_csv(io.StringIO(read_bytes(path).decode()), dtype=str, keep_default_na=False)
    except ValueError as error:  # not UTF-8, empty, or not a table
        raise CorruptFile(f"{path}: no table ({' '.join(str(error).split())}); {_REMEDY}") from None
    for name in _COLUMNS:
        if name not in frame:
            raise CorruptFile(f"{path}: has no column {name}; {_REMEDY}")
        if name.endswith("_flops"):
            texts = frame[name]
            frame[name] = pd.to_numeric(texts, errors="coerce").astype(float)
            wrong = ~(np.isfinite(frame[name]) & (frame[name] >= 0))
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                raise CorruptFile(f"{path}: line {at + 2}: {name}={texts.iloc[at]!r} is no number from 0 on; {_REMEDY}")
    return frame[list(_COLUMNS)]
