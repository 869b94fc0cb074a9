"""What the ledger says of seeds, from their files and locks alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from savo_bench.bench import ledger, options, resolving
from savo_bench.bench.cells import Cell, seed_folder
from savo_bench.bench.errors import UserError
from savo_bench.results.format import SeedFolder, state_steps

ROOT = Path(__file__).parent.parent
OPTIONS = options.Options(algos="td3", envs="restricted-hopper", profile="ci")


@pytest.fixture(scope="module")
def cell() -> Cell:
    return resolving.cells(OPTIONS)[0]


@pytest.fixture
def folder(tmp_path: Path, cell: Cell) -> SeedFolder:
    """A seed that was begun; nobody trains it."""
    return begun(tmp_path, cell, 3)


def begun(root: Path, cell: Cell, seed: int, state: str = "running", **status) -> SeedFolder:
    folder = seed_folder(root, cell, seed)
    folder.write_run(cell.spec(seed), {})
    owner = {"host": "here", "pid": 1, "pack": [3, 4]}
    folder.write_status({"state": state, "step": 500, "steps": 8_000, "owner": owner, **status})  # type: ignore[typeddict-item]
    folder.lock.touch()
    return folder


def finish(folder: SeedFolder, last_step: int = 8_000) -> None:
    folder.write_status({"state": "done", "step": 8_000, "steps": 8_000})
    folder.evals_csv.write_text(f"step,episode,return,length\n{last_step},0,1.0,10\n")


def hold(path: Path) -> subprocess.Popen:
    """A process that holds a lock until it is killed."""
    return forever(path, "descriptor = ledger.acquire(path)", "time.sleep(1)")


def forever(path: Path, first: str, repeated: str) -> subprocess.Popen:
    """A process that has done something and does another thing until it is killed."""
    code = f"""
import sys, time
from pathlib import Path
from savo_bench.bench import ledger
path = Path(sys.argv[1])
{first}
print(flush=True)
while True:
    {repeated}
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


# ---- one seed


def test_a_seed_without_files_is_missing(tmp_path, cell):
    folder = seed_folder(tmp_path, cell, 0)
    assert ledger.state(folder).state == "missing"
    folder.path.mkdir(parents=True)
    assert ledger.state(folder).state == "missing"


def test_a_seed_that_wrote_only_its_spec_is_missing(tmp_path, cell):
    folder = seed_folder(tmp_path, cell, 0)
    folder.write_run(cell.spec(0), {})
    assert ledger.state(folder).state == "missing"


def test_done_needs_the_status_the_spec_and_the_last_evaluation(folder):
    finish(folder)
    assert ledger.state(folder).state == "done"
    finish(folder, last_step=7_000)
    cut = ledger.state(folder)
    assert cut.state == "failed"
    assert "7000" in str(cut.reason)
    finish(folder)
    folder.run_json.unlink()
    assert ledger.state(folder).state == "failed"


def test_a_seed_whose_lock_is_held_is_running_and_interrupted_once_its_owner_dies(folder):
    owner = hold(folder.lock)
    running = ledger.state(folder)
    assert (running.state, running.step, running.steps, running.who) == ("running", 500, 8_000, "host here, pid 1")
    end(owner)
    stopped = ledger.state(folder)
    assert (stopped.state, stopped.step, stopped.pack) == ("interrupted", 500, (3, 4))


def test_a_seed_that_is_just_being_begun_is_running(tmp_path, cell):
    folder = seed_folder(tmp_path, cell, 0)
    folder.path.mkdir(parents=True)
    owner = hold(folder.lock)
    assert ledger.state(folder).state == "running"
    end(owner)


def test_a_failed_seed_says_why(tmp_path, cell):
    failed = ledger.state(begun(tmp_path, cell, 0, "failed", reason="reward is nan"))
    assert (failed.state, failed.reason) == ("failed", "reward is nan")


def test_a_resume_starts_at_the_newest_checkpoint_not_at_the_last_heartbeat(folder):
    assert ledger.state(folder).saved == 0
    folder.checkpoint.mkdir()
    for step in (200, 400):
        (folder.checkpoint / f"state-{step:09d}.pt").touch()
    (folder.checkpoint / ".state-000000450.pt").touch()  # half-written
    assert (ledger.state(folder).step, ledger.state(folder).saved) == (500, 400)
    assert state_steps(folder.checkpoint) == [400, 200]


@pytest.mark.parametrize("name", ["run.json", "status.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "\x00\x01", '{"schema": 99}'])
def test_a_corrupt_file_is_a_failure_that_names_it_and_is_left_alone(folder, name, content):
    (folder.path / name).write_text(content)
    state = ledger.state(folder)
    assert (state.state, state.unreadable) == ("failed", True)
    assert name in str(state.reason)
    assert "delete" in str(state.reason)
    assert (folder.path / name).read_text() == content


# ---- locks


def test_looking_at_a_lock_does_not_get_in_its_owners_way(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    assert not ledger.locked(path)
    descriptor = ledger.acquire(path)
    assert descriptor is not None
    assert ledger.locked(path)
    assert ledger.acquire(path) is None
    os.close(descriptor)
    assert not ledger.locked(path)


def test_a_lock_can_be_taken_while_others_keep_looking_at_it(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    looker = forever(path, "pass", "ledger.locked(path)")
    try:
        for _ in range(50):
            descriptor = ledger.acquire(path)
            assert descriptor is not None
            os.close(descriptor)
    finally:
        end(looker)


def test_nothing_is_locked_where_there_is_no_file(tmp_path):
    assert not ledger.locked(tmp_path / "no" / "lock")


# ---- the grid


def counts(root: Path) -> list[tuple[str, str, dict[ledger.State, int]]]:
    return [(cell.environment, cell.variant, dict(cell.count())) for cell in ledger.survey(root)]


def test_a_survey_finds_what_is_there_and_what_was_asked_for(tmp_path, cell):
    ledger.ask(tmp_path, [cell], [0, 1, 2])
    assert counts(tmp_path) == [("restricted-hopper", "td3", {"missing": 3})]
    finish(begun(tmp_path, cell, 0))
    begun(tmp_path, cell, 7)  # not asked for, as in a folder of another time
    expected = {"done": 1, "missing": 2, "interrupted": 1}
    assert counts(tmp_path) == [("restricted-hopper", "td3", expected)]
    shutil.rmtree(seed_folder(tmp_path, cell, 0).path)
    assert counts(tmp_path)[0][2]["missing"] == 3
    shutil.rmtree(tmp_path / "restricted-hopper" / "td3")  # a cell that is deleted is not asked for any more
    assert counts(tmp_path) == []


def test_asking_again_adds_no_line_and_more_seeds_add_one(tmp_path, cell):
    path = tmp_path / "restricted-hopper" / "td3" / "asked.jsonl"
    ledger.ask(tmp_path, [cell], [0, 1])
    ledger.ask(tmp_path, [cell], [0, 1])
    assert len(path.read_text().splitlines()) == 1
    ledger.ask(tmp_path, [cell], [1, 2])
    assert [json.loads(line)["seeds"] for line in path.read_text().splitlines()] == [[0, 1], [2]]
    path.write_text(path.read_text() + '{"seeds": [9')  # torn
    assert counts(tmp_path)[0][2] == {"missing": 3}


def test_labels_come_from_the_runs_where_nobody_asked(tmp_path):
    (cell,) = resolving.cells(
        options.Options(algos="savo:extra_actors=5", envs="restricted-hopper:balls=9", profile="ci")
    )
    begun(tmp_path, cell, 0)
    assert counts(tmp_path)[0][:2] == ("restricted-hopper:balls=9", "savo:extra_actors=5")
    seed_folder(tmp_path, cell, 0).run_json.write_text("{")
    assert counts(tmp_path)[0][:2] == ("restricted-hopper__balls-9", "savo__extra_actors-5")


def test_a_survey_of_two_thousand_done_seeds_takes_seconds(tmp_path, cell):
    template = begun(tmp_path / "one", cell, 0)
    finish(template)
    run, status, evals = (path.read_bytes() for path in (template.run_json, template.status_json, template.evals_csv))
    for seed in range(2_000):
        folder = seed_folder(tmp_path / "many", cell, seed)
        folder.path.mkdir(parents=True)
        folder.run_json.write_bytes(run)
        folder.status_json.write_bytes(status)
        folder.evals_csv.write_bytes(evals)
    began = time.perf_counter()
    assert counts(tmp_path / "many")[0][2] == {"done": 2_000}
    assert time.perf_counter() - began < 20  # 2 on a quiet machine


# ---- another config under the same name


def asked_for(**given: Any) -> tuple[Cell, ...]:
    usual: dict[str, Any] = {"algos": "td3", "envs": "restricted-hopper", "profile": "ci"}
    return resolving.cells(options.Options(**usual | given))


def test_a_cell_with_another_config_is_refused_naming_the_field_both_values_and_the_mend(tmp_path, cell):
    begun(tmp_path, cell, 0)
    with pytest.raises(UserError) as caught:
        ledger.check_specs(tmp_path, asked_for(steps=100))
    message = str(caught.value)
    for part in ("budget.steps=8000", "not 100", "--name", "delete", "restricted-hopper/td3"):
        assert part in message
    with pytest.raises(UserError, match=r"budget\.profile=ci, not quick"):
        ledger.check_specs(tmp_path, asked_for(profile="quick"))


def test_more_seeds_and_other_cells_are_welcome(tmp_path, cell):
    begun(tmp_path, cell, 0)
    ledger.check_specs(tmp_path, asked_for())
    ledger.check_specs(tmp_path, asked_for(algos="td3:lr=0.5", steps=100))
    ledger.check_specs(tmp_path, asked_for(envs="restricted-ant", steps=100))


def test_an_unreadable_seed_does_not_stand_for_its_cell(tmp_path, cell):
    begun(tmp_path, cell, 0).run_json.write_text("{")
    ledger.check_specs(tmp_path, asked_for(steps=100))


def test_an_unknown_name_gets_the_nearest(tmp_path):
    (tmp_path / "savo-2").mkdir()
    with pytest.raises(UserError, match="did you mean savo-2"):
        ledger.root(tmp_path, "savo-1")
    with pytest.raises(UserError, match="there is none"):
        ledger.root(tmp_path / "no", "savo-1")
