"""The pure functions of the frame: targets, the choice of the best, distances; on numbers checked in the head."""

import pytest
import torch
from torch import tensor

from savo_bench.algos import actor_critic


def test_target_is_reward_plus_discounted_value_unless_terminated():
    reward, terminated, next_q = tensor([[1.0, 2, 3]]), tensor([[0.0, 1, 0]]), tensor([[10.0, 10, -4]])
    assert actor_critic.td_target(reward, terminated, next_q, 0.5).tolist() == [[6, 2, 1]]


def test_clipped_double_q_takes_the_smaller_critic_at_each_point():
    q = tensor([[[1.0, 5, -3], [2, 4, -6]], [[0, 0, 0], [7, -7, 0]]])  # (2 seeds, 2 critics, 3 states)
    assert actor_critic.clipped_double_q(q).tolist() == [[1, 4, -6], [0, -7, 0]]
    assert actor_critic.clipped_double_q(q.unsqueeze(-1)).shape == (2, 3, 1)


def test_smoothing_scales_the_noise_then_clips_it_then_clips_the_action():
    action = tensor([0.0, 0.0, 0.0, 0.75, -0.75])
    normal = tensor([1.0, 8.0, -8.0, 8.0, -8.0])
    assert actor_critic.smooth(action, normal, 0.25, 0.5).tolist() == [0.25, 0.5, -0.5, 1, -1]


def test_smoothing_without_noise_leaves_the_action():
    action = tensor([0.25, -1.0])
    assert actor_critic.smooth(action, tensor([3.0, -3]), 0.0, 0.5).tolist() == [0.25, -1]


def test_best_is_the_proposal_of_highest_value_in_each_state():
    actions = tensor([[[[1.0, 10], [2, 20], [3, 30]], [[4, 40], [5, 50], [6, 60]]]])  # (1, 2 states, 3 proposals, 2)
    action, index = actor_critic.best(actions, tensor([[[5.0, 9, 7], [8, 1, 2]]]))
    assert action.tolist() == [[[2, 20], [4, 40]]]
    assert index.tolist() == [[1, 0]]


def test_best_of_equals_is_the_first():
    actions = torch.arange(40.0).view(1, 2, 20, 1)  # more proposals than a vector register holds
    q = torch.zeros(1, 2, 20)
    q[0, 1, 7:] = 3
    action, index = actor_critic.best(actions, q)
    assert index.tolist() == [[0, 7]]
    assert action.tolist() == [[[0], [27]]]


def test_best_keeps_seeds_apart():
    actions = tensor([[[[1.0], [2]]], [[[3], [4]]]])  # (2 seeds, 1 state, 2 proposals, 1)
    action, index = actor_critic.best(actions, tensor([[[0.0, 1]], [[1, 0]]]))
    assert (action.flatten().tolist(), index.flatten().tolist()) == ([2, 3], [1, 0])


def test_squared_error_is_a_mean_over_the_batch_alone():
    prediction = tensor([[[1.0, 3], [0, 0]], [[2, 2], [5, 5]]])  # (2 seeds, 2 networks, 2 states)
    target = tensor([[[0.0, 0]], [[2, 4]]])
    assert actor_critic.squared_error(prediction, target).tolist() == [[5, 0], [2, 5]]


def test_distance_is_the_mean_over_pairs_of_different_proposals():
    actions = tensor([[0.0, 0], [3, 4], [0, 0]]).view(1, 1, 3, 2)
    assert actor_critic.mean_distance(actions).tolist() == pytest.approx([10 / 3])
