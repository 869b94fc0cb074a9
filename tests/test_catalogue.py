"""The search among the items of a catalogue."""

import importlib.util

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import tensor

from savo_bench import algos
from savo_bench.algos import catalogue
from savo_bench.algos.actor_critic import snap
from savo_bench.algos.agent import Spaces
from savo_bench.algos.catalogue import BLOCK, BLOCKS_FROM, CELLS, CHUNK, INVERTED_FROM, Catalogue, InvertedFile


def strewn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("chunk", [7, 10, 1000])  # of 100 items: the last one shorter, all alike, a single one
@pytest.mark.parametrize("count", [1, 2, 9, 100])
def test_the_nearest_are_those_of_the_distances_in_float64_in_their_order(monkeypatch, chunk: int, count: int):
    monkeypatch.setattr(catalogue, "CHUNK", chunk)
    rng = np.random.default_rng(0)
    items, points = strewn(rng, 100, 5), strewn(rng, 2, 3, 4, 5)
    found = Catalogue(items).nearest(torch.from_numpy(points), count)
    distances = cdist(points.reshape(-1, 5).astype(float), items.astype(float))
    assert np.array_equal(found.reshape(-1, count), distances.argsort(axis=1)[:, :count])
    assert found.shape == (2, 3, 4, count)


@pytest.mark.parametrize("count", [1, 6, 60])
@pytest.mark.parametrize("size", [CHUNK + 1, BLOCKS_FROM, BLOCKS_FROM + BLOCK // 2, 2 * BLOCKS_FROM + CHUNK + 1])
def test_among_many_they_are_those_of_the_distances_in_float64(size: int, count: int):
    rng = np.random.default_rng(0)
    items, points = strewn(rng, size, 5), strewn(rng, 2, 3, 4, 5)
    found = Catalogue(items).nearest(torch.from_numpy(points), count).reshape(-1, count).numpy()
    distances = cdist(points.reshape(-1, 5).astype(float), items.astype(float))  # some are equal in float32
    nearest = np.sort(distances, axis=1)[:, :count]
    np.testing.assert_allclose(np.take_along_axis(distances, found, axis=1), nearest, atol=1e-6)
    assert all(len(set(row)) == count for row in found.tolist())


@pytest.mark.parametrize("size", [BLOCKS_FROM, BLOCKS_FROM + 3])
def test_an_item_at_the_end_of_a_large_catalogue_is_found(size: int):
    items = Catalogue(strewn(np.random.default_rng(0), size, 5))
    assert items.nearest(items.vectors[None, -3:], 1).flatten().tolist() == [size - 3, size - 2, size - 1]
    assert items.nearest(items.vectors[None, -3:], 9).max() < size  # also where the last block is a short one


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("size", [CHUNK + 1, BLOCKS_FROM + 1])
def test_a_seed_finds_the_same_items_in_any_pack(size: int, count: int):
    rng = np.random.default_rng(0)
    items, points = Catalogue(strewn(rng, size, 35)), torch.from_numpy(strewn(rng, 5, 64, 35))
    together = items.nearest(points, count)
    for seed in range(5):
        assert torch.equal(items.nearest(points[seed : seed + 1], count)[0], together[seed])


def test_many_neighbours_are_put_in_order_a_few_queries_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    items, points = Catalogue(strewn(rng, BLOCKS_FROM, 5)), torch.from_numpy(strewn(rng, 1, 9, 5))
    at_once = items.nearest(points, 4)
    monkeypatch.setattr(catalogue, "GATHERED", 2 * 4 * BLOCK * 5)  # two queries
    assert torch.equal(items.nearest(points, 4), at_once)


def test_an_item_is_its_own_nearest_and_the_index_is_that_of_the_catalogue():
    items = Catalogue(np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]], dtype=np.float32))
    points = tensor([[[0.0, -0.5], [-0.5, 0.0]], [[0.4, 0.1], [0.1, 0.4]]])  # 2 seeds, 2 points
    found = items.nearest(points, 1)
    assert found.tolist() == [[[3], [1]], [[0], [2]]]
    assert items[found].squeeze(2).tolist() == [[[0, -0.5], [-0.5, 0]], [[0.5, 0], [0, 0.5]]]


def test_points_beyond_the_box_are_compared_as_they_are():
    items = Catalogue(np.array([[1, 1], [1, -0.25]], dtype=np.float32))
    assert items.nearest(tensor([[[9.0, 0.25]]]), 1).item() == 1


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="count=5: the catalogue has only 4 items"):
        Catalogue(np.zeros((4, 2), dtype=np.float32)).nearest(torch.zeros(1, 1, 2), 5)


@pytest.fixture(scope="module")
def strewn_items() -> np.ndarray:
    pytest.importorskip("faiss")
    return strewn(np.random.default_rng(0), INVERTED_FROM, 8)


def inverted(items: np.ndarray, probes: int) -> InvertedFile:
    made = InvertedFile(items, probes)
    assert made.cells == CELLS * int(len(items) ** 0.5)
    return made


@pytest.mark.parametrize("count", [1, 6])
def test_an_inverted_file_that_searches_all_its_cells_is_exact(strewn_items, count: int):
    points = torch.from_numpy(strewn(np.random.default_rng(1), 2, 3, 4, 8))
    exact, approximate = Catalogue(strewn_items), inverted(strewn_items, 10_000)
    assert torch.equal(approximate.nearest(points, count), exact.nearest(points, count))
    assert approximate.recall(points, approximate.nearest(points, count)).tolist() == [1, 1]


@pytest.mark.parametrize("count", [1, 6])
def test_the_recall_is_the_share_of_the_true_neighbours_per_seed(strewn_items, count: int):
    points = torch.from_numpy(strewn(np.random.default_rng(1), 2, 50, 8))
    points[1] = torch.from_numpy(strewn_items[:50]) + 0.01  # close to items, which are easier to find
    recalls = []
    for probes in (1, 8, 64):
        approximate = inverted(strewn_items, probes)
        found, true = (each.nearest(points, count) for each in (approximate, Catalogue(strewn_items)))
        recall = approximate.recall(points, found)
        assert recall.tolist() == pytest.approx(
            [
                np.mean([len(set(a) & set(b)) / count for a, b in zip(*seed, strict=True)])
                for seed in zip(found.tolist(), true.tolist(), strict=True)
            ]
        )
        recalls.append(recall.tolist())
    assert recalls[0][0] < min(0.7, recalls[0][1])
    assert recalls[0][0] < recalls[1][0] < recalls[2][0]


def test_every_inverted_file_of_the_same_items_finds_the_same_in_any_pack(strewn_items):
    points = torch.from_numpy(strewn(np.random.default_rng(1), 5, 64, 8))
    one, other = inverted(strewn_items, 2), inverted(strewn_items, 2)
    together = one.nearest(points, 3)
    for seed in range(5):
        assert torch.equal(other.nearest(points[seed : seed + 1], 3)[0], together[seed])


def test_building_and_searching_leave_torchs_threads_alone(strewn_items):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        inverted(strewn_items, 1).nearest(torch.zeros(1, 3, 8), 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_point_that_is_not_finite_gets_items_that_there_are(strewn_items):
    """The training loop fails a seed with such a network, and until then nothing may crash."""
    points = torch.full((1, 3, 8), torch.nan)
    points[0, 1] = torch.inf
    points[0, 2] = 0.25
    found = inverted(strewn_items, 4).nearest(points, 3)
    assert found.min() >= 0
    assert found.max() < len(strewn_items)


@pytest.mark.parametrize("name", ["td3", "savo", "wolpertinger"])
def test_without_faiss_the_line_says_what_to_install(monkeypatch, name: str):
    spaces = Spaces(1, 2, Catalogue(np.zeros((INVERTED_FROM, 2), np.float32)))
    config = algos.get(name).config(search="ivf")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    config.check_spaces(spaces)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="search=ivf: needs faiss: pip install faiss-cpu"):
        config.check_spaces(spaces)


def test_where_the_searched_cells_hold_too_few_items_the_search_is_exact(strewn_items):
    points = torch.from_numpy(strewn(np.random.default_rng(1), 1, 20, 8))
    count = 500  # more than any cell holds
    assert torch.equal(inverted(strewn_items, 1).nearest(points, count), Catalogue(strewn_items).nearest(points, count))


def test_snapped_proto_actions_become_the_neighbours_of_each_in_turn():
    items = Catalogue(np.array([[-1], [-0.5], [0.5], [1]], dtype=np.float32))
    actions, found = snap(items, tensor([-0.9, 0.6]).view(1, 1, 2, 1), neighbours=2)
    assert found is not None
    assert found.tolist() == [[[0, 1, 2, 3]]]
    assert actions.flatten().tolist() == [-1, -0.5, 0.5, 1]


def test_in_a_box_nothing_is_snapped():
    proto_actions = tensor([-0.9, 0.6]).view(1, 1, 2, 1)
    assert snap(None, proto_actions) == (proto_actions, None)
