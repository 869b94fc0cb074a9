"""What the algorithms' configs share: one base for a fair comparison, and the checks of their values.

A config is a frozen dataclass. It has three levels:

    Config       the fields of every algorithm
    a part       the fields of one thing that some algorithms have, as exploration noise or an actor network
    SAVOConfig   an algorithm: the parts that it has, and its own fields and presets

So a field exists exactly where it changes something. The default values are those of the fair comparison, which is the
SAVO authors' own. `preset=published` gives a method's own constants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from savo_bench.algos.agent import Spaces
from savo_bench.algos.catalogue import why_not_inverted


@dataclass(frozen=True, kw_only=True)
class Config:
    """The fields of every algorithm."""

    preset: Literal["fair", "published"] = "fair"  # ours: a named set of the values below
    hidden: tuple[int, ...] = (256, 256)  # paper: arXiv:1802.09477v3; widths of all networks
    lr: float = 3e-4  # code: USC-Lira/Q3C@4a5456b; Adam, every network
    batch_size: int = 256  # code: USC-Lira/Q3C@4a5456b; transitions of an update
    buffer_size: int = 500_000  # code: USC-Lira/Q3C@4a5456b; transitions that the replay buffer keeps
    warmup_steps: int = 10_000  # code: USC-Lira/Q3C@4a5456b; uniformly random actions, no update
    gamma: float = 0.99  # paper: arXiv:1802.09477v3; discount of the next step's value
    tau: float = 0.005  # paper: arXiv:1802.09477v3; how far targets move to their networks at an update
    policy_delay: int = 2  # paper: arXiv:1802.09477v3; critic updates per update of the actors and the targets
    replay_ratio: int = 1  # paper: arXiv:2410.11833v2; updates per environment step
    reset_every: int = 0  # ours: none; environment steps after which all networks begin anew (arXiv:2205.07802v1)
    init: Literal["torch", "code"] = "torch"  # ours: torch.nn's; code: orthogonal hidden layers without bias
    max_grad_norm: float = 1.0  # code: USC-Lira/Q3C@4a5456b; L2 norm per network and seed; 0: no clipping
    search: Literal["exact", "ivf"] = "exact"  # ours: how nearest items of a catalogue are found; ivf is approximate
    probes: int = 32  # ours: cells that ivf searches; at 500 000 items a fifth of the time of exact

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"fair": {}, "published": {}}

    def __post_init__(self) -> None:
        """Raise a ValueError for values that cannot work: with the field, its value and what is allowed."""
        for name, value in vars(self).items():
            check(self, name, not isinstance(value, float) or math.isfinite(value), "must be finite")
        one_of(self, "preset", *self.PRESETS)
        check(self, "hidden", len(self.hidden) > 0 and min(self.hidden) > 0, "must be widths above 0, as 64-64")
        positive(self, "lr", "batch_size", "buffer_size", "policy_delay", "replay_ratio", "probes")
        one_of(self, "init", "torch", "code")
        one_of(self, "search", "exact", "ivf")
        usual = self.search == "ivf" or self.probes == Config.probes
        check(self, "probes", usual, "has no meaning when search is exact")
        not_negative(self, "warmup_steps", "reset_every", "max_grad_norm")
        within_unit(self, "gamma")
        check(self, "tau", 0 < self.tau <= 1, "must lie in (0, 1]")

    def check_spaces(self, spaces: Spaces) -> None:
        """Raise a ValueError for a task that these values cannot fit: with the field, its value and what is allowed."""
        lacks = why_not_inverted(spaces.catalogue) if self.search == "ivf" else None
        check(self, "search", lacks is None, f"{lacks}")


@dataclass(frozen=True, kw_only=True)
class NoiseConfig(Config):
    """Exploration noise, for algorithms whose actions are deterministic."""

    noise: Literal["ou", "gaussian"] = "ou"  # code: USC-Lira/Q3C@4a5456b; Ornstein-Uhlenbeck, or drawn anew each step
    noise_sigma: float = 0.2  # code: USC-Lira/Q3C@4a5456b; in units of the maximal action
    noise_theta: float = 0.15  # code: USC-Lira/Q3C@4a5456b; pull of the Ornstein-Uhlenbeck process to 0
    noise_decay: Literal["increments", "output"] = "increments"  # code: USC-Lira/Q3C@4a5456b; what the decay scales
    noise_final: float = 0.01  # code: USC-Lira/Q3C@4a5456b; the scale after the decay
    noise_decay_steps: int = 500_000  # code: USC-Lira/Q3C@4a5456b; 0: no decay
    noise_reset: bool = False  # ours: the code begins the process anew in each episode, its caller is not published
    epsilon: float = 0.0  # ours: none; at first the share of steps with a random action; it falls as the noise's scale

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        one_of(self, "noise", "ou", "gaussian")
        one_of(self, "noise_decay", "increments", "output")
        if self.noise == "gaussian":  # it has no memory: what scales it and when it begins makes no difference
            check(self, "noise_decay", self.noise_decay == "increments", "has no meaning when noise is gaussian")
            check(self, "noise_reset", not self.noise_reset, "has no meaning when noise is gaussian")
        not_negative(self, "noise_sigma", "noise_decay_steps")
        within_unit(self, "noise_theta", "noise_final", "epsilon")


@dataclass(frozen=True, kw_only=True)
class CompetitionConfig(Config):
    """Several actors, the best of whose proposals is executed."""

    argmax: Literal["both", "act", "target"] = "both"  # paper: both; elsewhere the first actor's proposal is taken
    evaluate: Literal["best", "first"] = "best"  # paper: the best; "first": what the first actor alone is worth

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        one_of(self, "argmax", "both", "act", "target")
        one_of(self, "evaluate", "best", "first")
        if self.argmax == "target":
            check(self, "evaluate", self.evaluate == "best", "has no meaning when argmax is target")


@dataclass(frozen=True, kw_only=True)
class ProposalNoiseConfig(Config):
    """On which proposals of several deterministic actors the exploration noise is added."""

    explore: Literal["proposals", "chosen"] = "proposals"  # code: on each before the choice; ours: on the chosen one
    quiet_first: bool = False  # ours: whether the first actor's proposal stays without noise

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        one_of(self, "explore", "proposals", "chosen")
        if self.explore == "chosen":
            check(self, "quiet_first", not self.quiet_first, "has no meaning when explore is chosen")

    def check_spaces(self, spaces: Spaces) -> None:
        """Refuse noise on the chosen proposal where that is an item.

        Raises:
            ValueError: with the field, its value and what is allowed.
        """
        super().check_spaces(spaces)
        possible = self.explore == "proposals" or spaces.catalogue is None
        check(self, "explore", possible, "must be proposals on a catalogue")


@dataclass(frozen=True, kw_only=True)
class ActorConfig(Config):
    """An actor network."""

    actor_norm: bool = True  # code: USC-Lira/Q3C@4a5456b; layer normalisation before the output layer
    # ours: with the code's 1e-3 all actors begin close to 0 and find the same peak, see docs/algorithms.md
    output_gain: float = 1.0  # of the output layer's initial weight; its bias is not scaled
    actor_hidden: tuple[int, ...] = ()  # ours: as in the fair comparison; widths of actors, none: those of `hidden`

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        not_negative(self, "output_gain")
        check(self, "actor_hidden", all(width > 0 for width in self.actor_hidden), "must be widths above 0, as 64-64")

    @property
    def actor_widths(self) -> tuple[int, ...]:
        """The widths of the hidden layers of every actor network."""
        return self.actor_hidden or self.hidden


@dataclass(frozen=True, kw_only=True)
class SmoothingConfig(Config):
    """Target smoothing: clipped noise on the target's action."""

    target_noise: float = 0.0  # ours: none for all algorithms alike; TD3's published 0.2; 0: no smoothing
    noise_clip: float = 0.5  # paper: arXiv:1802.09477v3; most of that noise, in units of the maximal action

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        not_negative(self, "target_noise", "noise_clip")


@dataclass(frozen=True, kw_only=True)
class ArgmaxConfig(Config):
    """Which critic selects the best of several proposals in the Bellman target; to act it is the online Q_1."""

    target_argmax: Literal["online", "target"] = "online"  # code: USC-Lira/Q3C@4a5456b; whose Q_1 selects

    def __post_init__(self) -> None:
        """Check the fields, see `Config`."""
        super().__post_init__()
        one_of(self, "target_argmax", "online", "target")


def check(config: Config, name: str, holds: bool, demand: str) -> None:
    """Raise a ValueError with a field, its value and what is demanded of it, unless the demand `holds`."""
    if not holds:
        raise ValueError(f"{name}={getattr(config, name)}: {demand}")


def positive(config: Config, *names: str) -> None:
    """Check that fields are above 0."""
    for name in names:
        check(config, name, getattr(config, name) > 0, "must be above 0")


def not_negative(config: Config, *names: str) -> None:
    """Check that fields are 0 or above."""
    for name in names:
        check(config, name, getattr(config, name) >= 0, "must be 0 or above")


def within_unit(config: Config, *names: str) -> None:
    """Check that fields lie in [0, 1]."""
    for name in names:
        check(config, name, 0 <= getattr(config, name) <= 1, "must lie in [0, 1]")


def one_of(config: Config, name: str, *allowed: str) -> None:
    """Check that a field is one of some words."""
    check(config, name, getattr(config, name) in allowed, f"must be one of {', '.join(allowed)}")
