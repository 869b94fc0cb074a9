"""An algorithm of another package: TD3 that executes the best of its action and some perturbations of it.

Its entry point gives `entry`, and savo-bench does the rest: command line, packs of seeds, checkpoints, reports.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from algos import Entry, td
from algos.agent import Acted, Call, Noise
from algos.nets import q_values
from algos.td3 import TD3, TD3Config, propose


@dataclass(frozen=True, kw_only=True)
class BestOfNConfig(TD3Config):
    """TD3's fields and two of its own."""

    perturbations: int = 4  # ours: an example
    perturbation_sigma: float = 0.1  # ours: an example; in units of the maximal action


class BestOfN(TD3):
    """S seeds; every random number comes in as noise, so that packs and resumes change nothing."""

    config: BestOfNConfig
    policy = ("actor", "critic")

    def noise_shapes(self, call: Call) -> dict[str, tuple[int, ...]]:
        """TD3's noise, and the perturbations of an action; the same for all states of a call."""
        shapes = super().noise_shapes(call)
        if call != "update":
            shapes["perturbations"] = (self.config.perturbations, self.spaces.action_dim)
        return shapes

    @torch.no_grad()
    def act(self, obs: Tensor, noise: Noise, *, explore: bool) -> Acted:
        """obs (S, B, O) -> the best by the first critic of 1 + perturbations proposals."""
        action = propose(self.actor.frozen, obs)  # (S, B, 1, A)
        near = action + self.config.perturbation_sigma * noise["perturbations"].unsqueeze(1)
        proposals = torch.cat([action, near.clamp(-1, 1)], dim=2)  # (S, B, K, A)
        q = q_values(self.critic.first.frozen, obs, proposals).squeeze(1)  # (S, B, K)
        chosen, index = td.best(proposals, q)
        if explore:
            chosen = (chosen + noise["explore"]).clamp(-1, 1)
        return Acted(chosen, proposals[:, :, :0], index)


entry = Entry("best-of-n", BestOfNConfig, BestOfN, "an example of a plug-in: the best of some perturbed actions")
