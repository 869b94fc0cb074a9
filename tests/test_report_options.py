"""`bench report` with options for authors, on the command line and in a file."""

from pathlib import Path

import pytest
from commands import Bench
from made_up_runs import fill

FILE = """
title = "From a file"
variants = ["td3", "savo"]
summary = "final"
[labels]
savo = "ours"
td3 = "theirs"
[colours]
savo = "teal"
"""


def test_the_command_line_wins_over_the_file(bench: Bench):
    fill(Path("runs/a"), ["env-a", "env-b"], ["savo", "td3", "sac"], seeds=2)
    Path("style.toml").write_text(FILE)
    code, out, err = bench(
        "report", "a", "--config", "style.toml", "--label", "savo=SAVO", "--envs", "*-b", "--title", "Typed"
    )
    assert (code, err) == (0, "")
    page = Path("runs/a/report/report.md").read_text()
    assert page.startswith("# Typed\n")
    assert "env-a" not in page
    assert "final return" in out
    assert out.index("theirs") < out.index("SAVO")
    assert "ours" not in out
    assert "sac" not in out
    assert "#008080" in Path("runs/a/report/figures/curves.svg").read_text()


def test_several_names_need_a_place_and_are_pooled(bench: Bench):
    fill(Path("runs/a"), ["env-a"], ["savo"], seeds=2)
    fill(Path("runs/b"), ["env-a"], ["td3"], seeds=2)
    code, _, err = bench("report", "a", "b")
    assert code == 2
    assert err == "error: bench report: say with --out where a report of several names goes\n"
    code, out, _ = bench("report", "a", "b", "--out", "both")
    assert code == 0
    assert "savo" in out
    assert "td3" in out
    assert Path("both/report.md").read_text().startswith("# a and b\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('lables = "x"', "--config f.toml: key 'lables' is unknown: did you mean labels"),
        ("[labels]\nsac = 'S'", "labels: 'sac' is none of these runs': there are env-a, savo, td3"),
        ("[labels]\nsavo = 3", "--config f.toml: labels: savo = 3: must be text that is not empty"),
        ("[colours]\ntd3 = 'bluish'", "colours: td3 = 'bluish' is no colour: write one as #0072B2 or teal"),
        ("variants = ['cem']", "variants: 'cem' is none of these runs': "),
        ("title = [1]", "--config f.toml: title = [1]: must be text"),
    ],
)
def test_what_a_file_has_wrong_is_one_line(bench: Bench, text, message):
    fill(Path("runs/a"), ["env-a"], ["savo", "td3"], seeds=1)
    Path("f.toml").write_text(text)
    code, _, err = bench("report", "a", "--config", "f.toml")
    assert code == 2
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("option", ["--label", "--colour"])
def test_an_option_without_its_two_sides_is_one_line(bench: Bench, option):
    fill(Path("runs/a"), ["env-a"], ["savo"], seeds=1)
    code, _, err = bench("report", "a", option, "savo")
    assert (code, err) == (2, f"error: {option} savo: write VARIANT=TEXT, as savo=SAVO; the last = divides\n")
