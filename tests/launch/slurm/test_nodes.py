"""Which nodes are left out, and what the batch script notes of them."""

import errno
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from broken_files import breaking
from small_grids import run
from stand_ins import CELL, planned, say

from savo_bench.bench import worker
from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch.slurm import batch, nodes, records


def note(root: Path, *attempts: tuple[str, float, int], submission: str = "s", index: int = 0) -> None:
    """Attempts as (node, seconds, exit code)."""
    nodes.path(root).parent.mkdir(parents=True, exist_ok=True)
    with nodes.path(root).open("a") as file:
        for node, seconds, code in attempts:
            noted = {"node": node, "job": "1_0", "submission": submission, "index": index, "ended": 0}
            file.write(json.dumps({**noted, "seconds": seconds, "code": code}) + "\n")


@pytest.mark.parametrize(
    ("attempts", "left_out"),
    [
        ([("a", 5, 1)], []),
        ([("a", 5, 1), ("a", 5, 139)], ["a"]),
        ([("a", 80, batch.BAD_NODE), ("a", 90, 142)], ["a"]),  # the first computation failed, and hung
        ([("a", 5, 1), ("a", 90, 1)], []),  # it trained before it crashed
        ([("a", 5, 1), ("a", 5, worker.TRAINED), ("a", 5, 1)], []),  # not in a row
        ([("a", 5, 1), ("b", 5, 1), ("a", 5, 1), ("b", 5, 1)], []),  # of what is trained
        ([("a", 5, 76), ("b", 5, 76), ("a", 5, 76), ("b", 5, 127)], ["a", "b"]),
        ([("a", 5, 143), ("a", 5, 143), ("a", 5, 75), ("a", 5, 77), ("a", 5, 130)], []),  # somebody wanted it
    ],
)
def test_a_node_is_left_out_after_two_quick_failures_in_a_row(tmp_path, attempts, left_out):
    note(tmp_path, *attempts)
    assert list(nodes.failing(tmp_path)) == left_out


def test_torn_lines_and_no_file_are_no_failures(tmp_path):
    assert nodes.failing(tmp_path) == {}
    note(tmp_path, ("a", 5, 76))
    with nodes.path(tmp_path).open("a") as file:
        file.write('{"node": "a", "sec\n[]\n{"node": "a"}\n3\n')
    assert nodes.failing(tmp_path) == {}
    note(tmp_path, ("a", 5, 76))
    assert list(nodes.failing(tmp_path)) == ["a"]


@pytest.mark.parametrize("name", ["node", "submission", "index", "seconds", "code"])
@pytest.mark.parametrize("value", [None, [], {}, "x", 2.5, float("nan")])
def test_a_line_with_a_damaged_field_counts_for_nothing_or_does_no_harm(tmp_path, name, value):
    note(tmp_path, ("a", 5, 76))
    noted = {"node": "b", "job": "1_0", "submission": "s", "index": 0, "ended": 0, "seconds": 5, "code": 76}
    with nodes.path(tmp_path).open("a") as file:
        file.write(json.dumps(noted | {name: value}) + "\n")
    note(tmp_path, ("a", 5, 76))
    assert list(nodes.failing(tmp_path)) == ["a"]
    assert len(nodes.notes(tmp_path)) == 1


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_notes_that_cannot_be_read_are_named_and_the_rest_goes_on(tmp_path, code):
    note(tmp_path, ("a", 5, 76), ("a", 5, 76))
    with breaking(nodes.path(tmp_path), 0, code, lasting=True):
        assert nodes.failing(tmp_path) == {}
        (said,) = nodes.notes(tmp_path)
    assert said == f"{nodes.path(tmp_path)}: {os.strerror(code)}; so no node is left out, whatever failed there"


def test_a_folder_in_place_of_the_notes_is_named(tmp_path):
    nodes.path(tmp_path).mkdir(parents=True)
    assert nodes.failing(tmp_path) == {}
    assert "nodes.jsonl: Is a directory" in nodes.notes(tmp_path)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"submitted": "x"}, {"name": 3}, {"job": []}, {"tasks": 3}, {"tasks": [3]}, {"processes": "x"},
        {"tasks": [{"environment": 3, "variant": "td3", "seeds": [0]}]},
        {"tasks": [{"environment": "e", "variant": "td3", "seeds": "01"}]},
        {"shares": [[7]]}, {"shares": [[]]}, {"shares": [["0"]]}, {"shares": 3},
    ],
)  # fmt: skip
def test_a_damaged_record_of_a_submission_is_named(tmp_path, changes):
    made = records.record(tmp_path, [Pack(CELL, (0,), tmp_path, "cpu", 1.0, "slurm")], [(0,)])
    path = made.folder / "submission.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=r"submission\.json: unreadable \(.*; once its job has ended, delete"):
        records.submissions(tmp_path)


def test_what_is_submitted_next_leaves_it_out_and_says_so(commands, tmp_path):
    root = tmp_path / "name"
    note(root, ("n7", 3, 1), ("n7", 3, 1), ("n9", 3, 76), ("n9", 3, 76))
    code, output = run(planned(root, 2))
    assert code == 0
    assert (
        "note: node n7 is left out: 2 attempts in a row failed there at once (code 1); to use it again, delete"
        in output
    )
    assert "note: node n9 is left out: " in output
    (script,) = (root / "slurm").glob("*/1_submission.sh")
    assert "#SBATCH --exclude=n7,n9\n" in script.read_text()
    say(commands, "sbatch", 'echo "sbatch: error: Requested node configuration is not available" >&2; exit 1')
    with pytest.raises(Exception, match=r"not available; left out, as attempts failed there: n7, n9 \("):
        run(planned(root, 3))


def ends(tmp_path: Path, code: int, node: str = "n1", **variables: str) -> str:
    """What a task's batch script prints if its training ends with a code."""
    root = tmp_path / "a folder"
    root.mkdir(exist_ok=True)
    lines = batch.script("token", tmp_path / "a folder" / "nodes.jsonl", "n0")
    environment: dict[str, Any] = {**os.environ, "SLURMD_NODENAME": node, "SLURM_JOB_ID": "14", **variables}
    script = "\n".join([*lines, f"bash -c 'exit {code}'"])
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code
    return done.stderr + done.stdout


ARRAY = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3"}


def test_the_batch_script_notes_how_it_ended(commands, tmp_path):
    say(commands, "scontrol", f'echo "$@" >> {tmp_path}/said')
    for code in (0, 75, 1, 143):
        assert ends(tmp_path, code, **ARRAY) == ""
    noted = [json.loads(line) for line in (tmp_path / "a folder" / "nodes.jsonl").read_text().splitlines()]
    assert [each["code"] for each in noted] == [0, 75, 1, 143]
    assert {(each["node"], each["job"], each["submission"], each["index"]) for each in noted} == {
        ("n1", "12_3", "token", 3)
    }
    assert not (tmp_path / "said").exists()


def test_the_batch_script_asks_for_a_requeue_and_says_where_it_cannot(commands, tmp_path):
    say(commands, "scontrol", f'echo "$@" >> {tmp_path}/said')
    ends(tmp_path, batch.COME_BACK, **ARRAY)
    ends(tmp_path, batch.COME_BACK)
    assert (tmp_path / "said").read_text() == "requeue 12_3\nrequeue 14\n"
    for script in ('echo "slurm_requeue error: Access denied" >&2; exit 1', "exit 127"):
        say(commands, "scontrol", script)
        said = ends(tmp_path, batch.COME_BACK, **ARRAY)
        assert said.splitlines()[-1] == "saved, but not requeued from node n1: the next `bench run` submits it again"


def test_the_batch_script_keeps_the_array_away_from_a_node_that_failed_twice(commands, tmp_path):
    say(commands, "scontrol", f'echo "$@" >> {tmp_path}/said')
    assert ends(tmp_path, 76, **ARRAY) == ""
    assert ends(tmp_path, 76, "n2", **ARRAY) == ""
    assert "node n1 failed 2 times" in ends(tmp_path, 127, **ARRAY)
    assert (tmp_path / "said").read_text() == "update JobId=12 ExcNodeList=n0,n1\n"
    ends(tmp_path, 0, **ARRAY)
    assert ends(tmp_path, 76, **ARRAY) == ""


def test_a_cell_that_crashes_everywhere_is_told_from_one_whose_node_is_bad(tmp_path):
    def submitted() -> str:
        return records.record(tmp_path, [Pack(CELL, (0,), tmp_path, "cpu", 1.0, "slurm")], [(0,)]).folder.name

    note(tmp_path, ("a", 5, 1), submission=submitted())
    note(tmp_path, ("a", 5, 1), submission=submitted())
    assert list(nodes.failing(tmp_path)) == ["a"]
    note(tmp_path, ("b", 5, 1), submission=submitted())
    assert nodes.failing(tmp_path) == {}
