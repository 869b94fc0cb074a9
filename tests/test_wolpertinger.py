"""Wolpertinger's candidates and updates on functions one can compute in the head: one state, one action dimension."""

import math

import pytest
import torch
from small_agents import UNUSED, Pack, Twins, make_constant, make_linear, one_transition, pack, set_critics, tiny
from torch import Tensor, tensor

ITEMS = [0.9, -1.0, 0.25, 0.6, -0.2]  # nearest to 0.5: items 3, 2, 0 at 0.6, 0.25, 0.9


pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(online: Twins = UNUSED, targets: Twins = UNUSED, candidates: int = 3, **fields) -> Pack:
    """One seed whose actors propose 0.5; 3 candidates."""
    made = tiny("wolpertinger", candidates=candidates, **fields)
    make_constant(made.agent.actor, math.atanh(0.5))
    make_constant(made.agent.actor_target, math.atanh(0.5))
    set_critics(made, online, targets)
    return made


def around(*normals: float) -> dict[str, Tensor]:
    return {"candidates": tensor(normals).view(1, -1, 1)}


def learning(*normals: float) -> dict[str, Tensor]:
    """The same for an update, with a dual critic's."""
    return {name: tensor(normals).view(1, 1, -1, 1) for name in ("candidates", "dual")}


@pytest.mark.parametrize(
    ("slope", "normals", "executed"),
    [(1, (1, -2), 0.75), (-1, (1, -2), 0.0), (1, (-1, -2), 0.5), (1, (9, 0), 1.0), (-1, (-9, 0), -1.0)],
)
def test_in_a_box_the_best_of_the_proto_and_its_perturbations_is_executed(slope, normals, executed):
    made = agent(online=((slope, 0), (-9, 0)), candidate_sigma=0.25)
    acted = made.agent.act(torch.zeros(1, 1, 1), around(*normals), explore=False)
    assert acted.action.item() == pytest.approx(executed)


def test_in_a_box_the_proto_has_the_exploration_noise_and_the_candidates_lie_round_that():
    made = agent(online=((1, 0), (0, 0)), candidate_sigma=0.25)
    noise = around(1, -2) | {"explore": torch.full((1, 1, 1), -0.5)}
    assert made.agent.act(torch.zeros(1, 1, 1), noise, explore=True).action.item() == pytest.approx(0.25)


def test_in_a_box_the_target_takes_the_online_critics_choice_among_the_candidates_at_s1():
    """Candidates .5, .75, 0. The smaller target critic gives 2 at .75 and 5 at 0."""
    targets = ((-4, 5), (0, 5))
    made = agent(online=((1, 0), (-9, 0)), targets=targets, candidate_sigma=0.25)
    metrics = made.agent.update_critics(one_transition(reward=1), learning(1, -2))
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * 2)
    made = agent(online=((-1, 0), (9, 0)), targets=targets, candidate_sigma=0.25)
    metrics = made.agent.update_critics(one_transition(reward=1), learning(1, -2))
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * 5)


@pytest.mark.parametrize(("slope", "item", "place"), [(1, 0, 2), (-1, 2, 1)])
def test_on_items_the_best_of_the_nearest_is_executed_by_its_index_in_the_catalogue(slope, item, place):
    made = agent(online=((slope, 0), (-9 * slope, 0)), items=ITEMS)
    acted = made.agent.act(torch.zeros(1, 1, 1), {}, explore=False)
    assert acted.items is not None
    assert acted.items.flatten().tolist() == [3, 2, 0]  # of the catalogue, the nearest first
    assert acted.chosen.item() == place  # among the candidates
    assert acted.executed.item() == item  # of the catalogue
    assert acted.action.item() == pytest.approx(ITEMS[item])


def test_on_items_neighbours_are_those_of_each_seeds_own_proto():
    made = pack("wolpertinger", (0, 1), obs_dim=1, action_dim=1, items=ITEMS, hidden=(2,), actor_norm=False)
    made.agent.actor.flat.zero_()
    made.agent.actor.frozen["output.bias"].copy_(tensor([0.5, -0.9]).atanh().view(2, 1, 1))
    acted = made.agent.act(torch.zeros(2, 1, 1), {}, explore=False)
    assert acted.items is not None
    assert acted.items.squeeze(1).tolist() == [[3, 2, 0], [1, 4, 2]]


def test_on_items_the_target_runs_the_whole_policy_at_s1():
    """The online critic takes 0.9 of the candidates 0.6, 0.25 and 0.9. There the target critics give 9 and 2.8."""
    made = agent(online=((1, 0), (-9, 0)), targets=((10, 0), (2, 1)), items=ITEMS)
    metrics = made.agent.update_critics(one_transition(reward=1), {})
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * 2.8)


def proto(made: Pack) -> float:
    return made.agent.actor.frozen["output.bias"].item() - math.atanh(0.5)


def test_the_actor_ascends_the_first_critic_at_its_proto():
    made = agent(online=((3, 2), (-9, 0)), items=ITEMS)
    assert made.agent.update_actors(one_transition(), {})["actor_loss"].item() == pytest.approx(-3.5)
    assert proto(made) == pytest.approx(0.25)  # Adam's first step is lr


def test_the_actor_ascends_the_dual_critic_where_there_is_one():
    made = agent(online=((3, 2), (3, 2)), items=ITEMS, dual=True)
    make_linear(made.agent.dual, (-2, 0))
    assert made.agent.update_actors(one_transition(), {})["actor_loss"].item() == pytest.approx(1)
    assert proto(made) == pytest.approx(-0.25)


def dual_loss(made: Pack, proto: float, proposals: list[float], noise: dict[str, Tensor]) -> float:
    """Its loss where the action 0 was executed."""
    make_linear(made.agent.dual, (-2, 0))
    batch = one_transition(proto_actions=[proto], proposals=proposals)
    return made.agent.fit_to_critics(batch, noise)["dual_loss"].item()


def test_on_items_the_dual_critic_is_fitted_at_the_proto_to_the_best_smaller_value_of_its_stored_items():
    """min(4 a, 1): 1 at .6, 1 at .9, -.8 at -.2; the dual critic says -2 × .25 at the proto."""
    made = agent(online=((4, 0), (0, 1)), items=ITEMS, dual=True, dual_executed=False)
    assert (made.agent.stored_proto_actions, made.agent.stored_items) == (1, 3)
    assert dual_loss(made, 0.25, [0.6, -0.2, 0.9], {}) == pytest.approx((-0.5 - 1) ** 2)
    assert dual_loss(made, 0.25, [-0.2, -0.2, -1.0], {}) == pytest.approx((-0.5 + 0.8) ** 2)


def test_the_dual_critic_is_fitted_at_the_executed_action_too():
    """min(-4 a, .5) is -1, -2 and .5 at the candidates and 0 at the executed action, where the dual critic says 0."""
    made = agent(online=((-4, 0), (0, 0.5)), dual=True, candidate_sigma=0.25)
    make_linear(made.agent.dual, (-2, 0))
    batch = one_transition(proto_actions=[0.25], proposals=[0.25], executed=0.5)  # min(-4 a, .5) is -2, and it says -1
    loss = made.agent.fit_to_critics(batch, learning(1, -2))["dual_loss"].item()
    assert loss == pytest.approx(((-0.5 - 0.5) ** 2 + (-1 + 2) ** 2) / 2)


def test_in_a_box_the_dual_critic_is_fitted_to_the_best_smaller_value_round_the_proto():
    """Candidates .25, .5, -.25, where min(4 a, 1) is 1, 1 and -1."""
    made = agent(online=((4, 0), (0, 1)), dual=True, dual_executed=False, candidate_sigma=0.25)
    assert dual_loss(made, 0.25, [0.25], learning(1, -2)) == pytest.approx((-0.5 - 1) ** 2)
    made = agent(
        online=((-4, 0), (0, 0.5)), dual=True, dual_executed=False, candidate_sigma=0.25
    )  # min(-4 a, .5): -1, -2, .5
    assert dual_loss(made, 0.25, [0.25], learning(1, -2)) == pytest.approx((-0.5 - 0.5) ** 2)
