"""The controls of a headline: which they are, and that they differ from it in one cause alone."""

from dataclasses import replace
from typing import Any

import pytest

from savo_bench import algos
from savo_bench.algos import flops
from savo_bench.algos.agent import Spaces
from savo_bench.bench import controls, resolving, run_directory
from savo_bench.bench.cells import AnyConfig, Cell
from savo_bench.bench.options import Options
from savo_bench.results.format import cells_asked

BOX, ITEMS = "restricted-inverted-pendulum", "recsim:items=50"


def cells(algos: str, environments: str, **options: object) -> list[Cell]:
    return list(resolving.cells(Options(algos=algos, envs=environments, controls=True, **options)))  # type: ignore[arg-type]


def variants(algos: str, environments: str) -> list[str]:
    return [cell.variant for cell in cells(algos, environments)]


def test_beside_savo_in_a_box_stand_td3_ensembles_and_its_ablations():
    assert variants("savo", BOX) == [
        "savo",
        "td3",
        "ensemble",
        "ensemble:extra_actors=25",
        "savo:conditioning=none",
        "savo:truncation=false",
    ]


def test_beside_savo_on_items_stand_those_with_a_critic_of_proto_actions():
    assert variants("savo", ITEMS) == ["savo", "savo:extra_actors=0", "wolpertinger:dual=true"]


def test_each_environment_has_the_controls_of_its_kind():
    found = [cell.key for cell in cells("savo", f"{BOX},{ITEMS}")]
    assert len(found) == 6 + 3
    assert (ITEMS, "td3") not in found


def test_a_control_has_the_fields_of_its_headline_where_it_takes_them():
    assert variants("savo:extra_actors=5,tau=0.01,summariser=lstm", BOX) == [
        "savo:tau=0.01,extra_actors=5,summariser=lstm",
        "td3:tau=0.01",
        "ensemble:tau=0.01,extra_actors=5",
        "ensemble:tau=0.01,extra_actors=612",  # of an LSTM as wide as the networks
        "savo:tau=0.01,extra_actors=5,conditioning=none",
        "savo:tau=0.01,extra_actors=5,truncation=false,summariser=lstm",
    ]


def test_what_is_asked_for_twice_is_trained_once():
    assert len(variants("savo,td3,ensemble", BOX)) == 6


@pytest.mark.parametrize(
    ("algos", "environment"),
    [("savo", BOX), ("savo:extra_actors=1,lr=0.01", BOX), ("savo", ITEMS), ("greedy-ac", BOX), ("td3", BOX)],
)
def test_what_is_written_down_as_controls_is_what_the_option_trains(tmp_path, algos: str, environment: str):
    headline, *beside = cells(algos, environment)
    run_directory.ask(tmp_path, [resolving.with_controls(headline)], [0])
    (asked,) = cells_asked(tmp_path)
    assert list(asked.controls) == [cell.variant for cell in beside]


def test_a_variant_is_no_control_of_itself():
    assert "savo:truncation=false" not in resolving.with_controls(cells("savo:truncation=false", BOX)[0]).controls


def test_without_the_option_there_are_none():
    assert [cell.variant for cell in resolving.cells(Options(algos="savo", envs=BOX))] == ["savo"]


def per_state(name: str, config: AnyConfig, spaces: Spaces) -> float:
    """FLOPs of an update for one state of its batch."""
    return flops.of_update(flops.Trial(algos.get(name), replace(config, batch_size=2), spaces)) / 2


@pytest.mark.parametrize(
    "fields",
    [
        {"extra_actors": 1},
        {"hidden": (64, 64)},
        {"hidden": (64, 32), "actor_hidden": (16, 16, 16), "policy_delay": 3},
        {"extra_actors": 5, "conditioning": "none", "target_noise": 0.2},
        {"summariser": "lstm", "summary_hidden": 16},
        {"surrogate": "exact"},
    ],
    ids=str,
)
def test_the_larger_ensemble_computes_what_savo_does_as_nearly_as_a_number_of_actors_can(fields: dict[str, Any]):
    spaces = Spaces(7, 4)
    headline = algos.get("savo").config(**fields)
    count = controls.equal_compute(headline, spaces)
    shared = {key: value for key, value in fields.items() if hasattr(algos.get("ensemble").config, key)}
    fewer, same, more = (
        per_state("ensemble", algos.get("ensemble").config(**shared | {"extra_actors": count + by}), spaces)
        for by in (-1, 0, 1)
    )
    assert abs(per_state("savo", headline, spaces) - same) <= (more - same) / 2
    assert more - same == pytest.approx(same - fewer)


def test_savo_without_extra_actors_computes_what_an_ensemble_without_them_does():
    assert controls.equal_compute(algos.get("savo").config(extra_actors=0), Spaces(7, 4)) == 0


def test_equal_compute_depends_on_the_widths_and_on_the_task():
    config = algos.get("savo").config
    small, large = config(hidden=(64, 64)), config(hidden=(256, 256))
    assert controls.equal_compute(small, Spaces(11, 3)) > controls.equal_compute(large, Spaces(11, 3))
    assert controls.equal_compute(small, Spaces(11, 3)) != controls.equal_compute(small, Spaces(100, 40))


def test_every_control_is_a_variant_that_there_is():
    for name, listed in controls.CONTROLS.items():
        usual = algos.get(name).config()
        for control in listed:
            made = algos.get(control.algorithm).config(**control.values(usual, controls.NOMINAL))
            assert made != usual, name
            assert set(control.kinds) <= set(controls.KINDS)
            assert set(control.drops) <= set(resolving.field_types(type(usual)))
