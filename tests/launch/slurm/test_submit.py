"""What sbatch is told, with stand-ins for the commands of SLURM."""

from pathlib import Path
from typing import Any

import pytest
from small_grids import run
from stand_ins import CELL, planned, say

from savo_bench.bench.cells import Pack
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch.slurm import batch, records, submit
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
    assert text.index("export PYTHONSAFEPATH=1\n") < text.index("\nsrun ")


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
    with pytest.raises(UserError, match=r"^sbatch: no such qos; failed$") as refused:
        run(planned(tmp_path / "name"))
    assert refused.value.exit_code == 2
    assert capsys.readouterr().err == ""
    assert records.submissions(tmp_path / "name") == []


@pytest.mark.parametrize(
    "says",
    [
        "error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "error: Batch job submission failed: Socket timed out on send/recv operation",
        "error: Batch job submission failed: Protocol authentication error",
        "fatal: Unable to process configuration file",
    ],
)
def test_where_slurm_gives_no_answer_it_is_the_fault_of_the_machine(commands, tmp_path, says):
    say(commands, "sbatch", f'echo "sbatch: {says}" >&2; exit 1')
    with pytest.raises(UserError, match=r"^sbatch: ") as silent:
        run(planned(tmp_path / "name"))
    assert silent.value.exit_code == 74
    assert records.submissions(tmp_path / "name") == []


def test_without_slurm_there_is_one_line(commands, tmp_path, monkeypatch):
    (commands / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(UserError, match="sbatch is not installed here") as missing:
        run(planned(tmp_path / "name"))
    assert missing.value.exit_code == 74


LIMITED = """
tasks=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
tasks=$(( ${{tasks:-0}} + 1 + $(cat {folder}/taken 2> /dev/null || echo 0) ))
if [ $tasks -gt {limit} ]; then printf '{says}\\n' >&2; exit 1; fi
echo $tasks > {folder}/taken
echo x >> {folder}/count; echo "Submitted batch job $(wc -l < {folder}/count)"
"""


def limit(commands: Path, tasks: int, says: str = "QOSMaxSubmitJobPerUserLimit") -> None:
    """Let sbatch take so many tasks in all."""
    say(commands, "sbatch", LIMITED.format(folder=commands, limit=tasks, says=says))


@pytest.mark.parametrize(
    "says",
    [
        "sbatch: error: QOSMaxSubmitJobPerUserLimit",
        "sbatch: error: AssocMaxSubmitJobLimit",
        "sbatch: error: AssocGrpSubmitJobsLimit",
        "sbatch: error: Job violates accounting/QOS policy (job submit limit)",
        "sbatch: error: Batch job submission failed: Invalid job array specification",
    ],
)
def test_under_a_submit_limit_fewer_tasks_train_every_pack(commands, tmp_path, says):
    root = tmp_path / "name"
    limit(commands, 2, says)
    code, output = run(planned(root, 5))
    assert code == 0
    assert "submitted 1 task for 5 packs" in output or "submitted 2 tasks for 5 packs" in output
    assert "each trains one pack after the other" in output
    (submission,) = records.submissions(root)
    assert set(submission.shares) == {(0, 1, 2, 3, 4)}


@pytest.mark.parametrize(
    "named", ["QOSMaxWallDurationPerJobLimit", "AssocMaxWallDurationPerJobLimit", "QOSMaxCpuPerUserLimit"]
)
def test_a_limit_of_time_or_size_is_a_refusal_of_what_was_typed(commands, tmp_path, named):
    generic = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, time limits)"
    limit(commands, 0, f"sbatch: error: {named}\\nsbatch: error: {generic}")
    with pytest.raises(UserError, match=named) as refused:
        run(planned(tmp_path / "name", 8))
    assert refused.value.exit_code == 2


def test_a_named_submit_limit_counts_beside_the_generic_line(commands, tmp_path):
    generic = "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy"
    limit(commands, 2, f"sbatch: error: QOSMaxSubmitJobPerUserLimit\\n{generic}")
    assert run(planned(tmp_path / "name", 5))[0] == 0


def test_what_no_limit_leaves_room_for_is_said(commands, tmp_path):
    limit(commands, 3)  # where an array has three tasks at most
    code, output = run(planned(tmp_path / "name", 5))
    assert code == 1
    assert "submitted 3 tasks as job 1" in output
    assert "2 packs not submitted; the same command does it later" in output
    limit(commands, 0)
    with pytest.raises(UserError, match="QOSMaxSubmitJobPerUserLimit") as full:
        run(planned(tmp_path / "other", 5))
    assert full.value.exit_code == 74


def test_several_packs_share_a_task_and_its_cpus(commands, tmp_path):
    root = tmp_path / "name"
    text = script(commands, root, 5, packs_per_task=2, cpus=3)
    assert "#SBATCH --ntasks-per-node=2\n" in text
    assert "#SBATCH --cpus-per-task=3\n" in text
    assert "#SBATCH --array=0-2%3\n" in text
    (submission,) = records.submissions(root)
    assert (submission.shares, submission.processes) == (((0, 1), (2, 3), (4,)), 2)


@pytest.mark.parametrize(
    ("image", "there", "told"),
    [
        ("my image.sif", True, "\"$bench_apptainer\" exec --bind {root} '{here}/my image.sif' python -u -m submitit"),
        ("sandbox/", True, '"$bench_apptainer" exec --bind {root} {here}/sandbox python -u -m submitit'),
        (
            "image.sqsh",
            True,
            "--container-image={here}/image.sqsh --container-mounts={root}:{root} python -u -m submitit",
        ),
        (
            "nvcr.io#lab/bench:1",
            False,
            "'--container-image=nvcr.io#lab/bench:1' --container-mounts={root}:{root} python",
        ),
    ],
)
def test_a_container_is_known_by_what_it_looks_like(commands, tmp_path, monkeypatch, image, there, told):
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / image).mkdir() if image.endswith("/") else (tmp_path / image).touch()
    named = f"./{image}" if image.endswith("/") else image
    text = script(commands, tmp_path / "name", container=named)
    assert told.format(root=tmp_path / "name", here=tmp_path) in text
    assert "unset PYTHONPATH PYTHONHOME\n" in text


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("$HERE/x.sif", "exec --bind {root} {here}/x.sif python"),
        ("${HERE}/x.sif", "exec --bind {root} {here}/x.sif python"),
        ("~/x.sif", "exec --bind {root} {here}/x.sif python"),
        ("$HERE", "exec --bind {root} {here} python"),
        ("$HERE/x.sqsh", "--container-image={here}/x.sqsh --container-mounts={root}:{root} python"),
        ("docker://$HERE/lab", "'--container-image=docker://$HERE/lab' --container-mounts={root}:{root} python"),
        ("lab/~bench:1", "--container-image=lab/~bench:1"),
    ],
)
@pytest.mark.parametrize("where", ["command line", "file"])
@pytest.mark.usefixtures("commands")
def test_the_path_of_an_image_is_expanded_and_a_name_is_not(bench, tmp_path, monkeypatch, where, image, told):
    for name in ("HERE", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("x.sif", "x.sqsh"):
        Path(name).touch()
    Path("grid.toml").write_text(f'on = "slurm"\n[slurm]\ncontainer = "{image}"\n')
    option = ("--config", "grid.toml") if where == "file" else ("--on", "slurm", "--container", image)
    grid = ("--algos", "td3", "--envs", "restricted-inverted-pendulum", "--device", "cpu")
    code, out, err = bench("run", *grid, *option)
    assert (code, err) == (0, ""), out
    (written,) = Path("runs").rglob("1_submission.sh")
    assert told.format(here=tmp_path, root=tmp_path / "runs" / "default") in written.read_text()


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("$NOT_SET_HERE/x.sif", "holds $NOT_SET_HERE, an environment variable that is not set"),
        ("$NOT_SET_HERE", "holds $NOT_SET_HERE, an environment variable that is not set"),
        ("~nobody-of-this-name/x", "begins with the home folder of somebody who has none here"),
    ],
)
def test_the_path_of_an_image_that_cannot_be_expanded_is_refused(bench, image, reason):
    grid = ("--algos", "td3", "--envs", "restricted-inverted-pendulum", "--device", "cpu")
    code, _, err = bench("run", *grid, "--on", "slurm", "--container", image)
    assert (code, err) == (2, f"error: --container {image}: {reason}\n")


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("image", ["nothing.sif", "./nothing", "/nothing.sqsh"])
def test_an_image_that_is_not_there_is_named(tmp_path, image):
    with pytest.raises(UserError, match=f"^--container {image}: there is no such file$"):
        run(planned(tmp_path / "name", own=SlurmOptions(container=image)))
    assert records.submissions(tmp_path / "name") == []


def test_on_a_gpu_the_container_sees_it(tmp_path):
    (tmp_path / "image.sif").touch()
    assert " exec --nv --bind " in batch.container(str(tmp_path / "image.sif"), "cuda", tmp_path)[2]
