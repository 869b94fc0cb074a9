"""The way in for notebooks: tables as frames, figures as matplotlib's, and the examples of docs/notebooks.md."""

import re

import matplotlib.style
import pandas as pd
import pytest
from commands import ROOT
from made_up_runs import files, fill
from matplotlib.figure import Figure
from pandas.testing import assert_frame_equal

from savo_bench.results import reference
from savo_bench.results.frame import EVAL_COLUMNS, RUN_COLUMNS
from savo_bench.results.notebook import NotThere, load
from savo_bench.results.report import NoRuns, write_report

TASK = "restricted-inverted-pendulum"


@pytest.fixture(autouse=True)
def bounded(monkeypatch):
    """Bounds 0 and 100, whatever the made-up tasks are called."""
    monkeypatch.setattr(reference, "bounds", lambda *_: reference.Bounds(0, 100, "0 is x, 1 is y"))


@pytest.fixture
def root(tmp_path):
    """A small folder of runs: two variants on one task."""
    fill(tmp_path / "runs" / "default", (TASK,), ("savo", "td3"), seeds=5)
    return tmp_path / "runs" / "default"


def test_the_examples_of_the_document_run(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "notebooks.md").read_text("utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 4
    names: dict[str, object] = {}
    with matplotlib.style.context("default"):
        for example in examples:
            exec(compile(example, "docs/notebooks.md", "exec"), names)
    assert (tmp_path / "curves.pdf").stat().st_size > 1000
    assert isinstance(names["runs"], type(load(root)))


def test_every_table_and_figure_of_a_report_is_there_and_the_same(root, tmp_path):
    write_report(root, tmp_path / "out")
    written, runs = files(tmp_path / "out"), load(root)
    assert {f"tables/{name}.csv" for name in runs.tables} == {name for name in written if name.startswith("tables/")}
    assert {f"figures/{name}.svg" for name in runs.figures} == {name for name in written if name.endswith(".svg")}
    for name in runs.tables:
        assert runs.table(name).to_csv(index=False, lineterminator="\n").encode() == written[f"tables/{name}.csv"]
    assert {"scores", "comparisons", "aggregates"} <= set(runs.texts)
    assert all(isinstance(runs.figure(name), Figure) for name in runs.figures)
    assert "last-2 return, mean" in runs.text("scores")


def test_the_named_tables_are_those_of_the_report(root):
    runs = load(root)
    for name, own in (("scores", runs.scores()), ("comparisons", runs.comparisons()), ("curves", runs.curves())):
        assert_frame_equal(own, runs.table(name))
    assert_frame_equal(runs.aggregates(), runs.table("aggregates"))
    assert_frame_equal(runs.evaluations, runs.table("evaluations"))
    assert len(runs.seeds) == 10
    assert runs.problems == []
    assert runs.answer()[1].startswith(f"{TASK}: savo and td3 share the highest mean")


def test_a_frame_that_is_changed_changes_no_other(root):
    runs = load(root)
    for frame in (runs.seeds, runs.evaluations, runs.scores(), runs.table("scores"), runs.text("scores")):
        del frame[frame.columns[-1]]
    assert list(runs.seeds.columns) == RUN_COLUMNS
    assert list(runs.evaluations.columns) == [*EVAL_COLUMNS, "valid"]
    assert runs.table("scores").columns[-1] == runs.scores().columns[-1] == "invalid"
    assert runs.text("scores").columns[-1] == "seeds"


def test_curves_are_drawn_into_ones_own_axes(root):
    runs = load(root, curves="iqm")
    figure = Figure()
    axes = figure.subplots(1, 2)
    assert runs.learning_curves(ax=axes[1]) is axes[1]
    assert (len(axes[0].lines), axes[1].get_ylabel()) == (0, "IQM of the return")
    assert [text.get_text() for text in axes[1].get_legend().get_texts()] == ["savo", "td3"]
    drawn = axes[1].lines[0].get_ydata()
    assert list(drawn) == runs.curves().query("variant == 'savo'")["iqm"].tolist()
    assert runs.learning_curves(TASK).figure is not figure


def test_a_notebook_shows_what_was_compared_and_the_scores(root):
    shown = load(root)._repr_html_()
    assert "<strong>Few evaluations:</strong>" in shown.partition("<table")[0]
    assert "10 of 10 seeds are done" in shown
    assert "20.0 [" in shown
    assert "10 of 10 seeds are done" in repr(load(root))


def test_names_that_are_not_there_are_said_with_those_that_are(root, tmp_path):
    runs = load(root)
    with pytest.raises(NotThere, match=r"no table 'score'; there are .*scores"):
        runs.table("score")
    with pytest.raises(NotThere, match=r"no table 'profiles' on the page; there are .*scores"):
        runs.text("profiles")
    with pytest.raises(NotThere, match=r"no figure 'curve'; there are .*curves"):
        runs.figure("curve")
    with pytest.raises(NotThere, match=f"no environment 'x'; there are {TASK}"):
        runs.learning_curves("x")
    with pytest.raises(ValueError, match="summary='mean': must be one of last10, final, best"):
        load(root, summary="mean")
    with pytest.raises(NoRuns, match="no such folder"):
        load(tmp_path / "nothing")
    with pytest.raises(NoRuns, match="holds no runs"):
        load(tmp_path / "runs")
    fill(root, ("other",), ("td3",), seeds=1)
    with pytest.raises(NotThere, match="say which environment; there are other, "):
        load(root).learning_curves()


def test_a_notebook_never_needs_torch(run_python, root):
    code = f"""
import sys
from savo_bench.results.notebook import load
runs = load({str(root)!r})
runs.scores(), runs.figure("curves")
print(*sorted({{"torch", "mujoco", "typer", "rich"}} & set(sys.modules)))
"""
    ended = run_python(code)
    assert (ended.returncode, ended.stdout) == (0, "\n"), ended.stderr


def test_a_report_is_written_from_a_notebook(root, tmp_path):
    page = load(root).write_report(tmp_path / "mine")
    write_report(root, tmp_path / "theirs")
    assert page.name == "index.html"
    assert files(tmp_path / "mine") == files(tmp_path / "theirs")
    assert len(pd.read_csv(tmp_path / "mine" / "tables" / "scores.csv")) == 2
