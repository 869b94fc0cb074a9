"""SAC: a stochastic actor maximises the smaller critic and its entropy, which a learnt temperature holds near a target.

Source: arXiv:1812.05905v2 (paper); the bounds of log σ and their form come from CleanRL's
sac_continuous_action.py (code).

    π_φ → actor (mean and log σ)       α → exp(temperature)       H̄ → -target_entropy × dim A

Differs from the paper:
- in the default preset, as TD3 here: layer normalisation before the actor's output, and gradient norms clipped per
  network; the policy's samples explore;
- on a catalogue the sample is executed as its nearest item; its log-probability stays that of the sample;
- with `best_of` the sample, or in evaluation the mean, is the first of so many proposals; the others are more samples,
  and the best by Q_1 is taken, in the target with the entropy bonus of its own. By default there is one.

    every step:    a ~ π(·|s); the mean's tanh in evaluation
    every update:  y = r + γ (1 - terminated) (min_i Q_i'(s', a') - α log π(a'|s')), a' ~ π(·|s')
                   critics  minimise Σ_i (Q_i(s, a) - y)²
                   actor    minimises α log π(a|s) - min_i Q_i(s, a), a ~ π(·|s)
                   α        minimises -α (log π(a|s) + H̄);  targets ← (1 - τ) targets + τ networks
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from savo_bench.algos.actor_critic import ActorCritic, actor_spec, clipped_double_q
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ActorConfig, Config, positive
from savo_bench.algos.entry import Entry, UpdateCost
from savo_bench.algos.local_search import SAMPLE_COST, candidate_shapes
from savo_bench.algos.nets import (
    NetworkSpec,
    Optimizer,
    ParameterSpec,
    Params,
    Stack,
    TwinCritic,
    elementwise,
    mlp,
    q_values,
    tanh,
)

LOG_SIGMA_LOW, LOG_SIGMA_HIGH = -5.0, 2.0  # code: CleanRL sac_continuous_action.py


@dataclass(frozen=True, kw_only=True)
class TemperatureConfig(Config):
    """The weight of the entropy."""

    temperature: float = 1.0  # code: CleanRL; initial α
    learn_temperature: bool = True  # paper: arXiv:1812.05905v2, section 5; whether α follows target_entropy
    target_entropy: float = -1.0  # paper: arXiv:1812.05905v2, appendix D; of the policy, per dimension of the action

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "temperature")


@dataclass(frozen=True, kw_only=True)
class SACConfig(TemperatureConfig, ActorConfig):
    """SAC's own fields."""

    policy_delay: int = 1  # paper: arXiv:1812.05905v2; critic updates per update of the actors and the targets
    best_of: int = 1  # paper: one sample; else the best by Q_1 of so many, to act, in evaluation and in the target

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "fair": {},
        "published": {  # paper: arXiv:1812.05905v2, appendix D; warmup_steps: CleanRL
            "hidden": (256, 256),
            "lr": 3e-4,
            "batch_size": 256,
            "buffer_size": 1_000_000,
            "warmup_steps": 5_000,
            "max_grad_norm": 0.0,
            "actor_norm": False,
            "output_gain": 1.0,
            "actor_hidden": (),
        },
    }

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "best_of")


def gaussian_spec(config: ActorConfig, spaces: Spaces) -> NetworkSpec:
    """An actor that gives mean and log σ."""
    return actor_spec(config, spaces, outputs=2)


def gaussian(output: Tensor) -> tuple[Tensor, Tensor]:
    """A network's output (..., 2 A) as mean and log σ, each (..., A); log σ between its bounds."""
    mean, raw = output.chunk(2, dim=-1)
    return mean, LOG_SIGMA_LOW + (LOG_SIGMA_HIGH - LOG_SIGMA_LOW) / 2 * (tanh(raw) + 1)


def gaussian_policy(actor: Params, obs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log σ of one actor at obs (S, B, O), each (S, B, A)."""
    mean, log_sigma = gaussian(mlp(actor, obs.unsqueeze(1)))
    return mean.squeeze(1), log_sigma.squeeze(1)


class Sample(NamedTuple):
    """Samples of a squashed Gaussian."""

    point: Tensor  # (S, ..., A), before tanh
    action: Tensor  # (S, ..., A)
    log_pi: Tensor  # (S, ...) the log-probability of the action


def sample(mean: Tensor, log_sigma: Tensor, normal: Tensor) -> Sample:
    """A sample from mean, log σ and N(0, 1) noise, all (S, ..., A)."""
    point = mean + elementwise(torch.exp, log_sigma) * normal
    return Sample(point, tanh(point), log_probability(mean, log_sigma, point))


def log_probability(mean: Tensor, log_sigma: Tensor, point: Tensor) -> Tensor:
    """log π of the action tanh(point): all (S, ..., A) -> (S, ...). Appendix C of arXiv:1812.05905v2."""
    return elementwise(_log_density, mean, log_sigma, point).sum(-1)


def _log_density(mean: Tensor, log_sigma: Tensor, point: Tensor) -> Tensor:
    """log N(u; mean, σ) - log(1 - tanh(u)²), number by number; the second as 2 (log 2 - u - softplus(-2 u))."""
    normal = (point - mean) * torch.exp(-log_sigma)
    log_normal = -normal.square() / 2 - log_sigma - math.log(2 * math.pi) / 2
    return log_normal - 2 * (math.log(2) - point - F.softplus(-2 * point))


class Temperature:
    """α of every seed, learnt by gradient steps on its logarithm."""

    def __init__(
        self, config: TemperatureConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.goal = config.target_entropy * spaces.action_dim  # H̄
        spec = {"log": ParameterSpec((1,), 0.0, math.log(config.temperature))}
        self.stack = Stack.initialise(spec, rngs, 1, device)
        # The clip is of a network's norm; this is one number, whose gradient is not clipped.
        self.optimizer = Optimizer([self.stack], config.lr, max_grad_norm=0.0) if config.learn_temperature else None

    @property
    def value(self) -> Tensor:
        """α without gradient: (S, 1), which broadcasts over the batch."""
        return elementwise(torch.exp, self.stack.frozen["log"]).flatten(1)

    def update(self, log_pi: Tensor) -> dict[str, Tensor]:
        """One step of α for actions with log_pi (S, B)."""
        if self.optimizer is None:
            return {"temperature": self.value.squeeze(1)}
        gap = (log_pi.detach() + self.goal).mean(1)  # (S,)
        loss = -elementwise(torch.exp, self.stack.params["log"]).flatten() * gap
        self.optimizer.step(loss.sum())
        return {"temperature": self.value.squeeze(1)}


class SAC(ActorCritic):
    """S seeds of SAC."""

    def __init__(
        self, config: SACConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.initialise(gaussian_spec(config, spaces), rngs, 1, device)
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device, config.init)
        self.temperature = Temperature(config, spaces, rngs, device)
        networks = {"actor": self.actor, "temperature": self.temperature.stack}
        optimizers = {"actor": self.actor_optimizer}
        if self.temperature.optimizer:
            optimizers["temperature"] = self.temperature.optimizer
        super().__init__(config, spaces, critic, networks=networks, targets={}, optimizers=optimizers)
        self.policy = ("actor", "critic") if config.best_of > 1 else ("actor",)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise for the policy's samples: to act, and at s and s' to learn; and for more of them, with best_of."""
        A, more = self.spaces.action_dim, candidate_shapes(self.config.best_of, self.config, self.spaces, call)
        if call == "act":
            return {"sample": (1, A)} | more
        each = (self.config.batch_size, A)
        return {"sample": each, "next": each} | more if call == "update" else more

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """A sample to explore, else the mean, and more samples with best_of: obs (S, B, O) -> (S, B, P, A)."""
        mean, log_sigma = gaussian_policy(self.actor.frozen, obs)
        action = sample(mean, log_sigma, noise["sample"]).action if explore else tanh(mean)
        more = self.more_samples(mean, log_sigma, noise)
        return torch.cat([action.unsqueeze(2), more.action], dim=2) if more else action.unsqueeze(2)

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Samples of the policy at next_obs, and their entropy bonuses: (S, B, P, A), (S, B, P)."""
        mean, log_sigma = gaussian_policy(self.actor.frozen, obs)
        _, action, log_pi = sample(mean, log_sigma, noise["next"])
        actions, log_pi = action.unsqueeze(2), log_pi.unsqueeze(2)
        if more := self.more_samples(mean, log_sigma, noise):
            actions, log_pi = torch.cat([actions, more.action], dim=2), torch.cat([log_pi, more.log_pi], dim=2)
        return actions, -self.temperature.value.unsqueeze(-1) * log_pi

    def more_samples(self, mean: Tensor, log_sigma: Tensor, noise: Noise) -> Sample | None:
        """The samples beside the first, actions (S, B, best_of - 1, A); None: there are no more."""
        if self.config.best_of == 1:
            return None
        normal = noise["candidates"]
        normal = normal if normal.ndim == 4 else normal.unsqueeze(1).expand(-1, mean.shape[1], -1, -1)
        mean, log_sigma = mean.unsqueeze(2).expand_as(normal), log_sigma.unsqueeze(2).expand_as(normal)
        return sample(mean, log_sigma, normal)

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the actor on the smaller critic and the entropy, then of the temperature."""
        _, action, log_pi = sample(*gaussian_policy(self.actor.params, batch.obs), noise["sample"])
        q = q_values(self.critic.online.frozen, batch.obs, action.unsqueeze(2))
        value = clipped_double_q(q).squeeze(-1)
        loss = (self.temperature.value * log_pi - value).mean(1)
        self.actor_optimizer.step(loss.sum())
        metrics = {"actor_loss": loss.detach(), "entropy": -log_pi.detach().mean(1)}
        return metrics | self.temperature.update(log_pi)


entry = Entry(
    "sac",
    SACConfig,
    SAC,
    "one stochastic actor, learnt temperature (arXiv:1812.05905)",
    # ours: "Hopper: update" in docs/performance.md, measured by benchmarks/algorithms.py
    UpdateCost(lambda config: 1.5 + SAMPLE_COST * (config.best_of - 1), lambda config: config.best_of),
)
