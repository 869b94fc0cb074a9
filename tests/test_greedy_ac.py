"""The elites and updates of Greedy-AC and Greedy-TD3 on numbers one can compute in the head."""

import math
from typing import Any

import pytest
import torch
from small_agents import (
    UNUSED,
    Pack,
    Twins,
    make_constant,
    make_gaussian,
    make_linear,
    one_transition,
    set_critics,
    tiny,
    unit_log_pi,
)
from torch import tensor

from savo_bench.algos.greedy_ac import elite_count
from savo_bench.algos.nets import Stack

NORMALS = [0.3, -1.0, 0.8, 0.1, -0.5]  # of a proposal policy N(0, 1): its samples before tanh


pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(name: str, online: Twins, targets: Twins = UNUSED, **fields) -> Pack:
    """One seed; 5 samples of a proposal policy N(0, 1), of which 2 are elites."""
    settings: dict[str, Any] = {"samples": 5, "elite_fraction": 0.4, "entropy": 0.0}
    made = tiny(name, **settings | fields)
    make_gaussian(made.agent.proposal_policy.stack)
    if name == "greedy-ac":
        make_gaussian(made.agent.actor)
    set_critics(made, online, targets)
    return made


ELITES = {"elites": tensor(NORMALS).view(1, 1, 5, 1)}
RISING: Twins = ((1, 0), (-9, 0))
FALLING: Twins = ((-1, 0), (9, 0))


@pytest.mark.parametrize(
    ("fraction", "samples", "count"),
    [(0.1, 30, 3), (0.1, 39, 3), (0.1, 40, 4), (0.1, 5, 1), (0.4, 5, 2), (1.0, 7, 7), (0.29, 100, 29), (0.7, 10, 7)],
)
def test_elites_are_the_fraction_of_the_samples_rounded_down_but_at_least_one(fraction, samples, count):
    assert elite_count(fraction, samples) == count


@pytest.mark.parametrize(("critics", "elites"), [(RISING, [0.8, 0.3]), (FALLING, [-1, -0.5])])
def test_elites_are_the_samples_that_the_first_critic_values_most(critics, elites):
    made = agent("greedy-ac", critics)
    found, _ = made.agent.proposal_policy.update(made.agent.critic.first, torch.zeros(1, 1, 1), ELITES["elites"])
    assert found.flatten().tolist() == pytest.approx(elites)


@pytest.mark.parametrize(("snap_samples", "elite"), [(False, 0.5), (True, -0.45)])
def test_on_items_samples_are_scored_where_they_are_or_as_their_items(snap_samples: bool, elite: float):
    """By magnitude tanh(.5) = .46 leads tanh(.45) = .42; but its item is 0, and that of the other -.8."""
    fields = {"samples": 2, "elite_fraction": 0.5, "snap_samples": snap_samples}
    made = agent("greedy-ac", RISING, items=[-0.8, 0.0], **fields)
    make_linear(made.agent.critic.online, (1, 0), (0, 0))
    made.agent.critic.online.frozen["output.weight"][:, 0] = tensor([[1.0], [1.0]])
    normal = tensor([0.5, -0.45]).view(1, 1, 2, 1)
    found, _ = made.agent.proposal_policy.update(made.agent.critic.first, torch.zeros(1, 1, 1), normal)
    assert found.item() == pytest.approx(elite)


def mean(stack: Stack) -> float:
    return stack.frozen["output.bias"].flatten()[0].item()


def width(stack: Stack) -> float:
    return stack.frozen["output.bias"].flatten()[1].item()


@pytest.mark.parametrize(("critics", "elites", "moves"), [(RISING, (0.8, 0.3), 0.25), (FALLING, (-1, -0.5), -0.25)])
def test_both_policies_move_towards_the_elites(critics, elites, moves):
    made = agent("greedy-ac", critics)
    before = made.agent.critic.online.flat.clone()
    metrics = made.agent.update_actors(one_transition(), ELITES)
    assert metrics["actor_loss"].item() == pytest.approx(-sum(map(unit_log_pi, elites)) / 2)
    assert metrics["proposal_entropy"].item() == pytest.approx(-sum(map(unit_log_pi, NORMALS)) / 5)
    assert mean(made.agent.actor) == pytest.approx(moves)  # Adam's first step is lr
    assert mean(made.agent.proposal_policy.stack) == pytest.approx(moves)
    assert torch.equal(made.agent.critic.online.flat, before)


@pytest.mark.parametrize(("entropy", "sign"), [(0.0, -1), (9.0, 1)])
def test_the_entropy_widens_the_proposal_policy_and_not_the_actor(entropy: float, sign: int):
    """Elites all near the mean narrow both policies; a heavy entropy widens the proposal policy all the same."""
    made = agent("greedy-ac", RISING, samples=3, elite_fraction=1.0, entropy=entropy)
    stacks = made.agent.proposal_policy.stack, made.agent.actor
    before = [width(stack) for stack in stacks]
    made.agent.update_actors(one_transition(), {"elites": tensor([0.1, 0.0, -0.1]).view(1, 1, 3, 1)})
    assert [math.copysign(1, width(stack) - was) for stack, was in zip(stacks, before, strict=True)] == [sign, -1]


def test_greedy_ac_executes_and_bootstraps_from_samples():
    made = agent("greedy-ac", RISING, targets=((4, 2), (0, 3)))
    half = torch.full((1, 1, 1), math.atanh(0.5))
    obs = torch.zeros(1, 1, 1)
    assert made.agent.act(obs, {"sample": half}, explore=True).action.item() == pytest.approx(0.5)
    assert made.agent.act(obs, {}, explore=False).action.item() == 0
    metrics = made.agent.update_critics(one_transition(reward=1), {"next": half})
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * 3)  # no entropy in the value


def test_greedy_td3s_actor_moves_towards_the_elites_by_squared_error():
    made = agent("greedy-td3", RISING)
    make_constant(made.agent.actor, math.atanh(0.5))
    metrics = made.agent.update_actors(one_transition(), ELITES)
    elites = [math.tanh(0.8), math.tanh(0.3)]
    assert metrics["actor_loss"].item() == pytest.approx(sum((0.5 - x) ** 2 for x in elites) / 2)
    assert mean(made.agent.actor) - math.atanh(0.5) == pytest.approx(-0.25)  # their mean, .48, is below .5
    made = agent("greedy-td3", RISING)
    make_constant(made.agent.actor, math.atanh(0.45))
    made.agent.update_actors(one_transition(), ELITES)
    assert mean(made.agent.actor) - math.atanh(0.45) == pytest.approx(0.25)


def test_greedy_td3s_target_is_td3s():
    """The target actor's .5, smoothed by .25, where the target critics give 5 and 3."""
    made = agent("greedy-td3", RISING, targets=((4, 2), (0, 3)), target_noise=0.25)
    make_constant(made.agent.actor_target, math.atanh(0.5))
    metrics = made.agent.update_critics(one_transition(reward=1), {"smoothing": torch.full((1, 1, 1), -2.0)})
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * min(4 * 0 + 2, 3))
