"""An ensemble of actors ("k-actors"): K independent ones climb the same critic; the best proposal is executed.

What SAVO is without truncation, surrogates and conditioning: several starts for the same ascent. The paper's
comparator (arXiv:2410.11833v2).

    ν_0 … ν_k → actor (a stack of K networks)        μ_M → propose, then td.best

Differs from the paper: nothing known; its text leaves the target open, here it is SAVO's (target actors, argmax by
the online Q_1, no smoothing), so that the two differ in the proposals alone. With no extra actor it is TD3 without
smoothing.

    every step:    a_i = ν_i(s); noise on each; execute argmax_i Q_1(s, a_i)
    every update:  y = r + γ (1 - terminated) min Q'(s', μ_M'(s'));  critics minimise Σ (Q(s, a) - y)²
    every 2nd:     actors maximise Σ_i Q_1(s, a_i);  all targets move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ArgmaxConfig, not_negative
from savo_bench.algos.nets import Optimizer, Stack, TwinCritic
from savo_bench.algos.td3 import TD3Config, actor_layers, climb, deterministic, explored, noise_and_smoothing


@dataclass(frozen=True, kw_only=True)
class EnsembleConfig(TD3Config, ArgmaxConfig):
    """The ensemble's own fields."""

    target_noise: float = 0.0  # ours: as in SAVO, whose control it is
    extra_actors: int = 3  # ours: as many as SAVO's

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"fair": {}, "published": {}}

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        not_negative(self, "extra_actors")


class Ensemble(ActorCritic):
    """S seeds of an ensemble of actors."""

    policy = ("actor", "critic")
    actors_compete = True

    def __init__(
        self, config: EnsembleConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.drawn(actor_layers(config, spaces), rngs, config.extra_actors + 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        networks = {"actor": self.actor, "actor_target": self.actor_target}
        super().__init__(config, spaces, critic, networks, {"actor": self.actor_optimizer})

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on every proposal to explore; on the target's action only where smoothing is kept."""
        return noise_and_smoothing(self.config, self.spaces, call, self.config.extra_actors + 1)

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """One proposal of each actor: obs (S, B, O) -> (S, B, K, A)."""
        actions = deterministic(self.actor.frozen, obs)
        return explored(actions, noise) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """One proposal of each target actor."""
        return deterministic(self.actor_target.frozen, obs), None

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Every actor climbs the first critic."""
        actions = deterministic(self.actor.params, batch.obs)
        return climb(self.actor_optimizer, self.critic.first, batch.obs, actions)
