"""The identity of a cell, and packs."""

import json
import pickle
from dataclasses import asdict
from pathlib import Path

from small_cells import one, opted

from savo_bench.bench import packing
from savo_bench.bench.cells import Budget
from savo_bench.bench.packing import Todo
from savo_bench.results.format import spec_hash


def test_a_spec_holds_the_whole_config_and_survives_json():
    cell = one(algos="savo:hidden=32-16", envs="restricted-hopper:balls=990")
    spec = cell.spec(3)
    assert spec["environment"] == {
        "name": "restricted-hopper",
        "id": "SavoBench/RestrictedHopper-v0",
        "keywords": {"balls": 990},
    }
    assert spec["algorithm"]["variant"] == "savo:hidden=32-16"
    assert set(spec["algorithm"]["config"]) == set(asdict(cell.config))
    assert spec["seed"] == 3
    assert json.loads(json.dumps(spec)) == spec


def test_every_field_of_a_config_and_of_a_budget_is_part_of_the_identity():
    base = spec_hash(one(algos="savo").spec(0))
    for variant in ("savo:extra_actors=1", "savo:lr=0.5", "savo:hidden=8", "savo:joint=true"):
        assert spec_hash(one(algos=variant).spec(0)) != base
    for given in ({"steps": 100}, {"eval_every": 7}, {"eval_episodes": 9}, {"envs": "restricted-hopper:balls=9"}):
        assert spec_hash(one(algos="savo", **given).spec(0)) != base
    assert spec_hash(one(algos="savo").spec(1)) != base


def test_a_pack_survives_pickling_and_knows_its_folders():
    (pack,) = packing.packs([Todo(one(algos="savo:extra_actors=5"), 3, 0)], opted(runs=Path("r"), name="n"), "cpu", 1)
    again = pickle.loads(pickle.dumps(pack))
    assert again == pack
    assert again.key == ("restricted-hopper", "savo:extra_actors=5", (3,))
    assert again.with_seeds((4, 5)).key == ("restricted-hopper", "savo:extra_actors=5", (4, 5))
    assert again.folder(3) == Path("r/n/restricted-hopper/savo__extra_actors-5/seed-0003")


def test_gaps_are_measured_once_an_evaluation_and_at_the_end():
    def rows(steps: int, eval_every: int) -> list[int]:
        made = Budget("quick", steps, eval_every, 1)
        return [step for step in range(made.log_every, made.steps + 1, made.log_every) if made.gaps_at(step)]

    assert rows(50_000, 2_500) == list(range(2_500, 50_001, 2_500))
    assert rows(400, 150) == [150, 300, 400]
    assert rows(1_000, 333) == [335, 670, 1_000]  # rows are 5 steps apart; 999 and 1 000 are both evaluations
    assert rows(400, 1) == list(range(2, 401, 2))  # evaluations are nearer to each other than rows


def test_train_csv_gets_at_most_two_hundred_rows():
    assert [Budget("quick", steps, 1, 1).log_every for steps in (1, 199, 400, 50_000)] == [1, 1, 2, 250]
