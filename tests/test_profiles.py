"""Budgets, and what they set in configs."""

from typing import Any

import pytest
from small_cells import cells, one

from savo_bench import algos, envs
from savo_bench.bench import profiles


def test_every_profile_has_the_same_fields():
    assert len({tuple(profile.fields) for profile in profiles.PROFILES.values()}) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("quick", (50_000, 2_500, 3, (64, 64), 128, 1e-3, 1_000)),
        ("ci", (8_000, 1_000, 5, (64, 64), 128, 1e-3, 500)),
        ("paper", (2_000_000, 10_000, 50, (256, 256), 256, 3e-4, 10_000)),
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


# environment → hidden, actor_hidden, buffer_size, warmup_steps, epsilon, noise_decay_steps, noise_sigma, noise_final,
# summary_size, episodes of an evaluation
PUBLISHED = {
    "restricted-hopper": ((256, 256), (), 500_000, 10_000, 0.0, 500_000, 0.2, 0.01, 16, 50),
    "adroit-pen": ((256, 256), (), 500_000, 10_000, 0.0, 500_000, 0.2, 0.01, 16, 50),
    "recsim": ((64, 32), (64, 32, 32, 16), 1_000_000, 0, 0.5, 10_000_000, 0.1, 0.02, 32, 64),
    "recsim-data": ((64, 32), (64, 32, 32, 16), 1_000_000, 0, 0.5, 2_000_000, 0.2, 0.0, 32, 64),
    "mineworld": ((128, 128), (128, 64, 64, 32), 500_000, 0, 0.0, 5_000_000, 0.2, 0.01, 16, 80),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_values_depend_on_the_environment(name: str):
    profile, environment = profiles.get("paper"), envs.get(name)
    fields = profiles.config_fields(profile, environment, profiles.steps(profile, environment))
    made = algos.get("savo").config(**fields)
    found = (made.hidden, made.actor_hidden, made.buffer_size, made.warmup_steps, made.epsilon, made.noise_decay_steps)
    found += (made.noise_sigma, made.noise_final, made.summary_size, profiles.eval_episodes(profile, environment))
    assert found == PUBLISHED[name]


def test_a_shorter_run_keeps_the_share_of_the_published_decay():
    config: Any = one(envs="mineworld", profile="paper", steps=1_000).config
    assert config.noise_decay_steps == 500
    quick: Any = one(envs="mineworld", profile="quick").config
    assert quick.noise_decay_steps == 2_500  # of 50 000: only the profile paper has other shares than MuJoCo's


def test_a_methods_own_constants_win_over_the_published_widths_and_random_items():
    config: Any = one(algos="td3:preset=published", envs="recsim", profile="paper").config
    assert (config.hidden, config.actor_hidden, config.epsilon, config.warmup_steps) == ((256, 256), (), 0.0, 25_000)


def test_the_options_win_over_the_profiles_episodes():
    assert one(envs="mineworld", profile="paper", eval_episodes=2).budget.eval_episodes == 2
    assert one(envs="mineworld", profile="paper").budget.eval_episodes == 80
    assert one(envs="mineworld", profile="quick").budget.eval_episodes == 3
