"""Controls: the variants that must stand beside a headline, so that a lead can be put down to one cause.

`bench run --controls` trains them with each chosen variant, with its other fields; `bench list controls` shows them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache

from savo_bench import algos
from savo_bench.algos import flops
from savo_bench.algos.agent import Spaces
from savo_bench.bench.cells import AnyConfig

KINDS = ("box", "catalogue")  # of actions
ENTRIES = {entry.name: entry for entry in algos.BUILT_IN}
NOMINAL = Spaces(11, 3)  # ours: Hopper's, where a control is shown without a task


@dataclass(frozen=True)
class Control:
    """A variant to train beside a headline.

    Attributes:
        algorithm: Its algorithm.
        answers: What a difference between the headline and this control says.
        fields: Its fields; a function takes the headline's config and the task's spaces and gives the value.
        drops: Fields of the headline that have no meaning in it.
        kinds: The kinds of actions for which it is a control.
    """

    algorithm: str
    answers: str
    fields: Mapping[str, object | Callable[[AnyConfig, Spaces], object]] = field(default_factory=dict)
    drops: tuple[str, ...] = ()
    kinds: tuple[str, ...] = KINDS

    def values(self, headline: AnyConfig, spaces: Spaces) -> dict[str, object]:
        """Its fields beside a headline's config, on a task with these spaces."""
        return {name: value(headline, spaces) if callable(value) else value for name, value in self.fields.items()}


@cache
def equal_compute(headline: AnyConfig, spaces: Spaces) -> int:
    """The extra actors with which an ensemble's update has as many FLOPs as SAVO's, as nearly as a whole number allows.

    Both are counted (algos/flops.py) with the headline's own fields and sizes. Each actor of an ensemble takes the
    same, so two counts of it say all others.

    Args:
        headline: SAVO's config.
        spaces: Of a task in a box.
    """
    ensemble = ENTRIES["ensemble"]
    shared = {each.name: getattr(headline, each.name) for each in fields(ensemble.config)}
    first, second = (_flops(ensemble, ensemble.config(**shared | {"extra_actors": count}), spaces) for count in (1, 2))
    each = second - first
    return max(0, 1 + round((_flops(ENTRIES["savo"], headline, spaces) - first) / each))


def _flops(entry: algos.Entry, config: AnyConfig, spaces: Spaces) -> float:
    """FLOPs of an update for one state of its batch, to which those of a batch are proportional."""
    return flops.of_update(flops.Trial(entry, replace(config, batch_size=1), spaces))


BOX, CATALOGUE = ("box",), ("catalogue",)

# ours: each differs from the headline in one cause, see docs/algorithms.md
CONTROLS: dict[str, tuple[Control, ...]] = {
    "savo": (
        Control("td3", "what more than one actor is worth", kinds=BOX),
        Control("ensemble", "what successive actors are worth beyond their number", kinds=BOX),
        Control(
            "ensemble",
            "what they are worth beyond what they compute",
            {"extra_actors": equal_compute},
            kinds=BOX,
        ),
        Control(
            "savo",
            "what seeing the earlier actions is worth",
            {"conditioning": "none"},
            ("summariser", "summary_hidden", "summary_size"),
            BOX,
        ),
        Control("savo", "what truncation is worth", {"truncation": False}, kinds=BOX),
        Control("savo", "what more than one actor is worth", {"extra_actors": 0}, kinds=CATALOGUE),
        Control("wolpertinger", "what a critic of proto-actions is worth", {"dual": True}, kinds=CATALOGUE),
    ),
    "savo-sac": (
        Control("sac", "what more than one actor is worth"),
        Control("savo-sac", "what seeing the earlier actions is worth", {"conditioning": "none"}, ("summariser",), BOX),
        Control("savo-sac", "what truncation is worth", {"truncation": False}, kinds=BOX),
    ),
    "ensemble": (Control("td3", "what more than one actor is worth"),),
    "wolpertinger": (
        Control("td3", "what more than one candidate is worth"),
        Control("wolpertinger", "what a critic of proto-actions is worth", {"dual": True}, kinds=CATALOGUE),
    ),
    "cem": (Control("td3", "what searching is worth beside an actor"),),
    "greedy-td3": (Control("td3", "what imitating elites is worth beside a gradient"),),
    "greedy-ac": (Control("sac", "what imitating elites is worth beside a gradient"),),
}
