"""The run directory of a name: found, asked for, and not mixed."""

import json
from pathlib import Path
from typing import Any

import pytest

from savo_bench.bench import options, resolving, run_directory
from savo_bench.bench.cells import Cell, seed_folder
from savo_bench.bench.errors import UserError
from savo_bench.results.format import SeedFolder, read_asked


@pytest.fixture(scope="module")
def cell() -> Cell:
    return asked_for()[0]


def begun(root: Path, cell: Cell, seed: int) -> SeedFolder:
    folder = seed_folder(root, cell, seed)
    folder.write_run(cell.spec(seed), {})
    return folder


def test_asking_again_adds_no_line_and_more_seeds_add_one(tmp_path, cell):
    path = tmp_path / "restricted-hopper" / "td3" / "asked.jsonl"
    run_directory.ask(tmp_path, [cell], [0, 1])
    run_directory.ask(tmp_path, [cell], [0, 1])
    assert len(path.read_text().splitlines()) == 1
    run_directory.ask(tmp_path, [cell], [1, 2])
    assert [json.loads(line)["seeds"] for line in path.read_text().splitlines()] == [[0, 1], [2]]
    path.write_text(path.read_text() + '{"seeds": [9')  # torn
    assert read_asked(path.parent) == ("restricted-hopper", "td3", (0, 1, 2), ())


def asked_for(**given: Any) -> tuple[Cell, ...]:
    usual: dict[str, Any] = {"algos": "td3", "envs": "restricted-hopper", "profile": "ci"}
    return resolving.cells(options.Options(**usual | given))


def test_a_cell_with_another_config_is_refused_naming_the_field_both_values_and_the_mend(tmp_path, cell):
    begun(tmp_path, cell, 0)
    with pytest.raises(UserError) as caught:
        run_directory.check_specs(tmp_path, asked_for(steps=100))
    message = str(caught.value)
    for part in ("budget.steps=8000", "not 100", "--name", "delete", "restricted-hopper/td3"):
        assert part in message
    with pytest.raises(UserError, match=r"budget\.profile=ci, not quick"):
        run_directory.check_specs(tmp_path, asked_for(profile="quick"))


def test_a_cell_of_a_version_with_fewer_fields_is_refused_naming_them(tmp_path, cell):
    spec = cell.spec(0)
    for field in ("actor_hidden", "epsilon"):
        del spec["algorithm"]["config"][field]
    seed_folder(tmp_path, cell, 0).write_run(spec, {})
    named = r"was trained with no algorithm\.config\.actor_hidden and no algorithm\.config\.epsilon: take"
    with pytest.raises(UserError, match=named):
        run_directory.check_specs(tmp_path, asked_for())


def test_more_seeds_and_other_cells_are_welcome(tmp_path, cell):
    begun(tmp_path, cell, 0)
    run_directory.check_specs(tmp_path, asked_for())
    run_directory.check_specs(tmp_path, asked_for(algos="td3:lr=0.5", steps=100))
    run_directory.check_specs(tmp_path, asked_for(envs="restricted-ant", steps=100))


def test_an_unreadable_seed_does_not_stand_for_its_cell(tmp_path, cell):
    begun(tmp_path, cell, 0).run_json.write_text("{")
    run_directory.check_specs(tmp_path, asked_for(steps=100))


def test_an_unknown_name_gets_the_nearest(tmp_path):
    (tmp_path / "savo-2").mkdir()
    with pytest.raises(UserError, match="did you mean savo-2"):
        run_directory.find(tmp_path, "savo-1")
    with pytest.raises(UserError, match="there is none"):
        run_directory.find(tmp_path / "no", "savo-1")
