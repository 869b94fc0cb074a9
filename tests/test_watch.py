"""`bench report --watch`: what makes it write again, and how it ends."""

import pytest
from made_up_runs import files
from test_frame import fake_run

from savo_bench.bench import show
from savo_bench.bench.commands.watch import EVERY, watching
from savo_bench.bench.errors import INTERRUPTED, UserError
from savo_bench.results.report import write_report

RELOADS = 'http-equiv="refresh"'


@pytest.fixture
def root(tmp_path):
    """One seed that is done, and one that has one of four evaluations."""
    fake_run(tmp_path / "name", [1, 2, 3, 4])
    fake_run(tmp_path / "name", [1], seed=1, state="running")
    return tmp_path / "name"


def watch(root, *changes):
    """Watch a folder in which something happens between looks; the pages that were written, and the pauses."""
    pages, pauses, left = [], [], list(changes)

    def write(reload):
        report = write_report(root, root / "report", reload=reload)
        pages.append(report.files[0].read_text("utf-8"))
        return report

    def sleep(seconds):
        pauses.append(seconds)
        left.pop(0)()

    try:
        watching([root], write, show.console(), sleep)
    finally:
        assert left == []
    return pages, pauses


def nothing():
    """Nothing happens."""


def test_it_is_written_again_only_when_something_changed_and_at_last_as_ever(root, tmp_path):
    def evaluated():
        fake_run(root, [5], seed=1, state="running")  # a line more in evals.csv, of the same seed

    def beats():
        status = root / "restricted-hopper" / "td3" / "seed-0001" / "status.json"
        status.write_text(status.read_text().replace('"heartbeat": 1000.0', '"heartbeat": 1001.0'))

    def done():
        (root / "restricted-hopper" / "td3" / "seed-0001" / "evals.csv").unlink()
        fake_run(root, [5, 6, 7, 8], seed=1)

    pages, pauses = watch(root, nothing, beats, evaluated, nothing, done)
    assert [RELOADS in page for page in pages] == [True, True, False]
    assert "1 of 2 seeds are done" in pages[0]
    assert "2 of 2 seeds are done" in pages[2]
    assert min(pauses) == EVERY
    watched = files(root / "report")
    write_report(root, tmp_path / "ordinary")
    assert files(tmp_path / "ordinary") == watched


def test_what_is_done_or_failed_is_not_waited_for(root):
    fake_run(root, [], seed=1, state="failed", reason="ValueError: NaN")
    pages, pauses = watch(root)
    assert [RELOADS in page for page in pages] == [False]
    assert pauses == []


def test_ctrl_c_leaves_the_ordinary_report_and_says_so(root):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(UserError, match="stopped by Ctrl-C; the report has all that was there") as ended:
        watch(root, nothing, stop)
    assert ended.value.exit_code == INTERRUPTED
    assert RELOADS not in (root / "report" / "index.html").read_text("utf-8")


def test_the_command_watches(bench, tmp_path):
    fake_run(tmp_path / "runs" / "default", [1, 2, 3, 4])
    code, out, err = bench("report", "--watch")
    assert (code, err) == (0, "")
    assert "written: " in out
