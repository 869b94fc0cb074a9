"""One command, one folder: what was compared, how complete it is, scores, curves, differences, failures.

    report.md       everything, in that order
    tables/*.csv    scores, curves, fields, seeds, evaluations
    figures/*       learning curves, svg and png

The same runs give the same bytes: no dates, no absolute paths, intervals from generators that always start alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from results import plots, tables
from results.format import replacing, slug, text
from results.frame import Runs, load

# what provenance says about a result; times, folders and the command line say nothing
_COMPARED = ("version", "git", "dirty", "python", "platform", "cpu", "device", "gpu", "packages")

_HOW_TO_READ = """\
A seed's score at a step is the mean return of its evaluation episodes there. The **final** return is that of the last
evaluation, the **last-10** return the mean of the last ten evaluations, or of the last half where there are fewer than
twenty. **IQM** is the interquartile mean: the lowest and the highest quarter of the seeds are left out. In brackets:
95 % percentile bootstrap interval over seeds, 50 000 resamples. Scores count only seeds that are done; a failed seed
has no score, which can flatter a variant that fails."""


@dataclass(frozen=True)
class Report:
    """A report as written, for whoever prints it."""

    folder: Path
    runs: Runs
    scores: pd.DataFrame  # tables.score_table
    curves: pd.DataFrame  # tables.curve_table
    fields: pd.DataFrame  # tables.field_table
    notes: list[str]  # what a reader must know before the numbers
    files: list[Path]  # report.md first

    @property
    def score_text(self) -> pd.DataFrame:
        """The score table as text."""
        return tables.score_text(self.scores)


def write_report(root: Path, out: Path, now: float | None = None) -> Report:
    """Report runs/<name> into a folder, which is made; files of the same name there are replaced.

    Raises:
        ValueError: there are no runs, or runs that must not be pooled (`MixedRuns`).
        OSError: the folder cannot be written.
    """
    root, out = Path(root), Path(out)
    runs = load(root, now)
    if len(runs.runs) == 0:
        raise ValueError(f"{root}: holds no runs")
    scores, curves = tables.score_table(runs), tables.curve_table(runs)
    fields, equal = tables.field_table(runs)
    report = Report(out, runs, scores, curves, fields, _notes(scores), [out / "report.md"])
    for folder in ("tables", "figures"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for name, table in {
        "scores": scores,
        "curves": curves,
        "fields": fields,
        "seeds": tables.seed_table(runs),
        "evaluations": runs.evals,
    }.items():
        report.files.append(out / "tables" / f"{name}.csv")
        _write(report.files[-1], table.to_csv(index=False, lineterminator="\n"))
    environments = [name for name in dict.fromkeys(scores["environment"]) if (curves["environment"] == name).any()]
    pictures = {"curves": environments} | {f"curves-{slug(name)}": [name] for name in environments}
    for name, shown in pictures.items() if environments else ():
        report.files.extend(plots.save(plots.curve_figure(shown, curves, scores), out / "figures", name))
    _write(out / "report.md", _markdown(root.resolve().name, report, environments, equal))
    return report


# ---- the page


def _markdown(name: str, report: Report, environments: Sequence[str], equal: int) -> str:
    runs, scores = report.runs, report.scores
    counts = runs.runs["state"].value_counts()
    budgets = runs.runs[runs.runs["profile"].notna()].drop_duplicates(["profile", "steps"])
    profiles = [f"{row['profile']} ({row['steps']} steps)" for row in budgets.to_dict("records")]
    done = int(counts.get("done", 0))
    lines = [
        f"# {name}",
        "",
        f"{_several(scores['variant'], 'variant')} on {_several(scores['environment'], 'environment')}, "
        f"profile {' and '.join(profiles) or 'unknown'}: {done} of {len(runs.runs)} seeds are done.",
        "",
        *[f"> {note}\n" for note in report.notes],
        "## Scores",
        "",
        _table(report.score_text),
        "",
        _HOW_TO_READ,
        "",
        "## Learning curves",
        "",
    ]
    for environment in environments:
        shown = scores[scores["environment"] == environment]
        alt = f"Learning curves on {environment}: " + "; ".join(
            f"{row['variant']} ends at {_end(report.curves, environment, row['variant'])}"
            for row in shown.to_dict("records")
        )
        lines += [f"![{alt}](figures/curves-{slug(environment)}.svg)", ""]
    lines += [
        "Mean over seeds, with its pointwise 95 % bootstrap interval as a band; at each step only seeds that were "
        "evaluated there count. A tick marks where a curve loses seeds and how many go on; incomplete cells are faded.",
        "",
        "## Fields in which the variants differ",
        "",
        _table(report.fields) if len(report.fields) else "None.",
        "",
        f"All else equal: on each environment the other {equal} fields have the same value in every variant.",
        "",
        "## Seeds that are not done",
        "",
        *(_unfinished(runs.runs) or ["None."]),
        "",
    ]
    if runs.problems:
        lines += ["## Files with problems", "", *[f"- {problem}" for problem in runs.problems], ""]
    return "\n".join([*lines, "## Provenance", "", provenance_line(runs.runs), ""])


def _notes(scores: pd.DataFrame) -> list[str]:
    notes = []
    incomplete = scores[scores["n"] < scores["seeds"]]
    if len(incomplete):
        notes.append(
            f"**Not complete:** {len(incomplete)} of {len(scores)} cells lack seeds; their scores may still change."
        )
    few = scores[scores["n"] < tables.FEW_SEEDS]
    if len(few):
        notes.append(
            f"**Few seeds:** {len(few)} of {len(scores)} cells have fewer than {tables.FEW_SEEDS} scored seeds. Their "
            "intervals are too narrow (of normal scores, 95 % intervals hold the true value about 74 times in 100 with "
            "3 seeds, 90 times with 5), so no difference there is significant."
        )
    return notes


def _several(names: pd.Series, what: str) -> str:
    distinct = list(dict.fromkeys(names))
    listed = ", ".join(f"`{name}`" for name in distinct)
    return f"{len(distinct)} {what}{'s' * (len(distinct) != 1)} ({listed})"


def _end(curves: pd.DataFrame, environment: str, variant: str) -> str:
    chosen = curves[(curves["environment"] == environment) & (curves["variant"] == variant)]
    if len(chosen) == 0:
        return "nothing yet"
    last = chosen.iloc[-1]
    return f"{tables.interval_text(last['mean'])} at step {last['step']}, n={last['n']}"


def _unfinished(runs: pd.DataFrame) -> list[str]:
    return [
        f"- `{row['variant']}` on `{row['environment']}`, seed {row['seed']}: {row['state']} at step {row['step']}"
        + (f": {row['reason']}" if row["reason"] else "")
        for row in runs[runs["state"] != "done"].to_dict("records")
    ]


def provenance_line(runs: pd.DataFrame) -> str:
    """One paragraph: what is the same for all pooled runs, and every entry in which they differ."""
    flat = [_flat(provenance) for provenance in runs["provenance"].dropna()]
    names = list(dict.fromkeys(name for one in flat for name in one))
    values = {name: sorted({one.get(name, "unknown") for one in flat}) for name in names}
    same = [
        f"{name} {found[0]}" for name, found in values.items() if len(found) == 1 and not name.startswith("packages.")
    ]
    differing = [f"{name} ({', '.join(found)})" for name, found in values.items() if len(found) > 1]
    line = f"All runs: {'; '.join(same)}." if same else ""
    packages = [
        f"{name.removeprefix('packages.')} {found[0]}"
        for name, found in values.items()
        if len(found) == 1 and name.startswith("packages.")
    ]
    if packages:
        line += f" Packages: {', '.join(packages)}."
    line += (
        f" **The runs differ in:** {'; '.join(differing)}." if differing else " The runs do not differ in any of these."
    )
    return line.strip()


def _flat(provenance: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _COMPARED:
        value = provenance.get(name)
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": text(item) for key, item in value.items()}
        elif name in provenance:
            found[name] = text(value)
    return found


def _table(frame: pd.DataFrame) -> str:
    """A Markdown table of a frame of text."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    )


def _write(path: Path, content: str) -> None:
    with replacing(path, durable=False) as file:
        file.write(content.encode())
