"""TD3: one deterministic actor climbs the first of two critics; the target takes the smaller of both, smoothed.

Source: arXiv:1802.09477v3. The default constants are those of the fair comparison (the SAVO authors' own setting,
shared by every algorithm here); `preset=published` gives TD3's own.

    π  → actor          Q_1, Q_2   → critic.online
    π' → actor_target   Q_1', Q_2' → critic.target

Differs from the paper:
- in the default preset: Ornstein-Uhlenbeck noise with a falling scale, layer normalisation before the actor's output
  and a small initial output, gradient norms clipped per network;
- actions live in [-1, 1], so noise is in units of the maximal action;
- on a catalogue the actor's output is executed as its nearest item, and the target's is smoothed before that.

    every step:    a = clip(π(s) + noise)
    every update:  y = r + γ (1 - terminated) min_i Q_i'(s', clip(π'(s') + clipped noise))
                   critics  minimise Σ_i (Q_i(s, a) - y)²
    every 2nd:     actor    minimises -Q_1(s, π(s));  targets ← (1 - τ) targets + τ networks

Acting, the critics and the targets are the frame's, `algos/actor_critic.py`.
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
from savo_bench.algos.config import ActorConfig, NoiseConfig, SmoothingConfig
from savo_bench.algos.nets import Layers, Optimizer, Params, Stack, TwinCritic, mlp, mlp_layers, q_values, tanh


@dataclass(frozen=True, kw_only=True)
class TD3Config(SmoothingConfig, NoiseConfig, ActorConfig):
    """TD3 has the shared fields and no other."""

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
        },
    }


def actor_layers(config: ActorConfig, spaces: Spaces, outputs: int = 1) -> Layers:
    """The layers of a plain actor, for `outputs` vectors of an action's size."""
    return mlp_layers(
        spaces.obs_dim,
        config.hidden,
        outputs * spaces.action_dim,
        norm=config.actor_norm,
        gain=config.output_gain,
    )


def deterministic(actor: Params, obs: Tensor) -> Tensor:
    """The action of each of M actors: obs (S, B, O) -> (S, B, M, A)."""
    return tanh(mlp(actor, obs.unsqueeze(1))).movedim(1, 2)


def explored(protos: Tensor, noise: Noise) -> Tensor:
    """Protos (S, 1, P, A) with the exploration noise on each, within the bounds."""
    return (protos + noise["explore"].unsqueeze(1)).clamp(-1, 1)


def climb(optimizer: Optimizer, critic: Stack, obs: Tensor, actions: Tensor) -> dict[str, Tensor]:
    """Let what made actions (S, B, K, A) climb a critic, which stays as it is."""
    loss = -q_values(critic.frozen, obs, actions).mean(2).sum((1, 2))  # (S, 1, B, K) -> (S,)
    optimizer.step(loss.sum())
    return {"actor_loss": loss.detach()}


class TD3(ActorCritic):
    """S seeds of TD3."""

    def __init__(
        self, config: TD3Config, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.drawn(actor_layers(config, spaces), rngs, 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        networks = {"actor": self.actor, "actor_target": self.actor_target}
        super().__init__(config, spaces, critic, networks, {"actor": self.actor_optimizer})

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on the action to explore, and on the target's action to smooth it."""
        return noise_and_smoothing(self.config, self.spaces, call)

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The actor's action: obs (S, B, O) -> (S, B, 1, A)."""
        actions = deterministic(self.actor.frozen, obs)
        return explored(actions, noise) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The target actor's action."""
        return deterministic(self.actor_target.frozen, obs), None

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Climb the first critic."""
        actions = deterministic(self.actor.params, batch.obs)
        return climb(self.actor_optimizer, self.critic.first, batch.obs, actions)


def noise_and_smoothing(config: TD3Config, spaces: Spaces, call: Call, protos: int = 1) -> dict[str, tuple[int, ...]]:
    """The noise of TD3's family: on every proto to explore, and to smooth the target's action where that is kept."""
    if call == "act":
        return {"explore": (protos, spaces.action_dim)}
    if call == "update" and config.target_noise > 0:
        return {"smoothing": (config.batch_size, spaces.action_dim)}
    return {}
