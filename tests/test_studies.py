"""Studies of single fields, bars, and curves by cost: tables, figures, sections."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up_runs import files, page_of
from matplotlib.collections import LineCollection
from matplotlib.text import Text
from test_frame import fake_run, rewrite_status

from savo_bench.results import comparisons, operations, plots, reference, studies, study_plots, tables
from savo_bench.results.files import CorruptFile
from savo_bench.results.frame import load
from savo_bench.results.widths import WIDTHS

VARIANTS = {
    "savo": {"extra_actors": 3, "truncation": True},
    "savo:extra_actors=1": {"extra_actors": 1, "truncation": True},
    "savo:extra_actors=10": {"extra_actors": 10, "truncation": True},
    "savo:truncation=false": {"extra_actors": 3, "truncation": False},
    "savo:extra_actors=5,truncation=false": {"extra_actors": 5, "truncation": False},
    "td3": {},
}


@pytest.fixture(autouse=True)
def no_committed_bounds(monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "BOUNDS", tmp_path / "none.csv")


def study(root, environments=("env-a",), seeds=5, variants=VARIANTS):
    for environment in environments:
        for at, (variant, fields) in enumerate(variants.items()):
            for seed in range(seeds):
                value = 10 * (seed + at)
                folder = fake_run(
                    root, [0, value, value, value], environment=environment, variant=variant, seed=seed, **fields
                )
                rewrite_status(folder, seconds=3600.0 * (1 + at))
    return load(root)


def test_a_knob_has_the_variants_that_differ_in_this_field_alone(tmp_path):
    found = studies.knobs(study(tmp_path), "last10")
    assert list(found["variant"]) == ["savo:extra_actors=1", "savo", "savo:extra_actors=10"]
    assert list(found["value"]) == [1, 3, 10]
    assert list(found["default"]) == [False, True, False]
    assert set(found["family"]) == {"savo"}
    assert list(found["hours"]) == [2, 1, 3]
    row = found.iloc[1].to_dict()
    assert (row["n"], row["score"]) == (5, 20)
    assert row["score_low"] < 20 < row["score_high"]


def test_two_values_are_no_knob_and_times_of_several_devices_are_no_cost(tmp_path):
    few = {name: VARIANTS[name] for name in ("savo", "savo:extra_actors=1")}
    assert len(studies.knobs(study(tmp_path / "few", variants=few), "last10")) == 0
    fake_run(
        tmp_path / "x", [1, 2, 3, 4], variant="savo", environment="env-a", seed=9, provenance={"device": "cuda"},
        **VARIANTS["savo"],
    )  # fmt: skip
    found = studies.knobs(study(tmp_path / "x"), "last10")
    assert list(np.isnan(found["hours"])) == [False, True, False]


def test_an_ablation_has_single_changes_and_the_intervals_of_the_comparisons(tmp_path):
    runs = study(tmp_path)
    scores = tables.scores_of(runs, "last10")
    family = comparisons.table([("env-a", ("savo", "savo:truncation=false"))], scores, {})
    found = studies.ablations(runs, "last10", family, {}).set_index("variant")
    assert set(found.index) == {"savo:extra_actors=1", "savo:extra_actors=10", "savo:truncation=false"}
    row = found.loc["savo:truncation=false"].to_dict()
    assert (row["field"], row["from"], row["to"], row["reference"]) == ("truncation", "true", "false", "savo")
    assert row["difference"] == 30
    known = family.iloc[0]
    assert (row["low"], row["high"]) == (-known["high"], -known["low"])  # the report has one interval of a pair
    other = found.loc["savo:extra_actors=1"].to_dict()
    assert other["high"] - other["low"] > row["high"] - row["low"]  # of as many comparisons as there are together


def test_a_report_of_a_study_shows_it_with_figures_that_are_the_same_bytes_again(tmp_path):
    root = tmp_path / "x"
    study(root, ("env-a", "env-b"))
    (root / "costs.csv").write_text(
        "environment,variant,update_flops,action_flops\nenv-a,savo,1e9,10\nenv-a,td3,1e8,10\n"
    )
    report, text = page_of(root)
    for name in ("knob-extra_actors", "bars", "curves-by-time", "curves-by-operations"):
        for kind in ("svg", "png", "pdf"):
            assert report.folder / "figures" / f"{name}.{kind}" in report.files
    assert "| env-a | savo:extra_actors=3 | truncation: true → false | 50.0 [" in text
    assert "Of 10 cells there are none" in text
    first = files(report.folder)
    assert files(page_of(root, tmp_path / "again")[0].folder) == first
    for name, content in first.items():
        if name.endswith(".pdf"):
            assert content.startswith(b"%PDF-")
            assert b"/Type0" in content  # with Type 42 fonts, as publishers demand
            assert b"/Type3" not in content
            assert b"CreationDate" not in content


def test_sections_are_only_there_when_they_have_data(tmp_path):
    study(tmp_path / "x", variants={"td3": {}})
    text = page_of(tmp_path / "x")[1]
    for title in ("Scores per task", "Studies of single fields", "Score against cost"):
        assert f"## {title}" not in text


def test_operations_are_those_of_actions_and_of_updates_after_the_warm_up(tmp_path):
    runs = study(tmp_path, variants={"td3": {"warmup_steps": 100, "replay_ratio": 2}, "savo": {}})
    assert operations.of_runs(tmp_path, runs) == ({}, [])
    (tmp_path / "costs.csv").write_text(
        "environment,variant,update_flops,action_flops\nenv-a,td3,50,1\nother,savo,1,1\n"
    )
    found, problems = operations.of_runs(tmp_path, runs)
    assert list(found) == [("env-a", "td3")]
    assert problems == []
    assert list(found["env-a", "td3"].by(np.array([0, 100, 400]))) == [0, 100, 400 + 2 * 50 * 300]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no table"),
        (b"\xff", "no table"),
        (b"environment,variant\na,b\n", "has no column update_flops"),
        (
            b"environment,variant,update_flops,action_flops\na,b,1,-1\n",
            "line 2: action_flops='-1' is no number from 0 on",
        ),
        (
            b"environment,variant,update_flops,action_flops\na,b,x,1\n",
            "line 2: update_flops='x' is no number from 0 on",
        ),
    ],
)
def test_costs_that_cannot_be_used_are_named_and_stop_nothing(tmp_path, content, said):
    root = tmp_path / "x"
    study(root, seeds=1)
    (root / "costs.csv").write_bytes(content)
    text = page_of(root)[1]
    assert f"costs.csv: {said}".replace("_", "") in text.replace("\\_", "").replace("_", "")
    with pytest.raises(CorruptFile):
        operations._read(root / "costs.csv")


def sizes(figure):
    """The sizes of all letters of a figure, in points."""
    return {text.get_fontsize() for text in figure.findobj(Text) if text.get_text() and text.get_visible()}


@pytest.mark.parametrize("width", [WIDTHS["icml-column"], WIDTHS["icml"]])
def test_figures_are_as_wide_as_asked_with_letters_of_eight_points_that_stay_inside(tmp_path, width):
    runs = study(tmp_path, ("env-a", "env-b", "env-c"))
    scores, curves = tables.score_table(runs), tables.curve_table(runs)
    style = plots.styles(VARIANTS)
    names = {name: name for name in VARIANTS}
    bounds = {name: reference.Bounds(0, 100, "made up") for name in ("env-a", "env-b", "env-c")}
    matrix = tables.score_matrix(runs, bounds)
    assert matrix is not None
    figures = [
        plots.curve_figure(["env-a"], curves, scores, width=width),
        plots.curve_figure(["env-a", "env-b", "env-c"], curves, scores, width=width, chosen=("td3",)),
        plots.aggregate_figure(tables.aggregate_table(matrix), style, names, width),
        plots.profile_figure(tables.profile_table(matrix), style, names, width),
        plots.improvement_figure(tables.improvement_table(runs), width),
        study_plots.knob_figure(studies.knobs(runs, "last10"), style, "last-10 return", width),
        *study_plots.bar_figures(scores, "last10_mean", "last-10 return", style, width),
    ]
    with mpl.rc_context():
        for figure in figures:
            assert figure.get_size_inches()[0] == pytest.approx(width)
            figure.draw_without_rendering()
            assert sizes(figure) == {8}
            box = figure.get_tightbbox()
            assert box.x0 >= -0.05
            assert box.x1 <= width + 0.05


def test_bars_that_are_higher_than_a_page_are_in_parts(tmp_path):
    environments = [f"env-{letter}" for letter in "abcdefghij"]
    scores = tables.score_table(study(tmp_path, environments, seeds=1))
    parts = study_plots.bar_figures(scores, "last10_mean", "score", plots.styles(VARIANTS), 2.0)
    assert len(parts) > 1
    assert all(part.get_size_inches()[1] <= 9 for part in parts)
    titles = [axes.get_title() for part in parts for axes in part.axes if axes.get_title()]
    assert titles == environments


def test_many_curves_are_in_panels_of_their_own_or_a_few_have_colour(tmp_path):
    variants = {f"td3:tau=0.{i}": {"tau": i / 10} for i in range(1, 9)}
    runs = study(tmp_path, ("env-a", "env-b"), variants=variants)
    scores, curves = tables.score_table(runs), tables.curve_table(runs)
    alone = plots.curve_figure(["env-a"], curves, scores)
    assert [axes.get_title().replace("\n", "") for axes in alone.axes] == list(variants)
    for axes in alone.axes:
        assert [line.get_color() for line in axes.lines] != [plots.REST]
        grey = axes.collections[0]
        assert isinstance(grey, LineCollection)
        assert len(grey.get_segments()) == 7  # all others
    chosen = plots.leading(scores, "last10_mean")
    assert chosen == tuple(reversed(variants))[:5]
    few = plots.curve_figure(["env-a", "env-b"], curves, scores, chosen=chosen)
    assert [text.get_text() for text in few.legends[0].get_texts()] == [*sorted(chosen), "3 others"]


def test_units_are_such_that_numbers_are_read():
    assert study_plots.unit_of_time(2.0) == (1.0, "hours")
    assert study_plots.unit_of_time(0.5)[1] == "minutes"
    assert study_plots.unit_of_time(0.002)[1] == "seconds"
    assert study_plots.unit_of_operations(3e13) == (1e12, "TFLOPs")
    assert study_plots.unit_of_operations(0)[1] == "MFLOPs"


def test_no_study_among_unreadable_seeds(tmp_path):
    runs = study(tmp_path, seeds=1)
    runs.runs["spec"] = None
    assert len(studies.knobs(runs, "last10")) == 0
    assert len(studies.ablations(runs, "last10", pd.DataFrame(columns=comparisons.COLUMNS), {})) == 0
