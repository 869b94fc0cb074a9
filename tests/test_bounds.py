"""The table of normalisation bounds, and the script that makes it."""

import csv
import importlib
import sys
from itertools import groupby
from pathlib import Path

import pytest

from savo_bench import envs
from savo_bench.results import reference

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "results" / "reference" / "normalisation.csv"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def measure(monkeypatch):
    """`measure("--envs", …)` runs the script in this process."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script = importlib.import_module("bounds")

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bounds.py", *arguments])
        return script.main()

    return run


def test_every_bound_lies_in_its_interval_and_low_ones_lie_below_high_ones():
    rows = read(TABLE)
    assert len({(row["environment"], row["policy"]) for row in rows}) == len(rows)
    for row in rows:
        assert row["source"]
        if row["ci_low"]:  # a published bound may come without
            assert float(row["ci_low"]) <= float(row["mean"]) <= float(row["ci_high"])
    for environment, group in groupby(sorted(rows, key=lambda row: row["environment"]), lambda row: row["environment"]):
        bounds = {row["bound"]: row for row in group if row["bound"]}
        if set(bounds) == {"low", "high"} and bounds["low"]["ci_high"] and bounds["high"]["ci_low"]:
            assert float(bounds["low"]["ci_high"]) < float(bounds["high"]["ci_low"]), environment


@pytest.mark.parametrize("name", envs.names())
def test_every_task_has_both_bounds_in_its_version(name: str):
    if why := envs.get(name).unavailable({}):
        pytest.skip(why)
    identity = envs.get(name).identity({})
    assert reference.bounds(identity) is not None
    assert {row["version"] for row in read(TABLE) if row["environment"] == name} == {reference.version(identity)}


def test_the_script_replaces_its_rows_and_keeps_the_others(measure, tmp_path):
    table = tmp_path / "table.csv"
    header = "environment,version,bound,policy,mean,ci_low,ci_high,episodes,source\n"
    other, old = "adroit-pen,v0,high,expert,3076.8331,,,,a paper\n", "mineworld,v0,low,random,99.0,99.0,99.0,2,before\n"
    table.write_text(header + old + other)
    arguments = ("--envs", "mineworld:layout_seed=0,restricted-inverted-pendulum:balls=5", "--episodes", "3")
    assert measure(*arguments, "--out", str(table)) == 0
    rows = read(table)
    assert [(row["environment"], row["bound"], row["policy"]) for row in rows] == [
        ("mineworld", "low", "random"),
        ("adroit-pen", "high", "expert"),
        ("mineworld", "high", "expert"),
        ("restricted-inverted-pendulum:balls=5", "low", "random"),
    ]
    assert rows[1]["mean"] == "3076.8331"
    assert float(rows[0]["mean"]) < 10 < float(rows[2]["mean"])
    assert rows[0]["source"] == "benchmarks/bounds.py --envs mineworld --episodes 3 --seed 0"
    again = tmp_path / "again.csv"
    measure(*arguments, "--out", str(again))
    assert read(again) == [row for row in rows if row["environment"] != "adroit-pen"]


def test_a_mistake_is_one_line(measure, capsys):
    for arguments, message in (
        (("--envs", "mineworl"), "'mineworl' is unknown: did you mean mineworld?"),
        (("--envs", "mineworld", "--episodes", "1"), "--episodes 1: must be at least 2"),
    ):
        with pytest.raises(SystemExit):
            measure(*arguments)
        assert message in capsys.readouterr().err
