"""Estimates of time, beside what was measured."""

import itertools
from pathlib import Path

import pytest
from small_cells import cells, one

from savo_bench import algos, envs
from savo_bench.bench import cost
from savo_bench.bench.cells import Pack


def measured_updates() -> list[tuple[str, str, str, float]]:
    """Variant, environment, profile with the sizes, and the milliseconds of the table in docs/performance.md."""
    lines = (Path(__file__).parents[1] / "docs" / "performance.md").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| | Hopper: update"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    rows = [line.strip("| ").split(" | ") for line in table]
    columns = (("hopper", "paper", 1), ("recsim", "quick", 4))
    return [
        (row[0].split("`")[1], environment, profile, float(row[column].split()[0]))
        for row in rows
        for environment, profile, column in columns
    ]


def test_the_table_of_what_each_algorithm_costs_is_read_whole():
    assert len(measured_updates()) == 2 * 13
    assert {name.partition(":")[0] for name, *_ in measured_updates()} == set(algos.names())


@pytest.mark.parametrize(("variant", "environment", "profile", "measured"), measured_updates())
def test_an_update_is_estimated_as_it_was_measured(variant, environment, profile, measured):
    estimated = 1e3 * cost.update_seconds(one(algos=variant, envs=environment, profile=profile))
    assert measured / 1.5 < estimated < measured * 1.5


def test_a_seed_costs_less_in_a_pack():
    # docs/performance.md, "Speed", the fair preset: Stable-Baselines3's steps/s and what ours are of it
    small = cost.update_seconds(one(envs="inverted-pendulum"), 10)
    assert small == pytest.approx(1 / (562 * 3.16), rel=0.3)
    large = cost.update_seconds(one(envs="hopper", profile="paper"), 5)
    assert large == pytest.approx(1 / (114 * 1.95), rel=0.3)


@pytest.mark.parametrize(
    ("items", "neighbours", "measured"),
    [(5_000, 1, 1.8), (100_000, 1, 23), (500_000, 1, 108), (10_000, 100, 22), (500_000, 10, 118), (500_000, 100, 289)],
)
def test_a_search_among_items_is_estimated_as_it_was_measured(items, neighbours, measured):
    # docs/environments.md, "Large catalogues": ms of 256 queries
    variant = f"wolpertinger:candidates={neighbours}"
    box, catalogue = (one(algos=variant, envs=env, profile="ci") for env in ("hopper", f"recsim:items={items}"))
    search = 1e3 * (cost.update_seconds(catalogue) - cost.update_seconds(box)) * 256 / catalogue.config.batch_size
    assert measured / 1.5 < search < measured * 1.5


@pytest.mark.parametrize(("probes", "measured"), [(8, 8), (32, 23), (128, 81), (512, 317)])
def test_an_approximate_search_is_estimated_as_it_was_measured(probes, measured):
    # as above
    variant = f"td3:search=ivf,probes={probes}"
    box = one(algos="td3", envs="hopper", profile="ci")
    catalogue = one(algos=variant, envs="recsim:items=500000", profile="ci")
    search = 1e3 * (cost.update_seconds(catalogue) - cost.update_seconds(box)) * 256 / catalogue.config.batch_size
    assert measured / 1.5 < search < measured * 1.5


def test_an_approximate_search_takes_its_time_beside_a_gpu_too():
    exact, approximate = (
        Pack(one(algos=f"td3{field}", envs="recsim:items=500000"), tuple(range(10)), Path(), "cuda", 60, "inline")
        for field in ("", ":search=ivf")
    )
    on_cpu = 10 * cost.seconds(approximate.cell, pack=10)
    assert 0.5 * on_cpu < cost.pack_seconds(approximate) < on_cpu
    assert cost.pack_seconds(exact) < 0.1 * on_cpu


def test_samples_that_are_snapped_are_searched():
    usual, snapped = (one(algos=f"cem{field}", envs="recsim") for field in ("", ":snap_samples=true"))
    assert algos.get("cem").cost.queries(usual.config) == 3
    assert algos.get("cem").cost.queries(snapped.config) == 3 + 3 * 30
    greedy = one(algos="greedy-ac:snap_samples=true", envs="recsim")
    assert algos.get("greedy-ac").cost.queries(greedy.config) == 1 + 30
    assert cost.update_seconds(snapped) > 10 * cost.update_seconds(usual)


def test_an_evaluation_counts_the_tasks_own_time_limit():
    limits = {"recsim": 20, "recsim-data": 80, "mineworld": 100, "adroit-door": 200, "restricted-hopper": 1_000}
    assert {name: cost.episode(name) for name in limits} == limits
    with_few, with_many = (one(envs="recsim", eval_episodes=episodes) for episodes in (1, 1_001))
    more = cost.seconds(with_many) - cost.seconds(with_few)
    steps = 20 * 1_000 * 20  # 20 evaluations of 1000 more episodes of at most 20 steps
    assert more == pytest.approx(steps * (cost.ACT + envs.get("recsim").step_seconds))


def test_the_whole_benchmark_on_the_papers_budget_takes_some_forty_core_days():
    grid = cells(algos="savo,td3", envs="restricted", profile="paper")
    assert 35 < sum(10 * cost.seconds(cell, pack=10) for cell in grid) / 86_400 < 50


def test_what_is_done_costs_nothing_again():
    cell = one()
    assert cost.seconds(cell, cell.budget.steps) == 0
    assert cost.seconds(cell, cell.budget.steps // 2) < cost.seconds(cell)


def test_makespan_by_hand():
    assert cost.makespan([4, 3, 3], 2) == 6
    assert cost.makespan([4, 3, 3], 1) == 10
    assert cost.makespan([4, 3, 3], 8) == 4


def test_an_algorithm_of_another_package_says_what_its_update_costs(monkeypatch):
    cell = one(envs="recsim", profile="ci")
    usual = cost.update_seconds(cell)
    told = algos.UpdateCost(relative=lambda _: 3.0, queries=lambda _: 5)
    monkeypatch.setattr(algos, "get", lambda name: algos.Entry(name, object, object, "", cost=told))
    search = cost._search_seconds(cell)
    assert cost.update_seconds(cell) - search == pytest.approx(3 * (usual - search / 5))
