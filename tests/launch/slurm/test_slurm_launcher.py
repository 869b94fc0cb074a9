"""What `bench run --on slurm` submits and says."""

import socket

import pytest
from small_grids import run
from stand_ins import CELL, begun, finished, joined, list_queue, planned, say

from savo_bench.bench.cells import seed_folder
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch.slurm import records
from savo_bench.bench.launch.slurm.queue import SlurmQueue
from savo_bench.results.state import survey


def test_a_second_run_submits_only_what_nobody_has_in_hand(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 3))
    list_queue(root, commands, "PENDING|0|Resources", "RUNNING|1|None", "FAILED|2|None")
    code, output = run(planned(root, 3))
    assert code == 0
    assert "1 to train (1 new), 1 running elsewhere, 1 queued" in output
    assert [pack.seeds for pack in records.submissions(root)[-1].packs] == [(2,)]


def test_where_squeue_fails_nothing_is_claimed_and_nothing_submitted(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 2))
    say(commands, "squeue", 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1')
    known = SlurmQueue(root)
    known.join(survey(root))
    (note,) = known.notes()
    assert note.endswith("Unable to contact slurm controller; what became of job 1 is not known")
    assert [state for state, _ in joined(root)] == ["missing", "missing"]
    with pytest.raises(UserError, match="nothing was submitted") as unknown:
        run(planned(root, 2))
    assert unknown.value.exit_code == 74


def test_a_failed_seed_whose_pack_goes_on_is_not_submitted_again(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 2, pack=2))
    folder = seed_folder(root, CELL, 0)
    begun(folder, host=socket.gethostname(), state="failed")
    list_queue(root, commands, "RUNNING|0|None")
    assert joined(root)[0][0] == "failed"
    assert "nothing to submit" in run(planned(root, 2, pack=2))[1]


def test_the_exit_code_tells_of_what_no_submission_will_bring_as_locally(commands, tmp_path):
    root = tmp_path / "name"
    each = planned(root, 2)
    each.left_out = ("restricted-ant: there are no ants",)
    code, output = run(each)
    assert (code, "submitted 2 tasks" in output) == (1, True)
    assert "left out: restricted-ant: there are no ants\n" in output
    list_queue(root, commands, "PENDING|0|Resources", "PENDING|1|Resources")
    assert run(each)[0] == 1
    for seed in (0, 1):
        finished(seed_folder(root, CELL, seed))
    assert run(planned(root, 2)) == (0, "nothing to do: 2 of 2 seeds are done\n")
    assert run(each) == (1, f"nothing to do: 2 of 2 seeds are done\nleft out: {each.left_out[0]}\n")


def test_an_unreadable_seed_is_named_and_not_taken_for_queued(commands, tmp_path):
    root = tmp_path / "name"
    assert run(planned(root, 2))[0] == 0
    list_queue(root, commands, "COMPLETED|0|None", "COMPLETED|1|None")
    finished(seed_folder(root, CELL, 0))
    begun(seed_folder(root, CELL, 1), host="another")
    seed_folder(root, CELL, 1).run_json.write_text("{")
    code, output = run(planned(root, 2))
    assert code == 1
    assert "nothing to submit: " in output
    assert "fake seed 1: unreadable: " in output
    assert "fix it, or delete" in output
