"""`bench landscape --film` and `bench gap --checkpoints`: what they say of the policies that small trainings kept."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small_runs
from PIL import Image

from savo_bench.algos import maxima
from savo_bench.bench import film, train
from savo_bench.bench.commands.gap import COLUMNS
from savo_bench.results.format import SeedFolder

FIELDS = "hidden=24-17,batch_size=19,warmup_steps=60,lr=0.001"
SAVO = f"{FIELDS},extra_actors=2,summary_hidden=9"
CELLS = {  # each with two policies on the way, but for the last
    "restricted-inverted-pendulum": f"savo:{SAVO}",
    "restricted-hopper": f"ensemble:{FIELDS}",
    "recsim:items=50": f"savo:{SAVO}",
    "hopper": f"td3:{FIELDS}",
}
STEPS = [150, 300, 400]
Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "default"
    for environment, variant in CELLS.items():
        cell = small_runs.cell(variant.partition(":")[0], environment.partition(":")[0])
        train.train_pack(small_runs.pack(root, cell, 0, keep_policies=0 if environment == "hopper" else 2))
    return root


@pytest.fixture
def bench(trained: Path, tmp_path, bench_here: Bench) -> Bench:
    """`bench(...)` is the command on a copy of these runs."""
    shutil.copytree(trained, tmp_path / "runs" / "default")
    return bench_here


def filmed(bench: Bench, environment: str, *arguments: str) -> tuple[int, str, str]:
    return bench("landscape", "--env", environment, "--algo", CELLS[environment], "--film", *arguments)


def folder(environment: str) -> SeedFolder:
    slug = environment.replace(":", "__").replace("=", "-")
    (found,) = Path("runs/default").glob(f"{slug}/*/seed-0000")
    return SeedFolder(found)


@pytest.mark.parametrize("environment", ["restricted-inverted-pendulum", "restricted-hopper", "recsim:items=50"])
def test_a_film_has_a_picture_of_every_policy_and_the_same_bytes_each_time(bench: Bench, environment: str):
    for name in ("one.gif", "other.gif"):
        code, out, err = filmed(bench, environment, "--states", "1", "--out", name)
        assert (code, err) == (0, "")
        assert all(f" {step} " in out for step in STEPS)
        assert name in out
    assert Path("one.gif").read_bytes() == Path("other.gif").read_bytes()
    with Image.open("one.gif") as seen:
        pictures = []
        for number in range(getattr(seen, "n_frames", 1)):
            seen.seek(number)
            pictures.append(np.array(seen.convert("RGB")))
    assert len(pictures) == len(STEPS)  # the last one is shown longer
    assert all((one != other).any() for one, other in itertools.pairwise(pictures))
    assert not folder(environment).landscapes.exists()


def test_without_a_name_a_film_lies_beside_the_policy(bench: Bench, monkeypatch):
    monkeypatch.setattr(film, "suffix", lambda: ".gif")
    code, out, _ = filmed(bench, "restricted-inverted-pendulum", "--state", "0")
    assert code == 0
    path = folder("restricted-inverted-pendulum").path / "landscapes.gif"
    assert str(path) in out
    assert path.stat().st_size


def test_a_film_of_a_run_that_kept_no_policies_is_refused_and_the_option_named(bench: Bench):
    code, out, err = filmed(bench, "hopper")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "seed 0 kept no policies on the way" in err
    assert "bench run --keep-policies N" in err


def test_a_film_of_another_kind_is_refused(bench: Bench):
    code, _, err = filmed(bench, "restricted-hopper", "--out", "a.svg")
    assert (code, err) == (2, "error: --out a.svg: must end in .gif or .mp4\n")


def test_a_damaged_policy_on_the_way_is_named(bench: Bench):
    folder("restricted-hopper").kept_policy(150).write_bytes(b"damaged")
    code, _, err = filmed(bench, "restricted-hopper", "--out", "a.gif")
    assert (code, err.count("\n")) == (74, 1)
    assert "step-000000150.pt: cannot be played" in err
    assert not Path("a.gif").exists()


def test_a_gif_has_the_colours_of_the_picture_that_gives_its_palette(tmp_path):
    first, last = (np.full((16, 16, 3), colour, np.uint8) for colour in ([0, 0, 0], [200, 30, 60]))
    with film.writing(tmp_path / "a.gif", 2.0, palette_of=np.concatenate([first, last])) as add:
        add(first)
        add(last)
    with Image.open(tmp_path / "a.gif") as seen:
        seen.seek(1)
        np.testing.assert_allclose(np.array(seen.convert("RGB")), last, atol=4)


def test_gaps_at_checkpoints_are_those_of_each_policy_in_the_evaluation_after_which_it_was_kept(bench: Bench):
    code, out, err = bench("gap", "--states", "3", "--checkpoints")
    assert (code, err) == (0, "")
    assert "on hopper, seed 0 kept no policies on the way" in out
    found = pd.read_csv("runs/default/gaps.csv")
    assert [*found] == ["environment", "variant", "seed", "step", *COLUMNS]
    for environment in CELLS:
        rows = found[found["environment"] == environment].set_index("step")
        assert [*rows.index] == (STEPS[-1:] if environment == "hopper" else STEPS)
        evals = pd.read_csv(folder(environment).evals_csv).groupby("step")["return"].mean()
        assert rows["return"].to_list() == pytest.approx(evals[rows.index].to_list())
        assert rows["best_gap"].nunique() == len(rows)

    assert bench("gap", "--states", "3")[0] == 0
    final = pd.read_csv("runs/default/gaps.csv")
    assert [*final] == ["environment", "variant", "seed", *COLUMNS]
    last = found[found["step"] == STEPS[-1]].drop(columns="step").reset_index(drop=True)
    pd.testing.assert_frame_equal(final, last)


def test_gaps_at_checkpoints_of_runs_that_kept_none_are_refused_and_the_option_named(bench: Bench):
    code, out, err = bench("gap", "--env", "hopper", "--checkpoints")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no seed kept policies on the way" in err
    assert "bench run --keep-policies N" in err


def test_the_states_of_a_policy_are_searched_once(bench: Bench, monkeypatch):
    searched = []
    search = maxima.of_critic

    def counting(critic, obs, action_dim):
        searched.append(obs.shape[1])
        return search(critic, obs, action_dim)

    monkeypatch.setattr(maxima, "of_critic", counting)
    assert bench("gap", "--env", "restricted-inverted-pendulum", "--states", "2")[0] == 0
    assert searched == [2]
