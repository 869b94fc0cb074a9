"""What is handed to SLURM and what its queue says, with stand-ins for its commands; tests/slurm has a real one."""

import io
import os
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fake_training import FakeConfig
from rich.console import Console

from savo_bench.algos.agent import Spaces
from savo_bench.bench import grid, jobs, options, run_directory, show, submit, worker
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch import slurm
from savo_bench.bench.options import Slurm
from savo_bench.bench.plan import Budget, Cell, Pack, seed_folder
from savo_bench.results.files import append_csv
from savo_bench.results.format import SeedFolder
from savo_bench.results.state import state_of, survey

CELL = Cell("hopper", {}, "fake", FakeConfig(), {}, Budget("ci", 4, 1, 1))


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that are found before any real ones; `sbatch` numbers jobs from 1 on."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(grid.plan, "probe", lambda _: Spaces(11, 3))
    say(folder, "sbatch", f'echo x >> {folder}/count; echo "Submitted batch job $(wc -l < {folder}/count)"')
    say(folder, "srun", "exit 1")
    say(folder, "squeue", "exit 0")
    say(folder, "sacct", 'echo "Slurm accounting storage is disabled" >&2; exit 1')
    say(folder, "scontrol", 'echo "MaxArraySize            = 3"')
    return folder


def say(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def planned(root: Path, seeds: int = 2, **given: Any) -> grid.Grid:
    asked = options.Options(**{"name": root.name, "runs": root.parent, "on": "slurm", "pack": 1} | given)
    return grid.Grid(asked, (CELL,), tuple(range(seeds)), "cpu", 2)


def run(each: grid.Grid) -> tuple[int, str]:
    output = io.StringIO()
    return submit.run(each, Console(file=output, width=show.WIDE, highlight=False)), output.getvalue()


def queue(root: Path, folder: Path, *lines: str) -> None:
    """Let squeue list tasks, written `state|index|reason`, of the one submission."""
    (submission,) = jobs.submissions(root)
    listed = [f"1|{index}|{state}|{reason}|{submission.name}" for state, index, reason in (x.split("|") for x in lines)]
    (folder / "listed").write_text("\n".join([*listed, "7|0|RUNNING|None|somebody-elses"]))
    say(folder, "squeue", f"cat {folder}/listed")


def states(root: Path) -> list[tuple[str, str | None]]:
    (cell,) = jobs.Jobs(root).join(survey(root))
    return [(seed.state, seed.reason) for seed in cell.seeds]


# ---- the batch script


def script(commands: Path, root: Path, seeds: int = 2, **asked: Any) -> str:
    assert commands.is_dir()
    assert run(planned(root, seeds, slurm=Slurm(**asked)))[0] == 0
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


def test_on_a_gpu_a_task_asks_for_one_and_keeps_its_threads():
    asked = slurm.parameters("name", "cuda", Slurm())
    assert (asked["gres"], asked["setup"]) == ("gpu:1", [])
    assert slurm.parameters("name", "cuda", Slurm(extra=(("gpus-per-task", "1"),)))["gres"] is None


def test_the_warning_before_a_short_limit_comes_late_in_it():
    assert slurm.parameters("name", "cpu", Slurm(time="2"))["signal_delay_s"] == 30
    assert slurm.parameters("name", "cpu", Slurm(time="60"))["signal_delay_s"] == 90


@pytest.mark.usefixtures("commands")
def test_a_large_grid_is_several_arrays_one_after_the_other(tmp_path):
    root = tmp_path / "name"
    _, output = run(planned(root, 7))
    assert "submitted 7 tasks as job 1, 2, 3; `scancel 1 2 3` cancels" in output
    assert [len(each.tasks) for each in jobs.submissions(root)] == [3, 3, 1]
    (second,) = (root / "slurm").glob("*/2_submission.sh")
    assert "#SBATCH --dependency=afterany:1\n" in second.read_text()


def test_what_slurm_refuses_is_one_line_and_leaves_nothing(commands, tmp_path, capsys):
    say(commands, "sbatch", 'echo "sbatch: error: no such qos" >&2; echo "sbatch: error: failed" >&2; exit 1')
    with pytest.raises(UserError, match=r"^sbatch: no such qos; failed$"):
        run(planned(tmp_path / "name"))
    assert capsys.readouterr().err == ""
    assert jobs.submissions(tmp_path / "name") == []


def test_without_slurm_there_is_one_line(commands, tmp_path, monkeypatch):
    (commands / "sbatch").unlink()
    monkeypatch.setenv("PATH", str(commands))
    with pytest.raises(UserError, match="sbatch is not installed here"):
        run(planned(tmp_path / "name"))


# ---- options


@pytest.mark.parametrize(
    ("text", "minutes"), [("30", 30), ("90:30", 91), ("4:00:00", 240), ("2-0", 2_880), ("1-02:03", 1_563), ("0:01", 1)]
)
def test_a_time_is_written_as_for_sbatch(text, minutes):
    assert Slurm(time=text).minutes == minutes


def made(tmp_path: Path, toml: str = "", **given: Any) -> Slurm:
    path = tmp_path / "grid.toml"
    path.write_text(f'on = "slurm"\n{toml}')
    return options.make(path, {"slurm": given}, []).slurm


def test_a_table_of_the_config_says_the_same_and_the_command_line_wins(tmp_path):
    toml = """[slurm]
partition = "long"
time = 04:00:00
cpus = 2
setup = ["module load cuda", "ulimit -c 0"]
extra = { exclusive = true, nodelist = "n1" }
array-parallelism = 8
"""
    expected = Slurm(
        partition="short", time="04:00:00", cpus=2, setup=("module load cuda", "ulimit -c 0"),
        extra=(("exclusive", True), ("nodelist", "n1")), array_parallelism=8,
    )  # fmt: skip
    assert made(tmp_path, toml, partition="short") == expected
    assert made(tmp_path, toml, setup=["a"], extra=["--mail-type=END"]).extra == (("mail-type", "END"),)


@pytest.mark.parametrize(
    ("toml", "given", "named"),
    [
        ("[slurm]\npartitoin = 'a'", {}, "did you mean partition"),
        ("[slurm]\ncpus = 'many'", {}, r"slurm\.cpus = 'many': must be a whole number"),
        ("[slurm]\nextra = 'a'", {}, "must be a table"),
        ("slurm = 3", {}, r"written \[slurm\]"),
        ("", {"time": "soon"}, "--time soon: write minutes"),
        ("", {"time": "0"}, "--time 0: must be above 0"),
        ("", {"cpus": 0}, "--cpus 0: must be at least 1"),
        ("", {"extra": ["time=3"]}, "has an option of its own, --time"),
        ("", {"extra": ["job-name=a"]}, "is set by bench"),
        ("", {"extra": ["a b"]}, "write KEY=VALUE"),
        ("workers = 3", {}, "limited by --array-parallelism"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, toml, given, named):
    with pytest.raises(UserError, match=named):
        made(tmp_path, toml, **given)


def test_an_option_of_slurm_without_slurm_is_a_mistake():
    with pytest.raises(UserError, match="--mem: is for SLURM only; add --on slurm"):
        options.make(None, {"on": "local", "slurm": {"mem": "3G"}}, [])


# ---- the queue


def test_states_come_from_files_and_queue_together(commands, tmp_path):
    root = tmp_path / "name"
    assert run(planned(root, 3))[0] == 0
    queue(root, commands, "PENDING|0|Resources", "RUNNING|1|None", "CANCELLED|2|None")
    assert states(root) == [
        ("queued", "job 1: Resources"), ("running", "job 1_1 is starting"), ("missing", "job 1_2 was cancelled"),
    ]  # fmt: skip


def test_a_second_run_submits_only_what_nobody_has_in_hand(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 3))
    queue(root, commands, "PENDING|0|Resources", "RUNNING|1|None", "FAILED|2|None")
    code, output = run(planned(root, 3))
    assert code == 0
    assert "1 to train (1 new), 1 running elsewhere, 1 queued" in output
    assert [task.seeds for task in jobs.submissions(root)[-1].tasks] == [(2,)]


def test_what_the_queue_forgot_is_asked_of_the_accounting_if_there_is_one(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 2))
    assert states(root) == [
        ("missing", "job 1_0 is gone from the queue"),
        ("missing", "job 1_1 is gone from the queue"),
    ]
    say(commands, "sacct", 'echo "1_0|CANCELLED by 1000"; echo "1_1|OUT_OF_MEMORY"; echo "1_[2-3]|PENDING"')
    assert states(root) == [("missing", "job 1_0 was cancelled"), ("missing", "job 1_1 died, out of memory")]


def test_a_dead_task_whose_last_heartbeat_is_fresh_is_not_running(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 1))
    begun(seed_folder(root, CELL, 0), host="another", launcher="slurm", job="1")
    assert states(root) == [("interrupted", "job 1 is gone from the queue")]
    queue(root, commands, "RUNNING|0|None")
    assert states(root) == [("running", None)]


def test_where_squeue_fails_nothing_is_claimed_and_nothing_submitted(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 2))
    say(commands, "squeue", 'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1')
    known = jobs.Jobs(root)
    known.join(survey(root))
    (note,) = known.notes()
    assert note.endswith("Unable to contact slurm controller; what became of job 1 is not known")
    assert [state for state, _ in states(root)] == ["missing", "missing"]
    with pytest.raises(UserError, match="nothing was submitted"):
        run(planned(root, 2))


def test_a_failed_seed_whose_pack_goes_on_is_not_submitted_again(commands, tmp_path):
    root = tmp_path / "name"
    run(planned(root, 2, pack=2))
    folder = seed_folder(root, CELL, 0)
    begun(folder, host=socket.gethostname(), state="failed")
    queue(root, commands, "RUNNING|0|None")
    assert states(root)[0][0] == "failed"
    assert "nothing to submit" in run(planned(root, 2, pack=2))[1]


def test_a_submission_that_never_came_to_be_leaves_no_trace_in_the_states(commands, tmp_path):
    root = tmp_path / "name"
    each = planned(root, 1)
    run_directory.ask(root, each.cells, each.seeds)
    jobs.record(root, grid.announcement(each, each.look())[0])
    assert commands.is_dir()
    assert states(root) == [("missing", None)]
    assert "submitted 1 task" in run(planned(root, 1))[1]


def test_the_exit_code_tells_of_what_no_submission_will_bring_as_locally(commands, tmp_path):
    root = tmp_path / "name"
    each = planned(root, 2)
    each.left_out = ("restricted-ant: there are no ants",)
    code, output = run(each)
    assert (code, "submitted 2 tasks" in output) == (1, True)
    assert "left out: restricted-ant: there are no ants\n" in output
    queue(root, commands, "PENDING|0|Resources", "PENDING|1|Resources")
    assert run(each)[0] == 1
    for seed in (0, 1):
        finished(seed_folder(root, CELL, seed))
    assert run(planned(root, 2)) == (0, "nothing to do: 2 of 2 seeds are done\n")
    assert run(each) == (1, f"nothing to do: 2 of 2 seeds are done\nleft out: {each.left_out[0]}\n")


def test_an_unreadable_seed_is_named_and_not_taken_for_queued(commands, tmp_path):
    root = tmp_path / "name"
    assert run(planned(root, 2))[0] == 0
    queue(root, commands, "COMPLETED|0|None", "COMPLETED|1|None")
    finished(seed_folder(root, CELL, 0))
    begun(seed_folder(root, CELL, 1), host="another")
    seed_folder(root, CELL, 1).run_json.write_text("{")
    code, output = run(planned(root, 2))
    assert code == 1
    assert "nothing to submit: " in output
    assert "fake seed 1: unreadable: " in output
    assert "mend it, or delete" in output


def test_followed_tasks_start_come_back_and_end_as_the_queue_says(commands, tmp_path):
    root = tmp_path / "name"
    each = planned(root, 2)
    run(each)
    told = []

    class Told:
        def started(self, pack, key, since):
            assert since > 0
            told.append(("started", pack.seeds, key))

        def ended(self, key, problem=None):
            told.append(("ended", key, problem))

    packs = [Pack(CELL, (seed,), root, "cpu", 300.0, "slurm") for seed in (0, 1)]
    tasks = {f"1_{number}": submit._Followed(pack) for number, pack in enumerate(packs)}
    follower = submit._Follower(Told(), tasks)  # type: ignore[arg-type]
    first, second = map(id, packs)

    def after(*lines: str) -> list[tuple[object, ...]]:
        queue(root, commands, *lines)
        known = jobs.Jobs(root)
        known.join(survey(root))
        told.clear()
        follower.tell(known.tasks)
        return list(told)

    assert after("PENDING|0|Resources", "PENDING|1|Resources") == []
    assert after("RUNNING|0|None", "PENDING|1|Resources") == [("started", (0,), first)]
    assert after("COMPLETING|0|None", "RUNNING|1|None") == [("started", (1,), second)]
    assert after("PENDING|0|BeginTime", "RUNNING|1|None") == [("ended", first, "job 1_0 is queued again")]
    assert after("RUNNING|0|None", "FAILED|1|NonZeroExitCode") == [
        ("started", (0,), first), ("ended", second, "job 1_1 died"),
    ]  # fmt: skip
    for seed in (0, 1):
        finished(seed_folder(root, CELL, seed))
    assert after("COMPLETED|0|None") == [("ended", first, None)]


def finished(folder: SeedFolder) -> None:
    begun(folder, host="another", state="done", step=4)
    append_csv(folder.evals_csv, ["step", "episode", "return", "length"], [[4, 0, 1.0, 1]])


def begun(
    folder: SeedFolder, *, host: str, state: str = "running", step: int = 2, launcher: str = "local", **owner: str
) -> None:
    folder.write_run({**worker_spec(), "seed": folder.seed}, {})
    folder.write_status(
        {
            "state": state,
            "step": step,
            "steps": 4,
            "reason": "boom" if state == "failed" else None,
            "heartbeat": time.time(),
            "owner": {"host": host, "pid": 1, "launcher": launcher, **owner},  # type: ignore[typeddict-item]
        }
    )
    folder.lock.touch()


def worker_spec() -> dict[str, Any]:
    import fake_training

    return fake_training.spec_of(type("Pack", (), {"cell": CELL}), 0)


# ---- hosts whose locks nobody else sees


def claimed(folder: SeedFolder, launcher: str) -> bool:
    """Whether a task or another process of this host, once it holds the lock, may train a seed."""
    job = os.environ.get("SLURM_JOB_ID") if launcher == "slurm" else None
    return state_of(folder, asking={"launcher": launcher, "job": job}).trainable


def test_what_another_host_trains_is_running_until_its_heartbeat_is_old(tmp_path):
    folder = seed_folder(tmp_path, CELL, 0)
    begun(folder, host="another")
    assert state_of(folder).state == "running"
    assert not claimed(folder, "local")
    status = folder.read_status()
    assert status is not None
    folder.write_status({**status, "heartbeat": time.time() + 600})  # its clock is ahead
    assert state_of(folder).state == "running"
    folder.write_status({**status, "heartbeat": time.time() - 600})
    assert state_of(folder).state == "interrupted"
    assert claimed(folder, "local")


def test_a_task_takes_its_own_former_life_for_dead(tmp_path, monkeypatch):
    folder = seed_folder(tmp_path, CELL, 0)
    begun(folder, host="another", launcher="slurm", job="12")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert claimed(folder, "slurm")
    assert not claimed(folder, "local")
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    assert not claimed(folder, "slurm")


# ---- a task


class Interrupted(Exception):
    signals: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("signals", "requeued"),
    [((signal.SIGTERM,), False), ((signal.SIGUSR2, signal.SIGTERM), True), ((signal.SIGTERM, signal.SIGUSR2), True)],
)
def test_a_task_that_saved_asks_to_come_back_only_if_it_was_warned(monkeypatch, signals, requeued):
    called: list[list[str]] = []

    def interrupt(_: object) -> None:
        error = Interrupted()
        error.signals = signals
        raise error

    monkeypatch.setattr(worker, "train", interrupt)
    monkeypatch.setattr(worker, "interrupted", lambda: Interrupted)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: called.append(command))
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")  # the last task of an array has its number
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}
    try:
        with pytest.raises(SystemExit) as ended:
            slurm.Train()(None)  # type: ignore[arg-type]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert ended.value.code == worker.INTERRUPTED
    assert called == ([["scontrol", "requeue", "12_3"]] if requeued else [])
