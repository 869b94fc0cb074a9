"""Fixtures for all test files; functions that several of them share are in modules of their own."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the suite's processes share few cores

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT, Bench, RunPython


@pytest.fixture(autouse=True)
def denormal_numbers() -> Iterator[None]:
    """Leave the processor as it was: a training in this process makes it take denormal numbers for 0."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def arithmetic_as_in_training() -> Iterator[None]:
    """One thread, and denormal numbers flushed."""
    import torch  # not all that is tested needs it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def run_python() -> RunPython:
    """`run_python(code, *folders)` runs code in a fresh interpreter that also imports from the folders."""

    def run(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, (*folders, ROOT / "src")))
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=600,  # ours: a hang ends; a machine that does much else takes minutes
            check=False,
        )

    return run


@pytest.fixture
def run_without_screen(run_python: RunPython, monkeypatch: pytest.MonkeyPatch) -> RunPython:
    """`run_without_screen(code, renderer)` runs code in a fresh interpreter with this MUJOCO_GL and no screen."""

    def run(code: str, renderer: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setenv("MUJOCO_GL", renderer)
        monkeypatch.delenv("DISPLAY", raising=False)
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        return run_python(code)

    return run


@pytest.fixture(scope="session")
def example_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import from into which the example package was installed."""
    folder = tmp_path_factory.mktemp("example_plugin")
    source, target = folder / "source", folder / "target"
    shutil.copytree(ROOT / "tests" / "example_plugin", source)  # a copy, as building writes into the source
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", target, source], check=True, timeout=120)
    return target


@pytest.fixture
def bench_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """`bench_here(*arguments)` runs the command in this process, in an empty folder."""
    from savo_bench.bench import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def bench(bench_here: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """`bench(*arguments)` runs the command in an empty folder, with a stand-in for the training."""
    import fake_training

    monkeypatch.setitem(sys.modules, "savo_bench.bench.train", fake_training)
    return bench_here


@pytest.fixture
def real_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line with the stand-in's config in the place of TD3's, so that it trains in no time."""
    import fake_training

    from savo_bench import algos
    from savo_bench.algos.td3 import TD3, TD3Config

    def agent(config: Any, *given: Any) -> TD3:
        return TD3(TD3Config(hidden=config.hidden, batch_size=config.batch_size), *given)

    entry = algos.Entry("td3", fake_training.FakeConfig, agent, "a stand-in")
    monkeypatch.setattr(algos, "names", lambda: ["td3"])
    monkeypatch.setattr(algos, "get", lambda _: entry)
    monkeypatch.setattr(fake_training, "spec_of", lambda pack, seed: pack.cell.spec(seed))
