"""What each section of a report says."""

import re

import numpy as np
import pandas as pd
import pytest
from made_up_runs import curve, fill, known_task, page_of
from test_frame import fake_run, rewrite_status, spec

from savo_bench.results import reference, tables
from savo_bench.results.declared import Declaration, declare
from savo_bench.results.format import SeedFolder, ask
from savo_bench.results.frame import load
from savo_bench.results.report import write_report


@pytest.fixture(autouse=True)
def no_committed_bounds(monkeypatch, tmp_path):
    """The made-up tasks of these tests bear names of real ones."""
    monkeypatch.setattr(reference, "BOUNDS", tmp_path / "none.csv")


@pytest.fixture
def bounded(monkeypatch):
    """Bounds 0 and 100 for the environments named env-…"""

    def bounds(environment, *_):
        return reference.Bounds(0, 100, "0 is x, 1 is y") if environment["name"].startswith("env-") else None

    monkeypatch.setattr(reference, "bounds", bounds)


def test_few_seeds_are_said(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3"], seeds=4)
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "**Few seeds:** 1 of 1 cells has fewer than 5 scored seeds" in page


def test_damaged_files_are_named_in_the_report(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3"], seeds=2)
    (tmp_path / "x/env-a/td3/seed-0001/evals.csv").write_text("what\n")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "## Files with problems\n\n- `env-a/td3/seed-0001/evals.csv: its columns do not begin with" in page
    assert "1/2 seeds, 1 unreadable" in page


@pytest.mark.usefixtures("bounded")
def test_aggregates_are_of_normalised_scores(tmp_path):
    fill(tmp_path / "x", variants=["td3", "savo"], seeds=6)
    aggregates = pd.read_csv(page_of(tmp_path / "x")[0].folder / "tables" / "aggregates.csv")
    assert aggregates["iqm"].tolist() == pytest.approx([0.25, 0.25])  # of 0, 10, …, 50
    assert aggregates["gap"].tolist() == pytest.approx([0.75, 0.75])
    assert aggregates[["tasks", "n"]].to_numpy().tolist() == [[2, 12]] * 2
    profiles = pd.read_csv(tmp_path / "out" / "tables" / "profiles.csv")
    assert profiles.loc[profiles["height"].round(2) == 0.32, "share"].tolist() == pytest.approx([2 / 6] * 2)
    curves = pd.read_csv(tmp_path / "out" / "tables" / "aggregate-curves.csv")
    assert curves.loc[curves["variant"] == "savo", "step"].tolist() == [100, 200, 300, 400]
    efficiency = pd.read_csv(tmp_path / "out" / "tables" / "efficiency.csv")
    assert efficiency[["to_0.5", "reached_0.5"]].to_numpy().tolist() == [[np.inf, 1]] * 4


def test_without_bounds_there_are_raw_returns_and_no_aggregates_and_both_are_said(tmp_path):
    fill(tmp_path / "x")
    report, markdown = page_of(tmp_path / "x")
    assert "**Raw returns:** `env-a`, `env-b` have no committed bounds" in markdown
    assert "None: no environment here has committed bounds" in markdown
    assert not (report.folder / "tables" / "aggregates.csv").exists()
    assert (report.folder / "figures" / "improvement.svg").exists()  # needs none


@pytest.mark.usefixtures("bounded")
def test_an_algorithm_that_lacks_a_task_is_not_compared_on_aggregates_and_that_is_said(tmp_path):
    fill(tmp_path / "x", ["env-a", "env-b"], ["td3", "savo"])
    fill(tmp_path / "x", ["env-a"], ["cem"])
    fill(tmp_path / "x", ["other"], ["td3"])
    _, markdown = page_of(tmp_path / "x")
    assert "Not in the aggregates: `cem`, which lacks scores on some of these tasks; `other`, which has no" in markdown
    matrix = tables.score_matrix(load(tmp_path / "x"), tables.known_bounds(load(tmp_path / "x")))
    assert matrix is not None
    assert (matrix.variants, matrix.environments) == (["savo", "td3"], ["env-a", "env-b"])


@pytest.mark.usefixtures("bounded")
def test_seeds_that_are_not_done_fade_their_variant_in_the_aggregates(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3", "savo"])
    fake_run(tmp_path / "x", [1], environment="env-a", seed=6, state="running")
    report, markdown = page_of(tmp_path / "x", now=1001)
    assert "| 6/7 |" in markdown
    html = (report.folder / "index.html").read_text()
    # in the scores, in the sample efficiency, and in the aggregates
    assert html.count("<tr class=faded><td>td3</td>") == 3


@pytest.mark.usefixtures("bounded")
def test_families_are_aggregated_apart(tmp_path):
    for environment in ("env-a", "env-b"):
        for variant in ("td3", "savo"):
            described = spec(environment=environment, variant=variant)
            described["environment"]["id"] = f"SavoBench/{'Adroit' if environment == 'env-a' else 'Restricted'}X-v0"
            fake_run(tmp_path / "x", [50] * 4, environment=environment, variant=variant)
            folder = SeedFolder.of(tmp_path / "x", environment, variant, 0)
            folder.write_run(described, {})
    _, markdown = page_of(tmp_path / "x")
    assert "| adroit | savo | 0.50 | 1 | 1 |" in markdown
    assert "| restricted | td3 | 0.50 | 1 | 1 |" in markdown


def answers(tmp_path):
    return write_report(tmp_path / "x", tmp_path / "out").answer


def test_the_highest_mean_is_named_and_each_verdict_with_its_interval(tmp_path):
    curve(tmp_path / "x", "td3", [10, 11, 12, 13, 14])
    curve(tmp_path / "x", "savo", [90, 91, 92, 93, 94])
    curve(tmp_path / "x", "cem", [70, 80, 90, 100, 110])
    declare(tmp_path / "x", Declaration((("savo", "td3"), ("savo", "cem"), ("td3", "savo"))))
    summary, line = answers(tmp_path)
    assert line.startswith(
        "`env-a`: `savo` has the highest mean, 92.0 [90.8, 93.2] (n=5). **better**: `savo` − `td3` 80.0 ["
    )
    assert "**worse**: `td3` − `savo` −80.0 [" in line
    assert re.search(r"\*\*cannot tell\*\*: `savo` − `cem` 2.0 \[−[0-9]+.*\] \(n=5, some [0-9]+ seeds would\)", line)
    assert "`savo` has the highest mean on 1 of 1 environment" in summary
    assert "declared before the first seed ended" in summary
    assert "3 comparisons by the last-2 return" in summary


def test_what_is_declared_later_or_anew_is_said_to_be(tmp_path):
    curve(tmp_path / "x", "td3", [10, 11, 12, 13, 14])
    curve(tmp_path / "x", "savo", [90, 91, 92, 93, 94])
    assert "Nothing was declared" in answers(tmp_path)[0]
    first = Declaration((("savo", "td3"),), margin=0.1)
    declare(tmp_path / "x", first)
    declare(tmp_path / "x", Declaration((("savo", "td3"),), "final", done=10))
    summary = answers(tmp_path)[0]
    assert f"declared after 10 seeds had ended, **in place of what was declared before** ({first.hash})" in summary
    assert "1 comparison by the final return" in summary


def test_a_declared_variant_that_was_never_run_is_in_the_table_as_not_run(tmp_path):
    curve(tmp_path / "x", "td3", [10, 11, 12, 13, 14])
    declare(tmp_path / "x", Declaration((("savo", "td3"),)))
    _, markdown = page_of(tmp_path / "x")
    assert "| env-a | savo | td3 | – | – | – | no scores | 0, 5 | – |" in markdown


def test_no_verdict_is_given_with_fewer_than_five_seeds(tmp_path):
    curve(tmp_path / "x", "td3", [10, 11, 12, 13])
    curve(tmp_path / "x", "savo", [90, 91, 92, 93, 94])
    assert "**cannot tell**: `savo` − `td3` 80" in answers(tmp_path)[1]


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        (["td3"], None),
        (["td3", "cem"], "**Not run**: its control `cem`, so the lead cannot be put down to one cause; `bench run"),
        (["cem", "sac:lr=1"], "**Not run**: its controls `cem`, `sac:lr=1`, so the lead"),
    ],
)
def test_controls_of_the_leading_variant_that_have_no_scores_are_named(tmp_path, controls, said):
    curve(tmp_path / "x", "td3", [10, 11, 12, 13, 14])
    curve(tmp_path / "x", "savo", [90, 91, 92, 93, 94])
    ask(tmp_path / "x", "env-a", "savo", range(5), controls)
    ask(tmp_path / "x", "env-a", "td3", range(5), ["not the leader's"])
    line = answers(tmp_path)[1]
    assert ("Not run" in line) == (said is not None)
    assert said is None or said in line
    assert "leader" not in line


def test_a_control_without_a_finished_seed_counts_as_not_run(tmp_path):
    curve(tmp_path / "x", "savo", [90, 91, 92, 93, 94])
    ask(tmp_path / "x", "env-a", "savo", range(5), ["td3"])
    ask(tmp_path / "x", "env-a", "td3", range(5))
    assert "its control `td3`, so" in answers(tmp_path)[1]


def test_single_seeds_and_lone_variants_are_not_compared(tmp_path):
    curve(tmp_path / "x", "td3", [10])
    curve(tmp_path / "x", "savo", [90, 91])
    curve(tmp_path / "x", "savo", [90, 91], "env-b")
    fake_run(tmp_path / "x", [], environment="env-c", state="failed", reason="boom")
    lines = answers(tmp_path)[1:]
    assert lines[0].endswith("**cannot tell**: `savo` − `td3` (n=2, 1: the spread is not known).")
    assert lines[1].startswith("`env-b`: `savo` alone has scores, 90.5")
    assert lines[2] == "`env-c`: no seed is done."


def test_the_summary_and_the_curve_can_be_chosen(tmp_path):
    fake_run(tmp_path / "x", [9, 1, 2, 3])
    fake_run(tmp_path / "x", [7, 1, 2, 4], seed=1)
    report, markdown = page_of(tmp_path / "x", summary="best", statistic="iqm", per_seed=True)
    assert "best return, mean" in report.score_text.columns
    assert "`td3` alone has scores, 8.00 [7.00, 9.00]" in markdown
    assert "IQM over seeds, with its pointwise" in markdown
    assert "best" not in page_of(tmp_path / "x", tmp_path / "b")[0].score_text.columns[2]


def test_the_time_of_a_pack_is_shared_among_its_seeds(tmp_path):
    for seed in range(2):
        folder = fake_run(tmp_path / "x", [1] * 4, seed=seed)
        rewrite_status(
            folder,
            seconds=7200.0,
            cpu_seconds=900.0 + seed,
            owner={"pack": [0, 1]},
            peak_memory=2e9,
            action_seconds=0.0012,
        )
    _, markdown = page_of(tmp_path / "x")
    assert "| 1.00 [1.00, 1.00] | cpu | 60 min | 15 min | 2 | 2 | 0.111 | 2000 MB | 1.2 ms | – |" in markdown
    assert "All seeds that are done: 2 h of a core on `cpu`, 30 min of them CPU time." in markdown
    assert "were not recorded" not in markdown


def test_a_gpu_is_held_for_the_wall_time_of_its_packs_and_older_runs_have_no_cpu_time(tmp_path):
    for seed, device in ((0, "cpu"), (1, "cuda")):
        folder = fake_run(tmp_path / "x", [1] * 4, seed=seed, provenance={"device": device})
        rewrite_status(folder, seconds=6.948)
    _, markdown = page_of(tmp_path / "x")
    assert "| cpu | 6.95 s | – | – | 1 | 1 |" in markdown
    assert "| cuda | 6.95 s | – | 6.95 s | 1 | 1 |" in markdown
    assert "6.9 s of a core on `cpu`; 6.9 s of a GPU on `cuda`. Times on different devices" in markdown


def test_what_was_not_measured_is_no_cost(tmp_path):
    rewrite_status(fake_run(tmp_path / "x", [1] * 4), seconds=None)
    assert "No seed that is done recorded its time." in page_of(tmp_path / "x")[1]


def test_published_scores_stand_beside_ours_with_what_differs_and_no_verdict(tmp_path):
    known_task(tmp_path / "x")
    report, markdown = page_of(tmp_path / "x")
    assert (
        "| hopper | td3:preset=published | final return | 3050 ± 70.7 (n=2) | 3226 (n=10) | – | TD7 paper" in markdown
    )
    assert "| 3391 ± 378 (n=10) | version (v1, ours v4) | sfujim" in markdown
    assert "statistic (training return, ours last-1)" in markdown
    table = pd.read_csv(report.folder / "tables" / "published.csv", keep_default_na=False)
    assert set(table["published"]) == {3391, 3305, 3135, 3472, 3226}  # td3 on Hopper at this budget, nothing else
    assert "no claim to match" in markdown


@pytest.mark.parametrize("other", [{"steps": 50_000}, {"id": "Hoppper-v4"}])
def test_scores_of_other_tasks_and_budgets_do_not_stand_beside_ours(tmp_path, other):
    known_task(tmp_path / "x", **other)
    assert "Published scores" not in page_of(tmp_path / "x")[1]


def test_a_task_with_other_keywords_is_named_as_such(tmp_path):
    known_task(tmp_path / "x", balls=9)
    assert "task (default, ours balls 9)" in page_of(tmp_path / "x")[1]


def test_signs_of_trouble_are_warned_of_at_the_top_and_in_a_table(tmp_path):
    folder = fake_run(tmp_path / "x", [1] * 4, variant="savo")
    folder.train_csv.write_text("step,seconds,spread,wins_0,wins_1\n" + "1,1,0.001,0.99,0.01\n" * 20)
    _, markdown = page_of(tmp_path / "x")
    assert "> **Signs of trouble** in 1 cell; see [warnings](#warnings-of-the-method)." in markdown
    assert "| savo | proposals collapse onto each other | 1 of 1 | spread 0.001 | below 0.01 |" in markdown
    assert "| savo | one actor wins nearly all states | 1 of 1 | top_share 0.99 | above 0.95 |" in markdown


def test_what_an_approximate_search_found_is_told_also_where_it_is_enough(tmp_path):
    for seed, recall in ((0, 0.96), (1, 0.93)):
        folder = fake_run(tmp_path / "x", [1] * 4, variant="td3:search=ivf", seed=seed)
        folder.train_csv.write_text("step,seconds,recall\n" + f"1,1,{recall}\n" * 20)
    _, markdown = page_of(tmp_path / "x")
    assert "| td3:search=ivf | 94.5 % | 93.0 % |" in markdown
    assert "Signs of trouble" not in markdown


def test_unlike_provenance_is_noted_and_says_which_cells_have_which(tmp_path):
    for variant, cpu in (("td3", "A"), ("savo", "B")):
        fake_run(tmp_path / "x", [1] * 4, variant=variant, provenance={"cpu": cpu})
    _, markdown = page_of(tmp_path / "x")
    assert "> **Unlike runs:** they differ in `cpu`; see [provenance](#provenance)." in markdown
    assert "| cpu | A | 1 | td3 on restricted-hopper |" in markdown


def test_unequal_budgets_are_noted(tmp_path):
    fake_run(tmp_path / "x", [1] * 4)
    fake_run(tmp_path / "x", [1] * 3, variant="savo", steps=300)
    assert "> **Unequal budgets:** the variants differ in `budget.steps`" in page_of(tmp_path / "x")[1]


def test_a_single_evaluation_is_noted(tmp_path):
    fake_run(tmp_path / "x", [5], steps=100)
    assert (
        "> **One evaluation:** 1 of 1 cells has seeds with a single evaluation: their last-1 return is the final"
        in page_of(tmp_path / "x")[1]
    )
