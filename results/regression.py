"""The regression check: do these runs score at least as much as a committed baseline?

A baseline is a CSV file with a row per seed: its scores, the bounds that make them comparable, the margins `delta_*`
within which a change does not matter, hashes of task and config, and the provenance of the run. Each cell is judged on
each measure: `last10`, and `area`, the average return over training.

    identical     every seed of the baseline has exactly the same score: runs are reproducible, so nothing has changed
    regress       a one-sided Welch test rejects "the change is at least −δ", by Holm's correction over all tests
    pass          the one-sided 95 % lower bound of the change is above −δ (no correction: all have to be)
    cannot tell   neither
    ungateable    neither, and δ is so large that a pass would say nothing
    not measured  seeds failed, are missing or belong to another task

Changes and margins are in units of the normalised score. If no bounds are committed for a task, 0 and the baseline's
own mean are used; they are written into the baseline, so they are fixed in advance, too.

δ is the smallest margin with which a drop of 2δ is detected with probability POWER, given the number of seeds and the
spread of the baseline's scores. It is never below LEAST.
"""

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import scipy.stats

from savo_bench.results import foreign, provenance, reference
from savo_bench.results.attempts import may_be_unknown, values
from savo_bench.results.files import LOSSLESS, replacing
from savo_bench.results.format import spec_hash
from savo_bench.results.frame import Runs
from savo_bench.results.inference import holm, welch
from savo_bench.results.page import code, markdown_table, one_line
from savo_bench.results.tables import NAMES, number_text
from savo_bench.results.tables import names as names_of_measures
from savo_bench.results.words import listed

POWER = 0.8
LEVEL = 0.95
LEAST = 0.1  # of the range between the bounds. ours: no reader of a learning curve calls so little a regression
MOST = 0.5  # ours: a check that accepts a loss of half the range checks nothing
MEASURES = ("last10", "area")
_NAMES = {measure: NAMES[measure] for measure in MEASURES} | {"throughput": "steps per second"}


def names(runs: Runs) -> dict[str, str]:
    """What to call each measure of some runs: `last10` by the evaluations that it is a mean of."""
    done = runs.runs["state"] == "done"
    return _NAMES | {"last10": names_of_measures(runs.runs.loc[done, "evaluations"])["last10"]}


_MOST_SEEDS = 200  # ours: nobody trains more; the search for a sufficient number ends there
_DRAWS = 20_000  # ours: simulated tests from which δ is taken; its Monte-Carlo error is below 1 %

Verdict = Literal["identical", "regress", "pass", "cannot tell", "ungateable", "not measured"]
EXIT_CODES = {"pass": 0, "regress": 1, "cannot tell": 3, "not measured": 4}  # 2 is wrong usage
_ROW = ["environment", "variant", "measure", "verdict", "baseline", "now", "change", "lowest", "delta", "p"]
ROW_COLUMNS = [*_ROW, "n_baseline", "n", "reason"]
_TEXT = ["environment", "variant", "task", "config", "bounds"]
_NUMBERS = ["seed", *MEASURES, "low", "high", *(f"delta_{measure}" for measure in MEASURES)]
_ORIGIN = ["steps_per_s", "pack", "origin"]
COLUMNS = [*_TEXT[:2], "seed", *MEASURES, *_NUMBERS[-4:], "bounds", "task", "config", *_ORIGIN]


class NotMeasured(ValueError):
    """Runs cannot become a baseline, because seeds are not done."""


@dataclass(frozen=True)
class Check:
    """The outcome of a check.

    Attributes:
        rows: A row per cell and measure, ROW_COLUMNS.
        notes: What else to know, in words.
        mixed: For cells whose seeds were not made by one processor or code, a line that says so.
        names: What to call each measure.
    """

    rows: pd.DataFrame
    notes: list[str]
    mixed: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=lambda: dict(_NAMES))

    @property
    def verdict(self) -> str:
        """The verdict over all rows: the first of regress, not measured, cannot tell and pass that any row has.

        Ungateable rows are ignored; if there are no others, the verdict is cannot tell.
        """
        there = set(self.rows["verdict"])
        for verdict in ("regress", "not measured", "cannot tell"):
            if verdict in there:
                return verdict
        return "pass" if there & {"pass", "identical"} else "cannot tell"

    @property
    def code(self) -> int:
        """The exit code."""
        return EXIT_CODES[self.verdict]


def margin(spread: float, seeds: int, tests: int) -> float:
    """The margin δ for a cell of a baseline, in units of the normalised score.

    Args:
        spread: The standard deviation of the cell's scores over seeds, in the same units.
        seeds: How many seeds the baseline has.
        tests: How many tests the whole check makes.

    Returns:
        δ; infinite with fewer than two seeds, where the spread is unknown.
    """
    if seeds < 2:
        return np.inf
    return max(LEAST, spread * _multiple(seeds, tests) if spread else 0.0)


def seeds_for(spread: float, tests: int) -> int | None:
    """The number of seeds with which δ is at most MOST; None if it is more than _MOST_SEEDS. See `margin`."""
    low, high = 2, _MOST_SEEDS
    if not margin(spread, high, tests) <= MOST:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if margin(spread, middle, tests) <= MOST else (middle + 1, high)
    return low


@functools.cache
def _multiple(seeds: int, tests: int) -> float:
    """δ divided by the spread of the baseline: the smallest with which a drop of 2δ is detected with probability POWER.

    It is simulated with normal scores, of equal spread before and after. A drop of 2δ is detected in the first step of
    Holm's procedure if (change − 2δ + δ) / error < −t, that is if δ > t · error + change. The spread is that of the
    simulated baseline, since only the baseline's own spread is known.
    """
    draw = np.random.default_rng(0)
    before, after = draw.normal(size=(2, _DRAWS, seeds))
    a, b = before.var(axis=1, ddof=1) / seeds, after.var(axis=1, ddof=1) / seeds
    freedom = (a + b) ** 2 * (seeds - 1) / (a**2 + b**2)
    quantile = scipy.stats.t.ppf(1 - (1 - LEVEL) / tests, freedom)
    needed = quantile * np.sqrt(a + b) + after.mean(axis=1) - before.mean(axis=1)
    return float(np.quantile(needed / before.std(axis=1, ddof=1), POWER))


def baseline_table(runs: Runs) -> pd.DataFrame:
    """The baseline of runs that are all done: a row per seed, COLUMNS; without foreign ones.

    Raises:
        NotMeasured: There are no runs, or a seed is not done or has no finite score; the message names it.
    """
    runs = foreign.without(runs, foreign.variants(runs))
    if len(runs.runs) == 0:
        raise NotMeasured("there are no runs to make a baseline of")
    parts = []
    tests = len(MEASURES) * runs.runs.groupby(["environment", "variant"]).ngroups
    for (environment, variant), cell in runs.runs.groupby(["environment", "variant"], sort=True):
        wrong = _unmeasured(cell)
        if wrong:
            raise NotMeasured(f"{variant} on {environment}: {wrong}; a baseline needs every seed")
        spec = cell["spec"].iloc[0]
        bounds = reference.bounds(spec["environment"])
        mean = float(cell["last10"].mean())
        low, high = (bounds.low, bounds.high) if bounds else (min(0.0, mean), max(0.0, mean))
        table = cell[["environment", "variant", "seed", *MEASURES]].copy()
        table["low"], table["high"] = low, high
        for measure in MEASURES:
            spread = float(cell[measure].std(ddof=1)) / (high - low) if len(cell) > 1 and high > low else np.nan
            table[f"delta_{measure}"] = margin(spread, len(cell), tests) if np.isfinite(spread) else np.inf
        table["bounds"] = "committed" if bounds else "own mean"
        table["task"], table["config"] = _hashes(spec)
        table["steps_per_s"], table["pack"] = _throughput(cell), cell["pack"]
        table["origin"] = _origins(cell)
        parts.append(table)
    return pd.concat(parts, ignore_index=True)[COLUMNS]


def write_baseline(table: pd.DataFrame, path: Path) -> None:
    """Write a baseline; its numbers read back exactly."""
    buffer = io.StringIO()
    table.to_csv(buffer, index=False, lineterminator="\n")
    with replacing(path) as file:
        file.write(buffer.getvalue().encode(errors=LOSSLESS))


def read_baseline(path: Path) -> pd.DataFrame:
    """Read a baseline.

    Raises:
        ValueError: There is none, or it is damaged; one line names the file and what is wrong.
        OSError: It cannot be read.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; `--update {path}` writes one") from None
    except (ValueError, IsADirectoryError) as error:  # pandas' parser errors and bad UTF-8 are ValueErrors
        raise ValueError(f"{path}: not a baseline ({' '.join(str(error).split())})") from None
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ValueError(f"{path}: not a baseline: it has no column {missing[0]}")
    if len(table) == 0:
        raise ValueError(f"{path}: holds no cell, so nothing could be checked against it")
    for name in (*_NUMBERS, "steps_per_s", "pack"):
        table[name] = _numbers(path, table[name])
    for (environment, variant), cell in table.groupby(["environment", "variant"]):
        where = f"{path}: {variant} on {environment}"
        if cell["seed"].duplicated().any():
            raise ValueError(f"{where}: a seed is listed twice, which is no independent evidence")
        if not np.isfinite(cell[["seed", *MEASURES, "low", "high"]].to_numpy()).all():
            raise ValueError(f"{where}: a score or a bound is not finite")
        constant = cell[["low", "high", "delta_last10", "delta_area", "task", "config"]]
        if len(constant.drop_duplicates()) > 1:
            raise ValueError(f"{where}: bounds, margins or hashes differ between its seeds")
        if (
            not cell["low"].iloc[0] <= cell["high"].iloc[0]
            or not (cell[["delta_last10", "delta_area"]] > 0).to_numpy().all()
        ):
            raise ValueError(f"{where}: bounds out of order, or a margin that is not above 0")
    table["seed"] = table["seed"].astype(int)
    return table


def ungateable(table: pd.DataFrame, names: Mapping[str, str] = _NAMES) -> list[str]:
    """A sentence for each cell and measure of a baseline whose margin is too large: why, and how to fix it.

    Args:
        table: The baseline.
        names: What to call each measure, see `names`.
    """
    tests = len(MEASURES) * table.groupby(["environment", "variant"]).ngroups
    return [
        f"{variant} on {environment}, {names[measure]}: {_ungateable_reason(cell, measure, tests)}"
        for (environment, variant), cell in table.groupby(["environment", "variant"], sort=True)
        for measure in MEASURES
        if not cell[f"delta_{measure}"].iloc[0] <= MOST
    ]


def check(runs: Runs, baseline: pd.DataFrame, throughput: float | None = None) -> Check:
    """Judge runs against a baseline (`read_baseline`).

    Args:
        runs: All runs of a name.
        baseline: The baseline.
        throughput: The smallest ratio of steps per second, new to old, that passes; None does not check it.
    """
    imported = foreign.variants(runs)
    runs = foreign.without(runs, imported)
    rows: list[dict[str, Any]] = []
    mixed = mixtures(runs)
    notes: dict[str, list[str]] = {}  # cells by note
    cells = dict(iter(runs.runs.groupby(["environment", "variant"])))
    tests = len(MEASURES) * baseline.groupby(["environment", "variant"]).ngroups
    for key, old in baseline.groupby(["environment", "variant"], sort=True):
        new = cells.pop(key, None)
        cell = {"environment": key[0], "variant": key[1]}
        reason = _why_not_measured(new, old)
        if new is None or reason:
            rows += [cell | _row(old, measure, verdict="not measured", reason=reason) for measure in MEASURES]
            continue
        rows += [cell | _judged(new, old, measure, tests) for measure in MEASURES]
        if throughput is not None:
            rows.append(cell | _throughput_row(new, old, throughput))
        for note in _cell_notes(new, old):
            notes.setdefault(note, []).append(f"{key[1]} on {key[0]}")
    for environment, variant in cells:
        notes.setdefault("not in the baseline, so not checked", []).append(f"{variant} on {environment}")
    tested = [row for row in rows if np.isfinite(row["p"])]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p"] = float(p)
        if p < 1 - LEVEL:
            row["verdict"], row["reason"] = "regress", "below the baseline by more than δ"
    sentences = [f"{listed(members)}: {note}" for note, members in notes.items()]
    sentences += [f"{listed(sorted(imported))}: foreign, so not checked"] if imported else []
    return Check(pd.DataFrame(rows, columns=ROW_COLUMNS), [*sentences, *runs.problems], mixed, names(runs))


def mixtures(runs: Runs) -> list[str]:
    """A line for what `provenance.doubtful` finds in runs."""
    return [f"{cell}: {phrase}" for cell, phrase in provenance.doubtful(runs.runs)]


def _judged(new: pd.DataFrame, old: pd.DataFrame, measure: str, tests: int) -> dict[str, Any]:
    """The row of a measured cell, with a p value that is not yet corrected for many tests."""
    low, high = old[["low", "high"]].iloc[0]
    delta = old[f"delta_{measure}"].iloc[0]
    scores = new.set_index("seed")[measure]
    if set(scores.index) == set(old["seed"]) and (scores.loc[old["seed"]].to_numpy() == old[measure].to_numpy()).all():
        return _row(old, measure, scores, "identical", "the same scores, bit for bit")
    if len(old) < 2 or not high > low:
        reason = _ungateable_reason(old, measure, tests)
        return _row(old, measure, scores, "ungateable", reason)
    change = welch(scores / (high - low), old[measure] / (high - low))
    row = _row(old, measure, scores, "cannot tell", "the spread over seeds is too large to tell")
    row |= {"change": change.value, "lowest": change.lower(LEVEL)}
    row["p"] = change.p_below(-delta) if np.isfinite(delta) else np.nan
    if not delta <= MOST:
        return row | {"verdict": "ungateable", "reason": _ungateable_reason(old, measure, tests)}
    if row["lowest"] > -delta:
        return row | {"verdict": "pass", "reason": "no more than δ below the baseline"}
    return row


def _row(
    old: pd.DataFrame,
    measure: str,
    scores: pd.Series | None = None,
    verdict: Verdict = "not measured",
    reason: str = "",
) -> dict[str, Any]:
    """A row without a test."""
    return {
        "measure": measure,
        "verdict": verdict,
        "baseline": float(old[measure].mean()),
        "now": np.nan if scores is None else float(scores.mean()),
        "change": np.nan,
        "lowest": np.nan,
        "delta": float(old[f"delta_{measure}"].iloc[0]),
        "p": np.nan,
        "n_baseline": len(old),
        "n": 0 if scores is None else len(scores),
        "reason": reason,
    }


def _throughput_row(new: pd.DataFrame, old: pd.DataFrame, ratio: float) -> dict[str, Any]:
    """The row of the ratio of speeds. Speeds are comparable only on the same hardware and with packs of one size."""
    before, now = old["steps_per_s"].mean(), _throughput(new).mean()
    row = dict.fromkeys(ROW_COLUMNS[2:], np.nan)
    row |= {
        "measure": "throughput",
        "baseline": before,
        "now": now,
        "delta": np.nan,
        "n_baseline": len(old),
        "n": len(new),
    }
    if not (np.isfinite(before) and np.isfinite(now)):
        return row | {"verdict": "not measured", "reason": "a run did not record its time"}
    unlike = [
        name
        for name in ("cpu", "gpu", "device")
        if _entries(old, name) != _entries(new.assign(origin=_origins(new)), name)
    ]
    if unlike or set(old["pack"]) != set(new["pack"]):
        return row | {"verdict": "cannot tell", "reason": f"not on the same {', '.join(unlike) or 'packs'}"}
    verdict = "pass" if now >= ratio * before else "regress"
    return row | {"verdict": verdict, "reason": f"{now / before:.2f} of the baseline's, where {ratio:g} is asked for"}


def _why_not_measured(new: pd.DataFrame | None, old: pd.DataFrame) -> str:
    """Why a cell cannot be judged at all, empty if it can."""
    if new is None:
        return "no such runs"
    wrong = _unmeasured(new)
    if wrong:
        return wrong
    if len(new) < len(old):
        return f"fewer seeds than the baseline: {len(new)}, not {len(old)}"
    if _hashes(new["spec"].iloc[0])[0] != old["task"].iloc[0]:
        return "another task or budget than the baseline's: train it as the baseline was, or `--update` the baseline"
    return ""


def _unmeasured(cell: pd.DataFrame) -> str:
    """Which seeds of a cell are not done or have no finite score; empty if there are none."""
    parts = [
        f"seed {row['seed']} {row['state']}" + (f" ({row['reason']})" if row["reason"] else "")
        for row in cell[cell["state"] != "done"].to_dict("records")
    ]
    done = cell[cell["state"] == "done"]
    finite = np.isfinite(done[list(MEASURES)].to_numpy(dtype=float)).all(axis=1)
    infinite = done["seed"].to_numpy()[~finite]
    return listed(parts + [f"seed {seed} without a finite score" for seed in infinite])


def _ungateable_reason(cell: pd.DataFrame, measure: str, tests: int) -> str:
    low, high = cell[["low", "high"]].iloc[0]
    if not high > low:
        return "the baseline's mean is 0 and no bounds are committed, so changes have no scale"
    if len(cell) < 2:
        return "one seed says nothing of the spread; at least 3 are needed"
    enough = seeds_for(float(cell[measure].std(ddof=1)) / (high - low), tests)
    needed = f"more than {_MOST_SEEDS}" if enough is None else f"about {enough}"
    delta = cell[f"delta_{measure}"].iloc[0]
    return f"δ = {delta:.2f} of the range with {len(cell)} seeds; {needed} would bring it to {MOST:g}"


def _cell_notes(new: pd.DataFrame, old: pd.DataFrame) -> list[str]:
    """In what a judged cell differs from the baseline, in words."""
    notes = []
    if old["bounds"].iloc[0] != "committed":
        notes.append("no bounds are committed for the task, so changes are relative to the baseline's own mean")
    if _hashes(new["spec"].iloc[0])[1] != old["config"].iloc[0]:
        notes.append("the config is not the baseline's")
    now = new.assign(origin=_origins(new))
    names = dict.fromkeys(
        entry.partition("=")[0] for origin in (*old["origin"], *now["origin"]) for entry in origin.split("; ")
    )
    for name in names:
        before, after = _entries(old, name), _entries(now, name)
        if name and _unlike(name, before, after):
            notes.append(f"{name} is {', '.join(sorted(after))}, was {', '.join(sorted(before))}")
    return notes


def _hashes(spec: dict[str, Any]) -> tuple[str, str]:
    """Hash of the task (environment and budget) and hash of the algorithm."""
    budget = {key: value for key, value in spec["budget"].items() if key != "profile"}
    environment = {key: value for key, value in spec["environment"].items() if key != "name"}
    return spec_hash({"environment": environment, "budget": budget}), spec_hash(spec["algorithm"])


def _origins(cell: pd.DataFrame) -> list[str]:
    """Per seed, the provenance of its attempts as text; values that differ among them stand one after the other."""
    return [
        "; ".join(f"{name}={', then '.join(found)}" for name, found in values(attempts).items())
        for attempts in cell["attempts"]
    ]


def _entries(table: pd.DataFrame, name: str) -> set[str]:
    """The values of an entry of the origins of some seeds."""
    found = [dict(entry.partition("=")[::2] for entry in origin.split("; ")) for origin in table["origin"]]
    return {entries.get(name, "unknown") for entries in found}


def _unlike(name: str, before: set[str], after: set[str]) -> bool:
    """Whether the values of an entry differ between baseline and runs; what old ones did not record does not."""
    if may_be_unknown(name):
        before, after = before - {"unknown"}, after - {"unknown"}
        return bool(before and after) and before != after
    return before != after


def _throughput(cell: pd.DataFrame) -> pd.Series:
    """Steps of a seed per second of its device, if a pack's time is shared evenly among its seeds; NaN if unknown."""
    seconds = cell["seconds"].astype(float)
    return cell["steps"] * cell["pack"] / seconds.where(seconds > 0)


def _numbers(path: Path, column: pd.Series) -> pd.Series:
    try:
        return pd.Series([float(value) if value else np.nan for value in column], index=column.index)
    except ValueError as error:
        raise ValueError(f"{path}: column {column.name}: {error}") from None


def text(check: Check) -> pd.DataFrame:
    """The rows as text."""

    def number(value: float, decimals: int = 2) -> str:
        return "–" if np.isnan(value) else number_text(value, decimals)

    rows = []
    for row in check.rows.to_dict("records"):
        decimals = 0 if abs(row["baseline"]) >= 100 else 2
        rows.append({
            "environment": row["environment"],
            "variant": row["variant"],
            "measure": check.names[row["measure"]],
            "verdict": row["verdict"],
            "baseline": f"{number(row['baseline'], decimals)} (n={row['n_baseline']})",
            "now": f"{number(row['now'], decimals)} (n={row['n']})" if row["n"] else "–",
            "change": number(row["change"]),
            "at least": number(row["lowest"]),
            "δ": "∞" if np.isinf(row["delta"]) else number(row["delta"]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def reasons(check: Check) -> list[str]:
    """A line for every row that did not pass, then what is mixed, then the notes."""
    bad = check.rows[~check.rows["verdict"].isin(["pass", "identical"])]
    lines = [
        f"{row['variant']} on {row['environment']}, {check.names[row['measure']]}: {row['verdict']}: {row['reason']}"
        for row in bad.to_dict("records")
    ]
    return [*lines, *check.mixed, *check.notes]


def verdict_line(check: Check) -> str:
    """One line: the verdict, how many rows have each verdict, and whether runs are mixed."""
    counts = check.rows["verdict"].value_counts()
    mixed = "; of runs that are not of one kind, see above" if check.mixed else ""
    return f"{check.verdict}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) + mixed


def markdown(check: Check, name: str) -> str:
    """The check as Markdown, for a comment on a pull request."""
    table = text(check)
    numbers = ["baseline", "now", "change", "at least", "δ"]
    lines = [f"### {code(f'bench check {name}')}: {verdict_line(check)}", "", markdown_table(table, numbers), ""]
    lines += [f"- {code(reason)}" for reason in reasons(check)]
    lines += [
        "",
        "Changes and δ are in units of the normalised score; *at least* is the one-sided 95 % lower bound.",
        "",
    ]
    return "\n".join(lines)


def junit(check: Check, name: str) -> bytes:
    """The check as JUnit XML: regress is a failure, not measured and cannot tell are errors, ungateable is skipped."""
    kinds = {"regress": "failure", "not measured": "error", "cannot tell": "error", "ungateable": "skipped"}
    found = [kinds.get(verdict, "") for verdict in check.rows["verdict"]]
    counts = {"failures": found.count("failure"), "errors": found.count("error"), "skipped": found.count("skipped")}
    suite = ElementTree.Element("testsuite", name=f"bench check {name}", tests=str(len(found)))
    suite.attrib |= {key: str(value) for key, value in counts.items()}
    for row, kind in zip(check.rows.to_dict("records"), found, strict=True):
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=one_line(row["environment"]),
            name=one_line(f"{row['variant']}: {row['measure']}"),
        )
        if kind:
            ElementTree.SubElement(case, kind, type=row["verdict"], message=one_line(row["reason"]))
    if check.mixed:
        ElementTree.SubElement(suite, "system-out").text = "\n".join(map(one_line, check.mixed))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True) + b"\n"
