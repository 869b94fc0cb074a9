"""CEM's search on critics that are functions one can compute in the head: one state, one action dimension."""

import math

import pytest
import torch
from small_agents import UNUSED, Pack, Twins, make_linear, one_transition, set_critics, tiny
from torch import Tensor, tensor

RISING: Twins = ((1, 0), (-9, 0))  # the first is the one that searches
FALLING: Twins = ((-1, 0), (9, 0))
FIRST = [0.3, -1.0, 0.8, 0.1]  # the first iteration's normals are its samples before tanh


pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(
    online: Twins, targets: Twins = UNUSED, iterations: int = 2, samples: int = 4, elites: int = 2, **fields
) -> Pack:
    """One seed with a small search."""
    made = tiny("cem", samples=samples, elites=elites, iterations=iterations, **fields)
    set_critics(made, online, targets)
    return made


def normals(*iterations: list[float]) -> Tensor:
    """What a search is given to act: (1, iterations, N, 1)."""
    return tensor(iterations).view(1, len(iterations), -1, 1)


def survivors(made: Pack, *iterations: list[float], explore: list[float] | None = None) -> list[float]:
    noise = {"search": normals(*iterations)}
    if explore:
        noise["explore"] = tensor(explore).view(1, 1, 1)
    return made.agent.propose(torch.zeros(1, 1, 1), noise, explore=bool(explore)).flatten().tolist()


def test_the_gaussian_is_fitted_to_the_elites_all_of_the_same_weight():
    """Elites .8 and .3: mean .55, deviation .25. Then .55 + .25 × (1, -1, 2, 0) = .8, .3, 1.05, .55."""
    found = survivors(agent(RISING), FIRST, [1, -1, 2, 0])
    assert found == pytest.approx([math.tanh(1.05), math.tanh(0.8)])
    # Elites -1 and .1: mean -.45, deviation .55. Then .1, -1, .65, -.45.
    found = survivors(agent(FALLING), FIRST, [1, -1, 2, 0])
    assert found == pytest.approx([math.tanh(-1), math.tanh(-0.45)])


def test_a_third_iteration_starts_from_the_elites_of_the_second():
    """Elites 1.05 and .8: mean .925, deviation .125."""
    found = survivors(agent(RISING, iterations=3), FIRST, [1, -1, 2, 0], [1, 2, 3, 4])
    assert found == pytest.approx([math.tanh(1.425), math.tanh(1.3)])


def test_one_iteration_keeps_the_best_samples():
    assert survivors(agent(RISING, iterations=1, elites=3), FIRST) == pytest.approx(
        [math.tanh(x) for x in (0.8, 0.3, 0.1)]
    )


def test_a_single_elite_is_a_point():
    assert survivors(agent(RISING, elites=1), FIRST, [1, -1, 2, 0]) == pytest.approx([math.tanh(0.8)])


def test_exploration_noise_is_added_to_every_survivor_within_the_box():
    found = survivors(agent(RISING, iterations=1), FIRST, explore=[0.5])
    assert found == pytest.approx([1, math.tanh(0.3) + 0.5])


def test_the_best_survivor_is_executed():
    made = agent(FALLING, iterations=1)
    acted = made.agent.act(torch.zeros(1, 1, 1), {"search": normals(FIRST)}, explore=False)
    assert acted.action.item() == pytest.approx(-math.tanh(1))
    assert made.agent.noise_shapes("act")["search"] == (1, 4, 1)


def test_the_target_searches_one_critic_and_asks_both_at_the_winner():
    """The online Q_1 finds tanh(.8), where the target critics give 5.3 and 3; the target's own Q_1 would find -1."""
    made = agent(RISING, targets=((-1, 6), (1, 3 - math.tanh(0.8))), iterations=1)
    metrics = made.agent.update_critics(one_transition(reward=1), {"search": normals(FIRST).unsqueeze(1)})
    assert metrics["target_mean"].item() == pytest.approx(1 + 0.5 * 3)


def test_the_target_can_be_searched_by_its_own_critic():
    made = agent(RISING, targets=FALLING, iterations=1, target_argmax="target")  # -1 is best for -a; 9 a is -9 tanh 1
    metrics = made.agent.update_critics(one_transition(), {"search": normals(FIRST).unsqueeze(1)})
    assert metrics["target_mean"].item() == pytest.approx(0.5 * -9 * math.tanh(1))


def make_magnitude(made: Pack) -> None:
    """Let the first critic value the magnitude of an action."""
    make_linear(made.agent.critic.online, (1, 0), (0, 0))
    made.agent.critic.online.frozen["output.weight"][:, 0] = tensor([[1.0], [1.0]])


@pytest.mark.parametrize(("snap_samples", "executed"), [(False, 0.0), (True, -0.8)])
def test_on_items_samples_are_scored_where_they_are_or_as_their_items(snap_samples: bool, executed: float):
    """tanh(.5) = .46 is larger than tanh(.45) = .42, but its item is 0, and that of the other -.8."""
    made = agent(RISING, items=[-0.8, 0.0], iterations=1, elites=1, samples=2, snap_samples=snap_samples)
    make_magnitude(made)
    acted = made.agent.act(torch.zeros(1, 1, 1), {"search": normals([0.5, -0.45])}, explore=False)
    assert acted.action.item() == pytest.approx(executed)
    assert acted.executed.item() == (0 if snap_samples else 1)


def test_on_items_the_best_of_the_survivors_items_is_executed():
    """Scored where it is, .46 leads; among the items of both survivors -.8 does."""
    made = agent(RISING, items=[-0.8, 0.0], iterations=1, elites=2, samples=2)
    make_magnitude(made)
    acted = made.agent.act(torch.zeros(1, 1, 1), {"search": normals([0.5, -0.45])}, explore=False)
    assert acted.action.item() == pytest.approx(-0.8)
    assert (acted.chosen.item(), acted.executed.item()) == (1, 0)
