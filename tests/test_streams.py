"""The random streams of a seed, and the noise that is drawn from them."""

import pytest
import torch
from small_agents import CPU, rngs

from savo_bench.algos.streams import PURPOSES, Streams, evaluation_stream, standard_normal


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


def test_streams_go_on_from_their_state():
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
