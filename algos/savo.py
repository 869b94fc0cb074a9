"""SAVO: successive actors, each climbing a Q-landscape whose floor is the best value found by those before it.

A single actor stops at the nearest peak of Q(s, ·). Here actor i sees the actions of actors 0..i-1 and climbs the
landscape truncated below the best of them, where their peaks no longer attract; the best of all proposals is executed.
A truncated landscape is flat below its floor, so a smooth surrogate network is fitted to it and gives the slope.

Source: arXiv:2410.11833v2 (paper) and the authors' code in USC-Lira/Q3C@4a5456b (code).

    ν_0 → actor           ν_i → followers.members[i - 1]        μ_M → propose, then td.best
    Q_1, Q_2 → critic     Ψ_i → td.truncate(q, floor)          Ψ̂_i → surrogates.members[i - 1]
    z_i → deep_set        τ_i (the floor) → td.floors          k → config.extra_actors, K = k + 1 proposals

Differs from the paper:
- k = 3 extra actors are four proposals in all; the paper's k = 3 can be read either way;
- the surrogates are fitted at the stored noisy proposals and the executed action, after the critics' step;
- as in TD3 here: every constant of the fair comparison.

    every step:    a_0 = ν_0(s), a_i = ν_i(s, z_i(s, a_<i)); noise on each; execute argmax_i Q_1(s, a_i)
    every update:  y = r + γ (1 - terminated) min Q'(s', μ_M'(s')), with target actors, argmax by the online Q_1
                   critics     minimise Σ (Q(s, a) - y)²
                   surrogates  minimise (Ψ̂_i(s, a_i) - Ψ_i(s, a_i))² + (Ψ̂_i(s, a) - Ψ_i(s, a))²
    every 2nd:     actors      maximise Q_1(s, a_0) + Σ_i Ψ̂_i(s, a_i; a_<i);  all targets move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from algos import td
from algos.agent import Acted, Batch, Call, Noise, Spaces
from algos.nets import (
    Layers,
    Optimizer,
    Params,
    Stack,
    TwinCritic,
    deep_set,
    deep_set_layers,
    film_layers,
    film_mlp,
    mlp,
    mlp_layers,
    q_values,
    tanh,
)
from algos.td3 import TD3Config, actor_layers, check, critic_loss


@dataclass(frozen=True, kw_only=True)
class SAVOConfig(TD3Config):
    """SAVO's own fields."""

    target_noise: float = 0.0  # paper: arXiv:2410.11833v2 removes TD3's smoothing
    extra_actors: int = 3  # paper: arXiv:2410.11833v2, read as three beside the first
    surrogate: Literal["learned", "exact"] = "learned"  # paper: "exact" is its ablation "- approximation"
    conditioning: Literal["film", "none"] = "film"  # paper: "none" is its ablation "- previous actions"
    joint: bool = False  # paper: its ablation "joint action": one actor emits all proposals
    diversity: float = 0.0  # code: USC-Lira/Q3C@4a5456b has it as an option; weight of a repulsion between proposals
    diversity_sigma: float = 0.5  # code: USC-Lira/Q3C@4a5456b; its width, in units of the maximal action
    summary_hidden: int = 64  # code: USC-Lira/Q3C@4a5456b; 64 for the pendulums and Hopper, 256 for the rest
    summary_size: int = 16  # code: USC-Lira/Q3C@4a5456b
    target_argmax: Literal["online", "target"] = "online"  # code: the critic that picks the target's action
    surrogate_critics: Literal["online", "target"] = "online"  # code: the critics that the surrogates are fitted to

    # SAVO's own published constants are those of the fair comparison.
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"fair": {}, "published": {}}

    def __post_init__(self) -> None:
        """Refuse values that cannot work, naming the field.

        Raises:
            ValueError: with the field, its value and what is allowed.
        """
        super().__post_init__()
        check(self, "extra_actors", self.extra_actors >= 0, "must be 0 or above")
        check(self, "surrogate", self.surrogate in ("learned", "exact"), "must be one of learned, exact")
        check(self, "conditioning", self.conditioning in ("film", "none"), "must be one of film, none")
        check(self, "diversity", self.diversity >= 0, "must be 0 or above")
        for name in ("diversity_sigma", "summary_hidden", "summary_size"):
            check(self, name, getattr(self, name) > 0, "must be above 0")
        for name in ("target_argmax", "surrogate_critics"):
            check(self, name, getattr(self, name) in ("online", "target"), "must be one of online, target")
        if self.joint:
            check(self, "surrogate", self.surrogate == "learned", "must be learned when joint is true")
            check(self, "conditioning", self.conditioning == "film", "has no meaning when joint is true")


def chain_layers(config: SAVOConfig, spaces: Spaces, inputs: int, outputs: int, *, actor: bool) -> Layers:
    """The layers of a network that may see earlier actions: a FiLM MLP with its own summary of them, or a plain MLP."""
    norm, gain = (config.actor_norm, config.output_gain) if actor else (False, 1.0)
    if config.conditioning == "none":
        return mlp_layers(inputs, config.hidden, outputs, norm=norm, gain=gain)
    element = spaces.obs_dim + spaces.action_dim
    film = film_layers(inputs, config.hidden, outputs, config.summary_size, norm=norm, gain=gain)
    return film | deep_set_layers(element, config.summary_hidden, config.summary_size)


def conditioned(p: Params, x: Tensor, obs: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """A network's output given the actions before it.

    x (S, 1, N B, I) holds N groups of B rows, obs (S, B, O), earlier: i actions (S, B, A) -> (S, 1, N B, J).
    """
    if "element0.weight" not in p:
        return mlp(p, x)
    pairs = [torch.cat([obs, action], dim=-1) for action in earlier]
    z = deep_set(p, torch.cat(pairs, dim=1).unsqueeze(1), len(pairs))  # (S, 1, i B, O + A) -> (S, 1, B, Z)
    return film_mlp(p, x, z)


def propose(actor: Params, followers: Sequence[Params], obs: Tensor) -> Tensor:
    """The chain a_0 = ν_0(s), a_i = ν_i(s, sg(a_<i)): obs (S, B, O) -> (S, B, K, A)."""
    x = obs.unsqueeze(1)
    first = tanh(mlp(actor, x))
    actions = [first.squeeze(1)]
    for follower in followers:
        earlier = [action.detach() for action in actions]
        actions.append(tanh(conditioned(follower, x, obs, earlier)).squeeze(1))
    return torch.stack(actions, dim=2)


def propose_jointly(actor: Params, obs: Tensor, proposals: int) -> Tensor:
    """All proposals from one actor: obs (S, B, O) -> (S, B, K, A)."""
    return tanh(mlp(actor, obs.unsqueeze(1))).squeeze(1).unflatten(-1, (proposals, -1))


def surrogate_value(surrogate: Params, obs: Tensor, actions: Sequence[Tensor], earlier: Sequence[Tensor]) -> Tensor:
    """Ψ̂_i(s, a; a_<i) at N actions: obs (S, B, O), actions and earlier of (S, B, A) each -> (S, N, B)."""
    rows = [torch.cat([obs, action], dim=-1) for action in actions]
    value = conditioned(surrogate, torch.cat(rows, dim=1).unsqueeze(1), obs, earlier)  # (S, 1, N B, 1)
    return value.squeeze(1).squeeze(-1).unflatten(1, (len(actions), -1))


def surrogate_targets(q_protos: Tensor, q_executed: Tensor) -> Tensor:
    """The truncated values that each surrogate is fitted to at its two key actions.

    q_protos (S, B, K) of the proposals, q_executed (S, B) -> (S, K - 1, 2, B): for surrogate i = 1..k the value of
    max_{j<=i} q_j at its proposal and of max(q_a, max_{j<i} q_j) at the executed action.
    """
    floor = td.floors(q_protos)  # (S, B, K - 1)
    at_proposal = td.truncate(q_protos[..., 1:], floor)
    at_executed = td.truncate(q_executed.unsqueeze(-1), floor)
    return torch.stack([at_proposal, at_executed], dim=1).permute(0, 3, 1, 2)


def diversity_penalty(actions: Tensor, sigma: float) -> Tensor:
    """Mean over states of Σ_i Σ_{j<i} exp(-|a_i - sg(a_j)|² / 2 sigma²): actions (S, B, K, A) -> (S,)."""
    apart = actions.unsqueeze(3) - actions.detach().unsqueeze(2)  # (S, B, K, K, A)
    closeness = torch.exp(-apart.square().sum(-1) / (2 * sigma**2))
    return closeness.tril(-1).sum((2, 3)).mean(1)


class SAVO:
    """S seeds of SAVO."""

    policy = ("actor", "followers", "critic")

    def __init__(
        self, config: SAVOConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.config, self.spaces = config, spaces
        k, O, A = config.extra_actors, spaces.obs_dim, spaces.action_dim
        self.protos = self.proposals = k + 1
        self.actor = Stack.drawn(actor_layers(config, spaces, self.proposals if config.joint else 1), rngs, 1, device)
        self.critic = TwinCritic(O + A, config.hidden, rngs, device)
        chained = 0 if config.joint else k
        self.followers = Stack.drawn(chain_layers(config, spaces, O, A, actor=True), rngs, chained, device)
        if config.joint:  # one value of all proposals together
            layers = mlp_layers(O + self.proposals * A, config.hidden, 1)
            self.surrogates = Stack.drawn(layers, rngs, 1, device)
        else:
            fitted = k if config.surrogate == "learned" else 0
            layers = chain_layers(config, spaces, O + A, 1, actor=False)
            self.surrogates = Stack.drawn(layers, rngs, fitted, device)
        self.actor_target, self.followers_target = self.actor.copy(), self.followers.copy()

        self.actor_optimizer = Optimizer([self.actor, self.followers], config.lr, config.max_grad_norm)
        self.critic_optimizer = Optimizer([self.critic.online], config.lr, config.max_grad_norm)
        self.optimizers = {"actor": self.actor_optimizer, "critic": self.critic_optimizer}
        if self.surrogates.members:
            self.surrogate_optimizer = Optimizer([self.surrogates], config.lr, config.max_grad_norm)
            self.optimizers["surrogates"] = self.surrogate_optimizer
        self.networks = {
            "actor": self.actor,
            "followers": self.followers,
            "actor_target": self.actor_target,
            "followers_target": self.followers_target,
            **self.critic.networks,
            "surrogates": self.surrogates,
        }
        self.updates = 0

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on every proposal to explore; on the target's action only where smoothing is kept."""
        A = self.spaces.action_dim
        if call == "act":
            return {"explore": (self.proposals, A)}
        if call == "update" and self.config.target_noise > 0:
            return {"smoothing": (self.config.batch_size, A)}
        return {}

    def propose(self, obs: Tensor) -> Tensor:
        """The K proposals of the online actors, without gradient: obs (S, B, O) -> (S, B, K, A)."""
        if self.config.joint:
            return propose_jointly(self.actor.frozen, obs, self.proposals)
        return propose(self.actor.frozen, [member.frozen for member in self.followers.members], obs)

    def propose_target(self, obs: Tensor) -> Tensor:
        """The K proposals of the target actors."""
        if self.config.joint:
            return propose_jointly(self.actor_target.frozen, obs, self.proposals)
        return propose(self.actor_target.frozen, [member.frozen for member in self.followers_target.members], obs)

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """obs (S, B, O) -> the proposal that the online Q_1 values most, each with its own noise if it explores."""
        protos = self.propose(obs)
        if explore:
            protos = (protos + noise["explore"].unsqueeze(1)).clamp(-1, 1)
        action, chosen = self.best(self.critic.first, obs, protos)
        return Acted(action, protos, chosen)

    def best(self, critic: Stack, obs: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """The proposal that one critic values most, and its index; a single proposal needs no critic."""
        if self.proposals == 1:
            return actions.squeeze(2), torch.zeros(obs.shape[:2], dtype=torch.int64, device=obs.device)
        return td.best(actions, q_values(critic.frozen, obs, actions).squeeze(1))

    def update(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of critics and surrogates and, every `policy_delay` updates, of the actors and all targets."""
        self.updates += 1
        metrics = self.update_critic(batch, noise)
        if self.surrogates.members:
            metrics |= self.update_surrogates(batch)
        if self.updates % self.config.policy_delay == 0:
            metrics |= self.update_actors(batch)
            self.update_targets()
        return metrics

    def update_critic(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Regress both critics to the Bellman target at the best of the target actors' proposals."""
        config = self.config
        with torch.no_grad():
            judge = self.critic.first if config.target_argmax == "online" else self.critic.first_target
            next_action, _ = self.best(judge, batch.next_obs, self.propose_target(batch.next_obs))
            next_action = next_action.unsqueeze(2)  # (S, B, 1, A)
            if config.target_noise > 0:
                next_action = td.smooth(
                    next_action, noise["smoothing"].unsqueeze(2), config.target_noise, config.noise_clip
                )
            next_q = td.clipped_double_q(q_values(self.critic.target.frozen, batch.next_obs, next_action)).squeeze(-1)
            target = td.td_target(batch.reward, batch.terminated, next_q, config.gamma)
        loss = critic_loss(self.critic.online.params, batch, target)
        self.critic_optimizer.step(loss.sum())
        return {"critic_loss": loss.detach().mean(1), "target_mean": target.mean(1)}

    def update_surrogates(self, batch: Batch) -> dict[str, Tensor]:
        """Fit each surrogate to its truncated landscape at the stored proposal and at the executed action."""
        loss = self.surrogate_errors(batch, frozen=False)
        self.surrogate_optimizer.step(loss.sum())
        return {"surrogate_loss": loss.detach().mean((1, 2))}

    def surrogate_errors(self, batch: Batch, *, frozen: bool) -> Tensor:
        """Mean squared error of each surrogate at its two key actions: (S, k, 2); (S, 1, 1) for a joint one."""
        protos, executed = batch.protos, batch.action
        with torch.no_grad():
            critic = self.critic.online if self.config.surrogate_critics == "online" else self.critic.target
            points = torch.cat([protos, executed.unsqueeze(2)], dim=2)  # (S, B, K + 1, A)
            q = td.clipped_double_q(q_values(critic.frozen, batch.obs, points))  # (S, B, K + 1)
            q_protos, q_executed = q[..., :-1], q[..., -1]
        networks = [member.frozen if frozen else member.params for member in self.surrogates.members]
        if self.config.joint:
            value = joint_value(networks[0], batch.obs, protos)  # (S, 1, B)
            return td.squared_error(value, q_protos.amax(-1).unsqueeze(1)).unsqueeze(-1)
        actions = list(protos.unbind(2))
        values = [
            surrogate_value(network, batch.obs, [actions[i], executed], actions[:i])
            for i, network in enumerate(networks, start=1)
        ]
        return td.squared_error(torch.stack(values, dim=1), surrogate_targets(q_protos, q_executed))

    def update_actors(self, batch: Batch) -> dict[str, Tensor]:
        """Every actor climbs its own landscape along a fresh chain; critics and surrogates stay as they are."""
        config, obs = self.config, batch.obs
        if config.joint:
            actions = propose_jointly(self.actor.params, obs, self.proposals)
            heights = joint_value(self.surrogates.members[0].frozen, obs, actions)  # (S, 1, B)
        else:
            actions = propose(self.actor.params, [member.params for member in self.followers.members], obs)
            heights = self.landscape_heights(obs, list(actions.unbind(2)))  # (S, K, B)
        loss = -heights.mean(-1).sum(-1)
        if config.diversity > 0:
            loss = loss + config.diversity * diversity_penalty(actions, config.diversity_sigma)
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach()}

    def landscape_heights(self, obs: Tensor, actions: list[Tensor]) -> Tensor:
        """The height of each proposal on the landscape that its actor climbs: actions K x (S, B, A) -> (S, K, B)."""
        if self.config.surrogate == "exact":
            q = q_values(self.critic.first.frozen, obs, torch.stack(actions, dim=2)).squeeze(1)  # (S, B, K)
            floor = td.floors(q.detach())
            return torch.cat([q[..., :1], td.truncate(q[..., 1:], floor)], dim=-1).movedim(-1, 1)
        heights = [q_values(self.critic.first.frozen, obs, actions[0].unsqueeze(2)).squeeze(-1)]
        earlier = [action.detach() for action in actions]
        for i, member in enumerate(self.surrogates.members, start=1):
            heights.append(surrogate_value(member.frozen, obs, [actions[i]], earlier[:i]))
        return torch.cat(heights, dim=1)

    def update_targets(self) -> None:
        """Move every target network by tau."""
        self.actor_target.follow(self.actor, self.config.tau)
        self.followers_target.follow(self.followers, self.config.tau)
        self.critic.target.follow(self.critic.online, self.config.tau)

    @torch.no_grad()
    def diagnose(self, batch: Batch) -> dict[str, Tensor]:
        """What the extra actors add: gain over the first, who wins, how far apart they are, how true the surrogates."""
        actions = self.propose(batch.obs)
        q = q_values(self.critic.online.frozen, batch.obs, actions)  # (S, 2, B, K)
        first = q[:, 0]
        winner = first.argmax(-1)
        metrics = {
            "q": first.amax(-1).mean(1),
            "critic_gap": (q[:, 0] - q[:, 1]).abs().mean((1, 2)),
            "action_magnitude": actions.abs().mean((1, 2, 3)),
            "gain": (first.amax(-1) - first[..., 0]).mean(1),
        }
        for i in range(self.proposals):
            metrics[f"wins_{i}"] = (winner == i).float().mean(1)
        if self.proposals > 1:
            metrics["spread"] = mean_distance(actions)
        if self.surrogates.members:
            errors = self.surrogate_errors(batch, frozen=True).sqrt().mean(1)
            metrics["surrogate_error"] = errors[:, 0]
            if not self.config.joint:
                metrics["surrogate_error_executed"] = errors[:, 1]
        return metrics


def joint_value(network: Params, obs: Tensor, actions: Tensor) -> Tensor:
    """The value of all proposals together: obs (S, B, O), actions (S, B, K, A) -> (S, 1, B)."""
    x = torch.cat([obs, actions.flatten(2)], dim=-1).unsqueeze(1)
    return mlp(network, x).squeeze(-1)


def mean_distance(actions: Tensor) -> Tensor:
    """Mean distance between two different proposals: (S, B, K, A) -> (S,), in units of the maximal action."""
    K = actions.shape[2]
    apart = (actions.unsqueeze(3) - actions.unsqueeze(2)).square().sum(-1).sqrt()  # (S, B, K, K)
    return apart.sum((2, 3)).mean(1) / (K * (K - 1))
