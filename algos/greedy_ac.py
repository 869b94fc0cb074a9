"""Greedy actor-critic: the actor imitates the best of many sampled actions instead of following the critic's gradient.

A second policy, the proposal policy, is sampled. The samples with the highest Q are the elites. Both policies maximise
the likelihood of the elites; the proposal policy also keeps some entropy, so that it finds new ones (a conditional
cross-entropy method).

Source: arXiv:1810.09103v4 (paper); constants of samuelfneumann/GreedyAC as the SAVO authors use them (code:
USC-Lira/Q3C@4a5456b).

    π_θ → actor          π̃_φ → proposal_policy          I* (the elites) → actor_critic.top

Two agents: `greedy-ac` executes samples of a Gaussian π_θ; `greedy-td3` has TD3's deterministic actor, exploration and
target actor, and its actor moves towards the elites by squared error, which is the likelihood of a Gaussian of fixed
width.

Differs from the paper:
- twin critics, whose smaller one values the target (the paper has one critic), and the constants of the fair
  comparison;
- the entropy of the proposal policy is estimated with reparametrised samples;
- policies are squashed Gaussians, as in SAC here;
- on a catalogue samples are scored as they are, like CEM's; `snap_samples` scores their nearest items.

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

from savo_bench.algos.actor_critic import ActorCritic, actor_spec, snap, top
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import (
    ActorConfig,
    Config,
    NoiseConfig,
    SmoothingConfig,
    check,
    not_negative,
    positive,
)
from savo_bench.algos.entry import Entry, UpdateCost
from savo_bench.algos.nets import Optimizer, Stack, TwinCritic, q_values, tanh
from savo_bench.algos.noise import deterministic_noise_shapes, with_noise
from savo_bench.algos.sac import gaussian_policy, gaussian_spec, log_probability, sample
from savo_bench.algos.td3 import deterministic


@dataclass(frozen=True, kw_only=True)
class ElitesConfig(Config):
    """Learning from elites."""

    samples: int = 30  # code: samuelfneumann/GreedyAC; actions that are drawn and scored for an update
    elite_fraction: float = 0.1  # code: samuelfneumann/GreedyAC; of the samples
    entropy: float = 0.01  # code: samuelfneumann/GreedyAC; weight of the proposal policy's entropy
    snap_samples: bool = False  # ours: on a catalogue, score each sample as its nearest item: slow, and exact

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "samples")
        check(self, "elite_fraction", 0 < self.elite_fraction <= 1, "must lie in (0, 1]")
        not_negative(self, "entropy")


@dataclass(frozen=True, kw_only=True)
class GreedyACConfig(ElitesConfig, ActorConfig):
    """Greedy-AC has shared fields only."""

    policy_delay: int = 1  # paper: arXiv:1810.09103v4; everything learns at every update


@dataclass(frozen=True, kw_only=True)
class GreedyTD3Config(SmoothingConfig, NoiseConfig, ElitesConfig, ActorConfig):
    """Greedy-TD3 has shared fields only; what it publishes beside them is TD3's smoothing."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "fair": {},
        "published": {"target_noise": 0.2},  # paper: arXiv:1802.09477v3
    }


def elite_count(fraction: float, samples: int) -> int:
    """How many of the samples are elites: the fraction, rounded down, but at least one."""
    return max(1, math.floor(fraction * samples + 1e-9))  # 1e-9: a tenth of 30 is 3, also in floating point


class ProposalPolicy:
    """The policy π̃: its samples, their elites, and how it learns from them."""

    def __init__(
        self,
        config: GreedyACConfig | GreedyTD3Config,
        spaces: Spaces,
        rngs: Sequence[np.random.Generator],
        device: torch.device,
    ) -> None:
        self.config, self.catalogue = config, spaces.catalogue
        self.stack = Stack.initialise(gaussian_spec(config, spaces), rngs, 1, device)
        self.optimizer = Optimizer([self.stack], config.lr, config.max_grad_norm)
        self.noise_shape = (config.batch_size, config.samples, spaces.action_dim)

    def update(self, critic: Stack, obs: Tensor, normal: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sample at obs (S, B, O) with N(0, 1) noise (S, B, N, A), and learn from the elites.

        Returns the elites before tanh, (S, B, E, A), and metrics (S,).
        """
        mean, log_sigma = (x.unsqueeze(2) for x in gaussian_policy(self.stack.params, obs))  # (S, B, 1, A)
        mean, log_sigma = mean.expand_as(normal), log_sigma.expand_as(normal)
        drawn = sample(mean, log_sigma, normal)
        E = elite_count(self.config.elite_fraction, self.config.samples)
        with torch.no_grad():
            scored = snap(self.catalogue, drawn.action).actions if self.config.snap_samples else drawn.action
            elites = top(drawn.point, q_values(critic.frozen, obs, scored).squeeze(1), E)
        likelihood = log_probability(mean[:, :, :E], log_sigma[:, :, :E], elites).mean((1, 2))
        entropy = -drawn.log_pi.mean((1, 2))
        self.optimizer.step(-(likelihood + self.config.entropy * entropy).sum())
        return elites, {"proposal_entropy": entropy.detach()}


class GreedyAC(ActorCritic):
    """S seeds of Greedy-AC."""

    def __init__(
        self, config: GreedyACConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.initialise(gaussian_spec(config, spaces), rngs, 1, device)
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device, config.init)
        self.proposal_policy = ProposalPolicy(config, spaces, rngs, device)
        networks = {"actor": self.actor, "actor_proposal": self.proposal_policy.stack}
        optimizers = {"actor": self.actor_optimizer, "proposal": self.proposal_policy.optimizer}
        super().__init__(config, spaces, critic, networks=networks, targets={}, optimizers=optimizers)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise for the policies' samples: to act, at s' for the target, at s for the elites."""
        A = self.spaces.action_dim
        if call == "act":
            return {"sample": (1, A)}
        if call == "update":
            return {"next": (self.config.batch_size, A), "elites": self.proposal_policy.noise_shape}
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
        """One step of both policies towards the elites of the proposal policy's samples."""
        elites, metrics = self.proposal_policy.update(self.critic.first, batch.obs, noise["elites"])
        mean, log_sigma = (x.unsqueeze(2).expand_as(elites) for x in gaussian_policy(self.actor.params, batch.obs))
        loss = -log_probability(mean, log_sigma, elites).mean((1, 2))
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach(), **metrics}


class GreedyTD3(ActorCritic):
    """S seeds of Greedy-TD3."""

    def __init__(
        self, config: GreedyTD3Config, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.initialise(actor_spec(config, spaces), rngs, 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device, config.init)
        self.proposal_policy = ProposalPolicy(config, spaces, rngs, device)
        networks = {"actor": self.actor, "actor_proposal": self.proposal_policy.stack}
        optimizers = {"actor": self.actor_optimizer, "proposal": self.proposal_policy.optimizer}
        super().__init__(
            config,
            spaces,
            critic,
            networks=networks,
            targets={"actor": self.actor_target},
            optimizers=optimizers,
        )

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise to explore and to smooth, and for the proposal policy's samples."""
        shapes = deterministic_noise_shapes(self.config, self.spaces, call)
        return shapes | ({"elites": self.proposal_policy.noise_shape} if call == "update" else {})

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The actor's action: obs (S, B, O) -> (S, B, 1, A)."""
        actions = deterministic(self.actor.frozen, obs)
        return with_noise(actions, noise["explore"]) if explore else actions

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The target actor's action."""
        return deterministic(self.actor_target.frozen, obs), None

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of both the proposal policy and the actor towards the elites."""
        elites, metrics = self.proposal_policy.update(self.critic.first, batch.obs, noise["elites"])
        action = deterministic(self.actor.params, batch.obs)  # (S, B, 1, A)
        loss = (action - tanh(elites)).square().sum(-1).mean((1, 2))
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach(), **metrics}


def _queries(config: GreedyACConfig | GreedyTD3Config) -> int:
    return 1 + config.snap_samples * config.samples


# ours: both costs are from "Hopper: update" in docs/performance.md, measured by benchmarks/algorithms.py
entry = Entry(
    "greedy-ac",
    GreedyACConfig,
    GreedyAC,
    "an actor that imitates the best of many samples (arXiv:1810.09103)",
    UpdateCost(lambda _: 3.2, _queries),
)
entry_td3 = Entry(
    "greedy-td3",
    GreedyTD3Config,
    GreedyTD3,
    "the same with TD3's actor (arXiv:2410.11833)",
    UpdateCost(lambda _: 1.9, _queries),
)
