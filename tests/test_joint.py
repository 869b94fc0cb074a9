"""SAVO's ablation "joint action" on networks that are functions one can compute in the head."""

import math

import pytest
import torch
from small_agents import UNUSED, make_constant, make_linear, one_transition, set_critics
from test_savo import act, agent, surrogates
from torch import tensor

from savo_bench.algos import joint

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def test_a_joint_actor_emits_all_proposals_in_order():
    agent_ = agent(joint=True)
    agent_.agent.actor.flat.zero_()
    agent_.agent.actor.frozen["output.bias"][:] = torch.atanh(tensor([0.5, -0.5, 0.25]))
    assert agent_.agent.propose(torch.zeros(1, 1, 1), {}, explore=False).shape == (1, 1, 3, 1)
    set_critics(agent_, online=((-1, 0), UNUSED[1]), targets=UNUSED)
    assert act(agent_, explore=False) == (-0.5, [0.5, -0.5, 0.25], 1)


def test_a_joint_surrogate_is_fitted_to_the_smaller_critic_at_the_best_proposal():
    agent_ = agent(joint=True)
    make_constant(surrogates(agent_), 1)
    set_critics(agent_, online=((4, 1), (4, 0)), targets=UNUSED)
    one, batch = agent_.agent.surrogates, one_transition([-0.5, 0.75, 0.5], executed=1)
    assert one.error(agent_.agent.critic, batch, one.network.frozen).tolist() == [(3 - 1) ** 2]


def test_a_joint_surrogate_sees_state_and_all_actions():
    agent_ = agent(joint=True)
    p = surrogates(agent_).frozen
    surrogates(agent_).flat.zero_()
    p["hidden0.weight"][0, 0, :, 0] = tensor([1000.0, 100, 10, 1])
    p["output.weight"][0, 0, 0] = 1
    value = joint.joint_value(p, torch.full((1, 1, 1), 2.0), tensor([3.0, 4, 5]).view(1, 1, 3, 1))
    assert value.tolist() == [[[2345]]]


def test_a_joint_actor_ascends_the_joint_surrogate():
    agent_ = agent(joint=True)
    start = math.atanh(0.5)
    make_constant(agent_.agent.actor, start)
    make_linear(surrogates(agent_), (2, 3))  # of the last action
    set_critics(agent_, online=((-9, 0), (-9, 0)), targets=UNUSED)
    assert agent_.agent.update_actors(one_transition([0.0, 0, 0]), {})["actor_loss"].item() == pytest.approx(-4)
    assert agent_.agent.actor.frozen["output.bias"].flatten().tolist() == pytest.approx([start, start, start + 0.25])
