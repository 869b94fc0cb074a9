"""What benchmarks/q_gap.py says of surrogates whose errors are known, and of policies without critics."""

import importlib
from pathlib import Path

import pytest
import torch
from small_agents import UNUSED, make_linear, set_critics, tiny
from test_frame import spec

from savo_bench.results.format import SeedFolder

ROOT = Path(__file__).parent.parent


@pytest.fixture
def q_gap(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("q_gap")


@pytest.mark.parametrize(("slope", "offset", "expected"), [(4, 0, 0), (4, 100, 0), (8, 0, 0.5 / 3**0.5)])
def test_an_error_of_the_states_value_is_none(q_gap, slope: float, offset: float, expected: float):
    """Q is 4 a, of span 8; the error of a wrong slope, 4 a, is uniform over half the span round 0."""
    made = tiny("savo", extra_actors=1)
    set_critics(made, online=((4, 0), (4, 0)), targets=UNUSED)
    make_linear(made.agent.surrogates.extra, (slope, offset))
    proposals = torch.tensor([-1.0, 0.5]).view(1, 1, 2, 1).expand(1, 3, 2, 1)  # the first is the lowest: no truncation
    ((index, error),) = q_gap.surrogate_errors(made.agent, torch.zeros(1, 3, 1), proposals)
    assert index == 1
    assert error == pytest.approx(expected, abs=0.01)


def test_a_policy_without_critics_is_refused_in_one_line(q_gap, tmp_path):
    described = spec()
    folder = SeedFolder.of(tmp_path, "restricted-hopper", "td3", 0)
    folder.write_run(described, {})
    torch.save({"spec": described, "actor": torch.zeros(1, 8)}, folder.policy)
    with pytest.raises(SystemExit, match=r"policy\.pt: holds no critics; an earlier version saved it"):
        q_gap.load(folder)
