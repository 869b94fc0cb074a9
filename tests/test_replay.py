"""Replay: records of transitions in a ring, sampled seed by seed."""

import numpy as np
import pytest
import torch
from small_agents import CPU, rngs

from savo_bench.algos.agent import Spaces
from savo_bench.algos.catalogue import Catalogue
from savo_bench.algos.replay import Layout, Replay

SPACES = Spaces(obs_dim=2, action_dim=1)
LAYOUT = Layout(SPACES, proto_actions=2, items=0)


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
        assert torch.equal(batch.proto_actions[s, :, 0, 0], base + 3)
        assert torch.equal(batch.proto_actions[s, :, 1, 0], base + 4)
        assert torch.equal(batch.reward[s], base + 5)
        assert torch.equal(batch.terminated[s], (base % 20 == 10).float())
        assert torch.equal(batch.next_obs[s], torch.stack([base + 6, base + 7], 1))
    shapes = [tuple(field.shape) for field in batch]
    assert shapes == [(2, 50, 2), (2, 50, 1), (2, 50, 2, 1), (2, 50, 2, 1), (2, 50), (2, 50, 2), (2, 50)]


def test_a_sample_without_proto_actions_has_none():
    layout = Layout(SPACES, 0, 0)
    replay = Replay(1, 4, layout, CPU)
    ones = (np.ones((1, 2)), np.ones((1, 1)), np.ones((1, 0, 1)), np.ones((1, 0)), np.ones(1), np.ones(1))
    replay.add(layout.pack(*ones, np.ones((1, 2))))
    assert replay.sample(rngs(0), 3).proto_actions.shape == (1, 3, 0, 1)


def test_on_a_catalogue_a_record_holds_items_and_a_sample_their_vectors():
    vectors = np.arange(40, dtype=np.float32).reshape(20, 2)  # item i is (2 i, 2 i + 1)
    layout = Layout(Spaces(1, 2, Catalogue(vectors)), proto_actions=1, items=3)
    assert layout.widths == (1, 1, 2, 3, 1, 1, 1)
    replay = Replay(1, 4, layout, CPU)
    items = np.array([[7, 0, 19]])
    replay.add(
        layout.pack(np.ones((1, 1)), np.array([5]), np.array([[[8, 9]]]), items, np.ones(1), np.ones(1), items[:, :1])
    )
    batch = replay.sample(rngs(0), 1)
    assert batch.action.tolist() == [[[10, 11]]]
    assert batch.proto_actions.tolist() == [[[[8, 9]]]]
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
