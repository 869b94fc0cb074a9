"""What a report says of maxima and gaps, from scalars and measurements that are made up."""

import numpy as np
import pandas as pd
import pytest
from made_up_runs import files as files_of
from made_up_runs import page_of
from test_frame import fake_run

from savo_bench.results import files, gaps
from savo_bench.results.frame import load

HEADER = ["step", "seconds", "q", *gaps.COLUMNS]


def record(folder, rows):
    """A train.csv with these rows of maxima, stuck, first_gap and best_gap, and rows without them between."""
    folder.train_csv.unlink(missing_ok=True)
    lines = [line for i, row in enumerate(rows) for line in ((2 * i, i, 1.0, *row), (2 * i + 1, i, 1.0, *[None] * 4))]
    files.append_csv(folder.train_csv, HEADER, lines)


def test_a_seed_counts_with_as_many_evaluations_as_its_last10(tmp_path):
    record(fake_run(tmp_path, [1] * 4), [(9, 1.0, 1.0, 1.0)] * 2 + [(1.0, 0.0, 0.02, 0.01), (2.0, 0.5, 0.04, 0.03)])
    seeds = gaps.of_seeds(tmp_path, load(tmp_path))
    assert seeds[list(gaps.COLUMNS)].to_numpy().tolist() == [pytest.approx([1.5, 0.25, 0.03, 0.02])]


def test_runs_that_lack_the_columns_or_are_not_done_say_nothing(tmp_path):
    fake_run(tmp_path / "x", [1] * 4)
    record(fake_run(tmp_path / "x", [1] * 4, seed=1, state="failed", reason="x"), [(1.0, 0.0, 0.0, 0.0)] * 4)
    fake_run(tmp_path / "x", [1] * 4, seed=2).train_csv.unlink()
    assert len(gaps.of_seeds(tmp_path / "x", load(tmp_path / "x"))) == 0
    page = page_of(tmp_path / "x")[1]
    assert "What there is to win" not in page
    assert "prominent" not in page


def test_the_headline_says_what_there_is_to_win(tmp_path):
    for seed, maxima in enumerate((1.0, 1.0, 1.25)):
        record(fake_run(tmp_path / "x", [1] * 4, seed=seed), [(maxima, 0.03, 0.01, 0.01)] * 4)
    report, page = page_of(tmp_path / "x")
    assert "- `restricted-hopper`: `td3` alone has scores, 1.00 [1.00, 1.00] (n=3). Q has 1.08 [1.00, 1.25] " in page
    assert "prominent maxima; a single actor is stuck in 3.00 [3.00, 3.00] % of states: where Q has one max" in page
    assert "| td3 | 1.08 [1.00, 1.25] | 3.00 [3.00, 3.00] % | 1.00 [1.00, 1.00] % | 1.00 [1.00, 1.00] % | 3 |" in page
    assert (report.folder / "tables" / "gaps.csv").exists()


def test_where_q_is_rugged_the_headline_does_not_say_that_nothing_is_to_win(tmp_path):
    record(fake_run(tmp_path / "x", [1] * 4), [(3.0, 0.4, 0.1, 0.05)] * 4)
    page = page_of(tmp_path / "x")[1]
    assert "Q has 3.00 prominent maxima; a single actor is stuck in 40.0 % of states." in page


def test_on_a_catalogue_there_are_gaps_and_no_maxima(tmp_path):
    record(fake_run(tmp_path / "x", [1] * 4), [(np.nan, 0.4, 0.1, 0.05)] * 4)
    page = page_of(tmp_path / "x")[1]
    assert "The first proposal is stuck in 40.0 % of states." in page
    assert "| td3 | – | 40.0 % | 10.0 % | 5.00 % | 1 |" in page


def test_a_damaged_file_is_named_once(tmp_path):
    folder = fake_run(tmp_path / "x", [1] * 4, variant="savo")
    folder.train_csv.write_text(",".join([*HEADER, "spread"]) + "\n1,2\n1,2,3,4,5,6,7,8\n")
    page = page_of(tmp_path / "x")[1]
    assert page.count("train.csv: ") == 1


def measured(root, *rows, drop=(), **columns):
    """A gaps.csv of rows (variant, seed, best_gap) on restricted-hopper; its other numbers are the same in all rows."""
    frame = pd.DataFrame([("restricted-hopper", *row) for row in rows], columns=[*gaps._SEED, "best_gap"])
    others = dict.fromkeys(gaps.OF_POLICIES, 0.5) | {"maxima": 3.0, "return": 1.0} | columns
    others["best_gap"] = frame["best_gap"]
    frame.assign(**others).drop(columns=list(drop)).to_csv(root / "gaps.csv", index=False)


def seeds_of(root, variant, count, **changed):
    for seed in range(count):
        fake_run(root, [1] * 4, variant=variant, seed=seed, **changed)


def test_measured_gaps_of_final_policies_stand_in_the_report_with_means_and_intervals(tmp_path):
    for variant in ("td3", "savo:lr=0.01,tau=0.1"):
        seeds_of(tmp_path / "x", variant, 2)
    rows = [(variant, seed, gap) for variant in ("td3", "savo:lr=0.01,tau=0.1") for seed, gap in enumerate((0.1, 0.3))]
    measured(tmp_path / "x", *rows, exact_maxima=1.25, learnt_maxima=[np.nan] * 2 + [2.5] * 2)
    report, page = page_of(tmp_path / "x")
    assert "## Gaps of the final policies" in page
    assert "| td3 | 3.00 [3.00, 3.00] | 50.0 [50.0, 50.0] % | 50.0 [50.0, 50.0] % | 20.0 [10.0, 30.0] % | 2 |" in page
    assert "| td3 | 1.25 [1.25, 1.25] | – | 50.0" in page
    assert "| 1.25 [1.25, 1.25] | 2.50 [2.50, 2.50] | 50.0" in page
    table = pd.read_csv(report.folder / "tables" / "policy-gaps.csv")
    assert table["variant"].tolist() == ["savo:lr=0.01", "td3"]  # their made-up configs share tau
    numbers = table[["n", "best_gap", "best_gap_low", "best_gap_high"]].to_numpy()
    np.testing.assert_allclose(numbers, [[2, 0.2, 0.1, 0.3]] * 2)
    latex = (report.folder / "tables.tex").read_text()
    assert r"maxima of $\hat\Psi$" in latex
    assert r"20.0 [10.0, 30.0] \%" in latex


def test_two_reports_of_measured_gaps_have_the_same_bytes(tmp_path):
    seeds_of(tmp_path / "x", "td3", 2)
    measured(tmp_path / "x", ("td3", 0, 0.1), ("td3", 1, 0.3))
    one, other = (files_of(page_of(tmp_path / "x", tmp_path / out)[0].folder) for out in ("one", "other"))
    assert one == other


def test_of_several_policies_of_a_seed_the_last_one_counts(tmp_path):
    seeds_of(tmp_path, "td3", 2)
    measured(tmp_path, ("td3", 0, 0.9), ("td3", 0, 0.1), ("td3", 1, 0.3), ("td3", 1, 0.8), step=[100, 400, np.nan, 400])
    rows = gaps.of_policies(tmp_path, load(tmp_path))
    assert rows[["seed", "best_gap"]].to_numpy().tolist() == [[0, 0.1], [1, 0.3]]  # no step is the final policy
    assert rows.attrs == {"problems": [], "notes": []}


def test_seeds_that_are_not_measured_or_not_in_the_report_are_said(tmp_path):
    seeds_of(tmp_path / "x", "td3", 2)
    fake_run(tmp_path / "x", [1] * 4, variant="td3", seed=2, state="failed", reason="x")
    measured(tmp_path / "x", ("td3", 0, 0.1), ("td3", 2, 0.9), ("cem", 7, 0.9), ("cem", 3, 0.9))
    page = page_of(tmp_path / "x")[1]
    assert "| 10.0 % | 1 of 2 |" in page
    said = (
        "as this report has no such finished seed: cem on restricted-hopper, seeds 3, 7; td3 on restricted-hopper, seed"
    )
    assert said in page
    measured(tmp_path / "x", ("cem", 3, 0.9))
    page = page_of(tmp_path / "x")[1]
    assert "cem on restricted-hopper, seeds 3." in page
    assert "| gap of the best |" not in page.partition("## Gaps of the final policies")[2]


def test_a_measured_return_that_is_not_that_of_the_last_evaluation_is_said(tmp_path):
    seeds_of(tmp_path / "x", "td3", 2)
    measured(tmp_path / "x", ("td3", 0, 0.1), ("td3", 1, 0.3), **{"return": [1.0, 1.01]})
    page = page_of(tmp_path / "x")[1]
    assert "of another training: td3 on restricted-hopper, seeds 1." in page
    assert "seeds 0" not in page


def test_a_file_of_an_earlier_version_lacks_columns_and_is_shown(tmp_path):
    seeds_of(tmp_path / "x", "td3", 1)
    measured(tmp_path / "x", ("td3", 0, 0.1), drop=("exact_maxima", "learnt_maxima"))
    assert "| td3 | – | – | 50.0 % | 1.00 | 0.50 | 1 |" in page_of(tmp_path / "x")[1]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "gaps.csv: no table ("),
        (b"\xff\xfe\x00", "gaps.csv: no table ("),
        (b"a,b\n1,2,3\n4\n", "gaps.csv: has no column environment; bench gap writes it anew"),
        (b"environment,variant,n,maxima,maxima_low\n", "gaps.csv: has no column seed;"),
        (b'"environment', "gaps.csv: "),
        (b"HEADER\nrestricted-hopper,td3,0,1,0,0,high\n", "gaps.csv: line 2: best_gap='high' is no number;"),
        (b"HEADER\nrestricted-hopper,td3,0,1,0,0,inf\n", "gaps.csv: line 2: best_gap='inf' is no number;"),
        (b"HEADER\nrestricted-hopper,td3,0.5,1,0,0,0\n", "gaps.csv: a seed is no whole number;"),
        (b"HEADER\nrestricted-hopper,td3\n", "gaps.csv: a seed is no whole number;"),
        (b"HEADER\n" + 2 * b"restricted-hopper,td3,0,1,0,0,0\n", "has td3 on restricted-hopper, seeds 0 twice;"),
    ],
)
def test_a_damaged_or_foreign_file_is_named_and_stops_nothing(tmp_path, content: bytes, named: str):
    seeds_of(tmp_path / "x", "td3", 1)
    header = b"environment,variant,seed,maxima,stuck,first_gap,best_gap"
    (tmp_path / "x" / "gaps.csv").write_bytes(content.replace(b"HEADER", header))
    page = page_of(tmp_path / "x")[1]
    assert named in page.partition("## Files with problems")[2]
    assert "## Gaps of the final policies" not in page


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    seeds_of(tmp_path / "x", "td3", 1)
    (tmp_path / "x" / "gaps.csv").mkdir()
    assert "gaps.csv: Is a directory" in page_of(tmp_path / "x")[1]
