"""The report as a whole: its files, the same bytes again, and whatever state the runs are in."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_runs import files, fill, page_of
from matplotlib.figure import Figure
from test_frame import fake_run

from savo_bench.results import page, plots, reference, regression, sections
from savo_bench.results.frame import MixedRuns, load
from savo_bench.results.report import write_report


@pytest.fixture(autouse=True)
def no_committed_bounds(monkeypatch, tmp_path):
    """The made-up tasks of these tests bear names of real ones."""
    monkeypatch.setattr(reference, "BOUNDS", tmp_path / "none.csv")


@pytest.fixture
def bounded(monkeypatch):
    """Bounds 0 and 100 for the environments named env-…"""

    def bounds(environment, *_):
        return reference.Bounds(0, 100, "0 is x, 1 is y") if environment["name"].startswith("env-") else None

    monkeypatch.setattr(reference, "bounds", bounds)


def test_a_report_has_everything(tmp_path):
    root, out = tmp_path / "first", tmp_path / "out"
    fill(root)
    fake_run(root, [5, 6], environment="env-a", seed=6, state="failed", reason="ValueError: NaN")
    report = write_report(root, out)
    assert sorted(files(out)) == sorted(path.relative_to(out).as_posix() for path in report.files)
    assert {path.name for path in report.files} >= {
        "index.html",
        "report.md",
        "tables.tex",
        "scores.csv",
        "curves.svg",
        "curves-env-a.png",
    }
    page = (out / "report.md").read_text()
    assert "# first" in page
    assert "profile ci (400 steps): 36 of 37 seeds are done" in page
    assert "| env-a | td3 | 25.0 [" in page
    assert "6/7 seeds, 1 failed" in page
    assert "| env-a | td3 | 6 | failed | 200 of 400 | ValueError: NaN |" in page
    assert "| tau | 0.005 | 0.005 | 0.01 |" in page
    assert "**Not complete:** 1 of 6 cells" in page
    assert "Few seeds" not in page
    for link in re.findall(r"\]\(([^)]*)\)", page):
        assert (out / link).is_file()
    assert len(pd.read_csv(out / "tables" / "evaluations.csv")) == len(report.runs.evals) == 36 * 4 + 2
    assert len(report.score_text) == 6


def test_a_report_is_the_same_bytes_again_and_elsewhere(tmp_path):
    root = tmp_path / "here" / "name"
    fill(root, seeds=2)
    fake_run(root, [1, 2], environment="env-a", seed=2, state="running")
    (root / "env-a" / "td3" / "seed-0001" / "run.json").write_text("{")
    write_report(root, root / "report")
    first = files(root / "report")
    write_report(root, root / "report")
    assert files(root / "report") == first
    shutil.copytree(root, tmp_path / "there" / "name")
    write_report(tmp_path / "there" / "name", tmp_path / "out")
    assert files(tmp_path / "out") == first


@pytest.mark.parametrize("returns", [[], [1], [np.nan, np.nan]])
def test_a_single_unfinished_seed_gives_a_report(tmp_path, returns):
    fake_run(tmp_path / "x", returns, state="running")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "0 of 1 seeds are done" in page


def test_an_empty_folder_is_one_clear_line(tmp_path):
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match=rf"^{re.escape(str(root))}: holds no runs$"):
            write_report(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_that_must_not_be_pooled_write_nothing(tmp_path):
    fake_run(tmp_path / "x", [1], seed=0)
    fake_run(tmp_path / "x", [1], seed=1, tau=0.5)
    with pytest.raises(MixedRuns):
        write_report(tmp_path / "x", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_markdown_table_survives_any_text(tmp_path):
    fake_run(tmp_path / "x", [1] * 4, metrics={"valid": 1}, mode="a|b")
    fake_run(tmp_path / "x", [1] * 4, variant="savo", mode="c")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "| mode | c | a\\|b |" in page


@pytest.mark.usefixtures("bounded")
def test_all_three_documents_hold_the_same_sections_tables_and_figures(tmp_path):
    fill(tmp_path / "x")
    report, markdown = page_of(tmp_path / "x")
    html, latex = ((report.folder / name).read_text() for name in ("index.html", "tables.tex"))
    titles = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert titles == re.findall(r"<h2 [^>]*>(.*?)</h2>", html)
    assert titles[:4] == ["Answer", "Scores", "Scores by method and task", "What a single agent scores"]
    assert markdown.count("![") == html.count("<svg") == 2 + 4 + 2
    assert html.count("<table") == len(re.findall(r"^\| ---", markdown, re.MULTILINE))
    for name in ("scores", "aggregates", "improvement", "cost", "fields"):
        assert f"tab:{name}" in latex
    assert {path.stem for path in report.files if path.suffix == ".csv"} == {
        *("scores", "curves", "fields", "seeds", "evaluations", "comparisons", "improvement", "aggregates"),
        *("profiles", "aggregate-curves", "efficiency", "metrics", "cost", "ablations", "paper"),
        *("tolerance", "hyperparameters"),
    }
    for kind in (".svg", ".png", ".pdf"):
        assert len([path for path in report.files if path.suffix == kind]) == 9


def test_no_text_of_a_run_can_break_a_page(tmp_path):
    reason = "<script>alert(`1`)</script> | **x** \x1b[31m\nnext"
    fake_run(tmp_path / "x", [1], state="failed", reason=reason)
    report, markdown = page_of(tmp_path / "x")
    assert (report.folder / "index.html").read_text().count("<script>") == 1
    row = next(line for line in markdown.splitlines() if "alert" in line)
    assert row.count(" | ") == 5  # those between cells; its own is escaped
    assert "&lt;script>" in row
    assert "\x1b" not in markdown


def test_the_same_report_from_other_processes_is_the_same_bytes(tmp_path, run_python):
    fill(tmp_path / "x", ["env-a"], ["td3", "savo"], seeds=3)
    for out in ("one", "two"):
        arguments = f"Path({str(tmp_path / 'x')!r}), Path({str(tmp_path / out)!r})"
        done = run_python(
            f"from pathlib import Path; from savo_bench.results.report import write_report; write_report({arguments})"
        )
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "one") == files(tmp_path / "two")


def damage(root, rng):
    """Do one bad thing to one file of a tree."""
    path = rng.choice(sorted(path for path in root.rglob("*") if path.is_file()))
    content = path.read_bytes()
    kind = rng.integers(6)
    if kind == 0:
        path.write_bytes(content[: rng.integers(len(content) + 1)])
    elif kind == 1:
        path.write_bytes(rng.bytes(200))
    elif kind == 2:
        path.unlink()
    elif kind == 3:
        path.unlink()
        path.mkdir()
    elif kind == 4:
        path.write_bytes(rng.choice([b"[]", b"{}", b"null", b"", b"\n\n", b"a,b\n1,2\n", content + content]))
    else:
        path.write_bytes(content.replace(b"1", b"nan", int(rng.integers(1, 4))))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happened_to_a_tree_it_is_reported_and_does_not_pass_a_check_by_it(tmp_path, seed):
    root, rng = tmp_path / "x", np.random.default_rng(seed)
    fill(root, ["env-a"], ["td3", "savo"], seeds=2)
    baseline = regression.baseline_table(load(root))
    for _ in range(rng.integers(1, 4)):
        damage(root, rng)
    report = write_report(root, tmp_path / "out", now=1001)
    assert len(report.runs.runs) == 4  # what is damaged is counted, too
    found = regression.check(load(root, now=1001), baseline)
    whole = (report.scores["n"] == 2).sum()
    assert (found.rows["verdict"] == "not measured").sum() == 2 * (2 - whole)


def test_a_new_section_is_in_every_output(tmp_path, monkeypatch):
    def made(found):
        numbers = pd.DataFrame({"variant": ["td3"], "seeds": [len(found.runs.runs)]})
        drawing = Figure()
        drawing.subplots().plot([0, 1])
        blocks = [
            page.Text("A **new** text."),
            page.Table("mine", "My table.", numbers.astype(str), ("seeds",), latex=("variant", "seeds")),
            plots.rendered("my-figure", "A line.", drawing),
        ]
        return page.Section("A new topic", blocks, {"my-data": numbers})

    monkeypatch.setattr(sections, "SECTIONS", [*sections.SECTIONS, made])
    fill(tmp_path / "x", ["env-a"], ["td3"], seeds=2)
    report, markdown = page_of(tmp_path / "x")
    html, latex = ((report.folder / name).read_text() for name in ("index.html", "tables.tex"))
    assert '<h2 id="a-new-topic">A new topic</h2>' in html
    assert '<a href="#a-new-topic">A new topic</a>' in html
    assert "<p>A <strong>new</strong> text.</p>" in html
    assert '<table id="table-mine">' in html
    assert 'aria-label="A line."' in html
    assert "## A new topic\n\nA **new** text.\n\nMy table.\n\n| variant | seeds |" in markdown
    assert "![A line.](figures/my-figure.svg)" in markdown
    assert r"\label{tab:mine}" in latex
    assert (report.folder / "tables" / "my-data.csv").read_text() == "variant,seeds\ntd3,2\n"
    assert {report.folder / "figures" / f"my-figure.{kind}" for kind in ("svg", "png")} <= set(report.files)
    assert all(path.is_file() for path in report.files)


def test_the_section_that_the_docs_show_works(tmp_path, monkeypatch):
    text = (Path(__file__).parent.parent / "docs" / "report.md").read_text()
    found = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    module: dict[str, Any] = {}
    exec(found[1], module)
    monkeypatch.setattr(sections, "SECTIONS", [module["section"]])
    fill(tmp_path / "x", ["env-a"], ["td3", "savo"], seeds=2)
    report, markdown = page_of(tmp_path / "x")
    assert "| env-a | savo | 25 |" in markdown
    assert {path.name for path in report.files} >= {"lengths.csv", "lengths.svg", "lengths.png"}
