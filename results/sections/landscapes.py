"""Landscapes of single policies, where `bench landscape` has drawn any."""

from savo_bench.results import plots
from savo_bench.results.findings import Findings
from savo_bench.results.format import slug
from savo_bench.results.landscape_plots import landscape_figure
from savo_bench.results.page import Block, Section, Text, code

_HOW_TO_READ = """\
Q₁ over actions in states of the last evaluation, with the proposals by the number of their actor. Beside it, for each \
actor that climbs a surrogate: what the surrogate is fitted to (Ψ, the smaller critic, not below the floor τ, which is \
the best of the earlier proposals), and the surrogate itself (Ψ̂). Single policies and states: no statistics."""


def section(found: Findings) -> Section | None:
    """A figure per seed that has some; None where there is none."""
    drawn, _ = found.landscapes
    if not drawn:
        return None
    blocks: list[Block] = [Text(_HOW_TO_READ)]
    for each in drawn:
        name = f"landscape-{slug(each.environment)}-{slug(each.variant)}-{each.seed}"
        alt = f"Landscapes of {each.variant} on {each.environment}, seed {each.seed}"
        figure = plots.rendered(name, alt, landscape_figure(each.landscapes))
        blocks += [Text(f"{code(each.variant)} on {code(each.environment)}, seed {each.seed}:"), figure]
    return Section("Landscapes", blocks)
