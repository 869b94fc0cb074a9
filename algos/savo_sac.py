"""SAVO+SAC: SAVO's successive actors as stochastic actors, each of which also maximises its entropy.

The paper (arXiv:2410.11833v2) names this combination; the authors' code shows only switches for it. **The update
below is ours.** Every actor is a squashed Gaussian that sees samples of the actors before it. The first maximises the
smaller critic, the others their surrogates of truncated landscapes, all with the same temperature; the sample with
the highest Q_1 is executed.

    π_0 → actor        π_i → successive_actors.members[i - 1]        Ψ̂_i → surrogates        α → temperature

Differs from the paper: not known, as it gives no update.

    every step:    a_0 ~ π_0(·|s), a_i ~ π_i(·|s, a_<i); execute argmax_i Q_1(s, a_i); to evaluate, means for samples
    every update:  y = r + γ (1 - terminated) (min Q'(s', a*) - α log π_i*(a*|s')), a* the best proposal at s'
                   critics     minimise Σ (Q(s, a) - y)²
                   surrogates  as in SAVO
                   actors      minimise α log π_0 - min_i Q_i(s, a_0) + Σ_i (α log π_i - Ψ̂_i(s, a_i; a_<i))
                   α           minimises -α (mean_i log π_i + H̄);  targets ← (1 - τ) targets + τ networks
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import SeveralActors, clipped_double_q
from savo_bench.algos.agent import Acted, Batch, Call, Noise, Spaces
from savo_bench.algos.chain import ChainConfig, Surrogates, conditioned, conditioned_spec, needs_surrogates
from savo_bench.algos.config import ActorConfig, ArgmaxConfig, CompetitionConfig
from savo_bench.algos.entry import Entry, UpdateCost
from savo_bench.algos.nets import Optimizer, Params, Stack, TwinCritic, q_values, tanh
from savo_bench.algos.sac import SACConfig, Sample, Temperature, TemperatureConfig, gaussian, gaussian_spec, sample


@dataclass(frozen=True, kw_only=True)
class SAVOSACConfig(TemperatureConfig, CompetitionConfig, ActorConfig, ChainConfig, ArgmaxConfig):
    """The fields of SAC and of successive actors; its published constants are SAC's."""

    policy_delay: int = 1  # paper: arXiv:1812.05905v2; critic updates per update of the actors and the targets
    entropy_argmax: bool = False  # ours: the highest Q, as in SAVO; true, the code's default: the highest soft value

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = SACConfig.PRESETS


def sample_chain(
    actor: Params, successive: Sequence[Params], summariser: str, obs: Tensor, normal: Tensor | None
) -> list[Sample]:
    """A sample of each actor, which sees those before it: obs (S, B, O), normal (S, B, K, A) -> K of (S, B, A).

    Without `normal` the actors' means are taken instead of samples, with a log-probability of 0.
    """
    x = obs.unsqueeze(1)
    samples: list[Sample] = []
    for i, network in enumerate([actor, *successive]):
        earlier = [sample.action.detach() for sample in samples]
        mean, log_sigma = (part.squeeze(1) for part in gaussian(conditioned(network, summariser, x, obs, earlier)))
        if normal is None:
            samples.append(Sample(mean, tanh(mean), mean.new_zeros(mean.shape[:-1])))
        else:
            samples.append(sample(mean, log_sigma, normal[:, :, i]))
    return samples


class SAVOSAC(SeveralActors):
    """S seeds of SAVO+SAC."""

    policy = ("actor", "followers", "critic")  # in files the successive actors are called followers

    def __init__(
        self, config: SAVOSACConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.stored_proto_actions = self.stored_items = config.extra_actors + 1
        self.actor = Stack.initialise(gaussian_spec(config, spaces), rngs, 1, device)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device, config.init)
        norm, gain = config.actor_norm, config.output_gain
        spec = conditioned_spec(
            config, spaces, config.actor_widths, spaces.obs_dim, 2 * spaces.action_dim, norm=norm, gain=gain
        )
        self.successive_actors = Stack.initialise(spec, rngs, config.extra_actors, device)
        self.actor_optimizer = Optimizer([self.actor, self.successive_actors], config.lr, config.max_grad_norm)
        self.temperature = Temperature(config, spaces, rngs, device)
        networks = {"actor": self.actor, "followers": self.successive_actors, "temperature": self.temperature.stack}
        optimizers = {"actor": self.actor_optimizer}
        if self.temperature.optimizer:
            optimizers["temperature"] = self.temperature.optimizer
        self.surrogates = Surrogates(config, spaces, rngs, device) if needs_surrogates(config, spaces) else None
        if self.surrogates:
            networks |= self.surrogates.stacks
            optimizers["surrogates"] = self.surrogates.optimizer
        super().__init__(config, spaces, critic, networks=networks, targets={}, optimizers=optimizers)
        self.entropy_selects = config.entropy_argmax

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise for the actors' samples: to act, and at s and s' to learn."""
        each = (self.stored_proto_actions, self.spaces.action_dim)
        if call == "act":
            return {"sample": each}
        batch = (self.config.batch_size, *each)
        return {"sample": batch, "next": batch} if call == "update" else {}

    def chain(self, obs: Tensor, normal: Tensor | None) -> list[Sample]:
        """The online actors' samples, without gradient."""
        successive = [member.frozen for member in self.successive_actors.members]
        return sample_chain(self.actor.frozen, successive, self.config.summariser, obs, normal)

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """At each obs (S, B, O) the proposal with the highest online Q_1 or, with entropy_argmax, the best sample."""
        if not (explore and self.entropy_selects):  # means have no log-probability
            return super().act(obs, noise, explore=explore)
        proto_actions, bonus = self.with_bonuses(self.chain(obs, noise["sample"].unsqueeze(1)))
        return self.act_by(obs, proto_actions, noise, bonus, self.competing("act"))

    def with_bonuses(self, samples: list[Sample]) -> tuple[Tensor, Tensor]:
        """The actions (S, B, K, A) of K samples and their entropy bonuses (S, B, K)."""
        log_pi = torch.stack([sample.log_pi for sample in samples], dim=2)
        return torch.stack([sample.action for sample in samples], dim=2), -self.temperature.value.unsqueeze(-1) * log_pi

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """Samples to explore, else means: obs (S, B, O) -> (S, B, K, A)."""
        samples = self.chain(obs, noise["sample"].unsqueeze(1) if explore else None)
        return torch.stack([sample.action for sample in samples], dim=2)

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Samples at next_obs, or the first one, and their entropy bonuses."""
        return self.with_bonuses(self.chain(obs, noise["next"])[: self.competing("target")])

    def fit_to_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the surrogates."""
        return self.surrogates.update(self.critic, batch) if self.surrogates else {}

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of every actor on its own landscape and its entropy, then of the temperature."""
        obs, successive = batch.obs, [member.params for member in self.successive_actors.members]
        samples = sample_chain(self.actor.params, successive, self.config.summariser, obs, noise["sample"])
        actions = [sample.action for sample in samples]
        values = self.surrogates.values(obs, actions) if self.surrogates else []
        if self.catalogue is None:
            q = q_values(self.critic.online.frozen, obs, actions[0].unsqueeze(2))  # (S, 2, B, 1)
            values = [clipped_double_q(q).movedim(-1, 1), *values]
        log_pi = torch.stack([sample.log_pi for sample in samples], dim=1)  # (S, K, B)
        soft_values = torch.cat(values, dim=1) - self.temperature.value.unsqueeze(-1) * log_pi
        loss = -soft_values.mean(-1).sum(-1)
        self.actor_optimizer.step(loss.sum())
        metrics = {"actor_loss": loss.detach(), "entropy": -log_pi.detach().mean((1, 2))}
        return metrics | self.temperature.update(log_pi.mean(1))

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """The frame's metrics, and the surrogates' errors."""
        fitted = self.surrogates.diagnose(self.critic, batch) if self.surrogates else {}
        return super().diagnose(batch, noise) | fitted


entry = Entry(
    "savo-sac",
    SAVOSACConfig,
    SAVOSAC,
    "SAVO's chain with stochastic actors (the update is ours)",
    # ours: "Hopper: update" in docs/performance.md, measured by benchmarks/algorithms.py
    UpdateCost(lambda config: 1.37 * (1 + 1.64 * config.extra_actors), lambda config: 1 + config.extra_actors),
)
