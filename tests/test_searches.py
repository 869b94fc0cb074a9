"""Ascents in place of actors, on critics and surrogates that are linear in the action."""

import pytest
import torch
from small_agents import UNUSED, make_linear, set_critics, tiny

from savo_bench.algos import maxima
from savo_bench.algos.searches import Climbed, proposals_of
from savo_bench.algos.slices import surrogates_of

OBS = torch.zeros(1, 2, 1)  # two states
STARTS = maxima.starting_points(2, 1).flatten().tolist()


@pytest.mark.parametrize(
    ("climbed", "first", "last"),
    [
        ("independent", 0.25, 1.0),  # Q_1 = 4 a
        ("learnt", 0.25, -1.0),  # the second surrogate, 1 - a
        ("exact", 0.25, 1.0),  # the smaller critic 2 a - 1, above the floor -.5 where the ascent begins
        ("exact", 1.0, STARTS[1]),  # below the floor there is no slope
    ],
)
def test_an_ascent_climbs_what_it_is_told_to(climbed: Climbed, first: float, last: float):
    made = tiny("savo", extra_actors=2)
    set_critics(made, online=((4, 0), (2, -1)), targets=UNUSED)
    make_linear(made.agent.surrogates.extra, (3, 0), (-1, 1))
    proposals = torch.tensor([first, -0.3, -0.6]).view(1, 1, 3, 1).expand(1, 2, 3, 1)
    found = proposals_of(made.agent, OBS, proposals, climbed)
    assert found.shape == proposals.shape
    assert found[0, :, 0, 0].tolist() == [pytest.approx(first)] * 2  # the first actor keeps its own
    assert found[0, :, 2, 0].tolist() == [pytest.approx(last, abs=0.01)] * 2


def test_only_savo_has_surrogates():
    assert surrogates_of(tiny("savo", extra_actors=2).agent) == [1, 2]
    assert surrogates_of(tiny("ensemble").agent) == []
    made = tiny("ensemble")
    set_critics(made, online=((4, 0), (2, -1)), targets=UNUSED)
    found = proposals_of(made.agent, OBS, torch.full((1, 2, 4, 1), -0.5), "independent")
    assert found[0, :, 1:, 0].max() == 1
