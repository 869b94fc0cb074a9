"""The frame of every algorithm: propose, snap, score, best; and the twin critics that learn from what it did.

    propose   (S, B, O) -> protos (S, B, P, A)            the algorithm's own, as is what trains it
    snap      protos -> proposals (S, B, K, A)            in a box the protos; on a catalogue their nearest items
    best      the proposal with the highest Q_1           (S, B, A)

    every step:    execute best(snap(propose(s)))
    every update:  y = r + γ (1 - terminated) V(s'),  V = min_i Q_i'(s', best(snap(propose'(s'))))
                   critics  minimise Σ_i (Q_i(s, a) - y)²
    every `policy_delay` updates: what proposes; all targets ← (1 - τ) targets + τ networks

An algorithm subclasses `ActorCritic` and says how it proposes and what trains that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from savo_bench.algos import td
from savo_bench.algos.agent import Acted, Batch, Call, Noise, Spaces
from savo_bench.algos.catalogue import Catalogue, InvertedFile
from savo_bench.algos.config import ArgmaxConfig, SmoothingConfig
from savo_bench.algos.nets import Optimizer, Stack, TwinCritic, q_values


class Proposals(NamedTuple):
    """What is scored: K actions at each state, and on a catalogue the items that they are."""

    actions: Tensor  # (S, B, K, A)
    items: Tensor | None  # (S, B, K)


def snap(catalogue: Catalogue | None, protos: Tensor, neighbours: int = 1) -> Proposals:
    """Protos (S, B, P, A) as they are in a box; on a catalogue the nearest items of each, K = P neighbours."""
    if catalogue is None:
        return Proposals(protos, None)
    items = catalogue.nearest(protos, neighbours).flatten(2)
    return Proposals(catalogue[items], items)


class ActorCritic(ABC):
    """S seeds of an algorithm."""

    policy: tuple[str, ...] = ("actor",)
    protos = 0
    items = 0

    @property
    def stored_proto_actions(self) -> int:
        """Proto-actions stored per transition."""
        return self.protos

    @property
    def stored_items(self) -> int:
        """Items stored per transition."""
        return self.items

    actors_compete = False  # whether the proposals are those of several actors, which are then compared

    def __init__(
        self,
        config: Any,
        spaces: Spaces,
        critic: TwinCritic,
        networks: Mapping[str, Stack],
        optimizers: Mapping[str, Optimizer],
    ) -> None:
        self.config, self.spaces, self.catalogue, self.critic = config, spaces, spaces.catalogue, critic
        self.critic_optimizer = Optimizer([critic.online], config.lr, config.max_grad_norm)
        self.networks = {**networks, **critic.networks}
        self.optimizers = {**optimizers, "critic": self.critic_optimizer}
        by_target = isinstance(config, ArgmaxConfig) and config.target_argmax == "target"
        self.judge = critic.first_target if by_target else critic.first  # chooses the target's proposal
        self.smoothing = config.target_noise if isinstance(config, SmoothingConfig) else 0.0
        self.updates = 0

    # -- an algorithm's own

    @abstractmethod
    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The protos of the online networks: obs (S, B, O) -> (S, B, P, A), within [-1, 1]; B = 1 to explore."""

    @abstractmethod
    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """The protos of the Bellman target, and what their entropy is worth: (S, B, O) -> (S, B, P, A), (S, B, P)."""

    @abstractmethod
    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """The noise a call needs, per seed. "explore" comes from the exploration process, the rest is N(0, 1)."""

    @abstractmethod
    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Train what proposes; returns metrics (S,)."""

    def snap(self, protos: Tensor, noise: Noise) -> Proposals:
        """What protos (S, B, P, A) are executed as."""
        return snap(self.catalogue, protos)

    # -- acting

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """obs (S, B, O) -> the proposal that the online Q_1 values most."""
        protos = self.propose(obs, noise, explore=explore)
        proposals = self.snap(protos, noise)
        action, chosen = best(self.critic.first, obs, proposals.actions)
        return Acted(action, protos[:, :, : self.protos], chosen, proposals.items)

    # -- training

    def update(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the critics and, every `policy_delay` updates, of what proposes and of all targets."""
        self.updates += 1
        metrics = self.update_critics(batch, noise)
        if self.updates % self.config.policy_delay == 0:
            metrics |= self.update_actors(batch, noise)
            self.update_targets()
        return metrics

    def update_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Regress both critics to the Bellman target at the executed action."""
        with torch.no_grad():
            value = self.next_value(batch.next_obs, noise)
            target = td.td_target(batch.reward, batch.terminated, value, self.config.gamma)  # (S, B)
        q = q_values(self.critic.online.params, batch.obs, batch.action.unsqueeze(2)).squeeze(-1)  # (S, 2, B)
        loss = td.squared_error(q, target.unsqueeze(1))
        self.critic_optimizer.step(loss.sum())
        return {"critic_loss": loss.detach().mean(1), "target_mean": target.mean(1)}

    def next_value(self, obs: Tensor, noise: Noise) -> Tensor:
        """V(s') at next_obs (S, B, O): the smaller target critic at the best of the target's proposals, (S, B).

        On a catalogue it is the protos that are smoothed, since an item cannot be.
        """
        protos, worth = self.propose_next(obs, noise)
        if self.smoothing and self.catalogue is not None:
            protos = self.smooth(protos, noise)
        action, chosen = best(self.judge, obs, self.snap(protos, noise).actions)
        action = action.unsqueeze(2)  # (S, B, 1, A)
        if self.smoothing and self.catalogue is None:
            action = self.smooth(action, noise)
        value = td.clipped_double_q(q_values(self.critic.target.frozen, obs, action)).squeeze(-1)
        return value if worth is None else value + worth.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    def smooth(self, actions: Tensor, noise: Noise) -> Tensor:
        """TD3's smoothing of (S, B, K, A), the same for all K."""
        return td.smooth(actions, noise["smoothing"].unsqueeze(2), self.smoothing, self.config.noise_clip)

    def update_targets(self) -> None:
        """Move every target network by tau."""
        for name, network in self.networks.items():
            if name.endswith("_target"):
                network.follow(self.networks[name.removesuffix("_target")], self.config.tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """How good the best proposal is, how far the critics disagree, how close to the bounds the protos lie.

        And which share of the protos' nearest items an approximate search has found.
        """
        protos = self.propose(batch.obs, noise, explore=False)
        proposals = self.snap(protos, noise)
        q = q_values(self.critic.online.frozen, batch.obs, proposals.actions)  # (S, 2, B, K)
        first = q[:, 0]
        metrics = {
            "q": first.amax(-1).mean(1),
            "critic_gap": (q[:, 0] - q[:, 1]).abs().mean((1, 2)),
            "action_magnitude": protos.abs().mean((1, 2, 3)),
        }
        if isinstance(self.catalogue, InvertedFile) and proposals.items is not None:
            metrics["recall"] = self.catalogue.recall(protos, proposals.items.unflatten(2, (protos.shape[2], -1)))
        if q.shape[-1] > 1:
            metrics["gain"] = (first.amax(-1) - first[..., 0]).mean(1)
            if self.actors_compete:
                winner = first.argmax(-1)
                metrics |= {f"wins_{i}": (winner == i).float().mean(1) for i in range(q.shape[-1])}
                metrics["spread"] = td.mean_distance(protos)
        return metrics


def best(critic: Stack, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
    """The one of actions (S, B, K, A) that a critic values most, and its index; a single one needs no critic."""
    if actions.shape[2] == 1:
        return actions.squeeze(2), torch.zeros(obs.shape[:2], dtype=torch.int64, device=obs.device)
    return td.best(actions, q_values(critic.frozen, obs, actions).squeeze(1))
