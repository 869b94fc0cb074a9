"""Greedy actor-critic: the actor imitates the best of many sampled actions instead of climbing the critic.

A second policy proposes samples; those in the top fraction by Q are elites; the actor's likelihood of the elites is
raised, and the proposal policy's too, which also keeps some entropy so that it goes on finding new ones (a
conditional cross-entropy method).

Source: arXiv:1810.09103v4 (paper); constants of samuelfneumann/GreedyAC as the SAVO authors use them (code:
USC-Lira/Q3C@4a5456b).

    π_θ → actor          π̃_φ → proposal          I* (the elites) → td.top

Two agents: `greedy-ac` executes samples of a Gaussian π_θ; `greedy-td3` has TD3's deterministic actor, exploration,
target actor and smoothing, and its actor moves towards the elites by squared error, which is the likelihood of a
Gaussian of fixed width.

Differs from the paper:
- twin critics, whose smaller one values the target (the paper has one critic), and the constants of the fair
  comparison;
- the entropy of the proposal policy is estimated with reparametrised samples;
- policies are squashed Gaussians, as in SAC here;
- on a catalogue samples are scored where they are, as CEM's are; `snap_samples` scores their items.

    every step:    a ~ π(·|s)
    every update:  y = r + γ (1 - terminated) min Q'(s', a'), a' ~ π(·|s');  critics minimise Σ (Q(s, a) - y)²
                   a_1 … a_N ~ π̃(·|s); elites = the best share of them by Q_1
                   proposal  minimises -mean log π̃(elites|s) - entropy × H(π̃(·|s))
                   actor     minimises -mean log π(elites|s);  targets move by τ
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos import td
from savo_bench.algos.actor_critic import ActorCritic, snap
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ActorConfig, check, not_negative, positive
from savo_bench.algos.nets import Optimizer, Stack, TwinCritic, q_values, tanh
from savo_bench.algos.sac import gaussian_layers, gaussian_policy, log_probability, sample
from savo_bench.algos.td3 import TD3Config, actor_layers, deterministic, explored, noise_and_smoothing


@dataclass(frozen=True, kw_only=True)
class ElitesConfig(ActorConfig):
    """The fields of learning from elites."""

    samples: int = 30  # code: samuelfneumann/GreedyAC
    elite_fraction: float = 0.1  # code: samuelfneumann/GreedyAC; of the samples
    entropy: float = 0.01  # code: samuelfneumann/GreedyAC; weight of the proposal policy's
    snap_samples: bool = False  # ours: on a catalogue, score samples as the items that they would be: dear, and exact

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "samples")
        check(self, "elite_fraction", 0 < self.elite_fraction <= 1, "must lie in (0, 1]")
        not_negative(self, "entropy")


@dataclass(frozen=True, kw_only=True)
class GreedyACConfig(ElitesConfig):
    """Greedy-AC has the elites' fields and no other."""

    policy_delay: int = 1  # paper: arXiv:1810.09103v4; everything moves at every update


@dataclass(frozen=True, kw_only=True)
class GreedyTD3Config(TD3Config, ElitesConfig):
    """Greedy-TD3 has TD3's fields and the elites'."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"fair": {}, "published": {}}


def elite_count(fraction: float, samples: int) -> int:
    """How many of some samples are elites: the fraction, rounded down, but at least one."""
    return max(1, math.floor(fraction * samples + 1e-9))  # 1e-9: a tenth of 30 is 3, also in floating point


class Proposer:
    """The proposal policy π̃: its samples, their elites, and how it learns from them."""

    def __init__(
        self, config: ElitesConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.config, self.catalogue = config, spaces.catalogue
        self.stack = Stack.drawn(gaussian_layers(config, spaces), rngs, 1, device)
        self.optimizer = Optimizer([self.stack], config.lr, config.max_grad_norm)
        self.noise_shape = (config.batch_size, config.samples, spaces.action_dim)

    def update(self, critic: Stack, obs: Tensor, normal: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sample at obs (S, B, O) with normal (S, B, N, A), and learn from the elites.

        Returns the elites before tanh, (S, B, E, A), and metrics (S,).
        """
        mean, log_sigma = (x.unsqueeze(2) for x in gaussian_policy(self.stack.params, obs))  # (S, B, 1, A)
        mean, log_sigma = mean.expand_as(normal), log_sigma.expand_as(normal)
        drawn = sample(mean, log_sigma, normal)
        E = elite_count(self.config.elite_fraction, self.config.samples)
        with torch.no_grad():
            scored = snap(self.catalogue, drawn.action).actions if self.config.snap_samples else drawn.action
            best = td.top(drawn.point, q_values(critic.frozen, obs, scored).squeeze(1), E)
        likelihood = log_probability(mean[:, :, :E], log_sigma[:, :, :E], best).mean((1, 2))
        entropy = -drawn.log_pi.mean((1, 2))
        self.optimizer.step(-(likelihood + self.config.entropy * entropy).sum())
        return best, {"proposal_entropy": entropy.detach()}


class GreedyAC(ActorCritic):
    """S seeds of Greedy-AC."""

    def __init__(
        self, config: GreedyACConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.drawn(gaussian_layers(config, spaces), rngs, 1, device)
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        self.proposer = Proposer(config, spaces, rngs, device)
        networks = {"actor": self.actor, "actor_proposal": self.proposer.stack}
        optimizers = {"actor": self.actor_optimizer, "proposal": self.proposer.optimizer}
        super().__init__(config, spaces, critic, networks, optimizers)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """What the policies are sampled with: to act, at s' for the target, at s for the elites."""
        A = self.spaces.action_dim
        if call == "act":
            return {"sample": (1, A)}
        if call == "update":
            return {"next": (self.config.batch_size, A), "elites": self.proposer.noise_shape}
        return {}

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """A sample to explore, else the mean: obs (S, B, O) -> (S, B, 1, A)."""
        mean, log_sigma = gaussian_policy(self.actor.frozen, obs)
        action = sample(mean, log_sigma, noise["sample"]).action if explore else tanh(mean)
        return action.unsqueeze(2)

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """A sample of the policy at next_obs."""
        return sample(*gaussian_policy(self.actor.frozen, obs), noise["next"]).action.unsqueeze(2), None

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Both policies learn from the elites among the proposal policy's samples."""
        best, metrics = self.proposer.update(self.critic.first, batch.obs, noise["elites"])
        mean, log_sigma = (x.unsqueeze(2).expand_as(best) for x in gaussian_policy(self.actor.params, batch.obs))
        loss = -log_probability(mean, log_sigma, best).mean((1, 2))
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach(), **metrics}


class GreedyTD3(ActorCritic):
    """S seeds of Greedy-TD3."""

    def __init__(
        self, config: GreedyTD3Config, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.drawn(actor_layers(config, spaces), rngs, 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        self.proposer = Proposer(config, spaces, rngs, device)
        networks = {
            "actor": self.actor,
            "actor_target": self.actor_target,
            "actor_proposal": self.proposer.stack,
        }
        optimizers = {"actor": self.actor_optimizer, "proposal": self.proposer.optimizer}
        super().__init__(config, spaces, critic, networks, optimizers)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """TD3's, and what the proposal policy is sampled with."""
        shapes = noise_and_smoothing(self.config, self.spaces, call)
        return shapes | ({"elites": self.proposer.noise_shape} if call == "update" else {})

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The actor's action: obs (S, B, O) -> (S, B, 1, A)."""
        actions = deterministic(self.actor.frozen, obs)
        return explored(actions, noise) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The target actor's action."""
        return deterministic(self.actor_target.frozen, obs), None

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """The actor moves towards the elites among the proposal policy's samples."""
        best, metrics = self.proposer.update(self.critic.first, batch.obs, noise["elites"])
        action = deterministic(self.actor.params, batch.obs)  # (S, B, 1, A)
        loss = (action - tanh(best)).square().sum(-1).mean((1, 2))
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach(), **metrics}
