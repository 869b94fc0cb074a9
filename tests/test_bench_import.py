"""`bench import` and `bench export` as a user meets them, and the other verbs where a cell is foreign."""

from pathlib import Path

import numpy as np
import pytest
from test_cli import SCORED
from test_imports import sb3

ENV = "restricted-inverted-pendulum"
IMPORT = ("import", "--from", "sb3-npz", "--env", ENV, "--variant", "sb3-td3", "--name", "grid")


@pytest.fixture
def imported(bench):
    """`bench` in a folder with a foreign cell of two seeds."""
    for seed in range(2):
        sb3(f"evaluations{seed}.npz", results=np.full((3, 2), float(seed)))
    code, out, err = bench(*IMPORT, "evaluations0.npz", "evaluations1.npz")
    assert (code, err) == (0, "")
    assert f"foreign-sb3-td3 on {ENV} seed 1: 3 evaluations, 6 episodes" in out
    return bench


def test_every_verb_tells_a_foreign_cell_apart(imported):
    code, out, _ = imported("status", "grid")
    assert code == 0
    assert f"foreign-sb3-td3 on {ENV}: foreign, imported from sb3-npz, 2 seeds" in out
    for verb in (("play", "grid", "--env", ENV), ("landscape", "grid", "--env", ENV), ("gap", "grid")):
        code, _, err = imported(*verb, "--algo", "foreign-sb3-td3")
        assert (code, err.count("\n")) == (1, 1)
        assert "foreign-sb3-td3 is foreign: bench import took its scores from a file, so it has no policy" in err
    code, _, err = imported("check", "grid", "--update", "baseline.csv")
    assert (code, "there are no runs" in err) == (4, True)


@pytest.mark.usefixtures("real_train")
def test_no_run_resumes_or_overwrites_it(imported):
    code, _, err = imported("run", "--algos", "foreign-sb3-td3", "--envs", ENV, "--name", "grid")
    assert (code, "'foreign-sb3-td3' is unknown" in err) == (2, True)
    before = Path(f"runs/grid/{ENV}/foreign-sb3-td3/seed-0000/evals.csv").read_bytes()
    code, out, err = imported("run", *SCORED, "--on", "inline", "--name", "grid", "--compare", "td3/foreign-sb3-td3")
    assert code == 0, err
    assert "declared: td3/foreign-sb3-td3" in out
    assert "not among the cells" not in out
    assert Path(f"runs/grid/{ENV}/foreign-sb3-td3/seed-0000/evals.csv").read_bytes() == before


def test_the_same_command_again_changes_nothing(imported):
    code, out, _ = imported(*IMPORT, "evaluations0.npz", "evaluations1.npz")
    assert (code, out.count("imported before")) == (0, 2)
    code, _, err = imported(*IMPORT, "evaluations1.npz")
    assert (code, "is there, from another file" in err) == (2, True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--from": "npz"}, "--from 'npz' is unknown: did you mean sb3-npz?"),
        ({"--env": "restricted-hoper"}, "did you mean restricted-hopper"),
        ({"--env": "restricted"}, "this is about one environment"),
        ({"--variant": "a b"}, "--variant a b: must be letters, digits"),
        ({"--name": "My Runs"}, "my-runs"),
        ({"--seed": "-1"}, "--seed -1: must be from 0 to 9999"),
        ({"--columns": "score=a"}, "--columns score=a: write WHAT=NAME, where WHAT is one of step, episode, return"),
        ({"--columns": "return=a"}, "has names of its own"),
        ({"FILE": "no.npz"}, "no.npz: is not there"),
    ],
)
def test_a_mistake_gets_one_line(bench, changed, said):
    sb3("a.npz")
    given = {"--from": "sb3-npz", "--env": ENV, "--variant": "x", "--name": "grid"} | changed
    file = given.pop("FILE", "a.npz")
    code, _, err = bench("import", file, *(word for pair in given.items() for word in pair))
    assert (code, err.count("\n")) == (2, 1)
    assert said in err
    assert not Path("runs").exists()


def test_a_kind_whose_package_is_missing_says_what_to_install(imported, monkeypatch):
    for package in ("tensorboard", "wandb", "mlflow", "trackio"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        code, _, err = imported("export", "grid", "--to", package)
        assert (code, f"--to {package} needs {package}" in err, f"'savo-bench[{package}]'" in err) == (2, True, True)


def test_export_writes_into_the_folder_of_the_name(imported):
    code, out, _ = imported("export", "grid")
    assert (code, "written: runs/grid/exports/csv, 2 seeds" in out) == (0, True)
    assert imported("export", "grid", "--to", "xls")[0] == 2
    assert "exports" not in imported("status", "grid")[1]
