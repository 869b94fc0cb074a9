"""Floors, truncation and the surrogates' targets, on numbers checked in the head."""

from torch import tensor

from savo_bench.algos import chain


def test_floors_are_the_highest_of_the_values_before():
    assert chain.floors(tensor([[[3.0, 1, 5, 4]]])).tolist() == [[[3, 3, 5]]]
    assert chain.floors(tensor([[[3.0]]])).shape == (1, 1, 0)


def test_truncation_raises_values_below_the_floor_alone():
    assert chain.truncate(tensor([1.0, 3, 5]), tensor([3.0, 3, 3])).tolist() == [3, 3, 5]


def test_a_truncated_landscape_is_flat_below_its_floor():
    q = tensor([1.0, 5], requires_grad=True)
    chain.truncate(q, tensor([3.0, 3])).sum().backward()
    assert q.grad is not None
    assert q.grad.tolist() == [0, 1]


def test_surrogate_targets_are_truncated_at_both_key_actions():
    q_proposals = tensor([[[3.0, 1, 5, 4]]])
    above, below = (chain.surrogate_targets(q_proposals, tensor([[q]])) for q in (4.0, 2.0))
    assert above.shape == (1, 3, 2, 1)
    assert above.flatten(2).tolist() == [[[3, 4], [5, 4], [5, 5]]]  # floors 3, 3, 5
    assert below.flatten(2).tolist() == [[[3, 3], [5, 3], [5, 5]]]  # untruncated it would be [[1, 2], [5, 2], [4, 2]]


def test_surrogate_targets_keep_seeds_and_states_apart():
    targets = chain.surrogate_targets(tensor([[[1.0, 2], [3, 0]], [[0, 0], [7, 9]]]), tensor([[5.0, 1], [-1, 8]]))
    assert targets[:, 0, 0].tolist() == [[2, 3], [0, 9]]
    assert targets[:, 0, 1].tolist() == [[5, 3], [0, 8]]
