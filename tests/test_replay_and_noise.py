"""What the training loop feeds an agent: replayed transitions, exploration noise, and the random streams of a seed."""

import numpy as np
import pytest
import torch
from small_agents import CPU

from savo_bench.algos.agent import Spaces
from savo_bench.algos.catalogue import Catalogue
from savo_bench.algos.noise import ExplorationNoise
from savo_bench.algos.replay import Layout, Replay
from savo_bench.algos.streams import PURPOSES, Streams, evaluation_stream, standard_normal

SPACES = Spaces(obs_dim=2, action_dim=1)
LAYOUT = Layout(SPACES, protos=2, items=0)


def rngs(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def record(number: int, seeds: int = 2) -> np.ndarray:
    """Transition `number` of every seed s: its fields are 1000 s + 10 number + a digit for the place."""
    base = 1000.0 * np.arange(seeds) + 10 * number
    return LAYOUT.pack(
        np.stack([base, base + 1], 1),
        base[:, None] + 2,
        np.stack([base[:, None] + 3, base[:, None] + 4], 1),
        np.zeros((seeds, 0)),
        base + 5,
        np.full(seeds, number % 2 == 1),
        np.stack([base + 6, base + 7], 1),
    )


def filled(transitions: int, capacity: int = 4) -> Replay:
    replay = Replay(2, capacity, LAYOUT, CPU)
    for number in range(transitions):
        replay.add(record(number))
    return replay


def numbers(rows: np.ndarray, seed: int = 0) -> list[int]:
    """Which transitions some records hold."""
    return ((rows[:, 0] - 1000 * seed) / 10).astype(int).tolist()


# ---- replay


def test_a_record_packs_every_field_at_its_width():
    assert record(3).tolist() == [
        [30, 31, 32, 33, 34, 35, 1, 36, 37],
        [1030, 1031, 1032, 1033, 1034, 1035, 1, 1036, 1037],
    ]
    assert record(3).dtype == np.float32
    assert LAYOUT.width == 9
    assert Layout(SPACES, 0, 0).width == 7


def test_a_sample_has_each_field_in_its_place():
    batch = filled(3).sample(rngs(0, 1), 50)
    for s in range(2):
        base = batch.obs[s, :, 0]
        assert set(base.tolist()) == {1000 * s, 1000 * s + 10, 1000 * s + 20}  # its own seed's, every one of them
        assert torch.equal(batch.obs[s, :, 1], base + 1)
        assert torch.equal(batch.action[s, :, 0], base + 2)
        assert torch.equal(batch.protos[s, :, 0, 0], base + 3)
        assert torch.equal(batch.protos[s, :, 1, 0], base + 4)
        assert torch.equal(batch.reward[s], base + 5)
        assert torch.equal(batch.terminated[s], (base % 20 == 10).float())
        assert torch.equal(batch.next_obs[s], torch.stack([base + 6, base + 7], 1))
    shapes = [tuple(field.shape) for field in batch]
    assert shapes == [(2, 50, 2), (2, 50, 1), (2, 50, 2, 1), (2, 50, 2, 1), (2, 50), (2, 50, 2), (2, 50)]


def test_a_sample_without_protos_has_none():
    layout = Layout(SPACES, 0, 0)
    replay = Replay(1, 4, layout, CPU)
    ones = (np.ones((1, 2)), np.ones((1, 1)), np.ones((1, 0, 1)), np.ones((1, 0)), np.ones(1), np.ones(1))
    replay.add(layout.pack(*ones, np.ones((1, 2))))
    assert replay.sample(rngs(0), 3).protos.shape == (1, 3, 0, 1)


def test_on_a_catalogue_a_record_holds_items_and_a_sample_their_vectors():
    vectors = np.arange(40, dtype=np.float32).reshape(20, 2)  # item i is (2 i, 2 i + 1)
    layout = Layout(Spaces(1, 2, Catalogue(vectors)), protos=1, items=3)
    assert layout.widths == (1, 1, 2, 3, 1, 1, 1)
    replay = Replay(1, 4, layout, CPU)
    items = np.array([[7, 0, 19]])
    replay.add(
        layout.pack(np.ones((1, 1)), np.array([5]), np.array([[[8, 9]]]), items, np.ones(1), np.ones(1), items[:, :1])
    )
    batch = replay.sample(rngs(0), 1)
    assert batch.action.tolist() == [[[10, 11]]]
    assert batch.protos.tolist() == [[[[8, 9]]]]
    assert batch.proposals.tolist() == [[[[14, 15], [0, 1], [38, 39]]]]


def test_the_ring_keeps_the_last_capacity_transitions():
    replay = filled(3)
    assert (len(replay), replay.added) == (3, 3)
    replay = filled(10)
    assert (len(replay), replay.added) == (4, 10)
    batch = replay.sample(rngs(0, 1), 100)
    assert set(batch.obs[0, :, 0].tolist()) == {60, 70, 80, 90}
    assert set(batch.obs[1, :, 0].tolist()) == {1060, 1070, 1080, 1090}


def test_samples_are_uniform_over_what_is_held():
    drawn = filled(3).sample(rngs(0, 1), 6000).obs[0, :, 0]
    for held in (0, 10, 20):
        assert (drawn == held).float().mean() == pytest.approx(1 / 3, abs=0.03)


def test_a_seed_samples_from_its_own_stream_alone_and_in_any_pack():
    replay, alone = filled(4), Replay(1, 4, LAYOUT, CPU)
    for number in range(4):
        alone.add(record(number)[1:])
    pair, single = replay.sample(rngs(8, 5), 20), alone.sample(rngs(5), 20)
    assert all(torch.equal(field[1:], other) for field, other in zip(pair, single, strict=True))
    assert not torch.equal(pair.obs[0] + 1000, pair.obs[1])


def test_rows_are_oldest_first_from_the_transition_asked_for():
    replay = filled(6)
    assert numbers(replay.rows(0, 2)) == [2, 3, 4, 5]
    assert numbers(replay.rows(1, 5), seed=1) == [5]
    assert replay.rows(0, 6).shape == (0, 9)


def test_rows_that_the_ring_has_lost_are_refused():
    with pytest.raises(ValueError, match=r"start=1: the ring holds only the last 4 of 6 transitions"):
        filled(6).rows(0, 1)


@pytest.mark.parametrize("transitions", [0, 3, 4, 6])
def test_rows_loaded_into_a_fresh_ring_go_on_as_the_old_one(transitions: int):
    old, new = filled(transitions), Replay(2, 4, LAYOUT, CPU)
    for seed in range(2):
        new.load_rows(seed, old.rows(seed, max(0, transitions - 4)), transitions)
    for number in range(transitions, transitions + 3):
        old.add(record(number))
        new.add(record(number))
        one, other = old.sample(rngs(0, 1), 30), new.sample(rngs(0, 1), 30)
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert (len(new), new.added) == (len(old), old.added)


# ---- exploration noise


class Ones:
    """A generator whose every normal number is 1."""

    def standard_normal(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        return np.ones(shape, dtype)


def noise(kind: str, shape: tuple[int, ...] = (1, 1), seeds: int = 1, **values: float) -> ExplorationNoise:
    fields = {"sigma": 2.0, "theta": 0.25, "final": 0.5, "decay_steps": 0} | values
    return ExplorationNoise(kind, shape, seeds=seeds, **fields)  # type: ignore[arg-type]


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


def test_the_schedule_scales_what_is_added_and_not_the_process():
    scaled, plain = noise("ou", decay_steps=4), noise("ou")
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
def test_noise_has_the_spread_of_its_process(kind: str):
    process = noise(kind, (1000, 1), sigma=0.2, theta=0.15)
    stream = rngs(0)
    sample = [process.sample(stream, step) for step in range(60)][-1]  # long enough to forget its start
    expected = 0.2 if kind == "gaussian" else 0.2 / (1 - 0.85**2) ** 0.5
    assert sample.std() == pytest.approx(expected, rel=0.1)


# ---- streams


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
