"""Search around an actor's action: what are steps on Q_1, or the best of some perturbations, worth without more actors?

    candidates     the action and perturbations of it (`best_of`), then the ends of ascents that begin there (`refine`)
    perturbed      an action and k - 1 Gaussian perturbations of it
    refined        the best point that a gradient ascent on a critic visits, the point where it begins included

All of them are proposals, and the actor's own action is the first: Q_1 of the executed one is never below that of the
actor's. Exploration noise comes after the search, the same on all proposals.

Source: arXiv:2412.06685, whose text could not be read, and its authors' code, MaxSobolMark/PolicyAgnosticRL@8cc3139
(code): the best of samples by Q, then 10 steps of gradient ascent, of which the best point is kept.

Differs from the code: a step there is 3e-4 times the gradient, so its length depends on the scale of the rewards. Here
it is `refine_step` in each dimension, in the direction of the derivative's sign (`maxima.climb`), at first; the last of
the steps is a tenth of that. The code also trains its actor towards what it finds, which is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from savo_bench.algos import maxima
from savo_bench.algos.agent import Call, Noise, Spaces
from savo_bench.algos.config import Config, check, not_negative, one_of, positive
from savo_bench.algos.entry import UpdateCost
from savo_bench.algos.nets import Stack, q_values

LAST_STEP = 0.1  # ours: of the first; on frozen critics no worse than a hundredth, and better than steps of one length
# ours: of an update of td3, a step of an ascent and a candidate that is scored; docs/performance.md
STEP_COST = 0.21
SAMPLE_COST = 0.08


@dataclass(frozen=True, kw_only=True)
class LocalSearchConfig(Config):
    """A search around the action of a deterministic actor; by default there is none."""

    refine: int = 0  # ours: none; steps of gradient ascent. code: MaxSobolMark/PolicyAgnosticRL@8cc3139 has 10
    # ours: chosen on frozen critics, see docs/algorithms.md; 10 steps go .4 at most
    refine_step: float = 0.1  # of the first step, in each dimension, in units of the maximal action
    refine_at: Literal["act", "target", "both"] = "both"  # ours: as SAVO's argmax; to act includes evaluation
    best_of: int = 1  # ours: the actor's action alone; else it and so many less one perturbations of it
    best_of_sigma: float = 0.2  # ours: as noise_sigma; of the perturbations, in units of the maximal action

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        not_negative(self, "refine")
        positive(self, "refine_step", "best_of", "best_of_sigma")
        one_of(self, "refine_at", "act", "target", "both")
        for name in ("refine_step", "refine_at"):
            usual = self.refine > 0 or getattr(self, name) == getattr(LocalSearchConfig, name)
            check(self, name, usual, "has no meaning when refine is 0")
        usual = self.best_of > 1 or self.best_of_sigma == LocalSearchConfig.best_of_sigma
        check(self, "best_of_sigma", usual, "has no meaning when best_of is 1")

    def proposals(self, where: Literal["act", "target"]) -> int:
        """How many actions are scored in a state."""
        return self.best_of * (2 if self.refines(where) else 1)

    def refines(self, where: Literal["act", "target"]) -> bool:
        """Whether proposals are refined there."""
        return self.refine > 0 and self.refine_at in (where, "both")


def candidates(
    config: LocalSearchConfig,
    where: Literal["act", "target"],
    critic: Stack,
    obs: Tensor,
    actions: Tensor,
    noise: Noise,
) -> Tensor:
    """The actor's actions (S, B, 1, A) at obs (S, B, O), and what the search adds to them: (S, B, P, A)."""
    if config.best_of > 1:
        actions = perturbed(actions, noise["candidates"], config.best_of_sigma)
    if config.refines(where):
        ends = refined(critic, obs, actions, config.refine, config.refine_step)
        actions = torch.cat([actions, ends], dim=2)
    return actions


def refined(critic: Stack, obs: Tensor, actions: Tensor, steps: int, step: float) -> Tensor:
    """The best point of an ascent on a critic from each of actions (S, B, K, A), by its values: (S, B, K, A)."""
    return maxima.climb(
        lambda points: q_values(critic.frozen, obs, points).squeeze(1), actions, steps, step, LAST_STEP * step
    )[0]


def perturbed(actions: Tensor, normal: Tensor, sigma: float) -> Tensor:
    """Actions (S, B, 1, A) and Gaussian perturbations of them within the bounds: (S, B, k, A).

    normal (S, B, k - 1, A) are N(0, 1) numbers; (S, k - 1, A) are the same ones in all states.
    """
    each = normal if normal.ndim == 4 else normal.unsqueeze(1)
    return torch.cat([actions, (actions + sigma * each).clamp(-1, 1)], dim=2)


def candidate_shapes(count: int, config: Config, spaces: Spaces, call: Call) -> dict[str, tuple[int, ...]]:
    """The noise per seed that makes an action one of `count` candidates; for a single one there is none."""
    each = (count - 1, spaces.action_dim)
    return {"candidates": (config.batch_size, *each) if call == "update" else each} if count > 1 else {}


def _relative(config: LocalSearchConfig) -> float:
    ascents = config.best_of * config.refine if config.refines("target") else 0
    return 1 + SAMPLE_COST * (config.best_of - 1) + STEP_COST * ascents


def _queries(config: LocalSearchConfig) -> int:
    return config.proposals("target")


SEARCH_COST = UpdateCost(_relative, _queries)  # of an update of td3 with this search in the target
