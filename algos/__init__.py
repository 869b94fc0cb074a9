"""The algorithms, and the registry that names them.

Each algorithm is one file, which ends with its `entry`; `FILES` lists the files. Other packages add theirs through the
entry-point group `savo_bench.algos`, where each entry point gives an `Entry`.

    contract      agent (what an agent gets and returns), config (fields that algorithms share), entry
    frame         actor_critic (propose, score, select; the critics and their targets)
    parts         nets (networks, optimiser), products (matrix products with fixed bits), catalogue (nearest items),
                  chain and summary (successive actors and their surrogates), joint (an ablation of them),
                  maxima (how many Q(s, ·) has, and how far below them proposals lie),
                  slices (Q and the surrogates at any actions, for figures),
                  ruggedness (how many maxima Ψ and the surrogates have),
                  searches (gradient ascents in place of actors),
                  local_search (ascents and perturbations beside an actor's action)
    given to it   replay, noise (every random number of a seed, exploration noise)
    what it costs flops (of an update and of an action, counted)
    algorithms    those in FILES
"""

from __future__ import annotations

import difflib
import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from savo_bench.algos.entry import Entry, UpdateCost

__all__ = ["BUILT_IN", "Entry", "UnknownAlgorithm", "UpdateCost", "get", "names"]

FILES = (  # in the order in which they are listed
    "td3",
    "savo",
    "wolpertinger",
    "cem",
    "ensemble",
    "sac",
    "savo_sac",
    "greedy_ac",
)
BUILT_IN = tuple(
    value
    for file in FILES
    for value in vars(import_module(f"savo_bench.algos.{file}")).values()
    if isinstance(value, Entry)
)


class UnknownAlgorithm(LookupError):
    """No algorithm has that name; the message names the nearest ones."""


@cache
def _registry() -> dict[str, Entry]:
    registry = {entry.name: entry for entry in BUILT_IN}
    for point in entry_points(group="savo_bench.algos"):
        try:
            entry = point.load()
            registry.setdefault(entry.name, entry)
        except (Exception, SystemExit) as error:  # a broken plug-in must not stop the algorithms that work
            _warn(f"algorithm plug-in {point.name} ({point.value}) is left out: {error!r}")
    return registry


def _warn(text: str) -> None:
    """Warn of a plug-in, also where warnings are errors, which would stop what works."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=3)
    except RuntimeWarning:
        print(f"warning: {text}", file=sys.stderr)


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
