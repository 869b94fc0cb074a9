"""The frame of every algorithm: propose, score, select the best; and the twin critics, trained on executed actions.

    propose   (S, B, O) -> proto-actions (S, B, P, A)     the algorithm's own, and so is what trains it
    snap      proto-actions -> proposals (S, B, K, A)     in a box the same; on a catalogue their nearest items
    select    the proposal with the highest Q_1           (S, B, A)

    every step:    execute select(snap(propose(s)))
    every update:  y = r + γ (1 - terminated) V(s'),  V = min_i Q_i'(s', select(snap(propose'(s'))))
                   critics  minimise Σ_i (Q_i(s, a) - y)²
    every `policy_delay` updates: the actors; all targets ← (1 - τ) targets + τ networks

An algorithm subclasses `ActorCritic` and says how it proposes and what trains that. The equations are the functions at
the end of this file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from savo_bench.algos import maxima
from savo_bench.algos.agent import Acted, Batch, Call, Noise, Spaces
from savo_bench.algos.catalogue import Catalogue, InvertedFile
from savo_bench.algos.config import ActorConfig, ArgmaxConfig, ProposalNoiseConfig, SmoothingConfig
from savo_bench.algos.nets import NetworkSpec, Optimizer, Stack, TwinCritic, mlp_spec, q_values


class Proposals(NamedTuple):
    """K actions at each state, which the critics score; on a catalogue they are items."""

    actions: Tensor  # (S, B, K, A)
    items: Tensor | None  # (S, B, K) their indices in the catalogue, None in a box


class ActorCritic(ABC):
    """S seeds of an algorithm; see `agent.Agent` for the contract.

    It is built from the critic and what the algorithm adds: its `networks` by name, the target networks of some of them
    under the same names, and the optimisers that train them. In `self.networks` and in checkpoints a target network is
    called NAME_target.
    """

    policy: tuple[str, ...] = ("actor",)
    stored_proto_actions = 0
    stored_items = 0
    entropy_selects = False  # whether a proposal's entropy bonus counts where the best one is selected
    actors_compete = False  # whether the proposals come from several actors, which diagnosis then compares

    def __init__(
        self,
        config: Any,
        spaces: Spaces,
        critic: TwinCritic,
        *,
        networks: Mapping[str, Stack],
        targets: Mapping[str, Stack],
        optimizers: Mapping[str, Optimizer],
    ) -> None:
        self.config, self.spaces, self.catalogue, self.critic = config, spaces, spaces.catalogue, critic
        self.critic_optimizer = Optimizer([critic.online], config.lr, config.max_grad_norm)
        online = {**networks, "critic": critic.online}
        targets = {**targets, "critic": critic.target}
        self.target_pairs = [(target, online[name]) for name, target in targets.items()]
        self.networks = {**online, **{f"{name}_target": target for name, target in targets.items()}}
        self.optimizers = {**optimizers, "critic": self.critic_optimizer}
        by_target = isinstance(config, ArgmaxConfig) and config.target_argmax == "target"
        self.selecting_critic = critic.first_target if by_target else critic.first  # in the Bellman target
        self.smoothing = config.target_noise if isinstance(config, SmoothingConfig) else 0.0
        self.updates = 0

    # What an algorithm defines.

    @abstractmethod
    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """Proto-actions of the online networks: obs (S, B, O) -> (S, B, P, A) in [-1, 1]; B = 1 to explore."""

    @abstractmethod
    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """Proto-actions for the Bellman target, and their entropy bonuses: (S, B, O) -> (S, B, P, A), (S, B, P)."""

    @abstractmethod
    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """The noise a call needs, per seed. "explore" comes from the exploration process, the rest is N(0, 1)."""

    @abstractmethod
    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the actors; returns metrics (S,)."""

    def fit_to_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the networks that are fitted to the critics' new values, if there are any; metrics (S,)."""
        return {}

    def snap(self, proto_actions: Tensor, noise: Noise) -> Proposals:
        """The proposals that proto-actions (S, B, P, A) lead to."""
        return snap(self.catalogue, proto_actions)

    # Acting.

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """At each obs (S, B, O) the proposal with the highest online Q_1."""
        return self.act_by(obs, self.propose(obs, noise, explore=explore), noise)

    def act_by(
        self, obs: Tensor, proto_actions: Tensor, noise: Noise, bonus: Tensor | float = 0.0, first: int | None = None
    ) -> Acted:
        """The best proposal, or the best of the first so many, by online Q_1 and a bonus (S, B, K)."""
        proposals = self.snap(proto_actions, noise)
        action, chosen = select(self.critic.first, obs, proposals.actions[:, :, :first], bonus)
        return Acted(action, proto_actions[:, :, : self.stored_proto_actions], chosen, proposals.items)

    # Training.

    def update(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the critics and, every `policy_delay` updates, of the actors and all targets."""
        self.updates += 1
        metrics = self.update_critics(batch, noise) | self.fit_to_critics(batch, noise)
        if self.updates % self.config.policy_delay == 0:
            metrics |= self.update_actors(batch, noise)
            self.update_targets()
        return metrics

    def update_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Regress both critics to the Bellman target at the executed action."""
        with torch.no_grad():
            value = self.next_value(batch.next_obs, noise)
            target = td_target(batch.reward, batch.terminated, value, self.config.gamma)  # (S, B)
        q = q_values(self.critic.online.params, batch.obs, batch.action.unsqueeze(2)).squeeze(-1)  # (S, 2, B)
        loss = squared_error(q, target.unsqueeze(1))
        self.critic_optimizer.step(loss.sum())
        return {"critic_loss": loss.detach().mean(1), "target_mean": target.mean(1)}

    def next_value(self, obs: Tensor, noise: Noise) -> Tensor:
        """V(s') at next_obs (S, B, O): the smaller target critic at the best of the target's proposals, (S, B).

        On a catalogue the proto-actions are smoothed, since an item cannot be.
        """
        proto_actions, entropy_bonus = self.propose_next(obs, noise)
        if self.smoothing and self.catalogue is not None:
            proto_actions = self.smoothed(proto_actions, noise)
        bonus = entropy_bonus if self.entropy_selects and entropy_bonus is not None else 0.0
        action, chosen = select(self.selecting_critic, obs, self.snap(proto_actions, noise).actions, bonus)
        action = action.unsqueeze(2)  # (S, B, 1, A)
        if self.smoothing and self.catalogue is None:
            action = self.smoothed(action, noise)
        value = clipped_double_q(q_values(self.critic.target.frozen, obs, action)).squeeze(-1)
        if entropy_bonus is None:
            return value
        return value + entropy_bonus.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    def smoothed(self, actions: Tensor, noise: Noise) -> Tensor:
        """Actions (S, B, K, A) with target smoothing, the same for all K."""
        return smooth(actions, noise["smoothing"].unsqueeze(2), self.smoothing, self.config.noise_clip)

    def update_targets(self) -> None:
        """Move every target network by tau."""
        for target, online in self.target_pairs:
            target.polyak_update(online, self.config.tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Metrics (S,) of the policy and the critics at the batch's states.

        `q` of the best proposal, `critic_gap` between the twins, `action_magnitude` of the proto-actions, `recall` of
        an approximate search, `gain` of the best proposal over the first, and for several actors the share of states
        that each one `wins` and the `spread` of their proto-actions.
        """
        proto_actions = self.propose(batch.obs, noise, explore=False)
        proposals = self.snap(proto_actions, noise)
        q = q_values(self.critic.online.frozen, batch.obs, proposals.actions)  # (S, 2, B, K)
        first = q[:, 0]
        metrics = {
            "q": first.amax(-1).mean(1),
            "critic_gap": (q[:, 0] - q[:, 1]).abs().mean((1, 2)),
            "action_magnitude": proto_actions.abs().mean((1, 2, 3)),
        }
        if isinstance(self.catalogue, InvertedFile) and proposals.items is not None:
            found = proposals.items.unflatten(2, (proto_actions.shape[2], -1))
            metrics["recall"] = self.catalogue.recall(proto_actions, found)
        if q.shape[-1] > 1:
            metrics["gain"] = (first.amax(-1) - first[..., 0]).mean(1)
            if self.actors_compete:
                winner = first.argmax(-1)
                metrics |= {f"wins_{i}": (winner == i).float().mean(1) for i in range(q.shape[-1])}
                metrics["spread"] = mean_distance(proto_actions)
        return metrics

    @torch.no_grad()
    def gaps(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """How many maxima Q_1 has at the batch's first states, and how far below them the proposals lie.

        See `maxima.gaps`; the proposals are those of `act` without exploration.
        """
        proposals = self.snap(self.propose(batch.obs, noise, explore=False), noise)
        return maxima.gaps(self.critic.first, batch.obs, proposals.actions, self.catalogue)


class SeveralActors(ActorCritic):
    """The frame of several actors: their proposals compete, unless the config says that the first one's is taken."""

    actors_compete = True

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """At each obs (S, B, O) the proposal with the highest online Q_1, or what the config says."""
        first = self.competing("act") if explore or self.config.evaluate == "best" else 1
        acted = self.act_by(obs, self.propose(obs, noise, explore=explore), noise, first=first)
        if explore and isinstance(self.config, ProposalNoiseConfig) and self.config.explore == "chosen":
            return acted._replace(action=(acted.action + noise["explore"][:, :1]).clamp(-1, 1))
        return acted

    def competing(self, where: Literal["act", "target"]) -> int | None:
        """How many of the actors compete there: None is all of them."""
        return None if self.config.argmax in (where, "both") else 1


def actor_spec(config: ActorConfig, spaces: Spaces, outputs: int = 1) -> NetworkSpec:
    """An actor that sees the observation, with `outputs` vectors of an action's size."""
    norm, gain, init = config.actor_norm, config.output_gain, config.init
    return mlp_spec(spaces.obs_dim, config.actor_widths, outputs * spaces.action_dim, norm=norm, gain=gain, init=init)


def snap(catalogue: Catalogue | None, proto_actions: Tensor, neighbours: int = 1) -> Proposals:
    """Proto-actions (S, B, P, A) unchanged in a box; on a catalogue the nearest items of each, K = P neighbours."""
    if catalogue is None:
        return Proposals(proto_actions, None)
    items = catalogue.nearest(proto_actions, neighbours).flatten(2)
    return Proposals(catalogue[items], items)


def select(critic: Stack, obs: Tensor, actions: Tensor, bonus: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """The best of actions (S, B, K, A) by a critic, (S, B, A), and its index (S, B); a single one needs no critic.

    A bonus (S, B, K) is added to the critic's values.
    """
    if actions.shape[2] == 1:
        return actions.squeeze(2), torch.zeros(obs.shape[:2], dtype=torch.int64, device=obs.device)
    return best(actions, q_values(critic.frozen, obs, actions).squeeze(1) + bonus)


def best(actions: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The proposal with the highest value: actions (S, B, K, A), q (S, B, K) -> action (S, B, A), index (S, B).

    The first of equals wins. The maximizer policy of arXiv:2410.11833v2.
    """
    index = q.argmax(-1)
    chosen = index[..., None, None].expand(*index.shape, 1, actions.shape[-1])
    return actions.gather(2, chosen).squeeze(2), index


def top(points: Tensor, q: Tensor, count: int) -> Tensor:
    """The `count` points with the highest values, best first: (S, B, N, A), q (S, B, N) -> (S, B, count, A)."""
    index = q.topk(count, dim=-1, sorted=True).indices
    return points.gather(2, index.unsqueeze(-1).expand(-1, -1, -1, points.shape[-1]))


def td_target(reward: Tensor, terminated: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """The Bellman target r + gamma (1 - terminated) V(s'), all (S, B)."""
    return reward + gamma * (1 - terminated) * next_value


def clipped_double_q(q: Tensor) -> Tensor:
    """The smaller of the twin critics, (S, 2, B, ...) -> (S, B, ...). Section 4.2 of arXiv:1802.09477v3."""
    return torch.minimum(q[:, 0], q[:, 1])


def smooth(action: Tensor, normal: Tensor, sigma: float, clip: float) -> Tensor:
    """Target policy smoothing: add clipped noise to an action in [-1, 1]. Section 5.3 of arXiv:1802.09477v3."""
    return (action + (sigma * normal).clamp(-clip, clip)).clamp(-1, 1)


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the batch, for every seed and network: (S, M, B) -> (S, M)."""
    return (prediction - target).square().mean(-1)


def mean_distance(actions: Tensor) -> Tensor:
    """Mean distance between two different proposals: (S, B, K, A) -> (S,), in units of the maximal action."""
    K = actions.shape[2]
    apart = (actions.unsqueeze(3) - actions.unsqueeze(2)).square().sum(-1).sqrt()  # (S, B, K, K)
    return apart.sum((2, 3)).mean(1) / (K * (K - 1))
