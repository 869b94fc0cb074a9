"""What the tests of launchers share."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_training
import pytest

TESTS = Path(__file__).parent.parent

# A grid in a process of its own, for signals.
DRIVER = """
    import sys
    sys.path[:0] = [{path!r}, {tests!r}, {source!r}]
    import fake_training
    fake_training.install()
    from pathlib import Path
    from small_grids import cell_of, grid_of
    from savo_bench.bench import launch, show
    from savo_bench.bench.commands import run as verb
    from savo_bench.bench.launch import attached
    attached.WAIT = 0.2
    fake_training.estimate_nothing()
    made = grid_of(Path({root!r}), cell_of({config}), {options})
    sys.exit(verb.run(made, launch.create(made.options), show.console()))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a name, with a path on which workers find the stand-in."""
    patch = tmp_path / "path"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(fake_training.SITECUSTOMIZE)
    monkeypatch.syspath_prepend(TESTS)
    monkeypatch.syspath_prepend(patch)
    monkeypatch.setitem(sys.modules, "savo_bench.bench.train", fake_training)
    fake_training.estimate_nothing(monkeypatch.setattr)
    return tmp_path / "runs" / "name"


@pytest.fixture
def drive(root: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`drive(config, options)` starts a grid of one cell in a process group of its own, as a shell would."""
    started = []

    def start(config: str, options: str = "seeds=2") -> subprocess.Popen[str]:
        code = textwrap.dedent(DRIVER).format(
            path=str(tmp_path / "path"), tests=str(TESTS), source=str(TESTS.parent / "src"), root=str(root),
            config=config, options=options,
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
