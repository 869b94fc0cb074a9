"""Which seeds of a pack a process trains, and what it records of them."""

import dataclasses

import pytest
from small_runs import cell, one_thread, pack

from savo_bench.bench import train
from savo_bench.bench.errors import UserError
from savo_bench.results.format import SeedFolder
from savo_bench.results.lock import holding
from savo_bench.results.state import state_of

__all__ = ["one_thread"]  # a fixture


def test_another_config_in_the_same_folder_is_refused_with_the_field_named(tmp_path):
    train.train_pack(pack(tmp_path, cell("td3", steps=80), 0))
    with pytest.raises(UserError, match=r"budget\.steps=80, not 90"):
        train.train_pack(pack(tmp_path, cell("td3", steps=90), 0))


def test_run_json_holds_the_spec_and_the_command_that_asked_for_the_run(tmp_path):
    asked = dataclasses.replace(pack(tmp_path, cell("td3", steps=80), 0), command="bench run --algos td3")
    train.train_pack(asked)
    run = SeedFolder(asked.folder(0)).read_run()
    assert run is not None
    assert run["spec"] == asked.cell.spec(0)
    assert run["provenance"]["command"] == "bench run --algos td3"
    assert run["provenance"]["pack"] == [0]


def test_a_seed_whose_lock_is_held_is_left_alone(tmp_path):
    both = pack(tmp_path, cell("td3", steps=80), 0, 1)
    held = SeedFolder(both.folder(0))
    held.path.mkdir(parents=True)
    with holding(held.lock):
        train.train_pack(both)
    assert held.read_run() is None
    assert state_of(SeedFolder(both.folder(1))).state == "done"
