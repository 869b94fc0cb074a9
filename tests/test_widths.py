"""`bench report --width` and `--highlight`."""

import re
from pathlib import Path

import pytest
from made_up_runs import fill

from savo_bench.bench.commands.report import inches
from savo_bench.bench.errors import UserError
from savo_bench.bench.grammar import variants
from savo_bench.results.widths import WIDTHS


def test_a_width_is_a_name_or_a_number_of_inches():
    assert [inches(name) for name in WIDTHS] == list(WIDTHS.values())
    assert inches("4.25") == 4.25


@pytest.mark.parametrize(
    ("text", "said"),
    [("0.5", "--width 0.5: must be from 2 to 20 inches"), ("nan", "--width nan: must be"), ("neurip", "neurips")],
)
def test_another_width_is_one_clear_line(text, said):
    with pytest.raises(UserError, match=re.escape(said)):
        inches(text)


def test_variants_are_named_with_their_fields():
    assert variants("savo,td3:tau=0.01,lr=0.001,savo:hidden=8") == ("savo", "td3:tau=0.01,lr=0.001", "savo:hidden=8")
    assert variants("") == ()


def test_every_figure_of_a_report_has_the_width_that_was_asked_for(bench_here):
    fill(Path("runs/x"), ["env-a", "env-b"], ["td3", "savo"], seeds=2)
    code, _, err = bench_here("report", "x", "--width", "icml-column", "--highlight", "td3")
    assert (code, err) == (0, "")
    figures = sorted(Path("runs/x/report/figures").glob("*.svg"))
    assert len(figures) > 3
    for figure in figures:
        assert f'viewBox="0 0 {3.25 * 72:g} ' in figure.read_text()
        assert b"/MediaBox [ 0 0 234 " in figure.with_suffix(".pdf").read_bytes()
    code, _, err = bench_here("report", "x", "--highlight", "sac")
    assert (code, err) == (2, "error: --highlight: no variant is called sac; there are savo, td3\n")
