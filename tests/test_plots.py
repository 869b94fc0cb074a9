"""Figures: styles, curves, legends."""

import numpy as np
from made_up_runs import fill
from matplotlib.text import Text
from test_frame import fake_run

from savo_bench.results import plots, reference, tables
from savo_bench.results.frame import load


def test_known_algorithms_keep_their_style_and_no_two_variants_share_one():
    few = plots.styles(["td3", "savo"])
    variants = ["td3", "savo", *(f"savo:extra_actors={i}" for i in range(30))]
    many = plots.styles(variants)
    assert {name: many[name] for name in few} == few
    assert len(set(many.values())) == len(variants)
    assert len({style.dashes for style in list(many.values())[:9]}) == 9  # apart in grey, too


def test_where_no_style_is_free_a_variant_has_the_colour_of_its_algorithm():
    nine = ["cem", "ensemble", "greedy-ac", "greedy-td3", "sac", "savo", "savo-sac", "td3", "wolpertinger"]
    found = plots.styles([*nine, "td3:lr=1", "td3:lr=2"])
    colours = {name: colour for name, (colour, _) in found.items()}
    assert len({colours[name] for name in nine}) == 9
    assert colours["td3:lr=1"] == colours["td3:lr=2"] == colours["td3"]
    assert len(set(found.values())) == 11


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


def test_long_names_are_broken_between_fields_and_stay_in_the_figure(tmp_path):
    fields = "warmup_steps=5000,gamma=0.9,noise_sigma=0.3,noise_decay_steps=0"
    variants = [f"wolpertinger:{fields},candidates=54", f"td3:{fields}"]
    fill(tmp_path, ["env-a"], variants)
    runs = load(tmp_path)
    chosen = tables.score_matrix(runs, {"env-a": reference.Bounds(0, 50, "made up")})
    assert chosen is not None
    scores = tables.score_table(runs)
    style, names = plots.styles(variants), {variant: variant for variant in variants}
    figures = [
        plots.curve_figure(["env-a"], tables.curve_table(runs), scores),
        plots.aggregate_figure(tables.aggregate_table(chosen), style, names),
        plots.improvement_figure(tables.improvement_table(runs)),
    ]
    for figure in figures:
        figure.draw_without_rendering()  # warns where there is no room
        texts = [text for text in figure.findobj(Text) if "candidates=54" in text.get_text()]
        assert texts
        for text in texts:
            assert text.get_text().replace("\n", "").lstrip("2 ") == variants[0]  # rows of a matrix have numbers
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width
            assert box.y1 <= figure.bbox.height


NINE = ["td3", "savo", "wolpertinger", "cem", "ensemble", "sac", "savo-sac", "greedy-ac", "greedy-td3"]


def test_the_nine_algorithms_have_styles_of_their_own_whatever_else_is_shown():
    alone = {name: plots.styles([name])[name] for name in NINE}
    assert plots.styles([*NINE, *(f"{name}:tau=1" for name in NINE)]).items() >= alone.items()
    assert len({style.colour for style in alone.values()}) == len(NINE)


def test_further_algorithms_have_styles_of_their_own_beside_them():
    found = plots.styles([*NINE, "ours", "a-plug-in"])
    assert len(set(found.values())) == len(NINE) + 2


def test_a_variant_has_the_colour_of_its_algorithm_where_it_is_free():
    found = plots.styles(["td3:hidden=8", "savo:hidden=8", "an-algorithm-of-a-plug-in"])
    assert found["td3:hidden=8"] == plots.styles(["td3"])["td3"]
    assert found["savo:hidden=8"] == plots.styles(["savo"])["savo"]
    assert len({style.colour for style in found.values()}) == 3
