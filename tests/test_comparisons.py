"""What is declared to be compared, and what the comparisons of a report say."""

import numpy as np
import pytest

from savo_bench.results import comparisons
from savo_bench.results.comparisons import nearest, verdict
from savo_bench.results.declared import Declaration, declare, read
from savo_bench.results.format import COMPARISONS
from savo_bench.results.reference import Bounds

PAIRS = (("savo", "td3"), ("savo", "ensemble"))


def drawn(rng: np.random.Generator, means: dict[str, float], tasks: int = 1, n: int = 10) -> dict:
    return {f"env-{i}": {name: rng.normal(mean, 1, n) for name, mean in means.items()} for i in range(tasks)}


def compared(scores: dict, pairs=PAIRS, margin: float | None = None, bounds: float = 1.0):
    family = [(environment, pair) for environment in scores for pair in pairs]
    known = {environment: Bounds(0, bounds, "here") for environment in scores}
    return comparisons.table(family, scores, known, margin)


# ---- verdicts


@pytest.mark.parametrize(
    ("low", "high", "margin", "said"),
    [
        (1, 2, np.nan, "better"),
        (-2, -1, np.nan, "worse"),
        (-1, 2, np.nan, "cannot tell"),
        (-1, 2, 3, "equivalent"),
        (1, 2, 3, "equivalent"),
        (1, 4, 3, "better"),
        (-3, 1, 3, "cannot tell"),
        (0, 0, np.nan, "cannot tell"),
    ],
)
def test_a_verdict_is_read_off_its_interval(low, high, margin, said):
    assert verdict(low, high, margin) == said


def test_a_true_difference_is_told_and_has_the_direction_of_the_first():
    table = compared({"env": {"savo": np.arange(10.0), "td3": np.arange(10.0) - 20, "ensemble": np.arange(10.0) + 20}})
    assert table["verdict"].tolist() == ["better", "worse"]
    assert table["difference"].tolist() == [20, -20]
    assert (table["p_adjusted"] == 2 * table["p"]).all()


def test_a_margin_is_a_share_of_the_range_between_the_bounds():
    scores = {"env": {"savo": 100 + np.arange(10.0), "td3": 100 + np.arange(10.0), "ensemble": np.arange(10.0)}}
    assert compared(scores, margin=0.1, bounds=100)["verdict"].tolist() == ["equivalent", "better"]
    assert compared(scores, margin=0.1, bounds=100)["margin"].tolist() == [10, 10]
    unbounded = comparisons.table([("env", PAIRS[0])], scores, {}, 0.1)
    assert unbounded["verdict"].tolist() == ["cannot tell"]
    assert np.isnan(unbounded["margin"]).all()


def test_few_seeds_give_no_verdict_and_none_are_not_run():
    table = compared({"env": {"savo": np.arange(4.0) + 100, "td3": np.arange(10.0)}})
    assert table["verdict"].tolist() == ["cannot tell", "no scores"]
    assert table["n_against"].tolist() == [10, 0]
    one = compared({"env": {"savo": np.ones(1), "td3": np.arange(10.0)}})
    assert one["verdict"].tolist() == ["cannot tell", "no scores"]
    assert one["difference"].isna().all()


@pytest.mark.parametrize("kind", ["normal", "heavy", "two groups", "constant"])
def test_no_interval_contradicts_its_verdict(kind):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        n, shift = rng.integers(2, 15), rng.normal(0, 2)
        draw = {
            "normal": lambda n=n: rng.normal(0, 1, n),
            "heavy": lambda n=n: rng.standard_t(2, n),
            "two groups": lambda n=n: rng.choice([0.0, 5.0], n),
            "constant": lambda n=n: np.full(n, float(rng.integers(2))),
        }[kind]
        table = compared({"env": {"savo": draw() + shift, "td3": draw(), "ensemble": draw()}}, margin=1.0)
        for row in table.to_dict("records"):
            low, high, said = float(row["low"]), float(row["high"]), row["verdict"]
            seen.add(said)
            inside = low > -1 and high < 1
            enough = min(row["n_variant"], row["n_against"]) >= comparisons.FEW_SEEDS
            assert (said == "equivalent") == (inside and enough)
            assert said != "better" or low > 0
            assert said != "worse" or high < 0
            assert said != "cannot tell" or not enough or (low <= 0 <= high and not inside)
            assert low <= row["difference"] <= high
    assert {"better", "worse", "cannot tell"} <= seen


def test_one_family_is_wrong_in_at_most_one_experiment_of_twenty():
    """Two comparisons on each of three tasks: six that share their first variant, none of which differs in truth."""
    rng, wrong = np.random.default_rng(0), 0
    experiments = 400
    for _ in range(experiments):
        table = compared(drawn(rng, {"savo": 0, "td3": 0, "ensemble": 0}, tasks=3))
        wrong += table["verdict"].isin(["better", "worse"]).any()
    assert wrong / experiments < 0.05 + 2 * np.sqrt(0.05 * 0.95 / experiments)


def test_what_differs_by_the_margin_is_called_equivalent_in_at_most_one_experiment_of_twenty():
    rng, wrong, right = np.random.default_rng(0), 0, 0
    experiments = 400
    for _ in range(experiments):
        apart = compared(drawn(rng, {"savo": 2, "td3": 0, "ensemble": 4}, n=20), margin=2.0)
        wrong += (apart["verdict"] == "equivalent").any()
        same = compared(drawn(rng, {"savo": 0, "td3": 0, "ensemble": 0}, n=20), margin=2.0)
        right += (same["verdict"] == "equivalent").all()
    assert wrong / experiments < 0.05 + 2 * np.sqrt(0.05 * 0.95 / experiments)
    assert right / experiments > 0.9


def test_the_seeds_that_are_needed_are_those_of_a_power_of_four_fifths():
    rng = np.random.default_rng(0)
    scores = {"env": {"savo": rng.normal(0, 1, 10), "td3": rng.normal(0, 1, 10)}}
    (row,) = compared(scores, pairs=PAIRS[:1]).to_dict("records")
    assert row["verdict"] == "cannot tell"
    n = int(row["seeds_needed"])
    spread = {name: (values.mean(), values.std(ddof=1)) for name, values in scores["env"].items()}
    told = 0
    for _ in range(300):
        again = {"env": {name: rng.normal(*moments, n) for name, moments in spread.items()}}
        told += compared(again, pairs=PAIRS[:1])["verdict"].iloc[0] in ("better", "worse")
    assert told / 300 == pytest.approx(comparisons.POWER, abs=0.08)


def test_variants_without_a_difference_would_take_more_seeds_than_anybody_trains():
    same = np.arange(10.0)
    assert np.isnan(compared({"env": {"savo": same, "td3": same, "ensemble": same}})["seeds_needed"]).all()


# ---- what is compared


def test_an_unrelated_variant_changes_no_declared_verdict():
    rng = np.random.default_rng(0)
    scores = drawn(rng, {"savo": 1, "td3": 0, "ensemble": 0.5}, tasks=2)
    more = {task: own | {f"cem:samples={i}": rng.normal(9, 1, 10) for i in range(9)} for task, own in scores.items()}
    assert compared(scores).equals(compared(more))


def test_the_nearest_control_is_the_one_with_the_fewest_other_fields():
    fields = {
        "savo": {"": "savo", "k": "3", "c": "film", "t": "true"},
        "savo:c=none": {"": "savo", "k": "3", "c": "none", "t": "true"},
        "ensemble": {"": "ensemble", "k": "3"},
        "td3": {"": "td3"},
    }
    assert nearest(fields, {}) == (("ensemble", "td3"), ("savo", "savo:c=none"))
    assert nearest(fields, {"savo": ["td3", "ensemble"]}) == (
        ("ensemble", "td3"),
        ("savo", "ensemble"),
        ("savo:c=none", "savo"),
    )
    assert nearest({"td3": fields["td3"]}, {}) == ()
    assert nearest(fields, {"savo": ["not there"]}) == nearest(fields, {})


# ---- declarations


def test_a_declaration_is_written_once_and_a_change_beside_it(tmp_path):
    first = Declaration(PAIRS, "final", 0.1)
    assert declare(tmp_path / "new", first) is None
    assert declare(tmp_path / "new", first._replace(done=7)) == first
    assert read(tmp_path / "new") == [first]
    second = Declaration(PAIRS[:1], "final", 0.1, done=7)
    assert declare(tmp_path / "new", second) == first
    assert read(tmp_path / "new") == [first, second]


def test_its_hash_tells_pairs_measure_and_margin_but_not_the_order():
    one = Declaration(PAIRS, "final", 0.1)
    others = [one._replace(pairs=PAIRS[:1]), one._replace(measure="last10"), one._replace(margin=None)]
    assert len({one.hash, *(other.hash for other in others)}) == 4
    assert one._replace(pairs=PAIRS[::-1], done=3).hash == one.hash


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '{"pairs": [["a"]], "measure": "last10", "margin": null, "done": 0, "hash": "x"}',
        '{"pairs": [["a", "b"]], "measure": "last10", "margin": 0.2, "done": 0, "hash": "edited by hand"}',
    ],
)
def test_a_damaged_or_edited_line_declares_nothing(tmp_path, line):
    declare(tmp_path, Declaration(PAIRS))
    with (tmp_path / COMPARISONS).open("a") as file:
        file.write(line + "\n")
    assert read(tmp_path) == [Declaration(PAIRS)]
