"""The table of a paper, tolerance bounds and hyper-parameters."""

import re

import numpy as np
import pandas as pd
import pytest
from made_up_runs import curve, fill, page_of
from test_frame import fake_run

from savo_bench.results import reference
from savo_bench.results.sections.paper import best_of
from savo_bench.results.sections.tolerance import NEEDED, bound


@pytest.fixture(autouse=True)
def no_committed_bounds(monkeypatch, tmp_path):
    """The made-up tasks of these tests bear names of real ones."""
    monkeypatch.setattr(reference, "BOUNDS", tmp_path / "none.csv")


def test_the_best_and_what_is_not_distinguishable_from_it_are_bold(tmp_path):
    for variant, scores in {"savo": 100, "td3": 99, "cem": 10}.items():
        curve(tmp_path / "x", variant, [scores + seed for seed in range(6)])
    curve(tmp_path / "x", "sac", [500, 500])  # too few seeds to be compared
    report, page = page_of(tmp_path / "x")
    rows = dict(re.findall(r"^\| (\w+) \| ([^|]*) \|$", page[page.index("## Scores by method") :], re.MULTILINE)[:6])
    assert [rows[name].startswith("**") for name in ("savo", "td3", "cem", "sac")] == [True, True, False, False]
    assert "Cells with fewer than 5 seeds are not compared." in page
    data = pd.read_csv(report.folder / "tables" / "paper.csv")
    assert data.set_index("variant")["best"].to_dict() == {"cem": False, "sac": False, "savo": True, "td3": True}


@pytest.mark.parametrize("gap", [0.0, 1.0])
def test_the_truly_best_of_every_task_is_bold_in_95_of_100_tables(gap):
    rng = np.random.default_rng(0)
    wrong, marked, tables = 0, 0, 400
    for _ in range(tables):
        scores = {
            task: {f"v{i}": rng.normal(-gap * min(i, 1), 1 + i / 4, 6) for i in range(5)} for task in ("a", "b", "c")
        }
        found = best_of(scores)
        wrong += any("v0" not in best for best in found.values())
        marked += sum(len(best) for best in found.values())
    # 400 tables with exactly 5 % give more than 32 in fewer than 1 of 100 runs of this test; this seed is fixed
    assert wrong <= 32
    assert marked < tables * 15  # some are told apart


def test_clear_differences_leave_one_in_bold_and_equal_scores_all():
    rng = np.random.default_rng(1)
    clear = {"a": {"x": rng.normal(100, 1, 10), "y": rng.normal(0, 1, 10)}}
    assert best_of(clear) == {"a": {"x"}}
    assert best_of({"a": {"x": np.ones(5), "y": np.ones(5), "z": np.zeros(5)}}) == {"a": {"x", "y"}}
    assert best_of({"a": {"x": np.ones(4), "y": np.ones(9)}}) == {}


@pytest.mark.parametrize("n", [3, 10, NEEDED, 60])
@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_cauchy"])
def test_a_tolerance_bound_holds_with_its_confidence_for_any_distribution(n, draw):
    rng = np.random.default_rng(0)
    population = np.sort(getattr(rng, draw)(size=200_000))
    held = 0
    for _ in range(1000):
        share, above = bound(rng.choice(population, n))
        held += 1 - np.searchsorted(population, above, side="right") / len(population) >= share - 1e-5
    # 1 000 with exactly .95 are below 930 in fewer than 1 of 200
    assert held >= 930
    if n < NEEDED:
        assert held <= 970  # and no wider than it need be


def test_what_few_seeds_can_say():
    assert NEEDED == 29
    share, above = bound(np.arange(10.0))
    assert (round(share, 3), above) == (0.741, 0.0)
    assert bound(np.arange(29.0)) == (0.9, 0.0)
    assert bound(np.arange(46.0)) == (0.9, 1.0)  # the second lowest: tables of Wilks


def test_the_tolerance_line_of_a_report(tmp_path):
    curve(tmp_path / "x", "td3", [3000 + 10 * seed for seed in range(10)])
    _, page = page_of(tmp_path / "x")
    assert "| env-a | td3 | 74 % | 3000 | 10 |" in page


def test_every_hyper_parameter_is_there_shared_ones_too(tmp_path):
    fill(tmp_path / "x", ["env-a"], seeds=1)
    fake_run(tmp_path / "x", [1] * 4, environment="env-b", steps=800)
    report, page = page_of(tmp_path / "x")
    every = pd.read_csv(report.folder / "tables" / "hyperparameters.csv", dtype=str).set_index("field")
    assert {"algorithm", "tau", "hidden", "extra_actors", "budget.steps", "budget.eval_episodes"} <= set(every.index)
    assert list(every.loc["hidden"]) == ["True", "64-64", "64-64", "64-64"]
    assert every.loc["tau", "shared"] == "False"
    assert "| hidden | 64-64 |" in page
    assert "| budget.steps | 400 (env-a); 800 (env-b) |" in page
    html = (report.folder / "index.html").read_text()
    assert re.search(r"<details><summary>\d+ fields with the same value in every variant</summary>", html)
    assert (
        r"hidden & 64-\allowbreak{}64" in (report.folder / "tables.tex").read_text()
        or "hidden & 64-64" in (report.folder / "tables.tex").read_text()
    )
