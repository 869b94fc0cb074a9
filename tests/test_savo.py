"""SAVO's updates on networks that are functions one can compute in the head: one state, one action dimension."""

import math

import pytest
import torch
from small_agents import (
    UNUSED,
    Pack,
    config,
    make_constant,
    make_linear,
    numbers,
    one_transition,
    pack,
    random,
    set_critics,
    tiny,
)
from torch import Tensor, tensor

from savo_bench.algos import chain, savo
from savo_bench.algos.agent import Batch
from savo_bench.algos.nets import Stack, q_values

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")


def agent(extra_actors: int = 2, **fields) -> Pack:
    """One seed with so many extra actors."""
    return tiny("savo", extra_actors=extra_actors, **fields)


def set_proposals(agent: Pack, *actions: float, target: bool = False) -> None:
    """Let the actors propose these actions in every state."""
    first = agent.agent.actor_target if target else agent.agent.actor
    rest = agent.agent.successive_targets if target else agent.agent.successive_actors
    make_constant(first, math.atanh(actions[0]))
    make_constant(rest, *map(math.atanh, actions[1:]))


def test_the_first_actor_proposes_what_td3s_would():
    one, other = pack("savo", (0,)), pack("td3", (0,))
    obs = torch.linspace(-1, 1, 6).view(1, 2, 3)
    assert torch.equal(
        one.agent.propose(obs, {}, explore=False)[:, :, 0], other.agent.act(obs, {}, explore=False).action
    )


@pytest.mark.parametrize(("conditioning", "sees"), [("film", True), ("none", False)])
def test_an_actor_sees_the_actions_before_it_and_none_after(conditioning: str, sees: bool):
    agent = pack("savo", (0,), extra_actors=3, conditioning=conditioning, output_gain=1.0).agent
    obs = torch.linspace(-1, 1, 6).view(1, 2, 3)
    before = agent.propose(obs, {}, explore=False)
    agent.successive_actors.members[1].frozen["output.bias"].add_(1)  # of a_2
    after = agent.propose(obs, {}, explore=False)
    assert torch.equal(after[:, :, :2], before[:, :, :2])
    assert not torch.equal(after[:, :, 2], before[:, :, 2])
    assert torch.equal(after[:, :, 3], before[:, :, 3]) is not sees


def test_no_gradient_flows_from_an_action_to_the_actors_before_it():
    agent = pack("savo", (0,), extra_actors=2, output_gain=1.0).agent
    members = [agent.actor, *agent.successive_actors.members]
    actions = savo.propose(agent.actor.params, [m.params for m in members[1:]], "deepset", torch.ones(1, 4, 3))
    for i in range(3):
        for member in members:
            member.grad.zero_()
        actions[:, :, i].sum().backward(retain_graph=True)
        assert [bool(member.grad.any()) for member in members] == [i == 0, i == 1, i == 2]


def act(agent: Pack, *noise: float, explore: bool = True) -> tuple[float, list[float], int]:
    """(executed action, stored proposals, index of the executed one)"""
    explored = {"explore": tensor(noise).view(1, -1, 1)}
    action, proto_actions, chosen, _ = agent.agent.act(torch.zeros(1, 1, 1), explored, explore=explore)
    return round(action.item(), 5), [round(x, 5) for x in proto_actions.flatten().tolist()], int(chosen.item())


def test_the_proposal_that_the_first_online_critic_values_most_is_executed():
    agent_ = agent()
    set_proposals(agent_, -0.5, 0.75, 0.25)
    set_critics(agent_, online=((1, 0), (-9, 0)), targets=((-9, 0), (-9, 0)))
    assert act(agent_, explore=False) == (0.75, [-0.5, 0.75, 0.25], 1)
    set_critics(agent_, online=((-1, 0), (9, 0)), targets=((9, 0), (9, 0)))
    assert act(agent_, explore=False) == (-0.5, [-0.5, 0.75, 0.25], 0)


def test_each_proposal_is_scored_and_stored_with_its_own_noise():
    agent_ = agent()
    set_proposals(agent_, -0.5, 0.75, 0.25)
    set_critics(agent_, online=((1, 0), UNUSED[1]), targets=UNUSED)
    assert act(agent_, 0.25, -1, 0.5) == (0.75, [-0.25, -0.25, 0.75], 2)
    assert act(agent_, 2, -2, 0.5) == (1, [1, -1, 0.75], 0)  # each in the box
    assert act(agent_, 2, -2, 0.5, explore=False) == (0.75, [-0.5, 0.75, 0.25], 1)


def test_noise_on_the_chosen_proposal_comes_after_the_choice():
    agent_ = agent(explore="chosen")
    set_proposals(agent_, -0.5, 0.75, 0.25)
    set_critics(agent_, online=((1, 0), UNUSED[1]), targets=UNUSED)
    assert act(agent_, -0.5, 0.0, 9.0) == (0.25, [-0.5, 0.75, 0.25], 1)
    assert act(agent_, 2, 0, 0) == (1, [-0.5, 0.75, 0.25], 1)  # in the box
    assert act(agent_, -0.5, 0, 0, explore=False) == (0.75, [-0.5, 0.75, 0.25], 1)


def test_the_first_proposal_can_stay_without_noise():
    agent_ = agent(quiet_first=True)
    set_proposals(agent_, -0.5, 0.75, 0.25)
    set_critics(agent_, online=((1, 0), UNUSED[1]), targets=UNUSED)
    assert act(agent_, 9, -1, 0.5) == (0.75, [-0.5, -0.25, 0.75], 2)


def test_on_items_the_first_proto_action_can_stay_without_noise():
    made = pack("savo", (0,), items=23, quiet_first=True)
    obs, noise = torch.ones(1, 1, 3), made.noise("act")
    explored, calm = (made.agent.act(obs, noise, explore=explore).proto_actions for explore in (True, False))
    assert [torch.equal(explored[:, :, i], calm[:, :, i]) for i in range(4)] == [True, False, False, False]


@pytest.mark.parametrize("name", ["savo", "ensemble", "savo-sac"])
def test_the_first_actor_can_be_evaluated_alone_and_then_no_critic_decides(name: str):
    best, first = (pack(name, (0,), evaluate=evaluate).agent for evaluate in ("best", "first"))
    obs = torch.linspace(-1, 1, 60).view(1, 20, 3)
    acted = first.act(obs, {}, explore=False)
    assert not acted.chosen.any()
    assert torch.equal(acted.action, best.propose(obs, {}, explore=False)[:, :, 0])
    assert best.act(obs, {}, explore=False).chosen.any()


@pytest.mark.parametrize("explore", [True, False])
@pytest.mark.parametrize("items", [0, 23])
@pytest.mark.parametrize("name", ["savo", "ensemble", "savo-sac"])
def test_with_argmax_in_the_target_alone_the_first_actor_acts(name: str, items: int, explore: bool):
    made = pack(name, (0,), items=items, argmax="target")
    obs, noise = torch.linspace(-1, 1, 60).view(1, 20, 3), made.noise("act")
    acted = made.agent.act(obs, noise, explore=explore)
    assert not acted.chosen.any()
    first = made.agent.snap(made.agent.propose(obs, noise, explore=explore), noise).actions[:, :, 0]
    assert torch.equal(acted.action, first)
    assert acted.items is None or acted.items.shape == (1, 20, 4)  # replay holds the others, too
    both = pack(name, (0,), items=items).agent.act(obs, noise, explore=explore)
    assert both.chosen.any()
    assert torch.equal(both.proto_actions, acted.proto_actions)


@pytest.mark.parametrize("name", ["savo", "ensemble", "savo-sac"])
def test_argmax_of_the_target_is_that_of_several_actors_unless_it_is_for_acting_alone(name: str):
    """Each variant has the networks and noise of the others, so only what is taken at s' differs."""
    targets = {}
    for argmax in ("act", "target", "both"):
        made = pack(name, (0,), argmax=argmax)
        batch, noise = made.batch(), made.noise("update")
        targets[argmax] = made.agent.next_value(batch.next_obs, noise)
        found, _ = made.agent.propose_next(batch.next_obs, noise)
        assert found.shape[2] == (1 if argmax == "act" else 4)
    assert torch.equal(targets["target"], targets["both"])
    assert not torch.equal(targets["act"], targets["both"])


def test_with_argmax_for_acting_alone_the_target_takes_the_first_target_actors_proposal():
    agent_ = with_target_proposals(argmax="act")
    for slope in (1, -1):
        set_critics(agent_, online=((slope, 0), (0, 0)), targets=((-8, 9), (4, 3)))  # at 0.5: 5 and 5
        assert target(agent_) == pytest.approx(1 + 0.5 * 5)


@pytest.mark.parametrize("conditioning", ["film", "concat", "none"])
def test_later_actors_can_climb_q1_itself_without_any_surrogate(conditioning: str):
    made = pack("savo", (0,), surrogate="exact", truncation=False, conditioning=conditioning)
    assert not [name for name in made.agent.networks if name.startswith("surrogate")]
    assert made.agent.optimizers.keys() == {"actor", "critic"}
    usual = pack("savo", (0,), conditioning=conditioning).agent
    assert {name: value.shape for name, value in numbers(made.agent).items()} == {
        name: value.shape for name, value in numbers(usual).items() if not name.startswith("surrogate")
    }
    obs, actions = random(1, 5, 3), random(1, 5, 4, 2).clamp(-1, 1)
    values = torch.cat(made.agent.landscape_values(obs, actions), dim=1)  # (S, K, B)
    assert torch.equal(values.mT, q_values(made.agent.critic.first.frozen, obs, actions).squeeze(1))


def test_noise_on_the_chosen_proposal_is_refused_on_items():
    with pytest.raises(ValueError, match="explore=chosen: must be proposals on a catalogue"):
        config("savo", explore="chosen").check_spaces(pack("savo", (0,), items=23).agent.spaces)


def target(agent: Pack, normal: float = 0.0) -> float:
    batch = one_transition([0.0] * agent.agent.stored_proto_actions, reward=1)
    return agent.agent.update_critics(batch, {"smoothing": torch.full((1, 1, 1), normal)})["target_mean"].item()


def with_target_proposals(**fields) -> Pack:
    agent_ = agent(extra_actors=1, **fields)
    set_proposals(agent_, 0, 0)
    set_proposals(agent_, 0.5, -0.25, target=True)
    return agent_


def test_target_takes_the_smaller_target_critic_at_the_online_critics_choice_of_the_target_actors_proposals():
    agent_ = with_target_proposals()
    set_critics(agent_, online=((1, 0), (-9, 0)), targets=((-8, 9), (4, 3)))  # chooses 0.5: 5 and 5; -0.25: 11 and 2
    assert target(agent_) == pytest.approx(1 + 0.5 * 5)
    set_critics(agent_, online=((-1, 0), (9, 0)), targets=((-8, 9), (4, 3)))  # chooses -0.25
    assert target(agent_) == pytest.approx(1 + 0.5 * 2)


def test_target_can_be_chosen_by_the_target_critic():
    agent_ = with_target_proposals(target_argmax="target")
    set_critics(agent_, online=((1, 0), (1, 0)), targets=((-8, 9), (4, 3)))  # its first chooses -0.25
    assert target(agent_) == pytest.approx(1 + 0.5 * 2)


@pytest.mark.parametrize(("normal", "smoothed"), [(0.25, 0.625), (4, 0.75), (-4, 0.25)])
def test_smoothing_if_kept_comes_after_the_choice(normal: float, smoothed: float):
    agent_ = with_target_proposals(target_noise=0.5, noise_clip=0.25)
    set_critics(agent_, online=((1, 0), (1, 0)), targets=((8, 0), (8, 0)))
    assert target(agent_, normal) == pytest.approx(1 + 4 * smoothed)


def surrogates(agent: Pack) -> Stack:
    return agent.agent.networks["surrogates"]


def errors(agent: Pack, batch: Batch) -> Tensor:
    """(S, k, 2)"""
    return agent.agent.surrogates.errors(agent.agent.critic, batch, frozen=True)


def fit(agent: Pack, batch: Batch) -> dict[str, Tensor]:
    return agent.agent.surrogates.update(agent.agent.critic, batch)


def test_surrogates_are_fitted_to_the_smaller_critic_truncated():
    agent_ = agent()
    make_constant(surrogates(agent_), 0, 1)
    set_critics(agent_, online=((4, 0), (4, 1)), targets=UNUSED)
    batch = one_transition([0.5, -0.5, 0.75], executed=0.25)  # of values 2, -2, 3 and 1
    assert errors(agent_, batch).tolist() == [[[2**2, 2**2], [(3 - 1) ** 2, (2 - 1) ** 2]]]
    assert fit(agent_, batch)["surrogate_loss"].item() == (4 + 4 + 4 + 1) / 4


def test_surrogates_can_be_fitted_to_the_critic_as_it_is():
    agent_ = agent(truncation=False)
    make_constant(surrogates(agent_), 0, 1)
    set_critics(agent_, online=((4, 0), (4, 1)), targets=UNUSED)
    batch = one_transition([0.5, -0.5, 0.75], executed=0.25)  # of values 2, -2, 3 and 1
    assert errors(agent_, batch).tolist() == [[[2**2, 1**2], [(3 - 1) ** 2, 0]]]


def test_an_error_that_a_surrogate_has_at_all_actions_alike_is_no_centred_error():
    for offset, slope, expected in ((0, 4, 0), (100, 4, 0), (0, 6, 3)):  # the actions are 1.5 apart
        agent_ = agent(extra_actors=1)
        set_critics(agent_, online=((4, 0), (4, 0)), targets=UNUSED)
        make_linear(surrogates(agent_), (slope, offset))
        found = agent_.agent.surrogates.diagnose(agent_.agent.critic, one_transition([-0.75, -0.5], executed=1.0))
        assert found["surrogate_error_centred"].item() == pytest.approx(expected)
        assert found["surrogate_error"].item() == pytest.approx(offset + (slope - 4) / 2)


def test_surrogates_can_be_fitted_to_the_target_critics():
    batch = one_transition([0.5, -0.5], executed=0.25)
    for critics, expected in (("online", [[2**2, 2**2]]), ("target", [[8**2, 8**2]])):
        agent_ = agent(extra_actors=1, surrogate_critics=critics)
        make_constant(surrogates(agent_), 0)
        set_critics(agent_, online=((4, 0), (4, 0)), targets=((0, 9), (0, 8)))
        assert errors(agent_, batch).tolist() == [expected]


def test_a_surrogate_is_given_the_actions_before_its_own():
    agent_ = pack("savo", (0,), batch_size=4, extra_actors=3)
    batch = agent_.batch()
    make_constant(agent_.agent.critic.online, 1, 1)  # so that the targets do not depend on the actions
    before = errors(agent_, batch)
    for changed in range(4):
        proto_actions = batch.proto_actions.clone()
        proto_actions[:, :, changed] *= -1
        after = errors(agent_, batch._replace(proto_actions=proto_actions))
        same_at_proposal = [bool(after[0, i, 0] == before[0, i, 0]) for i in range(3)]  # of surrogates 1, 2, 3
        same_at_executed = [bool(after[0, i, 1] == before[0, i, 1]) for i in range(3)]
        assert same_at_proposal == [changed > i for i in (1, 2, 3)]
        assert same_at_executed == [changed >= i for i in (1, 2, 3)]


def test_surrogates_move_towards_their_targets_and_the_critics_stay():
    agent_ = agent(extra_actors=1)
    make_constant(surrogates(agent_), 9)
    make_linear(agent_.agent.critic.online, (4, 0), (4, 0))
    before = agent_.agent.critic.online.flat.clone()
    fit(agent_, one_transition([0.5, -0.5]))
    assert surrogates(agent_).frozen["output.bias"].item() == pytest.approx(8.75)
    assert torch.equal(agent_.agent.critic.online.flat, before)


def landscape_values(agent: Pack, actions: Tensor) -> Tensor:
    """(K,) at the only state, for actions (K,)."""
    return torch.cat(agent.agent.landscape_values(torch.zeros(1, 1, 1), actions.view(1, 1, -1, 1))).flatten()


def test_the_first_actors_landscape_is_the_first_critic_and_the_others_are_the_surrogates():
    agent_ = agent()
    set_critics(agent_, online=((4, 1), UNUSED[1]), targets=UNUSED)
    make_linear(surrogates(agent_), (-2, 0), (0, 7))
    assert landscape_values(agent_, tensor([0.5, 0.25, 0.75])).tolist() == [3, -0.5, 7]


def test_a_surrogates_value_depends_on_the_actions_before_and_no_gradient_flows_to_them():
    agent_ = pack("savo", (0,), extra_actors=3).agent
    obs = torch.linspace(-1, 1, 6).view(1, 2, 3)
    actions = [torch.full((1, 2, 2), value).requires_grad_() for value in (0.1, -0.3, 0.6, 0.9)]
    found = agent_.landscape_values(obs, torch.stack(actions, dim=2))
    for i, network in agent_.surrogates.networks(frozen=True):
        assert torch.equal(found[i], chain.surrogate_value(network, "deepset", obs, [actions[i]], actions[:i]))
        gradients = torch.autograd.grad(found[i].sum(), actions, retain_graph=True, allow_unused=True)
        assert [gradient is not None and bool(gradient.any()) for gradient in gradients] == [j == i for j in range(4)]


def test_exact_values_are_the_critics_truncated_at_the_best_action_before():
    agent_ = agent(extra_actors=3, surrogate="exact")
    set_critics(agent_, online=((4, 0), UNUSED[1]), targets=UNUSED)
    actions = tensor([0.5, -0.5, 0.75, 0.625], requires_grad=True)
    exact = landscape_values(agent_, actions)
    assert exact.tolist() == [2, 2, 3, 3]
    exact.sum().backward()
    assert actions.grad is not None
    assert actions.grad.tolist() == [4, 0, 4, 0]  # below the floor it is flat, and the floor is a constant


def test_without_truncation_exact_values_are_the_critics_and_never_flat():
    agent_ = agent(extra_actors=3, surrogate="exact", truncation=False)
    set_critics(agent_, online=((4, 0), UNUSED[1]), targets=UNUSED)
    actions = tensor([0.5, -0.5, 0.75, 0.625], requires_grad=True)
    exact = landscape_values(agent_, actions)
    assert exact.tolist() == [2, -2, 3, 2.5]
    exact.sum().backward()
    assert actions.grad is not None
    assert actions.grad.tolist() == [4] * 4


def test_every_actor_ascends_its_own_landscape():
    agent_ = agent()
    set_proposals(agent_, 0.5, 0.5, 0.5)
    set_critics(agent_, online=((4, 1), (-9, 0)), targets=UNUSED)
    make_linear(surrogates(agent_), (-2, 3), (5, 0))
    before = surrogates(agent_).flat.clone(), agent_.agent.critic.online.flat.clone()
    assert agent_.agent.update_actors(one_transition([0.0, 0, 0]), {})["actor_loss"].item() == pytest.approx(
        -(3 + 2 + 2.5)
    )
    start = math.atanh(0.5)
    assert agent_.agent.actor.frozen["output.bias"].item() == pytest.approx(start + 0.25)  # Adam's first step is lr
    assert agent_.agent.successive_actors.frozen["output.bias"].flatten().tolist() == pytest.approx(
        [start - 0.25, start + 0.25]
    )
    assert torch.equal(surrogates(agent_).flat, before[0])
    assert torch.equal(agent_.agent.critic.online.flat, before[1])


def test_actors_ascend_from_new_proposals_and_not_from_stored_ones():
    fresh, other = agent(), agent()
    for agent_ in (fresh, other):
        set_proposals(agent_, 0.5, -0.5, 0.25)
    one = fresh.agent.update_actors(one_transition([0.0, 0, 0], executed=0), {})
    two = other.agent.update_actors(one_transition([1.0, 1, 1], executed=1), {})
    assert one["actor_loss"].item() == two["actor_loss"].item()


def test_the_actors_step_leaves_the_gradients_of_critics_and_surrogates_alone():
    agent_ = pack("savo", (0,), batch_size=4)
    stacks = [agent_.agent.critic.online, surrogates(agent_)]
    for stack in stacks:
        stack.grad.fill_(7)
    agent_.agent.update_actors(agent_.batch(), {})
    assert all((stack.grad == 7).all() for stack in stacks)


def test_diversity_is_the_closeness_of_each_pair():
    actions = tensor([[[0.0], [0.5], [1.0]], [[3.0], [3.0], [9.0]]]).view(1, 2, 3, 1)
    near, far = math.exp(-0.5), math.exp(-2)  # at distances of 1 and 2 sigma
    assert savo.diversity_penalty(actions, 0.5).item() == pytest.approx(((2 * near + far) + 1) / 2, abs=1e-6)


def test_diversity_counts_all_dimensions_and_keeps_seeds_apart():
    actions = tensor([[[[0.0, 0], [3, 4]]], [[[1, 1], [1, 1]]]])  # (2 seeds, 1 state, 2 proposals, 2)
    assert savo.diversity_penalty(actions, 5.0).tolist() == pytest.approx([math.exp(-0.5), 1])


def test_diversity_pushes_an_action_away_from_those_before_it_alone():
    actions = tensor([0.0, 0.5]).view(1, 1, 2, 1).requires_grad_()
    savo.diversity_penalty(actions, 0.5).sum().backward()
    assert actions.grad is not None
    first, second = actions.grad.flatten().tolist()
    assert first == 0
    assert second == pytest.approx(-2 * math.exp(-0.5))  # descending it moves the second on, away from the first


def test_diversity_enters_the_actors_loss_with_its_weight():
    agent_ = agent(extra_actors=1, diversity=3.0, diversity_sigma=0.5)
    set_proposals(agent_, 0.25, -0.25)
    make_constant(agent_.agent.critic.online, 1, 99)
    make_constant(surrogates(agent_), 1)
    loss = agent_.agent.update_actors(one_transition([0.0, 0]), {})["actor_loss"].item()
    assert loss == pytest.approx(-2 + 3 * math.exp(-0.5), abs=1e-6)


def test_diagnosis_reports_gain_winners_spread_and_surrogate_errors():
    agent_ = agent()
    set_proposals(agent_, -0.5, 0.5, 0.25)
    set_critics(agent_, online=((4, 0), (4, 1)), targets=UNUSED)
    make_constant(surrogates(agent_), 0, 1)
    metrics = agent_.agent.diagnose(one_transition([0.5, -0.5, 0.75], executed=0.25), {})
    assert {name: round(value.item(), 5) for name, value in metrics.items()} == {
        "q": 2,
        "critic_gap": 1,
        "action_magnitude": round(1.25 / 3, 5),
        "gain": 4,
        "wins_0": 0,
        "wins_1": 1,
        "wins_2": 0,
        "spread": round((1 + 0.75 + 0.25) / 3, 5),
        "surrogate_error": 2,  # of 2 and 2, see the test of the fit
        "surrogate_error_executed": 1.5,  # of 2 and 1
        "surrogate_error_centred": 0.5,  # of 0 and 1
    }
