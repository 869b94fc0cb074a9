"""SAC: a stochastic actor climbs the smaller critic while its entropy is held near a target by a learnt temperature.

Source: arXiv:1812.05905v2 (paper); the bounds of log σ and their form as in CleanRL's sac_continuous_action.py
(code).

    π_φ → actor (mean and log σ)       α → exp(temperature)       H̄ → -target_entropy × dim A

Differs from the paper:
- in the default preset, as TD3 here: layer normalisation before the actor's output and a small initial output,
  gradient norms clipped per network; exploration is the policy's own;
- on a catalogue the sample is executed as its nearest item; its log-probability stays that of the sample.

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

from savo_bench.algos import td
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ActorConfig, positive
from savo_bench.algos.nets import Layers, Optimizer, Param, Params, Stack, TwinCritic, elementwise, mlp, q_values, tanh
from savo_bench.algos.td3 import actor_layers

LOG_SIGMA_LOW, LOG_SIGMA_HIGH = -5.0, 2.0  # code: CleanRL sac_continuous_action.py


@dataclass(frozen=True, kw_only=True)
class SACConfig(ActorConfig):
    """SAC's own fields."""

    policy_delay: int = 1  # paper: arXiv:1812.05905v2
    temperature: float = 1.0  # code: CleanRL; initial α
    learn_temperature: bool = True  # paper: arXiv:1812.05905v2, section 5
    target_entropy: float = -1.0  # paper: arXiv:1812.05905v2, appendix D; per dimension of the action

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
        },
    }

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "temperature")


# ---- the squashed Gaussian


def gaussian_layers(config: ActorConfig, spaces: Spaces) -> Layers:
    """The layers of an actor that gives mean and log σ."""
    return actor_layers(config, spaces, outputs=2)


def gaussian(output: Tensor) -> tuple[Tensor, Tensor]:
    """A network's output (..., 2 A) as mean and log σ, each (..., A); log σ between its bounds."""
    mean, raw = output.chunk(2, dim=-1)
    return mean, LOG_SIGMA_LOW + (LOG_SIGMA_HIGH - LOG_SIGMA_LOW) / 2 * (tanh(raw) + 1)


def gaussian_policy(actor: Params, obs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log σ of one actor at obs (S, B, O), each (S, B, A)."""
    mean, log_sigma = gaussian(mlp(actor, obs.unsqueeze(1)))
    return mean.squeeze(1), log_sigma.squeeze(1)


class Sample(NamedTuple):
    """Points of a Gaussian, the actions that they are, and the log-probabilities of those."""

    point: Tensor  # (S, ..., A), before tanh
    action: Tensor  # (S, ..., A)
    log_pi: Tensor  # (S, ...)


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

    def __init__(self, config: SACConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device):
        self.goal = config.target_entropy * spaces.action_dim  # H̄
        self.stack = Stack.drawn({"log": Param((1,), 0.0, math.log(config.temperature))}, rngs, 1, device)
        # One number is no network: its gradient is not clipped.
        self.optimizer = Optimizer([self.stack], config.lr, max_grad_norm=0.0) if config.learn_temperature else None

    @property
    def value(self) -> Tensor:
        """α without gradient: (S, 1), to be multiplied with (S, B)."""
        return elementwise(torch.exp, self.stack.frozen["log"]).flatten(1)

    def update(self, log_pi: Tensor) -> dict[str, Tensor]:
        """One step of α for actions with log_pi (S, B)."""
        if self.optimizer is None:
            return {"temperature": self.value.squeeze(1)}
        gap = (log_pi.detach() + self.goal).mean(1)  # (S,)
        loss = -elementwise(torch.exp, self.stack.params["log"]).flatten() * gap
        self.optimizer.step(loss.sum())
        return {"temperature": self.value.squeeze(1)}


# ---- the agent


class SAC(ActorCritic):
    """S seeds of SAC."""

    def __init__(
        self, config: SACConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.drawn(gaussian_layers(config, spaces), rngs, 1, device)
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        self.temperature = Temperature(config, spaces, rngs, device)
        networks = {"actor": self.actor, "temperature": self.temperature.stack}
        optimizers = {"actor": self.actor_optimizer}
        if self.temperature.optimizer:
            optimizers["temperature"] = self.temperature.optimizer
        super().__init__(config, spaces, critic, networks, optimizers)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """What the policy is sampled with: to act, and at s and s' to learn."""
        A = self.spaces.action_dim
        if call == "act":
            return {"sample": (1, A)}
        each = (self.config.batch_size, A)
        return {"sample": each, "next": each} if call == "update" else {}

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """A sample to explore, else the mean: obs (S, B, O) -> (S, B, 1, A)."""
        mean, log_sigma = gaussian_policy(self.actor.frozen, obs)
        action = sample(mean, log_sigma, noise["sample"]).action if explore else tanh(mean)
        return action.unsqueeze(2)

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """A sample of the policy at next_obs, and its entropy's worth."""
        _, action, log_pi = sample(*gaussian_policy(self.actor.frozen, obs), noise["next"])
        return action.unsqueeze(2), -(self.temperature.value * log_pi).unsqueeze(-1)

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Climb the smaller critic and the entropy; then the temperature."""
        _, action, log_pi = sample(*gaussian_policy(self.actor.params, batch.obs), noise["sample"])
        q = q_values(self.critic.online.frozen, batch.obs, action.unsqueeze(2))
        value = td.clipped_double_q(q).squeeze(-1)
        loss = (self.temperature.value * log_pi - value).mean(1)
        self.actor_optimizer.step(loss.sum())
        metrics = {"actor_loss": loss.detach(), "entropy": -log_pi.detach().mean(1)}
        return metrics | self.temperature.update(log_pi)
