"""What an algorithm registers about itself; each algorithm's file ends with its `entry`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


def _relative(_: Any) -> float:
    return 1.0


def _queries(_: Any) -> int:
    return 1


@dataclass(frozen=True)
class UpdateCost:
    """What one update costs, for estimates of time: two functions of the algorithm's config.

    `relative` gives the time of an update relative to TD3's with the same widths and batch, without the search among a
    catalogue's items. `queries` gives the number of points, for each state of the batch, whose nearest items an update
    searches.
    """

    relative: Callable[[Any], float] = _relative
    queries: Callable[[Any], int] = _queries


@dataclass(frozen=True)
class Entry:
    """One algorithm: its name, config class, agent, one line of description, and what an update costs.

    The agent is called as `agent(config, spaces, rngs, device)`, see `agent.Agent`.
    """

    name: str
    config: type[Any]
    agent: Callable[..., Any]
    description: str
    cost: UpdateCost = UpdateCost()
