"""SAC's updates on networks that are functions one can compute in the head: one state, one action dimension."""

import math
from collections.abc import Sequence

import pytest
import torch
from small_agents import Pack, make_gaussian, one_transition, pack, set_critics, tiny, unit_log_pi
from torch import tensor
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from savo_bench.algos import sac

HALF = math.atanh(0.5)  # before tanh


pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(items: Sequence[float] | int = 0, **fields) -> Pack:
    """One seed whose policy is N(0, 1)."""
    made = tiny("sac", items=items, **fields)
    make_gaussian(made.agent.actor)
    return made


def policy(made: Pack) -> tuple[float, float]:
    mean, log_sigma = sac.gaussian_policy(made.agent.actor.frozen, torch.zeros(1, 1, 1))
    return mean.item(), log_sigma.item()


def noise(call: str, normal: float) -> dict[str, torch.Tensor]:
    return {call: torch.full((1, 1, 1), normal)}


def test_log_probability_is_that_of_a_gaussian_pressed_through_tanh():
    mean, log_sigma = tensor([[0.25, -1.0]]).double(), tensor([[-0.5, 0.75]]).double()
    reference = TransformedDistribution(Normal(mean, log_sigma.exp()), TanhTransform(cache_size=1))
    for normal in (0.0, 0.5, -2.0):
        _, action, log_pi = sac.sample(mean, log_sigma, torch.full_like(mean, normal))
        assert log_pi.tolist() == pytest.approx(reference.log_prob(action).sum(-1).tolist(), rel=1e-9)


def test_log_probability_stays_finite_where_tanh_is_1_in_float32():
    _, action, log_pi = sac.sample(tensor([[50.0]]), tensor([[0.0]]), tensor([[0.0]]))
    assert action.item() == 1
    assert log_pi.item() == pytest.approx(-math.log(2 * math.pi) / 2 - 2 * (math.log(2) - 50))


def test_log_sigma_stays_between_its_bounds():
    _, log_sigma = sac.gaussian(tensor([[0.0, -1e6], [0.0, 0.0], [0.0, 1e6]]))
    assert log_sigma.flatten().tolist() == [-5, -1.5, 2]


def test_a_sample_explores_and_the_mean_is_evaluated():
    made = agent()
    make_gaussian(made.agent.actor, mean=HALF, log_sigma=math.log(2))
    obs = torch.zeros(1, 1, 1)
    explored = made.agent.act(obs, {"sample": torch.full((1, 1, 1), -HALF)}, explore=True).action
    assert explored.item() == pytest.approx(-0.5)  # HALF - 2 HALF
    assert made.agent.act(obs, {}, explore=False).action.item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("slope", "explored", "evaluated"),
    [(1, 0.5, 0.0), (-1, -0.8, -0.8)],  # of .5, -.8 and -.25; of the mean, 0, -.8 and -.25
)
def test_with_best_of_the_best_of_a_sample_or_the_mean_and_more_samples_is_executed(slope, explored, evaluated):
    made = agent(best_of=3)
    set_critics(made, online=((slope, 0), (-9 * slope, 0)), targets=((0, 0), (0, 0)))
    more = {"candidates": tensor([math.atanh(-0.8), math.atanh(-0.25)]).view(1, 2, 1)}
    obs = torch.zeros(1, 1, 1)
    acted = made.agent.act(obs, noise("sample", HALF) | more, explore=True)
    assert acted.action.item() == pytest.approx(explored)
    assert made.agent.act(obs, more, explore=False).action.item() == pytest.approx(evaluated)


@pytest.mark.parametrize(("slope", "point", "value"), [(1, HALF, 3), (-1, math.atanh(-0.25), 2)])
def test_with_best_of_the_target_is_the_chosen_samples_value_and_its_own_entropy_bonus(slope, point, value):
    """At .5 the target critics give 5 and 3, at -.25 2 and 3."""
    made = agent(best_of=2, temperature=0.25)
    set_critics(made, online=((slope, 0), (-9 * slope, 0)), targets=((4, 3), (0, 3)))
    given = noise("next", math.atanh(-0.25)) | {"candidates": torch.full((1, 1, 1, 1), HALF)}
    metrics = made.agent.update_critics(one_transition(reward=1), given)
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * (value - 0.25 * unit_log_pi(point)))


def target(made: Pack, reward: float = 1.0, terminated: float = 0.0) -> float:
    batch = one_transition(reward=reward, terminated=terminated)
    return made.agent.update_critics(batch, noise("next", HALF))["target_mean"].item()


def test_target_is_the_smaller_target_critic_at_a_sample_and_its_entropy_bonus():
    made = agent(temperature=0.25)
    set_critics(made, online=((0, 99), (0, 99)), targets=((4, 2), (0, 3)))  # at 0.5: 4 and 3
    assert target(made) == pytest.approx(1 + 0.5 * (3 - 0.25 * unit_log_pi(HALF)))
    set_critics(made, online=((0, 99), (0, 99)), targets=((-4, 2), (0, 3)))  # 0 and 3
    assert target(made) == pytest.approx(1 + 0.5 * (0 - 0.25 * unit_log_pi(HALF)))


def test_target_of_a_terminated_transition_is_its_reward():
    made = agent()
    set_critics(made, online=((0, 7), (0, 7)), targets=((0, 7), (0, 7)))
    assert target(made, reward=2, terminated=1) == 2


def test_on_items_the_target_is_the_samples_nearest_item_and_the_samples_entropy():
    made = agent(items=[-1.0, 0.75, 0.0], temperature=0.25)
    set_critics(made, online=((0, 99), (0, 99)), targets=((4, 2), (4, 9)))  # at 0.75: 5
    assert target(made) == pytest.approx(1 + 0.5 * (5 - 0.25 * unit_log_pi(HALF)))


@pytest.mark.parametrize(("slope", "moves"), [(1, -0.25), (2, 0.25)])
def test_actor_weighs_the_critic_against_the_entropy(slope: float, moves: float):
    """At a = 0.5 the mean's gradient is 2 α a - slope (1 - a²) = 1 - 0.75 slope."""
    made = agent(temperature=1.0)
    set_critics(made, online=((slope, 0), (slope, 0)), targets=((0, 0), (0, 0)))
    metrics = made.agent.update_actors(one_transition(), noise("sample", HALF))
    assert metrics["actor_loss"].item() == pytest.approx(unit_log_pi(HALF) - 0.5 * slope)
    assert metrics["entropy"].item() == pytest.approx(-unit_log_pi(HALF))
    assert policy(made)[0] == pytest.approx(moves)  # Adam's first step is lr


def test_actor_ascends_the_smaller_critic_and_leaves_both_as_they_are():
    made = agent(temperature=1e-6)
    set_critics(made, online=((8, 9), (-8, 0)), targets=((0, 0), (0, 0)))  # at 0.5: 13 and -4
    before = made.agent.critic.online.flat.clone()
    made.agent.update_actors(one_transition(), noise("sample", HALF))
    assert policy(made)[0] == pytest.approx(-0.25)
    assert torch.equal(made.agent.critic.online.flat, before)


def test_two_steps_of_the_temperature_are_adams_on_the_loss_by_hand():
    """The loss -α (log π + H̄) with α = exp(x) has the gradient -α (log π + H̄) by x; two steps show its size."""
    made = agent(temperature=0.5, target_entropy=-2.0, lr=0.125)
    set_critics(made, online=((0, 0), (0, 0)), targets=((0, 0), (0, 0)))
    x = tensor(math.log(0.5), requires_grad=True)
    adam = torch.optim.Adam([x], lr=0.125)
    for log_sigma in (0.0, -3.0):  # log π of the sample is -.8 or so, then 2 or so
        make_gaussian(made.agent.actor, mean=0.0, log_sigma=log_sigma)
        log_pi = sac.sample(tensor([[0.0]]), tensor([[log_sigma]]), tensor([[HALF]])).log_pi.item()
        metrics = made.agent.update_actors(one_transition(), noise("sample", HALF))
        x.grad = -x.detach().exp() * (log_pi - 2.0)
        adam.step()
        assert metrics["temperature"].item() == pytest.approx(x.detach().exp().item(), rel=1e-5)


@pytest.mark.parametrize(("log_sigma", "factor"), [(0.0, math.exp(-0.25)), (-4.0, math.exp(0.25))])
def test_temperature_falls_with_too_much_entropy_and_rises_with_too_little(log_sigma: float, factor: float):
    made = agent(temperature=0.5)
    set_critics(made, online=((0, 0), (0, 0)), targets=((0, 0), (0, 0)))
    make_gaussian(made.agent.actor, mean=0.0, log_sigma=log_sigma)
    made.agent.update_actors(one_transition(), noise("sample", HALF))  # log π - 1: below 0, above 0
    assert made.agent.temperature.value.item() == pytest.approx(0.5 * factor)


def test_the_target_entropy_is_minus_the_dimension_of_the_action():
    assert pack("sac", (0,), action_dim=6).agent.temperature.goal == -6


def test_a_fixed_temperature_stays():
    made = agent(temperature=0.5, learn_temperature=False)
    set_critics(made, online=((0, 0), (0, 0)), targets=((0, 0), (0, 0)))
    assert made.agent.update_actors(one_transition(), noise("sample", HALF))["temperature"].item() == 0.5
    assert made.agent.temperature.value.item() == 0.5
