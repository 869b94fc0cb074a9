"""What sbatch is told, with stand-ins for the commands of SLURM."""

from pathlib import Path
from typing import Any

import pytest
from small_grids import run
from stand_ins import CELL, planned, say

from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch.slurm import records, submit
from savo_bench.bench.launch.slurm.options import SlurmOptions


def script(commands: Path, root: Path, seeds: int = 2, **asked: Any) -> str:
    assert commands.is_dir()
    assert run(planned(root, seeds, own=SlurmOptions(**asked)))[0] == 0
    return next((root / "slurm").glob("*/1_submission.sh")).read_text()


def test_the_script_holds_what_resuming_needs_and_nothing_that_was_not_asked_for(commands, tmp_path):
    text = script(commands, tmp_path / "name", array_parallelism=1)
    flags = [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")]
    names = [flag.partition("=")[0] for flag in flags]
    assert names == [
        "array", "cpus-per-task", "error", "job-name", "nodes", "open-mode", "output", "requeue", "signal",
    ]  # fmt: skip
    assert {"array=0-1%1", "cpus-per-task=1", "open-mode=append", "requeue", "signal=USR2@90"} <= set(flags)
    assert "export OMP_NUM_THREADS=1\n" in text


def test_every_option_reaches_the_script(commands, tmp_path):
    text = script(
        commands, tmp_path / "name", partition="long", account="lab", qos="high", time="2-00", gres="gpu:a100:1",
        cpus=4, mem="8G", constraint="avx512", setup=("module load cuda",),
        extra=(("nodelist", "n1"), ("exclusive", True)),
    )  # fmt: skip
    for line in (
        "--partition=long", "--account=lab", "--qos=high", "--time=2880", "--gres=gpu:a100:1", "--cpus-per-task=4",
        "--mem=8G", "--constraint=avx512", "--nodelist=n1", "--exclusive",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    assert text.index("\nmodule load cuda\n") < text.index("\nsrun ")
    assert " --cpus-per-task=4 " in text[text.index("\nsrun ") :]


@pytest.fixture
def recorded(tmp_path) -> records.Submission:
    """An array of one task, not submitted."""
    return records.record(tmp_path / "name", [Pack(CELL, (0,), tmp_path / "name", "cpu", 300.0, "slurm")], [(0,)])


def test_on_a_gpu_a_task_asks_for_one_and_keeps_its_threads(recorded):
    asked = submit.parameters(recorded, "cuda", SlurmOptions())
    assert (asked["gres"], "OMP_NUM_THREADS" in "".join(asked["setup"])) == ("gpu:1", False)
    assert submit.parameters(recorded, "cuda", SlurmOptions(extra=(("gpus-per-task", "1"),)))["gres"] is None


def test_the_warning_before_a_short_limit_comes_late_in_it(recorded):
    assert submit.parameters(recorded, "cpu", SlurmOptions(time="2"))["signal_delay_s"] == 30
    assert submit.parameters(recorded, "cpu", SlurmOptions(time="60"))["signal_delay_s"] == 90


@pytest.mark.usefixtures("commands")
def test_a_large_grid_is_several_arrays_one_after_the_other(tmp_path):
    root = tmp_path / "name"
    _, output = run(planned(root, 7))
    assert "submitted 7 tasks as job 1, 2, 3; `scancel 1 2 3` cancels" in output
    assert [len(each.shares) for each in records.submissions(root)] == [3, 3, 1]
    (second,) = (root / "slurm").glob("*/2_submission.sh")
    assert "#SBATCH --dependency=afterany:1\n" in second.read_text()


def test_what_slurm_refuses_is_one_line_and_leaves_nothing(commands, tmp_path, capsys):
    say(commands, "sbatch", 'echo "sbatch: error: no such qos" >&2; echo "sbatch: error: failed" >&2; exit 1')
    with pytest.raises(UserError, match=r"^sbatch: no such qos; failed$"):
        run(planned(tmp_path / "name"))
    assert capsys.readouterr().err == ""
    assert records.submissions(tmp_path / "name") == []


def test_without_slurm_there_is_one_line(commands, tmp_path, monkeypatch):
    (commands / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(UserError, match="sbatch is not installed here"):
        run(planned(tmp_path / "name"))
