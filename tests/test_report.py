"""Tables, figures and the report that is made of them."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from test_frame import EPISODES, fake_run, rewrite_status, spec

from savo_bench.results import plots, provenance, reference, regression, tables
from savo_bench.results.files import append_csv
from savo_bench.results.format import SeedFolder, label
from savo_bench.results.frame import MixedRuns, Runs, load
from savo_bench.results.report import write_report


@pytest.fixture(autouse=True)
def no_committed_bounds(monkeypatch, tmp_path):
    """The made-up tasks of these tests bear names of real ones."""
    monkeypatch.setattr(reference, "BOUNDS", tmp_path / "none.csv")


def fill(root, environments=("env-a", "env-b"), variants=("savo", "td3", "td3:tau=0.01"), seeds=6):
    """Seeds of scores 0, 10, 20, …, constant from their second evaluation on."""
    for environment in environments:
        for variant in variants:
            config = {"tau": 0.01} if variant.endswith("0.01") else {"extra_actors": 3} if variant == "savo" else {}
            for seed in range(seeds):
                of = {"environment": environment, "variant": variant, "seed": seed, **config}
                fake_run(root, [-1, 10 * seed, 10 * seed, 10 * seed], metrics={"valid": 0.75}, **of)


def cell(table, environment, variant):
    return table[(table["environment"] == environment) & (table["variant"] == variant)].iloc[0]


# ---- tables


def test_scores_of_a_cell(tmp_path):
    fill(tmp_path, ["env-a"], ["td3"])
    row = cell(tables.score_table(load(tmp_path)), "env-a", "td3")
    assert (row["final_mean"], row["final_iqm"], row["last10_mean"], row["n"], row["seeds"]) == (25, 25, 25, 6, 6)
    assert row["final_mean_low"] < row["final_iqm_low"] + 10 < 25 < row["final_mean_high"]
    assert row["invalid"] == 0.25
    text = tables.score_text(tables.score_table(load(tmp_path))).iloc[0]
    assert text["final return, mean"].startswith("25.0 [1")
    assert (text["invalid actions"], text["seeds"]) == ("25.0 %", "6 seeds")


def test_scores_count_only_seeds_that_are_done(tmp_path):
    fill(tmp_path, ["env-a"], ["td3"], seeds=3)
    fake_run(tmp_path, [999, 999], environment="env-a", seed=3, state="failed", reason="boom")
    fake_run(tmp_path, [999], environment="env-a", seed=4, state="running")
    row = cell(tables.score_table(load(tmp_path, now=1001)), "env-a", "td3")
    assert (row["final_mean"], row["n"], row["seeds"]) == (10, 3, 5)
    assert row["coverage"] == "3/5 seeds, 1 failed, 1 running"


def test_a_cell_without_a_finished_seed_has_a_dash(tmp_path):
    fake_run(tmp_path, [], state="failed", reason="boom")
    scores = tables.score_table(load(tmp_path))
    assert scores["n"].tolist() == [0]
    assert tables.score_text(scores).iloc[0].tolist()[2:] == ["–", "–", "–", "–", "0/1 seeds, 1 failed"]


def test_a_score_that_is_not_finite_is_left_out_and_said(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4], seed=0)
    fake_run(tmp_path, [1, 2, 3, np.nan], seed=1)
    row = cell(tables.score_table(load(tmp_path)), "restricted-hopper", "td3")
    assert (row["final_mean"], row["n"], row["coverage"]) == (4, 1, "2 seeds, 1 without a finite score")


def test_a_cells_numbers_do_not_depend_on_other_cells(tmp_path):
    fill(tmp_path, ["env-b"], ["td3"])
    alone = cell(tables.score_table(load(tmp_path)), "env-b", "td3")
    fill(tmp_path, ["env-a"])
    assert cell(tables.score_table(load(tmp_path)), "env-b", "td3").equals(alone)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((639.2, 510.1, 782.9), "639 [510, 783]"),
        ((-12.34, -50, 3), "−12.3 [−50.0, 3.0]"),
        ((0.5, 0.25, 1), "0.50 [0.25, 1.00]"),
        ((7, np.nan, np.nan), "7.00"),
        ((np.nan, np.nan, np.nan), "–"),
    ],
)
def test_text_of_an_interval(numbers, text):
    assert tables.interval_text(*numbers) == text


def test_metrics_are_means_over_the_evaluations_of_last10(tmp_path):
    for seed in range(2):
        folder = fake_run(tmp_path, [0, 0, 0, 0], seed=seed)
        folder.evals_csv.unlink()
        for step, valid in zip((100, 200, 300, 400), (0.0, 0.0, 0.5, 1.0), strict=True):
            rows = [(step, episode, 1.0, 10, valid, 2.0 * seed) for episode in range(EPISODES)]
            append_csv(folder.evals_csv, ["step", "episode", "return", "length", "valid", "clicks"], rows)
    runs = load(tmp_path)
    found = tables.metric_table(runs).set_index("metric")
    assert found["value"].to_dict() == {"invalid actions": 0.25, "clicks": 1}
    assert found["n"].tolist() == [2, 2]
    assert tables.score_table(runs)["invalid"].tolist() == [0.25]


def test_a_curve_counts_at_each_step_the_seeds_that_reached_it(tmp_path):
    fake_run(tmp_path, [0, 10, 20, 30], seed=0)
    fake_run(tmp_path, [2, 20], seed=1, state="failed", reason="boom")
    fake_run(tmp_path, [4, np.nan, 40], seed=2, state="running")
    curve = tables.curve_table(load(tmp_path))
    assert curve[["step", "n", "mean"]].to_numpy().tolist() == [[100, 3, 2], [200, 2, 15], [300, 2, 30], [400, 1, 30]]
    assert curve["low"].isna().tolist() == [False, False, False, True]
    assert (curve["low"][:3] <= curve["mean"][:3]).all()
    assert (curve["mean"][:3] <= curve["high"][:3]).all()


def test_fields_in_which_variants_differ(tmp_path):
    fill(tmp_path, seeds=1)
    fields, equal = tables.field_table(load(tmp_path))
    assert fields.to_dict("records") == [
        {"field": "algorithm", "savo": "savo", "td3": "td3", "td3:tau=0.01": "td3"},
        {"field": "tau", "savo": "0.005", "td3": "0.005", "td3:tau=0.01": "0.01"},
        {"field": "extra_actors", "savo": "3", "td3": "–", "td3:tau=0.01": "–"},
    ]
    assert equal == 5  # hidden and the four of the budget


def test_a_field_that_depends_on_the_environment_alone_is_no_difference(tmp_path):
    for environment, steps in (("env-a", 300), ("env-b", 400)):
        for variant in ("savo", "td3"):
            fake_run(tmp_path, [1], environment=environment, variant=variant, steps=steps, state="running")
    assert tables.field_table(load(tmp_path))[0]["field"].tolist() == ["algorithm"]
    fake_run(tmp_path, [1], environment="env-b", variant="td3:lr=1", steps=500, state="running")
    fields = tables.field_table(load(tmp_path))[0].set_index("field")
    assert list(fields.loc["budget.steps"]) == ["300 (env-a); 400 (env-b)", "300 (env-a); 400 (env-b)", "500"]


# ---- figures


def test_known_algorithms_keep_their_look_and_no_two_variants_share_one():
    few = plots.looks(["td3", "savo"])
    variants = ["td3", "savo", *(f"savo:extra_actors={i}" for i in range(30))]
    many = plots.looks(variants)
    assert {name: many[name] for name in few} == few
    assert len(set(many.values())) == len(variants)
    assert len({look[1] for look in list(many.values())[:9]}) == 9  # apart in grey, too


def test_where_no_look_is_free_a_variant_has_the_colour_of_its_algorithm():
    nine = ["cem", "ensemble", "greedy-ac", "greedy-td3", "sac", "savo", "savo-sac", "td3", "wolpertinger"]
    found = plots.looks([*nine, "td3:target_noise=0", "td3:target_noise=0.1"])
    colours = {name: colour for name, (colour, _) in found.items()}
    assert len({colours[name] for name in nine}) == 9
    assert colours["td3:target_noise=0"] == colours["td3:target_noise=0.1"] == colours["td3"]
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
    chosen = tables.block(runs, {"env-a": reference.Bounds(0, 50, "made up")})
    assert chosen is not None
    scores = tables.score_table(runs)
    look, names = plots.looks(variants), {variant: variant for variant in variants}
    figures = [
        plots.curve_figure(["env-a"], tables.curve_table(runs), scores),
        plots.aggregate_figure(tables.aggregate_table(chosen), look, names),
        plots.improvement_figure(tables.improvement_table(runs)),
    ]
    for figure in figures:
        figure.draw_without_rendering()  # warns where there is no room
        texts = [text for text in figure.findobj(Text) if "candidates=54" in text.get_text()]
        assert texts
        for text in texts:
            assert text.get_text().replace("\n", "") == variants[0]
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width
            assert box.y1 <= figure.bbox.height


# ---- the report


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_has_everything(tmp_path):
    root, out = tmp_path / "first", tmp_path / "out"
    fill(root)
    fake_run(root, [5, 6], environment="env-a", seed=6, state="failed", reason="ValueError: NaN")
    report = write_report(root, out)
    assert sorted(files(out)) == sorted(path.relative_to(out).as_posix() for path in report.files)
    assert {path.name for path in report.files} >= {
        "index.html",
        "report.md",
        "tables.tex",
        "scores.csv",
        "curves.svg",
        "curves-env-a.png",
    }
    page = (out / "report.md").read_text()
    assert "# first" in page
    assert "profile ci (400 steps): 36 of 37 seeds are done" in page
    assert "| env-a | td3 | 25.0 [" in page
    assert "6/7 seeds, 1 failed" in page
    assert "| env-a | td3 | 6 | failed | 200 of 400 | ValueError: NaN |" in page
    assert "| tau | 0.005 | 0.005 | 0.01 |" in page
    assert "**Not complete:** 1 of 6 cells" in page
    assert "Few seeds" not in page
    for link in re.findall(r"\]\(([^)]*)\)", page):
        assert (out / link).is_file()
    assert len(pd.read_csv(out / "tables" / "evaluations.csv")) == len(report.runs.evals) == 36 * 4 + 2
    assert len(report.score_text) == 6


def test_a_report_is_the_same_bytes_again_and_elsewhere(tmp_path):
    root = tmp_path / "here" / "name"
    fill(root, seeds=2)
    fake_run(root, [1, 2], environment="env-a", seed=2, state="running")
    (root / "env-a" / "td3" / "seed-0001" / "run.json").write_text("{")
    write_report(root, root / "report")
    first = files(root / "report")
    write_report(root, root / "report")
    assert files(root / "report") == first
    shutil.copytree(root, tmp_path / "there" / "name")
    write_report(tmp_path / "there" / "name", tmp_path / "out")
    assert files(tmp_path / "out") == first


def test_few_seeds_are_said(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3"], seeds=4)
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "**Few seeds:** 1 of 1 cells have fewer than 5 scored seeds" in page


@pytest.mark.parametrize("returns", [[], [1], [np.nan, np.nan]])
def test_a_single_unfinished_seed_gives_a_report(tmp_path, returns):
    fake_run(tmp_path / "x", returns, state="running")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "0 of 1 seeds are done" in page


def test_damaged_files_are_named_in_the_report(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3"], seeds=2)
    (tmp_path / "x/env-a/td3/seed-0001/evals.csv").write_text("what\n")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "## Files with problems\n\n- `env-a/td3/seed-0001/evals.csv: its columns do not begin with" in page
    assert "1/2 seeds, 1 unreadable" in page


def test_an_empty_folder_is_one_clear_line(tmp_path):
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match=rf"^{re.escape(str(root))}: holds no runs$"):
            write_report(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_that_must_not_be_pooled_write_nothing(tmp_path):
    fake_run(tmp_path / "x", [1], seed=0)
    fake_run(tmp_path / "x", [1], seed=1, tau=0.5)
    with pytest.raises(MixedRuns):
        write_report(tmp_path / "x", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_provenance_names_every_difference(tmp_path):
    for seed, (torch, cpu, started) in enumerate([("2.4", "A", "noon"), ("2.4", "B", "later"), ("2.5", "A", "now")]):
        packages = {"torch": torch, "numpy": "2.0"}
        origin = {"cpu": cpu, "packages": packages, "started": started, "dirty": False, "gpu": None}
        fake_run(tmp_path, [1], seed=seed, provenance=origin)
    assert provenance.line(load(tmp_path).runs) == (
        "All runs: version 0.1.0; dirty false; device cpu; gpu none. Packages: numpy 2.0. "
        "**The runs differ in:** cpu (A, B); packages.torch (2.4, 2.5)."
    )


def test_a_markdown_table_survives_any_text(tmp_path):
    fake_run(tmp_path / "x", [1] * 4, metrics={"valid": 1}, mode="a|b")
    fake_run(tmp_path / "x", [1] * 4, variant="savo", mode="c")
    page = write_report(tmp_path / "x", tmp_path / "out").folder.joinpath("report.md").read_text()
    assert "| mode | c | a\\|b |" in page
    assert EPISODES == 2


# ---- the whole folder


@pytest.fixture
def bounded(monkeypatch):
    """Bounds 0 and 100 for the environments named env-…"""

    def bounds(environment, *_):
        return reference.Bounds(0, 100, "0 is x, 1 is y") if environment["name"].startswith("env-") else None

    monkeypatch.setattr(reference, "bounds", bounds)


def page_of(root, out=None, **options):
    report = write_report(root, out or root.with_name("out"), **options)
    return report, report.folder.joinpath("report.md").read_text()


@pytest.mark.usefixtures("bounded")
def test_all_three_documents_hold_the_same_sections_tables_and_figures(tmp_path):
    fill(tmp_path / "x")
    report, markdown = page_of(tmp_path / "x")
    html, latex = ((report.folder / name).read_text() for name in ("index.html", "tables.tex"))
    titles = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert titles == re.findall(r"<h2 [^>]*>(.*?)</h2>", html)
    assert titles[:3] == ["Answer", "Scores", "Learning curves"]
    assert markdown.count("![") == html.count("<svg") == 2 + 4
    assert html.count("<table") == len(re.findall(r"^\| ---", markdown, re.MULTILINE))
    for name in ("scores", "aggregates", "improvement", "cost", "fields"):
        assert f"tab:{name}" in latex
    assert {path.stem for path in report.files if path.suffix == ".csv"} == {
        *("scores", "curves", "fields", "seeds", "evaluations", "comparisons", "improvement", "aggregates"),
        *("profiles", "aggregate-curves", "efficiency", "metrics", "cost"),
    }
    assert len([path for path in report.files if path.suffix == ".png"]) == 7


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
    block = tables.block(load(tmp_path / "x"), tables.known_bounds(load(tmp_path / "x")))
    assert block is not None
    assert (block.variants, block.environments) == (["savo", "td3"], ["env-a", "env-b"])


@pytest.mark.parametrize(
    ("has", "variants", "tasks"),
    [
        ({"v1": "123ab", "v2": "123ac", "v3": "123bc", "v4": "d"}, "v1 v2 v3", "123"),  # 9 cells; no pair has over 8
        ({"v1": "12345", "v2": "1234", "v3": "5"}, "v1 v2", "1234"),
        ({"v1": "1234", "v2": "12", "v3": "34"}, "v1 v2", "12"),  # of equal ones that with more variants
        ({"v1": "12345678", "v2": "1"}, "v1", "12345678"),
        ({"v1": "12", "v2": "12"}, "v1 v2", "12"),
    ],
)
def test_aggregates_are_over_the_largest_block_without_a_gap(monkeypatch, has, variants, tasks):
    scores = {task: {v: np.ones(1) for v in has if task in has[v]} for task in sorted({*"".join(has.values())})}
    monkeypatch.setattr(tables, "_scores", lambda *_: scores)
    runs = Runs(pd.DataFrame(), pd.DataFrame(), [])
    block = tables.block(runs, {task: reference.Bounds(0, 1, "here") for task in scores})
    assert block is not None
    assert (block.variants, block.environments) == (variants.split(), list(tasks))


def test_the_search_for_a_block_ends_however_many_there_are():
    tasks = range(40)
    lacking_one = [frozenset(str(task) for task in tasks if task != other) for other in tasks]
    assert len(tables._intersections(lacking_one)) < 40 * tables.MOST_BLOCKS


@pytest.mark.usefixtures("bounded")
def test_seeds_that_are_not_done_fade_their_variant_in_the_aggregates(tmp_path):
    fill(tmp_path / "x", ["env-a"], ["td3", "savo"])
    fake_run(tmp_path / "x", [1], environment="env-a", seed=6, state="running")
    report, markdown = page_of(tmp_path / "x", now=1001)
    assert "| 6/7 |" in markdown
    html = (report.folder / "index.html").read_text()
    assert "<tr class=faded><td>td3</td>" in html
    assert html.count("<tr class=faded><td>env-a</td><td>td3</td>") == 2  # in the scores and in the sample efficiency


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


# ---- who leads


def curve(root, variant, scores, environment="env-a"):
    for seed, score in enumerate(scores):
        fake_run(root, [0, score, score, score], environment=environment, variant=variant, seed=seed)


def answers(tmp_path):
    return write_report(tmp_path / "x", tmp_path / "out").answer


def test_a_lead_is_shown_only_where_the_test_shows_it(tmp_path):
    curve(tmp_path / "x", "td3", [10, 11, 12, 13, 14])
    curve(tmp_path / "x", "savo", [90, 91, 92, 93, 94])
    curve(tmp_path / "x", "cem", [70, 80, 90, 100, 110])
    summary, line = answers(tmp_path)
    assert line.startswith("`env-a`: `savo` leads with 92.0 [90.8, 93.2] (n=5); **shown** to be above `td3` (by 80.0")
    assert "; **not shown** to differ from `cem` (by 2.0 [−17" in line
    assert "`savo` leads on 1 of 1 environment" in summary
    assert "No lead over every other variant is shown." in summary
    shutil.rmtree(tmp_path / "x" / "env-a" / "cem")
    assert "(on 1 it is shown to be above every other)" in answers(tmp_path)[0]


def test_no_difference_is_shown_with_fewer_than_five_seeds(tmp_path):
    curve(tmp_path / "x", "td3", [10, 11, 12, 13])
    curve(tmp_path / "x", "savo", [90, 91, 92, 93, 94])
    assert "**not shown** to differ from `td3`" in answers(tmp_path)[1]


def test_many_pairs_are_corrected_for(tmp_path):
    draw = np.random.default_rng(0)
    for name in "abcdefgh":
        curve(tmp_path, f"td3:{name}=1", draw.normal(size=6))
    table = tables.comparison_table(load(tmp_path))
    assert len(table) == 28
    assert (table["p"] >= table["p"].min()).all()
    assert not table["shown"].any()
    assert ((table["low"] > 0) & (table["p"] > 0.05)).any()  # one that looks apart alone


def test_single_seeds_and_lone_variants_are_not_compared(tmp_path):
    curve(tmp_path / "x", "td3", [10])
    curve(tmp_path / "x", "savo", [90, 91])
    curve(tmp_path / "x", "savo", [90, 91], "env-b")
    fake_run(tmp_path / "x", [], environment="env-c", state="failed", reason="boom")
    lines = answers(tmp_path)[1:]
    assert lines[0].endswith("with single seeds nothing can be said of `td3`.")
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


# ---- cost, published scores, warnings, provenance


def test_the_time_of_a_pack_is_shared_among_its_seeds(tmp_path):
    for seed in range(2):
        folder = fake_run(tmp_path / "x", [1] * 4, seed=seed)
        rewrite_status(folder, seconds=7200.0, owner={"pack": [0, 1]}, peak_memory=2e9, action_seconds=0.0012)
    _, markdown = page_of(tmp_path / "x")
    assert "| 1.00 [1.00, 1.00] | cpu | 1 | 2 | 2 | 0.111 | 2000 MB | 1.2 ms | – |" in markdown
    assert "Together: 2 core-hours on `cpu`." in markdown
    assert "were not recorded" not in markdown


def test_what_was_not_measured_is_no_cost(tmp_path):
    rewrite_status(fake_run(tmp_path / "x", [1] * 4), seconds=None)
    assert "No seed that is done recorded its time." in page_of(tmp_path / "x")[1]


PUBLISHED = "td3:preset=published"


def known_task(
    root, id="Hopper-v4", steps=1_000_000, variant=PUBLISHED, profile="paper", preset="published", **keywords
):
    """Two seeds of td3 on a task that others have published scores of, 3000 and 3100 in the only evaluation."""
    for seed in range(2):
        described = spec(environment="hopper", variant=variant, seed=seed, steps=steps, preset=preset)
        described["environment"] |= {"id": id, "keywords": keywords}
        described["budget"]["profile"] = profile
        folder = SeedFolder.of(root, label("hopper", keywords), variant, seed)
        folder.write_run(described, {})
        rows = [(steps, episode, 3000.0 + 100 * seed, 1) for episode in range(EPISODES)]
        append_csv(folder.evals_csv, ["step", "episode", "return", "length"], rows)
        folder.write_status({"state": "done", "step": steps, "steps": steps})


def test_published_scores_stand_beside_ours_with_what_differs_and_no_verdict(tmp_path):
    known_task(tmp_path / "x")
    report, markdown = page_of(tmp_path / "x")
    assert (
        "| hopper | td3:preset=published | final return | 3050 ± 70.7 (n=2) | 3226 (n=10) | – | TD7 paper" in markdown
    )
    assert "| 3391 ± 378 (n=10) | version (v1, ours v4) | sfujim" in markdown
    assert "statistic (training return, ours last-10)" in markdown
    table = pd.read_csv(report.folder / "tables" / "published.csv", keep_default_na=False)
    assert set(table["published"]) == {3391, 3305, 3135, 3472, 3226}  # td3 on Hopper at this budget, nothing else
    assert "no claim to match" in markdown


@pytest.mark.parametrize(
    ("ours", "differs"),
    [
        ({}, ""),
        ({"variant": "td3", "preset": "fair"}, "preset (ours fair)"),
        ({"profile": "quick"}, "profile (ours quick)"),
        ({"variant": f"{PUBLISHED},target_noise=0,hidden=8"}, "fields (ours target_noise=0, hidden=8)"),
        (
            {"variant": "td3:target_noise=0,hidden=8", "profile": "ci", "preset": "fair"},
            "profile (ours ci); preset (ours fair); fields (ours target_noise=0, hidden=8)",
        ),
    ],
)
def test_what_differs_in_the_algorithm_from_a_published_score_is_named(tmp_path, ours, differs):
    known_task(tmp_path, **ours)
    table = tables.published_table(load(tmp_path))
    same = table[table["published"] == 3226]  # the same version and statistic
    assert same["differs"].tolist() == [differs]
    older = table.loc[table["published"] == 3391, "differs"].tolist()
    assert older == ["; ".join(filter(None, ["version (v1, ours v4)", differs]))]


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
    assert "> **One evaluation:** 1 of 1 cells has a single evaluation per seed" in page_of(tmp_path / "x")[1]


def test_no_text_of_a_run_can_break_a_page(tmp_path):
    reason = "<script>alert(`1`)</script> | **x** \x1b[31m\nnext"
    fake_run(tmp_path / "x", [1], state="failed", reason=reason)
    report, markdown = page_of(tmp_path / "x")
    assert (report.folder / "index.html").read_text().count("<script>") == 1
    row = next(line for line in markdown.splitlines() if "alert" in line)
    assert row.count(" | ") == 5  # those between cells; its own is escaped
    assert "&lt;script>" in row
    assert "\x1b" not in markdown


def test_the_same_report_from_other_processes_is_the_same_bytes(tmp_path, run_python):
    fill(tmp_path / "x", ["env-a"], ["td3", "savo"], seeds=3)
    for out in ("one", "two"):
        arguments = f"Path({str(tmp_path / 'x')!r}), Path({str(tmp_path / out)!r})"
        done = run_python(
            f"from pathlib import Path; from savo_bench.results.report import write_report; write_report({arguments})"
        )
        assert done.returncode == 0, done.stderr
    assert files(tmp_path / "one") == files(tmp_path / "two")


def damage(root, rng):
    """Do one bad thing to one file of a tree."""
    path = rng.choice(sorted(path for path in root.rglob("*") if path.is_file()))
    content = path.read_bytes()
    kind = rng.integers(6)
    if kind == 0:
        path.write_bytes(content[: rng.integers(len(content) + 1)])
    elif kind == 1:
        path.write_bytes(rng.bytes(200))
    elif kind == 2:
        path.unlink()
    elif kind == 3:
        path.unlink()
        path.mkdir()
    elif kind == 4:
        path.write_bytes(rng.choice([b"[]", b"{}", b"null", b"", b"\n\n", b"a,b\n1,2\n", content + content]))
    else:
        path.write_bytes(content.replace(b"1", b"nan", int(rng.integers(1, 4))))


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happened_to_a_tree_it_is_reported_and_does_not_pass_a_check_by_it(tmp_path, seed):
    root, rng = tmp_path / "x", np.random.default_rng(seed)
    fill(root, ["env-a"], ["td3", "savo"], seeds=2)
    baseline = regression.baseline_table(load(root))
    for _ in range(rng.integers(1, 4)):
        damage(root, rng)
    report = write_report(root, tmp_path / "out", now=1001)
    assert len(report.runs.runs) == 4  # what is damaged is counted, too
    found = regression.check(load(root, now=1001), baseline)
    whole = (report.scores["n"] == 2).sum()
    assert (found.rows["verdict"] == "not measured").sum() == 2 * (2 - whole)
