"""The random streams of a seed, the noise that is drawn from them, and exploration noise with its schedule."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from small_agents import CPU, rngs

from savo_bench.algos.config import NoiseConfig
from savo_bench.algos.noise import PURPOSES, ExplorationNoise, Streams, evaluation_stream, standard_normal


def first_numbers(streams: Streams) -> dict[str, float]:
    names = ("init", "explore", "replay", "update", "environment")
    return {name: getattr(streams, name).random() for name in names}


def test_the_same_seed_gives_the_same_streams():
    assert first_numbers(Streams(3)) == first_numbers(Streams(3))


def test_no_two_purposes_of_any_two_seeds_share_a_stream():
    numbers = [number for seed in range(20) for number in first_numbers(Streams(seed)).values()]
    numbers += [evaluation_stream(seed, step).random() for seed in range(20) for step in range(5)]
    assert len(set(numbers)) == len(numbers) == 20 * (len(PURPOSES) - 1) + 100


def test_one_stream_does_not_move_another():
    used, fresh = Streams(3), Streams(3)
    used.explore.random(1000)
    expected = first_numbers(fresh)
    assert {name: number for name, number in first_numbers(used).items() if name != "explore"} == {
        name: number for name, number in expected.items() if name != "explore"
    }


def test_streams_resume_from_their_state():
    streams, other = Streams(3), Streams(4)
    first_numbers(streams)
    other.load_state(streams.state())
    for name in ("explore", "replay", "update"):
        assert getattr(streams, name).random(5).tolist() == getattr(other, name).random(5).tolist()
    assert streams.init.random() != other.init.random()


def test_an_evaluation_stream_is_a_function_of_seed_and_step():
    numbers = evaluation_stream(3, 100).random(4).tolist()
    first_numbers(Streams(3))
    assert evaluation_stream(3, 100).random(4).tolist() == numbers
    assert evaluation_stream(3, 101).random(4).tolist() != numbers
    assert evaluation_stream(4, 100).random(4).tolist() != numbers


def test_update_noise_is_drawn_per_seed_and_stacked():
    shapes = {"smoothing": (3, 2), "other": (4,)}
    pack, alone = standard_normal(rngs(1, 5), shapes, CPU), standard_normal(rngs(5), shapes, CPU)
    assert {name: tuple(value.shape) for name, value in pack.items()} == {"smoothing": (2, 3, 2), "other": (2, 4)}
    assert all(torch.equal(pack[name][1:], alone[name]) for name in shapes)
    assert not torch.equal(pack["other"][0], pack["other"][1])
    assert pack["smoothing"].dtype == torch.float32


def test_update_noise_is_standard_normal():
    drawn = standard_normal(rngs(0), {"x": (10_000,)}, CPU)["x"]
    assert drawn.mean().item() == pytest.approx(0, abs=0.05)
    assert drawn.std().item() == pytest.approx(1, abs=0.05)


class Ones:
    """A generator whose every normal number is 1."""

    def standard_normal(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        return np.ones(shape, dtype)


def noise(
    kind: Literal["ou", "gaussian"], shape: tuple[int, ...] = (1, 1), seeds: int = 1, **values: float | str
) -> ExplorationNoise:
    fields: dict[str, Any] = {"sigma": 2.0, "theta": 0.25, "final": 0.5, "decay_steps": 0} | values
    config = NoiseConfig(noise=kind, **{f"noise_{name}": value for name, value in fields.items()})
    return ExplorationNoise(config, shape, seeds)


def draws(process: ExplorationNoise, steps: range) -> list[float]:
    return [process.sample([Ones()], step).item() for step in steps]  # type: ignore[list-item]


def test_ornstein_uhlenbeck_noise_falls_back_by_theta_and_moves_by_sigma():
    assert draws(noise("ou"), range(3)) == [2, 0.75 * 2 + 2, 0.75 * 3.5 + 2]
    assert draws(noise("ou", theta=1.0), range(3)) == [2, 2, 2]
    assert draws(noise("ou", sigma=1.0, theta=0.0), range(3)) == [1, 2, 3]


def test_gaussian_noise_has_no_memory():
    assert draws(noise("gaussian"), range(3)) == [2, 2, 2]


def test_the_scale_falls_linearly_to_its_final_value_and_stays():
    process = noise("gaussian", decay_steps=4)
    assert [process.scale(step) for step in range(6)] == [1, 0.875, 0.75, 0.625, 0.5, 0.5]
    assert draws(process, range(3)) == [2, 1.75, 1.5]
    assert noise("gaussian", decay_steps=4, final=0.0).scale(4) == 0


def test_without_a_decay_the_scale_stays():
    assert noise("ou", decay_steps=0).scale(10**9) == 1


def test_the_schedule_scales_the_increments():
    assert draws(noise("ou", decay_steps=4), range(3)) == [2, 2 + 0.875 * (2 - 0.5), 3.3125 + 0.75 * (2 - 0.828125)]


@pytest.mark.parametrize("c", [1.0, 0.5, 0.1, 0.05, 0.01])
def test_the_spread_of_the_noise_is_the_closed_form_of_its_scale(c: float):
    """A process whose increments are scaled by c has the variance c² σ² / (1 - (1 - c θ)²)."""
    process = noise("ou", (20_000, 1), sigma=0.2, theta=0.15, final=c, decay_steps=1)
    process.state[:] = 0.3  # what it was before is forgotten
    stream = rngs(0)
    steps = round(6 / (c * 0.15))
    sample = [process.sample(stream, step) for step in range(1, steps)][-1]
    expected = c * 0.2 / (1 - (1 - c * 0.15) ** 2) ** 0.5
    assert sample.std() == pytest.approx(expected, rel=0.02)
    assert expected == pytest.approx(0.2 * (c / (2 * 0.15 - c * 0.15**2)) ** 0.5)


def test_at_the_end_of_the_published_schedule_the_noise_is_a_tenth():
    """.0365, where a scaled output gives .0038 (code: USC-Lira/Q3C@4a5456b)."""
    spreads = []
    for decay in ("increments", "output"):
        process = noise("ou", (4_000, 1), sigma=0.2, theta=0.15, final=0.01, decay_steps=1, decay=decay)
        stream = rngs(0)
        spreads.append([process.sample(stream, step) for step in range(1, 2_500)][-1].std())
    assert spreads == pytest.approx([0.0365, 0.0038], rel=0.03)


def test_a_process_can_begin_anew_with_each_episode_of_its_seed():
    stream = [Ones(), Ones()]
    kept, reset = noise("ou", seeds=2), noise("ou", seeds=2, reset=True)
    for process in (kept, reset):
        process.sample(stream, 0, [True, True])  # type: ignore[arg-type]
    assert kept.sample(stream, 1, [True, False]).flatten().tolist() == [3.5, 3.5]  # type: ignore[arg-type]
    assert reset.sample(stream, 1, [True, False]).flatten().tolist() == [2, 3.5]  # type: ignore[arg-type]


def test_the_schedule_can_scale_the_output_instead():
    scaled, plain = noise("ou", decay_steps=4, decay="output"), noise("ou")
    assert draws(scaled, range(6)) == [
        a * b for a, b in zip(draws(plain, range(6)), (1, 0.875, 0.75, 0.625, 0.5, 0.5), strict=True)
    ]
    assert np.array_equal(scaled.state, plain.state)


def test_noise_differs_by_seed_actor_and_dimension_and_is_the_same_alone_and_in_any_pack():
    pack, alone = noise("ou", (3, 2), seeds=2), noise("ou", (3, 2))
    streams, stream = rngs(4, 7), rngs(7)
    for step in range(3):
        together = pack.sample(streams, step)
        assert np.array_equal(together[1], alone.sample(stream, step)[0])
        assert together.dtype == np.float32
        assert len(np.unique(together)) == 12


def test_a_sample_is_not_overwritten_by_the_next():
    process = noise("ou")
    first = process.sample([Ones()], 0)  # type: ignore[list-item]
    process.sample([Ones()], 1)  # type: ignore[list-item]
    assert first.item() == 2


@pytest.mark.parametrize("kind", ["ou", "gaussian"])
def test_noise_has_the_spread_of_its_process(kind: Literal["ou", "gaussian"]):
    process = noise(kind, (1000, 1), sigma=0.2, theta=0.15)
    stream = rngs(0)
    sample = [process.sample(stream, step) for step in range(60)][-1]  # long enough to forget its start
    expected = 0.2 if kind == "gaussian" else 0.2 / (1 - 0.85**2) ** 0.5
    assert sample.std() == pytest.approx(expected, rel=0.1)
