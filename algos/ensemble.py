"""An ensemble of actors ("k-actors"): K independent actors maximise the same critic; the best proposal is executed.

It is SAVO without truncation, surrogates and conditioning: several starts of the same ascent. The SAVO paper compares
with it (arXiv:2410.11833v2).

    ν_0 … ν_k → actor (a stack of K networks)        μ_M → propose, then select

Differs from the paper: not known. Its text leaves the target open. Here it is SAVO's (target actors, argmax by the
online Q_1, no smoothing), so that the two differ in their proposals only. Without extra actors it is TD3 without
smoothing.

    every step:    a_i = ν_i(s); noise on each; execute argmax_i Q_1(s, a_i)
    every update:  y = r + γ (1 - terminated) min Q'(s', μ_M'(s'));  critics minimise Σ (Q(s, a) - y)²
    every 2nd:     actors maximise Σ_i Q_1(s, a_i);  all targets move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import SeveralActors, actor_spec
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import (
    ActorConfig,
    ArgmaxConfig,
    CompetitionConfig,
    NoiseConfig,
    ProposalNoiseConfig,
    SmoothingConfig,
    not_negative,
)
from savo_bench.algos.entry import Entry, UpdateCost
from savo_bench.algos.nets import Optimizer, Stack, TwinCritic
from savo_bench.algos.noise import deterministic_noise_shapes, proposal_noise, with_noise
from savo_bench.algos.td3 import deterministic, dpg_step


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig(SmoothingConfig, NoiseConfig, ProposalNoiseConfig, CompetitionConfig, ActorConfig, ArgmaxConfig):
    """The ensemble's own fields."""

    extra_actors: int = 3  # ours: as many as SAVO's

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        not_negative(self, "extra_actors")


class Ensemble(SeveralActors):
    """S seeds of an ensemble of actors."""

    policy = ("actor", "critic")

    def __init__(
        self, config: EnsembleConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.initialise(actor_spec(config, spaces), rngs, config.extra_actors + 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device, config.init)
        super().__init__(
            config,
            spaces,
            critic,
            networks={"actor": self.actor},
            targets={"actor": self.actor_target},
            optimizers={"actor": self.actor_optimizer},
        )

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on every proposal to explore; on the target's action only with target_noise."""
        return deterministic_noise_shapes(self.config, self.spaces, call, self.config.extra_actors + 1)

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """One proposal of each actor: obs (S, B, O) -> (S, B, K, A)."""
        actions = deterministic(self.actor.frozen, obs)
        return with_noise(actions, proposal_noise(self.config, noise)) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """One proposal of each target actor, or the first one's."""
        return deterministic(self.actor_target.frozen, obs)[:, :, : self.competing("target")], None

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """A deterministic policy gradient step of every actor on Q_1."""
        actions = deterministic(self.actor.params, batch.obs)
        return dpg_step(self.actor_optimizer, self.critic.first, batch.obs, actions)


entry = Entry(
    "ensemble",
    EnsembleConfig,
    Ensemble,
    "the best of several independent actors (arXiv:2410.11833)",
    # ours: "Hopper: update" in docs/performance.md, measured by benchmarks/algorithms.py
    UpdateCost(lambda config: 1 + 0.3 * config.extra_actors, lambda config: 1 + config.extra_actors),
)
