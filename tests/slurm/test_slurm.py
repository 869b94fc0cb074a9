"""`bench run --on slurm` on a real SLURM of two nodes: what it submits, and what comes back after every fault."""

import os
import signal
import subprocess
import sys

import pytest
from on_slurm import (
    ON_SLURM,
    ONE,
    ROOT,
    TINY,
    assert_ended_like,
    bench,
    held,
    jobs,
    of,
    saved,
    seed,
    slurm,
    started,
    steps,
    tasks,
    until,
)  # fmt: skip
from small_runs import assert_same_run

from savo_bench.results.format import seed_folders

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("cluster")]


def test_a_task_that_runs_out_of_time_saves_and_comes_back(slow, calm, tmp_path):
    code, output = bench("run", *ONE, *ON_SLURM, "--time", "60", "--runs", tmp_path, **slow)
    assert code == 0, output
    (job,) = jobs(tmp_path)
    until(lambda: saved(seed(tmp_path, 0)))
    # However long it took to start, it now has between one minute and two, and is warned 90 s ahead, as of every limit.
    *hours, minutes, _ = slurm("squeue", "--noheader", f"--jobs={job}", "--format=%M").strip().split(":")
    slurm("scontrol", "update", f"job={job}", f"timelimit={60 * int(*hours or [0]) + int(minutes) + 2}")
    until(lambda: "Restarts=1 " in slurm("scontrol", "show", "job", job))
    slurm("scontrol", "update", f"job={job}", "timelimit=60")
    until(lambda: of(seed(tmp_path, 0)).get("state") == "done")
    assert jobs(tmp_path) == [job]
    assert of(seed(tmp_path, 0))["attempt"] == 2
    assert_ended_like(calm, tmp_path, 0)


def test_a_grid_is_one_throttled_array_of_packs_and_equals_a_local_run(tmp_path):
    grid = ("--algos", "savo,td3", "--envs", "restricted-inverted-pendulum,restricted-hopper", "--seeds", "10", *TINY)
    command = ("run", *grid, "--steps", "80", "--eval-every", "40", "--runs", tmp_path)
    hold = held(tmp_path / "hold")
    code, output = bench(*command, "--on", "slurm", "--array-parallelism", "2", *hold, PYTHONWARNINGS="error")
    assert code == 0, output
    assert "submitted 4 tasks as job" in output
    (job,) = jobs(tmp_path)
    (script,) = (tmp_path / "default" / "slurm").glob(f"*/{job}_submission.sh")
    assert "#SBATCH --array=0-3%2\n" in script.read_text()
    until(lambda: "JobArrayTaskLimit" in slurm("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%r"))
    listed = slurm("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%T").split()
    assert sorted(listed) == ["PENDING", "PENDING", "RUNNING", "RUNNING"]
    code, output = bench("status", "--runs", tmp_path)
    assert f"queued (job {job}: JobArrayTaskLimit)" in output

    with started(*command, "--on", "slurm", "--wait") as following:
        assert following.stdout is not None
        output = ""
        for line in following.stdout:
            output += line
            if "nothing to submit" in line:
                (tmp_path / "hold").unlink()
    assert following.returncode == 0, output
    assert output.count("\nended ") == 4
    assert output.endswith("40 of 40 seeds are done\n")
    assert jobs(tmp_path) == [job]
    assert bench("run", *grid, *command[-6:-2], "--runs", tmp_path, "--name", "local")[0] == 0
    local = [folder.path for folder in seed_folders(tmp_path / "local")]
    assert len(local) == 40
    for path in local:
        from_slurm = tmp_path / "default" / path.relative_to(tmp_path / "local")
        assert_same_run(path, from_slurm)
        assert (path / "policy.pt").read_bytes() == (from_slurm / "policy.pt").read_bytes()
    code, output = bench("status", "--runs", tmp_path)
    assert (code, "queued" in output) == (0, False)


def test_a_wrong_partition_is_slurms_message_in_one_line(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "savo_bench.bench.cli",
            "run",
            *ONE,
            *ON_SLURM,
            "--partition",
            "nope",
            "--runs",
            tmp_path,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: sbatch: invalid partition specified: nope; ")
    assert done.stderr.count("\n") == 1
    assert jobs(tmp_path) == []


def test_a_grid_beyond_the_largest_array_is_split_and_the_throttle_still_holds(tmp_path):
    command = ("run", *ONE, *ON_SLURM, "--seeds", "7", "--extra", "hold", "--runs", tmp_path)
    code, output = bench(*command)
    assert code == 0, output
    first, second = jobs(tmp_path)
    assert f"submitted 7 tasks as job {first}, {second}" in output
    listed = slurm("squeue", "--noheader", "--array", f"--jobs={first},{second}", "--format=%F %E").splitlines()
    assert [line.split()[0] for line in listed].count(first) == 5
    assert {line.split()[1] for line in listed if line.startswith(f"{second} ")} == {f"afterany:{first}_*(unfulfilled)"}
    code, output = bench("status", "--runs", tmp_path)
    assert f"seeds 0-4: queued (job {first}: JobHeldUser)" in output
    slurm("scancel", first, second)


def test_two_runs_at_once_submit_every_pack_once(tmp_path):
    command = ("run", *ONE, *ON_SLURM, "--seeds", "4", "--extra", "hold", "--runs", tmp_path)
    both = [started(*command) for _ in range(2)]
    outputs = [process.communicate(timeout=1500)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("submitted 4 tasks" in output for output in outputs) == 1
    assert sum("nothing to submit" in output for output in outputs) == 1
    assert tasks(tmp_path) == 4
    slurm("scancel", *jobs(tmp_path))


def test_requeued_and_warned_tasks_come_back_and_end_with_the_same_bits(slow, calm, tmp_path):
    command = ("run", *ONE, *ON_SLURM, "--seeds", "2", "--runs", tmp_path)
    bench(*command, **slow)
    (job,) = jobs(tmp_path)
    until(lambda: all(saved(seed(tmp_path, number)) for number in (0, 1)))
    slurm("scontrol", "requeue", f"{job}_0")  # as a preemption does
    slurm("scancel", "--signal=USR2", f"{job}_1")  # as SLURM does before a time limit
    code, output = bench(*command, "--wait", **slow)
    assert code == 0, output
    assert jobs(tmp_path) == [job]
    assert_ended_like(calm, tmp_path, 0, 1)
    assert [of(seed(tmp_path, number))["attempt"] for number in (0, 1)] == [2, 2]


def test_killed_and_cancelled_tasks_are_named_and_the_next_run_submits_them_alone(slow, calm, tmp_path):
    command = ("run", *ONE, *ON_SLURM, "--seeds", "2", "--runs", tmp_path)
    bench(*command, **slow)
    (job,) = jobs(tmp_path)
    until(lambda: all(saved(seed(tmp_path, number)) for number in (0, 1)))
    os.kill(of(seed(tmp_path, 0))["owner"]["pid"], signal.SIGKILL)
    slurm("scancel", f"{job}_1")
    until(lambda: not slurm("squeue", "--noheader", f"--jobs={job}"))
    code, output = bench("status", "--runs", tmp_path)
    assert "seed 0: interrupted at step" in output
    assert f"job {job}_0 died" in output
    assert f"job {job}_1 was cancelled" in output
    bench("run", *ONE, *ON_SLURM, "--runs", tmp_path, **slow)  # seed 0 alone
    code, output = bench(*command, "--wait", **slow)
    assert code == 0, output
    assert "submitted 1 task as job" in output
    assert len(jobs(tmp_path)) == 3
    assert_ended_like(calm, tmp_path, 0, 1)


def help_if_held(job: str, node: str) -> None:
    """What an administrator does where a node took the tasks for those of its former life: SLURM holds them."""
    if "held" in slurm("squeue", "--noheader", "--format=%r"):
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
        slurm("scontrol", "release", job)


def test_tasks_of_a_node_that_fails_come_back_when_there_is_a_node_again(slow, calm, tmp_path):
    command = ("run", *ONE, *ON_SLURM, "--seeds", "2", "--runs", tmp_path)
    bench(*command, **slow)
    (job,) = jobs(tmp_path)
    until(lambda: all(saved(seed(tmp_path, number)) for number in (0, 1)))
    (node,) = slurm("sinfo", "--noheader", "--partition=test", "--format=%n").split()
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        until(lambda: set(slurm("squeue", "--noheader", f"--jobs={job}", "--format=%T").split()) == {"PENDING"})
        # With a real failure nothing is left on the node. What is left of the old tasks counts as running, and SLURM
        # would abort the new ones with it.
        until(lambda: not steps())
        _, output = bench("status", "--runs", tmp_path)
        assert f"(job {job}: " in output
        assert "queued" in output
    finally:
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
    waiting = started(*command, "--wait", **slow)
    until(lambda: waiting.poll() is not None or help_if_held(job, node), 1500)
    output, _ = waiting.communicate()
    assert waiting.returncode == 0, output
    assert jobs(tmp_path) == [job]
    assert_ended_like(calm, tmp_path, 0, 1)


def test_where_squeue_fails_status_says_so_and_nothing_is_submitted(tmp_path):
    command = ("run", *ONE, *ON_SLURM, "--extra", "hold", "--runs", tmp_path)
    bench(*command)
    (job,) = jobs(tmp_path)
    (tmp_path / "slurm.conf").write_text("nonsense\n")
    broken = {"SLURM_CONF": str(tmp_path / "slurm.conf")}
    code, output = bench("status", "--runs", tmp_path, **broken)
    assert code == 0
    assert "note: squeue: " in output
    assert f"what became of job {job} is not known" in output
    code, output = bench(*command, **broken)
    assert code == 74, output
    assert output.startswith("error: squeue: ")
    assert "nothing was submitted" in output
    assert jobs(tmp_path) == [job]
    # Where there is nothing to ask squeue about, it is sbatch that fails.
    code, output = bench(*command, "--name", "new", **broken)
    assert code == 74, output
    assert output.splitlines()[-1].startswith("error: sbatch: ")
    slurm("scancel", job)


def test_without_accounting_and_with_an_empty_queue_the_files_say_what_is_done(cluster, tmp_path):
    command = ("run", *ONE, *ON_SLURM, "--runs", tmp_path)
    bench(*command, "--extra", "hold")
    (lost,) = jobs(tmp_path)
    slurm("scancel", lost)
    assert subprocess.run(["sacct"], capture_output=True, check=False).returncode != 0
    config = cluster / "slurm.conf"
    before = config.read_text()
    config.write_text(before + "MinJobAge=2\n")  # seconds after which it forgets a job that ended
    slurm("scontrol", "reconfigure")
    try:
        until(lambda: slurm("squeue", "--noheader", "--states=all") == "")
        _, output = bench("status", "--runs", tmp_path)
        assert "note:" not in output
        assert f"job {lost} is gone from the queue" in output
        code, output = bench(*command, "--wait")
        assert code == 0, output
        assert "1 of 1 seeds are done" in output
        assert len(jobs(tmp_path)) == 2
        until(lambda: slurm("squeue", "--noheader", "--states=all") == "")
        code, output = bench("status", "--runs", tmp_path)
        assert (code, "note:" in output, "gone" in output) == (0, False, False)
    finally:
        config.write_text(before)
        slurm("scontrol", "reconfigure")
