"""Best of N: one deterministic actor; the best of its action and some perturbations of it is executed.

    every step:    a = argmax of Q_1 over ν(s) + noise and N perturbations of that
    every update:  y = r + γ (1 - terminated) min Q'(s', argmax of Q_1 over ν'(s') and N perturbations of that)
                   critics  minimise Σ (Q(s, a) - y)²
    every 2nd:     actor    maximises Q_1(s, ν(s));  all targets move by τ

In a box and on a catalogue, where each of them is executed as its nearest item.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos import Entry, UpdateCost
from savo_bench.algos.actor_critic import ActorCritic, Proposals, actor_spec, snap
from savo_bench.algos.agent import Batch, Call, Noise, Spaces
from savo_bench.algos.config import ActorConfig, NoiseConfig, not_negative, positive
from savo_bench.algos.nets import Optimizer, Params, Stack, TwinCritic, mlp, q_values, tanh
from savo_bench.algos.noise import with_noise


@dataclass(frozen=True, kw_only=True)
class BestOfNConfig(NoiseConfig, ActorConfig):
    """Exploration noise, an actor, and two fields of its own."""

    perturbations: int = 4  # ours: an example
    perturbation_sigma: float = 0.1  # ours: an example; in units of the maximal action

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        super().__post_init__()
        positive(self, "perturbations")
        not_negative(self, "perturbation_sigma")


def proto_action(actor: Params, obs: Tensor) -> Tensor:
    """ν(s): obs (S, B, O) -> (S, B, 1, A)."""
    return tanh(mlp(actor, obs.unsqueeze(1))).movedim(1, 2)


class BestOfN(ActorCritic):
    """S seeds of Best of N."""

    policy = ("actor", "critic")  # the networks that act, which policy.pt holds

    def __init__(
        self, config: BestOfNConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.actor = Stack.initialise(actor_spec(config, spaces), rngs, 1, device)
        self.actor_target = self.actor.copy()
        self.actor_optimizer = Optimizer([self.actor], config.lr, config.max_grad_norm)
        critic = TwinCritic(spaces.obs_dim + spaces.action_dim, config.hidden, rngs, device, config.init)
        super().__init__(
            config,
            spaces,
            critic,
            networks={"actor": self.actor},
            targets={"actor": self.actor_target},
            optimizers={"actor": self.actor_optimizer},
        )

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """The perturbations, the same for all states of a call; to explore, the noise on the actor's action."""
        A = self.spaces.action_dim
        return {"perturbations": (self.config.perturbations, A)} | ({"explore": (1, A)} if call == "act" else {})

    def propose(self, obs: Tensor, noise: Noise, *, explore: bool) -> Tensor:
        """The actor's action: obs (S, B, O) -> (S, B, 1, A)."""
        action = proto_action(self.actor.frozen, obs)
        return with_noise(action, noise["explore"]) if explore else action

    def propose_next(self, obs: Tensor, noise: Noise) -> tuple[Tensor, None]:
        """The target actor's action; no entropy bonus."""
        return proto_action(self.actor_target.frozen, obs), None

    def snap(self, proto_actions: Tensor, noise: Noise) -> Proposals:
        """The proto-action (S, B, 1, A) and its perturbations; on a catalogue the nearest item of each."""
        near = proto_actions + self.config.perturbation_sigma * noise["perturbations"].unsqueeze(1)
        return snap(self.catalogue, torch.cat([proto_actions, near.clamp(-1, 1)], dim=2))

    def update_actors(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """One deterministic policy gradient step on Q_1, whose parameters are frozen."""
        action = proto_action(self.actor.params, batch.obs)
        loss = -q_values(self.critic.first.frozen, batch.obs, action).mean((1, 2, 3))  # (S, 1, B, 1) -> (S,)
        self.actor_optimizer.step(loss.sum())
        return {"actor_loss": loss.detach()}


entry = Entry(
    "best-of-n",
    BestOfNConfig,
    BestOfN,
    "an example of a plug-in: the best of some perturbed actions",
    UpdateCost(queries=lambda config: 1 + config.perturbations),
)
