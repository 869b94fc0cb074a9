"""One command, one folder: what was compared, who leads, scores, curves, cost, warnings, failures, provenance.

    index.html      everything, in one file that asks for nothing outside itself
    report.md       the same in Markdown
    tables.tex      the tables that papers print
    tables/*.csv    every number
    figures/*       every picture, svg and png

The same runs give the same bytes: no dates, no absolute paths, intervals from generators that always start alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Drawing

from savo_bench.results import diagnosis, page, plots, provenance, tables
from savo_bench.results.files import replacing
from savo_bench.results.format import slug
from savo_bench.results.frame import COSTS, Runs, load
from savo_bench.results.page import Block, Figure, Gallery, Heading, Items, Note, Table, Text, code
from savo_bench.results.reference import Bounds

SUMMARIES = ("last10", "final", "best")  # what can count as a seed's score
CURVES = ("mean", "iqm")  # what a learning curve can be over seeds


@dataclass(frozen=True)
class Report:
    """A report as written, for whoever prints it."""

    folder: Path
    runs: Runs
    scores: pd.DataFrame  # tables.score_table
    notes: list[str]  # what a reader must know before the numbers
    answer: list[str]  # who leads where
    files: list[Path]  # index.html first

    @property
    def score_text(self) -> pd.DataFrame:
        """The score table as text."""
        return tables.score_text(self.scores)


@dataclass(frozen=True)
class _Findings:
    """Every table of a report."""

    runs: Runs
    summary: str
    bounds: Mapping[str, Bounds]
    scores: pd.DataFrame
    curves: pd.DataFrame
    fields: pd.DataFrame
    equal_fields: int
    comparisons: pd.DataFrame
    improvements: pd.DataFrame
    block: tables.Block | None
    aggregates: pd.DataFrame
    profiles: pd.DataFrame
    aggregate_curves: pd.DataFrame
    efficiency: pd.DataFrame
    metrics: pd.DataFrame
    cost: pd.DataFrame
    published: pd.DataFrame
    diagnoses: pd.DataFrame
    warnings: pd.DataFrame
    provenance: pd.DataFrame


def write_report(
    root: Path,
    out: Path,
    now: float | None = None,
    *,
    summary: str = "last10",
    statistic: str = "mean",
    per_seed: bool = False,
) -> Report:
    """Report runs/<name> into a folder, which is made; files of the same name there are replaced.

    Args:
        root: The folder of a name.
        out: Where to.
        now: A unix time that decides who is still alive, by default the clock's.
        summary: What counts as a seed's score in comparisons and aggregates: last10, final or best.
        statistic: What a learning curve is over seeds: mean or iqm.
        per_seed: Whether learning curves have a thin line per seed.

    Raises:
        ValueError: there are no runs, or runs that must not be pooled (`MixedRuns`).
        OSError: the folder cannot be written.
    """
    root, out = Path(root), Path(out)
    runs = load(root, now)
    if len(runs.runs) == 0:
        raise ValueError(f"{root}: holds no runs")
    found = _findings(root, runs, summary)
    notes, answer = _notes(found), _answer(found)
    for folder in ("tables", "figures"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    files = []
    for name, table in _csv_tables(found).items():
        files.append(out / "tables" / f"{name}.csv")
        _write(files[-1], table.to_csv(index=False, lineterminator="\n"))
    figures = {}
    for name, alt, drawing in _drawings(found, statistic, per_seed):
        svg, png = plots.save(drawing, out / "figures", name)
        files += [svg, png]
        figures[name] = Figure(name, alt, svg.read_text(encoding="utf-8"))
    title = root.resolve().name
    blocks = list(_blocks(found, notes, answer, figures, statistic))
    written = {"index.html": page.web_page(title, blocks), "report.md": page.markdown(title, blocks)}
    written["tables.tex"] = page.latex(blocks)
    for name, content in written.items():
        _write(out / name, content)
    return Report(out, runs, found.scores, notes, answer, [*(out / name for name in written), *files])


def _findings(root: Path, runs: Runs, summary: str) -> _Findings:
    summaries = (*tables.SUMMARIES, *(() if summary in tables.SUMMARIES else (summary,)))
    bounds = tables.known_bounds(runs)
    scores = tables.score_table(runs, summaries)
    block = tables.block(runs, bounds, summary)
    diagnoses = diagnosis.diagnose(root, runs)
    fields, equal = tables.field_table(runs)
    empty = pd.DataFrame()
    return _Findings(
        runs=runs,
        summary=summary,
        bounds=bounds,
        scores=scores,
        curves=tables.curve_table(runs),
        fields=fields,
        equal_fields=equal,
        comparisons=tables.comparison_table(runs, summary),
        improvements=tables.improvement_table(runs, summary),
        block=block,
        aggregates=tables.aggregate_table(block) if block else empty,
        profiles=tables.profile_table(block) if block else empty,
        aggregate_curves=tables.aggregate_curve_table(runs, block) if block else empty,
        efficiency=tables.efficiency_table(runs, scores, bounds),
        metrics=tables.metric_table(runs),
        cost=tables.cost_table(runs),
        published=tables.published_table(runs),
        diagnoses=diagnoses,
        warnings=diagnosis.warnings(diagnoses),
        provenance=provenance.differences(runs.runs),
    )


def _csv_tables(found: _Findings) -> dict[str, pd.DataFrame]:
    """Every table as numbers, by the name of its file; those without a row are left out, but for the old ones."""
    always = {
        "scores": found.scores,
        "curves": found.curves,
        "fields": found.fields,
        "seeds": tables.seed_table(found.runs),
        "evaluations": found.runs.evals,
    }
    others = {
        "comparisons": found.comparisons,
        "improvement": found.improvements,
        "aggregates": found.aggregates,
        "profiles": found.profiles,
        "aggregate-curves": found.aggregate_curves,
        "efficiency": found.efficiency,
        "metrics": found.metrics,
        "cost": found.cost,
        "published": found.published,
        "diagnoses": found.diagnoses,
        "warnings": found.warnings,
        "provenance": found.provenance,
    }
    return always | {name: table for name, table in others.items() if len(table)}


# ---- pictures


def _drawings(found: _Findings, statistic: str, per_seed: bool) -> Iterator[tuple[str, str, Drawing]]:
    """Name, alternative text and drawing of every figure."""
    look = plots.looks(found.scores["variant"])
    environments = _with_curves(found)
    evals = found.runs.evals if per_seed else None
    pictures = {f"curves-{slug(name)}": [name] for name in environments}
    if environments:
        pictures = {"curves": environments} | pictures
    for name, shown in pictures.items():
        alt = "Learning curves on " + " ".join(_curve_alt(found, environment, statistic) for environment in shown)
        yield name, alt, plots.curve_figure(shown, found.curves, found.scores, evals, statistic)
    if found.block:
        values = "; ".join(
            f"{row['variant']} {tables.interval_text(row['iqm'], row['iqm_low'], row['iqm_high'])}"
            for row in found.aggregates.to_dict("records")
        )
        of = f"of normalised scores over {_count(len(found.block.environments), 'task')}"
        names = {variant: _with_runs(found, variant) for variant in found.block.variants}
        yield "aggregates", f"Aggregates {of}; IQM: {values}.", plots.aggregate_figure(found.aggregates, look, names)
        yield "profiles", f"Performance profiles {of}.", plots.profile_figure(found.profiles, look, names)
        if len(found.aggregate_curves):
            alt = f"IQM by environment step, {of}."
            yield "efficiency", alt, plots.aggregate_curve_figure(found.aggregate_curves, look, names)
    if len(found.improvements):
        alt = "Probability that a run of the row's variant beats one of the column's on the same task."
        yield "improvement", alt, plots.improvement_figure(found.improvements)


def _with_runs(found: _Findings, variant: str) -> str:
    """A variant's name, and how many of its runs are scored where that is not all of the aggregates' tasks."""
    n, seeds = _runs(found, variant)
    return variant if n == seeds else f"{variant} ({n}/{seeds} runs)"


def _runs(found: _Findings, variant: str) -> tuple[int, int]:
    """How many runs of a variant count in the aggregates, and how many there are on their tasks."""
    assert found.block is not None
    cells = found.scores[found.scores["environment"].isin(found.block.environments)]
    own = cells[cells["variant"] == variant]
    return int(own["n"].sum()), int(own["seeds"].sum())


def _curve_alt(found: _Findings, environment: str, statistic: str) -> str:
    curves = found.curves[found.curves["environment"] == environment]
    ends = [
        f"{variant} ends at {tables.interval_text(curve[statistic].iloc[-1])} at step {curve['step'].iloc[-1]}, "
        f"n={curve['n'].iloc[-1]}"
        for variant, curve in curves.groupby("variant", sort=True)
    ]
    return f"{environment}: {'; '.join(ends) or 'nothing yet'}."


def _with_curves(found: _Findings) -> list[str]:
    there = set(found.curves["environment"])
    return [name for name in dict.fromkeys(found.scores["environment"]) if name in there]


# ---- the page


def _blocks(
    found: _Findings, notes: Sequence[str], answer: Sequence[str], figures: Mapping[str, Figure], statistic: str
) -> Iterator[Block]:
    """The document, in the order in which a reader asks."""
    scores = found.scores
    faded = list(scores["n"] < scores["seeds"])
    yield Text(_overview(found))
    yield from (Note(note) for note in notes)
    yield Heading("Answer")
    yield Text(answer[0])
    if answer[1:]:
        yield Items(answer[1:])
    yield from _score_blocks(found, faded)
    yield Heading("Learning curves")
    yield Gallery([figures[name] for name in figures if name.startswith("curves-")])
    what = "Mean" if statistic == "mean" else "IQM"
    yield Text(
        f"{what} over seeds, with its pointwise 95 % bootstrap interval as a band; at each step only seeds that were "
        "evaluated there count. A tick marks where a curve loses seeds and how many go on; incomplete cells are faded."
    )
    yield _efficiency_table(found, faded)
    yield from _aggregate_blocks(found, figures)
    yield from _improvement_blocks(found, figures)
    if len(found.metrics):
        yield Heading("What the tasks record")
        yield _metric_table(found)
    yield Heading("Cost beside score")
    yield from _cost_blocks(found)
    if len(found.published):
        yield Heading("Published scores")
        yield _published_table(found)
    yield Heading("Warnings of the method")
    yield from _warning_blocks(found)
    yield Heading("Seeds that are not done")
    yield from _unfinished(found.runs.runs)
    if found.runs.problems:
        yield Heading("Files with problems")
        yield Items([code(problem) for problem in found.runs.problems])
    yield Heading("Fields in which the variants differ")
    if len(found.fields):
        caption = "Every other field of algorithm and budget is the same."
        yield Table("fields", caption, found.fields, latex=tuple(found.fields.columns))
    else:
        yield Text("None.")
    fields = f"the other {found.equal_fields} fields have the same value in every variant"
    yield Text(f"All else equal: on each environment {fields}.")
    yield Heading("Provenance")
    yield Text(provenance.line(found.runs.runs))
    if len(found.provenance):
        yield Table("provenance", "Which runs have which.", found.provenance, numbers=("seeds",))


def _overview(found: _Findings) -> str:
    runs, scores = found.runs.runs, found.scores
    budgets = runs[runs["profile"].notna()].drop_duplicates(["profile", "steps"])
    profiles = [f"{row['profile']} ({row['steps']} steps)" for row in budgets.to_dict("records")]
    done = int((runs["state"] == "done").sum())
    complete = int((scores["n"] == scores["seeds"]).sum())
    return (
        f"{_several(scores['variant'], 'variant')} on {_several(scores['environment'], 'environment')}, "
        f"profile {' and '.join(profiles) or 'unknown'}: {done} of {len(runs)} seeds are done, "
        f"{complete} of {len(scores)} cells are complete."
    )


def _score_blocks(found: _Findings, faded: Sequence[bool]) -> Iterator[Block]:
    yield Heading("Scores")
    text = tables.score_text(found.scores)
    shown = tables.NAMES[found.summary]
    numbers = [name for name in text.columns if name not in ("environment", "variant", "seeds")]
    latex = (
        "variant",
        f"{shown}, mean",
        f"{shown}, IQM",
        *(["invalid actions"] * ("invalid actions" in text)),
        "seeds",
    )
    caption = "Score per environment, with 95 % bootstrap intervals over seeds."
    yield Table("scores", caption, text, numbers, faded, ("environment", *latex), group="environment")
    yield Text(_HOW_TO_READ)


def _efficiency_table(found: _Findings, faded: Sequence[bool]) -> Table:
    own = found.efficiency
    frame = own[["environment", "variant"]].copy()
    frame[tables.NAMES["area"]] = tables.interval_column(own, "area")
    for height in tables.HEIGHTS if found.bounds else ():
        steps, reached = own[f"to_{height}"], own[f"reached_{height}"]
        frame[f"steps to {height:g}"] = [
            "–" if np.isnan(at) else f"{'∞' if np.isinf(at) else plots.steps_text(at)} ({k}/{n})"
            for at, k, n in zip(steps, reached, own["n"], strict=True)
        ]
    caption = "Sample efficiency: the mean height of the learning curve (its area over its length), mean over seeds"
    caption += (
        "; and the median step of the first evaluation that reaches a normalised return, with the seeds that do."
        if found.bounds
        else "."
    )
    numbers = [name for name in frame.columns if name not in ("environment", "variant")]
    return Table("efficiency", caption, frame, numbers, faded)


def _aggregate_blocks(found: _Findings, figures: Mapping[str, Figure]) -> Iterator[Block]:
    yield Heading("Aggregates over tasks")
    if found.block is None:
        yield Text(
            "None: no environment here has committed bounds, so returns of different tasks have no common scale. All "
            "numbers above are raw returns."
        )
        return
    chosen = found.block
    families = found.scores.set_index("environment")["family"]
    named = ", ".join(
        f"{code(environment)} ({families.loc[[environment]].iloc[0]})" for environment in chosen.environments
    )
    sources = "; ".join(f"{code(name)}: {bound.source}" for name, bound in chosen.bounds.items())
    tasks = _count(len(chosen.environments), "task")
    yield Text(
        f"Normalised {tables.NAMES[found.summary]}s over {tasks}: {named}. Bounds are fixed beforehand, in "
        f"`results/reference/normalisation.csv`: {sources}."
    )
    if chosen.left_out:
        yield Text(f"Not in the aggregates: {'; '.join(chosen.left_out)}.")
    frame = found.aggregates[["variant"]].copy()
    for name in ("iqm", "median", "mean", "gap"):
        frame[tables.NAMES[name]] = tables.interval_column(found.aggregates, name)
    runs = [_runs(found, variant) for variant in frame["variant"]]
    frame["runs"] = [str(n) if n == seeds else f"{n}/{seeds}" for n, seeds in runs]
    faded = [n < seeds for n, seeds in runs]
    caption = f"Aggregates of normalised scores over {tasks}, with 95 % stratified bootstrap intervals."
    yield Table("aggregates", caption, frame, list(frame.columns[1:]), faded, tuple(frame.columns))
    yield figures["aggregates"]
    yield Gallery([figures[name] for name in ("profiles", "efficiency") if name in figures])
    yield from _family_blocks(found)


def _family_blocks(found: _Findings) -> Iterator[Block]:
    """The aggregates of each family alone, where there is more than one."""
    families = found.scores.groupby("environment")["family"].first()
    if families.nunique() < 2:
        return
    rows = []
    for family, members in families.groupby(families):
        bounds = {name: bound for name, bound in found.bounds.items() if name in members.index}
        chosen = tables.block(_only(found.runs, members.index), bounds, found.summary)
        for row in tables.aggregate_table(chosen).to_dict("records") if chosen else ():
            interval = tables.interval_text(row["iqm"], row["iqm_low"], row["iqm_high"])
            rows.append((family, row["variant"], interval, str(row["tasks"]), str(row["n"])))
    if rows:
        frame = pd.DataFrame(rows, columns=["family", "variant", "IQM", "tasks", "runs"])
        caption = "IQM of normalised scores per family of tasks, with 95 % stratified bootstrap intervals."
        yield Table("families", caption, frame, ("IQM", "tasks", "runs"), latex=tuple(frame.columns), group="family")


def _only(runs: Runs, environments: Sequence[str] | pd.Index) -> Runs:
    return Runs(
        runs.runs[runs.runs["environment"].isin(environments)],
        runs.evals[runs.evals["environment"].isin(environments)],
        [],
    )


def _improvement_blocks(found: _Findings, figures: Mapping[str, Figure]) -> Iterator[Block]:
    yield Heading("Probability of improvement")
    if len(found.improvements) == 0:
        yield Text("None: no two variants have scores on the same task.")
        return
    yield figures["improvement"]
    own = found.improvements
    frame = pd.DataFrame({"a run of": own["x"], "beats one of": own["y"]})
    frame["probability"] = [tables.interval_text(*triple) for triple in own[["probability", "low", "high"]].to_numpy()]
    frame["tasks"] = own["tasks"].astype(str)
    caption = (
        "Probability that a run of one variant beats a run of another on the same task, a tie counting half, mean over "
        "the tasks that both have; 95 % bootstrap intervals. One half means no difference."
    )
    yield Table("improvement", caption, frame, ("probability", "tasks"), latex=tuple(frame.columns))


def _metric_table(found: _Findings) -> Table:
    own = found.metrics
    shares = own["metric"].isin(["invalid actions", "success rate"])
    frame = own[["environment", "metric", "variant"]].copy()
    frame["value"] = [
        f"{tables.interval_text(*(100 * triple))} %" if share else tables.interval_text(*triple)
        for share, triple in zip(shares, own[["value", "low", "high"]].to_numpy(), strict=True)
    ]
    frame["seeds"] = own["n"].astype(str)
    caption = "What the environments record beside the return, in the evaluations of last-10: mean over seeds with its "
    caption += "95 % interval."
    return Table("metrics", caption, frame, ("value", "seeds"))


def _cost_blocks(found: _Findings) -> Iterator[Block]:
    if len(found.cost) == 0:
        yield Text("No seed that is done recorded its time.")
        return
    column = f"{found.summary}_mean"
    scores = found.scores.set_index(["environment", "variant"])[[column, f"{column}_low", f"{column}_high"]]
    measured = found.cost[COSTS].notna().to_numpy().any()
    rows = []
    for cost in found.cost.to_dict("records"):
        score = scores.loc[(cost["environment"], cost["variant"])].astype(float)
        row = {"environment": cost["environment"], "variant": cost["variant"]}
        row |= {tables.NAMES[found.summary]: tables.interval_text(*score), "device": cost["device"]}
        row |= {"hours per seed": f"{cost['hours']:.3g}", "seeds": str(cost["n"]), "pack": f"{cost['pack']:g}"}
        row |= {"steps/s": f"{cost['steps_per_s']:.3g}"}
        if measured:
            row["peak memory"] = _measured(cost["peak_memory"], "{:.0f} MB", 1e-6)
            row["action latency"] = _measured(cost["action_seconds"], "{:.2g} ms", 1e3)
            row["parameters"] = _measured(cost["parameters"], "{:.0f}")
        rows.append(row)
    frame = pd.DataFrame(rows)
    numbers = [name for name in frame.columns if name not in ("environment", "variant", "device")]
    caption = (
        "Cost of a seed: hours of its device and steps in a second of it, over the seeds that are done. A pack's time "
        "is shared evenly among the seeds that trained in it."
    )
    latex = ("environment", "variant", tables.NAMES[found.summary], "hours per seed", "steps/s", "device")
    yield Table("cost", caption, frame, numbers, latex=latex, group="environment")
    hours = (found.cost["hours"] * found.cost["n"]).groupby(found.cost["device"]).sum()
    totals = [f"{total:.3g} {_kind(str(device))}-hours on {code(device)}" for device, total in hours.items()]
    yield Text(
        f"Together: {', '.join(totals)}."
        + (" Times on different devices do not compare." if len(totals) > 1 else "")
        + ("" if measured else " Peak memory, action latency and parameters were not recorded.")
    )


def _kind(device: str) -> str:
    return "GPU" if "cuda" in device else "core"


def _measured(value: float, shown: str, unit: float = 1.0) -> str:
    return "–" if np.isnan(value) else shown.format(value * unit)


def _published_table(found: _Findings) -> Table:
    own = found.published
    frame = own[["environment", "variant"]].copy()
    frame["score"] = [tables.NAMES[summary] for summary in own["summary"]]
    for name, mean, std, n in (("ours", "ours", "std", "n"), ("published", "published", "published_std", "seeds")):
        frame[name] = [_mean_and_std(row[mean], row[std], row[n]) for row in own.to_dict("records")]
    frame["differs in"] = own["differs"].replace("", "–")
    frame["source"] = own["source"]
    caption = (
        "Published scores of the same task, algorithm and steps, mean ± standard deviation over seeds. Only rows with "
        "nothing under “differs in” (version, statistic, task, profile, preset, fields) compare like with like, and "
        "what an implementation does without saying so may differ even there. Standing beside a published score is no "
        "claim to match it."
    )
    return Table("published", caption, frame, ("ours", "published"))


def _mean_and_std(mean: float, std: float, n: Any) -> str:
    spread = "" if np.isnan(std) else f" ± {tables.interval_text(std)}"
    return f"{tables.interval_text(mean)}{spread}" + (f" (n={n})" if str(n) else " (n unknown)")


def _warning_blocks(found: _Findings) -> Iterator[Block]:
    if len(found.warnings):
        yield Table("warnings", "Cells with seeds that show a sign of trouble.", found.warnings)
    elif len(found.diagnoses):
        yield Text(f"None in {_count(len(found.diagnoses), 'seed')} with several proposals or an approximate search.")
    else:
        yield Text("No run here recorded several proposals or an approximate search.")
    if len(found.diagnoses):
        yield Text(
            "In the last quarter of the lines of `train.csv`, per seed: proposals **collapse** where their mean "
            f"distance (`spread`, in units of the maximal action) is below {diagnosis.COLLAPSED:g}, where "
            "the exploration noise ends; the surrogates' error **grows** where, relative to |q|, it is more than "
            f"{diagnosis.GROWING:g} times that of the second quarter; one actor **wins nearly all** where it has the "
            f"best proposal in more than {100 * diagnosis.DOMINANT:g} % of the states; an approximate search "
            f"**misses** items where it finds fewer than {100 * diagnosis.MISSED:g} % of those nearest to the protos."
        )
    recall = found.diagnoses.dropna(subset="recall").groupby(["environment", "variant"], sort=True)["recall"]
    if len(recall):
        frame = recall.agg(["mean", "min"]).reset_index()
        frame = frame.rename(columns={"min": "worst seed"})
        frame[["mean", "worst seed"]] = frame[["mean", "worst seed"]].map(lambda share: f"{100 * share:.1f} %")
        caption = "What approximate searches found of the nearest items, in the last quarter of the lines."
        yield Table("recall", caption, frame, ("mean", "worst seed"))


def _unfinished(runs: pd.DataFrame) -> Iterator[Block]:
    rows = runs[runs["state"] != "done"]
    if len(rows) == 0:
        yield Text("None.")
        return
    frame = rows[["environment", "variant"]].copy()
    frame["seed"], frame["state"] = rows["seed"].astype(str), rows["state"]
    frame["step"] = [f"{step} of {steps}" for step, steps in rows[["step", "steps"]].to_numpy()]
    frame["reason"] = rows["reason"].replace("", "–")
    yield Table("unfinished", "A seed that is not done has no score.", frame, ("seed", "step"))


# ---- words


_HOW_TO_READ = """\
A seed's score at a step is the mean return of its evaluation episodes there. The **final** return is that of the last \
evaluation, the **last-10** return the mean of the last ten evaluations, or of the last half where there are fewer \
than twenty. **IQM** is the interquartile mean: the lowest and the highest quarter of the seeds are left out. In \
brackets: 95 % percentile bootstrap interval over seeds, 50 000 resamples. Scores count only seeds that are done; a \
failed seed has no score, which can flatter a variant that fails."""


def _notes(found: _Findings) -> list[str]:
    """What a reader must know before the numbers."""
    scores, notes = found.scores, []
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
    done = found.runs.runs[found.runs.runs["state"] == "done"]
    single = done.loc[done["evaluations"] == 1, ["environment", "variant"]].drop_duplicates()
    if len(single):
        notes.append(
            f"**One evaluation:** {len(single)} of {len(scores)} cells {'has' if len(single) == 1 else 'have'} "
            "a single evaluation per seed, so last-10 and final are the same number and there is no curve."
        )
    unbounded = [name for name in dict.fromkeys(scores["environment"]) if name not in found.bounds]
    if unbounded:
        notes.append(
            f"**Raw returns:** {_listed(unbounded)} {'has' if len(unbounded) == 1 else 'have'} no committed bounds, so "
            f"{'its' if len(unbounded) == 1 else 'their'} scores are not normalised and not in the aggregates."
        )
    budgets = [field for field in found.fields.get("field", ()) if str(field).startswith("budget.")]
    if budgets:
        notes.append(f"**Unequal budgets:** the variants differ in {_listed(budgets)}; that is no fair comparison.")
    if len(found.provenance):
        notes.append(
            f"**Unlike runs:** they differ in {_listed(dict.fromkeys(found.provenance['entry']))}; "
            "see [provenance](#provenance)."
        )
    if len(found.warnings):
        cells = found.warnings[["environment", "variant"]].drop_duplicates()
        notes.append(f"**Signs of trouble** in {_count(len(cells), 'cell')}; see [warnings](#warnings-of-the-method).")
    if found.runs.problems:
        notes.append(f"**Damaged or foreign files:** {len(found.runs.problems)}; see [the list](#files-with-problems).")
    return notes


def _answer(found: _Findings) -> list[str]:
    """Who leads where, a sentence over all and one per environment."""
    column = f"{found.summary}_mean"
    lines, leads, shown = [], {}, {}
    for environment, cells in found.scores.groupby("environment", sort=True):
        scored = cells[cells["n"] > 0].sort_values(column, ascending=False, kind="stable")
        if len(scored) == 0:
            lines.append(f"{code(environment)}: no seed is done.")
            continue
        first = scored.iloc[0]
        name = first["variant"]
        value = tables.interval_text(*first[[column, f"{column}_low", f"{column}_high"]].astype(float))
        if len(scored) == 1:
            lines.append(f"{code(environment)}: {code(name)} alone has scores, {value} (n={first['n']}).")
            continue
        pairs = found.comparisons
        pairs = pairs[(pairs["environment"] == environment) & (pairs["better"] == name)]
        apart, alike = pairs[pairs["shown"]], pairs[~pairs["shown"]]
        untested = [code(other) for other in scored["variant"].iloc[1:] if other not in set(pairs["other"])]
        leads[name] = leads.get(name, 0) + 1
        sentence = f"{code(environment)}: {code(name)} leads with {value} (n={first['n']})"
        sentence += f"; **shown** to be above {_differences(apart)}" if len(apart) else ""
        sentence += f"; **not shown** to differ from {_differences(alike)}" if len(alike) else ""
        sentence += f"; with single seeds nothing can be said of {', '.join(untested)}" if untested else ""
        shown[name] = shown.get(name, 0) + (len(apart) == len(scored) - 1)
        lines.append(f"{sentence}.")
    return [_summary(found, leads, shown), *lines]


def _differences(pairs: pd.DataFrame) -> str:
    """The nearest rivals of some, with the differences; the rest as a number."""
    most = 4  # ours: a line or two; tables/comparisons.csv has every pair
    nearest = pairs.sort_values("difference", kind="stable")
    intervals = [tables.interval_text(*triple) for triple in nearest[["difference", "low", "high"]].to_numpy()]
    rivals = zip(nearest["other"], intervals, nearest["n_other"], strict=True)
    named = [f"{code(other)} (by {interval}, n={n})" for other, interval, n in rivals][:most]
    return ", ".join(named) + (f" and {len(pairs) - most} more, farther below" if len(pairs) > most else "")


def _summary(found: _Findings, leads: Mapping[str, int], shown: Mapping[str, int]) -> str:
    sentences = []
    if found.block and len(found.block.variants) > 1:
        ordered = found.aggregates.sort_values("iqm", ascending=False, kind="stable")
        intervals = tables.interval_column(ordered, "iqm")
        values = [f"{code(name)} {interval}" for name, interval in zip(ordered["variant"], intervals, strict=True)]
        tasks = _count(len(found.block.environments), "task")
        sentences.append(f"Over {tasks} with bounds, the IQM of the normalised score is {', '.join(values)}.")
    of = _count(found.scores["environment"].nunique(), "environment")
    listed = [
        f"{code(name)} leads on {count} of {of}"
        + (f" (on {shown[name]} it is shown to be above every other)" if shown[name] else "")
        for name, count in sorted(leads.items(), key=lambda item: (-item[1], item[0]))
    ]
    if listed:
        sentences.append(f"By the mean {tables.NAMES[found.summary]}, {', '.join(listed)}.")
        sentences += [] if any(shown.values()) else ["No lead over every other variant is shown."]
    sentences.append(
        "A difference counts as shown where Welch's test, corrected by Holm over the pairs of the environment, has "
        f"p < {tables.SIGNIFICANT:g} and both have at least {tables.FEW_SEEDS} seeds; in brackets its 95 % interval "
        "without that correction."
    )
    return " ".join(sentences)


def _several(names: pd.Series, what: str) -> str:
    distinct = list(dict.fromkeys(names))
    return f"{_count(len(distinct), what)} ({', '.join(map(code, distinct))})"


def _listed(names: Any) -> str:
    """Some names, the rest as a number."""
    names, most = list(names), 4  # ours: a note is a line or two
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(code(name) for name in names[:most]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _write(path: Path, content: str) -> None:
    with replacing(path, durable=False) as file:
        file.write(content.encode())
