"""Wolpertinger: one actor's proto-action, candidates around it, and the best of those by Q.

On a catalogue the candidates are the k nearest items of the proto-action; in a box the proto-action itself and k - 1
Gaussian perturbations of it. The critics learn at the executed action; the target runs the whole policy at s'.

Source: arXiv:1512.07679v2 (paper); the form for boxes and the dual critic come from the SAVO authors' code,
USC-Lira/Q3C@4a5456b (code).

    f → actor           g (the k nearest) → snap          π_θ (refinement by Q) → actor_critic.select

Differs from the paper:
- twin critics and the constants of the fair comparison; the proposal of the target is chosen by the online Q_1 (a
  switch);
- `dual`: the actor maximises a critic of its own instead of Q_1, which was never trained at proto-actions. It is fitted
  at the stored proto-action to the best Q of its candidates and, as SAVO's surrogates, at the executed action to Q.

    every step:    a = argmax over g(clip(f(s) + noise)) of Q_1(s, ·)
    every update:  y = r + γ (1 - terminated) min Q'(s', argmax over g(f'(s')) of Q_1)
                   critics      minimise Σ (Q(s, a) - y)²
                   dual critic  minimises (D(s, f) - max over g(f) of min Q(s, ·))² at the stored proto-action f,
                                and (D(s, a) - min Q(s, a))²
    every 2nd:     actor  maximises Q_1(s, f(s)), with `dual` D(s, f(s));  all targets move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import (
    ActorCritic,
    Proposals,
    actor_spec,
    clipped_double_q,
    snap,
    squared_error,
)
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import (
    ActorConfig,
    ArgmaxConfig,
    NoiseConfig,
    SmoothingConfig,
    check,
    not_negative,
    positive,
)
from savo_bench.algos.entry import Entry, UpdateCost
from savo_bench.algos.local_search import candidate_shapes, perturbed
from savo_bench.algos.nets import Optimizer, Stack, TwinCritic, mlp_spec, q_values
from savo_bench.algos.noise import deterministic_noise_shapes, with_noise
from savo_bench.algos.td3 import deterministic, dpg_step


@dataclass(frozen=True, kw_only=True)
class WolpertingerConfig(SmoothingConfig, NoiseConfig, ActorConfig, ArgmaxConfig):
    """Wolpertinger's own fields."""

    candidates: int = 3  # code: USC-Lira/Q3C@4a5456b; the paper's k, the actions that are scored
    candidate_sigma: float = 0.01  # code: USC-Lira/Q3C@4a5456b; of the perturbations in a box; also try 0.1
    dual: bool = False  # code: USC-Lira/Q3C@4a5456b; the actor maximises a critic of proto-actions
    dual_executed: bool = True  # ours: it is fitted at the executed action, too, as SAVO's surrogates are

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "candidates")
        not_negative(self, "candidate_sigma")
        check(self, "dual_executed", self.dual or self.dual_executed, "has no meaning when dual is false")

    def check_spaces(self, spaces: Spaces) -> None:
        """Refuse more candidates than there are items.

        Raises:
            ValueError: with the field, its value and what is allowed.
        """
        super().check_spaces(spaces)
        if spaces.catalogue is not None:
            N = len(spaces.catalogue)
            check(self, "candidates", self.candidates <= N, f"must be at most {N}, the items of the catalogue")


class Wolpertinger(ActorCritic):
    """S seeds of Wolpertinger."""

    policy = ("actor", "critic")

    def __init__(
        self, config: WolpertingerConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        inputs = spaces.obs_dim + spaces.action_dim
        self.actor = Stack.initialise(actor_spec(config, spaces), rngs, 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(inputs, config.hidden, rngs, device, config.init)
        networks = {"actor": self.actor}
        optimizers = {"actor": self.actor_optimizer}
        self.actors_critic = critic.first  # which the actor maximises
        if config.dual:
            self.stored_proto_actions, self.stored_items = 1, config.candidates
            spec = mlp_spec(inputs, config.hidden, 1, init=config.init)
            self.actors_critic = self.dual = Stack.initialise(spec, rngs, 1, device)
            self.dual_optimizer = Optimizer([self.dual], config.lr, config.max_grad_norm)
            networks["dual"] = self.dual
            optimizers["dual"] = self.dual_optimizer
        super().__init__(
            config,
            spaces,
            critic,
            networks=networks,
            targets={"actor": self.actor_target},
            optimizers=optimizers,
        )

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise to explore and to smooth, and in a box the perturbations."""
        shapes = deterministic_noise_shapes(self.config, self.spaces, call)
        if self.catalogue is None:
            perturbations = candidate_shapes(self.config.candidates, self.config, self.spaces, call)
            shapes |= perturbations
            if call == "update" and self.config.dual and perturbations:
                shapes["dual"] = perturbations["candidates"]
        return shapes

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The actor's proto-action: obs (S, B, O) -> (S, B, 1, A)."""
        actions = deterministic(self.actor.frozen, obs)
        return with_noise(actions, noise["explore"]) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The target actor's proto-action."""
        return deterministic(self.actor_target.frozen, obs), None

    def snap(self, proto_actions: Tensor, noise: Noise) -> Proposals:
        """The candidates of proto-actions (S, B, 1, A)."""
        if self.catalogue is not None:
            return snap(self.catalogue, proto_actions, self.config.candidates)
        return Proposals(self.around(proto_actions, noise.get("candidates")), None)

    def around(self, proto_actions: Tensor, normal: Tensor | None) -> Tensor:
        """The candidates in a box; normal (S, k - 1, A) to act, (S, B, k - 1, A) to learn."""
        if normal is None:  # a single candidate, the proto-action
            return proto_actions
        return perturbed(proto_actions, normal, self.config.candidate_sigma)

    def fit_to_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the dual critic, at the stored proto-action and at the executed action."""
        if not self.config.dual:
            return {}
        candidates = batch.proposals
        if self.catalogue is None:
            candidates = self.around(batch.proto_actions, noise.get("dual"))
        points, targets = batch.proto_actions, self.smaller_q(batch.obs, candidates).amax(-1, keepdim=True)
        if self.config.dual_executed:
            executed = batch.action.unsqueeze(2)
            points = torch.cat([points, executed], dim=2)  # (S, B, 2, A)
            targets = torch.cat([targets, self.smaller_q(batch.obs, executed)], dim=-1)  # (S, B, 2)
        values = q_values(self.dual.params, batch.obs, points).squeeze(1)  # (S, B, 1 or 2)
        loss = squared_error(values.movedim(-1, 1), targets.movedim(-1, 1)).mean(1)
        self.dual_optimizer.step(loss.sum())
        return {"dual_loss": loss.detach()}

    @torch.no_grad()
    def smaller_q(self, obs: Tensor, actions: Tensor) -> Tensor:
        """min(Q_1, Q_2) of actions (S, B, k, A), without gradient: (S, B, k)."""
        return clipped_double_q(q_values(self.critic.online.frozen, obs, actions))

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """A deterministic policy gradient step on Q_1, or on the dual critic."""
        actions = deterministic(self.actor.params, batch.obs)
        return dpg_step(self.actor_optimizer, self.actors_critic, batch.obs, actions)


entry = Entry(
    "wolpertinger",
    WolpertingerConfig,
    Wolpertinger,
    "the best of one actor's neighbours (arXiv:1512.07679)",
    # ours: "Hopper: update" in docs/performance.md, measured by benchmarks/algorithms.py
    UpdateCost(lambda config: 1.8 if config.dual else 1.2),
)
