"""CEM: no actor; the cross-entropy method searches Q(s, ·) itself, to act and in the target.

Samples from a Gaussian are pressed through tanh into the box and scored; the Gaussian is fitted anew to the best few,
and so on. The survivors of the last iteration are the proposals.

Source: arXiv:1806.10293v3 (QT-Opt, paper) and the SAVO authors' code, USC-Lira/Q3C@4a5456b (code), whose numbers are
the defaults; `preset=published` gives QT-Opt's.

    π_Q (the search) → search          θ_1, θ_2 → critic.target

Differs from the sources:
- elites weigh the same when the Gaussian is fitted (the code's weights grow with the rank from the best, as if
  reversed);
- the critics' targets are TD3's: one critic searches, the smaller of both target critics values the winner;
- exploration noise is that of the other algorithms, added to the survivors.

    every step:    a = argmax of Q_1 over the survivors of a search of Q_1, each with noise
    every update:  y = r + γ (1 - terminated) min Q'(s', survivor with the highest Q_1)
                   critics  minimise Σ (Q(s, a) - y)²
    every 2nd:     the target critics move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos import td
from savo_bench.algos.actor_critic import ActorCritic, snap
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ArgmaxConfig, NoiseConfig, check, positive
from savo_bench.algos.nets import Stack, TwinCritic, q_values, tanh
from savo_bench.algos.td3 import explored


@dataclass(frozen=True, kw_only=True)
class CEMConfig(NoiseConfig, ArgmaxConfig):
    """The search's own fields."""

    iterations: int = 3  # code: USC-Lira/Q3C@4a5456b
    samples: int = 30  # code: USC-Lira/Q3C@4a5456b; in each iteration
    elites: int = 3  # code: USC-Lira/Q3C@4a5456b; of the samples, to which the Gaussian is fitted
    snap_samples: bool = False  # ours: on a catalogue, score samples as the items that they would be: dear, and exact

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "fair": {},
        "published": {"iterations": 2, "samples": 64, "elites": 6},  # paper: arXiv:1806.10293v3
    }

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        positive(self, "iterations", "samples", "elites")
        check(self, "elites", self.elites <= self.samples, f"must be at most samples={self.samples}")


class CEM(ActorCritic):
    """S seeds of CEM."""

    policy = ("critic",)

    def __init__(
        self, config: CEMConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        super().__init__(config, spaces, critic, {}, {})

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """The samples of a search, and noise on what it finds to explore."""
        config, A = self.config, self.spaces.action_dim
        search = (config.iterations, config.samples, A)
        if call == "update":
            return {"search": (config.batch_size, *search)}
        return {"search": search} | ({"explore": (1, A)} if call == "act" else {})

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The survivors of a search of the online Q_1: obs (S, B, O) -> (S, B, elites, A)."""
        normal = noise["search"]
        survivors = self.search(self.critic.first, obs, normal if normal.ndim == 5 else normal.unsqueeze(1))
        return explored(survivors, noise) if explore else survivors

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The survivors of a search of the critic that chooses in the target."""
        return self.search(self.judge, obs, noise["search"]), None

    @torch.no_grad()
    def search(self, critic: Stack, obs: Tensor, normal: Tensor) -> Tensor:
        """obs (S, B, O), normal (S, 1 or B, iterations, N, A) -> the last elites (S, B, elites, A), the best first."""
        S, B, _ = obs.shape
        normal = normal.expand(S, B, *normal.shape[2:])
        points = normal[:, :, 0]  # (S, B, N, A), before tanh
        for iteration in range(self.config.iterations):
            if iteration:
                std, mean = torch.std_mean(points, dim=2, keepdim=True, correction=0)  # of the elites
                points = mean + std * normal[:, :, iteration]
            points = td.top(points, self.score(critic, obs, tanh(points)), self.config.elites)
        return tanh(points)

    def score(self, critic: Stack, obs: Tensor, actions: Tensor) -> Tensor:
        """The value of samples (S, B, N, A): (S, B, N)."""
        if self.config.snap_samples:
            actions = snap(self.catalogue, actions).actions
        return q_values(critic.frozen, obs, actions).squeeze(1)

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """There is none."""
        return {}
