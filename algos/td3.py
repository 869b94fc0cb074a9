"""TD3: one deterministic actor maximises the first of two critics; the target takes the smaller of both, smoothed.

Source: arXiv:1802.09477v3. The default constants are those of the fair comparison, which is the SAVO authors' own
setting and the same for every algorithm here; `preset=published` gives TD3's own.

    π  → actor          Q_1, Q_2   → critic.online
    π' → actor_target   Q_1', Q_2' → critic.target

Differs from the paper:
- in the default preset: no target smoothing, Ornstein-Uhlenbeck noise with a falling scale, layer normalisation before
  the actor's output, and gradient norms clipped per network;
- actions live in [-1, 1], so noise is in units of the maximal action;
- on a catalogue the actor's output is executed as its nearest item; target smoothing comes before that;
- `refine` and `best_of` look for better actions near the actors' (`algos/local_search.py`); by default nothing does.

    every step:    a = clip(π(s) + noise)
    every update:  y = r + γ (1 - terminated) min_i Q_i'(s', clip(π'(s') + clipped noise))
                   critics  minimise Σ_i (Q_i(s, a) - y)²
    every 2nd:     actor    minimises -Q_1(s, π(s));  targets ← (1 - τ) targets + τ networks

Acting, the critics and the targets are in the frame, `algos/actor_critic.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import ActorCritic, actor_spec
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ActorConfig, NoiseConfig, SmoothingConfig
from savo_bench.algos.entry import Entry
from savo_bench.algos.local_search import SEARCH_COST, LocalSearchConfig, candidate_shapes, candidates
from savo_bench.algos.nets import Optimizer, Params, Stack, TwinCritic, mlp, q_values, tanh
from savo_bench.algos.noise import deterministic_noise_shapes, with_noise


@dataclass(frozen=True, kw_only=True)
class TD3Config(SmoothingConfig, NoiseConfig, ActorConfig, LocalSearchConfig):
    """TD3 has shared fields only."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "fair": {},
        "published": {  # code: sfujim/TD3 main.py and TD3.py
            "hidden": (256, 256),
            "lr": 3e-4,
            "batch_size": 256,
            "buffer_size": 1_000_000,
            "warmup_steps": 25_000,
            "max_grad_norm": 0.0,
            "actor_norm": False,
            "output_gain": 1.0,
            "noise": "gaussian",
            "noise_sigma": 0.1,
            "noise_decay_steps": 0,
            "target_noise": 0.2,
            "epsilon": 0.0,
            "actor_hidden": (),
        },
    }


def deterministic(actor: Params, obs: Tensor) -> Tensor:
    """The actions of M deterministic actors: obs (S, B, O) -> (S, B, M, A)."""
    return tanh(mlp(actor, obs.unsqueeze(1))).movedim(1, 2)


def dpg_step(optimizer: Optimizer, critic: Stack, obs: Tensor, actions: Tensor) -> dict[str, Tensor]:
    """One deterministic policy gradient step of the actors that gave actions (S, B, K, A); the critic stays fixed.

    Returns `actor_loss` (S,), the sum over the K actions of -Q, averaged over the batch.
    """
    loss = -q_values(critic.frozen, obs, actions).mean(2).sum((1, 2))  # (S, 1, B, K) -> (S,)
    optimizer.step(loss.sum())
    return {"actor_loss": loss.detach()}


class TD3(ActorCritic):
    """S seeds of TD3."""

    def __init__(
        self, config: TD3Config, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.initialise(actor_spec(config, spaces), rngs, 1, device)
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
        self.policy = ("actor", "critic") if config.proposals("act") > 1 else ("actor",)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on the action to explore, on the target's action to smooth it, and for a search around both."""
        search = candidate_shapes(self.config.best_of, self.config, self.spaces, call)
        return deterministic_noise_shapes(self.config, self.spaces, call) | search

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The actor's action, and what a search around it finds: obs (S, B, O) -> (S, B, P, A)."""
        actions = candidates(self.config, "act", self.critic.first, obs, deterministic(self.actor.frozen, obs), noise)
        return with_noise(actions, noise["explore"]) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The target actor's action, and what a search around it finds."""
        action = deterministic(self.actor_target.frozen, obs)
        return candidates(self.config, "target", self.selecting_critic, obs, action, noise), None

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """A deterministic policy gradient step on Q_1."""
        actions = deterministic(self.actor.params, batch.obs)
        return dpg_step(self.actor_optimizer, self.critic.first, batch.obs, actions)


entry = Entry("td3", TD3Config, TD3, "one deterministic actor, twin critics (arXiv:1802.09477)", SEARCH_COST)
