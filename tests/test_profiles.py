"""Budgets, and what they set in configs."""

from typing import Any

import pytest
from small_cells import cells, one

from savo_bench.bench import profiles


def test_every_profile_has_the_same_fields():
    assert len({tuple(profile.fields) for profile in profiles.PROFILES.values()}) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("quick", (50_000, 2_500, 3, (64, 64), 128, 1e-3, 1_000)),
        ("ci", (8_000, 1_000, 5, (64, 64), 128, 1e-3, 500)),
        ("paper", (2_000_000, 10_000, 10, (256, 256), 256, 3e-4, 10_000)),
    ],
)
def test_profiles_are_those_of_the_documentation(name, expected):
    cell = one(profile=name)
    budget = cell.budget
    config: Any = cell.config
    assert (budget.steps, budget.eval_every, budget.eval_episodes) == expected[:3]
    assert (config.hidden, config.batch_size, config.lr, config.warmup_steps) == expected[3:]
    assert cell.overrides == {}


def test_paper_steps_depend_on_the_environment():
    found = {cell.environment: cell.budget.steps for cell in cells(envs="restricted,control", profile="paper")}
    assert found["hopper"] == found["ant"] == 1_000_000
    assert found["restricted-walker2d"] == 2_000_000
    assert found["restricted-half-cheetah"] == found["restricted-ant"] == 3_000_000


def test_the_noise_decays_over_the_same_share_of_every_budget():
    def decay(**given) -> int:
        config: Any = one(**given).config
        return config.noise_decay_steps

    assert decay(profile="paper") == 500_000
    assert decay(profile="quick") == 12_500
    assert decay(profile="quick", steps=8_000) == 2_000
    assert decay(profile="quick", envs="hopper") == 25_000
    assert decay(profile="quick", steps=1) == 1  # 0 would mean none
