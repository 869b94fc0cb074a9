"""SAVO+SAC's updates on functions one can compute in the head: one state, one action dimension, two actors."""

import math

import pytest
import torch
from small_agents import (
    UNUSED,
    Pack,
    Twins,
    make_gaussian,
    make_linear,
    one_transition,
    pack,
    set_critics,
    tiny,
    unit_log_pi,
)
from torch import Tensor, tensor

from savo_bench.algos import savo_sac

HALF = math.atanh(0.5)


pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(online: Twins = UNUSED, targets: Twins = UNUSED, **fields) -> Pack:
    """One seed, two actors whose policies are N(0, 1)."""
    made = tiny("savo-sac", extra_actors=1, **fields)
    make_gaussian(made.agent.actor)
    make_gaussian(made.agent.successive_actors)
    set_critics(made, online, targets)
    return made


def normals(call: str, *points: float) -> dict[str, Tensor]:
    return {call: tensor(points).view(1, 1, -1, 1)}


def test_a_successive_actor_sees_the_sample_before_it_and_not_the_mean():
    made = pack("savo-sac", (0,), extra_actors=1, output_gain=1.0).agent
    obs = torch.linspace(-1, 1, 6).view(1, 2, 3)
    successive = [member.frozen for member in made.successive_actors.members]
    first, second = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    second[:, :, 0] = 1  # another sample of the first actor, the same noise for the second
    one, other = (savo_sac.sample_chain(made.actor.frozen, successive, "deepset", obs, n) for n in (first, second))
    assert not torch.equal(one[1].action, other[1].action)


def test_no_gradient_flows_from_a_successive_actor_to_the_one_before_it():
    made = pack("savo-sac", (0,), extra_actors=1, output_gain=1.0).agent
    successive = [member.params for member in made.successive_actors.members]
    samples = savo_sac.sample_chain(
        made.actor.params, successive, "deepset", torch.ones(1, 4, 3), torch.ones(1, 4, 2, 2)
    )
    for stack in (made.actor, made.successive_actors):
        stack.grad.zero_()
    samples[1].action.sum().backward()
    assert not made.actor.grad.any()
    assert made.successive_actors.grad.any()


@pytest.mark.parametrize(("slope", "executed", "chosen"), [(1, 0.5, 1), (-1, -0.25, 0)])
def test_the_sample_that_the_first_critic_values_most_is_executed(slope, executed, chosen):
    made = agent(((slope, 0), (-9 * slope, 0)))
    noise = {"sample": tensor([math.atanh(-0.25), HALF]).view(1, 2, 1)}
    acted = made.agent.act(torch.zeros(1, 1, 1), noise, explore=True)
    assert (acted.action.item(), acted.chosen.item()) == (pytest.approx(executed), chosen)
    assert made.agent.act(torch.zeros(1, 1, 1), {}, explore=False).action.item() == 0  # the means


def test_the_sample_with_the_highest_soft_value_can_be_executed_instead():
    """With Q = .01 a the far sample's value is a little higher, and its entropy bonus .65 lower."""
    near, far = 0.0, 2.0
    noise = {"sample": tensor([near, far]).view(1, 2, 1)}
    for entropy_argmax, slope, chosen in ((False, 0.01, 1), (True, 0.01, 0), (True, 9, 1)):
        made = agent(((slope, 0), (0, 0)), entropy_argmax=entropy_argmax)
        bonus = made.agent.with_bonuses(made.agent.chain(torch.zeros(1, 1, 1), noise["sample"].unsqueeze(1)))[1]
        assert (bonus[0, 0, 1] - bonus[0, 0, 0]).item() == pytest.approx(far**2 / 2 + 2 * math.log(1 / math.cosh(far)))
        acted = made.agent.act(torch.zeros(1, 1, 1), noise, explore=True)
        assert acted.chosen.item() == chosen


def test_with_argmax_in_the_target_alone_soft_values_decide_nothing_when_acting():
    made = agent(((9, 0), (0, 0)), entropy_argmax=True, argmax="target")
    noise = {"sample": tensor([0.0, 2.0]).view(1, 2, 1)}
    assert made.agent.act(torch.zeros(1, 1, 1), noise, explore=True).chosen.item() == 0


@pytest.mark.parametrize(("slope", "point", "value"), [(1, HALF, 3), (-1, math.atanh(-0.25), 2)])
def test_target_is_the_chosen_samples_value_and_its_own_entropy_bonus(slope, point, value):
    """At .5 the target critics give 5 and 3, at -.25 2 and 3."""
    made = agent(((slope, 0), (-9 * slope, 0)), targets=((4, 3), (0, 3)), temperature=0.25)
    noise = normals("next", math.atanh(-0.25), HALF)
    metrics = made.agent.update_critics(one_transition([0.0, 0.0], reward=1), noise)
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * (value - 0.25 * unit_log_pi(point)))


def test_the_first_actor_ascends_the_smaller_critic_and_the_second_its_surrogate():
    made = agent(online=((8, 9), (-8, 0)), temperature=1e-6)  # at .5: 13 and -4
    make_linear(made.agent.surrogates.extra, (8, 3))  # at .5: 7
    metrics = made.agent.update_actors(one_transition([0.0, 0.0]), normals("sample", HALF, HALF))
    assert metrics["actor_loss"].item() == pytest.approx(4 - 7, abs=1e-4)
    moved = [
        stack.frozen["output.bias"].flatten()[0].item() for stack in (made.agent.actor, made.agent.successive_actors)
    ]
    assert moved == pytest.approx([-0.25, 0.25])  # Adam's first step is lr


def test_entropy_and_temperature_are_the_mean_over_the_actors():
    made = agent(online=((0, 0), (0, 0)), temperature=0.5)
    make_linear(made.agent.surrogates.extra, (0, 0))
    points = (HALF, -1.5)
    metrics = made.agent.update_actors(one_transition([0.0, 0.0]), normals("sample", *points))
    mean = sum(map(unit_log_pi, points)) / 2
    assert metrics["entropy"].item() == pytest.approx(-mean)
    assert metrics["actor_loss"].item() == pytest.approx(0.5 * 2 * mean)
    assert metrics["temperature"].item() == pytest.approx(0.5 * math.exp(math.copysign(0.25, mean - 1)))


def test_the_surrogate_is_fitted_to_the_landscape_truncated_below_the_first_proposal():
    """min Q is 1 at the first proposal and -1 at its own: raised to 1; 2 at the executed action stays."""
    made = agent(online=((4, 0), (4, 0)))
    make_linear(made.agent.surrogates.extra, (0, 0))
    batch = one_transition([0.25, -0.25], executed=0.5)
    assert made.agent.surrogates.update(made.agent.critic, batch)["surrogate_loss"].item() == pytest.approx((1 + 4) / 2)
