"""The bounds of normalised scores, and scores that others have published.

Both are committed tables in results/reference. Bounds are fixed in advance and never taken from the compared runs, so
that a score does not change when an algorithm is added.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from savo_bench.results.format import label

FOLDER = Path(__file__).parent / "reference"
BOUNDS = FOLDER / "normalisation.csv"
PUBLISHED = FOLDER / "published_scores.csv"
# the restricted tasks' ids do not name the version of their base; a test holds this to be envs.restricted's default
RESTRICTED_VERSION = "v5"
_FAMILIES = {  # by the first word of an id in the namespace SavoBench
    "Restricted": "restricted",
    "Adroit": "adroit",
    "RecSim": "recommender",
    "MovieLens": "recommender",
    "MineWorld": "discrete",
    "Landscape": "landscape",
}


class Bounds(NamedTuple):
    """The returns that count as 0 (low) and as 1 (high), and in words where each comes from."""

    low: float
    high: float
    source: str


def version(environment: dict[str, Any]) -> str:
    """The version of a task: the keyword `version` if there is one, else the version in its id.

    If the task is made from data, their name follows: `v0 ml-1m-0123456789ab`.

    Args:
        environment: The environment of a spec: name, id, keywords and perhaps data.
    """
    if "version" in environment["keywords"]:
        return str(environment["keywords"]["version"])
    if environment["id"].startswith("SavoBench/Restricted"):
        return RESTRICTED_VERSION
    version = environment["id"].rpartition("-")[2]
    return f"{version} {environment['data']}" if "data" in environment else version


def task(environment: dict[str, Any]) -> str:
    """The task of a spec's environment, its id without namespace and version: `HalfCheetah`."""
    return re.sub(r"-v\d+$", "", environment["id"].rpartition("/")[2])


def family(environment: dict[str, Any]) -> str:
    """The group of tasks that the environment of a spec belongs to, for aggregates of one group: `restricted`, ….

    For this project's own environments it is their first tag. Run folders do not hold tags, so it is read off the id; a
    test compares the two. `Hopper-v5`, Gymnasium's own, is in `control`; `Example/Line-v0` of a plug-in in `Example`.
    """
    namespace, _, name = environment["id"].rpartition("/")
    if namespace == "SavoBench":
        return next((group for word, group in _FAMILIES.items() if name.startswith(word)), "other")
    return namespace or "control"


def bounds(environment: dict[str, Any], table: Path | None = None) -> Bounds | None:
    """The bounds of a task in its version; None if none are known.

    Args:
        environment: The environment of a spec. Any keyword other than `version` makes another task.
        table: The CSV file of bounds; by default the committed one.

    Raises:
        ValueError: The table is damaged; the message names it.
    """
    table = table or BOUNDS
    if not table.exists():
        return None
    known = _read(table, ["environment", "version", "bound", "mean", "source"])
    keywords = {key: value for key, value in environment["keywords"].items() if key != "version"}
    own = (known["environment"] == label(environment["name"], keywords)) & (known["version"] == version(environment))
    rows = known[own]
    ends = {bound: rows[rows["bound"] == bound] for bound in ("low", "high")}
    if any(len(end) > 1 for end in ends.values()):
        raise ValueError(f"{table}: {environment['name']} has more than one row for a bound")
    if any(len(end) == 0 for end in ends.values()):
        return None
    low, high = (_number(table, end["mean"].iloc[0]) for end in ends.values())
    if not low < high:
        raise ValueError(f"{table}: {environment['name']}: its low bound {low} is not below its high bound {high}")
    policies = [str(end["policy"].iloc[0]) if "policy" in end else bound for bound, end in ends.items()]
    return Bounds(low, high, f"0 is {policies[0]}, 1 is {policies[1]}")


def published(table: Path = PUBLISHED) -> pd.DataFrame:
    """The published scores, a row per score.

    Columns: env, env_version, algo, steps, seeds, statistic, mean, std, source; and condition, the text in brackets
    after a task's name.

    Raises:
        ValueError: The table is damaged; the message names it.
    """
    columns = ["env", "env_version", "algo", "steps", "seeds", "statistic", "mean", "std", "source"]
    scores = _read(table, columns)
    named = scores["env"].str.extract(r"^([^(]*?) *(?:\((.*)\))?$")
    scores["env"], scores["condition"] = named[0], named[1].fillna("")
    for name in ("steps", "mean", "std"):
        scores[name] = [np.nan if value == "" else _number(table, value) for value in scores[name]]
    return scores


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV file whose cells are text; `#` begins a comment."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, comment="#")
    except ValueError as error:  # pandas' parser errors and bad UTF-8 are ValueErrors
        raise ValueError(f"{path}: not a table ({' '.join(str(error).split())})") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise ValueError(f"{path}: has no column {missing[0]}")
    return table


def _number(path: Path, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{path}: {value!r} is no number") from None
