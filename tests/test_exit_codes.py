"""Exit codes: a verdict's code only after a verdict, whatever goes wrong in whichever command."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import typer
from commands import ROOT, Bench, RunPython

from savo_bench.bench import errors, verbs
from savo_bench.bench.launch.stop import Stopped
from savo_bench.results import head_to_head, regression
from savo_bench.results.files import CorruptFile

TASK = ("--envs", "restricted-inverted-pendulum")
RUN = ("run", "--algos", "td3", *TASK, "--profile", "ci", "--eval-episodes", "1", "--steps", "3", "--on", "inline")
PLAY = ("play", "--env", "restricted-inverted-pendulum", "--algo", "td3")

# each command, and a function deep inside it
COMMANDS = [
    (("list", "algos"), "savo_bench.bench.show.table"),
    ((*RUN, "--seeds", "2"), "savo_bench.bench.cost.pack_seconds"),
    ((*RUN, "--seeds", "2"), "savo_bench.bench.worker.train"),
    ((*RUN, "--dry-run", "--seeds", "2"), "savo_bench.bench.estimate.lines"),
    (("status",), "savo_bench.results.state.state_of"),
    (("report", "--out", "page"), "savo_bench.results.sections.scores.text_table"),
    (("check", "--against", "base.csv"), "savo_bench.results.regression.check"),
    (("check", "--against", "base.csv"), "savo_bench.results.regression.verdict_line"),
    (("check", "--update", "new.csv"), "savo_bench.results.regression.baseline_table"),
    (PLAY, "savo_bench.bench.finished.survey"),
]


@pytest.fixture
def trained(bench: Bench, real_train: None) -> Bench:  # noqa: ARG001
    """`bench` in a folder with a done seed and a baseline of it."""
    assert bench(*RUN)[0] == 0
    assert bench("check", "--update", "base.csv")[0] == 0
    return bench


def test_the_guide_has_every_exit_code():
    guide = (ROOT / "docs" / "guide.md").read_text()
    listed = {int(code) for line in re.findall(r"^\| ([\d, ]+) \|", guide, re.MULTILINE) for code in line.split(",")}
    own = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    stops = {Stopped(number).exit_code for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    assert listed == {0} | own | stops | set(regression.EXIT_CODES.values()) | set(head_to_head.EXIT_CODES.values())


@pytest.mark.parametrize(("command", "place"), COMMANDS)
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("deep\ninside"), 70, "internal error in .*: ValueError: deep inside; the traceback is in "),
        (SystemExit(1), 70, "something ended the command with exit code 1"),
        (SystemExit(0), 70, "something ended the command with exit code 0"),
        (PermissionError(13, "Permission denied", "some/status.json"), 74, "some/status.json: Permission denied"),
        (BrokenPipeError(32, "Broken pipe"), 74, "Broken pipe"),
        (CorruptFile("some/run.json: not valid JSON"), 74, "some/run.json: not valid JSON"),
        (MemoryError(), 74, "memory"),
        (KeyboardInterrupt(), 130, "stopped"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_anywhere_is_one_line_and_no_verdict(
    trained: Bench, monkeypatch, tmp_path, command, place, error, code, said
):
    def fail(*_, **__):
        raise error

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(place, fail)
    ended, _, err = trained(*command)
    assert ended == code
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert re.search(said, err)
    if "the traceback is in" in said:
        named = re.search(r"the traceback is in (\S+),", err)
        assert named is not None
        assert "Traceback" in Path(named[1]).read_text()


def test_a_traceback_is_printed_where_it_is_asked_for(trained: Bench, monkeypatch):
    def fail(*_, **__):
        raise ValueError("deep")

    monkeypatch.setenv("BENCH_DEBUG", "1")
    monkeypatch.setattr("savo_bench.results.state.state_of", fail)
    code, _, err = trained("status")
    assert (code, "Traceback" in err) == (70, True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("check", "--against", "base.csv", "--junit", "base.csv/x"), "--junit: cannot write to base.csv"),
        (("check", "--against", "base.csv", "--markdown", "base.csv/x"), "--markdown: cannot write to base.csv"),
        (("check", "--update", "base.csv/x"), "--update: cannot write to base.csv"),
        (("check", "--against", "loop"), "loop: Too many levels of symbolic links"),
        (("report", "--out", "base.csv"), "--out: cannot write to base.csv"),
        (("run", "--config", "loop"), "--config loop: cannot be read"),
        ((*RUN, "--runs", "/proc/runs"), "--runs: cannot write to /proc/runs"),
    ],
)
def test_a_file_that_cannot_be_read_or_written_is_no_verdict(trained: Bench, arguments, named):
    Path("loop").symlink_to("loop")
    code, _, err = trained(*arguments)
    assert (code, err.count("\n")) == (74, 1)
    assert named in err


def options() -> list[tuple[str, str]]:
    """Every option of every command that takes a value, those of the launchers included."""
    commands = typer.main.get_command(verbs.app()).commands  # type: ignore[attr-defined]
    return [
        (verb, option.opts[0])
        for verb, command in commands.items()
        for option in command.params
        if option.param_type_name == "option" and not option.is_flag
    ]


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_value_is_refused_with_the_name_of_its_option(bench: Bench, value):
    found = options()
    assert {("check", "--junit"), ("run", "--runs"), ("run", "--partition"), ("report", "--out")} <= set(found)
    for verb, option in found:
        code, _, err = bench(verb, option, value)
        assert (code, err.count("\n")) == (2, 1)
        assert option in err
        assert "must not be empty" in err
    for verb in ("status", "report", "check", "list"):
        assert bench(verb, value)[0] == 2


def test_a_broken_installation_is_no_verdict(run_python: RunPython):
    code = "import sys; sys.argv = ['bench', 'check', '--against', 'b.csv']; sys.modules['rich'] = None\n"
    done = run_python(f"{code}from savo_bench.bench import cli; cli.main()")
    assert (done.returncode, done.stderr.count("\n")) == (70, 1)
    assert "internal error" in done.stderr


@pytest.fixture
def start(tmp_path, monkeypatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`start(*arguments)` runs the command in a process of its own, which finds modules of this test's folder first."""
    script = tmp_path / "bin" / "bench"
    script.parent.mkdir()
    lines = "import sys\nfrom savo_bench.bench.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    script.write_text(lines)  # as pip writes it
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "first"), str(ROOT / "src")]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str, how: Sequence[str] = (str(script),)) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, *how, *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)

    return run


def module(name: str, code: str) -> None:
    """A module that is found before any other of this name."""
    Path("first").mkdir(exist_ok=True)
    Path("first", f"{name}.py").write_text(code)


def plugin(group: str, code: str, called: str = "") -> None:
    """An installed package with an entry point of a group."""
    module("broken_plugin", code)
    info = Path("first", "broken-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[savo_bench.{group}]\nbroken = broken_plugin{called}\n")


ERROR = "raise RuntimeError('two\\nlines')"
EXIT = "import sys; sys.exit(1)"
CTRL_C = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"


@pytest.mark.parametrize(
    ("name", "code", "ended"),
    [
        ("gymnasium", ERROR, 70),
        ("gymnasium", EXIT, 70),
        ("gymnasium", CTRL_C, 130),
        ("numpy", ERROR, 70),
        ("torch", "raise ImportError('no such library')", 70),
        ("typer", EXIT, 70),
    ],
)
def test_what_fails_while_it_is_imported_is_one_line_and_no_verdict(start, name, code, ended):
    module(name, code)
    for how in ({}, {"how": ("-P", "-m", "savo_bench.bench.cli")}):
        done = start("list", "algos" if name == "torch" else "envs", **how)
        assert (done.returncode, done.stderr.count("\n")) == (ended, 1), done.stderr
        assert done.stderr.startswith("error: ")
    assert start("check", "--against", "b.csv").returncode in (2, ended)  # 2: it needs none, and there are no runs


def test_a_processor_that_numpy_refuses_is_no_verdict(start, monkeypatch):
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "X86_V2")  # which some versions cannot do without
    done = start("check", "--against", "b.csv")
    assert (done.returncode in (2, 70), done.stderr.count("\n")) == (True, 1), done.stderr


@pytest.mark.parametrize("group", ["envs", "algos", "launchers"])
@pytest.mark.parametrize(
    ("code", "called", "asked"),
    [
        (ERROR, "", "error"),
        (EXIT, "", ""),
        ("import sys\nclass Name:\n    def __call__(self): sys.exit()\nentry = Name()", ":entry", "error"),
    ],
    ids=["error", "exit", "exit later"],
)
def test_a_broken_plug_in_is_named_in_a_line_and_the_rest_works(start, monkeypatch, group, code, called, asked):
    monkeypatch.setenv("PYTHONWARNINGS", asked)
    plugin(group, code, called)
    done = start("list")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("savo", "restricted-hopper", "quick"))
    assert done.stderr.startswith("warning: "), done.stderr
    assert (done.stderr.count("\n"), "broken" in done.stderr, "left out" in done.stderr) == (1, True, True), done.stderr


def test_ctrl_c_in_a_plug_in_is_no_fault_of_it(start):
    plugin("envs", CTRL_C)
    done = start("list")
    assert (done.returncode, done.stderr) == (130, "error: stopped by Ctrl-C; nothing more is written\n")


def test_another_ctrl_c_changes_nothing(start):
    for name in ("typer", "rich"):  # rich is imported again for the line about the first one
        module(name, CTRL_C)
    done = start("list")
    assert (done.returncode, done.stderr.count("\n")) == (130, 1), done.stderr


def test_ctrl_c_in_a_real_report_says_a_word(tmp_path):
    code = f"""
import os, signal, sys, threading
sys.argv = ["bench", "report", "--runs", {str(tmp_path)!r}]
os.mkdir({str(tmp_path / "default")!r})
from savo_bench.bench import cli, run_directory
run_directory.find = lambda *_: os.kill(os.getpid(), signal.SIGINT)
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert (done.returncode, done.stderr) == (130, "error: stopped by Ctrl-C; nothing more is written\n")
