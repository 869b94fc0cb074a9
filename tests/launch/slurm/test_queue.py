"""What the queue adds to the states of seeds."""

from small_grids import run
from stand_ins import CELL, begun, joined, list_queue, planned, say

from savo_bench.bench import grid, run_directory
from savo_bench.bench.cells import seed_folder
from savo_bench.bench.launch.slurm import records


def test_states_come_from_files_and_queue_together(commands, tmp_path):
    root = tmp_path / "name"
    assert run(planned(root, 3))[0] == 0
    list_queue(root, commands, "PENDING|0|Resources", "RUNNING|1|None", "CANCELLED|2|None")
    assert joined(root) == [
        ("queued", "job 1: Resources"), ("running", "job 1_1 is starting"), ("missing", "job 1_2 was cancelled"),
    ]  # fmt: skip


def test_what_the_queue_forgot_is_asked_of_the_accounting_if_there_is_one(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 2))
    assert joined(root) == [
        ("missing", "job 1_0 is gone from the queue"),
        ("missing", "job 1_1 is gone from the queue"),
    ]
    say(commands, "sacct", 'echo "1_0|CANCELLED by 1000"; echo "1_1|OUT_OF_MEMORY"; echo "1_[2-3]|PENDING"')
    assert joined(root) == [("missing", "job 1_0 was cancelled"), ("missing", "job 1_1 died, out of memory")]


def test_a_dead_task_whose_last_heartbeat_is_fresh_is_not_running(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 1))
    begun(seed_folder(root, CELL, 0), host="another", launcher="slurm", job="1")
    assert joined(root) == [("interrupted", "job 1 is gone from the queue")]
    list_queue(root, commands, "RUNNING|0|None")
    assert joined(root) == [("running", None)]


def test_a_submission_that_never_came_to_be_leaves_no_trace_in_the_states(commands, tmp_path):
    root = tmp_path / "name"
    each = planned(root, 1)
    run_directory.ask(root, each.cells, each.seeds)
    records.record(root, grid.announcement(each, each.look())[0], [(0,)])
    assert commands.is_dir()
    assert joined(root) == [("missing", None)]
    assert "submitted 1 task" in run(planned(root, 1))[1]


def test_tasks_that_share_packs_hold_every_seed_until_the_last_of_them_ends(commands, tmp_path):
    root = tmp_path / "name"
    each = planned(root, 3)
    run_directory.ask(root, each.cells, each.seeds)
    packs = grid.announcement(each, each.look())[0]
    records.numbered(records.record(root, packs, [(0, 1, 2), (0, 1, 2)]), "1")
    list_queue(root, commands, "RUNNING|0|None", "PENDING|1|Resources")
    begun(seed_folder(root, CELL, 0), host="another", launcher="slurm", job="1")
    assert joined(root) == [("running", None), *[("queued", "job 1_0 trains other seeds first")] * 2]
    list_queue(root, commands, "FAILED|0|None", "PENDING|1|Resources")
    assert joined(root)[1:] == [("queued", "job 1: Resources")] * 2
    list_queue(root, commands, "FAILED|0|None", "COMPLETED|1|None")
    assert [state for state, _ in joined(root)] == ["interrupted", "missing", "missing"]
