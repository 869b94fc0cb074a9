"""`bench cost`: the law of made-up costs, and what the command writes and says of small networks."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import Bench

from savo_bench.bench import spaces
from savo_bench.bench.commands import cost
from savo_bench.results import costs, plots

KNOWN = {"update_flops": (7.0, 5.0, 3.0), "update_ms": (1.0, 2.0, 0.0)}
SMALL = ("--set", "hidden=8-8", "--set", "batch_size=16", "--rounds", "1")


def made_up(counts: tuple[int, ...] = (0, 1, 2, 3, 5), environment: str = "task") -> pd.DataFrame:
    """td3, and a family whose costs are KNOWN for one extra actor and more; without any they are another number."""
    rows = [{"environment": environment, "variant": "td3", "family": "td3", "update_flops": 10.0, "update_ms": 3.0}]
    for k in counts:
        values = {name: a + b * k + c * k * k if k else 99.0 for name, (a, b, c) in KNOWN.items()}
        fields = {"variant": f"savo:extra_actors={k}", "family": "savo", "extra_actors": k}
        rows.append({"environment": environment, **fields, **values})
    return pd.DataFrame(rows, columns=list(costs.COLUMNS))


@pytest.mark.parametrize("column", KNOWN)
def test_the_law_of_costs_that_follow_one_is_found(column: str):
    found = costs.law(made_up(), column)
    assert found is not None
    assert found[:3] == KNOWN[column]
    assert found.residual == pytest.approx(0, abs=1e-9)
    assert found.at(np.array([10.0]))[0] == pytest.approx(sum(v * 10**i for i, v in enumerate(KNOWN[column])))


def test_the_residual_is_the_largest_distance():
    table = made_up((1, 2, 3, 4))
    table.loc[1:, "update_flops"] = [1.0, -3.0, 3.0, -1.0]  # a cubic's part that no parabola takes
    found = costs.law(table, "update_flops")
    assert found is not None
    assert found[:3] == pytest.approx((0, 0, 0), abs=1e-9)
    assert found.residual == pytest.approx(3)


def test_too_few_numbers_of_actors_have_no_law():
    assert costs.law(made_up((0, 1, 2, 3)), "update_flops") is None


def test_a_law_in_words():
    text = "an update takes 2 + 0.5 k - 0.25 k² MFLOPs; largest residual 0.10 MFLOPs"
    assert cost.law_text(costs.Law(2e6, 5e5, -2.5e5, 1e5), 1e6, "MFLOPs") == text


def test_the_figure_has_a_row_of_flops_and_time_for_each_environment():
    figure = costs.cost_figure(pd.concat([made_up(), made_up((0, 1), "other")], ignore_index=True))
    assert figure is not None
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["task", "task", "other", "other"]
    fitted, points, td3 = (np.asarray(line.get_xydata()).T for line in figure.axes[1].lines)
    np.testing.assert_allclose(fitted[1], 1 + 2 * fitted[0])
    assert points.tolist() == [[0, 1, 2, 3, 5], [99, 3, 5, 7, 11]]
    assert set(td3[1]) == {3}


def test_the_same_costs_give_the_same_bytes():
    one, two = (costs.cost_figure(made_up()) for _ in range(2))
    assert one is not None
    assert two is not None
    assert plots.content(one, "svg") == plots.content(two, "svg")


def test_without_two_numbers_of_actors_there_is_no_figure():
    assert costs.cost_figure(made_up((3,))) is None


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces that are known, so that no simulator is loaded."""
    from savo_bench.algos.agent import Spaces

    monkeypatch.setattr(spaces, "_probed", {"restricted-hopper": Spaces(11, 3), "hopper": Spaces(11, 3)})


@pytest.mark.usefixtures("tasks", "arithmetic_as_in_training")
def test_every_algorithm_has_a_row_and_savos_flops_follow_the_law_exactly(bench: Bench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    fields = "hidden=8-8,batch_size=16"
    code, out, err = bench("cost", *SMALL)
    assert (code, err) == (0, "")
    with Path("costs/costs.csv").open() as file:
        read = list(csv.DictReader(file))
    assert read[0]["variant"] == f"td3:{fields}"
    rows = {re.sub(f":{fields}$|{fields},", "", row["variant"]): row for row in read}
    for name in ("td3", "wolpertinger", "cem", "ensemble", "sac", "savo-sac", "greedy-ac", "greedy-td3"):
        assert float(rows[name]["update_ms"]) > 0
        assert int(rows[name]["parameters"]) > 0
    assert [rows[name]["extra_actors"] for name in ("td3", "savo", "savo:extra_actors=20")] == ["", "3.0", "20.0"]
    for column in ("update_flops", "action_flops", "parameters"):
        assert rows["savo:extra_actors=0"][column] == rows["td3"][column]
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("written"))
    assert "k² MFLOPs; largest residual 0.00 MFLOPs" in " ".join(out.split())
    assert {path.suffix for path in Path("costs").iterdir()} == {".csv", ".svg", ".png", ".pdf"}


@pytest.mark.usefixtures("tasks", "arithmetic_as_in_training")
def test_counts_are_the_same_in_another_run_and_td3_stands_beside_what_is_asked_for(bench: Bench):
    for name in ("one", "two"):
        assert bench("cost", "--algos", "savo:extra_actors=1", "--envs", "hopper", *SMALL, "--out", name)[0] == 0
    one, two = (pd.read_csv(Path(name) / "costs.csv") for name in ("one", "two"))
    counted = [name for name in costs.COLUMNS if not name.endswith("_ms")]
    pd.testing.assert_frame_equal(one[counted], two[counted])
    assert list(one["variant"]) == ["td3:hidden=8-8,batch_size=16", "savo:hidden=8-8,batch_size=16,extra_actors=1"]
    assert [path.name for path in Path("one").iterdir()] == ["costs.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--algos", "sav"), "error: algorithm 'sav' is unknown: did you mean savo"),
        (("--set", "lrr=1"), "error: --set lrr=1: none of"),
        (("--rounds", "0"), "error: --rounds 0: must be at least 1"),
        (("--profile", "fast"), "error: --profile 'fast' is unknown"),
    ],
)
def test_a_mistake_is_one_line(bench: Bench, arguments: tuple[str, ...], message: str):
    code, _, err = bench("cost", *arguments)
    assert code == 2
    assert err.startswith(message)
    assert err.count("\n") == 1


@pytest.mark.usefixtures("tasks", "arithmetic_as_in_training")
def test_a_folder_that_cannot_be_made_is_the_machines_fault(bench: Bench):
    Path("file").touch()
    code, _, err = bench("cost", "--algos", "td3", *SMALL, "--out", "file/below")
    assert code == 74
    assert err.startswith("error: cannot write file")
