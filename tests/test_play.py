"""`bench play`: which policy it takes, that it shows what the run evaluated, the films, and its one-line errors."""

import importlib.util
import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_runs
import torch
from PIL import Image
from rich.console import Console
from rich.progress import Progress

from savo_bench import algos, envs
from savo_bench.bench import film, profiles, resolving, train
from savo_bench.bench.cells import Budget, Cell
from savo_bench.bench.commands.play import Camera
from savo_bench.bench.errors import UserError
from savo_bench.bench.finished import perform
from savo_bench.envs import simulator
from savo_bench.results.files import read_csv
from savo_bench.results.format import SeedFolder

STEPS = 200
FIELDS = "hidden=8-8,batch_size=8,warmup_steps=150"
TD3 = f"td3:{FIELDS}"
Bench = Callable[..., tuple[int, str, str]]


def cell(algorithm: str, environment: str, keywords: dict[str, Any], **fields: Any) -> Cell:
    entry = algos.get(algorithm)
    base = profiles.config_fields(profiles.get("quick"), envs.get(environment), STEPS)
    written = {"hidden": (8, 8), "batch_size": 8, "warmup_steps": 150} | fields
    config, overrides = resolving.resolve(entry, base, written)
    return Cell(environment, keywords, algorithm, config, overrides, Budget("quick", STEPS, STEPS, 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some runs, done: the folder of their name."""
    root = tmp_path_factory.mktemp("runs") / "default"
    for chosen, seeds in (
        (cell("td3", "mineworld", {}), (2, 5)),
        (cell("cem", "mineworld", {}, samples=8, elites=2), (0,)),  # it draws noise when it is evaluated
        (cell("td3", "mineworld", {"layout_seed": 4}), (0,)),
        (cell("td3", "recsim", {"items": 50}), (0,)),
        (cell("td3", "restricted-hopper", {}), (0,)),
    ):
        train.train_pack(small_runs.pack(root, chosen, *seeds))
    return root


@pytest.fixture
def bench(trained: Path, tmp_path, bench_here: Bench) -> Bench:
    """`bench("play", ...)` in a folder with a copy of these runs."""
    shutil.copytree(trained, tmp_path / "runs" / "default")
    return bench_here


def folder(root: Path, environment: str, algorithm: str, seed: int) -> SeedFolder:
    (found,) = root.glob(f"{environment}/{algorithm}__*/seed-{seed:04d}")
    return SeedFolder(found)


def spec_of(seed: SeedFolder) -> dict[str, Any]:
    run = seed.read_run()
    assert run is not None
    return run["spec"]


@pytest.mark.parametrize(
    ("environment", "algorithm", "seed"),
    [("mineworld", "td3", 5), ("mineworld", "cem", 0), ("recsim__items-50", "td3", 0), ("restricted-hopper", "td3", 0)],
)
def test_it_plays_the_very_episodes_of_the_last_evaluation(trained: Path, environment: str, algorithm: str, seed: int):
    chosen = folder(trained, environment, algorithm, seed)
    takes = perform(chosen, spec_of(chosen), 1)
    recorded = read_csv(chosen.evals_csv)
    recorded = recorded[recorded["step"] == STEPS].to_numpy()
    np.testing.assert_array_equal(np.array([take.row for take in takes]), recorded)
    assert [len(take.actions) for take in takes] == recorded[:, 3].tolist()


def test_a_policy_of_an_earlier_version_without_critics_is_played_alike(trained: Path, tmp_path):
    chosen = folder(trained, "restricted-hopper", "td3", 0)
    shutil.copytree(chosen.path, tmp_path / "old" / "seed-0000")
    old = SeedFolder(tmp_path / "old" / "seed-0000")
    saved = torch.load(old.policy)
    assert "critic" in saved
    torch.save({name: saved[name] for name in ("spec", "actor")}, old.policy)
    (one,), (other,) = ([take.row for take in perform(each, spec_of(chosen), 1)][:1] for each in (chosen, old))
    assert one == other


def test_more_episodes_than_an_evaluation_has_are_those_of_a_larger_one(trained: Path):
    chosen = folder(trained, "mineworld", "td3", 2)
    takes = perform(chosen, spec_of(chosen), 3)
    assert len(takes) == 3
    assert len({take.seed for take in takes}) == 3
    for take in takes:
        env = envs.make("mineworld", evaluation=True)
        env.reset(seed=take.seed)
        rewards = [float(env.step(action)[1]) for action in take.actions]
        assert (sum(rewards), len(rewards)) == (take.row[2], take.row[3])


def test_without_a_seed_it_is_the_lowest_that_is_done(bench: Bench):
    code, out, _ = bench("play", "--env", "mineworld", "--algo", TD3, "--out", "a.gif")
    assert code == 0
    assert f"film of {TD3} on mineworld, seed 2: a.gif (" in out
    assert "the returns are those of the run's last evaluation" in out
    recorded = read_csv(folder(Path("runs/default"), "mineworld", "td3", 2).evals_csv)
    assert f" {recorded['return'][0]:.2f} " in out


def test_a_variant_is_written_as_for_bench_run(bench: Bench):
    reordered = "td3:warmup_steps=150,tau=0.005,batch_size=8,hidden=8-8"  # tau is as it is anyway
    for env in ("mineworld:layout_seed=4", "mineworld:layout_seed=04"):
        code, out, _ = bench("play", "--env", env, "--algo", reordered, "--out", "a.gif")
        assert (code, f"film of {TD3} on mineworld:layout_seed=4, seed 0" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--algo", "td3"], 2, f"td3 on mineworld is not among the cells of runs/default; there are: cem:{FIELDS}"),
        (["--algo", f"{TD3},lr=0.5"], 2, f"; {TD3} on mineworld"),
        (["--env", "hopper"], 2, f"{TD3} on hopper is not among the cells of runs/default; there are: "),
        (["--algo", "savvo"], 2, "algorithm 'savvo' is unknown: did you mean savo"),
        (["--algo", f"{TD3},cem"], 2, "this is about one policy; name one"),
        (["--env", "minewrld"], 2, "did you mean mineworld?"),
        (["--env", "discrete"], 2, "environment 'discrete' is unknown"),
        (["--env", "mineworld:layout_seed=x"], 2, "layout_seed=x: must be a whole number"),
        (["--seed", "9"], 2, f"--seed 9: {TD3} on mineworld has no such seed (done: 2,5)"),
        (["--env", "recsim:items=50"], 2, "--env recsim:items=50: draws no pictures"),
        (["--out", "a.avi"], 2, "--out a.avi: must end in .gif or .mp4"),
        (["--out", "no/a.gif"], 2, "--out no/a.gif: there is no folder no"),
        (["--episodes", "0"], 2, "--episodes 0: must be at least 1"),
        (["--steps", "0"], 2, "--steps 0: must be at least 1"),
        (["--fps", "0"], 2, "--fps 0: must be a number above 0"),
        (["--fps", "nan"], 2, "Invalid value for '--fps': 'nan' must be a number, not nan"),
    ],
)
def test_a_mistake_gets_one_line(bench: Bench, arguments: list[str], code: int, named: str):
    usual = {"--env": "mineworld", "--algo": TD3} | dict(zip(arguments[::2], arguments[1::2], strict=True))
    found, out, err = bench("play", *(word for pair in usual.items() for word in pair))
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert named in err
    assert err.count("\n") == 1
    assert not [*Path().rglob("*.gif"), *Path().rglob("*.mp4")]


def test_what_is_to_be_played_must_be_said(bench: Bench):
    assert "--algo" in bench("play", "--env", "mineworld")[2]
    assert "--env" in bench("play", "--algo", TD3)[2]


def test_an_unfinished_run_is_named_with_its_state(bench: Bench):
    first, second = (folder(Path("runs/default"), "mineworld", "td3", seed) for seed in (2, 5))
    status = first.read_status()
    assert status is not None
    first.write_status({**status, "state": "running", "step": 120, "heartbeat": 0.0})
    code, _, err = bench("play", "--env", "mineworld", "--algo", TD3, "--seed", "2")
    assert (code, err.count("\n")) == (1, 1)
    assert f"--seed 2: {TD3} on mineworld is interrupted at step 120 of {STEPS} (done: 5);" in err
    assert "seed 5: a.gif" in bench("play", "--env", "mineworld", "--algo", TD3, "--out", "a.gif")[1]
    second.status_json.unlink()
    code, _, err = bench("play", "--env", "mineworld", "--algo", TD3)
    assert (code, err.count("\n")) == (1, 1)
    assert "no seed is done (1 interrupted, 1 missing); the same `bench run` resumes it" in err


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "policy.pt: cannot be played: "),
        (lambda path: shutil.copy(path.parent.parent / "seed-0005" / "policy.pt", path), "belongs to another run"),
    ],
)
def test_a_policy_that_cannot_be_played_is_named(bench: Bench, damage: Callable[[Path], Any], reason: str):
    damage(folder(Path("runs/default"), "mineworld", "td3", 2).policy)
    code, _, err = bench("play", "--env", "mineworld", "--algo", TD3, "--seed", "2", "--out", "a.gif")
    assert (code, err.count("\n")) == (74, 1)
    assert reason in err
    assert not Path("a.gif").exists()


def test_returns_that_differ_from_the_run_s_are_said_to_differ(bench: Bench):
    evals = folder(Path("runs/default"), "mineworld", "td3", 2).evals_csv
    header, *lines = evals.read_text().splitlines()
    changed = [",".join([*line.split(",")[:2], "77.5", *line.split(",")[3:]]) for line in lines]
    evals.write_text("\n".join([header, *changed]) + "\n")
    code, out, _ = bench("play", "--env", "mineworld", "--algo", TD3, "--out", "a.gif")
    assert code == 0
    assert "note: the run's last evaluation had 77.5: another machine" in out


def camera(seed: SeedFolder, path: Path, fps: float = 25.0, steps: int | None = None) -> Camera:
    return Camera(spec_of(seed)["environment"], path, fps, steps)


def shoot(camera: Camera, takes: list[Any]) -> None:
    with Progress(console=Console(file=io.StringIO())) as progress:
        camera.film(takes, progress)
    camera.close()


def test_a_gif_shows_every_step_in_the_task_s_own_time(trained: Path, tmp_path):
    chosen = folder(trained, "mineworld", "td3", 2)
    takes = perform(chosen, spec_of(chosen), 1)
    shoot(camera(chosen, tmp_path / "a.gif"), takes[:1])
    env = envs.make("mineworld", evaluation=True, render_mode="rgb_array")
    env.reset(seed=takes[0].seed)
    seen: list[Any] = [env.render()]
    for action in takes[0].actions:
        env.step(action)
        seen.append(env.render())
    shown: list[np.ndarray] = []
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info["loop"] == 0
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            repeats, rest = divmod(image.info["duration"], 100)  # mineworld makes 10 steps per second
            assert rest == 0
            shown += [np.asarray(image.convert("RGB"))] * int(repeats)
    np.testing.assert_array_equal(shown, seen)


def test_a_film_ends_after_so_many_steps_of_each_episode(trained: Path, tmp_path, monkeypatch):
    chosen = folder(trained, "mineworld", "td3", 2)
    takes = perform(chosen, spec_of(chosen), 1)
    drawn = []
    monkeypatch.setattr(Camera, "picture", lambda self: drawn.append(self) or np.zeros((2, 2, 3), np.uint8))
    shoot(camera(chosen, tmp_path / "a.gif", steps=7), takes)
    assert len(drawn) == 1 + 2 * (1 + 7)  # one to see whether there are pictures


@pytest.mark.parametrize(
    ("name", "own", "wanted", "every", "fps"),
    [
        ("a.mp4", 125, 25, 5, 25.0),
        ("a.mp4", 20, 25, 1, 20.0),
        ("a.mp4", 125, 60, 3, 125 / 3),
        ("a.mp4", 125, 200, 1, 125.0),
        ("a.gif", 125, 200, 3, 125 / 3),  # a GIF cannot be faster than 50 pictures per second
        ("a.gif", 10, 0.5, 20, 0.5),
    ],
)
def test_pictures_are_left_out_so_that_time_is_kept(name: str, own: float, wanted: float, every: int, fps: float):
    assert film.pace(Path(name), own, wanted) == (every, pytest.approx(fps))


needs_encoder = pytest.mark.skipif(not importlib.util.find_spec(film.ENCODER), reason="imageio-ffmpeg: not installed")


@needs_encoder
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its reader leaves pipes open
def test_an_mp4_lies_beside_the_policy(bench: Bench):
    import imageio_ffmpeg

    code, out, _ = bench("play", "--env", "mineworld", "--algo", TD3, "--episodes", "2", "--steps", "9")
    path = folder(Path("runs/default"), "mineworld", "td3", 2).path / "film.mp4"
    assert (code, str(path) in out) == (0, True)
    pictures = imageio_ffmpeg.read_frames(str(path))
    about: Any = next(pictures)
    assert (about["size"], about["fps"]) == ((320, 320), 10.0)
    shown = [np.frombuffer(picture, np.uint8).reshape(320, 320, 3) for picture in pictures]
    assert len(shown) == 2 * (1 + 9)
    np.testing.assert_allclose(shown[0][5, 5], (64, 66, 74), atol=8)  # a wall


def test_without_an_encoder_films_are_gifs_and_mp4_says_what_is_missing(bench: Bench, monkeypatch):
    monkeypatch.setattr(film, "ENCODER", "no_such_module")
    assert film.suffix() == ".gif"
    code, _, err = bench("play", "--env", "mineworld", "--algo", TD3, "--out", "a.mp4")
    assert (code, err) == (
        74,
        "error: --out a.mp4: MP4 needs the package imageio-ffmpeg: pip install imageio-ffmpeg, or name a .gif\n",
    )


def test_what_goes_wrong_on_the_way_leaves_no_film(bench: Bench, monkeypatch):
    def stop(_: Camera) -> Any:
        raise KeyboardInterrupt

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    arguments = ("play", "--env", "mineworld", "--algo", TD3, "--out", "a.gif")
    with monkeypatch.context() as patched:
        patched.setattr(Camera, "picture", stop)
        assert bench(*arguments) == (130, "", "error: stopped; no film was written\n")
    monkeypatch.setattr(Image.Image, "save", full)
    assert bench(*arguments) == (74, "", "error: --out a.gif: cannot be written (No space left on device)\n")
    assert not [path for path in Path().iterdir() if path.name != "runs"]


@pytest.fixture
def fresh_encoder() -> Iterator[None]:
    """Nothing is known of the encoder, before the test and after it."""
    film._fault.cache_clear()
    yield
    film._fault.cache_clear()


def program(folder: Path, kind: str) -> str:
    """The path of what is no ffmpeg."""
    lines = {"silent": "exit 0", "talking": "echo ffmpeg version 7; echo ------; echo x", "failing": "exit 1"}
    path = folder / kind
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text(f"#!/bin/sh\n{lines.get(kind, 'exec sleep 600')}\n")
        path.chmod(0o644 if kind == "not executable" else 0o755)
    return str(path)


@needs_encoder
@pytest.mark.usefixtures("fresh_encoder")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio-ffmpeg leaves a pipe to Python
@pytest.mark.parametrize(
    "kind", ["missing", "folder", "not executable", "silent", "talking", "failing", "waiting", "none at all"]
)
def test_an_ffmpeg_that_does_not_work_is_named_before_anything_is_played(bench: Bench, monkeypatch, tmp_path, kind):
    import imageio_ffmpeg

    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(film, "PATIENCE", 0.5)
    named = "MP4 needs an ffmpeg that works (there is none): name one by IMAGEIO_FFMPEG_EXE"
    if kind == "none at all":
        monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", none)
    else:
        path = program(tmp_path, kind)
        monkeypatch.setenv(film.PROGRAM, path)
        named = f"IMAGEIO_FFMPEG_EXE={path} is no ffmpeg that works ("
    with monkeypatch.context() as patched:
        patched.setattr("savo_bench.bench.finished.perform", None)
        code, out, err = bench("play", "--env", "mineworld", "--algo", TD3, "--out", "a.mp4")
    assert (code, out, err.count("\n")) == (74, "", 1)
    assert err.startswith(f"error: --out a.mp4: {named}")
    assert err.endswith("or name a .gif\n")
    code, out, err = bench("play", "--env", "mineworld", "--algo", TD3, "--steps", "2")
    assert (code, "film.gif (" in out, err) == (0, True, "")


@needs_encoder
@pytest.mark.parametrize("error", [RuntimeError("No valid H.264 encoder"), IndexError(), OSError(), ValueError()])
@pytest.mark.parametrize("place", ["write_frames", "count_frames_and_secs"])
def test_whatever_the_encoder_raises_on_the_way_is_one_line(bench: Bench, monkeypatch, error, place):
    import imageio_ffmpeg

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(film, "_lacking", lambda: None)
    monkeypatch.setattr(imageio_ffmpeg, place, fail)
    code, _, err = bench("play", "--env", "mineworld", "--algo", TD3, "--steps", "2", "--out", "a.mp4")
    assert (code, err) == (74, "error: --out a.mp4: cannot be written (the encoder failed)\n")
    assert not [path for path in Path().iterdir() if path.name != "runs"]


@needs_encoder
def test_an_encoder_that_fails_leaves_no_film(bench: Bench, monkeypatch):
    import imageio_ffmpeg

    monkeypatch.setattr(film, "_lacking", lambda: None)
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda _: (3, 0.1))  # as after a disk that was full
    code, _, err = bench("play", "--env", "mineworld", "--algo", TD3, "--out", "a.mp4")
    assert (code, err) == (74, "error: --out a.mp4: cannot be written (the encoder failed)\n")
    assert not [path for path in Path().iterdir() if path.name != "runs"]


def test_an_environment_that_does_not_repeat_itself_is_not_filmed(trained: Path, tmp_path):
    chosen = folder(trained, "mineworld", "td3", 2)
    takes = perform(chosen, spec_of(chosen), 1)
    takes[0].row = [*takes[0].row[:2], takes[0].row[2] + 1, *takes[0].row[3:]]
    with pytest.raises(UserError, match="the same seed and actions give the return"):
        shoot(camera(chosen, tmp_path / "a.gif"), takes[:1])
    assert not [*tmp_path.iterdir()]


def test_without_a_renderer_one_line_says_what_to_install(bench: Bench, monkeypatch):
    def blind(*_: Any) -> Any:
        raise simulator.NoRenderer("no picture; apt install libegl1 libgl1")

    from savo_bench.envs import restricted

    monkeypatch.setattr(restricted, "picture", blind)
    code, _, err = bench("play", "--env", "restricted-hopper", "--algo", TD3)
    assert (code, err) == (74, "error: no picture; apt install libegl1 libgl1\n")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere MuJoCo needs no choice")
@pytest.mark.parametrize(
    ("variables", "there", "chosen"),
    [
        ({}, ("EGL", "OSMesa"), "egl"),
        ({}, ("OSMesa",), "osmesa"),
        ({}, (), None),
        ({"DISPLAY": ":0"}, ("EGL",), None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, ("EGL",), None),
        ({"MUJOCO_GL": "glfw"}, ("EGL",), "glfw"),
    ],
)
def test_a_renderer_is_chosen_where_there_is_no_screen_and_nobody_chose(monkeypatch, variables, there, chosen):
    for name in (simulator.RENDERER, *simulator.SCREENS):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: f"lib{name}.so" if name in there else None)
    simulator.picture(envs.make("mineworld", render_mode="rgb_array").unwrapped)
    assert simulator.os.environ.get(simulator.RENDERER) == chosen


def test_a_mujoco_task_is_filmed_without_a_screen(trained: Path, tmp_path, run_python, monkeypatch):
    for name in (simulator.RENDERER, *simulator.SCREENS):
        monkeypatch.delenv(name, raising=False)
    out = tmp_path / "a.gif"
    arguments = ["--runs", str(trained.parent), "--env", "restricted-hopper", "--algo", TD3, "--out", str(out)]
    arguments = ["bench", "play", *arguments, "--steps", "15"]
    code = f"import sys; sys.argv = {arguments!r}\nfrom savo_bench.bench import cli\ncli.main()"
    result = run_python(code)
    if "no picture with" in result.stderr:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 0, result.stderr
    assert "the returns are those of the run's last evaluation" in result.stdout
    with Image.open(out) as image:
        assert (image.size, getattr(image, "n_frames", 1), image.info["duration"]) == ((480, 480), 1 + 15 // 5, 40)
        first = np.asarray(image.convert("RGB")).astype(int)
        image.seek(3)
        last = np.asarray(image.convert("RGB")).astype(int)
    assert first.std() > 10
    assert (np.abs(first - last) > 50).any()  # it moved


@pytest.mark.parametrize("name", ["restricted-inverted-pendulum", "inverted-double-pendulum"])
def test_the_pendulums_are_seen_by_a_camera_that_stands_still(name: str):
    """Whether the rail is in the picture: half its length is 1, the cart's .15, and the field of view 45 degrees."""
    env: Any = envs.make(name, render_mode="rgb_array").unwrapped
    camera = env.mujoco_renderer.default_cam_config
    assert camera["distance"] * np.tan(np.deg2rad(env.model.vis.global_.fovy / 2)) > 1.15
    assert set(camera["lookat"][:2]) == {0}
