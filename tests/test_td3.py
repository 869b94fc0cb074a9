"""TD3's updates on networks that are functions one can compute in the head: one state, one action dimension."""

import math

import pytest
import torch
from small_agents import Pack, make_constant, set_critics, tiny
from torch import Tensor, tensor

from savo_bench.algos.agent import Batch

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(target_noise: float = 0.0, **fields) -> Pack:
    """Two seeds, without smoothing unless asked for."""
    return tiny("td3", (0, 1), target_noise=target_noise, **fields)


def transition(reward: float = 1.0, terminated: float = 0.0, action: float = 0.25) -> Batch:
    """The same transition for both seeds, but for the reward: the second seed's is 10 higher."""
    whole = tensor([[0.0], [1.0]])
    return Batch(
        obs=torch.zeros(2, 1, 1),
        action=torch.full((2, 1, 1), action),
        proto_actions=torch.zeros(2, 1, 0, 1),
        proposals=torch.zeros(2, 1, 0, 1),
        reward=reward + 10 * whole,
        next_obs=torch.zeros(2, 1, 1),
        terminated=torch.full((2, 1), terminated),
    )


def target(agent: Pack, batch: Batch, normal: float = 0.0) -> list[float]:
    """The Bellman target of each seed's only transition."""
    return agent.agent.update_critics(batch, {"smoothing": torch.full((2, 1, 1), normal)})["target_mean"].tolist()


def test_target_is_the_smaller_target_critic_at_the_target_actors_action():
    td3 = agent()
    make_constant(td3.agent.actor, math.atanh(-0.5))
    make_constant(td3.agent.actor_target, math.atanh(0.5))
    set_critics(td3, online=((0, 99), (0, 99)), targets=((4, 2), (0, 3)))  # at 0.5: 4 and 3
    assert target(td3, transition(reward=1)) == pytest.approx([1 + 0.5 * 3, 11 + 0.5 * 3])
    make_constant(td3.agent.actor_target, math.atanh(-0.5))  # 0 and 3
    assert target(td3, transition(reward=1)) == pytest.approx([1, 11])


def test_target_of_a_terminated_transition_is_its_reward():
    td3 = agent()
    set_critics(td3, online=((0, 7), (0, 7)), targets=((0, 7), (0, 7)))
    assert target(td3, transition(reward=2, terminated=1)) == [2, 12]
    assert target(td3, transition(reward=2, terminated=0)) == [5.5, 15.5]


@pytest.mark.parametrize(
    ("proposed", "normal", "smoothed"),
    [(0.5, 0.25, 0.625), (0.5, 4, 0.75), (0.5, -4, 0.25), (0.875, 4, 1), (-0.875, -4, -1)],
)
def test_target_action_is_smoothed_by_clipped_noise_and_stays_in_the_box(proposed, normal, smoothed):
    td3 = agent(target_noise=0.5, noise_clip=0.25)
    make_constant(td3.agent.actor_target, math.atanh(proposed))
    set_critics(td3, online=((0, 0), (0, 0)), targets=((8, 0), (8, 0)))
    assert target(td3, transition(reward=0), normal) == pytest.approx([4 * smoothed, 10 + 4 * smoothed])


def test_without_target_noise_no_noise_is_asked_for():
    assert agent(target_noise=0.0).agent.noise_shapes("update") == {}
    assert agent(target_noise=0.5).agent.noise_shapes("update") == {"smoothing": (1, 1)}


def test_critic_loss_is_the_mean_squared_error_of_both_critics_at_the_executed_action():
    td3 = agent()
    set_critics(td3, online=((8, 0), (0, 5)), targets=((0, 0), (0, 0)))  # at 0.25: 2 and 5
    metrics = td3.agent.update_critics(transition(reward=1, action=0.25), {})
    assert metrics["critic_loss"].tolist() == [(1**2 + 4**2) / 2, (9**2 + 6**2) / 2]


def test_critics_move_towards_the_target():
    td3 = agent(lr=0.25)
    make_constant(td3.agent.critic.online, 0, 9)
    make_constant(td3.agent.critic.target, 0, 0)
    td3.agent.update_critics(transition(reward=4), {})
    after = td3.agent.critic.online.frozen["output.bias"].flatten(1)
    assert after.tolist() == [pytest.approx([0.25, 8.75]), pytest.approx([0.25, 9.25])]  # targets 4 and 14


def test_actor_ascends_the_first_critic():
    td3 = agent(lr=0.25)
    make_constant(td3.agent.actor, math.atanh(0.5))
    set_critics(td3, online=((3, 2), (-9, 0)), targets=((-9, 0), (-9, 0)))
    before = td3.agent.critic.online.flat.clone()
    assert td3.agent.update_actors(transition(), {})["actor_loss"].tolist() == pytest.approx([-3.5, -3.5])
    moved = math.atanh(0.5) + 0.25  # Adam's first step is lr
    assert td3.agent.actor.frozen["output.bias"].flatten().tolist() == pytest.approx([moved, moved])
    assert torch.equal(td3.agent.critic.online.flat, before)


def test_the_actors_step_leaves_the_gradient_of_the_critics_alone():
    td3 = agent()
    td3.agent.critic.online.grad.fill_(7)
    td3.agent.update_actors(transition(), {})
    assert (td3.agent.critic.online.grad == 7).all()


def act(agent: Pack, noise: float, *, explore: bool) -> Tensor:
    return agent.agent.act(torch.zeros(2, 1, 1), {"explore": torch.full((2, 1, 1), noise)}, explore=explore).action


def test_exploration_adds_noise_and_stays_in_the_box():
    td3 = agent()
    make_constant(td3.agent.actor, math.atanh(0.5))
    assert act(td3, 0.25, explore=True).flatten().tolist() == pytest.approx([0.75, 0.75])
    assert act(td3, 0.75, explore=True).flatten().tolist() == [1, 1]
    assert act(td3, -1.75, explore=True).flatten().tolist() == [-1, -1]
    assert act(td3, 0.75, explore=False).flatten().tolist() == pytest.approx([0.5, 0.5])


def test_diagnosis_reports_value_gap_and_magnitude():
    td3 = agent()
    make_constant(td3.agent.actor, math.atanh(-0.5))
    set_critics(td3, online=((4, 0), (0, 5)), targets=((0, 0), (0, 0)))
    metrics = {name: value.tolist() for name, value in td3.agent.diagnose(transition(), {}).items()}
    assert metrics == {"q": [-2, -2], "critic_gap": [7, 7], "action_magnitude": [0.5, 0.5]}
