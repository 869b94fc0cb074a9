"""The search around an actor's action, on functions one can compute in the head: one state, one action dimension."""

import math
from typing import Any

import pytest
import torch
from small_agents import UNUSED, Pack, Twins, make_constant, one_transition, pack, random, same, set_critics, tiny
from torch import Tensor, tensor

from savo_bench.algos import local_search, td3
from savo_bench.algos.nets import GivenQ, q_values

OBS = torch.zeros(1, 1, 1)

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(online: Twins = UNUSED, targets: Twins = UNUSED, **fields: Any) -> Pack:
    """One seed of td3 whose actor and target actor propose 0.5."""
    made = tiny("td3", **fields)
    make_constant(made.agent.actor, math.atanh(0.5))
    make_constant(made.agent.actor_target, math.atanh(0.5))
    set_critics(made, online, targets)
    return made


def acted(made: Pack, explore: float | None = None, **noise: Tensor) -> float:
    given = noise | ({} if explore is None else {"explore": torch.full((1, 1, 1), explore)})
    return made.agent.act(OBS, given, explore=explore is not None).action.item()


@pytest.mark.parametrize(
    ("slope", "fields", "end"),
    [
        (1, {"refine": 1}, 0.6),
        (1, {"refine": 2}, 0.61),  # the last step is a tenth of the first
        (-1, {"refine": 2, "refine_step": 0.2}, 0.28),
        (1, {"refine": 3, "refine_step": 0.4}, 1.0),
    ],
)
def test_an_ascent_goes_steps_of_the_asked_length_and_stays_in_the_box(
    slope: float, fields: dict[str, Any], end: float
):
    assert acted(agent(online=((slope, 0), (-9 * slope, 0)), **fields)) == pytest.approx(end)


def test_exploration_noise_comes_after_the_ascent():
    made = agent(online=((1, 0), (0, 0)), refine=2)
    assert acted(made, explore=0.125) == pytest.approx(0.735)
    assert acted(made, explore=-0.125) == pytest.approx(0.485)


def test_the_actors_action_is_kept_where_every_step_leads_down():
    made = agent(refine=4, refine_step=0.4)
    made.agent.critic.first.frozen = GivenQ(lambda _, actions: -(actions - 0.5).abs().squeeze(-1), 1)
    assert acted(made) == pytest.approx(0.5)


@pytest.mark.parametrize("fields", [{"refine": 1}, {"refine": 7, "refine_step": 0.9}, {"best_of": 5}])
def test_q1_of_what_is_executed_is_never_below_that_of_the_actors_action(fields: dict[str, Any]):
    made = pack("td3", (0, 1), output_gain=1.0, **fields)
    made.update(3)
    obs = random(2, 50, 3)
    q1 = [
        q_values(made.agent.critic.first.frozen, obs, actions).squeeze(1).amax(-1)
        for actions in (
            made.agent.act(obs, made.noise("evaluate"), explore=False).action.unsqueeze(2),
            td3.deterministic(made.agent.actor.frozen, obs),
        )
    ]
    assert (q1[0] >= q1[1]).all()
    assert (q1[0] > q1[1] + 1e-4).float().mean() > 0.5


@pytest.mark.parametrize(("where", "act", "target"), [("act", 0.6, 0.5), ("target", 0.5, 0.6), ("both", 0.6, 0.6)])
def test_the_ascent_is_where_it_is_asked_for(where: str, act: float, target: float):
    made = agent(online=((1, 0), (0, 0)), targets=((8, 0), (8, 0)), refine=1, refine_at=where)
    assert acted(made) == pytest.approx(act)
    metrics = made.agent.update_critics(one_transition(), {})
    assert metrics["target_mean"].item() == pytest.approx(0.5 * 8 * target)


def test_the_target_climbs_the_online_critic_and_is_valued_by_the_smaller_target_critic():
    made = agent(online=((1, 0), (-9, 0)), targets=((-8, 9), (4, 3)), refine=1)  # at .6: 4.2 and 5.4
    metrics = made.agent.update_critics(one_transition(reward=1), {})
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * 4.2)


def test_an_ascent_moves_no_network():
    made = pack("td3", (0,), refine=3)
    critic = made.agent.critic.online
    critic.grad.fill_(7)
    made.agent.act(random(1, 4, 3), made.noise("evaluate"), explore=False)
    assert (critic.grad == 7).all()


@pytest.mark.parametrize(
    ("slope", "normals", "executed"), [(1, (1, -2), 0.75), (-1, (1, -2), 0.0), (1, (-1, -2), 0.5), (1, (9, 0), 1.0)]
)
def test_the_best_of_the_action_and_its_perturbations_is_executed(slope: float, normals: tuple, executed: float):
    made = agent(online=((slope, 0), (-9, 0)), best_of=3, best_of_sigma=0.25)
    assert acted(made, candidates=tensor(normals).view(1, -1, 1).float()) == pytest.approx(executed)


def test_with_both_an_ascent_begins_at_each_perturbation_too():
    made = agent(online=((1, 0), (0, 0)), best_of=2, best_of_sigma=0.25, refine=1)
    assert acted(made, candidates=torch.ones(1, 1, 1)) == pytest.approx(0.85)
    proposals = made.agent.propose(OBS, {"candidates": torch.ones(1, 1, 1)}, explore=False)
    assert proposals.flatten().tolist() == pytest.approx([0.5, 0.75, 0.6, 0.85])


def test_in_a_box_the_best_of_n_is_wolpertinger_but_for_where_the_exploration_noise_comes():
    one = pack("td3", (0, 1), best_of=4, best_of_sigma=0.3)
    other = pack("wolpertinger", (0, 1), candidates=4, candidate_sigma=0.3)
    for _ in range(4):
        batch, noise = one.batch(), one.noise("update")
        assert same(one.agent.update(batch, noise), other.agent.update(batch, noise))
    obs, noise = random(2, 9, 3), one.noise("evaluate")
    assert torch.equal(*(each.agent.act(obs, noise, explore=False).action for each in (one, other)))


def test_without_a_search_no_noise_is_asked_for_and_the_actor_acts_without_a_critic():
    usual, searched = agent().agent, agent(best_of=3, refine=1).agent
    assert usual.noise_shapes("evaluate") == usual.noise_shapes("update") == {}
    assert searched.noise_shapes("evaluate") == {"candidates": (2, 1)}
    assert searched.noise_shapes("update") == {"candidates": (1, 2, 1)}
    assert (usual.policy, searched.policy) == (("actor",), ("actor", "critic"))


def test_on_items_those_nearest_to_the_action_and_to_the_end_of_its_ascent_compete():
    made = agent(online=((1, 0), (0, 0)), items=[0.5, -1.0, 0.95], refine=1, refine_step=0.4)
    done = made.agent.act(OBS, {}, explore=False)
    assert done.items.flatten().tolist() == [0, 2]
    assert done.executed.item() == 2


def test_an_update_costs_more_where_the_target_searches():
    cost = local_search.SEARCH_COST

    def relative(**fields: Any) -> float:
        return cost.relative(td3.TD3Config(**fields))

    assert relative() == relative(refine=9, refine_at="act") == 1
    assert 1 < relative(refine=5) < relative(refine=10) < relative(refine=10, best_of=2)
    assert cost.queries(td3.TD3Config(refine=10, best_of=3)) == 6
