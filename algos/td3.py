"""TD3: one deterministic actor climbs the first of two critics; the target takes the smaller of both, smoothed.

Source: arXiv:1802.09477v3. The default constants are those of the fair comparison (the SAVO authors' own setting,
shared by every algorithm here); `preset=published` gives TD3's own.

    π  → actor          Q_1, Q_2   → critic.online
    π' → actor_target   Q_1', Q_2' → critic.target

Differs from the paper:
- in the default preset: Ornstein-Uhlenbeck noise with a falling scale, layer normalisation before the actor's output
  and a small initial output, gradient norms clipped per network;
- actions live in [-1, 1], so noise is in units of the maximal action.

    every step:    a = clip(π(s) + noise)
    every update:  y = r + γ (1 - terminated) min_i Q_i'(s', clip(π'(s') + clipped noise))
                   critics  minimise Σ_i (Q_i(s, a) - y)²
    every 2nd:     actor    minimises -Q_1(s, π(s));  targets ← (1 - τ) targets + τ networks
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from algos import td
from algos.agent import Acted, Batch, Call, Noise, Spaces
from algos.nets import Optimizer, Params, Stack, TwinCritic, mlp, mlp_layers, q_values, tanh


@dataclass(frozen=True, kw_only=True)
class TD3Config:
    """What every algorithm of the comparison shares, and TD3's own fields."""

    preset: Literal["fair", "published"] = "fair"  # ours: a named set of the values below
    hidden: tuple[int, ...] = (256, 256)  # paper: arXiv:1802.09477v3; one width for all networks
    lr: float = 3e-4  # code: USC-Lira/Q3C@4a5456b; Adam, every network
    batch_size: int = 256  # code: USC-Lira/Q3C@4a5456b
    buffer_size: int = 500_000  # code: USC-Lira/Q3C@4a5456b
    warmup_steps: int = 10_000  # code: USC-Lira/Q3C@4a5456b; uniformly random actions, no update
    gamma: float = 0.99  # paper: arXiv:1802.09477v3
    tau: float = 0.005  # paper: arXiv:1802.09477v3
    policy_delay: int = 2  # paper: arXiv:1802.09477v3
    max_grad_norm: float = 1.0  # code: USC-Lira/Q3C@4a5456b; L2 norm per network and seed; 0 clips nothing
    actor_norm: bool = True  # code: USC-Lira/Q3C@4a5456b; layer normalisation before the actors' output
    output_gain: float = 1e-3  # code: USC-Lira/Q3C@4a5456b; scale of the actors' initial output layer
    noise: Literal["ou", "gaussian"] = "ou"  # code: USC-Lira/Q3C@4a5456b
    noise_sigma: float = 0.2  # code: USC-Lira/Q3C@4a5456b; in units of the maximal action
    noise_theta: float = 0.15  # code: USC-Lira/Q3C@4a5456b; of the Ornstein-Uhlenbeck process
    noise_final: float = 0.01  # code: USC-Lira/Q3C@4a5456b; factor on the noise after its decay
    noise_decay_steps: int = 500_000  # code: USC-Lira/Q3C@4a5456b; 0 keeps the noise as it is
    target_noise: float = 0.2  # paper: arXiv:1802.09477v3; 0 takes target smoothing away
    noise_clip: float = 0.5  # paper: arXiv:1802.09477v3

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

    def __post_init__(self) -> None:
        """Refuse values that cannot work, naming the field.

        Raises:
            ValueError: with the field, its value and what is allowed.
        """
        for name, value in vars(self).items():
            check(self, name, not isinstance(value, float) or math.isfinite(value), "must be finite")
        check(self, "preset", self.preset in self.PRESETS, f"must be one of {', '.join(self.PRESETS)}")
        check(self, "hidden", len(self.hidden) > 0 and min(self.hidden) > 0, "must be widths above 0, as 64-64")
        check(self, "noise", self.noise in ("ou", "gaussian"), "must be one of ou, gaussian")
        for name in ("lr", "batch_size", "buffer_size", "policy_delay"):
            check(self, name, getattr(self, name) > 0, "must be above 0")
        for name in ("warmup_steps", "max_grad_norm", "output_gain", "noise_sigma", "noise_decay_steps"):
            check(self, name, getattr(self, name) >= 0, "must be 0 or above")
        for name in ("target_noise", "noise_clip"):
            check(self, name, getattr(self, name) >= 0, "must be 0 or above")
        for name in ("gamma", "noise_theta", "noise_final"):
            check(self, name, 0 <= getattr(self, name) <= 1, "must lie in [0, 1]")
        check(self, "tau", 0 < self.tau <= 1, "must lie in (0, 1]")


def check(config: TD3Config, name: str, holds: bool, demand: str) -> None:
    """Raise ValueError naming the field, its value and what is allowed, unless it holds.

    Raises:
        ValueError: if `holds` is false.
    """
    if not holds:
        raise ValueError(f"{name}={getattr(config, name)}: {demand}")


def actor_layers(config: TD3Config, spaces: Spaces, outputs: int = 1):
    """The layers of a plain actor, for `outputs` actions."""
    return mlp_layers(
        spaces.obs_dim,
        config.hidden,
        outputs * spaces.action_dim,
        norm=config.actor_norm,
        gain=config.output_gain,
    )


def propose(actor: Params, obs: Tensor) -> Tensor:
    """The actor's action at each state: obs (S, B, O) -> (S, B, 1, A), a single proposal."""
    return tanh(mlp(actor, obs.unsqueeze(1))).movedim(1, 2)


def critic_loss(online: Params, batch: Batch, target: Tensor) -> Tensor:
    """Mean squared error of both critics at the executed action, target (S, B) -> (S, 2)."""
    q = q_values(online, batch.obs, batch.action.unsqueeze(2)).squeeze(-1)  # (S, 2, B)
    return td.squared_error(q, target.unsqueeze(1))


class TD3:
    """S seeds of TD3."""

    protos = 0
    policy = ("actor",)

    def __init__(
        self, config: TD3Config, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.config, self.spaces = config, spaces
        self.actor = Stack.drawn(actor_layers(config, spaces), rngs, 1, device)
        self.actor_target = self.actor.copy()
        self.critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        self.critic_optimizer = Optimizer([self.critic.online], config.lr, config.max_grad_norm)
        self.networks = {"actor": self.actor, "actor_target": self.actor_target, **self.critic.networks}
        self.optimizers = {"actor": self.actor_optimizer, "critic": self.critic_optimizer}
        self.updates = 0

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on the action to explore, and on the target's action to smooth it."""
        A = self.spaces.action_dim
        if call == "act":
            return {"explore": (1, A)}
        if call == "update" and self.config.target_noise > 0:
            return {"smoothing": (self.config.batch_size, A)}
        return {}

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """obs (S, B, O) -> the actor's action, with noise if it explores."""
        actions = propose(self.actor.frozen, obs)  # (S, B, 1, A)
        if explore:
            actions = (actions + noise["explore"].unsqueeze(1)).clamp(-1, 1)
        S, B, _, A = actions.shape
        return Acted(actions.squeeze(2), actions.new_empty(S, B, 0, A), actions.new_zeros(S, B, dtype=torch.int64))

    def update(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the critics and, every `policy_delay` updates, of the actor and all targets."""
        self.updates += 1
        metrics = self.update_critic(batch, noise)
        if self.updates % self.config.policy_delay == 0:
            metrics |= self.update_actor(batch)
            self.update_targets()
        return metrics

    def update_critic(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Regress both critics to the Bellman target."""
        with torch.no_grad():
            next_action = propose(self.actor_target.frozen, batch.next_obs)
            if self.config.target_noise > 0:
                normal = noise["smoothing"].unsqueeze(2)
                next_action = td.smooth(next_action, normal, self.config.target_noise, self.config.noise_clip)
            next_q = td.clipped_double_q(q_values(self.critic.target.frozen, batch.next_obs, next_action)).squeeze(-1)
            target = td.td_target(batch.reward, batch.terminated, next_q, self.config.gamma)
        loss = critic_loss(self.critic.online.params, batch, target)
        self.critic_optimizer.step(loss.sum())
        return {"critic_loss": loss.detach().mean(1), "target_mean": target.mean(1)}

    def update_actor(self, batch: Batch) -> dict[str, Tensor]:
        """Climb the first critic, which stays as it is."""
        q = q_values(self.critic.first.frozen, batch.obs, propose(self.actor.params, batch.obs))  # (S, 1, B, 1)
        loss = -q.mean((1, 2, 3))
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach()}

    def update_targets(self) -> None:
        """Move every target network by tau."""
        self.actor_target.follow(self.actor, self.config.tau)
        self.critic.target.follow(self.critic.online, self.config.tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch) -> dict[str, Tensor]:
        """How far the critics disagree, and how close to the bounds the actor's actions lie."""
        actions = propose(self.actor.frozen, batch.obs)
        q = q_values(self.critic.online.frozen, batch.obs, actions)  # (S, 2, B, 1)
        return {
            "q": q[:, 0].mean((1, 2)),
            "critic_gap": (q[:, 0] - q[:, 1]).abs().mean((1, 2)),
            "action_magnitude": actions.abs().mean((1, 2, 3)),
        }
