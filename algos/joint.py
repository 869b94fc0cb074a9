"""The ablation "joint action" of SAVO: one actor emits all proposals, and one critic values them together.

Source: arXiv:2410.11833v2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from savo_bench.algos.actor_critic import squared_error
from savo_bench.algos.agent import Batch, Spaces
from savo_bench.algos.chain import ChainConfig, stored_values
from savo_bench.algos.nets import Optimizer, Params, Stack, TwinCritic, mlp, mlp_spec, tanh


def propose_jointly(actor: Params, obs: Tensor, proposals: int) -> Tensor:
    """All proposals from one actor: obs (S, B, O) -> (S, B, K, A)."""
    return tanh(mlp(actor, obs.unsqueeze(1))).squeeze(1).unflatten(-1, (proposals, -1))


class JointSurrogate:
    """One value of all proposals together, regressed to that of the best (the ablation "joint action")."""

    def __init__(
        self, config: ChainConfig, spaces: Spaces, rngs: Sequence[np.random.Generator], device: torch.device
    ) -> None:
        self.config = config
        inputs = spaces.obs_dim + (config.extra_actors + 1) * spaces.action_dim
        self.network = Stack.initialise(mlp_spec(inputs, config.hidden, 1, init=config.init), rngs, 1, device)
        self.stacks = {"surrogates": self.network}
        self.optimizer = Optimizer([self.network], config.lr, config.max_grad_norm)

    def update(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """One step towards the best value, at the stored proposals."""
        loss = self.error(critic, batch, self.network.params)
        self.optimizer.step(loss.sum())
        return {"surrogate_loss": loss.detach()}

    def error(self, critic: TwinCritic, batch: Batch, network: Params) -> Tensor:
        """Its mean squared error (S,)."""
        q_proposals, _ = stored_values(critic, batch, self.config.surrogate_critics)
        value = joint_value(network, batch.obs, batch.proto_actions)  # (S, 1, B)
        return squared_error(value, q_proposals.amax(-1).unsqueeze(1)).squeeze(1)

    def values(self, obs: Tensor, actions: list[Tensor]) -> list[Tensor]:
        """The one value of all proposals K x (S, B, A): a list of one (S, 1, B)."""
        return [joint_value(self.network.frozen, obs, torch.stack(actions, dim=2))]

    @torch.no_grad()
    def diagnose(self, critic: TwinCritic, batch: Batch) -> dict[str, Tensor]:
        """Its root mean squared error (S,)."""
        return {"surrogate_error": self.error(critic, batch, self.network.frozen).sqrt()}


def joint_value(network: Params, obs: Tensor, actions: Tensor) -> Tensor:
    """The value of all proposals together: obs (S, B, O), actions (S, B, K, A) -> (S, 1, B)."""
    x = torch.cat([obs, actions.flatten(2)], dim=-1).unsqueeze(1)
    return mlp(network, x).squeeze(-1)
