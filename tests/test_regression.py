"""The regression check: its verdicts, its error rates by simulation, and that a run that measured nothing fails it."""

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from test_frame import fake_run, rewrite_status, spec

from savo_bench.results import reference, regression
from savo_bench.results.format import spec_hash
from savo_bench.results.frame import Runs, load

CELL = ("restricted-hopper", "td3")


@pytest.fixture(autouse=True)
def no_committed_bounds(monkeypatch, tmp_path):
    """The made-up tasks of these tests bear names of real ones."""
    monkeypatch.setattr(reference, "BOUNDS", tmp_path / "none.csv")


def fill(root, scores, **of):
    """A seed per score, whose curve is flat."""
    for seed, score in enumerate(scores):
        fake_run(root, [score] * 4, seed=seed, **of)


def baseline_of(root, path):
    regression.write_baseline(regression.baseline_table(load(root)), path)
    return regression.read_baseline(path)


@pytest.fixture
def base(tmp_path):
    """A baseline of ten seeds round 100, spread about 2."""
    fill(tmp_path / "base", BEFORE)
    return baseline_of(tmp_path / "base", tmp_path / "base.csv")


BEFORE = [100 + x for x in (-3, -2, -1, -1, 0, 0, 1, 1, 2, 3)]


def verdicts(check):
    return dict(zip(check.rows["measure"], check.rows["verdict"], strict=True))


def checked(tmp_path, base, scores, **of):
    fill(tmp_path / "new", scores, **of)
    return regression.check(load(tmp_path / "new", now=1001), base)


def test_the_same_scores_are_identical_and_pass(tmp_path, base):
    found = checked(tmp_path, base, BEFORE)
    assert verdicts(found) == {"last10": "identical", "area": "identical"}
    assert (found.verdict, found.code) == ("pass", 0)


def test_a_score_that_differs_in_its_last_bit_is_not_identical(tmp_path, base):
    found = checked(tmp_path, base, [np.nextafter(BEFORE[0], 0), *BEFORE[1:]])
    assert verdicts(found) == {"last10": "pass", "area": "pass"}
    assert found.code == 0


def test_a_small_change_passes_and_a_large_one_is_a_regression(tmp_path, base):
    assert checked(tmp_path, base, [x - 5 for x in BEFORE]).code == 0
    found = checked(tmp_path / "b", base, [x - 15 for x in BEFORE])
    assert (verdicts(found)["last10"], found.verdict, found.code) == ("regress", "regress", 1)
    row = found.rows.iloc[0]
    assert row["change"] == pytest.approx(-0.15)  # own mean as the range
    assert row["delta"] == regression.LEAST
    assert row["p"] < 0.05


def test_a_better_score_passes(tmp_path, base):
    assert checked(tmp_path, base, [x + 50 for x in BEFORE]).code == 0


def test_a_run_that_scatters_more_than_the_baseline_cannot_tell(tmp_path, base):
    found = checked(tmp_path, base, [100 + 12 * x for x in (-3, -2, -1, -1, 0, 0, 1, 1, 2, 3)])
    assert (verdicts(found)["last10"], found.code) == ("cannot tell", 3)


def test_the_curve_counts_beside_the_score(tmp_path, base):
    for seed, score in enumerate(BEFORE):
        fake_run(tmp_path / "new", [0, 0, score, score], seed=seed)  # learns later
    found = regression.check(load(tmp_path / "new"), base)
    assert verdicts(found) == {"last10": "identical", "area": "regress"}
    assert found.code == 1


def test_fresh_seeds_are_judged_by_the_test(tmp_path, base):
    for seed, score in enumerate(BEFORE, start=10):
        fake_run(tmp_path / "new", [score] * 4, seed=seed)
    assert verdicts(regression.check(load(tmp_path / "new"), base)) == {"last10": "pass", "area": "pass"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: None, "no such runs"),
        (lambda root: fill(root, BEFORE[:9]), "fewer seeds than the baseline: 9, not 10"),
        (
            lambda root: [fill(root, BEFORE), fake_run(root, [1], seed=10, state="failed", reason="boom")],
            "seed 10 failed (boom)",
        ),
        (lambda root: [fill(root, BEFORE), fake_run(root, [1, 2], seed=10, state="running")], "seed 10 running"),
        (lambda root: fill(root, [*BEFORE[:9], np.nan]), "seed 9 without a finite score"),
        (lambda root: fill(root, BEFORE, steps=300), "seed 0 failed (says done, but"),
        (lambda root: fill(root, BEFORE, environment="other"), "no such runs"),
    ],
)
def test_a_run_that_measured_nothing_cannot_pass(tmp_path, base, change, reason):
    change(tmp_path / "new")
    found = regression.check(load(tmp_path / "new", now=1001), base)
    assert set(found.rows["verdict"]) == {"not measured"}
    assert found.rows["reason"].str.startswith(reason).all()
    assert found.code == 4


def test_another_task_or_budget_is_not_the_one_that_was_measured(tmp_path, base):
    described = spec()
    described["environment"]["id"] = "Test/restricted-hopper-v1"
    fill(tmp_path / "new", BEFORE)
    runs = load(tmp_path / "new")
    runs = Runs(runs.runs.assign(spec=pd.Series([described] * 10)), runs.evals, [])
    found = regression.check(runs, base)
    assert found.rows["reason"].str.startswith("another task or budget").all()
    assert found.code == 4


def test_a_regression_outweighs_what_was_not_measured_and_that_what_cannot_be_told():
    def of(*verdicts):
        return regression.Check(pd.DataFrame({"verdict": verdicts}), []).code

    assert of("pass", "regress", "not measured", "cannot tell") == 1
    assert of("pass", "not measured", "cannot tell") == 4
    assert of("identical", "cannot tell", "ungateable") == 3
    assert of("pass", "ungateable") == 0
    assert of("ungateable", "ungateable") == 3
    assert of() == 3


def test_a_baseline_reads_back_exactly(tmp_path):
    scores = np.random.default_rng(0).normal(1000, 100, size=5)
    fill(tmp_path / "a", scores, provenance={"cpu": 'A, "b"', "packages": {"torch": "2.4"}})
    table = regression.baseline_table(load(tmp_path / "a"))
    regression.write_baseline(table, tmp_path / "b.csv")
    back = regression.read_baseline(tmp_path / "b.csv")
    assert (
        back[["last10", "area", "delta_area"]].to_numpy().tolist()
        == table[["last10", "area", "delta_area"]].to_numpy().tolist()
    )
    first = (tmp_path / "b.csv").read_bytes()
    regression.write_baseline(regression.baseline_table(load(tmp_path / "a")), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == first


@pytest.mark.parametrize("state", ["running", "failed"])
def test_runs_that_are_not_done_are_no_baseline(tmp_path, state):
    fill(tmp_path, [1, 2])
    fake_run(tmp_path, [1], seed=2, state=state)
    with pytest.raises(regression.NotMeasured, match="td3 on restricted-hopper: seed 2"):
        regression.baseline_table(load(tmp_path, now=1001))
    with pytest.raises(regression.NotMeasured, match="no runs"):
        regression.baseline_table(load(tmp_path / "none"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.splitlines()[0] + "\n", "holds no cell"),
        (lambda text: text.replace("last10", "lost10", 1), "has no column last10"),
        (lambda text: text + text.splitlines()[-1] + "\n", "a seed is listed twice"),
        (lambda text: text.replace(",97.0,", ",nan,", 1), "not finite"),
        (lambda text: text.replace(",97.0,", ",many,", 1), "column last10: could not convert"),
        (lambda text: text.replace(",0.1,", ",0.2,", 1), "margins or hashes differ"),
        (lambda text: text.replace(",0.1,", ",-0.1,"), "margin that is not above 0"),
        (lambda text: text.replace(",100.0,", ",-100.0,"), "not finite|bounds out of order|differ"),
        (lambda _: "\0\0", "no column|not a baseline"),
        (lambda _: "", "not a baseline"),
    ],
)
@pytest.mark.usefixtures("base")
def test_a_damaged_baseline_is_one_line(tmp_path, damage, message):
    path = tmp_path / "base.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=message) as error:
        regression.read_baseline(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


def test_a_missing_baseline_says_how_to_make_one(tmp_path):
    with pytest.raises(ValueError, match=r"there is no such file; `--update .*none.csv` writes one"):
        regression.read_baseline(tmp_path / "none.csv")


def test_committed_bounds_are_written_into_the_baseline(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "bounds", lambda _: reference.Bounds(-50, 150, "x"))
    fill(tmp_path, BEFORE)
    table = regression.baseline_table(load(tmp_path))
    assert table[["low", "high", "bounds"]].drop_duplicates().to_numpy().tolist() == [[-50, 150, "committed"]]
    monkeypatch.setattr(reference, "bounds", lambda _: reference.Bounds(0, 1, "moved later"))
    regression.write_baseline(table, tmp_path / "b.csv")
    fill(tmp_path / "new", [x - 10 for x in BEFORE])
    found = regression.check(load(tmp_path / "new"), regression.read_baseline(tmp_path / "b.csv"))
    assert found.rows["change"].tolist() == pytest.approx([-0.05, -0.05])


def test_a_baseline_of_negative_returns_has_a_range(tmp_path):
    fill(tmp_path / "a", [-x for x in BEFORE])
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    assert base[["low", "high"]].iloc[0].tolist() == [-100, 0]
    assert checked(tmp_path, base, [-x - 15 for x in BEFORE]).code == 1


def test_a_cell_that_scatters_too_much_is_ungateable_and_says_what_would_mend_it(tmp_path):
    fill(tmp_path / "a", [10 * x for x in range(10)])
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    found = checked(tmp_path, base, [10 * x + 1 for x in range(10)])
    assert verdicts(found) == {"last10": "ungateable", "area": "ungateable"}
    assert found.code == 3
    seeds = regression.seeds_for(float(np.std(np.arange(10) / 4.5, ddof=1)), 2)
    assert seeds is not None
    assert f"with 10 seeds; about {seeds} would bring it to 0.5" in found.rows["reason"].iloc[0]
    assert len(regression.ungateable(base)) == 2
    assert checked(tmp_path / "same", base, [10 * x for x in range(10)]).code == 0  # identical all the same


def test_an_ungateable_cell_that_breaks_down_is_a_regression_all_the_same(tmp_path):
    fill(tmp_path / "a", [10 * x for x in range(10)])
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    assert base["delta_last10"].iloc[0] > regression.MOST
    found = checked(tmp_path, base, [-300 + x for x in range(10)])
    assert (verdicts(found)["last10"], found.code) == ("regress", 1)


def test_what_is_said_of_many_cells_is_one_line(tmp_path):
    for variant in ("td3", "savo", "cem", "sac", "ensemble"):
        fill(tmp_path / "a", [1, 2], variant=variant)
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    notes = regression.check(load(tmp_path / "a"), base).notes
    assert len(notes) == 1
    assert notes[0].startswith(
        "cem on restricted-hopper, ensemble on restricted-hopper, sac on restricted-hopper and 2 more:"
    )


def test_ungateable_cells_do_not_hide_behind_others_nor_block_them(tmp_path, base):
    fill(tmp_path / "a", [10 * x for x in range(10)], variant="savo")
    fill(tmp_path / "a", BEFORE)
    both = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    fill(tmp_path / "new", [10 * x + 1 for x in range(10)], variant="savo")
    found = checked(tmp_path, both, [x + 1 for x in BEFORE])
    assert (found.code, len(regression.reasons(found)) >= 2) == (0, True)
    assert "savo on restricted-hopper, last-2 return: ungateable" in regression.reasons(found)[0]
    assert "2 pass, 2 ungateable" in regression.verdict_line(found)
    assert len(base) == 10


def test_a_single_seed_is_ungateable_unless_identical(tmp_path):
    fill(tmp_path / "a", [5])
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    assert checked(tmp_path, base, [5]).code == 0
    found = checked(tmp_path / "b", base, [4])
    assert (verdicts(found)["last10"], found.code) == ("ungateable", 3)
    assert "at least 3" in found.rows["reason"].iloc[0]


def test_margins_shrink_with_seeds_grow_with_spread_and_tests_and_have_a_floor():
    assert regression.margin(0.2, 5, 2) > regression.margin(0.2, 10, 2) > regression.margin(0.2, 20, 2)
    assert regression.margin(0.4, 10, 2) == pytest.approx(2 * regression.margin(0.2, 10, 2))
    assert regression.margin(0.2, 10, 20) > regression.margin(0.2, 10, 2)
    assert regression.margin(0.0, 10, 2) == regression.margin(0.01, 10, 2) == regression.LEAST
    assert regression.margin(0.2, 1, 2) == np.inf
    assert regression.seeds_for(50.0, 2) is None
    enough = regression.seeds_for(0.5, 2)
    assert enough is not None
    assert regression.margin(0.5, enough, 2) <= regression.MOST < regression.margin(0.5, enough - 1, 2)


def made_up(scores, base=None):
    """Runs of cells whose scores are given, (cells, seeds); the curve scores as the last ten evaluations do."""
    rows = []
    for cell, values in enumerate(scores):
        described = spec(variant=f"cell-{cell}")
        for seed, value in enumerate(values):
            rows.append({
                "environment": "e", "variant": f"cell-{cell}", "seed": seed + (100 if base is not None else 0),
                "state": "done", "reason": "", "steps": 400, "pack": 1, "seconds": 1.0, "spec": described,
                "evaluations": 4,
                "attempts": [], "last10": value, "area": values[seed - 1],
            })  # fmt: skip
    return Runs(pd.DataFrame(rows), pd.DataFrame(), [])


def rates(monkeypatch, *, cells, seeds, spread, drop, known, checks=150):
    """Shares of verdicts over simulated checks where the first cell's scores drop by so many δ, of all or of one.

    `known` says whether the baseline's δ is that of the true spread, or of its own sample as in life.
    """
    monkeypatch.setattr(reference, "bounds", lambda _: reference.Bounds(0.0, 1.0, "unit"))
    draw = np.random.default_rng([cells, seeds])
    codes = []
    for _ in range(checks):
        before = draw.normal(0.5, spread, size=(cells, seeds))
        base = regression.baseline_table(made_up(before))
        if known:
            for measure in regression.MEASURES:
                base[f"delta_{measure}"] = regression.margin(spread, seeds, 2 * cells)
        deltas = base.groupby("variant")[["delta_last10", "delta_area"]].first().max(axis=1).to_numpy()
        after = draw.normal(0.5, spread, size=(cells, seeds))
        after -= np.where(np.arange(cells) < drop[1], drop[0] * deltas, 0)[:, None]
        codes.append(regression.check(made_up(after, base), base).code)
    return {code: codes.count(code) / checks for code in (0, 1, 3)}


@pytest.mark.parametrize(("cells", "seeds", "spread"), [(1, 5, 0.1), (3, 5, 0.05), (4, 10, 0.15)])
def test_an_unchanged_algorithm_is_hardly_ever_called_a_regression(monkeypatch, cells, seeds, spread):
    assert rates(monkeypatch, cells=cells, seeds=seeds, spread=spread, drop=(0, 0), known=False)[1] <= 0.02


@pytest.mark.parametrize(("cells", "seeds", "spread"), [(1, 5, 0.1), (3, 10, 0.1)])
def test_even_where_every_cell_stands_on_its_margin_false_alarms_are_within_5_percent(
    monkeypatch, cells, seeds, spread
):
    found = rates(monkeypatch, cells=cells, seeds=seeds, spread=spread, drop=(1, cells), known=True, checks=300)
    assert found[1] <= 0.05 + 2 * 0.0126  # two standard errors of a share of .05 among 300


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("cells", "seeds", "spread"), [(1, 5, 0.1), (3, 5, 0.05), (4, 10, 0.15)])
def test_a_drop_of_two_margins_in_one_cell_of_many_is_seen(monkeypatch, cells, seeds, spread, known):
    found = rates(monkeypatch, cells=cells, seeds=seeds, spread=spread, drop=(2, 1), known=known)
    # where the baseline's own sample sets δ the share is .8 itself: two standard errors of it among 150
    assert found[1] >= regression.POWER - (0 if known else 2 * 0.0327)
    assert found[0] <= 0.02


def timed(root, scores, seconds, **of):
    for seed, score in enumerate(scores):
        rewrite_status(fake_run(root, [score] * 4, seed=seed, **of), seconds=seconds)


@pytest.mark.parametrize(("seconds", "verdict", "code"), [(11.0, "pass", 0), (12.6, "regress", 1), (8.0, "pass", 0)])
def test_throughput_is_a_ratio_on_request(tmp_path, seconds, verdict, code):
    timed(tmp_path / "a", BEFORE, 10.0)
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    timed(tmp_path / "new", BEFORE, seconds)
    runs = load(tmp_path / "new")
    found = regression.check(runs, base, throughput=0.8)
    assert verdicts(found)["throughput"] == verdict
    assert found.code == code
    assert "throughput" not in verdicts(regression.check(runs, base))


def test_throughput_of_other_hardware_cannot_be_told_and_without_times_is_not_measured(tmp_path):
    timed(tmp_path / "a", BEFORE, 10.0, provenance={"cpu": "A"})
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    timed(tmp_path / "new", BEFORE, 10.0, provenance={"cpu": "B"})
    found = regression.check(load(tmp_path / "new"), base, throughput=0.8)
    assert (verdicts(found)["throughput"], found.code) == ("cannot tell", 3)
    assert found.rows["reason"].iloc[2] == "not on the same cpu"
    timed(tmp_path / "none", BEFORE, 0.0, provenance={"cpu": "A"})
    assert regression.check(load(tmp_path / "none"), base, throughput=0.8).code == 4


def test_what_is_unlike_the_baseline_is_named(tmp_path):
    fill(tmp_path / "a", BEFORE, provenance={"packages": {"torch": "2.4"}})
    base = baseline_of(tmp_path / "a", tmp_path / "b.csv")
    fill(tmp_path / "new", BEFORE, provenance={"packages": {"torch": "2.5"}}, lr=0.5)
    fill(tmp_path / "new", BEFORE, variant="savo")
    notes = regression.check(load(tmp_path / "new"), base).notes
    assert notes == [
        "td3 on restricted-hopper: no bounds are committed for the task, "
        "so changes are relative to the baseline's own mean",
        "td3 on restricted-hopper: the config is not the baseline's",
        "td3 on restricted-hopper: packages.torch is 2.5, was 2.4",
        "savo on restricted-hopper: not in the baseline, so not checked",
    ]


@pytest.mark.parametrize("newer", [0, 1])
@pytest.mark.parametrize("swap", [False, True])
def test_a_package_that_only_one_side_recorded_is_no_difference(tmp_path, newer, swap):
    torch = {"torch": "2.4"}
    fill(tmp_path / "all", BEFORE, provenance={"packages": torch | {"scipy": "1.13"}})
    for seed, score in enumerate(BEFORE):
        scipy = {"scipy": "1.13"} if seed < newer else {}
        fake_run(tmp_path / "some", [score] * 4, seed=seed, provenance={"packages": torch | scipy})
    old, new = ("some", "all") if swap else ("all", "some")
    notes = regression.check(load(tmp_path / new), baseline_of(tmp_path / old, tmp_path / "b.csv")).notes
    assert not [note for note in notes if "packages" in note]


def test_the_verdict_as_markdown_and_junit(tmp_path, base):
    found = checked(tmp_path, base, [x - 15 for x in BEFORE])
    page = regression.markdown(found, "ci")
    assert page.startswith("### `bench check ci`: regress: 2 regress\n")
    assert "| restricted-hopper | td3 | last-2 return | regress | 100 (n=10) | 85 (n=10) | −0.15 |" in page
    suite = ElementTree.fromstring(regression.junit(found, "ci"))
    assert suite.attrib["tests"] == "2"
    assert (suite.attrib["failures"], suite.attrib["errors"], suite.attrib["skipped"]) == ("2", "0", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["type"] == "regress"


def test_junit_survives_any_reason(tmp_path, base):
    fill(tmp_path / "new", BEFORE[:9])
    fake_run(tmp_path / "new", [1], seed=9, state="failed", reason='<&\x00\x1b[31m "ä"')
    found = regression.check(load(tmp_path / "new"), base)
    suite = ElementTree.fromstring(regression.junit(found, "ci"))
    assert suite.attrib["errors"] == "2"
    error = suite.find("testcase/error")
    assert error is not None
    assert "<&" in error.attrib["message"]


def test_hashes_name_task_and_config_apart():
    a, b = spec(), spec(lr=1)
    assert regression._hashes(a)[0] == regression._hashes(b)[0]
    assert regression._hashes(a)[1] != regression._hashes(b)[1]
    assert len(spec_hash(a)) == len(regression._hashes(a)[0])


def test_margins_are_the_same_every_time():
    draw_again = regression._multiple.__wrapped__
    assert draw_again(4, 6) == draw_again(4, 6)
