"""The command line as a user meets it: what it prints, its one-line errors and its exit codes."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from savo_bench.bench.errors import MACHINE
from savo_bench.envs import registry

GRID = ("--algos", "td3", "--envs", "restricted-inverted-pendulum", "--profile", "ci")
SCORED = (*GRID, "--eval-episodes", "1")  # as many as the stand-in plays, so that its runs have a score


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "--algos", "savvo", "--envs", "all"], "did you mean savo"),
        (["run", "--algos", "td3", "--envs", "restricted-hoper"], "did you mean restricted-hopper"),
        (["run", "--algos", "td3", "--envs", "restrictd"], "did you mean restricted"),
        (["run", *GRID, "--set", "bach_size=3"], "did you mean batch_size"),
        (["run", *GRID, "--set", "savo.extra_actors=3"], "'savo' is not among the chosen algorithms"),
        (["run", *GRID, "--set", "batch_size=0"], "batch_size=0: must be above 0"),
        (["run", *GRID, "--set", "batch_size=many"], "batch_size=many: must be a whole number"),
        (["run", *GRID, "--set", "env.balls=0"], "balls=0"),
        (["run", *GRID, "--set", "search=ivf"], "search=ivf: needs a catalogue of 25000 items or more"),
        (["run", *GRID, "--set", "probes=8"], "probes=8: has no meaning when search is exact"),
        (["run", "--algos", "td3:search=ivf", "--envs", "recsim"], "search=ivf: needs a catalogue of 25000 items"),
        (["run", "--algos", "savo:surrogate=exact", "--envs", "recsim"], "surrogate=exact: must be learned on a catal"),
        (["run", "--algos", "wolpertinger:candidates=51", "--envs", "recsim:items=50"], "candidates=51: must be at m"),
        (["run", *GRID, "--profile", "quik"], "did you mean quick"),
        (["run", *GRID, "--seeds", "0"], "--seeds 0"),
        (["run", *GRID, "--seeds", "-1"], "--seeds -1"),
        (["run", *GRID, "--seeds", "a"], "--seeds a"),
        (["run", *GRID, "--seeds", "7-3"], "7 comes after 3"),
        (["run", *GRID, "--name", "My Runs"], "my-runs"),
        (["run", *GRID, "--steps", "0"], "--steps 0: must be at least 1"),
        (["run", *GRID, "--on", "slum"], "--on 'slum' is unknown"),
        (["run", *GRID, "--config", "no.toml"], "no.toml"),
        (["run", "--envs", "all"], "--algos: say what to train"),
        (["run", "--algos", "td3"], "--envs: say on what to train"),
        (["run", *GRID, "--step", "3"], "--steps"),
        (["run", *GRID, "--steps", "x"], "--steps"),
        (["rnu"], "run"),
        (["list", "alogs"], "did you mean algos"),
        (["status", "nothing"], "there are no runs called 'nothing'"),
        (["report", "nothing"], "there are no runs called 'nothing'"),
        (["report", ".."], "--name"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(bench, arguments, named):
    code, out, err = bench(*arguments)
    assert code == 2
    assert named in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "│" not in err
    assert "estimate" not in out
    assert not Path("runs").exists()


def test_a_gpu_that_is_not_there_is_named(bench, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = bench("run", *GRID, "--device", "cuda")
    assert (code, "torch sees no GPU" in err) == (2, True)


def test_an_error_is_not_broken_where_the_terminal_is_narrow(bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, _, err = bench("run", "--algos", "savvo", "--envs", "all", "--name", "a" * 60)
    assert err.count("\n") == 1


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_place_of_the_runs_is_named(bench, place):
    Path("file").touch()
    code, _, err = bench("run", *GRID, "--runs", place)
    assert code == 2
    assert "file is a file, not a folder" in err
    assert err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_named(bench):
    code, _, err = bench("run", *GRID, "--runs", "/proc/runs")  # root may write anywhere else
    assert code == MACHINE
    assert err.startswith("error: --runs: cannot write to /proc/runs/default")
    assert err.count("\n") == 1


def test_a_warning_is_one_line(bench, monkeypatch):
    import warnings

    from savo_bench import envs

    def names(*_):
        warnings.warn("a plug-in\nis left out", stacklevel=2)
        return []

    monkeypatch.setattr(envs, "names", names)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, err = bench("list", "envs")
    assert (code, err) == (0, "warning: a plug-in is left out\n")


def test_list_shows_algorithms_environments_and_profiles(bench):
    code, out, _ = bench("list")
    assert code == 0
    for word in ("savo", "td3", "extra_actors=3", "batch_size=256", "restricted-hopper", "balls=99", "quick", "paper"):
        assert word in out
    assert "restricted-hopper" not in bench("list", "algos")[1]
    assert "savo" not in bench("list", "profiles")[1]


def test_dry_run_prints_the_plan_and_its_cost_and_writes_nothing(bench):
    code, out, _ = bench("run", "--algos", "savo,td3", "--envs", "restricted", "--seeds", "10", "--dry-run")
    assert code == 0
    assert "seeds in runs/default: 0 done" in out
    assert "estimate: " in out
    assert "core-hours" in out
    assert "disk" in out
    assert "restricted-ant" in out
    assert not Path("runs").exists()


@pytest.mark.usefixtures("real_train")
def test_tables_keep_names_and_numbers_whole_on_a_terminal_of_80_columns(bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    grid = ("--algos", "td3,td3:batch_size=64", "--envs", "restricted-inverted-double-pendulum", "--seeds", "2")
    assert "restricted-inverted-double-pendulum" in bench("list", "envs")[1]
    _, planned, _ = bench("run", *grid, "--dry-run")
    bench("run", *grid, "--steps", "2", "--on", "inline")
    for out in (planned, bench("status")[1], bench("report")[1]):
        assert "restricted-inverted-double-pendulum" in out
    assert "td3:batch_size=64 2 0 0" in " ".join(bench("status")[1].split())
    assert "core time" in planned


def test_what_is_written_on_the_command_line_wins_over_the_file_even_if_it_is_the_default(bench):
    Path("grid.toml").write_text("seeds = 3\nprofile = 'paper'\n")
    _, out, _ = bench("run", *GRID[:4], "--config", "grid.toml", "--dry-run")
    assert "3 seeds in" in out
    _, out, _ = bench("run", *GRID[:4], "--config", "grid.toml", "--seeds", "1", "--profile", "quick", "--dry-run")
    assert "1 seed in" in out


def test_a_run_that_only_warms_up_says_so(bench):
    _, out, _ = bench("run", *GRID, "--steps", "100", "--dry-run")
    assert "note: td3 takes 500 random steps first, so 100 steps train nothing" in out


@pytest.mark.usefixtures("real_train")
def test_run_status_and_run_again(bench):
    command = ("run", *GRID, "--seeds", "2", "--steps", "3", "--on", "inline", "--name", "a")
    code, out, _ = bench(*command)
    assert code == 0
    assert "2 of 2 seeds are done" in out
    assert bench(*command)[:2] == (0, "nothing to do: 2 of 2 seeds are done\n")
    code, out, _ = bench("status", "a")
    assert code == 0
    assert out.split()[-3:] == ["2", "0", "0"]
    code, _, err = bench(*command, "--steps", "4")
    assert code == 2
    assert "budget.steps=3, not 4" in err


@pytest.fixture
def no_ants(monkeypatch) -> str:
    """As where the task needs something that is not installed; the line that says so."""
    line = "restricted-ant: there are no ants: pip install ants"
    entry = registry._entries["restricted-ant"]
    lacking = dataclasses.replace(entry.environment, unavailable=lambda _: line)
    monkeypatch.setitem(registry._entries, "restricted-ant", dataclasses.replace(entry, environment=lacking))
    return line


def test_an_environment_that_this_machine_lacks_is_an_error_where_it_is_named(bench, no_ants):
    for named in ("restricted-ant", "restricted-hopper,restricted-ant"):
        code, out, err = bench("run", "--algos", "td3", "--envs", named)
        assert (code, out, err) == (2, "", f"error: {no_ants}\n")
    assert not Path("runs").exists()


@pytest.mark.usefixtures("real_train")
def test_an_environment_that_this_machine_lacks_is_left_out_of_a_tag_and_the_others_run(bench, no_ants):
    grid = ("run", "--algos", "td3", "--envs", "restricted", "--steps", "1", "--on", "inline")
    code, out, _ = bench(*grid, "--dry-run")
    assert code == 0
    assert f"left out: {no_ants}\n" in out
    for expected in ("5 of 5 seeds are done", "nothing to do: 5 of 5 seeds are done"):
        code, out, _ = bench(*grid)
        assert code == 1
        assert expected in out
        assert out.endswith(f"left out: {no_ants}\n")
    code, out, _ = bench("run", "--algos", "td3", "--envs", "restricted-hopper", "--steps", "1", "--on", "inline")
    assert (code, out) == (0, "nothing to do: 1 of 1 seeds are done\n")


def test_list_says_which_environment_this_machine_lacks(bench, no_ants):
    code, out, _ = bench("list", "envs")
    assert code == 0
    assert f"not available here: {no_ants}\n" in out


@pytest.mark.usefixtures("real_train")
def test_a_failure_ends_run_and_status_with_its_reason_and_exit_code_1(bench):
    code, out, _ = bench("run", *GRID, "--seeds", "2", "--steps", "3", "--on", "inline", "--set", "failed=1")
    assert code == 1
    assert "the environment fell over" in out
    assert "1 of 2 seeds are done" in out
    code, out, _ = bench("status")
    assert code == 1
    assert "seed 1: failed at step 0 of 3: the environment fell over" in out


@pytest.mark.usefixtures("real_train")
def test_report_prints_scores_and_where_the_rest_is(bench):
    bench("run", *GRID, "--seeds", "2", "--steps", "3", "--on", "inline")
    code, out, _ = bench("report", "--out", "page")
    assert code == 0
    assert "last-1 return" in out
    assert "written: page/index.html" in out
    assert Path("page/index.html").exists()


@pytest.mark.usefixtures("real_train")
def test_a_report_that_cannot_be_written_is_one_line(bench):
    bench("run", *GRID, "--steps", "3", "--on", "inline")
    Path("page").touch()
    code, _, err = bench("report", "--out", "page")
    assert (code, err.count("\n")) == (MACHINE, 1)
    assert err.startswith("error: --out: cannot write to page")


@pytest.mark.usefixtures("real_train")
def test_report_prints_who_leads_without_markup(bench):
    bench("run", *SCORED, "--seeds", "2", "--steps", "3", "--on", "inline")
    _, out, _ = bench("report", "--summary", "best", "--curves", "iqm", "--per-seed")
    assert "restricted-inverted-pendulum: td3 alone has scores" in out
    assert "best return" in out
    assert "`" not in out
    assert "**" not in out
    code, _, err = bench("report", "--summary", "bset")
    assert (code, err) == (2, "error: --summary: 'bset' is unknown: did you mean best?\n")
    assert bench("report", "--curves", "median")[0] == 2


@pytest.mark.usefixtures("real_train")
def test_check_of_unchanged_runs_passes_and_of_missing_ones_does_not(bench):
    bench("run", *SCORED, "--seeds", "2", "--steps", "3", "--on", "inline", "--name", "old")
    code, out, _ = bench("check", "old", "--update", "ci/base.csv")
    assert code == 0
    assert "written: ci/base.csv, 2 seeds" in out
    code, out, _ = bench("check", "old", "--against", "ci/base.csv", "--markdown", "a/c.md", "--junit", "a/c.xml")
    assert code == 0
    assert "pass: 2 identical" in out
    assert "2 identical" in Path("a/c.md").read_text()
    assert 'tests="2" failures="0" errors="0"' in Path("a/c.xml").read_text()
    bench("run", *SCORED, "--seeds", "1", "--steps", "3", "--on", "inline", "--name", "new")
    code, out, _ = bench("check", "new", "--against", "ci/base.csv")
    assert code == 4
    assert "not measured: fewer seeds than the baseline: 1, not 2" in out


@pytest.mark.usefixtures("real_train")
def test_check_of_failed_runs_is_not_measured_and_makes_no_baseline(bench):
    bench("run", *SCORED, "--seeds", "2", "--steps", "3", "--on", "inline")
    bench("check", "--update", "base.csv")
    bench("run", *SCORED, "--seeds", "2", "--steps", "3", "--on", "inline", "--name", "b", "--set", "failed=1")
    code, _, err = bench("check", "b", "--update", "b.csv")
    assert (code, err.count("\n")) == (4, 1)
    assert "seed 1 failed" in err
    assert not Path("b.csv").exists()


@pytest.mark.usefixtures("real_train")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "give either --against FILE or --update FILE"),
        (("--against", "a", "--update", "b"), "give either --against FILE or --update FILE"),
        (("--against", "none.csv"), "none.csv: there is no such file; `--update none.csv` writes one"),
        (("--against", "runs"), "runs: not a baseline"),
        (("--against", "base.csv", "--throughput", "1.5"), "--throughput 1.5: must be above 0 and at most 1"),
    ],
)
def test_wrong_usage_of_check_is_one_line_and_exit_code_2(bench, arguments, named):
    bench("run", *SCORED, "--seeds", "2", "--steps", "3", "--on", "inline")
    bench("check", "--update", "base.csv")
    code, _, err = bench("check", *arguments)
    assert code == 2
    assert named in err
    assert err.count("\n") == 1


def test_the_example_of_a_workflow_uses_commands_that_are_there(bench):
    example = Path(__file__).parent.parent / "docs" / "examples" / "bench-check.yml"
    commands = [line.split() for line in example.read_text().splitlines() if line.split()[:1] == ["bench"]]
    assert [command[1] for command in commands] == ["run", "check"]
    assert bench(*commands[0][1:], "--dry-run")[0] == 0
    Path("runs/ci").mkdir(parents=True)
    code, _, err = bench(*commands[1][1:])
    assert (code, "ci/baseline.csv: there is no such file" in err) == (2, True)


def test_the_command_line_needs_no_torch_until_it_trains(run_python):
    code = "import sys; from savo_bench.bench import cli, show, verbs; assert 'torch' not in sys.modules"
    assert run_python(code).returncode == 0


def test_status_needs_neither_torch_nor_a_simulator(run_python, tmp_path):
    (tmp_path / "runs" / "default").mkdir(parents=True)
    code = f"""
import sys
sys.argv = ["bench", "status", "--runs", {str(tmp_path / "runs")!r}]
from savo_bench.bench import cli
try:
    cli.main()
finally:
    assert not {{"torch", "mujoco", "pandas"}} & set(sys.modules)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


SOURCE = Path(__file__).parent.parent / "src"


def test_the_real_command_without_arguments_shows_its_verbs():
    done = subprocess.run(
        [sys.executable, "-m", "savo_bench.bench.cli"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "NO_COLOR": "1"},
    )
    for verb in ("list", "run", "status", "report", "check", "play"):
        assert verb in done.stdout
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -m savo_bench.bench.cli list | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert done.stdout
    assert done.stderr == ""
