"""Every random number of a seed: its generators, the noise drawn from them, and the exploration noise.

A seed has one generator per purpose, spawned from the seed number alone. Nothing in a run draws from a global
generator, and no purpose draws from another's. So a seed gets the same numbers alone and in any pack, and a change in
how often one generator is used affects no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.agent import Call, Noise, Spaces
from savo_bench.algos.config import NoiseConfig, ProposalNoiseConfig, SmoothingConfig

PURPOSES = ("init", "explore", "replay", "update", "environment", "evaluate")  # the order is part of every result


class Streams:
    """The generators of one seed."""

    def __init__(self, seed: int) -> None:
        children = np.random.SeedSequence(seed).spawn(len(PURPOSES))
        self.init, self.explore, self.replay, self.update, self.environment, _ = map(np.random.default_rng, children)

    def state(self) -> dict[str, Any]:
        """The states of the generators that training uses; the environment keeps the state of its own."""
        return {name: getattr(self, name).bit_generator.state for name in ("explore", "replay", "update")}

    def load_state(self, state: dict[str, Any]) -> None:
        """Load what `state` returned."""
        for name, value in state.items():
            getattr(self, name).bit_generator.state = value


def evaluation_stream(seed: int, step: int) -> np.random.Generator:
    """The generator of one evaluation, from seed and step alone, so that no evaluation depends on another."""
    return _stream_at(seed, "evaluate", step)


def reset_stream(seed: int, step: int) -> np.random.Generator:
    """The generator of networks that begin anew at a step, from seed and step alone."""
    return _stream_at(seed, "init", step)


def _stream_at(seed: int, purpose: str, step: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), step)))


def standard_normal(
    rngs: Sequence[np.random.Generator], shapes: dict[str, tuple[int, ...]], device: torch.device
) -> dict[str, Tensor]:
    """N(0, 1) noise of the given per-seed shapes, drawn seed by seed and stacked: {name: (S, *shape)}."""
    return {
        name: torch.from_numpy(np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in rngs])).to(device)
        for name, shape in shapes.items()
    }


def deterministic_noise_shapes(
    config: SmoothingConfig, spaces: Spaces, call: Call, proto_actions: int = 1
) -> dict[str, tuple[int, ...]]:
    """The noise of deterministic actors: on every proto-action to explore, on the target's action to smooth it."""
    if call == "act":
        return {"explore": (proto_actions, spaces.action_dim)}
    if call == "update" and config.target_noise > 0:
        return {"smoothing": (config.batch_size, spaces.action_dim)}
    return {}


def with_noise(proto_actions: Tensor, each: Tensor | None) -> Tensor:
    """Proto-actions (S, 1, P, A) with noise (S, P, A) on each, within the bounds; None: no noise."""
    return proto_actions if each is None else (proto_actions + each.unsqueeze(1)).clamp(-1, 1)


def proposal_noise(config: ProposalNoiseConfig, noise: Noise) -> Tensor | None:
    """The exploration noise (S, P, A) on the proposals of several actors; None: they have none."""
    if config.explore == "chosen":
        return None
    each = noise["explore"]
    return torch.cat([torch.zeros_like(each[:, :1]), each[:, 1:]], dim=1) if config.quiet_first else each


def exploration(config: object, shape: tuple[int, ...] | None, seeds: int) -> ExplorationNoise:
    """The process that a config asks for, of `shape` per seed; if an algorithm has none (shape None), one of size 0."""
    if shape is None or not isinstance(config, NoiseConfig):
        return ExplorationNoise(NoiseConfig(), (0,), seeds)
    return ExplorationNoise(config, shape, seeds)


class ExplorationNoise:
    """Ornstein-Uhlenbeck or Gaussian noise whose scale c falls linearly over the first steps of a run.

    The Ornstein-Uhlenbeck process follows x <- x + c (sigma N(0, 1) - theta x) (a time step of 1), independently for
    every seed, actor and action dimension. Its standard deviation tends to sigma sqrt(c / (2 theta - c theta²)), so at
    the end of the decay it is a tenth of that at its begin where c is a hundredth. With noise_decay="output" the
    process is not scaled and the noise is c x. It continues across episodes, unless noise_reset is true.

    Source: arXiv:1509.02971v6, section 7 (the process); USC-Lira/Q3C@4a5456b, ddpg.py (the scaled increments).
    """

    def __init__(self, config: NoiseConfig, shape: tuple[int, ...], seeds: int) -> None:
        self.config, self.shape = config, shape
        self.state = np.zeros((seeds, *shape), np.float32)

    def sample(self, rngs: Sequence[np.random.Generator], step: int, begins: Sequence[bool] = ()) -> np.ndarray:
        """The noise at `step`: (S, *shape) float32; `begins` says which seeds stand at the first step of an episode."""
        sigma, theta = np.float32(self.config.noise_sigma), np.float32(self.config.noise_theta)
        scale = np.float32(self.scale(step))
        normal = np.stack([rng.standard_normal(self.shape, dtype=np.float32) for rng in rngs])
        if self.config.noise == "gaussian":
            return scale * (sigma * normal)
        if self.config.noise_reset:
            self.state[np.flatnonzero(begins)] = 0
        increments = sigma * normal - theta * self.state
        if self.config.noise_decay == "output":
            self.state += increments
            return scale * self.state
        self.state += scale * increments
        return self.state.copy()

    def random_share(self, step: int) -> float:
        """The share of actions at `step` that are uniformly random instead."""
        return self.config.epsilon * self.scale(step)

    def scale(self, step: int) -> float:
        """The factor on the noise at `step`: from 1 down to `noise_final`, linearly over `noise_decay_steps`."""
        final, decay_steps = self.config.noise_final, self.config.noise_decay_steps
        return max(final, 1.0 + (final - 1.0) * step / decay_steps) if decay_steps else 1.0
