"""The random streams of a seed: one generator per purpose, spawned from the seed number alone.

Nothing in a run draws from a global generator, and no purpose draws from another's stream. So a seed gets the same
numbers alone and in any pack, and a change in how often one stream is used affects no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

PURPOSES = ("init", "explore", "replay", "update", "environment", "evaluate")  # the order is part of every result


class Streams:
    """The generators of one seed."""

    def __init__(self, seed: int) -> None:
        children = np.random.SeedSequence(seed).spawn(len(PURPOSES))
        generators = dict(zip(PURPOSES, map(np.random.default_rng, children), strict=True))
        self.init = generators["init"]
        self.explore = generators["explore"]
        self.replay = generators["replay"]
        self.update = generators["update"]
        self.environment = generators["environment"]

    def state(self) -> dict[str, Any]:
        """The states of the generators that training uses; the environment keeps the state of its own."""
        return {name: getattr(self, name).bit_generator.state for name in ("explore", "replay", "update")}

    def load_state(self, state: dict[str, Any]) -> None:
        """Load what `state` returned."""
        for name, value in state.items():
            getattr(self, name).bit_generator.state = value


def evaluation_stream(seed: int, step: int) -> np.random.Generator:
    """The generator of one evaluation, from seed and step alone, so that no evaluation depends on another."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PURPOSES.index("evaluate"), step)))


def standard_normal(
    rngs: Sequence[np.random.Generator], shapes: dict[str, tuple[int, ...]], device: torch.device
) -> dict[str, Tensor]:
    """N(0, 1) noise of the given per-seed shapes, drawn seed by seed and stacked: {name: (S, *shape)}."""
    return {
        name: torch.from_numpy(np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in rngs])).to(device)
        for name, shape in shapes.items()
    }
