"""Tables of numbers from runs."""

import numpy as np
import pandas as pd
import pytest
from made_up_runs import PUBLISHED, cell, fill, known_task
from test_frame import EPISODES, fake_run

from savo_bench.results import reference, tables
from savo_bench.results.files import append_csv
from savo_bench.results.frame import Runs, load


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


def test_metrics_are_means_over_the_evaluations_of_last10(tmp_path):
    for seed in range(2):
        folder = fake_run(tmp_path, [0, 0, 0, 0], seed=seed)
        folder.evals_csv.unlink()
        for step, valid in zip((100, 200, 300, 400), (0.0, 0.0, 0.5, 1.0), strict=True):
            rows = [(step, episode, 1.0, 10, valid, 2.0 * seed) for episode in range(EPISODES)]
            append_csv(folder.evals_csv, ["step", "episode", "return", "length", "valid", "clicks"], rows)
    runs = load(tmp_path)
    found = tables.metric_table(runs).set_index("metric")
    assert found["value"].to_dict() == {"invalid actions": 0.25, "clicks": 1}
    assert found["n"].tolist() == [2, 2]
    assert tables.score_table(runs)["invalid"].tolist() == [0.25]


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


@pytest.mark.parametrize(
    ("has", "variants", "tasks"),
    [
        ({"v1": "123ab", "v2": "123ac", "v3": "123bc", "v4": "d"}, "v1 v2 v3", "123"),  # 9 cells; no pair has over 8
        ({"v1": "12345", "v2": "1234", "v3": "5"}, "v1 v2", "1234"),
        ({"v1": "1234", "v2": "12", "v3": "34"}, "v1 v2", "12"),  # of equal ones that with more variants
        ({"v1": "12345678", "v2": "1"}, "v1", "12345678"),
        ({"v1": "12", "v2": "12"}, "v1 v2", "12"),
    ],
)
def test_aggregates_are_over_the_largest_matrix_without_a_gap(monkeypatch, has, variants, tasks):
    scores = {task: {v: np.ones(1) for v in has if task in has[v]} for task in sorted({*"".join(has.values())})}
    monkeypatch.setattr(tables, "scores_of", lambda *_: scores)
    runs = Runs(pd.DataFrame(), pd.DataFrame(), [])
    matrix = tables.score_matrix(runs, {task: reference.Bounds(0, 1, "here") for task in scores})
    assert matrix is not None
    assert (matrix.variants, matrix.environments) == (variants.split(), list(tasks))


def test_the_search_for_a_matrix_ends_however_many_there_are():
    tasks = range(40)
    lacking_one = [frozenset(str(task) for task in tasks if task != other) for other in tasks]
    assert len(tables._intersections(lacking_one)) < 40 * tables.MOST_MATRICES


@pytest.mark.parametrize(
    ("ours", "differs"),
    [
        ({}, ""),
        ({"variant": "td3", "preset": "fair"}, "preset (ours fair)"),
        ({"profile": "quick"}, "profile (ours quick)"),
        ({"variant": f"{PUBLISHED},target_noise=0,hidden=8"}, "fields (ours target_noise=0, hidden=8)"),
        (
            {"variant": "td3:target_noise=0,hidden=8", "profile": "ci", "preset": "fair"},
            "profile (ours ci); preset (ours fair); fields (ours target_noise=0, hidden=8)",
        ),
    ],
)
def test_what_differs_in_the_algorithm_from_a_published_score_is_named(tmp_path, ours, differs):
    known_task(tmp_path, **ours)
    table = tables.published_table(load(tmp_path))
    same = table[table["published"] == 3226]  # the same version and statistic
    assert same["differs"].tolist() == [differs]
    older = table.loc[table["published"] == 3391, "differs"].tolist()
    assert older == ["; ".join(filter(None, ["version (v1, ours v4)", differs]))]


def test_labels_of_metrics_come_from_the_runs_and_have_a_fallback(tmp_path):
    fake_run(tmp_path, [0, 0, 0, 0], metrics={"valid": 0.75, "success": 1.0, "fuel": 0.25, "heat": 3.0})
    runs = load(tmp_path)
    assert {name: label.label for name, label in tables.metric_labels(runs).items()} == {
        "valid": "invalid actions",
        "success": "success rate",
        "fuel": "fuel",
        "heat": "heat",
    }
    said = {
        "fuel": {"how": "mean", "label": "fuel burnt", "unit": "%", "complement": True},
        "heat": {"how": "mean", "label": "", "unit": "K"},
    }
    object.__setattr__(runs, "metrics", said)  # as loaded from run.json
    labels = tables.metric_labels(runs)
    assert labels["fuel"] == ("fuel burnt", "%", True)
    assert labels["heat"] == ("heat", "", False)
    assert tables.metric_table(runs).set_index("metric")["value"].to_dict() == {
        "invalid actions": 0.25,
        "success rate": 1,
        "fuel burnt": 0.75,
        "heat": 3,
    }
