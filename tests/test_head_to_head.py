"""Two variants side by side: per task, over tasks, and what the picture shows of them."""

import numpy as np
import pandas as pd
import pytest
from made_up_runs import curve, fill

from savo_bench.results import comparisons, head_to_head_plots, inference, metrics, plots
from savo_bench.results.frame import load
from savo_bench.results.head_to_head import OVER_TASKS, SameSeed, answer, scores_of, table
from savo_bench.results.reference import Bounds


def drawn(rng: np.random.Generator, differences: list[float], n: int = 10) -> dict:
    """Scores of a and b on as many tasks, a's higher by each difference in the mean."""
    return {
        f"env-{at}": {name: dict(enumerate(rng.normal(mean, 1, n))) for name, mean in (("a", difference), ("b", 0.0))}
        for at, difference in enumerate(differences)
    }


def bounds(scores: dict, high: float = 10.0) -> dict[str, Bounds]:
    return {environment: Bounds(0, high, "here") for environment in scores}


def test_a_task_says_what_the_report_says():
    scores = drawn(np.random.default_rng(0), [2.0])
    found = table(scores, "a", "b", bounds(scores), 0.1, others=2)
    groups = {name: np.array(list(seeds.values())) for name, seeds in scores["env-0"].items()}
    pairs = [("env-0", pair) for pair in (("a", "b"), ("a", "c"), ("b", "c"))]
    same = comparisons.table(pairs, {"env-0": groups}, bounds(scores), 0.1)
    pd.testing.assert_frame_equal(found[comparisons.COLUMNS], same.iloc[:1])
    assert found["mean_variant"][0] == groups["a"].mean()
    assert found["improvement"][0] == metrics.probability_of_improvement([groups["a"]], [groups["b"]])
    assert found["normalised"][0] == found["difference"][0] / 10


def test_over_tasks_is_the_mean_of_the_normalised_differences():
    scores = drawn(np.random.default_rng(1), [2.0, 0.0, 1.0])
    known = {"env-0": Bounds(0, 10, "here"), "env-1": Bounds(-5, 5, "here"), "env-2": Bounds(0, 2, "here")}
    found = table(scores, "a", "b", known)
    assert found["environment"].tolist() == ["env-0", "env-1", "env-2", OVER_TASKS]
    assert found["difference"].iloc[-1] == pytest.approx(found["normalised"].iloc[:3].mean())
    assert found["normalised"].iloc[-1] == found["difference"].iloc[-1]
    # each task counts alike, whatever its scale
    assert found["low"].iloc[-1] < found["difference"].iloc[-1] < found["high"].iloc[-1]
    assert (found["p_adjusted"] == np.minimum(1, 4 * found["p"])).all()


def test_tasks_without_bounds_and_of_one_variant_do_not_count_over_tasks():
    scores = drawn(np.random.default_rng(2), [1.0, 1.0, 1.0, 1.0])
    del scores["env-3"]["b"]
    known = {name: own for name, own in bounds(scores).items() if name != "env-2"}
    found = table(scores, "a", "b", known)
    assert found["difference"].iloc[-1] == pytest.approx(found["normalised"].iloc[:2].mean())
    assert np.isnan(found["normalised"].iloc[2])
    assert found["verdict"].iloc[3] == "no scores"


def test_the_mean_of_equal_differences_has_an_error_smaller_by_the_root_of_their_number():
    rng = np.random.default_rng(3)
    one = inference.welch(rng.normal(size=8), rng.normal(size=8))
    four = inference.mean_of([one] * 4)
    assert four.value == pytest.approx(one.value)
    assert four.error == pytest.approx(one.error / 2)
    assert four.freedom == pytest.approx(4 * one.freedom)
    assert inference.mean_of([one]) == pytest.approx(one)


def test_all_intervals_together_hold_in_95_of_100_experiments():
    rng = np.random.default_rng(4)
    truth = [1.0, -0.5, 0.0]
    missed = 0
    for _ in range(400):
        scores = drawn(rng, truth, 6)
        found = table(scores, "a", "b", bounds(scores))
        expected = np.array([*truth, np.mean(truth) / 10])
        missed += bool(((expected < found["low"]) | (found["high"] < expected)).any())
    assert missed / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_the_answer_is_that_over_tasks_else_the_shared_one():
    rng = np.random.default_rng(5)
    scores = drawn(rng, [9.0, 8.0])
    assert answer(table(scores, "a", "b", bounds(scores))) == "better"
    assert answer(table(scores, "b", "a", bounds(scores))) == "worse"
    assert answer(table(scores, "a", "b", {})) == "better"  # on both, without bounds
    mixed = drawn(rng, [9.0, -9.0])
    assert answer(table(mixed, "a", "b", {})) == "cannot tell"
    assert answer(table(drawn(rng, [0.0]), "a", "b", bounds(mixed), margin=0.9)) == "equivalent"
    assert answer(table({"env-0": {"a": {0: 1.0}}}, "a", "b", {})) == "no scores"


def test_equivalent_from_is_the_margin_from_which_the_verdict_is_equivalent():
    scores = drawn(np.random.default_rng(6), [0.3])
    known = bounds(scores)
    margin = table(scores, "a", "b", known)["equivalent_from"][0]
    assert table(scores, "a", "b", known, margin * 1.001)["verdict"][0] == "equivalent"
    assert table(scores, "a", "b", known, margin * 0.999)["verdict"][0] == "cannot tell"


def test_seeds_of_several_names_count_together_once(tmp_path):
    fill(tmp_path / "one", ("env-a",), ("a",), seeds=3)
    fill(tmp_path / "other", ("env-a",), ("b",), seeds=4)
    sets = {name: load(tmp_path / name) for name in ("one", "other")}
    found = scores_of(sets, ("a", "b"), "last10")
    assert {name: len(seeds) for name, seeds in found["env-a"].items()} == {"a": 3, "b": 4}
    assert scores_of(sets | {"again": sets["one"]}, ("a", "b"), "last10") == found


def test_names_that_do_not_agree_on_a_seed_are_refused(tmp_path):
    curve(tmp_path / "one", "a", [1, 3])
    curve(tmp_path / "other", "a", [1, 4])
    sets = {name: load(tmp_path / name) for name in ("one", "other")}
    with pytest.raises(SameSeed, match=r"a on env-a: seed 1 is in one and in other, with scores 3 and 4; name only"):
        scores_of(sets, ("a",), "final")


def test_the_picture_shows_every_seed_joins_equal_ones_and_is_the_same_again():
    scores = drawn(np.random.default_rng(7), [1.0, 2.0, 0.0, 3.0])
    del scores["env-0"]["b"][9]
    labels = {"a": "a", "b": "b"}
    figures = [
        head_to_head_plots.figure(scores, table(scores, "a", "b", bounds(scores)), labels, "score", 0.1)
        for _ in range(2)
    ]
    drawing, again = (figure for figure in figures if figure is not None)
    assert plots.content(drawing, "pdf") == plots.content(again, "pdf")
    panels = drawing.subfigs[0].axes
    assert [axes.get_title() for axes in panels] == ["env-0", "env-1", "env-2", "env-3", "", ""]
    assert len(panels[0].lines) == 9
    assert [np.shape(dots.get_offsets())[0] for dots in panels[0].collections[:3:2]] == [10, 9]
    below = drawing.subfigs[1].axes[0]
    assert [label.get_text() for label in below.get_yticklabels()] == ["env-0", "env-1", "env-2", "env-3", OVER_TASKS]


def test_without_scores_of_both_there_is_no_picture():
    scores = {"env-0": {"a": {0: 1.0}}}
    assert head_to_head_plots.figure(scores, table(scores, "a", "b", {}), {"a": "a", "b": "b"}, "score") is None
