"""Sentences of a report that must not say more than is known: no seed, one seed, failed seeds, few evaluations."""

import math

import pytest
from made_up_runs import curve, page_of
from test_frame import fake_run

from savo_bench.results import format as fmt
from savo_bench.results import metrics, reference
from savo_bench.results.sections import answer


@pytest.fixture(autouse=True)
def bounded(monkeypatch):
    """Bounds 0 and 100 for the environments named env-…"""

    def bounds(environment, *_):
        return reference.Bounds(0, 100, "0 is x, 1 is y") if environment["name"].startswith("env-") else None

    monkeypatch.setattr(reference, "bounds", bounds)


def test_bounds_are_missed_only_where_the_task_is_known(tmp_path):
    fmt.ask(tmp_path / "x", "env-a", "td3", [0, 1])
    _, page = page_of(tmp_path / "x")
    assert "committed bounds" not in page
    assert "None: no seed has begun." in page
    fake_run(tmp_path / "x", [1], environment="env-a", state="failed")
    _, page = page_of(tmp_path / "x")
    assert "None: no seed that is done has a finite score on an environment with committed bounds." in page
    fake_run(tmp_path / "x", [1] * 4, environment="other")
    assert "**Raw returns:** `other` has no committed bounds" in page_of(tmp_path / "x")[1]


def test_few_seeds_say_nothing_about_differences(tmp_path):
    curve(tmp_path / "x", "td3", [1])
    curve(tmp_path / "x", "savo", [9])
    _, page = page_of(tmp_path / "x")
    assert "significant" not in page
    assert "comparisons get a verdict from 5 on. That says nothing about whether the variants differ." in page
    assert "too narrow" not in page  # one seed has no interval
    curve(tmp_path / "x", "cem", [9, 8])
    assert "Intervals from so few are too narrow" in page_of(tmp_path / "x")[1]


def test_scores_that_cannot_change_any_more_are_not_said_to(tmp_path):
    curve(tmp_path / "x", "td3", [1, math.nan])
    _, page = page_of(tmp_path / "x")
    assert "**Not complete:** 1 of 1 cells lacks scores of seeds." in page
    fake_run(tmp_path / "x", [1], environment="env-a", seed=2, state="failed")
    assert "lacks scores of seeds; their scores may still change." in page_of(tmp_path / "x")[1]


def test_seeds_that_are_done_without_a_finite_score_are_not_called_undone(tmp_path):
    curve(tmp_path / "x", "td3", [math.nan, math.nan])
    report, _ = page_of(tmp_path / "x")
    assert report.answer[1].startswith("`env-a`: no seed that is done has a finite score.")


def test_equal_means_share_the_lead(tmp_path):
    for variant in ("savo", "td3"):
        curve(tmp_path / "x", variant, [5, 7])
    report, _ = page_of(tmp_path / "x")
    assert "`savo` and `td3` share the highest mean, 6.00 [5.00, 7.00] (n=2)" in report.answer[1]
    assert "`savo` has the highest mean on 1 of 1 environment, `td3` has the highest mean on 1 of" in report.answer[0]


def test_a_control_that_failed_is_not_called_not_run(tmp_path):
    curve(tmp_path / "x", "savo", [9, 8])
    fake_run(tmp_path / "x", [1], environment="env-a", variant="td3", state="failed")
    fmt.ask(tmp_path / "x", "env-a", "savo", [0, 1], ("td3", "ensemble"))
    line = page_of(tmp_path / "x")[0].answer[1]
    assert "**Without scores**: its control `td3` (0/1 seeds, 1 failed), so the lead" in line
    assert "**Not run**: its control `ensemble`, so the lead cannot be put down to one cause; `bench run" in line


def test_sizes_stand_in_the_order_of_the_variants():
    row = {"variant": "a", "against": "b", "n_variant": 9, "n_against": 5, "difference": math.nan}
    assert answer._pair(row) == "`a` − `b` (n=9, 5: the spread is not known)"


@pytest.mark.parametrize(
    ("valid", "remark"),
    [
        (0.001, "(n=2). **Constraint violated**: 99.9 % invalid actions (`td3`)."),
        (0.9, "(n=2). With 10.0 % invalid actions (`td3`)."),
        (1.0, "(n=2)."),
        (math.nan, "(n=2). **Not finite**: invalid actions of 2 seeds (`td3`)."),
    ],
)
def test_the_lead_of_a_variant_that_breaks_its_constraint_is_remarked_on(tmp_path, valid, remark):
    for seed in range(2):
        fake_run(tmp_path / "x", [9] * 4, environment="env-a", seed=seed, metrics={"valid": valid})
        fake_run(tmp_path / "x", [1] * 4, environment="env-a", variant="savo", seed=seed, metrics={"valid": 0.5})
    report, page = page_of(tmp_path / "x")
    line = report.answer[1]
    assert remark in line
    assert line in page
    assert ("invalid" in line) == (valid < 1.0 or math.isnan(valid))


def test_a_lead_without_any_success_is_remarked_on(tmp_path):
    fake_run(tmp_path / "x", [9] * 4, environment="env-a", metrics={"success": 0.0})
    assert "**Never**: success rate 0 % (`td3`)." in page_of(tmp_path / "x")[0].answer[1]


@pytest.mark.parametrize(
    ("counts", "name", "words"),
    [
        ([8, 8], "last-4", "the last 4 of 8 evaluations"),
        ([1], "last-1", "the last 1 of 1 evaluation"),
        ([25], "last-10", "the last 10 of 25 evaluations"),
        ([25, 40, 0], "last-10", "the last 10 evaluations"),
        ([1, 30], "last-1 to last-10", "the last 1 to 10 evaluations (where a run has fewer than 20, of the last half"),
        ([], "last-10", "the last 10 evaluations"),
    ],
)
def test_last_ten_is_called_by_what_it_is_a_mean_of(counts, name, words):
    assert metrics.window_name(counts) == name
    assert metrics.window_words(counts).startswith(words)


def test_the_name_of_the_score_stands_wherever_the_number_does(tmp_path):
    fake_run(tmp_path / "x", [1, 2, 3, 4], environment="env-a", metrics={"valid": 0.75})
    report, page = page_of(tmp_path / "x")
    tables = (report.folder / "tables.tex").read_text()
    for text in (page, tables, " ".join(report.score_text.columns), " ".join(report.answer)):
        assert "last-10 return" not in text
    assert report.summary == "last-2 return"
    assert list(report.score_text.columns[2:4]) == ["last-2 return, mean", "last-2 return, IQM"]
    assert "Last-2 return: the mean over the last 2 of 4 evaluations." in page
    assert "in the evaluations of the last-2 return" in page
    assert "**Few evaluations:** last-2 stands for the mean of the last 2 of 4 evaluations, where last-10 is" in page
