"""Runs in the files of other programs: complete, offline, and never twice."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
from made_up_runs import files
from test_frame import fake_run

from savo_bench.results import exports, imports
from savo_bench.results.files import append_csv


def runs(root):
    for seed in range(2):
        fake_run(root, [1, 2 + seed, 3, 4], metrics={"valid": 0.75}, seed=seed)
    fake_run(root, [], seed=2, state="running")
    return root


def counting(written):
    """A target that keeps what it is given."""

    @contextlib.contextmanager
    def target(_out):
        yield lambda seed, _folder: written.append(seed)

    return target


def test_csv_has_every_evaluation_scalar_and_field(tmp_path):
    done = exports.export(runs(tmp_path / "grid"), tmp_path / "out", "csv")
    assert done.written == 3
    seeds, evaluations, scalars = (
        pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("seeds", "evaluations", "scalars")
    )
    assert seeds["state"].tolist()[:2] == ["done", "done"]
    assert seeds["algorithm.config.hidden"].tolist() == ["64-64"] * 3
    assert evaluations[evaluations["seed"] == 1]["return"].tolist() == [1, 3, 3, 4]
    assert scalars[scalars["seed"] == 0][["step", "scalar", "value"]].to_numpy().tolist()[0] == [100, "q", 0.1]
    before = files(tmp_path / "out")
    exports.export(tmp_path / "grid", tmp_path / "out", "csv")
    assert files(tmp_path / "out") == before


def test_what_a_tracker_is_given(tmp_path, monkeypatch):
    written = []
    monkeypatch.setitem(exports.TARGETS, "wandb", counting(written))
    exports.export(runs(tmp_path / "grid"), tmp_path / "out", "wandb")
    seed = written[0]
    assert (seed.project, seed.name) == ("grid", "restricted-hopper td3 seed 0")
    assert seed.config["environment.name"] == "restricted-hopper"
    assert seed.config["algorithm.config.hidden"] == "64-64"
    step, seconds, scalars = next(iter(seed.scalars()))
    assert (step, seconds) == (100, 0.5)
    assert scalars == {"eval/return": 1, "eval/length": 10, "eval/valid": 0.75, "train/q": 0.1}


def test_exported_again_only_what_has_grown_is_written(tmp_path, monkeypatch):
    written = []
    monkeypatch.setitem(exports.TARGETS, "wandb", counting(written))
    root, out = runs(tmp_path / "grid"), tmp_path / "out"
    assert exports.export(root, out, "wandb").written == 2
    again = exports.export(root, out, "wandb")
    assert (again.written, again.unchanged) == (0, 2)
    append_csv(root / "restricted-hopper/td3/seed-0001/train.csv", ["step", "seconds", "q"], [(450, 3.0, 1.0)])
    again = exports.export(root, out, "wandb")
    assert (again.written, again.unchanged) == (1, 1)
    assert written[-1].key == written[1].key != written[0].key  # so it takes the place of what was there


def test_what_was_stopped_half_way_is_written_again(tmp_path, monkeypatch):
    written = []
    root, out = runs(tmp_path / "grid"), tmp_path / "out"

    @contextlib.contextmanager
    def broken(_out):
        def write(*_):
            raise RuntimeError("no more room\nfor this")

        yield write

    monkeypatch.setitem(exports.TARGETS, "wandb", broken)
    with pytest.raises(exports.PackageFails, match=r"^no more room$"):
        exports.export(root, out, "wandb")
    monkeypatch.setitem(exports.TARGETS, "wandb", counting(written))
    assert exports.export(root, out, "wandb").written == 2


def test_tensorboard_reads_what_was_written_and_it_is_there_once(tmp_path):
    pytest.importorskip("tensorboard")
    root, out = runs(tmp_path / "grid"), tmp_path / "out"
    exports.export(root, out, "tensorboard")
    before = files(out)
    for path in out.rglob(exports.DONE):  # even if nobody knew of the first time
        path.write_text(json.dumps({}))
    exports.export(root, out, "tensorboard")
    assert files(out) == before
    read = imports.from_tensorboard(out / "restricted-hopper/td3/seed-0001", {})[None]
    assert read["step"].tolist() == [100, 200, 300, 400]
    np.testing.assert_allclose(read["return"], [1, 3, 3, 4])
    np.testing.assert_allclose(read["length"], [10, 20, 30, 40])
