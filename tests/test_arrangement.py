"""Names that are pooled, subsets, order, labels and colours of a report."""

import re
import shutil

import pandas as pd
import pytest
from made_up_runs import cell, curve, fill, page_of
from test_frame import fake_run

from savo_bench.results import plots, reference
from savo_bench.results.arrangement import Choices, WrongChoice, arrange
from savo_bench.results.declared import Declaration, OtherDeclaration, declare
from savo_bench.results.frame import MixedRuns


@pytest.fixture(autouse=True)
def no_committed_bounds(monkeypatch, tmp_path):
    """The made-up tasks of these tests bear names of real ones."""
    monkeypatch.setattr(reference, "BOUNDS", tmp_path / "none.csv")


def test_names_are_pooled_and_a_cell_that_is_in_both_has_the_seeds_of_both(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for root, seeds in ((one, (0, 1)), (two, (2, 3))):
        for seed in seeds:
            fake_run(root, [seed] * 4, variant="td3", seed=seed)
    fake_run(two, [5] * 4, variant="savo", seed=0)
    found = arrange([one, two])
    assert found.title == "one and two"
    assert found.runs.runs[["variant", "seed"]].to_numpy().tolist() == [["savo", 0], *(["td3", s] for s in range(4))]
    assert found.runs.runs["path"].iloc[-1] == "two/restricted-hopper/td3/seed-0003"
    assert (found.root / found.runs.runs["path"].iloc[-1] / "run.json").is_file()
    assert len(found.runs.evals) == 5 * 4


def test_a_seed_that_is_in_both_counts_once_where_it_is_the_same(tmp_path):
    fake_run(tmp_path / "one", [1] * 4, seed=0)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    fake_run(tmp_path / "two", [2] * 4, seed=1)
    found = arrange([tmp_path / "one", tmp_path / "two"]).runs
    assert found.runs["path"].str[:3].tolist() == ["one", "two"]
    assert len(found.evals) == 8


def test_the_same_seeds_with_other_results_are_refused_in_one_line_that_names_them(tmp_path):
    for root, score in (("one", 1), ("two", 2)):
        for seed in range(3):
            fake_run(tmp_path / root, [score] * 4, seed=seed)
        fake_run(tmp_path / root, [7] * 4, variant="savo", seed=0)
    roots = [tmp_path / "one", tmp_path / "two"]
    with pytest.raises(
        MixedRuns,
        match=r"^the same seeds have different results: td3 on restricted-hopper, seeds 0-2 \(one and two\); leave",
    ):
        arrange(roots)
    assert len(arrange(roots, Choices(variants=("savo",))).runs.runs) == 1  # without them there is no clash


def test_one_cell_with_two_specs_is_refused_and_the_field_named(tmp_path):
    fake_run(tmp_path / "one", [1], seed=0)
    fake_run(tmp_path / "two", [1], seed=1, tau=0.5)
    with pytest.raises(MixedRuns, match=r"tau is 0.005 in one/\S+/seed-0000 and 0.5 in two/\S+/seed-0001; they are no"):
        arrange([tmp_path / "one", tmp_path / "two"])


def test_declarations_are_pooled_or_refused(tmp_path):
    for name, margin in (("one", 0.1), ("two", 0.1), ("three", 0.2)):
        fill(tmp_path / name, [f"env-{name}"], ["savo", "td3"])
        declare(tmp_path / name, Declaration((("savo", "td3" if name != "two" else "sac"),), margin=margin))
    report, _ = page_of([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    rows = pd.read_csv(report.folder / "tables" / "comparisons.csv")
    assert rows[["environment", "against"]].to_numpy().tolist() == [
        ["env-one", "td3"], ["env-one", "sac"], ["env-two", "td3"], ["env-two", "sac"],
    ]  # fmt: skip
    with pytest.raises(
        OtherDeclaration, match=r"^the names declare different margins, 0.1 and 0.2: report them apart$"
    ):
        page_of([tmp_path / "one", tmp_path / "three"], tmp_path / "out")


def test_a_subset_changes_no_declared_verdict(tmp_path):
    root = tmp_path / "x"
    for variant, base in (("savo", 60), ("td3", 40), ("sac", 0), ("cem", 30)):
        curve(root, variant, [base + seed for seed in range(6)])
    declare(root, Declaration((("savo", "td3"), ("savo", "sac"), ("cem", "td3"))))
    every, few = (
        pd.read_csv(page_of(root, tmp_path / name, choices=choices)[0].folder / "tables" / "comparisons.csv")
        for name, choices in (("every", None), ("few", Choices(variants=("td3", "savo"))))
    )
    assert len(every) == 3
    shown = every[every["against"].eq("td3") & every["variant"].eq("savo")].reset_index(drop=True)
    pd.testing.assert_frame_equal(few, shown, check_dtype=False)


def test_everything_has_the_chosen_names_and_order(tmp_path):
    root = tmp_path / "x"
    fill(root, ["env-a", "env-b", "env-c"], ["savo", "td3", "td3:tau=0.01", "sac"], seeds=5)
    labels = {"savo": "SAVO (ours)", "env-a": "Task A"}
    choices = Choices("A title", ("env-b", "env-a"), ("td3*", "savo"), labels, {"savo": "#123456"})
    report, page = page_of(root, choices=choices)
    assert page.startswith("# A title\n")
    for name in ("env-c", "sac"):
        assert not re.search(rf"\b{name}\b", page)
    without = re.sub(r"^\| algorithm \|.*$", "", page, flags=re.MULTILINE)  # that is a value, and no variant
    assert not re.search(r"\b(savo|env-a)\b", without)
    rows = [line.split(" | ")[:2] for line in page.splitlines() if re.match(r"\| (env-b|Task A) \| .* seeds \|$", line)]
    variants = ["td3", "td3:tau=0.01", "SAVO (ours)"]
    assert rows[:6] == [[f"| {task}", name] for task in ("env-b", "Task A") for name in variants]
    assert "| field | td3 | td3:tau=0.01 | SAVO (ours) |" in page
    svg = (report.folder / "figures" / "curves.svg").read_text()
    assert re.findall(r"<!-- (td3|td3:tau=0.01|SAVO \(ours\)) -->", svg)[:3] == variants
    assert "#123456" in svg
    html = (report.folder / "index.html").read_text()
    assert "<title>A title</title>" in html
    names = pd.read_csv(report.folder / "tables" / "variants.csv")
    assert names.to_numpy().tolist() == [["td3", "td3"], ["td3:tau=0.01", "td3:tau=0.01"], ["SAVO (ours)", "savo"]]
    assert cell(report.scores, "Task A", "SAVO (ours)")["n"] == 5


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices(variants=("sav",)), "variants: 'sav' is none of these runs': did you mean savo?"),
        (Choices(envs=("hopper",)), "environments: 'hopper' is none of these runs': there are env-a"),
        (Choices(labels={"sac": "SAC"}), "labels: 'sac' is none of these runs': there are env-a, savo, td3"),
        (Choices(labels={"savo": "td3"}), "labels: savo and td3 would both be called 'td3': choose another"),
        (Choices(colours={"savo": "bluish"}), "colours: savo = 'bluish' is no colour: write one as #0072B2 or teal"),
    ],
)
def test_a_wrong_choice_is_one_clear_line(tmp_path, choices, message):
    fill(tmp_path / "x", ["env-a"], ["savo", "td3"], seeds=1)
    with pytest.raises(WrongChoice, match=f"^{re.escape(message)}$"):
        arrange([tmp_path / "x"], choices)


def test_a_name_without_its_shared_fields_chooses_the_variant(tmp_path):
    for variant in ("savo:tau=1", "td3:tau=1"):
        fake_run(tmp_path / "x", [1] * 4, variant=variant, tau=1)
    found = arrange([tmp_path / "x"], Choices(variants=("td3", "savo"), labels={"savo": "ours"}))
    assert dict(found.variants) == {"td3:tau=1": "td3", "savo:tau=1": "ours"}
    assert dict(found.shared) == {"tau": "1"}
    assert found.stored("ours") == "savo:tau=1"
    assert found.styles["ours"] == plots.styles(["savo"])["savo"]


def test_controls_have_one_look_whatever_stands_beside_them():
    controls = [
        *("td3:target_noise=0", "savo:conditioning=none", "savo:truncation=false", "ensemble:extra_actors=25"),
        *("savo:extra_actors=0", "wolpertinger:dual=true", "savo-sac:conditioning=none", "savo:target_noise=0.2"),
    ]
    nine = ["td3", "savo", "wolpertinger", "cem", "ensemble", "sac", "savo-sac", "greedy-ac", "greedy-td3"]
    others = [f"{name}:{field}" for name in nine for field in ("lr=1", "tau=1")]
    together = plots.styles([*controls, *nine, *others, "a-plug-in"])
    for control in controls:
        assert plots.styles([control, "td3"])[control] == together[control]
    assert len(set(together.values())) == len(together)
    beside = ["savo", "td3", "ensemble", *controls[:4]]
    for part in ("colour", "dashes"):  # in print, and in grey
        assert len({getattr(together[name], part) for name in beside}) == len(beside)


def test_colours_of_authors_win_and_no_two_variants_are_alike():
    found = plots.styles(["savo", "td3", "sac"], {"savo": "#111111", "td3": "#111111"})
    assert found["savo"].colour == found["td3"].colour == "#111111"
    assert len(set(found.values())) == 3
