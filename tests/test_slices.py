"""Q and surrogates at any actions, on critics that are linear in the action."""

import pytest
import torch
from small_agents import UNUSED, make_linear, set_critics, tiny

from savo_bench.algos import slices
from savo_bench.algos.nets import q_values
from savo_bench.algos.slices import q_slice, surrogate_slices

OBS = torch.zeros(1, 2, 1)  # two states
ACTIONS = torch.tensor([-1.0, -0.25, 0.5, 1.0]).view(1, 1, 4, 1).expand(1, 2, 4, 1)
PROPOSALS = torch.tensor([0.25, -1.0, 0.5]).view(1, 1, 3, 1).expand(1, 2, 3, 1)


def linear(**fields):
    """SAVO with Q_1 = 4 a, the smaller critic 2 a - 1, and the surrogates 3 a and -a + 1."""
    made = tiny("savo", extra_actors=2, **fields)
    set_critics(made, online=((4, 0), (2, -1)), targets=UNUSED)
    make_linear(made.agent.surrogates.extra, (3, 0), (-1, 1))
    return made.agent


def test_q_is_that_of_the_first_critic():
    assert q_slice(linear(), OBS, ACTIONS).tolist() == [[[-4, -1, 2, 4]] * 2]


def test_surrogates_stand_beside_what_they_are_fitted_to():
    first, second = surrogate_slices(linear(), OBS, PROPOSALS, PROPOSALS, ACTIONS)
    assert (first.actor, second.actor) == (1, 2)
    smaller = torch.tensor([-4.0, -1.5, 0.0, 1.0])  # min(4 a, 2 a - 1)
    floor = -0.5  # of the first proposal, .25; the second, -1, lies below it
    assert first.floor is not None
    assert second.floor is not None
    assert first.floor.tolist() == second.floor.tolist() == [[floor] * 2]
    for each, learnt in ((first, 3 * ACTIONS), (second, 1 - ACTIONS)):
        assert each.exact.tolist() == [[smaller.clamp(min=floor).tolist()] * 2]
        torch.testing.assert_close(each.learnt, learnt[..., 0])


def test_the_critics_value_the_actions_once_for_all_surrogates(monkeypatch):
    valued = []

    def counting(critic, obs, actions):
        valued.append(actions.shape[2])
        return q_values(critic, obs, actions)

    monkeypatch.setattr(slices, "q_values", counting)
    assert len(surrogate_slices(linear(), OBS, PROPOSALS, PROPOSALS, ACTIONS)) == 2
    assert sorted(valued) == [3, 4]  # the proposals and the actions


def test_without_truncation_there_is_no_floor():
    for each in surrogate_slices(linear(truncation=False), OBS, PROPOSALS, PROPOSALS, ACTIONS):
        assert each.floor is None
        assert each.exact.tolist() == [[[-4, -1.5, 0, 1]] * 2]


@pytest.mark.parametrize(("name", "fields"), [("td3", {}), ("savo", {"surrogate": "exact"}), ("savo", {"joint": True})])
def test_who_has_no_surrogates_of_the_chain_has_none_to_show(name: str, fields: dict):
    made = tiny(name, **fields)
    assert surrogate_slices(made.agent, OBS, PROPOSALS, PROPOSALS, ACTIONS) == []


def test_on_a_catalogue_the_first_actor_has_a_surrogate_without_a_floor():
    made = tiny("savo", items=[-1.0, 0.0, 1.0], extra_actors=1)
    set_critics(made, online=((4, 0), (4, 0)), targets=UNUSED)
    first, second = surrogate_slices(made.agent, OBS, PROPOSALS[:, :, :2], PROPOSALS[:, :, :2], ACTIONS)
    assert (first.actor, first.floor, second.actor) == (0, None, 1)
    assert first.exact.tolist() == [[[-4, -1, 2, 4]] * 2]
