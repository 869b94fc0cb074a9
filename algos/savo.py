"""SAVO: successive actors, each climbing a Q-landscape whose floor is the best value found by those before it.

A single actor stops at the nearest peak of Q(s, ·). Here actor i sees the actions of actors 0..i-1 and climbs the
landscape truncated below the best of them, where their peaks no longer attract; the best of all proposals is
executed. A truncated landscape is flat below its floor, so a smooth surrogate network is fitted to it and gives the
slope.

Source: arXiv:2410.11833v2 (paper) and the authors' code in USC-Lira/Q3C@4a5456b (code).

    ν_0 → actor           ν_i → followers.members[i - 1]        μ_M → propose, then td.best
    Q_1, Q_2 → critic     Ψ_i → td.truncate(q, floor)          Ψ̂_i → surrogates.networks()
    z_i → summarise       τ_i (the floor) → td.floors          k → config.extra_actors, K = k + 1 proposals

Differs from the paper:
- k = 3 extra actors are four proposals in all; the paper's k = 3 can be read either way;
- the surrogates are fitted at the stored noisy proposals and the executed action, after the critics' step;
- as in TD3 here: every constant of the fair comparison.

On a catalogue Q is trained at items alone, so no actor climbs it directly: the first has a surrogate, too. Surrogates
see protos; the values that they are fitted to are those of the items that the protos were executed as. There, each
actor's noise is added before the next one sees its proto.

    every step:    a_0 = ν_0(s), a_i = ν_i(s, z_i(s, a_<i)); noise on each; execute argmax_i Q_1(s, a_i)
    every update:  y = r + γ (1 - terminated) min Q'(s', μ_M'(s')), with target actors, argmax by the online Q_1
                   critics     minimise Σ (Q(s, a) - y)²
                   surrogates  minimise (Ψ̂_i(s, a_i) - Ψ_i(s, a_i))² + (Ψ̂_i(s, a) - Ψ_i(s, a))²
    every 2nd:     actors      maximise Q_1(s, a_0) + Σ_i Ψ̂_i(s, a_i; a_<i);  all targets move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos import td
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ArgmaxConfig, check, not_negative, one_of, positive
from savo_bench.algos.nets import (
    Layers,
    Optimizer,
    Params,
    Stack,
    TwinCritic,
    film_layers,
    film_mlp,
    mlp,
    mlp_layers,
    q_values,
    tanh,
)
from savo_bench.algos.summary import SUMMARISERS, summarise, summary_layers
from savo_bench.algos.td3 import TD3Config, actor_layers, explored, noise_and_smoothing

if TYPE_CHECKING:
    from savo_bench.algos.savo_sac import SAVOSACConfig


@dataclass(frozen=True, kw_only=True)
class ChainConfig(ArgmaxConfig):
    """The fields of a chain of actors and of their surrogates."""

    extra_actors: int = 3  # paper: arXiv:2410.11833v2, read as three beside the first
    conditioning: Literal["film", "none"] = "film"  # paper: "none" is its ablation "- previous actions"
    summariser: Literal["deepset", "lstm", "transformer"] = "deepset"  # paper; the others are options of the code
    summary_hidden: int = 64  # code: USC-Lira/Q3C@4a5456b; 64 for the pendulums and Hopper, 256 for the rest
    summary_size: int = 16  # code: USC-Lira/Q3C@4a5456b
    surrogate_critics: Literal["online", "target"] = "online"  # code: the critics that the surrogates are fitted to

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        not_negative(self, "extra_actors")
        one_of(self, "conditioning", "film", "none")
        one_of(self, "summariser", *SUMMARISERS)
        one_of(self, "surrogate_critics", "online", "target")
        positive(self, "summary_hidden", "summary_size")
        if self.conditioning == "none":
            check(self, "summariser", self.summariser == "deepset", "has no meaning when conditioning is none")


@dataclass(frozen=True, kw_only=True)
class SAVOConfig(TD3Config, ChainConfig):
    """SAVO's own fields."""

    target_noise: float = 0.0  # paper: arXiv:2410.11833v2 removes TD3's smoothing
    surrogate: Literal["learned", "exact"] = "learned"  # paper: "exact" is its ablation "- approximation"
    joint: bool = False  # paper: its ablation "joint action": one actor emits all proposals
    diversity: float = 0.0  # code: USC-Lira/Q3C@4a5456b has it as an option; weight of a repulsion between proposals
    diversity_sigma: float = 0.5  # code: USC-Lira/Q3C@4a5456b; its width, in units of the maximal action

    # SAVO's own published constants are those of the fair comparison.
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"fair": {}, "published": {}}

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        one_of(self, "surrogate", "learned", "exact")
        not_negative(self, "diversity")
        positive(self, "diversity_sigma")
        if self.joint:
            check(self, "surrogate", self.surrogate == "learned", "must be learned when joint is true")
            check(self, "conditioning", self.conditioning == "film", "has no meaning when joint is true")
        if self.surrogate == "exact":
            online = self.surrogate_critics == "online"
            check(self, "surrogate_critics", online, "has no meaning when surrogate is exact")

    def check_spaces(self, spaces: Spaces) -> None:
        """Refuse exact landscapes where Q is trained at items alone.

        Raises:
            ValueError: with the field, its value and what is allowed.
        """
        super().check_spaces(spaces)
        check(
            self, "surrogate", self.surrogate == "learned" or spaces.catalogue is None, "must be learned on a catalogue"
        )


# ---- networks that see earlier actions


def chain_layers(
    config: ChainConfig, spaces: Spaces, inputs: int, outputs: int, *, norm: bool = False, gain: float = 1.0
) -> Layers:
    """The layers of a network that may see earlier actions: a FiLM MLP with its own summary of them, or a plain MLP."""
    if config.conditioning == "none":
        return mlp_layers(inputs, config.hidden, outputs, norm=norm, gain=gain)
    element = spaces.obs_dim + spaces.action_dim
    film = film_layers(inputs, config.hidden, outputs, config.summary_size, norm=norm, gain=gain)
    return film | summary_layers(config.summariser, element, config.summary_hidden, config.summary_size)


def follower_layers(config: SAVOConfig | SAVOSACConfig, spaces: Spaces, outputs: int = 1) -> Layers:
    """The layers of an actor that sees earlier actions, for `outputs` vectors of an action's size."""
    O, A = spaces.obs_dim, spaces.action_dim
    return chain_layers(config, spaces, O, outputs * A, norm=config.actor_norm, gain=config.output_gain)


def conditioned(p: Params, kind: str, x: Tensor, obs: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """A network's output given the actions before it, summarised by the given kind.

    x (S, 1, N B, I) holds N groups of B rows, obs (S, B, O), earlier: i actions (S, B, A) -> (S, 1, N B, J).
    """
    if "element.weight" not in p:
        return mlp(p, x)
    pairs = [torch.cat([obs, action], dim=-1) for action in earlier]
    z = summarise(p, kind, torch.cat(pairs, dim=1).unsqueeze(1), len(pairs))  # (S, 1, i B, O + A) -> (S, 1, B, Z)
    return film_mlp(p, x, z)


def propose(
    actor: Params, followers: Sequence[Params], kind: str, obs: Tensor, explore: Tensor | None = None
) -> Tensor:
    """The chain a_0 = ν_0(s), a_i = ν_i(s, sg(a_<i)): obs (S, B, O) -> (S, B, K, A).

    With `explore` (S, K, A), noise is added to each action before the next actor sees it.
    """
    x = obs.unsqueeze(1)
    actions: list[Tensor] = []
    for i, network in enumerate([actor, *followers]):
        earlier = [action.detach() for action in actions]
        action = tanh(conditioned(network, kind, x, obs, earlier)).squeeze(1)  # (S, B, A)
        if explore is not None:
            action = (action + explore[:, None, i]).clamp(-1, 1)
        actions.append(action)
    return torch.stack(actions, dim=2)


def propose_jointly(actor: Params, obs: Tensor, proposals: int) -> Tensor:
    """All proposals from one actor: obs (S, B, O) -> (S, B, K, A)."""
    return tanh(mlp(actor, obs.unsqueeze(1))).squeeze(1).unflatten(-1, (proposals, -1))


# ---- surrogates


def surrogate_value(
    surrogate: Params, kind: str, obs: Tensor, actions: Sequence[Tensor], earlier: Sequence[Tensor]
) -> Tensor:
    """Ψ̂_i(s, a; a_<i) at N actions: obs (S, B, O), actions and earlier of (S, B, A) each -> (S, N, B)."""
    rows = [torch.cat([obs, action], dim=-1) for action in actions]
    value = conditioned(surrogate, kind, torch.cat(rows, dim=1).unsqueeze(1), obs, earlier)  # (S, 1, N B, 1)
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


def needs_surrogates(config: ChainConfig, spaces: Spaces) -> bool:
    """Whether any actor climbs a fitted landscape: every one but the first, and on a catalogue that one, too."""
    return config.extra_actors > 0 or spaces.catalogue is not None


class Surrogates:
    """The networks Ψ̂_i, fitted to truncated landscapes: one for each extra actor, on a catalogue also for the first."""

    def __init__(
        self, config: ChainConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.config = config
        inputs = spaces.obs_dim + spaces.action_dim
        first = 0 if spaces.catalogue is None else 1
        self.first = Stack.drawn(mlp_layers(inputs, config.hidden, 1), rngs, first, device)
        layers = chain_layers(config, spaces, inputs, 1)
        self.extra = Stack.drawn(layers, rngs, config.extra_actors, device)
        self.stacks = {"surrogate_first": self.first, "surrogates": self.extra}
        self.optimizer = Optimizer(list(self.stacks.values()), config.lr, config.max_grad_norm)

    def networks(self, *, frozen: bool) -> list[tuple[int, Params]]:
        """Every surrogate with its index i."""
        members = self.first.members + self.extra.members
        start = 1 - len(self.first.members)
        return [(i, member.frozen if frozen else member.params) for i, member in enumerate(members, start)]

    def update(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """Fit each to its truncated landscape at the stored proposal and at the executed action."""
        loss = self.errors(critic, batch, frozen=False)
        self.optimizer.step(loss.sum())
        return {"surrogate_loss": loss.detach().mean((1, 2))}

    def errors(self, critic: TwinCritic, batch: Batch, *, frozen: bool) -> Tensor:
        """Mean squared error of each at its two key actions: (S, number of surrogates, 2)."""
        q_protos, q_executed = stored_values(critic, batch, self.config.surrogate_critics)
        targets = surrogate_targets(q_protos, q_executed)  # (S, K - 1, 2, B)
        if self.first.members:  # nothing comes before the first proposal, so nothing truncates its landscape
            targets = torch.cat([torch.stack([q_protos[..., 0], q_executed], dim=1).unsqueeze(1), targets], dim=1)
        actions = list(batch.protos.unbind(2))
        values = [
            surrogate_value(network, self.config.summariser, batch.obs, [actions[i], batch.action], actions[:i])
            for i, network in self.networks(frozen=frozen)
        ]
        return td.squared_error(torch.stack(values, dim=1), targets)

    def heights(self, obs: Tensor, actions: list[Tensor]) -> list[Tensor]:
        """Each fitted landscape at its own action, with the earlier ones detached: K x (S, B, A) -> (S, 1, B) each."""
        earlier = [action.detach() for action in actions]
        return [
            surrogate_value(network, self.config.summariser, obs, [actions[i]], earlier[:i])
            for i, network in self.networks(frozen=True)
        ]

    @torch.no_grad()
    def diagnose(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """Root mean squared errors at the proposals and at the executed actions."""
        errors = self.errors(critic, batch, frozen=True).sqrt().mean(1)
        return {"surrogate_error": errors[:, 0], "surrogate_error_executed": errors[:, 1]}


@torch.no_grad()
def stored_values(critic: TwinCritic, batch: Batch, whose: str) -> tuple[Tensor, Tensor]:
    """min(Q_1, Q_2) of a batch's proposals (S, B, K) and of its executed actions (S, B)."""
    network = critic.online if whose == "online" else critic.target
    points = torch.cat([batch.proposals, batch.action.unsqueeze(2)], dim=2)  # (S, B, K + 1, A)
    q = td.clipped_double_q(q_values(network.frozen, batch.obs, points))
    return q[..., :-1], q[..., -1]


def exact_heights(critic: Stack, obs: Tensor, actions: Tensor) -> list[Tensor]:
    """Each proposal of (S, B, K, A) on its truncated landscape itself, K x (S, 1, B); flat below the floor."""
    q = q_values(critic.frozen, obs, actions).squeeze(1)  # (S, B, K)
    truncated = td.truncate(q[..., 1:], td.floors(q.detach()))
    return list(torch.cat([q[..., :1], truncated], dim=-1).movedim(-1, 1).unsqueeze(2).unbind(1))


def diversity_penalty(actions: Tensor, sigma: float) -> Tensor:
    """Mean over states of Σ_i Σ_{j<i} exp(-|a_i - sg(a_j)|² / 2 sigma²): actions (S, B, K, A) -> (S,)."""
    apart = actions.unsqueeze(3) - actions.detach().unsqueeze(2)  # (S, B, K, K, A)
    closeness = torch.exp(-apart.square().sum(-1) / (2 * sigma**2))
    return closeness.tril(-1).sum((2, 3)).mean(1)


class JointSurrogate:
    """One value of all proposals together, regressed to that of the best (the ablation "joint action")."""

    def __init__(
        self, config: SAVOConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.config = config
        inputs = spaces.obs_dim + (config.extra_actors + 1) * spaces.action_dim
        self.network = Stack.drawn(mlp_layers(inputs, config.hidden, 1), rngs, 1, device)
        self.stacks = {"surrogates": self.network}
        self.optimizer = Optimizer([self.network], config.lr, config.max_grad_norm)

    def update(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """Fit it at the stored proposals."""
        loss = self.error(critic, batch, self.network.params)
        self.optimizer.step(loss.sum())
        return {"surrogate_loss": loss.detach()}

    def error(self, critic: TwinCritic, batch: Batch, network: Params) -> Tensor:
        """Its mean squared error (S,)."""
        q_protos, _ = stored_values(critic, batch, self.config.surrogate_critics)
        value = joint_value(network, batch.obs, batch.protos)  # (S, 1, B)
        return td.squared_error(value, q_protos.amax(-1).unsqueeze(1)).squeeze(1)

    def heights(self, obs: Tensor, actions: list[Tensor]) -> list[Tensor]:
        """The one height of all proposals K x (S, B, A): a list of one (S, 1, B)."""
        return [joint_value(self.network.frozen, obs, torch.stack(actions, dim=2))]

    @torch.no_grad()
    def diagnose(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """Its root mean squared error."""
        return {"surrogate_error": self.error(critic, batch, self.network.frozen).sqrt()}


def joint_value(network: Params, obs: Tensor, actions: Tensor) -> Tensor:
    """The value of all proposals together: obs (S, B, O), actions (S, B, K, A) -> (S, 1, B)."""
    x = torch.cat([obs, actions.flatten(2)], dim=-1).unsqueeze(1)
    return mlp(network, x).squeeze(-1)


# ---- the agent


class SAVO(ActorCritic):
    """S seeds of SAVO."""

    policy = ("actor", "followers", "critic")
    actors_compete = True

    def __init__(
        self, config: SAVOConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.protos = self.items = config.extra_actors + 1
        outputs, chained = (self.protos, 0) if config.joint else (1, config.extra_actors)
        self.actor = Stack.drawn(actor_layers(config, spaces, outputs), rngs, 1, device)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device)
        self.followers = Stack.drawn(follower_layers(config, spaces), rngs, chained, device)
        self.actor_target, self.followers_target = self.actor.copy(), self.followers.copy()
        networks = {
            "actor": self.actor,
            "followers": self.followers,
            "actor_target": self.actor_target,
            "followers_target": self.followers_target,
        }
        self.actor_optimizer = Optimizer([self.actor, self.followers], config.lr, config.max_grad_norm)
        optimizers = {"actor": self.actor_optimizer}
        self.surrogates: Surrogates | JointSurrogate | None = None
        if config.surrogate == "learned" and (config.joint or needs_surrogates(config, spaces)):
            made = JointSurrogate if config.joint else Surrogates
            self.surrogates = made(config, spaces, rngs, device)
            networks |= self.surrogates.stacks
            optimizers["surrogates"] = self.surrogates.optimizer
        super().__init__(config, spaces, critic, networks, optimizers)

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on every proposal to explore; on the target's action only where smoothing is kept."""
        return noise_and_smoothing(self.config, self.spaces, call, self.protos)

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The K proposals of the online actors: obs (S, B, O) -> (S, B, K, A)."""
        within = noise["explore"] if explore and self.catalogue is not None else None
        protos = self.chain(self.actor.frozen, [member.frozen for member in self.followers.members], obs, within)
        return explored(protos, noise) if explore and within is None else protos

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The K proposals of the target actors."""
        followers = [member.frozen for member in self.followers_target.members]
        return self.chain(self.actor_target.frozen, followers, obs), None

    def chain(self, actor: Params, followers: Sequence[Params], obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """What some actors propose: obs (S, B, O) -> (S, B, K, A)."""
        if self.config.joint:
            protos = propose_jointly(actor, obs, self.protos)
            return protos if explore is None else (protos + explore.unsqueeze(1)).clamp(-1, 1)
        return propose(actor, followers, self.config.summariser, obs, explore)

    def update_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """The critics and, from their new values, the surrogates."""
        metrics = super().update_critics(batch, noise)
        if self.surrogates:
            metrics |= self.surrogates.update(self.critic, batch)
        return metrics

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Every actor climbs its own landscape along a fresh chain; critics and surrogates stay as they are."""
        config, obs = self.config, batch.obs
        actions = self.chain(self.actor.params, [member.params for member in self.followers.members], obs)
        heights = torch.cat(self.landscape_heights(obs, actions), dim=1)  # (S, K, B)
        loss = -heights.mean(-1).sum(-1)
        if config.diversity > 0:
            loss = loss + config.diversity * diversity_penalty(actions, config.diversity_sigma)
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach()}

    def landscape_heights(self, obs: Tensor, actions: Tensor) -> list[Tensor]:
        """The height of each proposal (S, B, K, A) on the landscape that its actor climbs: (S, 1, B) each."""
        if self.surrogates is None:
            return exact_heights(self.critic.first, obs, actions)
        fitted = self.surrogates.heights(obs, list(actions.unbind(2)))
        if self.config.joint or self.catalogue is not None:
            return fitted
        return [q_values(self.critic.first.frozen, obs, actions[:, :, :1]).squeeze(-1), *fitted]

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """What the extra actors add, and how true the surrogates are."""
        fitted = self.surrogates.diagnose(self.critic, batch) if self.surrogates else {}
        return super().diagnose(batch, noise) | fitted
