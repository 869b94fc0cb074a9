"""Numbers of maxima, spans and gaps, on landscapes whose maxima are known."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from small_agents import CPU, VARIANTS, catalogue, make_linear, pack, random, rngs
from torch import Tensor, tensor

from savo_bench.algos import maxima
from savo_bench.algos.nets import Stack, mlp_spec

pytestmark = pytest.mark.usefixtures("arithmetic_as_in_training")

STATE = torch.zeros(1, 1, 1)  # of one seed


def through(*points: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    """A function of the first dimension that goes through points (action, value) in straight lines."""
    x, y = np.array(points).T

    def values(actions: Tensor) -> Tensor:
        return torch.from_numpy(np.interp(actions[..., 0].numpy(), x, y)).float()

    return values


def found(*points: tuple[float, float]) -> list[tuple[float, float, bool]]:
    """Where on the grid the maxima are, their prominence, and whether they lie on the border."""
    got = maxima.on_grid(through(*points), STATE)
    there = got.prominence[0, 0] > 0
    columns = (got.actions[0, 0, there, 0], got.prominence[0, 0, there], got.border[0, 0, there])
    return [(round(a, 3), round(p, 3), b) for a, p, b in zip(*(column.tolist() for column in columns), strict=True)]


def test_a_grid_finds_every_maximum_with_its_prominence():
    # The way from the lower peak to the higher one goes down to 1: 2 of a span of 4.
    assert found((-1, 0), (-0.5, 3), (0, 1), (0.5, 4), (1, 0)) == [(-0.5, 0.5, False), (0.5, 1, False)]


def test_a_plateau_is_one_maximum_and_counts_at_its_beginning():
    assert found((-1, 0), (-0.5, 2), (0, 2), (0.25, 1), (0.5, 4), (1, 0)) == [(-0.5, 0.25, False), (0.5, 1, False)]


def test_a_shoulder_is_no_maximum():
    assert found((-1, 0), (-0.5, 2), (0, 2), (0.5, 4), (1, 0)) == [(0.5, 1, False)]


def test_borders_count_and_are_said():
    assert found((-1, 4), (0, 0), (1, 2)) == [(-1, 1, True), (1, 0.5, True)]
    assert found((-1, 0), (1, 1)) == [(1, 1, True)]


def test_a_plateau_that_reaches_the_border_lies_on_it_at_either_end():
    assert found((-1, 2), (-0.5, 2), (0, 0), (0.5, 4), (1, 4)) == [(-1, 0.5, True), (0.5, 1, True)]
    assert found((-1, 0), (0, 4), (0.5, 4), (1, 3)) == [(0, 1, False)]


def test_of_equal_maxima_each_counts():
    assert [a for a, _, _ in found((-1, 0), (-0.5, 1), (0, 0), (0.5, 1), (1, 0))] == [-0.5, 0.5]


def test_a_prominence_is_measured_to_the_next_higher_maximum_whatever_lies_between():
    # From 2 the way to 3 goes over 1 and the peak of 1.5, and down to .5.
    peaks = found((-1, 0), (-0.8, 2), (-0.6, 1), (-0.4, 1.5), (0, 0.5), (0.5, 3), (1, 0))
    assert peaks == [(-0.8, 0.5, False), (-0.4, round(0.5 / 3, 3), False), (0.5, 1, False)]


def test_maxima_below_the_threshold_do_not_count():
    landscape = through((-1, 0), (-0.5, 1), (-0.4, 0.96), (0, 2), (1, 0))
    got = maxima.on_grid(landscape, STATE)
    assert got.number().item() == 1
    assert got.number(threshold=0.01).item() == 2
    assert (got.highest.item(), got.span.item()) == (2, 2)


@pytest.mark.parametrize("level", [0.0, 600.0])
def test_what_is_flat_has_one_maximum(level: float):
    got = maxima.on_grid(lambda actions: level + 1e-7 * level * torch.sin(99 * actions[..., 0]), STATE)
    assert got.number().item() == 1
    assert got.prominence.isfinite().all()


def test_states_and_seeds_keep_apart():
    slopes = tensor([[1.0, -1, 0.5], [2, -3, -1]])  # (2 seeds, 3 states)
    got = maxima.on_grid(lambda actions: slopes.unsqueeze(-1) * actions[..., 0], slopes)
    assert got.highest.tolist() == [[1, 1, 0.5], [2, 3, 1]]
    assert got.span.tolist() == [[2, 2, 1], [4, 6, 2]]
    assert got.prominence.argmax(-1).tolist() == [[200, 0, 200], [200, 0, 0]]


def hills(centres: Sequence[Sequence[float]], heights: Sequence[float], width: float) -> Callable[[Tensor], Tensor]:
    """The highest of some round hills; each is a maximum where no other reaches."""
    at, high = torch.tensor(centres), torch.tensor(heights)

    def values(actions: Tensor) -> Tensor:
        squares = (actions.unsqueeze(-2) - at).square().sum(-1)
        return (high * torch.exp(-squares / (2 * width**2))).amax(-1)

    return values


def apart(count: int, dims: int, width: float, rng: np.random.Generator) -> np.ndarray:
    """Random points in the box that are at least four widths apart."""
    points: list[np.ndarray] = []
    while len(points) < count:
        drawn = rng.uniform(-0.85, 0.85, dims)
        points += [drawn] if all(np.linalg.norm(drawn - other) > 4 * width for other in points) else []
    return np.array(points, np.float32)


@pytest.mark.parametrize(("dims", "count", "width"), [(2, 1, 0.2), (2, 8, 0.15), (3, 8, 0.2), (6, 8, 0.25)])
def test_ascents_find_the_hills_of_random_landscapes(dims: int, count: int, width: float):
    counted = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        centres, heights = apart(count, dims, width, rng), rng.uniform(0.5, 1, count).astype(np.float32)
        got = maxima.by_ascents(hills(centres.tolist(), heights.tolist(), width), STATE, dims)
        counted.append(got.number().item())
        assert got.highest.item() == pytest.approx(heights.max(), abs=0.01)
        assert got.span.item() == pytest.approx(heights.max(), abs=0.02)  # the valleys are at 0
    assert counted == [count] * 5


def test_in_many_dimensions_ascents_miss_hills_but_invent_none():
    counted = []
    for seed in range(10):
        centres = apart(4, 17, 0.5, np.random.default_rng(seed))
        landscape = hills(centres.tolist(), [0.7, 0.8, 0.9, 1.0], 0.5)
        counted.append(maxima.by_ascents(landscape, STATE, 17).number().item())
    assert max(counted) == 4
    assert sum(counted) >= 35  # of 40


def test_ascents_end_on_the_border_and_descents_give_the_lowest_value():
    got = maxima.by_ascents(lambda actions: actions.sum(-1), STATE, 3)
    assert got.actions.amin().item() == 1
    assert (got.highest.item(), got.span.item()) == (3, 6)
    assert (got.number().item(), got.border.all().item()) == (1, True)


def test_ends_on_a_ridge_are_one_maximum():
    got = maxima.by_ascents(lambda actions: -actions[..., 0].abs() + 0 * actions[..., 1], STATE, 2)
    assert got.number().item() == 1  # every ascent ends elsewhere on it


def test_a_corner_of_each_side_is_found():
    got = maxima.by_ascents(lambda actions: actions.square().sum(-1), STATE, 3)
    assert got.number().item() == 8


def test_starting_points_lie_in_the_box_and_are_the_same_each_time():
    for dims in (2, 100):
        points = maxima.starting_points(32, dims)
        assert points.abs().amax() < 1
        assert len(points.unique(dim=0)) == 32
        maxima.starting_points.cache_clear()
        assert torch.equal(points, maxima.starting_points(32, dims))


def critic(seeds: Sequence[int], inputs: int, hidden: tuple[int, ...] = (33, 17)) -> Stack:
    made = Stack.initialise(mlp_spec(inputs, hidden, 1), rngs(*seeds), 1, CPU)
    made.flat.mul_(3)  # more of its edges matter
    return made


@pytest.mark.parametrize("dims", [1, 2, 5])
@pytest.mark.parametrize("states", [1, 7, 45])
def test_a_seed_gets_the_same_bits_alone_and_in_any_pack(dims: int, states: int):
    obs, proposals = random(6, states, 4), random(6, states, 3, dims, seed=1).clamp(-1, 1)
    together = maxima.gaps(critic(range(6), 4 + dims), obs, proposals)
    whole = maxima.of_critic(critic(range(6), 4 + dims), obs, dims)
    for seeds in ([2], [5, 0], [1, 2, 3]):
        alone = maxima.gaps(critic(seeds, 4 + dims), obs[seeds], proposals[seeds])
        for name, value in alone.items():
            assert torch.equal(value, together[name][seeds]), name
        part = maxima.of_critic(critic(seeds, 4 + dims), obs[seeds], dims)
        for one, other in zip(part, whole, strict=True):
            assert torch.equal(one, other[seeds])


def test_nothing_is_drawn_from_a_global_generator():
    before = torch.random.get_rng_state()
    maxima.starting_points.cache_clear()
    maxima.gaps(critic([0], 6), random(1, 9, 4), torch.zeros(1, 9, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())


def test_in_two_dimensions_ascents_reach_what_a_fine_grid_finds():
    network, obs = critic(range(3), 6), random(3, 8, 4)
    got = maxima.of_critic(network, obs, 2)
    axis = torch.linspace(-1, 1, 101)
    grid = torch.cartesian_prod(axis, axis).expand(3, 8, -1, -1)
    values = maxima._values_of(network, obs)(grid)
    assert ((values.amax(-1) - got.highest) / got.span).amax() < 0.01
    assert ((values.amin(-1) - (got.highest - got.span)) / got.span).amin() > -0.01


def linear(slope: float) -> Stack:
    made = Stack.initialise(mlp_spec(2, (2,), 1), rngs(0), 1, CPU)
    make_linear(made, (slope, 7.0))
    return made


def test_gaps_are_shares_of_the_span():
    proposals = tensor([[0.5, 0.0], [1.0, 1.0], [0.9, 0.5]]).view(1, 3, 2, 1)
    got = maxima.gaps(linear(50.0), torch.zeros(1, 3, 1), proposals)  # the span is 100
    assert list(got) == list(maxima.COLUMNS)
    assert {name: value.item() for name, value in got.items()} == pytest.approx(
        {"maxima": 1, "stuck": 1 / 3, "first_gap": (0.25 + 0 + 0.05) / 3, "best_gap": (0.25 + 0 + 0.05) / 3}, abs=1e-6
    )
    swapped = maxima.gaps(linear(50.0), torch.zeros(1, 3, 1), proposals.flip(2))
    assert swapped["first_gap"].item() == pytest.approx((0.5 + 0 + 0.25) / 3)
    assert swapped["best_gap"].item() == pytest.approx(got["best_gap"].item())
    assert swapped["stuck"].item() == pytest.approx(2 / 3)


def test_on_a_catalogue_the_best_item_is_the_highest():
    items = catalogue([-0.5, 0.25, 0.75], 1)
    got = maxima.gaps(linear(4.0), torch.zeros(1, 3, 1), tensor([-0.5, 0.25, 0.75]).view(1, 3, 1, 1), items)
    assert np.isnan(got.pop("maxima").item())
    gap = (1 + 0.5 / 1.25 + 0) / 3
    assert {name: value.item() for name, value in got.items()} == pytest.approx(
        {"stuck": 2 / 3, "first_gap": gap, "best_gap": gap}
    )


def test_of_a_large_catalogue_some_items_are_valued_and_a_better_proposal_counts():
    vectors = np.zeros(2_500)
    vectors[[0, 2_499]] = -0.5, 0.5  # the first and the last item are among those that are valued
    vectors[1] = 0.75
    items = catalogue(vectors.tolist(), 1)
    assert items is not None
    highest, lowest = maxima.of_items(linear(4.0), torch.zeros(1, 1, 1), items)
    assert (highest.item(), lowest.item()) == (9, 5)
    got = maxima.gaps(linear(4.0), torch.zeros(1, 1, 1), tensor(0.75).view(1, 1, 1, 1), items)
    assert got["first_gap"].item() == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_algorithm_tells_its_gaps_and_changes_nothing(variant: str):
    name, fields, items = VARIANTS[variant]
    made = pack(name, (0, 1), items=items, **fields)
    made.update(2)
    before = {network: stack.flat.clone() for network, stack in made.agent.networks.items()}
    grads = {network: stack.grad.clone() for network, stack in made.agent.networks.items() if stack.grad is not None}
    got = made.agent.gaps(made.batch(), made.noise("update"))
    assert list(got) == list(maxima.COLUMNS)
    for column, value in got.items():
        assert value.shape == (2,)
        assert value.isnan().all() if column == "maxima" and items else (value >= 0).all()
        assert not value.requires_grad
    assert (got["best_gap"] <= got["first_gap"]).all()
    for network, stack in made.agent.networks.items():
        assert torch.equal(stack.flat, before[network])
        assert stack.grad is None or torch.equal(stack.grad, grads[network])
