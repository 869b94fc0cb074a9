"""Output that cannot be written stops nothing, and what a process inherits does not steer it."""

import contextlib
import errno
import io
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from commands import ROOT, Bench
from rich.console import Console

from savo_bench.bench import process, progress
from savo_bench.results.state import survey

GRID = ("--envs", "restricted-inverted-pendulum", "--profile", "ci", "--steps", "3", "--on", "inline", "--workers", "1")
TWO = ("run", "--algos", "td3,td3:batch_size=4", *GRID)
ERRORS = [errno.EPIPE, errno.EIO, errno.ENOSPC, errno.EBADF, errno.EAGAIN]


class Broken(io.StringIO):
    """A stream that takes some writes and then fails."""

    def __init__(self, error: BaseException, takes: int = 0) -> None:
        super().__init__()
        self.error, self.left = error, takes

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)


def failing(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.usefixtures("real_train")
@pytest.mark.parametrize("takes", [0, 2, 5])
@pytest.mark.parametrize("error", [*map(failing, ERRORS), ValueError("I/O operation on closed file.")], ids=str)
def test_every_cell_is_trained_though_nothing_can_be_printed(bench: Bench, monkeypatch, error, takes):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Broken(error, takes))
        code, _, err = bench(*TWO)
    assert code == 0
    assert err.count("note: standard output cannot be written") <= 1
    assert [cell.count()["done"] for cell in survey(Path("runs/default"))] == [1, 1]


@pytest.mark.usefixtures("real_train")
def test_every_cell_is_trained_though_neither_stream_can_be_written(bench: Bench, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Broken(failing(errno.EIO)))
        patched.setattr(sys, "stderr", Broken(failing(errno.EIO)))
        assert bench(*TWO)[0] == 0
        patched.setattr(sys, "stdout", None)
        patched.setattr(sys, "stderr", None)
        assert bench(*TWO)[0] == 0
    assert [cell.count()["done"] for cell in survey(Path("runs/default"))] == [1, 1]


@pytest.mark.usefixtures("real_train")
@pytest.mark.parametrize("verb", [("list",), ("status",), ("report",), ("check", "--update", "b.csv")])
@pytest.mark.parametrize("number", ERRORS)
def test_output_that_fails_changes_no_exit_code(bench: Bench, monkeypatch, verb, number):
    bench(*TWO, "--eval-episodes", "1")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Broken(failing(number)))
        code, _, err = bench(*verb)
    assert code == 0
    assert err.count("\n") == (0 if number == errno.EPIPE else 1)


@pytest.mark.usefixtures("real_train")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_every_encoding_will_do(bench: Bench, monkeypatch, encoding):
    bench(*TWO)
    for verb in ("list", "status", "report"):
        written = io.BytesIO()
        stream = io.TextIOWrapper(written, encoding=encoding)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", stream)
            code, _, err = bench(verb)
        assert (code, err) == (0, "")
        assert "td3" in written.getvalue().decode(encoding)


def test_letters_that_an_encoding_lacks_have_a_stand_in():
    written = io.BytesIO()
    output = process.Output(io.TextIOWrapper(written, encoding="ascii"), "stdout")
    output.write("– × é \udc80")
    output.flush()
    assert written.getvalue() == rb"- x \xe9 \udc80"


def test_what_is_lost_is_said_once(capsys):
    output = process.Output(Broken(failing(errno.ENOSPC)), "stdout")
    for _ in range(3):
        output.write("a")
        output.flush()
    said = capsys.readouterr().err
    assert said == "note: standard output cannot be written (No space left on device) and is dropped\n"


def test_a_display_with_an_error_of_its_own_does_not_stop_a_training(capsys, tmp_path):
    from test_progress import training

    class Faulty(Console):
        def print(self, *_, **__):
            raise RuntimeError("a display\nthat fails")

    made = progress.Board(Faulty(file=io.StringIO()), seeds=1, done=0, failed=0, workers=1, queue=[])
    pack = training(tmp_path, "a", range(1), 100)
    with made:
        made.started(pack, pack)
        made.refresh()
        made.note("a word")
        made.ended(pack)
        made.ended(pack)  # what it does not know is no error either
    told = "note: the progress cannot be shown (RuntimeError: a display that fails); training continues\n"
    assert capsys.readouterr().err == told
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_warnings_stay_warnings_and_a_width_of_zero_is_none(monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    for name, value in (("COLUMNS", "0"), ("LINES", "-3")):
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings(), process.settled():
        warnings.showwarning = lambda *_, **__: None
        warnings.warn("of a library", UserWarning, stacklevel=1)
        assert not {"COLUMNS", "LINES"} & set(os.environ)


TINY = ("--set", "warmup_steps=10", "--set", "hidden=8-8", "--set", "batch_size=4", "--eval-episodes", "1")
REAL = "run --algos td3,cem --envs restricted-inverted-pendulum --steps 20 --workers 1 " + " ".join(TINY)


@pytest.mark.parametrize("tail", ["| head -1", "> /dev/full", ">&-", ">&- 2>&- <&-"])
def test_a_real_run_trains_every_cell_whatever_becomes_of_its_output(tmp_path, tail):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "ascii"}
    line = f"set -o pipefail; {sys.executable} -m savo_bench.bench.cli {REAL} {tail}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (1 if "2>" not in tail and "&-" not in tail else 0)
    assert [cell.count()["done"] for cell in survey(tmp_path / "runs" / "default")] == [1, 1]
    for log in (tmp_path / "runs" / "default" / "logs").iterdir():
        assert "Traceback" not in log.read_text()


def test_a_descriptor_that_was_closed_is_not_given_to_a_file(tmp_path):
    said = "print(open('a', 'w').fileno() > 2, file=open('b', 'w'))"
    code = f"from savo_bench.bench import process; process.settle(); {said}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    line = f'{sys.executable} -c "{code}" >&- 2>&-'
    subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "b").read_text() == "True\n"


def test_a_closed_stream_is_left_as_it_was():
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        with process.settled():
            print("a")
        assert sys.stdout is stream
    assert stream.getvalue() == "a\n"
