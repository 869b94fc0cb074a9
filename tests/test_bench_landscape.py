"""`bench landscape` and `bench gap`: what they say of small trained policies, and their one-line errors."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_runs
import torch

from savo_bench.bench import cli, train
from savo_bench.bench.commands.landscape import Plane
from savo_bench.bench.finished import perform
from savo_bench.results import gaps, landscapes
from savo_bench.results.format import SeedFolder
from savo_bench.results.report import write_report

FIELDS = "hidden=24-17,batch_size=19,warmup_steps=60"
Bench = Callable[..., tuple[int, str, str]]
CELLS = {
    "restricted-inverted-pendulum": f"savo:{FIELDS},extra_actors=2,summary_hidden=9",
    "restricted-hopper": f"ensemble:{FIELDS}",
    "recsim:items=50": f"savo:{FIELDS},extra_actors=2,summary_hidden=9",
    "hopper": f"sac:{FIELDS}",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "default"
    for environment, variant in CELLS.items():
        cell = small_runs.cell(variant.partition(":")[0], environment.partition(":")[0], steps=150)
        train.train_pack(small_runs.pack(root, cell, 0))
    return root


@pytest.fixture
def bench(trained: Path, tmp_path, bench_here: Bench) -> Bench:
    """`bench(environment, ...)` is `bench landscape`, and `bench("gap", ...)` the other, on a copy of these runs."""
    shutil.copytree(trained, tmp_path / "runs" / "default")

    def run(environment: str, *arguments: str) -> tuple[int, str, str]:
        words = ["gap"]
        if environment != "gap":
            words = ["landscape", "--env", environment, "--algo", CELLS[environment] + ",lr=0.001"]
        return bench_here(*words, *arguments)

    return run


def folder(environment: str) -> SeedFolder:
    slug = environment.replace(":", "__").replace("=", "-")
    (found,) = Path("runs/default").glob(f"{slug}/*/seed-0000")
    return SeedFolder(found)


def steps(environment: str) -> int:
    """How many steps the last evaluation had."""
    run = folder(environment).read_run()
    assert run is not None
    return sum(len(take.actions) for take in perform(folder(environment), run["spec"], 1))


@pytest.mark.parametrize(
    ("environment", "kind", "surrogates"),
    [("restricted-inverted-pendulum", "line", 2), ("restricted-hopper", "plane", 0), ("recsim:items=50", "items", 3)],
)
def test_it_draws_what_the_networks_give(bench: Bench, environment: str, kind: str, surrogates: int):
    code, out, err = bench(environment, "--states", "2")
    assert (code, err) == (0, "")
    assert all((folder(environment).path / f"landscapes.{suffix}").stat().st_size for suffix in ("svg", "png", "json"))
    found = landscapes.read(folder(environment))
    assert len(found) == 2
    for each in found:
        assert f" {each.state} " in out
        assert each.kind == kind
        assert len(each.surrogates) == surrogates
        assert each.valid.size == (each.q.size if environment.startswith("restricted") else 0)
        assert each.highest.q >= max(np.nanmax(each.q), *(point.q for point in each.proposals)) - 1e-5
        assert each.proposals[each.chosen].q == max(point.q for point in each.proposals)
        for point in each.proposals:  # the curve goes through them
            if kind == "line":
                assert np.interp(point.x, each.x, each.q) == pytest.approx(point.q, abs=0.02 * each.span + 1e-5)
            if kind == "items":
                assert each.q[int(point.x)] == pytest.approx(point.q, rel=1e-4)
        if kind == "items":
            assert np.all(np.diff(each.q) <= 0)
            assert len(each.q) == 50


@pytest.mark.parametrize(
    ("algorithm", "fields", "columns", "proposals"),
    [
        ("td3", {"refine": 2, "best_of": 2}, [], 4),
        ("ensemble", {"argmax": "target"}, ["independent_gap", "first_return"], 4),
        *(
            ("savo", {"surrogate": "exact", "truncation": False, **more}, ["independent_gap", "first_return"], 3)
            for more in ({}, {"conditioning": "concat"}, {"conditioning": "none"})
        ),
    ],
)
def test_both_work_for_variants_without_surrogates(
    tmp_path, monkeypatch, capsys, algorithm: str, fields: dict, columns: list[str], proposals: int
):
    cell = small_runs.cell(algorithm, "restricted-inverted-pendulum", steps=150, **fields)
    train.train_pack(small_runs.pack(tmp_path / "runs" / "default", cell, 0))
    monkeypatch.chdir(tmp_path)
    for words in (["gap"], ["landscape", "--env", cell.environment, "--algo", cell.variant]):
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code or 0, capsys.readouterr().err) == (0, "")
    row = pd.read_csv("runs/default/gaps.csv").iloc[0]
    optional = ("learnt_gap", "exact_gap", "independent_gap", "surrogate_error", "first_return")
    assert [name for name in optional if pd.notna(row[name])] == columns
    for each in landscapes.read(folder(cell.environment)):
        q = [point.q for point in each.proposals]
        assert len(q) == proposals
        assert not each.surrogates
        assert each.chosen == (0 if "argmax" in fields else q.index(max(q)))
    if "argmax" in fields:
        assert row["return"] == row["first_return"]


def test_twice_the_same_bytes_and_a_copied_run_works(bench: Bench, tmp_path):
    environment = "restricted-inverted-pendulum"
    bench(environment)
    (path,) = (tmp_path / "runs").rglob("landscapes.json")
    first = path.read_bytes(), path.with_suffix(".svg").read_bytes()
    (tmp_path / "runs").rename(tmp_path / "copied")
    assert bench(environment, "--runs", "copied")[0] == 0
    (path,) = (tmp_path / "copied").rglob("landscapes.json")
    assert (path.read_bytes(), path.with_suffix(".svg").read_bytes()) == first


def test_states_are_chosen_by_number_and_by_gap(bench: Bench):
    environment = "restricted-hopper"
    assert bench(environment, "--state", "3,1")[0] == 0
    assert [each.state for each in landscapes.read(folder(environment))] == [3, 1]
    bench(environment, "--states", "10000")
    every = landscapes.read(folder(environment))
    assert [each.state for each in every] == list(range(steps(environment)))
    code, _, err = bench(environment, "--state", "gap", "--states", "2")
    assert (code, err) == (0, "")
    largest = {each.state for each in landscapes.read(folder(environment))}
    ordered = sorted(every, key=lambda each: -each.gap(each.chosen))
    assert largest == {each.state for each in ordered[:2]}


def test_two_dimensions_can_be_chosen(bench: Bench):
    assert bench("restricted-hopper", "--dims", "2,0", "--states", "1", "--out", "a.pdf")[0] == 0
    (found,) = landscapes.read(folder("restricted-hopper"))
    assert found.axes == ("action 2", "action 0")
    assert (found.x[0], found.y[-1]) == (-1, 1)
    assert not np.isnan(found.q).any()
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")
    assert not (folder("restricted-hopper").path / "landscapes.svg").exists()


@pytest.mark.parametrize(
    ("environment", "arguments", "named"),
    [
        ("restricted-hopper", ["--state", "last"], "--state last: must be gap, or whole numbers such as 0,250"),
        ("restricted-hopper", ["--state", "-1"], "--state -1: the last evaluation has the steps 0 to "),
        ("restricted-hopper", ["--states", "0"], "--states 0: must be at least 1"),
        ("restricted-hopper", ["--dims", "0"], "--dims 0: must be two dimensions, such as 0,1"),
        ("restricted-hopper", ["--dims", "0,3"], "--dims 0,3: must be two different dimensions from 0 to 2"),
        ("restricted-hopper", ["--out", "a.jpg"], "--out a.jpg: must end in .svg or .png or .pdf"),
        ("restricted-hopper", ["--out", "no/a.svg"], "--out no/a.svg: there is no folder no"),
        ("restricted-inverted-pendulum", ["--dims", "0,1"], "has no meaning where actions are one dimension"),
        ("recsim:items=50", ["--dims", "0,1"], "has no meaning where actions are items"),
    ],
)
def test_a_mistake_gets_one_line(bench: Bench, environment: str, arguments: list[str], named: str):
    code, out, err = bench(environment, *arguments)
    assert (code, out) == (2, "")
    assert named in err
    assert err.count("\n") == 1


def test_a_policy_without_critics_is_refused(bench: Bench):
    seed = folder("hopper")
    saved = torch.load(seed.policy)
    torch.save({name: saved[name] for name in ("spec", "actor")}, seed.policy)
    code, _, err = bench("hopper")
    assert code == 74
    assert "policy.pt: cannot be played: it holds no critics" in err


def test_a_plane_goes_through_its_points():
    rng = np.random.default_rng(0)
    origin, one, other = rng.uniform(-1, 1, (3, 5))
    plane = Plane.through(origin, [origin, one, other])
    assert plane.place(origin) == (0, 0, True)
    assert all(plane.place(point)[2] for point in (one, other))
    assert plane.place(one)[:2] == pytest.approx((np.linalg.norm(one - origin), 0))
    assert not plane.place(rng.uniform(-1, 1, 5))[2]
    np.testing.assert_allclose(plane.sides @ plane.sides.T, np.eye(2), atol=1e-12)


def test_where_all_proposals_are_one_the_plane_goes_through_the_middle_of_the_box():
    corner = np.ones(3)
    plane = Plane.through(corner, [corner, corner])
    assert plane.place(np.zeros(3))[2]
    assert Plane.through(np.zeros(3), []).place(np.array([0.3, -0.2, 0]))[2]


def gap_rows() -> pd.DataFrame:
    return pd.read_csv("runs/default/gaps.csv").set_index("environment")


def test_gaps_are_those_of_the_landscapes_and_returns_those_of_the_last_evaluation(bench: Bench):
    code, out, err = bench("gap", "--states", "4")
    assert (code, err) == (0, "")
    rows = gap_rows()
    assert sorted(rows.index) == sorted(CELLS)
    for environment, row in rows.iterrows():
        assert row["variant"] in out
        environment = str(environment)
        evals = pd.read_csv(folder(environment).evals_csv)
        assert row["return"] == pytest.approx(evals.loc[evals["step"] == evals["step"].max(), "return"].mean())
        bench(environment, "--states", "4")
        found = landscapes.read(folder(environment))
        assert row["first_gap"] == pytest.approx(np.mean([each.gap(0) for each in found]), abs=1e-3)
        assert row["best_gap"] == pytest.approx(np.mean([each.gap(each.chosen) for each in found]), abs=1e-3)
        if environment != "recsim:items=50":
            assert row["maxima"] == np.mean([each.maxima.number for each in found if each.maxima])
        for name in ("exact_maxima", "learnt_maxima"):
            counts = [getattr(one, name) for each in found for one in each.surrogates]
            counts = [count.number for count in counts if count is not None]
            assert row[name] == pytest.approx(np.mean(counts)) if counts else np.isnan(row[name])


def test_what_a_variant_does_not_have_is_left_empty(bench: Bench):
    bench("gap", "--states", "2")
    filled = {environment: set(row.dropna().index) for environment, row in gap_rows().iterrows()}
    several = {"independent_gap", "first_return"}
    surrogates = {"learnt_gap", "exact_gap", "surrogate_error", "exact_maxima", "learnt_maxima"}
    assert filled["restricted-inverted-pendulum"] >= several | surrogates
    assert filled["restricted-hopper"] & (several | surrogates) == several
    assert filled["recsim:items=50"] & (several | surrogates) == {"first_return"}
    assert filled["hopper"] & (several | surrogates) == set()


def test_a_report_shows_what_was_measured(bench: Bench, tmp_path):
    bench("gap", "--states", "2")
    write_report(Path("runs/default"), tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text()
    shown = pd.read_csv(tmp_path / "report" / "tables" / "policy-gaps-of-seeds.csv")
    assert sorted(shown["environment"]) == sorted(CELLS)
    measured = pd.read_csv("runs/default/gaps.csv")[list(shown.columns)]
    names = pd.read_csv(tmp_path / "report" / "tables" / "variants.csv").set_index("run.json")["variant"]
    measured["variant"] = measured["variant"].map(names)
    assert set(gaps.OF_POLICIES) == set(measured.columns) - {"environment", "variant", "seed"}
    pd.testing.assert_frame_equal(
        shown.sort_values("environment", ignore_index=True), measured.sort_values("environment", ignore_index=True)
    )
    assert "of another training" not in page


def test_gaps_of_some_cells_go_where_they_are_wanted(bench: Bench):
    code, out, _ = bench("gap", "--env", "hopper", "--states", "2", "--out", "a.csv")
    assert (code, len(pd.read_csv("a.csv")), "a.csv" in out) == (0, 1, True)


def test_a_policy_that_cannot_be_measured_is_named_and_the_others_are_measured(bench: Bench):
    seed = folder("hopper")
    saved = torch.load(seed.policy)
    torch.save({name: saved[name] for name in ("spec", "actor")}, seed.policy)
    code, out, _ = bench("gap", "--states", "2")
    assert (code, len(gap_rows())) == (0, 3)
    assert "on hopper, seed 0 is left out" in out
    assert bench("gap", "--env", "hopper")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--states", "0"], "--states 0: must be at least 1"),
        (["--env", "walker"], "--env walker: is not among the cells of"),
        (["--algo", "sac"], "--algo sac: is not among the cells of"),
    ],
)
def test_a_mistake_about_gaps_gets_one_line(bench: Bench, arguments: list[str], named: str):
    code, out, err = bench("gap", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err
