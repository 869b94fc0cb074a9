"""An algorithm of another package: TD3 that executes the best of its action and some perturbations of it, in boxes.

Its entry point gives `entry`, and savo-bench does the rest: command line, packs of seeds, checkpoints, reports.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from savo_bench.algos import Entry
from savo_bench.algos.actor_critic import Proposals
from savo_bench.algos.agent import Call, Noise
from savo_bench.algos.td3 import TD3, TD3Config


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
        return super().noise_shapes(call) | {"perturbations": (self.config.perturbations, self.spaces.action_dim)}

    def snap(self, protos: Tensor, noise: Noise) -> Proposals:
        """The proto (S, B, 1, A) and its perturbations, of which the frame executes and values the best."""
        near = protos + self.config.perturbation_sigma * noise["perturbations"].unsqueeze(1)
        return Proposals(torch.cat([protos, near.clamp(-1, 1)], dim=2), None)


entry = Entry("best-of-n", BestOfNConfig, BestOfN, "an example of a plug-in: the best of some perturbed actions")
