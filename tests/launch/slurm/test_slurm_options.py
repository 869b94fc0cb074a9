"""The options of the SLURM launcher."""

from pathlib import Path
from typing import Any

import pytest

from savo_bench.bench import launch, options
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch.slurm.options import SlurmOptions


@pytest.mark.parametrize(
    ("text", "minutes"), [("30", 30), ("90:30", 91), ("4:00:00", 240), ("2-0", 2_880), ("1-02:03", 1_563), ("0:01", 1)]
)
def test_a_time_is_written_as_for_sbatch(text, minutes):
    assert SlurmOptions(time=text).minutes == minutes


def made(tmp_path: Path, toml: str = "", **given: Any) -> SlurmOptions:
    """What the launcher takes from a file and a command line."""
    path = tmp_path / "grid.toml"
    path.write_text(f'on = "slurm"\n{toml}')
    return launch.create(options.make({"config": path, **given}, launch.options_types())).own


def test_a_table_of_the_config_says_the_same_and_the_command_line_wins(tmp_path):
    toml = """[slurm]
partition = "long"
time = 04:00:00
cpus = 2
setup = ["module load cuda", "ulimit -c 0"]
extra = { exclusive = true, nodelist = "n1" }
array-parallelism = 8
"""
    expected = SlurmOptions(
        partition="short", time="04:00:00", cpus=2, setup=("module load cuda", "ulimit -c 0"),
        extra=(("exclusive", True), ("nodelist", "n1")), array_parallelism=8,
    )  # fmt: skip
    assert made(tmp_path, toml, partition="short") == expected
    assert made(tmp_path, toml, setup=["a"], extra=["--mail-type=END"]).extra == (("mail-type", "END"),)


@pytest.mark.parametrize(
    ("toml", "given", "named"),
    [
        ("[slurm]\npartitoin = 'a'", {}, "did you mean partition"),
        ("[slurm]\ncpus = 'many'", {}, r"slurm\.cpus = 'many': must be a whole number"),
        ("[slurm]\nextra = 'a'", {}, "must be a table"),
        ("slurm = 3", {}, r"written \[slurm\]"),
        ("", {"time": "soon"}, "--time soon: write minutes"),
        ("", {"time": "0"}, "--time 0: must be above 0"),
        ("", {"cpus": 0}, "--cpus 0: must be at least 1"),
        ("", {"extra": ["time=3"]}, "has an option of its own, --time"),
        ("", {"extra": ["job-name=a"]}, "is set by bench"),
        ("", {"extra": ["a b"]}, "write KEY=VALUE"),
        ("workers = 3", {}, "limited by --array-parallelism"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, toml, given, named):
    with pytest.raises(UserError, match=named):
        made(tmp_path, toml, **given)


def test_an_option_of_slurm_without_slurm_is_a_mistake():
    with pytest.raises(UserError, match="--mem: is for --on slurm only"):
        options.make({"on": "local", "mem": "3G"}, launch.options_types())
