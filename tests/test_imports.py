"""Files of other programs, read as evaluations."""

import re

import numpy as np
import pytest

from savo_bench.results import imports
from savo_bench.results.imports import NotReadable


def sb3(path, evaluations=3, episodes=2, **arrays):
    """An evaluations.npz as Stable-Baselines3's EvalCallback writes it."""
    steps = 1000 * np.arange(1, evaluations + 1)
    returns = 10.0 * np.arange(evaluations * episodes).reshape(evaluations, episodes)
    usual = {"timesteps": steps, "results": returns, "ep_lengths": np.full(returns.shape, 7)}
    np.savez(path, **(usual | arrays))
    return path


def test_an_npz_of_stable_baselines3(tmp_path):
    read = imports.from_sb3(sb3(tmp_path / "evaluations.npz", successes=np.ones((3, 2), bool)), {})
    frame = read[None]
    assert list(frame) == ["step", "episode", "return", "length", "success"]
    assert frame["step"].tolist() == [1000, 1000, 2000, 2000, 3000, 3000]
    assert frame["episode"].tolist() == [0, 1] * 3
    assert frame["return"].tolist() == [0, 10, 20, 30, 40, 50]
    assert set(frame["length"]) == {7}
    assert set(frame["success"]) == {1}


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"results": np.zeros(3)},
            r"timesteps (3,) and results (3,), where (evaluations,) and (evaluations, episodes)",
        ),
        ({"ep_lengths": np.zeros((3, 5))}, "length has the shape (3, 5), and results (3, 2)"),
        ({"results": np.full((3, 2), np.nan)}, "the return at step 1000 is not finite"),
        ({"timesteps": np.array([0.5, 1, 2])}, "steps must be whole numbers"),
        ({"timesteps": np.zeros(3)}, "the last one above 0"),
        ({"results": np.zeros((0, 2)), "timesteps": np.zeros(0), "ep_lengths": np.zeros((0, 2))}, "no evaluation"),
    ],
)
def test_a_wrong_npz_is_named(tmp_path, arrays, said):
    path = sb3(tmp_path / "evaluations.npz", **arrays)
    with pytest.raises(NotReadable, match=re.escape(said)):
        imports.from_sb3(path, {})


def test_what_is_no_npz_is_refused_and_never_unpickled(tmp_path):
    path = tmp_path / "a.npz"
    path.write_text("text")
    with pytest.raises(NotReadable, match=r"no npz file of numbers"):
        imports.from_sb3(path, {})
    np.savez(path, timesteps=np.array([{}], dtype=object))
    with pytest.raises(NotReadable, match=r"no npz file of numbers"):
        imports.from_sb3(path, {})
    np.savez(path, other=np.zeros(3))
    with pytest.raises(NotReadable, match=r"has no timesteps and no results"):
        imports.from_sb3(path, {})


def test_a_csv_file_of_evaluations_with_other_lines_between_them(tmp_path):
    path = tmp_path / "progress.csv"
    path.write_text("global_step,loss,eval/mean_reward\n200,1.0,\n300,,5.5\n100,,4\n")
    frame = imports.from_csv(path, {})[None]
    assert frame["step"].tolist() == [100, 300]
    assert frame["return"].tolist() == [4, 5.5]
    assert frame["episode"].tolist() == [0, 0]
    assert frame["length"].isna().all()


def test_a_csv_file_of_several_seeds_and_other_names(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("t,seed,score\n10,3,1\n10,4,2\n20,3,3\n")
    read = imports.from_csv(path, {"step": "t", "return": "score"})
    assert {seed: frame["return"].tolist() for seed, frame in read.items()} == {3: [1, 3], 4: [2]}


def test_evaluations_of_unequal_numbers_of_episodes_become_their_means(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("step,episode,return\n10,0,1\n10,1,3\n20,0,7\n")
    frame = imports.from_csv(path, {})[None]
    assert frame[["step", "episode", "return"]].to_numpy().tolist() == [[10, 0, 2], [20, 0, 7]]


@pytest.mark.parametrize(
    ("content", "names", "said"),
    [
        ("a,b\n1,2\n", {}, "say where the step is, as --columns step=NAME; there are: a, b"),
        ("step,b\n1,2\n", {}, "say where the return is"),
        ("step,b\n1,2\n", {"return": "c"}, "has no 'c'; there are: step, b"),
        ("step,return,variant\n1,2,x\n1,2,y\n", {}, "holds more than one variant (x, y)"),
        ("step,return,seed\n1,2,-1\n", {}, "seeds must be whole numbers"),
        ("step,return\n1,x\n", {}, "holds no evaluation"),
        ("", {}, "no CSV file"),
    ],
)
def test_a_wrong_csv_file_is_named(tmp_path, content, names, said):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(NotReadable, match=re.escape(said)):
        imports.from_csv(path, names)


def test_what_has_no_events_is_no_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(NotReadable, match="no event file of TensorBoard"):
        imports.from_tensorboard(tmp_path, {})
