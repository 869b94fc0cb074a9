"""What `savo` and `savo-sac` share: networks that see the actions of earlier actors, and the surrogates.

The symbols of the paper, arXiv:2410.11833v2:

z_i → summary.summarise          Ψ̂_i → Surrogates.networks()
τ_i (the floor) → floors         Ψ_i → truncate(q, floor)          k → config.extra_actors, K = k + 1 actors
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import clipped_double_q
from savo_bench.algos.agent import Batch, Spaces
from savo_bench.algos.config import Config, check, not_negative, one_of, positive
from savo_bench.algos.nets import (
    NetworkSpec,
    Optimizer,
    Params,
    Stack,
    TwinCritic,
    film_mlp,
    film_spec,
    mlp,
    mlp_spec,
    q_values,
)
from savo_bench.algos.summary import SUMMARISERS, has_summary, summarise, summary_spec


@dataclass(frozen=True, kw_only=True)
class ChainConfig(Config):
    """Successive actors and their surrogates."""

    extra_actors: int = 3  # paper: arXiv:2410.11833v2, read as three beside the first; the code's default is 3 in all
    conditioning: Literal["film", "concat", "none"] = "film"  # paper: on earlier actions; "none" is its ablation
    truncation: bool = True  # paper: of Q by floors; false: surrogates of Q itself (ours: what truncation is worth)
    summariser: Literal["deepset", "lstm", "transformer"] = "deepset"  # paper: of earlier actions; others: the code's
    summary_hidden: int = 64  # code: USC-Lira/Q3C@4a5456b; its width: 64 for the pendulums and Hopper, 256 for the rest
    summary_size: int = 16  # code: USC-Lira/Q3C@4a5456b; numbers that the summary has
    surrogate_critics: Literal["online", "target"] = "online"  # code: the critics to which surrogates are fitted

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        not_negative(self, "extra_actors")
        one_of(self, "conditioning", "film", "concat", "none")
        one_of(self, "summariser", *SUMMARISERS)
        one_of(self, "surrogate_critics", "online", "target")
        positive(self, "summary_hidden", "summary_size")
        if self.conditioning == "none":
            check(self, "summariser", self.summariser == "deepset", "has no meaning when conditioning is none")


def conditioned_spec(
    config: ChainConfig,
    spaces: Spaces,
    hidden: Sequence[int],
    inputs: int,
    outputs: int,
    *,
    norm: bool = False,
    gain: float = 1.0,
) -> NetworkSpec:
    """A network that may see earlier actions, by a summary of its own that scales its layers or is an input to it."""
    size, init = config.summary_size, config.init
    if config.conditioning == "none":
        return mlp_spec(inputs, hidden, outputs, norm=norm, gain=gain, init=init)
    summary = summary_spec(config.summariser, spaces.obs_dim + spaces.action_dim, config.summary_hidden, size)
    if config.conditioning == "concat":
        return mlp_spec(inputs + size, hidden, outputs, norm=norm, gain=gain, init=init) | summary
    return film_spec(inputs, hidden, outputs, size, norm=norm, gain=gain, init=init) | summary


def conditioned(p: Params, summariser: str, x: Tensor, obs: Tensor, earlier: Sequence[Tensor]) -> Tensor:
    """A network's output given the actions before its own; an actor or surrogate that sees none ignores them.

    x (S, 1, N B, I) holds N groups of B rows, obs (S, B, O), earlier: i actions (S, B, A) -> (S, 1, N B, J).
    """
    if not earlier or not has_summary(p):
        return mlp(p, x)
    pairs = [torch.cat([obs, action], dim=-1) for action in earlier]
    z = summarise(p, summariser, torch.cat(pairs, dim=1).unsqueeze(1), len(pairs))  # (S, 1, i B, O + A) -> (S, 1, B, Z)
    if "scale0.weight" in p:
        return film_mlp(p, x, z)
    return mlp(p, torch.cat([x, z.repeat(1, 1, x.shape[2] // z.shape[2], 1)], dim=-1))


def floors(q: Tensor) -> Tensor:
    """The best value before each proposal but the first: (S, B, K) -> (S, B, K - 1), entry i - 1 is max_{j<i} q_j."""
    return q.cummax(-1).values[..., :-1]


def truncate(q: Tensor, floor: Tensor) -> Tensor:
    """The truncated landscape max(Q(s, a), floor): values below the floor are raised to it."""
    return torch.maximum(q, floor)


def surrogate_targets(q_proposals: Tensor, q_executed: Tensor, truncation: bool = True) -> Tensor:
    """The values to which each surrogate is fitted, at its two key actions.

    q_proposals (S, B, K), q_executed (S, B) -> (S, K - 1, 2, B): for surrogate i = 1..k the value max_{j<=i} q_j at its
    proposal, and max(q_a, max_{j<i} q_j) at the executed action; without truncation q_i and q_a.
    """
    at_proposal = q_proposals[..., 1:]  # (S, B, K - 1)
    at_executed = q_executed.unsqueeze(-1).expand_as(at_proposal)
    if truncation:
        floor = floors(q_proposals)
        at_proposal, at_executed = truncate(at_proposal, floor), truncate(at_executed, floor)
    return torch.stack([at_proposal, at_executed], dim=1).permute(0, 3, 1, 2)


@torch.no_grad()
def stored_values(critic: TwinCritic, batch: Batch, whose: str) -> tuple[Tensor, Tensor]:
    """min(Q_1, Q_2) of a batch's proposals (S, B, K) and executed actions (S, B), by the online or target critics."""
    network = critic.online if whose == "online" else critic.target
    points = torch.cat([batch.proposals, batch.action.unsqueeze(2)], dim=2)  # (S, B, K + 1, A)
    q = clipped_double_q(q_values(network.frozen, batch.obs, points))
    return q[..., :-1], q[..., -1]


def surrogate_value(
    surrogate: Params, summariser: str, obs: Tensor, actions: Sequence[Tensor], earlier: Sequence[Tensor]
) -> Tensor:
    """Ψ̂_i(s, a; a_<i) at N actions: obs (S, B, O), actions and earlier of (S, B, A) each -> (S, N, B)."""
    rows = [torch.cat([obs, action], dim=-1) for action in actions]
    value = conditioned(surrogate, summariser, torch.cat(rows, dim=1).unsqueeze(1), obs, earlier)  # (S, 1, N B, 1)
    return value.squeeze(1).squeeze(-1).unflatten(1, (len(actions), -1))


def needs_surrogates(config: ChainConfig, spaces: Spaces) -> bool:
    """Whether any actor maximises a surrogate: all but the first do, and on a catalogue the first does, too."""
    return config.extra_actors > 0 or spaces.catalogue is not None


class Surrogates:
    """The networks Ψ̂_i, fitted to truncated landscapes: one for each extra actor, on a catalogue also for the first."""

    def __init__(
        self, config: ChainConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.config = config
        inputs = spaces.obs_dim + spaces.action_dim
        first = 0 if spaces.catalogue is None else 1
        self.first = Stack.initialise(mlp_spec(inputs, config.hidden, 1, init=config.init), rngs, first, device)
        extra = conditioned_spec(config, spaces, config.hidden, inputs, 1)
        self.extra = Stack.initialise(extra, rngs, config.extra_actors, device)
        self.stacks = {"surrogate_first": self.first, "surrogates": self.extra}
        self.optimizer = Optimizer(list(self.stacks.values()), config.lr, config.max_grad_norm)

    def networks(self, *, frozen: bool) -> list[tuple[int, Params]]:
        """Each surrogate with its index i."""
        members = self.first.members + self.extra.members
        start = 1 - len(self.first.members)
        return [(i, member.frozen if frozen else member.params) for i, member in enumerate(members, start)]

    def update(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """One step of each towards its truncated landscape, at the stored proposal and at the executed action."""
        loss = self.errors(critic, batch, frozen=False)
        self.optimizer.step(loss.sum())
        return {"surrogate_loss": loss.detach().mean((1, 2))}

    def errors(self, critic: TwinCritic, batch: Batch, *, frozen: bool) -> Tensor:
        """Mean squared error of each at its two key actions: (S, number of surrogates, 2)."""
        return self.differences(critic, batch, frozen=frozen).square().mean(-1)

    def differences(self, critic: TwinCritic, batch: Batch, *, frozen: bool) -> Tensor:
        """Value less target of each, at its proposal and at the executed action: (S, number of surrogates, 2, B)."""
        q_proposals, q_executed = stored_values(critic, batch, self.config.surrogate_critics)
        targets = surrogate_targets(q_proposals, q_executed, self.config.truncation)  # (S, K - 1, 2, B)
        if self.first.members:  # no proposal comes before the first, so its landscape is not truncated
            first = torch.stack([q_proposals[..., 0], q_executed], dim=1)
            targets = torch.cat([first.unsqueeze(1), targets], dim=1)
        actions = list(batch.proto_actions.unbind(2))
        values = [
            surrogate_value(network, self.config.summariser, batch.obs, [actions[i], batch.action], actions[:i])
            for i, network in self.networks(frozen=frozen)
        ]
        return torch.stack(values, dim=1) - targets

    def values(self, obs: Tensor, actions: list[Tensor]) -> list[Tensor]:
        """Each surrogate's value at its own action, with earlier ones detached: K x (S, B, A) -> (S, 1, B) each."""
        earlier = [action.detach() for action in actions]
        return [
            surrogate_value(network, self.config.summariser, obs, [actions[i]], earlier[:i])
            for i, network in self.networks(frozen=True)
        ]

    @torch.no_grad()
    def diagnose(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """Root mean squared errors (S,) at the proposals, at the executed actions, and of what lies between these.

        The first two contain how far a surrogate is off in a state as a whole, which moves no actor. The third,
        `surrogate_error_centred`, is the error of Ψ̂_i(s, a_i) - Ψ̂_i(s, a), in which that cancels.
        """
        differences = self.differences(critic, batch, frozen=True)  # (S, number of surrogates, 2, B)
        errors = differences.square().mean(-1).sqrt().mean(1)
        centred = (differences[:, :, 0] - differences[:, :, 1]).square().mean(-1).sqrt().mean(1)
        return {
            "surrogate_error": errors[:, 0],
            "surrogate_error_executed": errors[:, 1],
            "surrogate_error_centred": centred,
        }
