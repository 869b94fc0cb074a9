"""Numbers of maxima of Ψ and of surrogates, on critics whose maxima are known; truncation never adds one."""

import itertools
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import torch
from scipy import ndimage
from small_agents import make_linear, make_through, pack, random, tiny
from torch import Tensor, tensor

from savo_bench.algos import maxima
from savo_bench.algos.chain import floors, truncate
from savo_bench.algos.ruggedness import of_surrogates
from savo_bench.envs.landscape import landscape

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")

OBS = torch.zeros(1, 2, 1)  # two states
THREE = [(-1.0, 0.0), (-0.75, 4.0), (-0.5, 1.0), (-0.25, 6.0), (0.25, 2.0), (0.5, 10.0), (1.0, 8.0)]  # a span of 10


def savo(learnt: Sequence[Sequence[tuple[float, float]]], q2: Sequence[tuple[float, float]] = THREE, **fields):
    """SAVO with Q_1 through THREE, which has maxima of 4, 6 and 10, and with these surrogates."""
    agent = tiny("savo", hidden=(6,), extra_actors=len(learnt), **fields).agent
    make_through(agent.critic.online, THREE, q2)
    make_through(agent.surrogates.extra, *learnt)
    return agent


def counted(agent, *actions: float) -> list[tuple[int, int, int, int, int]]:
    """Of each surrogate: its actor, maxima of Ψ and how many on the border, and the same of Ψ̂; of proposed actions."""
    proposals = tensor(actions).view(1, 1, -1, 1).expand(1, 2, -1, 1)
    span = maxima.of_critic(agent.critic.first, OBS, 1).span
    assert span.tolist() == [[10, 10]]
    rows = []
    for each in of_surrogates(agent, OBS, proposals, span):
        numbers = [f for found in (each.exact, each.learnt) for f in (found.number(), found.number_on_border())]
        assert all(number.shape == (1, 2) and number[0, 0] == number[0, 1] for number in numbers)
        rows.append((each.actor, *(int(number[0, 0]) for number in numbers)))
    return rows


def test_a_surrogate_has_the_maxima_above_its_floor_and_a_learnt_one_its_own():
    waves = [(-1.0, 3.0), (-0.5, 0.0), (0.0, 2.0), (1.0, 1.0)]  # two maxima, one of them on the border
    flat = [(-1.0, 5.0), (1.0, 5.4)]  # rises by less than 5 % of the span of Q
    rising = [(-1.0, 0.0), (1.0, 5.0)]
    agent = savo([waves, flat, rising])
    # Q of the proposals is 2, 4, 6 and 0: the floors are 2, 4 and 6. A peak as high as the floor is a part of it.
    assert counted(agent, 0.25, -0.75, -0.25, -1.0) == [(1, 3, 0, 2, 1), (2, 2, 0, 1, 0), (3, 1, 0, 1, 1)]


def test_where_nothing_rises_above_the_floor_it_is_one_plateau():
    assert counted(savo([THREE]), 0.5, 0.0) == [(1, 1, 0, 3, 0)]


def test_a_maximum_that_rises_little_above_the_floor_does_not_count():
    action = -0.5 + 0.25 * (5.6 - 1) / 5  # Q is 5.6 there, less than 5 % of the span below the maximum of 6
    assert counted(savo([THREE]), action, 0.0) == [(1, 1, 0, 3, 0)]


def test_the_smaller_critic_decides_and_borders_are_said():
    high = [(-1.0, 20.0), (1.0, 20.0)]
    assert counted(savo([THREE], q2=high), -1.0, 0.0)[0][1:3] == (3, 0)
    rising = [(-1.0, -20.0), (1.0, 7.0)]  # min(Q_1, Q_2) rises to 7 at the border
    assert counted(savo([THREE], q2=rising), -1.0, 0.0)[0][1:3] == (1, 1)


def test_without_truncation_there_is_no_floor():
    assert counted(savo([THREE, THREE], truncation=False), 0.5, 0.5, 0.5) == [(1, 3, 0, 3, 0), (2, 3, 0, 3, 0)]


@pytest.mark.parametrize(("name", "fields"), [("td3", {}), ("ensemble", {}), ("savo", {"surrogate": "exact"})])
def test_who_has_no_surrogates_has_none_to_count(name: str, fields: dict):
    agent = tiny(name, **fields).agent
    assert of_surrogates(agent, OBS, torch.zeros(1, 2, 4, 1), torch.ones(1, 2)) == []


@pytest.mark.parametrize("dims", [1, 3])
def test_a_seed_gets_the_same_bits_alone_and_in_any_pack(dims: int):
    obs, proposals = random(3, 20, 3), random(3, 20, 3, dims, seed=1).clamp(-1, 1)

    def found(seeds: list[int]) -> list[Tensor]:
        agent = pack("savo", seeds, action_dim=dims, extra_actors=2).agent
        span = torch.ones(len(seeds), 20)
        each = of_surrogates(agent, obs[seeds], proposals[seeds], span)
        return [part for one in each for part in (*one.exact, *one.learnt)]

    for alone, together in zip(found([1]), found([0, 1, 2]), strict=True):
        assert torch.equal(alone[0], together[1])


def test_in_many_dimensions_a_surrogate_is_counted_by_ascents():
    agent = pack("savo", (0,), obs_dim=1, action_dim=3, hidden=(2,), extra_actors=1).agent
    make_linear(agent.surrogates.extra, (3, 0))
    (found,) = of_surrogates(agent, OBS, torch.zeros(1, 2, 2, 3), torch.ones(1, 2))
    assert (found.learnt.number().tolist(), found.learnt.number_on_border().tolist()) == ([[1, 1]], [[1, 1]])


# The theorem of arXiv:2410.11833v2. Maxima are counted here by other code, by the definition alone: a plateau, that is
# connected points of one value, is a maximum if all points beside it are lower; the whole box is one, too.


def strict_maxima(values: np.ndarray) -> int:
    """How many plateaus of a grid of one or two dimensions have only lower points beside them."""
    beside = ndimage.generate_binary_structure(values.ndim, 1)
    count = 0
    for value in np.unique(values):
        plateaus, number = cast("tuple[np.ndarray, int]", ndimage.label(values == value, beside))
        for index in range(1, number + 1):
            plateau = plateaus == index
            around = ndimage.binary_dilation(plateau, beside) & ~plateau
            count += bool((values[around] < value).all())
    return count


def chain(values: Tensor, rng: np.random.Generator, actors: int = 5) -> list[Tensor]:
    """Q on a grid, and the Ψ_i that random earlier actions make of it."""
    earlier = values.flatten()[torch.from_numpy(rng.integers(values.numel(), size=actors))]
    return [values, *(truncate(values, floor) for floor in floors(earlier.view(1, 1, -1)).flatten())]


def test_in_one_dimension_truncation_never_adds_a_maximum():
    fewer = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        levels = [3, 8, 1000][seed % 3]  # few levels make plateaus, also beside the floor
        values = torch.from_numpy(rng.integers(levels, size=rng.integers(1, 40)).astype(np.float32))
        numbers = [strict_maxima(each.numpy()) for each in chain(values, rng)]
        assert numbers == sorted(numbers, reverse=True)
        assert numbers[-1] >= 1
        fewer += numbers[-1] < numbers[0]
    assert fewer > 100  # it does something


def test_in_two_dimensions_truncation_never_adds_a_maximum():
    axis = np.linspace(-1, 1, 25)
    fewer = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        q = landscape(dims=2, peaks=8, width=0.2, landscape_seed=seed)
        context = rng.uniform(-1, 1, 2)
        values = np.array([[q.value(context, (x, y))[0] for x in axis] for y in axis])
        if seed % 2:
            values = values.round(0)  # with plateaus
        numbers = [strict_maxima(each.numpy()) for each in chain(torch.from_numpy(values), rng)]
        assert numbers == sorted(numbers, reverse=True)
        fewer += numbers[-1] < numbers[0]
    assert fewer > 10


def test_the_maxima_of_a_truncated_landscape_are_those_that_a_search_of_it_finds():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        points = torch.from_numpy(rng.integers(6, size=(1, 3, maxima.GRID)).astype(np.float32))
        floor = torch.from_numpy(rng.integers(6, size=(1, 3)).astype(np.float32))
        found = maxima.on_grid(lambda _, values=points: values, points)
        cut = maxima.on_grid(lambda _, values=points, low=floor: truncate(values, low.unsqueeze(-1)), points)
        got = found.truncated(floor, cut.span)
        assert torch.equal(got.values, cut.values)
        assert torch.equal(got.highest, cut.highest)
        for threshold in (0.01, 0.3):
            assert torch.equal(got.number(threshold), cut.number(threshold))
        numbers = [found.truncated(floor + step, found.span).number() for step in range(6)]
        assert all((later <= earlier).all() for earlier, later in itertools.pairwise(numbers))
        for state in range(3):
            assert got.number(0.01)[0, state] == strict_maxima(cut.values[0, state].numpy())
