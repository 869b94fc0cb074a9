"""The signs of a maximiser that does not work, in training scalars that are made up."""

import numpy as np
import pytest
from test_frame import fake_run

from savo_bench.results import diagnosis, files
from savo_bench.results.frame import load

HEALTHY = {"q": 100.0, "spread": 0.5, "surrogate_error": 1.0, "wins_0": 0.6, "wins_1": 0.4, "recall": 1.0}


def train(folder, rows=40, **changes):
    """Write a train.csv: constants, or functions of how far the training is (0 to 1)."""
    columns = HEALTHY | changes
    lines = [
        (i, i, *(value(i / rows) if callable(value) else value for value in columns.values())) for i in range(rows)
    ]
    folder.train_csv.unlink(missing_ok=True)
    files.append_csv(folder.train_csv, ["step", "seconds", *columns], lines)


def found(tmp_path):
    return diagnosis.warnings(diagnosis.diagnose(tmp_path, load(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "warning", "worst"),
    [
        ({"spread": lambda t: 0.04 if t < 0.05 else 0.5}, "proposals lie together at the start", "first_spread 0.04"),
        ({"spread": lambda t: 0.5 if t < 0.75 else 0.005}, "proposals collapse onto each other", "spread 0.005"),
        ({"surrogate_error": lambda t: 1.0 if t < 0.75 else 1.6}, "the surrogates' error grows", "error_growth 1.6"),
        ({"wins_1": 0.96, "wins_0": 0.04}, "one actor wins nearly all states", "top_share 0.96"),
        ({"recall": lambda t: 1 if t < 0.75 else 0.8}, "the approximate search misses nearest items", "recall 0.8"),
    ],
)
def test_each_sign_is_warned_of(tmp_path, changes, warning, worst):
    train(fake_run(tmp_path, [1] * 4, variant="savo", seed=0), **changes)
    train(fake_run(tmp_path, [1] * 4, variant="savo", seed=1))
    warnings = found(tmp_path)
    assert warnings[["variant", "warning", "seeds", "worst"]].to_numpy().tolist() == [
        ["savo", warning, "1 of 2", worst]
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spread": lambda t: 0.005 if 0.04 < t < 0.7 else 0.5},  # it came apart again
        {"surrogate_error": lambda t: 1 + 9 * t, "q": lambda t: 100 + 900 * t},  # grows as Q does
        {"surrogate_error": lambda t: 0.1 if t < 0.25 else 1},  # the beginning does not count
        {"wins_0": 0.95, "wins_1": 0.05},
        {"q": 0.0},  # no scale
        {"recall": lambda t: 0.5 if t < 0.7 else 0.95},
    ],
)
def test_what_works_is_not_warned_of(tmp_path, changes):
    train(fake_run(tmp_path, [1] * 4, variant="savo"), **changes)
    assert len(found(tmp_path)) == 0


def test_the_thresholds_let_the_seeds_pass_on_which_they_were_set():
    by_column = {sign.column: sign for sign in diagnosis.SIGNS}
    for column, worst in [("spread", 0.22), ("error_growth", 0.8), ("top_share", 0.85)]:
        assert not by_column[column].shows(worst)
    assert not any(sign.shows(np.nan) for sign in diagnosis.SIGNS)


def test_algorithms_with_one_proposal_and_damaged_or_short_files_say_nothing(tmp_path):
    fake_run(tmp_path, [1] * 4)  # q only
    torn = fake_run(tmp_path, [1] * 4, variant="savo", seed=0)
    torn.train_csv.write_text("step,seconds,q,spread\n1,2\n1,2,3,4\n")
    train(fake_run(tmp_path, [1] * 4, variant="savo", seed=1), rows=7, spread=0.0)
    fake_run(tmp_path, [1] * 4, variant="savo", seed=2).train_csv.unlink()
    assert len(diagnosis.diagnose(tmp_path, load(tmp_path))) == 0


def test_columns_that_are_not_there_are_no_sign(tmp_path):
    folder = fake_run(tmp_path, [1] * 4, variant="cem")
    folder.train_csv.unlink()
    files.append_csv(folder.train_csv, ["step", "seconds", "spread"], [(i, i, 0.0) for i in range(20)])
    diagnoses = diagnosis.diagnose(tmp_path, load(tmp_path))
    assert diagnoses[["error_growth", "top_share"]].isna().all(axis=None)
    assert found(tmp_path)["warning"].tolist() == [
        "proposals lie together at the start",
        "proposals collapse onto each other",
    ]
