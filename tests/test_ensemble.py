"""The ensemble's proposals and updates on functions one can compute in the head: one state, one action dimension."""

import math

import pytest
import torch
from small_agents import UNUSED, Pack, Twins, make_constant, one_transition, set_critics, tiny
from torch import tensor

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(online: Twins, targets: Twins = UNUSED) -> Pack:
    """One seed with three actors that propose -.5, .75 and .25, their targets .5, -.25 and 0."""
    made = tiny("ensemble", extra_actors=2)
    make_constant(made.agent.actor, *map(math.atanh, (-0.5, 0.75, 0.25)))
    make_constant(made.agent.actor_target, *map(math.atanh, (0.5, -0.25, 0)))
    set_critics(made, online, targets)
    return made


@pytest.mark.parametrize(("slope", "executed", "chosen"), [(1, 0.75, 1), (-1, -0.5, 0)])
def test_the_actor_that_the_first_critic_values_most_acts(slope, executed, chosen):
    made = agent(((slope, 0), (-9 * slope, 0)))
    acted = made.agent.act(torch.zeros(1, 1, 1), {}, explore=False)
    assert (acted.action.item(), acted.chosen.item()) == (pytest.approx(executed), chosen)


def test_each_actor_explores_with_its_own_noise():
    made = agent(((1, 0), (0, 0)))
    noise = {"explore": tensor([0.25, -1.0, 0.5]).view(1, 3, 1)}
    assert made.agent.act(torch.zeros(1, 1, 1), noise, explore=True).action.item() == pytest.approx(0.75)


@pytest.mark.parametrize(("slope", "value"), [(1, 5), (-1, 2)])
def test_target_is_the_smaller_target_critic_at_the_online_critics_choice_of_the_target_actors(slope, value):
    """At .5 the target critics give 5 and 5, at -.25 11 and 2."""
    made = agent(((slope, 0), (-9 * slope, 0)), targets=((-8, 9), (4, 3)))
    metrics = made.agent.update_critics(one_transition(reward=1), {})
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * value)


def test_every_actor_ascends_the_first_critic():
    made = agent(((3, 0), (-9, 0)))
    before = made.agent.actor.frozen["output.bias"].flatten().clone()
    assert made.agent.update_actors(one_transition(), {})["actor_loss"].item() == pytest.approx(
        -3 * (-0.5 + 0.75 + 0.25)
    )
    assert (made.agent.actor.frozen["output.bias"].flatten() - before).tolist() == pytest.approx([0.25] * 3)
