"""What a report's process inherits changes no byte of the report: variables, settings of matplotlib, the hash seed."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from commands import ROOT
from made_up_runs import files, fill, write_report


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all runs with some under the name a."""
    folder = tmp_path_factory.mktemp("runs")
    fill(folder / "a", environments=("env-a",), seeds=3)
    return folder


@pytest.fixture(scope="module")
def plain(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The report of a process that inherits next to nothing."""
    return report(runs, tmp_path_factory.mktemp("plain"), {})


def report(runs: Path, folder: Path, variables: dict[str, str]) -> dict[str, bytes]:
    needed = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    needed["HOME"] = str(runs)  # where matplotlib keeps its list of fonts, which takes a while to make
    done = subprocess.run(
        [sys.executable, "-m", "savo_bench.bench.cli", "report", "a", f"--runs={runs}", "--out=out"],
        env=needed | variables, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\x1b[?25l" not in done.stdout  # no live display
    return files(folder / "out")


@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "PYTHONHASHSEED": "7", "COLUMNS": "0"},
        {"MPLBACKEND": "no such backend", "MPLCONFIGDIR": "/proc/none", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "0"},
        {
            "MATPLOTLIBRC": "matplotlibrc",
            "LC_ALL": "C",
            "PYTHONIOENCODING": "ascii",
            "FORCE_COLOR": "1",
            "PYTHONUTF8": "0",
        },
        {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PANDAS_FUTURE_INFER_STRING": "0", "TERM": "dumb"},
    ],
    ids=lambda variables: "-".join(variables),
)
def test_no_variable_changes_a_byte_of_a_report(runs, plain, tmp_path, variables):
    (tmp_path / "matplotlibrc").write_text("backend: tkagg\naxes.facecolor: red\ntext.usetex: True\nsvg.hashsalt: a\n")
    found = report(runs, tmp_path, variables)
    assert {name for name in plain | found if plain.get(name) != found.get(name)} == set()


def test_no_setting_of_a_notebook_changes_a_byte_of_a_report(runs, plain, tmp_path):
    with matplotlib.rc_context({"axes.facecolor": "red", "text.usetex": True, "savefig.dpi": 30, "lines.linewidth": 9}):
        write_report(runs / "a", tmp_path / "out")
    assert {name for name, content in files(tmp_path / "out").items() if plain[name] != content} == set()
