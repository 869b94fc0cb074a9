"""What a report says of maxima and gaps, from scalars that are made up."""

import numpy as np
import pytest
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
