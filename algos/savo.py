"""SAVO: successive actors, each maximising Q truncated below the best value found by the actors before it.

A single actor stops at the nearest peak of Q(s, ·). Here actor i sees the actions of actors 0..i-1 and maximises the
landscape truncated below the best of them, where their peaks no longer attract; the best of all proposals is
executed. A truncated landscape is flat below its floor, so a smooth surrogate network is fitted to it and gives the
gradient.

Source: arXiv:2410.11833v2 (paper) and the authors' code in USC-Lira/Q3C@4a5456b (code).

    ν_0 → actor           ν_i → successive_actors.members[i - 1]        μ_M → propose, then actor_critic.select
    Q_1, Q_2 → critic     z_i, τ_i, Ψ_i, Ψ̂_i, k → algos/chain.py

Differs from the paper:
- k = 3 extra actors are four proposals in all; the paper's k = 3 can be read either way;
- the surrogates are fitted at the stored noisy proposals and the executed action, after the critics' step;
- as in TD3 here: every constant of the fair comparison.

As in the paper there is no target smoothing, unless `target_noise` asks for it. On a catalogue Q is trained at items
alone, so no actor maximises it directly: the first has a surrogate, too. Surrogates see proto-actions; they are fitted
to the values of the items that were executed for them. There, each actor's noise is added before the next actor sees
its proto-action.

    every step:    a_0 = ν_0(s), a_i = ν_i(s, z_i(s, a_<i)); noise on each; execute argmax_i Q_1(s, a_i)
    every update:  y = r + γ (1 - terminated) min Q'(s', μ_M'(s')), with target actors, argmax by the online Q_1
                   critics     minimise Σ (Q(s, a) - y)²
                   surrogates  minimise (Ψ̂_i(s, a_i) - Ψ_i(s, a_i))² + (Ψ̂_i(s, a) - Ψ_i(s, a))²
    every 2nd:     actors      maximise Q_1(s, a_0) + Σ_i Ψ̂_i(s, a_i; a_<i);  all targets move by τ
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import SeveralActors, actor_spec
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.chain import (
    ChainConfig,
    Surrogates,
    conditioned,
    conditioned_spec,
    floors,
    needs_surrogates,
    truncate,
)
from savo_bench.algos.config import (
    ActorConfig,
    ArgmaxConfig,
    CompetitionConfig,
    NoiseConfig,
    ProposalNoiseConfig,
    SmoothingConfig,
    check,
    not_negative,
    one_of,
    positive,
)
from savo_bench.algos.entry import Entry, UpdateCost
from savo_bench.algos.joint import JointSurrogate, propose_jointly
from savo_bench.algos.nets import Optimizer, Params, Stack, TwinCritic, q_values, tanh
from savo_bench.algos.noise import deterministic_noise_shapes, proposal_noise, with_noise


@dataclass(frozen=True, kw_only=True)
class SAVOConfig(
    SmoothingConfig, NoiseConfig, ProposalNoiseConfig, CompetitionConfig, ActorConfig, ChainConfig, ArgmaxConfig
):
    """SAVO's own fields; its published constants are those of the fair comparison."""

    surrogate: Literal["learned", "exact"] = "learned"  # paper: what is climbed; "exact" is "- approximation" there
    joint: bool = False  # paper: its ablation "joint action": one actor emits all proposals
    diversity: float = 0.0  # code: USC-Lira/Q3C@4a5456b has it as an option; weight of a repulsion between proposals
    diversity_sigma: float = 0.5  # code: USC-Lira/Q3C@4a5456b; its width, in units of the maximal action

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        one_of(self, "surrogate", "learned", "exact")
        not_negative(self, "diversity")
        positive(self, "diversity_sigma")
        if self.joint:
            check(self, "surrogate", self.surrogate == "learned", "must be learned when joint is true")
            check(self, "conditioning", self.conditioning == "film", "has no meaning when joint is true")
            check(self, "truncation", self.truncation, "has no meaning when joint is true")
        usual = self.surrogate == "learned" or self.surrogate_critics == "online"
        check(self, "surrogate_critics", usual, "has no meaning when surrogate is exact")

    def check_spaces(self, spaces: Spaces) -> None:
        """Refuse exact landscapes where Q is trained at items alone.

        Raises:
            ValueError: with the field, its value and what is allowed.
        """
        super().check_spaces(spaces)
        possible = self.surrogate == "learned" or spaces.catalogue is None
        check(self, "surrogate", possible, "must be learned on a catalogue")


def propose(
    actor: Params, successive: Sequence[Params], summariser: str, obs: Tensor, explore: Tensor | None = None
) -> Tensor:
    """The proposals a_0 = ν_0(s), a_i = ν_i(s, sg(a_<i)): obs (S, B, O) -> (S, B, K, A).

    With `explore` (S, K, A), noise is added to each action before the next actor sees it.
    """
    x = obs.unsqueeze(1)
    actions: list[Tensor] = []
    for i, network in enumerate([actor, *successive]):
        earlier = [action.detach() for action in actions]
        action = tanh(conditioned(network, summariser, x, obs, earlier)).squeeze(1)  # (S, B, A)
        if explore is not None:
            action = (action + explore[:, None, i]).clamp(-1, 1)
        actions.append(action)
    return torch.stack(actions, dim=2)


def exact_values(critic: Stack, obs: Tensor, actions: Tensor, truncation: bool = True) -> list[Tensor]:
    """Ψ_i of each proposal of (S, B, K, A) without surrogates: K x (S, 1, B); no gradient below the floor.

    Without truncation it is Q_1 of each.
    """
    q = q_values(critic.frozen, obs, actions).squeeze(1)  # (S, B, K)
    if truncation:
        q = torch.cat([q[..., :1], truncate(q[..., 1:], floors(q.detach()))], dim=-1)
    return list(q.movedim(-1, 1).unsqueeze(2).unbind(1))


def diversity_penalty(actions: Tensor, sigma: float) -> Tensor:
    """Mean over states of Σ_i Σ_{j<i} exp(-|a_i - sg(a_j)|² / 2 sigma²): actions (S, B, K, A) -> (S,)."""
    apart = actions.unsqueeze(3) - actions.detach().unsqueeze(2)  # (S, B, K, K, A)
    closeness = torch.exp(-apart.square().sum(-1) / (2 * sigma**2))
    return closeness.tril(-1).sum((2, 3)).mean(1)


class SAVO(SeveralActors):
    """S seeds of SAVO."""

    policy = ("actor", "followers", "critic")  # in files the successive actors are called followers

    def __init__(
        self, config: SAVOConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        K = self.stored_proto_actions = self.stored_items = config.extra_actors + 1
        outputs, successive = (K, 0) if config.joint else (1, config.extra_actors)
        self.actor = Stack.initialise(actor_spec(config, spaces, outputs), rngs, 1, device)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device, config.init)
        norm, gain = config.actor_norm, config.output_gain
        spec = conditioned_spec(
            config, spaces, config.actor_widths, spaces.obs_dim, spaces.action_dim, norm=norm, gain=gain
        )
        self.successive_actors = Stack.initialise(spec, rngs, successive, device)
        self.actor_target, self.successive_targets = self.actor.copy(), self.successive_actors.copy()
        networks = {"actor": self.actor, "followers": self.successive_actors}
        self.actor_optimizer = Optimizer([self.actor, self.successive_actors], config.lr, config.max_grad_norm)
        optimizers = {"actor": self.actor_optimizer}
        self.surrogates: Surrogates | JointSurrogate | None = None
        if config.surrogate == "learned" and (config.joint or needs_surrogates(config, spaces)):
            kind = JointSurrogate if config.joint else Surrogates
            self.surrogates = kind(config, spaces, rngs, device)
            networks |= self.surrogates.stacks
            optimizers["surrogates"] = self.surrogates.optimizer
        super().__init__(
            config,
            spaces,
            critic,
            networks=networks,
            targets={"actor": self.actor_target, "followers": self.successive_targets},
            optimizers=optimizers,
        )

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """Noise on every proposal to explore; on the target's action only with target_noise."""
        return deterministic_noise_shapes(self.config, self.spaces, call, self.stored_proto_actions)

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The K proposals of the online actors: obs (S, B, O) -> (S, B, K, A)."""
        successive = [member.frozen for member in self.successive_actors.members]
        each = proposal_noise(self.config, noise) if explore else None  # (S, K, A)
        if self.catalogue is not None:
            return self.chain(self.actor.frozen, successive, obs, each)
        return with_noise(self.chain(self.actor.frozen, successive, obs), each)

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The K proposals of the target actors, or the first one's."""
        successive = [member.frozen for member in self.successive_targets.members]
        return self.chain(self.actor_target.frozen, successive, obs)[:, :, : self.competing("target")], None

    def chain(self, actor: Params, successive: Sequence[Params], obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """The proposals of these actors: obs (S, B, O) -> (S, B, K, A)."""
        if self.config.joint:
            return with_noise(propose_jointly(actor, obs, self.stored_proto_actions), explore)
        return propose(actor, successive, self.config.summariser, obs, explore)

    def fit_to_critics(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of the surrogates."""
        return self.surrogates.update(self.critic, batch) if self.surrogates else {}

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One step of every actor up its own landscape, with new proposals; critics and surrogates stay fixed."""
        config, obs = self.config, batch.obs
        actions = self.chain(self.actor.params, [member.params for member in self.successive_actors.members], obs)
        values = torch.cat(self.landscape_values(obs, actions), dim=1)  # (S, K, B)
        loss = -values.mean(-1).sum(-1)
        if config.diversity > 0:
            loss = loss + config.diversity * diversity_penalty(actions, config.diversity_sigma)
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach()}

    def landscape_values(self, obs: Tensor, actions: Tensor) -> list[Tensor]:
        """The value of each proposal (S, B, K, A) on the landscape that its actor maximises: (S, 1, B) each."""
        if self.surrogates is None:
            return exact_values(self.critic.first, obs, actions, self.config.truncation)
        fitted = self.surrogates.values(obs, list(actions.unbind(2)))
        if self.config.joint or self.catalogue is not None:
            return fitted
        return [q_values(self.critic.first.frozen, obs, actions[:, :, :1]).squeeze(-1), *fitted]

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """The frame's metrics, and the surrogates' errors."""
        fitted = self.surrogates.diagnose(self.critic, batch) if self.surrogates else {}
        return super().diagnose(batch, noise) | fitted


EACH = {"learned": 1.64, "exact": 0.56}  # ours: an actor in updates of td3, by benchmarks/algorithms.py on Hopper
entry = Entry(
    "savo",
    SAVOConfig,
    SAVO,
    "successive actors on truncated Q-landscapes (arXiv:2410.11833)",
    UpdateCost(lambda config: 1 + EACH[config.surrogate] * config.extra_actors, lambda config: 1 + config.extra_actors),
)
