"""How a seed stands: by which evidence, and that every command says the same."""

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from broken_files import operations_of
from rich.console import Console

from savo_bench.bench import grid, options, resolving, run_directory
from savo_bench.bench.cells import Cell, seed_folder
from savo_bench.bench.commands import play
from savo_bench.bench.errors import MACHINE, NEGATIVE, USAGE, UserError
from savo_bench.results import files, frame
from savo_bench.results.format import ASKED, SeedFolder
from savo_bench.results.lock import acquire, held
from savo_bench.results.state import EPISODE_COLUMNS, STALE_AFTER, QueueEntry, State, read_evals, state_of, survey

OPTIONS = options.Options(algos="td3", envs="restricted-hopper", profile="ci")
SEED = 3
STEPS, EVERY, EPISODES = 8_000, 1_000, 5  # of the profile ci on restricted-hopper


@pytest.fixture(scope="module")
def cell() -> Cell:
    return resolving.cells(OPTIONS)[0]


@pytest.fixture
def folder(tmp_path: Path, cell: Cell) -> SeedFolder:
    """A seed that was begun; nobody trains it."""
    return begun(tmp_path, cell, SEED)


def begun(root: Path, cell: Cell, seed: int, state: str = "running", **status) -> SeedFolder:
    folder = seed_folder(root, cell, seed)
    folder.write_run(cell.spec(seed), {})
    folder.lock.touch()
    beat(folder, state, **status)
    return folder


def beat(folder: SeedFolder, state: str = "running", host: str = "elsewhere", ago: float = 1e6, **status) -> None:
    owner = {"host": host, "pid": os.getpid(), "launcher": "local", "pack": [SEED, SEED + 1]}
    known = {"step": 500, "steps": STEPS, "heartbeat": time.time() - ago, "owner": owner}
    folder.write_status({"state": state, **known, **status})  # type: ignore[typeddict-item]


def finish(folder: SeedFolder, last_step: int = STEPS) -> None:
    beat(folder, "done", step=STEPS)
    folder.evals_csv.unlink(missing_ok=True)
    steps = range(EVERY, last_step + 1, EVERY)
    rows = [(step, episode, 1.0, 10) for step in steps for episode in range(EPISODES)]
    files.append_csv(folder.evals_csv, EPISODE_COLUMNS, rows)


def damage(folder: SeedFolder, line: str) -> None:
    """Put a line in the middle of evals.csv."""
    header, *rows = folder.evals_csv.read_text().splitlines(keepends=True)
    folder.evals_csv.write_text("".join([header, line + "\n", *rows]))


def nothing(folder: SeedFolder) -> None:
    shutil.rmtree(folder.path)


def an_empty_folder(folder: SeedFolder) -> None:
    nothing(folder)
    folder.path.mkdir()


def only_its_spec(folder: SeedFolder) -> None:
    folder.status_json.unlink()


def a_beginning_without_run_json(folder: SeedFolder) -> None:
    folder.run_json.unlink()


def a_killed_process(folder: SeedFolder) -> None:
    pass


def a_process_of_this_host_that_holds_no_lock_any_more(folder: SeedFolder) -> None:
    beat(folder, host=socket.gethostname(), ago=0)  # its number is another process's by now


def a_lock_file_that_was_never_made(folder: SeedFolder) -> None:
    folder.lock.unlink()


def a_held_lock(folder: SeedFolder) -> None:
    acquire(folder.lock)


def a_held_lock_before_the_first_status(folder: SeedFolder) -> None:
    only_its_spec(folder)
    acquire(folder.lock)


def a_failed_seed_that_is_tried_again(folder: SeedFolder) -> None:
    beat(folder, "failed")
    acquire(folder.lock)


def a_damaged_status_that_its_owner_will_replace(folder: SeedFolder) -> None:
    folder.status_json.write_text("{")
    acquire(folder.lock)


def a_fresh_heartbeat_of_another_host(folder: SeedFolder) -> None:
    beat(folder, ago=STALE_AFTER / 2)


def a_clock_that_is_a_little_ahead(folder: SeedFolder) -> None:
    beat(folder, ago=-STALE_AFTER / 2)


def a_clock_that_is_far_ahead(folder: SeedFolder) -> None:
    beat(folder, ago=-600)


def a_clock_that_is_years_ahead(folder: SeedFolder) -> None:
    beat(folder, ago=-3.1 * 365.25 * 86_400)


def a_clock_beyond_all_calendars(folder: SeedFolder) -> None:
    beat(folder, heartbeat=1e18)


def a_stale_heartbeat_of_another_host(folder: SeedFolder) -> None:
    beat(folder, ago=2 * STALE_AFTER)


def an_interruption_with_a_damaged_line_that_a_resume_cuts(folder: SeedFolder) -> None:
    files.append_csv(folder.evals_csv, EPISODE_COLUMNS, [(100, 0, 1.0, 10)])
    damage(folder, "1,2")


def a_failure(folder: SeedFolder) -> None:
    beat(folder, "failed", reason="reward is nan")


def a_failure_without_run_json(folder: SeedFolder) -> None:
    a_failure(folder)
    folder.run_json.unlink()


def an_end(folder: SeedFolder) -> None:
    finish(folder)


def an_end_while_its_lock_is_held(folder: SeedFolder) -> None:
    finish(folder)
    acquire(folder.lock)


def an_end_with_a_torn_line(folder: SeedFolder) -> None:
    finish(folder)
    with folder.evals_csv.open("a") as file:
        file.write("8000,1")


def an_end_without_run_json(folder: SeedFolder) -> None:
    finish(folder)
    folder.run_json.unlink()


def an_end_before_the_last_evaluation(folder: SeedFolder) -> None:
    finish(folder, last_step=7_000)


def an_end_that_lacks_an_evaluation(folder: SeedFolder) -> None:
    finish(folder)
    _rewrite(folder, lambda step, _: step != 3_000)


def an_end_that_lacks_many_evaluations(folder: SeedFolder) -> None:
    finish(folder)
    _rewrite(folder, lambda step, _: step in (1_000, STEPS))


def an_end_that_lacks_episodes(folder: SeedFolder) -> None:
    finish(folder)
    _rewrite(folder, lambda step, episode: (step, episode) != (3_000, 1))


def an_end_with_an_evaluation_too_many(folder: SeedFolder) -> None:
    finish(folder)
    damage(folder, "500,0,1.0,10")


def _rewrite(folder: SeedFolder, keep: Callable[[int, int], bool]) -> None:
    """Keep some lines of evals.csv, by step and episode."""
    header, *rows = folder.evals_csv.read_text().splitlines(keepends=True)
    kept = [row for row in rows if keep(*map(int, row.split(",")[:2]))]
    folder.evals_csv.write_text("".join([header, *kept]))


def a_linked_checkpoint_that_is_out_of_reach(folder: SeedFolder) -> None:
    folder.checkpoint.symlink_to("/scratch/gone")


def a_link_to_a_disk_that_is_not_mounted(folder: SeedFolder) -> None:
    nothing(folder)
    folder.path.symlink_to("/mnt/gone")


def a_link_to_itself(folder: SeedFolder) -> None:
    nothing(folder)
    folder.path.symlink_to(folder.path.name)


def a_status_json_that_is_a_link_to_nothing(folder: SeedFolder) -> None:
    folder.status_json.unlink()
    folder.status_json.symlink_to("gone.json")


def an_end_without_evaluations(folder: SeedFolder) -> None:
    finish(folder)
    folder.evals_csv.unlink()


def an_end_with_a_damaged_line(folder: SeedFolder) -> None:
    finish(folder)
    damage(folder, "1,2")


def an_end_with_a_value_that_is_no_number(folder: SeedFolder) -> None:
    finish(folder)
    damage(folder, "100,0,x,10")


def an_end_with_an_episode_twice(folder: SeedFolder) -> None:
    finish(folder)
    damage(folder, f"{STEPS},0,1.0,10")


def an_end_with_other_columns(folder: SeedFolder) -> None:
    finish(folder)
    folder.evals_csv.write_text("step,return\n8000,1\n")


def an_end_with_a_folder_for_evals_csv(folder: SeedFolder) -> None:
    finish(folder)
    folder.evals_csv.unlink()
    folder.evals_csv.mkdir()


def a_run_json_that_is_no_json(folder: SeedFolder) -> None:
    folder.run_json.write_text("{")


def a_run_json_of_another_version(folder: SeedFolder) -> None:
    files.write_json(folder.run_json, {"schema": 99})


def a_run_json_that_is_a_folder(folder: SeedFolder) -> None:
    folder.run_json.unlink()
    folder.run_json.mkdir()


def a_status_json_that_is_no_status(folder: SeedFolder) -> None:
    folder.status_json.write_text("[]")


def a_copy_of_another_seed(folder: SeedFolder) -> None:
    finish(folder)
    shutil.move(folder.path, folder.path.with_name("seed-0009"))
    shutil.copytree(folder.path.with_name("seed-0009"), folder.path)
    shutil.rmtree(folder.path.with_name("seed-0009"))
    run = files.read_json(folder.run_json)
    nine = SeedFolder(folder.path.with_name("seed-0009"))
    nine.write_run(run["spec"] | {"seed": 9}, {})
    shutil.move(nine.run_json, folder.run_json)
    nine.path.rmdir()


SITUATIONS: dict[Callable[[SeedFolder], None], tuple[State, str | None]] = {  # state, and a part of the reason
    nothing: ("missing", None),
    an_empty_folder: ("missing", None),
    only_its_spec: ("missing", None),
    a_beginning_without_run_json: ("missing", "has no run.json"),
    a_killed_process: ("interrupted", None),
    a_process_of_this_host_that_holds_no_lock_any_more: ("interrupted", None),
    a_lock_file_that_was_never_made: ("interrupted", None),
    a_held_lock: ("running", None),
    a_held_lock_before_the_first_status: ("running", None),
    a_failed_seed_that_is_tried_again: ("running", None),
    a_damaged_status_that_its_owner_will_replace: ("running", None),
    a_fresh_heartbeat_of_another_host: ("running", None),
    a_clock_that_is_a_little_ahead: ("running", None),
    a_clock_that_is_far_ahead: ("interrupted", "UTC, is 9 minutes ahead of this clock"),
    a_clock_that_is_years_ahead: ("interrupted", "UTC, is 3 years ahead of this clock"),
    a_clock_beyond_all_calendars: ("interrupted", "its last heartbeat, 1e+18, is"),
    a_stale_heartbeat_of_another_host: ("interrupted", None),
    an_interruption_with_a_damaged_line_that_a_resume_cuts: ("interrupted", None),
    a_failure: ("failed", "reward is nan"),
    a_failure_without_run_json: ("failed", "reward is nan"),
    an_end: ("done", None),
    an_end_while_its_lock_is_held: ("done", None),
    an_end_with_a_torn_line: ("done", None),
    an_end_without_run_json: ("failed", "says done, but has no run.json"),
    an_end_before_the_last_evaluation: ("failed", "says done, but evals.csv ends at step 7000 of 8000"),
    an_end_that_lacks_an_evaluation: ("failed", "says done, but evals.csv lacks the evaluation at step 3000"),
    an_end_that_lacks_many_evaluations: ("failed", "lacks the evaluation at step 2000, 3000, 4000 and 3 more"),
    an_end_that_lacks_episodes: ("failed", "says done, but evals.csv does not have 5 episodes at step 3000"),
    an_end_with_an_evaluation_too_many: ("failed", "has an evaluation at step 500, where none is due"),
    an_end_without_evaluations: ("failed", "says done, but evals.csv ends at step 0 of 8000"),
    an_end_with_a_damaged_line: ("unreadable", "evals.csv: line 2 has 2 values"),
    an_end_with_a_value_that_is_no_number: ("unreadable", "evals.csv: line 2, column return: 'x'"),
    an_end_with_an_episode_twice: ("unreadable", "evals.csv: its steps and episodes are not in order"),
    an_end_with_other_columns: ("unreadable", "evals.csv: its columns do not begin with"),
    an_end_with_a_folder_for_evals_csv: ("unreadable", "evals.csv: Is a directory"),
    a_run_json_that_is_no_json: ("unreadable", "run.json: not valid JSON"),
    a_run_json_of_another_version: ("unreadable", "run.json: schema 99"),
    a_run_json_that_is_a_folder: ("unreadable", "run.json: Is a directory"),
    a_status_json_that_is_no_status: ("unreadable", "status.json: not a seed's status"),
    a_linked_checkpoint_that_is_out_of_reach: ("unreadable", "checkpoint: a link to /scratch/gone, which is not there"),
    a_link_to_a_disk_that_is_not_mounted: ("unreadable", "seed-0003: a link to /mnt/gone, which is not there"),
    a_link_to_itself: ("unreadable", "run.json: Too many levels of symbolic links"),
    a_status_json_that_is_a_link_to_nothing: ("unreadable", "status.json: a link to gone.json, which is not there"),
    a_copy_of_another_seed: ("unreadable", "belongs to restricted-hopper/td3/seed-0009: copied or renamed"),
}


DAMAGED = [  # of the unreadable ones, those in which a file itself is wrong: its deletion is a way out
    an_end_with_a_damaged_line,
    an_end_with_a_value_that_is_no_number,
    an_end_with_an_episode_twice,
    an_end_with_other_columns,
    a_run_json_that_is_no_json,
    a_run_json_of_another_version,
    a_status_json_that_is_no_status,
    a_copy_of_another_seed,
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_status_report_run_play_and_training_agree(tmp_path, cell, situation):
    run_directory.ask(tmp_path, [cell], [SEED])
    begun(tmp_path, cell, SEED + 1)  # play finds a cell by the spec of one of its seeds
    folder = begun(tmp_path, cell, SEED)
    situation(folder)
    before = {path: path.read_bytes() for path in folder.path.glob("*") if path.is_file()}
    state, reason = SITUATIONS[situation]

    (status,) = (seed for seed in survey(tmp_path)[0].seeds if seed.seed == SEED)
    assert (status.state, status.reason is None) == (state, reason is None)
    assert (reason or "") in (status.reason or "")
    assert (f"delete {folder.path}" in str(status.reason)) == (situation in DAMAGED)
    assert ("try again" in str(status.reason)) == (state == "unreadable" and situation not in DAMAGED)

    loaded = frame.load(tmp_path)
    reported = loaded.runs[loaded.runs["seed"] == SEED].iloc[0]
    assert (reported["state"], reported["step"]) == (state, status.step)
    assert (reason or "") in reported["reason"]
    assert state != "done" or reported["evaluations"] == STEPS // EVERY
    assert state != "unreadable" or reported["evaluations"] == 0

    asked = grid.Grid(options.Options(name=tmp_path.name, runs=tmp_path.parent), (cell,), (SEED,), "cpu", 1)
    trainable = state in ("missing", "failed", "interrupted")
    assert len(asked.todo(asked.look(), set())) == trainable

    with pytest.raises(UserError) as caught:  # a film of no known format, which is refused only once a seed is chosen
        play.play(
            tmp_path, "restricted-hopper", "td3", SEED, Console(), episodes=1, steps=None, fps=1, out=Path("film.txt")
        )
    assert str(caught.value).startswith("--out" if state == "done" else f"--seed {SEED}: td3 on restricted-hopper is")
    assert caught.value.exit_code == {"done": USAGE, "unreadable": MACHINE}.get(state, NEGATIVE)
    assert state == "done" or f" is {state}" in str(caught.value)

    if not held(folder.lock):
        taken = state_of(folder, asking={"launcher": "local", "job": None})
        assert (taken.state, taken.trainable) == (state, trainable)
    assert before == {path: path.read_bytes() for path in folder.path.glob("*") if path in before}


def test_a_seed_knows_its_step_its_owner_and_its_pack(folder):
    acquire(folder.lock)
    seed = state_of(folder)
    assert (seed.seed, seed.step, seed.steps, seed.pack) == (SEED, 500, STEPS, (SEED, SEED + 1))
    assert seed.who == f"host elsewhere, pid {os.getpid()}"
    assert (seed.trainable, seed.task) == (False, None)


def test_a_resume_starts_at_the_newest_checkpoint_not_at_the_last_heartbeat(folder):
    assert state_of(folder).saved == 0
    folder.checkpoint.mkdir()
    for step in (200, 400):
        (folder.checkpoint / f"state-{step:09d}.pt").touch()
    (folder.checkpoint / ".state-000000450.pt").touch()  # half-written
    assert (state_of(folder).step, state_of(folder).saved) == (500, 400)


def test_the_heartbeat_decides_where_locks_cannot(folder, monkeypatch):
    monkeypatch.setattr("savo_bench.results.state.held", lambda _: None)
    assert state_of(folder).state == "interrupted"
    beat(folder, host=socket.gethostname(), ago=0)
    assert state_of(folder).state == "running"
    assert state_of(folder, now=time.time() + 2 * STALE_AFTER).state == "interrupted"


def test_a_seed_that_ends_while_it_is_judged_is_done(folder, monkeypatch):
    def ends(_: Path) -> bool:
        finish(folder)
        return False

    monkeypatch.setattr("savo_bench.results.state.held", ends)
    assert state_of(folder).state == "done"


def test_a_seed_without_a_reason_for_its_failure_says_so(folder):
    beat(folder, "failed")
    assert state_of(folder).reason == "no reason was recorded"


def test_the_former_life_of_who_asks_is_dead(folder):
    owner = {"host": "elsewhere", "pid": 1, "launcher": "slurm", "job": "12"}
    beat(folder, ago=0, owner=owner)
    assert state_of(folder).state == "running"
    assert state_of(folder, asking={"launcher": "slurm", "job": "12"}).state == "interrupted"
    for asking in ({"launcher": "slurm", "job": "13"}, {"launcher": "local", "job": "12"}, {"launcher": "slurm"}, {}):
        assert state_of(folder, asking=asking).state == "running"  # type: ignore[arg-type]


def entry(phase, launcher: str = "slurm") -> QueueEntry:
    return QueueEntry(launcher, "12_3", phase, "because")


def test_an_idle_seed_whose_task_waits_is_queued_and_one_whose_task_is_active_runs(folder):
    for make in (a_killed_process, nothing):
        make(folder)
        for phase, state in (("waiting", "queued"), ("active", "running")):
            seed = state_of(folder, queue=entry(phase))
            assert (seed.state, seed.reason, seed.task, seed.trainable) == (state, "because", "12_3", False)
        seed = state_of(folder, queue=entry("ended"))
        assert (seed.reason, seed.task, seed.trainable) == ("because", None, True)


def test_a_failed_seed_whose_task_is_active_is_not_trained_by_another(folder):
    a_failure(folder)
    seed = state_of(folder, queue=entry("active"))
    assert (seed.state, seed.task, seed.trainable) == ("failed", "12_3", False)
    assert state_of(folder, queue=entry("ended")).reason == "reward is nan"


def test_a_done_seed_stays_done_whatever_the_queue_says(folder):
    finish(folder)
    for phase in ("waiting", "active", "ended"):
        assert state_of(folder, queue=entry(phase)) == state_of(folder)


def test_an_ended_task_ends_its_own_seed_before_the_heartbeat_is_stale(folder):
    beat(folder, ago=0, owner={"host": "elsewhere", "pid": 1, "launcher": "slurm"})
    seed = state_of(folder, queue=entry("ended"))
    assert (seed.state, seed.reason) == ("interrupted", "because")
    assert state_of(folder, queue=entry("ended", launcher="other")).state == "running"
    acquire(folder.lock)
    assert state_of(folder, queue=entry("ended")).state == "running"


def test_evaluation_episodes_may_be_of_several_steps_and_lack_a_metric(folder):
    columns = [*EPISODE_COLUMNS, "success"]
    files.append_csv(folder.evals_csv, columns, [(100, 0, 1.5, 3, 0.5), (100, 1, 2.5, 3, None), (200, 0, 1.0, 3, 1.0)])
    rows = read_evals(folder)
    assert rows["step"].tolist() == [100, 100, 200]
    assert rows["success"].isna().tolist() == [False, True, False]


def counts(root: Path) -> list[tuple[str, str, dict[State, int]]]:
    return [(cell.environment, cell.variant, dict(cell.count())) for cell in survey(root)]


def test_a_survey_finds_what_is_there_and_what_was_asked_for(tmp_path, cell):
    run_directory.ask(tmp_path, [cell], [0, 1, 2])
    assert counts(tmp_path) == [("restricted-hopper", "td3", {"missing": 3})]
    finish(begun(tmp_path, cell, 0))
    begun(tmp_path, cell, 7)  # not asked for, as in a folder of another time
    expected = {"done": 1, "missing": 2, "interrupted": 1}
    assert counts(tmp_path) == [("restricted-hopper", "td3", expected)]
    shutil.rmtree(seed_folder(tmp_path, cell, 0).path)
    assert counts(tmp_path)[0][2]["missing"] == 3
    shutil.rmtree(tmp_path / "restricted-hopper" / "td3")  # a cell that is deleted is not asked for any more
    assert counts(tmp_path) == []


def test_labels_come_from_the_runs_where_nobody_asked(tmp_path):
    asked = options.Options(algos="savo:extra_actors=5", envs="restricted-hopper:balls=9", profile="ci")
    (cell,) = resolving.cells(asked)
    begun(tmp_path, cell, 0)
    assert counts(tmp_path)[0][:2] == ("restricted-hopper:balls=9", "savo:extra_actors=5")
    seed_folder(tmp_path, cell, 0).run_json.write_text("{")
    assert counts(tmp_path)[0][:2] == ("restricted-hopper__balls-9", "savo__extra_actors-5")


def test_a_copied_cell_is_unreadable_and_called_as_its_folder(tmp_path, cell):
    run_directory.ask(tmp_path, [cell], [0, 1])
    finish(begun(tmp_path, cell, 0))
    shutil.copytree(tmp_path / "restricted-hopper" / "td3", tmp_path / "restricted-hopper" / "td3-copy")
    assert (tmp_path / "restricted-hopper" / "td3-copy" / ASKED).exists()
    assert counts(tmp_path) == [
        ("restricted-hopper", "td3", {"done": 1, "missing": 1}),
        ("restricted-hopper", "td3-copy", {"unreadable": 1}),
    ]


def test_a_survey_of_many_done_seeds_opens_each_file_once(tmp_path, cell):
    def operations(seeds: int) -> int:
        root = tmp_path / str(seeds)
        for seed in range(seeds):
            finish(begun(root, cell, seed))
        made = operations_of(root, lambda: counts(root))
        opened = [each.path for each in made if each.name == "open"]
        assert len(opened) == len(set(opened))
        return len(made)

    assert operations(20) - operations(10) == operations(40) - operations(30)  # each seed costs what the one before did
