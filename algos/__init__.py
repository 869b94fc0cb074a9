"""The algorithms, and the registry that names them.

A new algorithm is one file beside these and one line below. Other packages add theirs through the entry-point group
`savo_bench.algos`, each entry point giving an `Entry`.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from savo_bench.algos.cem import CEM, CEMConfig
from savo_bench.algos.ensemble import Ensemble, EnsembleConfig
from savo_bench.algos.greedy_ac import GreedyAC, GreedyACConfig, GreedyTD3, GreedyTD3Config
from savo_bench.algos.sac import SAC, SACConfig
from savo_bench.algos.savo import SAVO, SAVOConfig
from savo_bench.algos.savo_sac import SAVOSAC, SAVOSACConfig
from savo_bench.algos.td3 import TD3, TD3Config
from savo_bench.algos.wolpertinger import Wolpertinger, WolpertingerConfig


class UnknownAlgorithm(LookupError):
    """No algorithm of that name; the message names the nearest ones."""


@dataclass(frozen=True)
class UpdateCost:
    """What a time estimate must know of an algorithm, from its config."""

    relative: Callable[[Any], float] = lambda _: 1.0  # time of an update relative to TD3's, without item search
    queries: Callable[[Any], int] = lambda _: 1  # points of each state whose nearest items an update searches


@dataclass(frozen=True)
class Entry:
    """One algorithm: its name, config class, agent (called with config, spaces, rngs, device), and a line about it."""

    name: str
    config: type[Any]
    agent: Callable[..., Any]
    summary: str
    cost: UpdateCost = UpdateCost()


# ours: fitted to cem's two rows for Hopper in docs/performance.md; that it is the cache is a guess
SAMPLE = 0.041  # of a TD3 update, for every sample that is scored
SAMPLE_BEYOND_CACHE = 0.11
CACHE_BYTES = 12e6  # of the samples' activations: 8 MB are within it, 17 MB are beyond


def _cem(config: Any) -> float:
    activations = 4 * config.batch_size * config.samples * max(config.hidden)  # bytes
    sample = SAMPLE if activations < CACHE_BYTES else SAMPLE_BEYOND_CACHE
    return 1 + sample * config.iterations * config.samples


# ours: the column "Hopper: update" in docs/performance.md, measured by benchmarks/algorithms.py
COSTS = {
    "td3": UpdateCost(),
    "savo": UpdateCost(lambda c: 1 + 1.64 * c.extra_actors, lambda c: 1 + c.extra_actors),
    "savo-sac": UpdateCost(lambda c: 1.37 * (1 + 1.64 * c.extra_actors), lambda c: 1 + c.extra_actors),
    "ensemble": UpdateCost(lambda c: 1 + 0.3 * c.extra_actors, lambda c: 1 + c.extra_actors),
    "cem": UpdateCost(_cem, lambda c: c.elites + c.snap_samples * c.iterations * c.samples),
    "wolpertinger": UpdateCost(lambda c: 1.8 if c.dual else 1.2),
    "sac": UpdateCost(lambda _: 1.5),
    "greedy-ac": UpdateCost(lambda _: 3.2, lambda c: 1 + c.snap_samples * c.samples),
    "greedy-td3": UpdateCost(lambda _: 1.9, lambda c: 1 + c.snap_samples * c.samples),
}

BUILT_IN = (
    Entry("td3", TD3Config, TD3, "one deterministic actor, twin critics (arXiv:1802.09477)", COSTS["td3"]),
    Entry("savo", SAVOConfig, SAVO, "successive actors on truncated Q-landscapes (arXiv:2410.11833)", COSTS["savo"]),
    Entry(
        "wolpertinger",
        WolpertingerConfig,
        Wolpertinger,
        "the best of one actor's neighbours (arXiv:1512.07679)",
        COSTS["wolpertinger"],
    ),
    Entry("cem", CEMConfig, CEM, "no actor, a cross-entropy search of Q (arXiv:1806.10293)", COSTS["cem"]),
    Entry(
        "ensemble",
        EnsembleConfig,
        Ensemble,
        "the best of several independent actors (arXiv:2410.11833)",
        COSTS["ensemble"],
    ),
    Entry("sac", SACConfig, SAC, "one stochastic actor, learnt temperature (arXiv:1812.05905)", COSTS["sac"]),
    Entry(
        "savo-sac",
        SAVOSACConfig,
        SAVOSAC,
        "SAVO's chain with stochastic actors (the update is ours)",
        COSTS["savo-sac"],
    ),
    Entry(
        "greedy-ac",
        GreedyACConfig,
        GreedyAC,
        "an actor that imitates the best of many samples (arXiv:1810.09103)",
        COSTS["greedy-ac"],
    ),
    Entry(
        "greedy-td3", GreedyTD3Config, GreedyTD3, "the same with TD3's actor (arXiv:2410.11833)", COSTS["greedy-td3"]
    ),
)


@cache
def _registry() -> dict[str, Entry]:
    registry = {entry.name: entry for entry in BUILT_IN}
    for point in entry_points(group="savo_bench.algos"):
        try:
            entry = point.load()
            registry.setdefault(entry.name, entry)
        except Exception as error:  # a broken plug-in must not stop the algorithms that work
            warnings.warn(f"algorithm plug-in {point.name} ({point.value}) is left out: {error!r}", stacklevel=2)
    return registry


def names() -> list[str]:
    """All algorithms, built-in ones first."""
    return list(_registry())


def get(name: str) -> Entry:
    """The entry of one algorithm.

    Raises:
        UnknownAlgorithm: naming the nearest valid names.
    """
    if name in _registry():
        return _registry()[name]
    near = difflib.get_close_matches(name, names(), n=3) or names()
    raise UnknownAlgorithm(f"algorithm {name!r} is unknown; did you mean {', '.join(near)}?")
