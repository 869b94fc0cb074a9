"""What happens to jobs on a real cluster: bad nodes, limits, inherited variables, containers, no scontrol, no flock."""

import os
import stat
import sys
from pathlib import Path

import pytest
from on_slurm import ON_SLURM, ONE, ROOT, SLOW, assert_ended_like, bench, held, jobs, of, saved, seed, slurm, until

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("cluster")]

QUICK = (*ON_SLURM, "--steps", "150")
# The shell's test of whether a batch script runs on the node that is bad.
ON_SECOND = '[ "$SLURMD_NODENAME" = second ]'
# On the node that is bad, torch cannot take a tensor to its device.
BAD_GPU = """
import builtins, os, sys
import_, depth = builtins.__import__, 0

def broken(*_):
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")

def importing(*arguments, **more):
    global depth
    depth += 1
    try:
        return import_(*arguments, **more)
    finally:
        depth -= 1
        if depth == 0 and "torch" in sys.modules and os.environ.get("SLURMD_NODENAME") == "second":
            sys.modules["torch"].from_numpy = broken

builtins.__import__ = importing
"""
NO_FLOCK = """
import errno, fcntl, os

def flock(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

fcntl.flock = flock
"""

# An sbatch under a limit of two tasks a user.
LIMITED = r"""
tasks=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$1")
mine=$({squeue} --noheader --array --me | wc -l)
if [ $((mine + ${{tasks:-0}} + 1)) -gt 2 ]; then
    echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2
    echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)' >&2
    exit 1
fi
exec {sbatch} "$@"
"""


def real(name: str) -> str:
    """The path of a command."""
    return slurm("which", name).strip()


def command(folder: Path, name: str, script: str) -> str:
    """Make a command in a folder; returns a PATH that finds it first."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def patched(folder: Path, code: str) -> dict[str, str]:
    """Environment variables with which every Python runs some code first."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}"}


def ended(runs: Path) -> None:
    until(lambda: not slurm("squeue", "--noheader", f"--jobs={','.join(jobs(runs))}"))


def logs(runs: Path) -> str:
    return "".join(path.read_text() for path in (runs / "default" / "slurm").glob("*/*_log.err"))


def nodes_of(runs: Path) -> set[str]:
    """The nodes of the tasks that ended well."""
    lines = (runs / "default" / "slurm" / "nodes.jsonl").read_text().splitlines()
    return {line.split('"')[3] for line in lines if '"code": 0}' in line}


@pytest.mark.parametrize("outer", ["salloc", "srun", "variables"])
def test_what_is_submitted_from_inside_an_allocation_inherits_nothing_of_it(outer, tmp_path):
    seen = tmp_path / "environment"
    inside = {
        "salloc": ("salloc", "--partition=both", "--nodelist=second", "--mem-per-cpu=100", "--ntasks=2"),
        "srun": ("srun", "--partition=both", "--nodelist=second", "--mem-per-cpu=100", "--cpu-bind=rank"),
        "variables": (
            "env", "SLURM_JOB_ID=99999", "SLURM_CPU_BIND=quiet,mask_cpu:0x8", "SLURM_NTASKS=3", "SLURM_MEM_PER_CPU=9",
            "SBATCH_ARRAY_INX=0-3", "SBATCH_PARTITION=nowhere", "SRUN_CPUS_PER_TASK=7", "PMI_RANK=1",
            "CUDA_VISIBLE_DEVICES=5", "SQUEUE_USERS=nobody", "SQUEUE_PARTITION=both",
        ),
    }[outer]  # fmt: skip
    run = [sys.executable, "-m", "savo_bench.bench.cli", "run", *ONE, *QUICK, "--partition", "test"]
    run += ["--runs", str(tmp_path)]
    setup = ["--setup", f"env > {seen}"]
    output = slurm("env", f"PYTHONPATH={ROOT / 'src'}", "OMP_NUM_THREADS=1", *inside, *run, *setup)
    assert "submitted 1 task as job" in output
    (job,) = jobs(tmp_path)
    again = slurm("env", f"PYTHONPATH={ROOT / 'src'}", "OMP_NUM_THREADS=1", *inside, *run, *setup, "--wait")
    assert "nothing to submit" in again or "nothing to do" in again
    assert "1 of 1 seeds are done" in again
    assert jobs(tmp_path) == [job]
    variables = dict(line.split("=", 1) for line in seen.read_text().splitlines() if "=" in line)
    assert (variables["SLURM_JOB_ID"], variables["SLURM_JOB_PARTITION"]) == (job, "test")
    slurms = ("SLURM_CPU_BIND", "SLURM_MEM_PER_CPU", "SLURM_STEP", "SLURM_NTASKS", "SBATCH_", "SRUN_", "SQUEUE_")
    assert [name for name in variables if name.startswith((*slurms, "PMI_", "CUDA_"))] == []


@pytest.mark.parametrize("fault", ["gpu", "python", "training"])
def test_a_node_that_fails_twice_is_left_out_and_the_rest_is_trained_elsewhere(fault, tmp_path):
    environment = patched(tmp_path / "patch", BAD_GPU if fault == "gpu" else "")
    codes = {"gpu": 0, "python": 127, "training": 1}
    crash = f"if {ON_SECOND} && [ {codes[fault]} != 0 ]; then exit {codes[fault]}; fi"
    run = ("run", *ONE, *QUICK, "--seeds", "3", "--partition", "both", "--array-parallelism", "1", "--runs", tmp_path)
    bench(*run, "--setup", crash, **environment)
    ended(tmp_path)
    done = [number for number in range(3) if of(seed(tmp_path, number)).get("state") == "done"]
    # Where the fault is plainly the node's, what waited went elsewhere; a crash may be that of what was to be trained.
    assert done == ([] if fault == "training" else [2])
    code, output = bench("status", "--runs", tmp_path)
    assert f"note: node second is left out: {2 if done else 3} attempts in a row failed there at once (code" in output
    code, output = bench(*run, "--array-parallelism", "3", "--setup", crash, "--wait", **environment)
    assert code == 0, output
    assert "note: node second is left out" in output
    assert "3 of 3 seeds are done" in output
    ended(tmp_path)  # a task notes its end after the last seed is done
    assert nodes_of(tmp_path) == {slurm("sinfo", "--noheader", "--partition=test", "--format=%n").strip()}
    if fault == "gpu":
        assert "cannot be used: RuntimeError: CUDA error: uncorrectable ECC error encountered" in logs(tmp_path)


def test_where_a_user_may_have_two_tasks_they_train_the_whole_grid(calm, tmp_path):
    path = command(
        tmp_path / "commands", "sbatch", LIMITED.format(**{name: real(name) for name in ("squeue", "sbatch")})
    )
    run = ("run", *ONE, *ON_SLURM, "--seeds", "5", "--runs", tmp_path)
    code, output = bench(*run, *held(tmp_path / "hold"), PATH=path)
    assert code == 0, output
    assert "submitted 2 tasks for 5 packs as job" in output
    assert "SLURM takes no more tasks of yours: each trains one pack after the other" in output
    (job,) = jobs(tmp_path)
    code, output = bench("status", "--runs", tmp_path)
    assert "queued (job" in output
    (tmp_path / "hold").unlink()
    code, output = bench(*run, "--wait", PATH=path)
    assert code == 0, output
    assert "5 of 5 seeds are done" in output
    assert jobs(tmp_path) == [job]
    assert {of(seed(tmp_path, number))["attempt"] for number in range(5)} == {1}
    for number in (0, 1):
        assert (seed(tmp_path, number).evals_csv).read_bytes() == seed(calm, number).evals_csv.read_bytes()


def test_on_a_node_without_scontrol_a_warned_task_saves_and_the_next_run_brings_it_back(slow, calm, tmp_path):
    tools = tmp_path / "tools"
    for name in ("srun", "awk", "date", "uname"):
        command(tools, name, f'exec {real(name)} "$@"')
    run = ("run", *ONE, *ON_SLURM, "--seeds", "2", "--setup", f"PATH={tools}", "--runs", tmp_path)
    bench(*run, **slow)
    (job,) = jobs(tmp_path)
    until(lambda: all(saved(seed(tmp_path, number)) for number in (0, 1)))
    slurm("scancel", "--signal=USR2", job)
    ended(tmp_path)
    assert "Traceback" not in logs(tmp_path)
    assert logs(tmp_path).count("saved, but not requeued from node") == 2
    code, output = bench("status", "--runs", tmp_path)
    assert "interrupted at step" in output
    assert "left out" not in output
    code, output = bench(*run, "--wait", **slow)
    assert code == 0, output
    assert "submitted 2 tasks as job" in output
    assert_ended_like(calm, tmp_path, 0, 1)


def test_several_packs_in_a_task_are_saved_and_come_back_together(slow, calm, tmp_path):
    run = ("run", *ONE, *ON_SLURM, "--seeds", "2", "--packs-per-task", "2", "--runs", tmp_path)
    code, output = bench(*run, **slow)
    assert "submitted 1 task for 2 packs as job" in output
    (job,) = jobs(tmp_path)
    until(lambda: all(saved(seed(tmp_path, number)) for number in (0, 1)))
    assert of(seed(tmp_path, 0))["owner"]["pid"] != of(seed(tmp_path, 1))["owner"]["pid"]
    assert slurm("squeue", "--noheader", f"--jobs={job}", "--format=%C").strip() == "2"
    slurm("scancel", "--signal=USR2", job)
    code, output = bench(*run, "--wait", **slow)
    assert code == 0, output
    assert jobs(tmp_path) == [job]
    assert_ended_like(calm, tmp_path, 0, 1)
    assert [of(seed(tmp_path, number))["attempt"] for number in (0, 1)] == [2, 2]


@pytest.mark.parametrize("runtime", ["apptainer", "pyxis"])
def test_a_task_trains_in_a_container(slow, calm, tmp_path, runtime):
    """With stand-ins: they note their arguments and run the rest outside, in an environment of their own."""
    noted = tmp_path / "noted"
    inside = f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={slow['PYTHONPATH']}"
    note = f"""printf '%s\\n' "$@" >> {noted}; echo "${{PYTHONPATH-none}}" >> {noted}; {inside}"""
    start = ["python", "-u", "-m", "submitit.core._submit"]
    if runtime == "apptainer":
        image = tmp_path / "image.sif"
        path = command(tmp_path / "commands", "apptainer", f'{note}\nshift 4\nexec "$@"')
        expected = ["exec", "--bind", str(tmp_path / "default"), str(image), *start]
    else:
        image = tmp_path / "image.sqsh"
        strip = 'for each; do shift; case $each in --container-*) ;; *) set -- "$@" "$each" ;; esac; done'
        path = command(tmp_path / "commands", "srun", f'{note}\n{strip}\nexec {real("srun")} "$@"')
        mounts = f"--container-mounts={tmp_path / 'default'}:{tmp_path / 'default'}"
        expected = [f"--container-image={image}", mounts, *start]
    image.touch()
    run = ("run", *ONE, *ON_SLURM, "--seeds", "1", "--container", image, "--runs", tmp_path)
    bench(*run, PATH=path, **slow)
    (job,) = jobs(tmp_path)
    until(lambda: saved(seed(tmp_path, 0)))
    slurm("scancel", "--signal=USR2", job)
    code, output = bench(*run, "--wait", PATH=path, **slow)
    assert code == 0, output
    assert jobs(tmp_path) == [job]
    assert_ended_like(calm, tmp_path, 0)
    lines = noted.read_text().splitlines()
    begin = lines.index(expected[0])
    assert lines[begin : begin + len(expected)] == expected
    assert "none" in lines  # the login node's import path stays outside


def test_without_flock_tasks_train_and_come_back(calm, tmp_path):
    environment = patched(tmp_path / "patch", NO_FLOCK + SLOW)
    run = ("run", *ONE, *ON_SLURM, "--seeds", "2", "--runs", tmp_path)
    code, output = bench(*run, **environment)
    assert code == 0, output
    until(lambda: all(saved(seed(tmp_path, number)) for number in (0, 1)))
    (job,) = jobs(tmp_path)
    slurm("scontrol", "requeue", f"{job}_0")
    slurm("scancel", "--signal=USR2", f"{job}_1")
    code, output = bench(*run, "--wait", **environment)
    assert code == 0, output
    assert jobs(tmp_path) == [job]
    assert_ended_like(calm, tmp_path, 0, 1)
