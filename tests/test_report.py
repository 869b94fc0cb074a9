"""Tables, figures and the report that is made of them."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from test_frame import EPISODES, fake_run

from results import plots, provenance, tables
from results.frame import MixedRuns, load
from results.report import write_report


def fill(root, environments=("env-a", "env-b"), variants=("savo", "td3", "td3:tau=0.01"), seeds=6):
    """Seeds of scores 0, 10, 20, …, constant from their second evaluation on."""
    for environment in environments:
        for variant in variants:
            config = {"tau": 0.01} if variant.endswith("0.01") else {"extra_actors": 3} if variant == "savo" else {}
            for seed in range(seeds):
                of = {"environment": environment, "variant": variant, "seed": seed, **config}
                fake_run(root, [-1, 10 * seed, 10 * seed, 10 * seed], metrics={"valid": 0.75}, **of)


def cell(table, environment, variant):
    return table[(table["environment"] == environment) & (table["variant"] == variant)].iloc[0]


# ---- tables


def test_scores_of_a_cell(tmp_path):
    fill(tmp_path, ["env-a"], ["td3"])
    row = cell(tables.score_table(load(tmp_path)), "env-a", "td3")
    assert (row["final_mean"], row["final_iqm"], row["last10_mean"], row["n"], row["seeds"]) == (25, 25, 25, 6, 6)
    assert row["final_mean_low"] < row["final_iqm_low"] + 10 < 25 < row["final_mean_high"]
    assert row["invalid"] == 0.25
    text = tables.score_text(tables.score_table(load(tmp_path))).iloc[0]
    assert text["final return, mean"].startswith("25.0 [1")
    assert (text["invalid actions"], text["seeds"]) == ("25.0 %", "6 seeds")


def test_scores_count_only_seeds_that_are_done(tmp_path):
    fill(tmp_path, ["env-a"], ["td3"], seeds=3)
    fake_run(tmp_path, [999, 999], environment="env-a", seed=3, state="failed", reason="boom")
    fake_run(tmp_path, [999], environment="env-a", seed=4, state="running")
    row = cell(tables.score_table(load(tmp_path, now=1001)), "env-a", "td3")
    assert (row["final_mean"], row["n"], row["seeds"]) == (10, 3, 5)
    assert row["coverage"] == "3/5 seeds, 1 failed, 1 running"


def test_a_cell_without_a_finished_seed_has_a_dash(tmp_path):
    fake_run(tmp_path, [], state="failed", reason="boom")
    scores = tables.score_table(load(tmp_path))
    assert scores["n"].tolist() == [0]
    assert tables.score_text(scores).iloc[0].tolist()[2:] == ["–", "–", "–", "–", "0/1 seeds, 1 failed"]


def test_a_score_that_is_not_finite_is_left_out_and_said(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4], seed=0)
    fake_run(tmp_path, [1, 2, 3, np.nan], seed=1)
    row = cell(tables.score_table(load(tmp_path)), "restricted-hopper", "td3")
    assert (row["final_mean"], row["n"], row["coverage"]) == (4, 1, "2 seeds, 1 without a finite score")


def test_a_cells_numbers_do_not_depend_on_other_cells(tmp_path):
    fill(tmp_path, ["env-b"], ["td3"])
    alone = cell(tables.score_table(load(tmp_path)), "env-b", "td3")
    fill(tmp_path, ["env-a"])
    assert cell(tables.score_table(load(tmp_path)), "env-b", "td3").equals(alone)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((639.2, 510.1, 782.9), "639 [510, 783]"),
        ((-12.34, -50, 3), "−12.3 [−50.0, 3.0]"),
        ((0.5, 0.25, 1), "0.50 [0.25, 1.00]"),
        ((7, np.nan, np.nan), "7.00"),
        ((np.nan, np.nan, np.nan), "–"),
    ],
)
def test_text_of_an_interval(numbers, text):
    assert tables.interval_text(*numbers) == text


def test_a_curve_counts_at_each_step_the_seeds_that_reached_it(tmp_path):
    fake_run(tmp_path, [0, 10, 20, 30], seed=0)
    fake_run(tmp_path, [2, 20], seed=1, state="failed", reason="boom")
    fake_run(tmp_path, [4, np.nan, 40], seed=2, state="running")
    curve = tables.curve_table(load(tmp_path))
    assert curve[["step", "n", "mean"]].to_numpy().tolist() == [[100, 3, 2], [200, 2, 15], [300, 2, 30], [400, 1, 30]]
    assert curve["low"].isna().tolist() == [False, False, False, True]
    assert (curve["low"][:3] <= curve["mean"][:3]).all()
    assert (curve["mean"][:3] <= curve["high"][:3]).all()


def test_fields_in_which_variants_differ(tmp_path):
    fill(tmp_path, seeds=1)
    fields, equal = tables.field_table(load(tmp_path))
    assert fields.to_dict("records") == [
        {"field": "algorithm", "savo": "savo", "td3": "td3", "td3:tau=0.01": "td3"},
        {"field": "tau", "savo": "0.005", "td3": "0.005", "td3:tau=0.01": "0.01"},
        {"field": "extra_actors", "savo": "3", "td3": "–", "td3:tau=0.01": "–"},
    ]
    assert equal == 5  # hidden and the four of the budget


def test_a_field_that_depends_on_the_environment_alone_is_no_difference(tmp_path):
    for environment, steps in (("env-a", 300), ("env-b", 400)):
        for variant in ("savo", "td3"):
            fake_run(tmp_path, [1], environment=environment, variant=variant, steps=steps, state="running")
    assert tables.field_table(load(tmp_path))[0]["field"].tolist() == ["algorithm"]
    fake_run(tmp_path, [1], environment="env-b", variant="td3:lr=1", steps=500, state="running")
    fields = tables.field_table(load(tmp_path))[0].set_index("field")
    assert list(fields.loc["budget.steps"]) == ["300 (env-a); 400 (env-b)", "300 (env-a); 400 (env-b)", "500"]


# ---- figures


def test_known_algorithms_keep_their_look_and_no_two_variants_share_one():
    few = plots.looks(["td3", "savo"])
    variants = ["td3", "savo", *(f"savo:extra_actors={i}" for i in range(30))]
    many = plots.looks(variants)
    assert {name: many[name] for name in few} == few
    assert len(set(many.values())) == len(variants)
    assert len({look[1] for look in list(many.values())[:8]}) == 8  # apart in grey, too


def test_names_of_steps():
    assert [plots.steps_text(step) for step in (0, 500, 2_500, 50_000, 1_500_000)] == [
        "0",
        "500",
        "2.5k",
        "50k",
        "1.5M",
    ]


def test_no_curve_is_longer_than_its_runs_and_lost_seeds_are_marked(tmp_path):
    fake_run(tmp_path, [0, 10, 20], seed=0, state="running")
    fake_run(tmp_path, [2, 20], seed=1, state="failed", reason="boom")
    runs = load(tmp_path, now=1001)
    curves, scores = tables.curve_table(runs), tables.score_table(runs)
    figure = plots.curve_figure(["restricted-hopper"], curves, scores, runs.evals)
    axes = figure.axes[0]
    assert axes.get_xlim() == (0, 400)
    ends = sorted(np.max(line.get_xdata()) for line in axes.lines)
    assert ends == [200, 200, 300, 300]  # the failed seed and its mark, the running one and the mean
    assert [text.get_text() for text in axes.texts] == ["n=1"]
    assert figure.legends[0].get_texts()[0].get_text() == "td3 (0/2 seeds, 1 failed, 1 running)"


# ---- the report


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_few_seeds_are_said(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3"], seeds=4)
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "**Few seeds:** 1 of 1 cells have fewer than 5 scored seeds" in page


@pytest.mark.parametrize("returns", [[], [1], [np.nan, np.nan]])
def test_a_single_unfinished_seed_gives_a_report(tmp_path, returns):
    fake_run(tmp_path / "x", returns, state="running")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "0 of 1 seeds are done" in page


def test_damaged_files_are_named_in_the_report(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3"], seeds=2)
    (tmp_path / "x/env-a/td3/seed-0001/evals.csv").write_text("what\n")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "## Files with problems\n\n- `env-a/td3/seed-0001/evals.csv: its columns do not begin with" in page
    assert "1/2 seeds, 1 unreadable" in page


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


def test_provenance_names_every_difference(tmp_path):
    for seed, (torch, cpu, started) in enumerate([("2.4", "A", "noon"), ("2.4", "B", "later"), ("2.5", "A", "now")]):
        packages = {"torch": torch, "numpy": "2.0"}
        origin = {"cpu": cpu, "packages": packages, "started": started, "dirty": False, "gpu": None}
        fake_run(tmp_path, [1], seed=seed, provenance=origin)
    assert provenance.line(load(tmp_path).runs) == (
        "All runs: version 0.1.0; dirty false; device cpu; gpu none. Packages: numpy 2.0. "
        "**The runs differ in:** cpu (A, B); packages.torch (2.4, 2.5)."
    )


def test_a_markdown_table_survives_any_text(tmp_path):
    fake_run(tmp_path / "x", [1] * 4, metrics={"valid": 1}, mode="a|b")
    fake_run(tmp_path / "x", [1] * 4, variant="savo", mode="c")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "| mode | c | a\\|b |" in page
    assert EPISODES == 2
