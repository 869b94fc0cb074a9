"""Cells of scores that other programs made: marked, shown, and never mixed with ours unasked."""

import pandas as pd
import pytest
from made_up_runs import fill
from test_frame import fake_run

from savo_bench.results import declared, foreign, regression
from savo_bench.results.declared import Declaration
from savo_bench.results.files import read_json, write_json
from savo_bench.results.findings import Findings, Options
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import load
from savo_bench.results.sections import answer, opening
from savo_bench.results.sections import foreign as section
from savo_bench.results.state import survey

ENV = {"name": "env-a", "id": "Test/env-a-v0", "keywords": {}}
NAME = "foreign-sb3"


def scores(*returns, steps=(30, 70, 100)):
    """Evaluations of one episode, at steps without a rule."""
    columns = {"step": steps, "episode": 0, "return": [float(value) for value in returns], "length": float("nan")}
    return pd.DataFrame(columns)


def add(root, seeds=6, file="evaluations.npz"):
    """A foreign cell of high scores on env-a."""
    path = root.with_name(file)
    for seed in range(seeds):
        path.write_text(f"content {seed}")
        assert foreign.write(root, ENV, NAME, seed, "sb3-npz", path, scores(1, 2, 1000 + seed))


def found(root, **options):
    return Findings(root, load(root), Options(**options))


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "grid"
    fill(made, environments=("env-a",), variants=("savo", "td3"))
    return made


def test_it_is_a_finished_cell_whatever_the_steps_of_its_evaluations(root):
    add(root)
    runs = load(root)
    own = runs.runs[runs.runs["variant"] == NAME]
    assert set(own["state"]) == {"done"}
    assert own["final"].tolist() == [1000, 1001, 1002, 1003, 1004, 1005]
    assert runs.problems == []
    cells = {cell.variant: foreign.of_cell(cell) for cell in survey(root)}
    assert cells == {NAME: "sb3-npz, 6 seeds", "savo": None, "td3": None}


def test_the_same_file_again_changes_nothing_and_another_is_refused(root):
    path = root.with_name("a.npz")
    path.write_text("a")
    given = (root, ENV, NAME, 0, "sb3-npz", path)
    assert foreign.write(*given, scores(1, 2, 3))
    before = SeedFolder.of(root, "env-a", NAME, 0).evals_csv.read_bytes()
    assert not foreign.write(*given, scores(1, 2, 3))
    path.write_text("b")
    with pytest.raises(foreign.Taken, match=r"from another file: delete .*seed-0000 first"):
        foreign.write(*given, scores(4, 5, 6))
    assert SeedFolder.of(root, "env-a", NAME, 0).evals_csv.read_bytes() == before


def test_an_import_that_was_stopped_is_made_whole(root):
    add(root, seeds=1)
    folder = SeedFolder.of(root, "env-a", NAME, 0)
    folder.status_json.unlink()
    folder.evals_csv.write_bytes(folder.evals_csv.read_bytes()[:-3])
    add(root, seeds=1)
    assert load(root).runs.set_index("variant").loc[NAME, "final"] == 1000


def test_no_comparison_lead_or_aggregate_of_ours_changes(root):
    before = found(root)
    said = answer.sentences(before)
    add(root)
    after = found(root)
    pd.testing.assert_frame_equal(after.comparisons, before.comparisons)
    pd.testing.assert_frame_equal(after.fields[0], before.fields[0])
    pd.testing.assert_frame_equal(after.provenance, before.provenance)
    assert answer.sentences(after) == said
    assert NAME in set(after.scores["variant"])  # shown beside ours
    assert any("**Foreign:**" in note and NAME in note for note in opening.notes(after))


def test_the_report_says_where_it_is_from(root):
    assert section.section(found(root)) is None
    add(root, seeds=2)
    made = section.section(found(root))
    assert made is not None
    rows = made.data["foreign"]
    assert rows["file"].tolist() == ["evaluations.npz"] * 2
    assert rows[["steps", "evaluations", "episodes"]].to_numpy().tolist() == [[100, 3, 1]] * 2
    assert rows["sha256"].nunique() == 2
    assert "as no `--compare` names them" in str(made.blocks[0])


def test_a_declaration_that_names_it_compares_it_under_its_mark(root):
    add(root)
    declared.declare(root, Declaration((("savo", NAME),), "final"))
    named = found(root)
    assert named.comparisons[["variant", "against", "verdict"]].to_numpy().tolist() == [["savo", NAME, "worse"]]
    assert named.apart == frozenset()
    made = section.section(named)
    assert made is not None
    assert "compared and aggregated, as a declaration names them" in str(made.blocks[0])


def test_a_folder_of_nothing_else_is_reported_too(tmp_path):
    root = tmp_path / "grid"
    add(root, seeds=2)
    alone = found(root)
    assert len(alone.comparisons) == 0
    assert alone.matrix is None
    assert answer.sentences(alone)[1] == "`env-a`: no seed is done."
    assert len(alone.provenance) == 0


def test_no_check_and_no_baseline_has_it(root):
    baseline = regression.baseline_table(load(root))
    add(root)
    pd.testing.assert_frame_equal(regression.baseline_table(load(root)), baseline)
    path = root.with_name("baseline.csv")
    regression.write_baseline(baseline, path)
    checked = regression.check(load(root), regression.read_baseline(path))
    assert NAME not in set(checked.rows["variant"])
    assert checked.notes[-1] == f"{NAME}: foreign, so not checked"


def test_the_mark_cannot_be_taken_off_by_hand(root):
    add(root, seeds=1)
    folder = SeedFolder.of(root, "env-a", NAME, 0)
    run = read_json(folder.run_json)
    del run["spec"]["foreign"]
    write_json(folder.run_json, run)
    states = [seed.state for cell in survey(root) if cell.variant == NAME for seed in cell.seeds]
    assert states == ["unreadable"]


def test_our_own_cell_of_that_name_would_be_told_apart_by_the_mark(tmp_path):
    fake_run(tmp_path / "grid", [1, 2, 3, 4], variant=NAME)
    assert foreign.variants(load(tmp_path / "grid")) == frozenset()
