"""`bench compare A B`: is A better than B? Per task and over tasks, with intervals, a picture and an exit code."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from savo_bench.bench import show
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.bench.grammar import choose
from savo_bench.bench.run_directory import loaded, reading
from savo_bench.results import comparisons, declared, head_to_head, head_to_head_plots, plots, tables
from savo_bench.results.declared import MEASURES, Declaration
from savo_bench.results.files import make_folder, replacing, said
from savo_bench.results.format import slug
from savo_bench.results.frame import Runs
from savo_bench.results.head_to_head import OVER_TASKS, SameSeed


def compare(
    roots: Mapping[str, Path],
    variant: str,
    against: str,
    console: Console,
    *,
    measure: str | None,
    margin: float | None,
    out: Path | None,
) -> int:
    """Compare two variants; print and write what is found; returns the exit code.

    Args:
        roots: The folders of the names, by name; seeds of the same cell are taken together.
        variant: The first, as `bench status` writes it.
        against: The second.
        console: Where to print.
        measure: What a seed's score is; None for what is declared, else last10.
        margin: δ, a share of the range between a task's bounds; None for what is declared, else none.
        out: The folder to write to; None for `compare` in the folder of the first name.

    Raises:
        UserError: an option is not valid, a variant is not there, the runs cannot be read or the folder be written.
    """
    if measure is not None:
        choose(measure, MEASURES, "--measure")
    if margin is not None and not 0 < margin < float("inf"):
        raise UserError(f"--margin {margin:g}: must be a share above 0, as .05")
    if variant == against:
        raise UserError(f"bench compare {variant} {against}: name two different variants")
    declaration, note = _declared(roots, (variant, against))
    measure = measure or (declaration.measure if declaration else MEASURES[0])
    margin = margin or (declaration.margin if declaration else None)
    sets = {name: loaded(root) for name, root in roots.items()}
    _check_there(sets, variant, against)
    try:
        scores = head_to_head.scores_of(sets, (variant, against), measure)
    except SameSeed as error:
        raise UserError(str(error)) from None
    bounds = {name: own for runs in sets.values() for name, own in tables.known_bounds(runs).items()}
    others = len(declaration.pairs) - 1 if declaration else 0
    found = head_to_head.table(scores, variant, against, bounds, margin, others)
    answer = head_to_head.answer(found)
    name = _name(measure, sets.values(), (variant, against))
    figure = head_to_head_plots.figure(scores, found, {variant: variant, against: against}, name, margin)
    contents = {"csv": found.to_csv(index=False, lineterminator="\n").encode()}
    if figure is not None:
        contents |= {kind: plots.content(figure, kind) for kind in plots.KINDS}
    written = _write(out or next(iter(roots.values())) / "compare", f"{slug(variant)}_vs_{slug(against)}", contents)
    _tell(console, found, name)
    for line in (note, *_left_out(found, bounds)):
        show.line(console, line, "yellow")
    show.paragraph(console, f"{variant} against {against}: {answer}{_why(found, margin)}")
    show.line(console, f"written: {', '.join(map(str, written))}")
    return head_to_head.EXIT_CODES[answer]


def _declared(roots: Mapping[str, Path], pair: declared.Pair) -> tuple[Declaration | None, str]:
    """The declaration that names the pair, in either order, and what is to be said of it."""
    with reading():
        last = [found[-1] for root in roots.values() if (found := declared.read(root))]
    own = [found for found in last if {pair, pair[::-1]} & set(found.pairs)]
    if not own:
        return None, "not declared before the runs: a question that is chosen after the answers finds too much"
    late = max(found.done for found in own)
    others = len(own[0].pairs) - 1
    beside = f", with {show.count(others, 'other comparison')}, which count in the intervals and p" if others else ""
    when = f"after {show.count(late, 'seed')} had ended" if late else "before the first seed ended"
    return own[0], f"declared {when}{beside} ({own[0].hash})"


def _check_there(sets: Mapping[str, Runs], *variants: str) -> None:
    """Refuse a variant that no set of runs has."""
    there = sorted({str(name) for runs in sets.values() for name in runs.runs["variant"]})
    for variant in variants:
        choose(variant, there, f"bench compare: {', '.join(sets)}:")


def _write(folder: Path, stem: str, contents: Mapping[str, bytes]) -> list[Path]:
    paths = [folder / f"{stem}.{kind}" for kind in contents]
    try:
        make_folder(folder)
        for path, content in zip(paths, contents.values(), strict=True):
            with replacing(path, durable=False) as file:
                file.write(content)
    except OSError as error:
        raise UserError(f"--out: cannot write to {said(error)}", exit_code=MACHINE) from None
    return paths


def _name(measure: str, sets: Iterable[Runs], variants: Sequence[str]) -> str:
    """What to call a measure of these runs."""
    every = pd.concat([runs.runs for runs in sets], ignore_index=True)
    done = every[every["variant"].isin(list(variants)) & (every["state"] == "done")]
    return tables.names(map(int, done["evaluations"]))[measure]


def _tell(console: Console, found: pd.DataFrame, measure: str) -> None:
    """Print a line per task."""
    together = f"hold together with {100 * comparisons.LEVEL:g} %"
    show.paragraph(
        console,
        f"Differences of the {measure}, with intervals that {together}; p times the number of "
        "comparisons; the probability that a run of the first beats one of the second, with its own 95 % interval",
    )
    columns = {
        "difference": _intervals(found, "difference", "low", "high"),
        "normalised": _intervals(found, *head_to_head.NORMALISED[:3]),
        "p": [tables.p_text(p) for p in found["p_adjusted"]],
        "improvement": _intervals(found, *head_to_head.IMPROVEMENT),
        "n": [f"{a}, {b}" if a != b else f"{a}" for a, b in found[["n_variant", "n_against"]].to_numpy(dtype=int)],
        "verdict": found["verdict"].tolist(),
    }
    over = found["environment"] == OVER_TASKS
    columns["difference"] = [
        "–" if is_over else text for is_over, text in zip(over, columns["difference"], strict=True)
    ]
    tasks = found["environment"].tolist()
    widths = [max(map(len, map(str, (name, *texts)))) for name, texts in {"task": tasks, **columns}.items()]
    if sum(widths) + 3 * len(widths) <= console.width:  # two blanks and a margin a column
        made = show.table("task", *columns, numbers=list(columns)[:-1])
        for environment, *texts in zip(tasks, *columns.values(), strict=True):
            made.add_row(environment, *texts)
        console.print(made)
        return
    for environment, *texts in zip(tasks, *columns.values(), strict=True):
        made = show.table("", environment)
        for name, text in zip(columns, texts, strict=True):
            made.add_row(name, text)
        console.print(made)


def _intervals(found: pd.DataFrame, *names: str) -> list[str]:
    return [tables.interval_text(*row) for row in found[list(names)].to_numpy(dtype=float)]


def _left_out(found: pd.DataFrame, bounds: Mapping[str, object]) -> Sequence[str]:
    """What has no place in the row over tasks."""
    if (found["environment"] != OVER_TASKS).sum() < 2:
        return []
    without = [name for name in found["environment"] if name not in bounds and name != OVER_TASKS]
    unpaired = found.loc[found["verdict"] == comparisons.NO_SCORES, "environment"].tolist()
    lines = [f"{', '.join(without)}: no committed bounds, so not counted over tasks"] if without else []
    return lines + ([f"{', '.join(unpaired)}: only one of the two has scores"] if unpaired else [])


def _why(found: pd.DataFrame, margin: float | None) -> str:
    """What would change the verdict of the last row."""
    last = found.iloc[-1]
    words = []
    if np.isfinite(last["seeds_needed"]):
        words.append(f"some {last['seeds_needed']:.0f} seeds of each would tell")
    if last["verdict"] == comparisons.UNCLEAR and np.isfinite(last["equivalent_from"]):
        words.append(f"equivalent with a margin above {last['equivalent_from']:.2g}")
    if last["verdict"] == comparisons.EQUIVALENT:
        words.append(f"within ± {margin:g} of the range between the bounds")
    return f" ({'; '.join(words)})" if words else ""
