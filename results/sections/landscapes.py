"""Landscapes of single policies, where `bench landscape` has drawn any."""

import pandas as pd

from savo_bench.results import plots
from savo_bench.results.findings import Findings
from savo_bench.results.format import slug
from savo_bench.results.landscape_plots import landscape_figure
from savo_bench.results.landscapes import Count, OfSeed
from savo_bench.results.page import Block, Section, Table, Text, code

_HOW_TO_READ = """\
Q₁ over actions in states of the last evaluation, with the proposals by the number of their actor. Beside it, for each \
actor that climbs a surrogate: what the surrogate is fitted to (Ψ, the smaller critic, not below the floor τ, which is \
the best of the earlier proposals), and the surrogate itself (Ψ̂). Single policies and states: no statistics."""

_CAPTION = (
    "Prominent maxima of Q₁, and of Ψ and Ψ̂ in the order of their actors; in brackets those of them that lie on the "
    "border."
)
_SEED = ["environment", "variant", "seed", "state"]


def section(found: Findings) -> Section | None:
    """A figure per seed that has some, and a table of how many maxima there are; None where there is none."""
    drawn, _ = found.landscapes
    if not drawn:
        return None
    blocks: list[Block] = [Text(_HOW_TO_READ)]
    for each in drawn:
        name = f"landscape-{slug(each.environment)}-{slug(each.variant)}-{each.seed}"
        alt = f"Landscapes of {each.variant} on {each.environment}, seed {each.seed}"
        figure = plots.rendered(name, alt, landscape_figure(each.landscapes, width=found.options.width))
        blocks += [Text(f"{code(each.variant)} on {code(each.environment)}, seed {each.seed}:"), figure]
    counts = _counts(drawn)
    if len(counts):
        blocks.append(_table(counts))
    return Section("Landscapes", blocks, {"landscape-maxima": counts} if len(counts) else {})


def _counts(drawn: list[OfSeed]) -> pd.DataFrame:
    """A row per state and landscape: the landscape (Q, exact, learnt), its actor (0 of Q), maxima, on_border."""
    rows = []

    def add(seed: OfSeed, state: int, landscape: str, actor: int, count: Count | None) -> None:
        if count is not None:
            names = seed.environment, seed.variant, seed.seed, state
            rows.append((*names, landscape, actor, count.number, count.border))

    for seed in drawn:
        for each in seed.landscapes:
            add(seed, each.state, "Q", 0, each.maxima)
            for surrogate in each.surrogates:
                add(seed, each.state, "exact", surrogate.index, surrogate.exact_maxima)
                add(seed, each.state, "learnt", surrogate.index, surrogate.learnt_maxima)
    return pd.DataFrame(rows, columns=[*_SEED, "landscape", "actor", "maxima", "on_border"])


def _table(counts: pd.DataFrame) -> Table:
    """A row per state."""
    rows = []
    for names, group in counts.groupby(_SEED, sort=False):
        texts = [
            f"{maxima} ({border})" if border else str(maxima)
            for maxima, border in group[["maxima", "on_border"]].to_numpy()
        ]
        kinds = [
            ", ".join(text for text, own in zip(texts, group["landscape"], strict=True) if own == kind) or "–"
            for kind in ("Q", "exact", "learnt")
        ]
        rows.append([*map(str, names), *kinds])
    frame = pd.DataFrame(rows, columns=[*_SEED, "Q₁", "Ψ", "Ψ̂"])
    return Table("landscape-maxima", _CAPTION, frame, ("seed", "state", "Q₁", "Ψ", "Ψ̂"), latex=tuple(frame.columns))
