"""`bench compare A B`: what it prints and writes, its exit codes and its errors."""

import re
from pathlib import Path

import pandas as pd
import pytest
from made_up_runs import curve

from savo_bench.bench.errors import MACHINE, NEGATIVE, USAGE
from savo_bench.results import reference
from savo_bench.results.declared import Declaration, declare


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Five seeds each of high, low and same as low, on two tasks, under the name first."""
    monkeypatch.setattr(reference, "bounds", lambda *_: reference.Bounds(0, 100, "here"))
    root = tmp_path / "runs" / "first"
    for environment in ("env-a", "env-b"):
        for variant, level in (("high", 50), ("low", 10), ("same", 10)):
            curve(root, variant, [level + 0.1 * seed for seed in range(5)], environment)
    return root


@pytest.mark.parametrize(
    ("one", "other", "options", "code", "said"),
    [
        ("high", "low", (), 0, "better"),
        ("low", "high", (), NEGATIVE, "worse"),
        ("low", "same", (), 3, "cannot tell (equivalent with a margin above"),
        ("low", "same", ("--margin", ".05"), 5, "equivalent (within ± 0.05 of the range between the bounds)"),
    ],
)
def test_the_exit_code_is_the_answer(bench_here, runs, one, other, options, code, said):
    found, out, _ = bench_here("compare", one, other, "first", "--measure", "final", *options)
    assert found == code
    assert f"{one} against {other}: {said}" in out
    table = pd.read_csv(runs / "compare" / f"{one}_vs_{other}.csv")
    assert table["environment"].tolist() == ["env-a", "env-b", "over tasks"]
    for kind in ("svg", "png", "pdf"):
        assert (runs / "compare" / f"{one}_vs_{other}.{kind}").stat().st_size > 1000


def test_what_was_declared_holds_here_too(bench_here, runs):
    declare(runs, Declaration((("high", "low"), ("high", "same")), "final", 0.1))
    _, out, _ = bench_here("compare", "low", "high", "first")
    assert "Differences of the final return" in out
    assert "declared before the first seed ended, with 1 other comparison, which count in the intervals" in out
    assert (pd.read_csv(runs / "compare" / "low_vs_high.csv")["margin"].iloc[0]) == 10
    _, out, _ = bench_here("compare", "low", "same", "first")
    assert "not declared before the runs" in out


@pytest.mark.usefixtures("runs")
def test_seeds_of_several_names_are_compared(bench_here, tmp_path):
    other = tmp_path / "runs" / "second"
    curve(other, "high", [60, 61, 62], "env-c")
    assert bench_here("compare", "high", "low", "second")[0] == 2
    code, out, _ = bench_here("compare", "high", "low", "second", "first")
    assert code == 0
    assert "env-c: only one of the two has scores" in out
    assert (other / "compare" / "high_vs_low.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("high", "lov", "first"), USAGE, "bench compare: first: 'lov' is unknown: did you mean low?"),
        (("high", "high", "first"), USAGE, "bench compare high high: name two different variants"),
        (("high", "low", "first", "--margin", "0"), USAGE, "--margin 0: must be a share above 0, as .05"),
        (("high", "low", "first", "--measure", "last"), USAGE, "--measure 'last' is unknown"),
        (("high", "low", "first", "--out", "file"), MACHINE, "--out: cannot write to file"),
        (("high", "low", "none"), USAGE, "none"),
    ],
)
@pytest.mark.usefixtures("runs")
def test_a_mistake_is_one_line(bench_here, arguments, code, said):
    Path("file").write_text("a file")
    found, _, error = bench_here("compare", *arguments)
    assert found == code
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.usefixtures("runs")
def test_the_same_runs_give_the_same_files(bench_here):
    bench_here("compare", "high", "low", "first", "--out", "one")
    bench_here("compare", "high", "low", "first", "--out", "two")
    for path in sorted(Path("one").iterdir()):
        assert path.read_bytes() == (Path("two") / path.name).read_bytes()


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.usefixtures("runs")
def test_no_number_and_no_verdict_is_cut(bench_here, monkeypatch, columns):
    wide = bench_here("compare", "high", "low", "first", "--measure", "final")[1]
    numbers = set(re.findall(r"\d+\.\d+", wide))
    monkeypatch.setenv("COLUMNS", str(columns))
    out = bench_here("compare", "high", "low", "first", "--measure", "final")[1]
    assert numbers <= set(re.findall(r"\d+\.\d+", out))
    assert out.count("better") == wide.count("better")
    assert {"env-a", "env-b", "over tasks"} <= set(re.findall(r"env-\w|over tasks", out))
