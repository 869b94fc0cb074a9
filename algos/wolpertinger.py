"""Wolpertinger: one actor's proto action, the candidates round it, and the best of those by Q.

On a catalogue the candidates are the k nearest items of the proto; in a box the proto itself and k - 1 Gaussian
perturbations of it. The critics learn at what was executed; the target runs the whole policy at s'.

Source: arXiv:1512.07679v2 (paper); the form for boxes and the dual critic are those of the SAVO authors' code,
USC-Lira/Q3C@4a5456b (code).

    f → actor           g (the k nearest) → snap          π_θ (refinement by Q) → actor_critic.best

Differs from the paper:
- twin critics and the constants of the fair comparison; the proposal of the target is chosen by the online Q_1 (a
  switch);
- `dual`: the actor climbs a critic of its own, fitted at the stored proto to the best Q among its candidates, instead
  of Q_1, which was never trained at protos.

    every step:    a = argmax over g(clip(f(s) + noise)) of Q_1(s, ·)
    every update:  y = r + γ (1 - terminated) min Q'(s', argmax over g(f'(s')) of Q_1)
                   critics      minimise Σ (Q(s, a) - y)²
                   dual critic  minimises (D(s, f) - max over g(f) of min Q(s, ·))² at the stored proto f
    every 2nd:     actor  maximises Q_1(s, f(s)), with `dual` D(s, f(s));  all targets move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos import td
from savo_bench.algos.actor_critic import ActorCritic, Proposals, snap
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ArgmaxConfig, check, not_negative, positive
from savo_bench.algos.nets import Optimizer, Stack, TwinCritic, mlp_layers, q_values
from savo_bench.algos.td3 import TD3Config, actor_layers, climb, deterministic, explored, noise_and_smoothing


@dataclass(frozen=True, kw_only=True)
class WolpertingerConfig(TD3Config, ArgmaxConfig):
    """Wolpertinger's own fields."""

    target_noise: float = 0.0  # paper: arXiv:1512.07679v2 builds on DDPG, which does not smooth
    candidates: int = 3  # code: USC-Lira/Q3C@4a5456b; the paper's k, the proto's neighbours that are scored
    candidate_sigma: float = 0.01  # code: USC-Lira/Q3C@4a5456b; of the perturbations in a box; 0.1 is worth a try
    dual: bool = False  # code: USC-Lira/Q3C@4a5456b; the actor climbs a critic of protos

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"fair": {}, "published": {}}

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "candidates")
        not_negative(self, "candidate_sigma")

    def check_spaces(self, spaces: Spaces) -> None:
        """Refuse more candidates than there are items.

        Raises:
            ValueError: with the field, its value and what is allowed.
        """
        super().check_spaces(spaces)
        if spaces.catalogue is not None:
            N = len(spaces.catalogue)
            check(self, "candidates", self.candidates <= N, f"must be at most {N}, the items of the catalogue")


def perturbed(protos: Tensor, normal: Tensor, sigma: float) -> Tensor:
    """Protos (S, B, 1, A) and Gaussian perturbations of them, normal (S, 1 or B, k - 1, A): (S, B, k, A)."""
    return torch.cat([protos, (protos + sigma * normal).clamp(-1, 1)], dim=2)


class Wolpertinger(ActorCritic):
    """S seeds of Wolpertinger."""

    policy = ("actor", "critic")

    def __init__(
        self, config: WolpertingerConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        inputs = spaces.obs_dim + spaces.action_dim
        self.actor = Stack.drawn(actor_layers(config, spaces), rngs, 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(inputs, config.hidden, rngs, device)
        networks = {"actor": self.actor, "actor_target": self.actor_target}
        optimizers = {"actor": self.actor_optimizer}
        self.climbed = critic.first
        if config.dual:
            self.protos, self.items = 1, config.candidates
            self.climbed = self.dual = Stack.drawn(mlp_layers(inputs, config.hidden, 1), rngs, 1, device)
            self.dual_optimizer = Optimizer([self.dual], config.lr, config.max_grad_norm)
            networks["dual"] = self.dual
            optimizers["dual"] = self.dual_optimizer
        super().__init__(config, spaces, critic, networks, optimizers)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """TD3's, and in a box the perturbations."""
        shapes = noise_and_smoothing(self.config, self.spaces, call)
        if self.catalogue is None and self.config.candidates > 1:
            each = (self.config.candidates - 1, self.spaces.action_dim)
            shapes["candidates"] = (self.config.batch_size, *each) if call == "update" else each
            if call == "update" and self.config.dual:
                shapes["dual"] = shapes["candidates"]
        return shapes

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The actor's proto: obs (S, B, O) -> (S, B, 1, A)."""
        actions = deterministic(self.actor.frozen, obs)
        return explored(actions, noise) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The target actor's proto."""
        return deterministic(self.actor_target.frozen, obs), None

    def snap(self, protos: Tensor, noise: Noise) -> Proposals:
        """The candidates of protos (S, B, 1, A)."""
        if self.catalogue is not None:
            return snap(self.catalogue, protos, self.config.candidates)
        return Proposals(self.around(protos, noise.get("candidates")), None)

    def around(self, protos: Tensor, normal: Tensor | None) -> Tensor:
        """The candidates in a box; normal (S, k - 1, A) to act, (S, B, k - 1, A) to learn."""
        if normal is None:  # a single candidate, the proto
            return protos
        return perturbed(protos, normal if normal.ndim == 4 else normal.unsqueeze(1), self.config.candidate_sigma)

    def update_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """The critics and, from their new values, the dual one."""
        metrics = super().update_critics(batch, noise)
        if self.config.dual:
            metrics |= self.update_dual(batch, noise)
        return metrics

    def update_dual(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Fit the critic of protos to the best value among the candidates of the stored proto."""
        candidates = batch.proposals if self.catalogue is not None else self.around(batch.protos, noise.get("dual"))
        with torch.no_grad():
            q = td.clipped_double_q(q_values(self.critic.online.frozen, batch.obs, candidates))  # (S, B, k)
        value = q_values(self.dual.params, batch.obs, batch.protos).squeeze(-1)  # (S, 1, B)
        loss = td.squared_error(value, q.amax(-1).unsqueeze(1)).squeeze(1)
        self.dual_optimizer.step(loss.sum())
        return {"dual_loss": loss.detach()}

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Climb the first critic, or the dual one."""
        actions = deterministic(self.actor.params, batch.obs)
        return climb(self.actor_optimizer, self.climbed, batch.obs, actions)
