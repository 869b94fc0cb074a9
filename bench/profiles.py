"""Profiles: how long a benchmark trains, how often it evaluates, and the config fields that depend on the length.

The fields of a profile are recorded in a run as all others are. In the profile paper the steps depend on the
environment. A schedule in absolute steps (the decay of the noise) keeps its share of the steps.
"""

from dataclasses import dataclass, field

from savo_bench import envs
from savo_bench.bench.errors import UserError
from savo_bench.bench.grammar import choose


@dataclass(frozen=True)
class Profile:
    """A budget. `steps` None: those of the paper, which depend on the environment."""

    name: str
    summary: str
    steps: int | None
    eval_every: int
    eval_episodes: int
    fields: dict[str, object]  # of the algorithms' configs
    fields_for: dict[str, dict[str, object]] = field(
        default_factory=dict
    )  # over `fields`; key: an environment or a tag


# Sources: paper = arXiv:2410.11833v2 and the authors' code (USC-Lira/Q3C@4a5456b); ours = chosen for the time it takes.
PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            summary="minutes on a laptop: small networks, short runs",
            steps=50_000,  # ours
            eval_every=2_500,  # ours
            eval_episodes=3,  # ours
            fields={
                "hidden": (64, 64),  # ours: several times faster than 256-256, enough for the small tasks
                "batch_size": 128,  # ours
                "lr": 1e-3,  # ours: small networks, few updates
                "warmup_steps": 1_000,  # ours
            },
        ),
        Profile(
            name="ci",
            summary="a regression test: shorter still",
            steps=8_000,  # ours
            eval_every=1_000,  # ours
            eval_episodes=5,  # ours
            fields={
                "hidden": (64, 64),  # ours
                "batch_size": 128,  # ours
                "lr": 1e-3,  # ours
                "warmup_steps": 500,  # ours
            },
        ),
        Profile(
            name="paper",
            summary="the published budgets: days to weeks on CPUs",
            steps=None,
            eval_every=10_000,  # ours
            eval_episodes=10,  # ours
            fields={
                "hidden": (256, 256),  # paper
                "batch_size": 256,  # paper
                "lr": 3e-4,  # paper
                "warmup_steps": 10_000,  # paper
            },
            fields_for={
                "recommender": {"hidden": (64, 32)},  # paper
                "restricted-walker2d": {"summary_hidden": 256},  # paper
                "restricted-half-cheetah": {"summary_hidden": 256},  # paper
                "restricted-ant": {"summary_hidden": 256},  # paper
            },
        ),
    )
}
DEFAULT = "quick"

PAPER_STEPS_BY_NAME = {
    "restricted-half-cheetah": 3_000_000,  # paper
    "restricted-ant": 3_000_000,  # paper
}
PAPER_STEPS_BY_TAG = {
    "restricted": 2_000_000,  # paper
    "adroit": 3_000_000,  # paper
    "recommender": 10_000_000,  # paper
    "discrete": 10_000_000,  # paper
    "control": 1_000_000,  # ours: the usual budget of the unrestricted tasks
}
PAPER_STEPS_ELSEWHERE = 1_000_000  # ours: environments of other packages
PAPER_NOISE_DECAY = 500_000  # paper: steps over which the exploration noise falls


def get(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UserError: there is none; names the nearest.
    """
    return PROFILES[choose(name, PROFILES, "--profile")]


def paper_steps(environment: envs.Environment) -> int:
    """Steps of the paper profile on an environment."""
    if environment.name in PAPER_STEPS_BY_NAME:
        return PAPER_STEPS_BY_NAME[environment.name]
    by_tag = [steps for tag, steps in PAPER_STEPS_BY_TAG.items() if tag in environment.tags]
    return by_tag[0] if by_tag else PAPER_STEPS_ELSEWHERE


def steps(profile: Profile, environment: envs.Environment) -> int:
    """Steps of a profile on an environment."""
    return paper_steps(environment) if profile.steps is None else profile.steps


def config_fields(profile: Profile, environment: envs.Environment, steps: int) -> dict[str, object]:
    """What a profile sets in an algorithm's config for a run of so many steps on an environment.

    Raises:
        UserError: steps is below 1.
    """
    if steps < 1:
        raise UserError(f"--steps {steps}: must be at least 1")
    fields = dict(profile.fields)
    for key, extra in profile.fields_for.items():
        if key == environment.name or key in environment.tags:
            fields |= extra
    decay = round(PAPER_NOISE_DECAY * steps / paper_steps(environment))
    return fields | {"noise_decay_steps": max(1, decay)}  # 0 would mean no decay at all
