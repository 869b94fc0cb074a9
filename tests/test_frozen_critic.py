"""The benchmark on frozen critics: Q in torch is Q in numpy, and where the answer is known, it is found."""

import csv
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from savo_bench.algos.agent import Spaces
from savo_bench.bench import controls
from savo_bench.envs.landscape import Landscape, landscape

ROOT = Path(__file__).parent.parent


@pytest.fixture
def script(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("frozen_critic")


@pytest.fixture
def two_peaks(script) -> Any:
    """In one dimension, a lower peak at -.1, in whose basin 0 lies, and the best one at .6; three seeds."""
    frames = np.zeros((2, 2, 1))
    frames[:, 0, 0] = 0.6, -0.1
    critic = script.LandscapeCritic(range(3), dims=1, peaks=2, context_dims=1)
    critic.drawn = [Landscape(frames, np.array([1, 0.8]), 0.1, 10.0)] * 3
    critic.q = script.Landscapes(critic.drawn)
    return critic


def plan(script, **changed: Any) -> Any:
    return script.Plan(**({"seeds": (0, 1, 2), "updates": 120, "fit_updates": 3, "warmup": 70} | changed))


def outcome(script, critic, row, gain: float, **changed: Any) -> dict[str, np.ndarray]:
    """What a row is worth at the end."""
    ((_, entry, config),) = script.variants(row, (gain,), False)
    worth, _ = script.train(row, entry, config, critic, plan(script, **changed))
    return worth[-1]


@pytest.mark.parametrize(
    "keywords", [{"dims": 1}, {"dims": 3, "clustering": 0.8}, {"dims": 150, "peaks": 40, "context_dims": 4}]
)
def test_q_in_torch_is_q_in_numpy(script, keywords: dict[str, Any]):
    drawn = [landscape(**keywords, landscape_seed=seed) for seed in (3, 4)]
    S, B, K = 2, 3, 5
    rng = np.random.default_rng(0)
    obs = rng.uniform(-1, 1, (S, B, drawn[0].frames.shape[1] - 1)).astype(np.float32)
    actions = rng.uniform(-1, 1, (S, B, K, keywords["dims"])).astype(np.float32)
    for s in range(S):
        for b in range(B):
            actions[s, b, 0] = drawn[s].centres(obs[s, b])[0]  # the maximum, where rounding counts most
    q = script.Landscapes(drawn)(torch.from_numpy(obs), torch.from_numpy(actions))
    for s, b, k in np.ndindex(S, B, K):
        assert float(q[s, b, k]) == pytest.approx(drawn[s].value(obs[s, b], actions[s, b, k])[0], abs=1e-3)


def test_a_single_actor_in_the_wrong_basin_stays_there_and_the_best_of_many_finds_the_maximum(script, two_peaks):
    stuck = outcome(script, two_peaks, script.SINGLE, gain=1e-3, updates=200)
    np.testing.assert_allclose(stuck["regret"], 2, atol=0.1)  # 10 - .8 · 10
    assert (stuck["basin"] == 0).all()
    many = script.Row("many", "ensemble:extra_actors=19")
    found = outcome(script, two_peaks, many, gain=2.0, updates=200)
    assert (found["regret"] < 0.5).all()
    assert (found["basin"] > 0.9).all()
    assert (outcome(script, two_peaks, script.Row("cem", "cem"), 1)["basin"] > 0.8).all()


@pytest.mark.parametrize("text", ["savo:extra_actors=1", "savo:surrogate=exact", "savo-sac", "greedy-ac"])
def test_every_kind_of_agent_trains_without_its_critics(script, two_peaks, text: str):
    row = script.Row(text, text, epsilon=0.1 * ("exact" in text), length=0.3)
    ((_, entry, config),) = script.variants(row, (1.0,), False)
    worth, ms = script.train(row, entry, config, two_peaks, plan(script, updates=8))
    assert len(worth) == 4
    assert ms > 0
    assert all(np.isfinite(value).all() for end in worth for value in end.values())
    assert (worth[0]["regret"] != worth[-1]["regret"]).all()


def test_actors_of_the_network_critic_climb_the_network_that_measures_them(script):
    critic = script.NetworkCritic((0, 1), script.fitted(30))
    ((_, entry, config),) = script.variants(script.EQUAL_K, (1.0,), False)
    agent = entry.agent(config, critic.spaces, [np.random.default_rng(seed) for seed in (0, 1)], script.CPU)
    critic.install(agent.critic)
    actions = torch.linspace(-1, 1, 5)[:, None].expand(2, script.CONTEXTS, 5, 1)
    q = script.q_values(agent.critic.first.frozen, critic.contexts, actions).squeeze(1)
    torch.testing.assert_close(critic.values(actions), q)
    assert (critic.maximum >= q.amax(-1) - 1e-6).all()
    worst = outcome(script, critic, script.EQUAL_K, 1.0, seeds=(0, 1), updates=200)
    assert (worst["regret"] < 0.1 * float(critic.span[0])).all()


def test_maxima_and_hills_of_a_curve(script):
    curve = np.array([[3, 2, 1, 2, 5, 4, 4.9, 4, 3, 6]], dtype=float)
    assert script.count_maxima(curve, 0) == 4  # both ends count
    assert script.count_maxima(curve, 0.2) == 3  # a dent of .9 is no valley where the span is 5
    assert script.hills(curve).tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2, 3]]


def test_the_landscape_of_the_network_is_that_of_the_restricted_pendulums(script):
    inside, outside = [0.08, 0.4, 0.99], [0.02, 0.8, 0.93]  # in [0, 1]; tests/test_restricted.py has the intervals
    values = script.restricted_value(torch.zeros(6, 1), 2 * torch.tensor([*inside, *outside])[:, None] - 1).flatten()
    assert values[:3].tolist() == pytest.approx([5.5 * (1 - (u - 0.5) ** 2) for u in inside])
    assert values[3:].tolist() == [0, 0, 0]


def test_a_field_has_variance_1_and_the_given_length(script):
    rngs = [np.random.default_rng(seed) for seed in range(100)]
    field = script.Field(Spaces(2, 10), 0.3, 2, rngs)
    obs, actions = torch.zeros(100, 1, 2), torch.zeros(100, 3, 2, 10)
    actions[:, 1] += 0.3  # one length away in every dimension
    actions[:, 2] += 3
    values = field(obs.expand(-1, 3, -1), actions).flatten(0, 1).numpy()  # (200, 3)
    assert values.shape == (200, 3)
    assert np.std(values[:, 0]) == pytest.approx(1, abs=0.15)
    assert np.corrcoef(values[:, 0], values[:, 1])[0, 1] == pytest.approx(np.exp(-0.5), abs=0.12)
    assert abs(np.corrcoef(values[:, 0], values[:, 2])[0, 1]) < 0.2


def test_starts_and_noises_are_listed_where_they_make_a_difference(script):
    def listed(text: str) -> list[tuple[float | None, str | None]]:
        return [variant[1:] for variant in _variants(script, text)]

    assert listed("savo") == [(1e-3, "constant"), (1e-3, "decayed"), (1, "constant"), (1, "decayed")]
    assert listed("savo:surrogate=exact") == [(1e-3, None), (1, None)]
    assert listed("td3") == [(1e-3, None), (1, None)]
    assert listed("cem") == [(None, None)]


def test_the_ensemble_of_equal_compute_is_that_of_the_controls_for_the_critics_sizes(script, two_peaks):
    row = script.on(script.EQUAL_COMPUTE, two_peaks)
    _, savo = script.resolved(script.SAVO_ROW, 1.0, decayed=False)
    assert row.label == script.EQUAL_COMPUTE.label
    assert row.text == f"ensemble:extra_actors={controls.equal_compute(savo, two_peaks.spaces)}"
    assert script.on(script.SINGLE, two_peaks) == script.SINGLE


def _variants(script, text: str) -> list[tuple[Any, float | None, str | None]]:
    found = [variant for variant, _, _ in script.variants(script.Row(text, text), (1e-3, 1.0), True)]
    return [(variant.row, variant.gain, variant.noise) for variant in found]


def test_the_tables_are_written_and_other_parts_stay(script, monkeypatch, tmp_path, capsys):
    rows = (script.SAVO_ROW, script.SINGLE, script.Row("new", "savo:not_yet=1"))

    def part(plan):
        critic = script.LandscapeCritic(plan.seeds, dims=2, peaks=3)
        yield from ((critic, row, (1.0,), False) for row in rows)

    monkeypatch.setattr(script, "WARMUP", 70)
    monkeypatch.setattr(script, "PARTS", {"first": (part, script.SAVO_ROW), "second": (part, script.SAVO_ROW)})
    for chosen in ("first", "second", "first"):
        arguments = ["--parts", chosen, "--seeds", "2", "--updates", "4", "--out", str(tmp_path / "table")]
        monkeypatch.setattr(sys, "argv", ["frozen_critic.py", *arguments])
        assert script.main() == 1  # a row is missing
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == "left out: savo:not_yet=1: savo has no field 'not_yet'"
    assert "minus savo" in told.out
    written = json.loads((tmp_path / "table.json").read_text())
    assert list(written) == ["first", "second"]
    assert written["first"]["hardware"]["git"]
    savo, single = written["first"]["rows"]
    assert savo["minus savo"] is None
    for value in (single["regret"], single["minus savo"], single["best basin %"]):
        assert value["low"] <= value["mean"] <= value["high"]
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["part"], line["row"], line["seed"]) for line in lines[:4]] == [
        ("second", "savo", "0"),
        ("second", "savo", "1"),
        ("second", "single actor", "0"),
        ("second", "single actor", "1"),
    ]
    regrets = [float(line["regret"]) for line in lines if (line["part"], line["row"]) == ("first", "savo")]
    assert np.mean(regrets) == pytest.approx(savo["regret"]["mean"], abs=1e-5)


def test_tables_for_the_docs_are_made_from_the_file_alone(script, monkeypatch, tmp_path, capsys):
    def row(label: str, gain: float | None, noise: str | None, mean: float) -> dict[str, Any]:
        values = {"mean": mean, "low": mean - 1, "high": mean + 1}
        return {"critic": "network", "label": label, "output_gain": gain, "noise": noise, "regret % of span": values}

    rows = [row("savo", 1e-3, "constant", 7.04), row("savo", 1.0, "constant", 5.0), row("savo", 1.0, "decayed", 99.0)]
    rows.append(row("cem", None, None, 6.5))
    (tmp_path / "x.json").write_text(json.dumps({"network": {"rows": rows}}))
    monkeypatch.setattr(sys, "argv", ["frozen_critic.py", "--tables", "--out", str(tmp_path / "x")])
    assert script.main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "| regret in % of the span | network, gain 0.001 | network, gain 1 |",
        "| --- | ---: | ---: |",
        "| savo | 7.0 [6.0, 8.0] | 5.0 [4.0, 6.0] |",
        "| cem | 6.5 [5.5, 7.5] | 6.5 [5.5, 7.5] |",
    ]


def test_the_docs_hold_the_tables_of_the_committed_data(script):
    reference = ROOT / "results" / "reference" / "benchmarks" / "frozen_critic"
    page = (ROOT / "docs" / "algorithms.md").read_text(encoding="utf-8")
    for table in script.tables(reference).split("\n\n"):
        assert table in page


def test_a_regret_below_zero_is_an_error(script, two_peaks):
    variant = script.Variant(script.SINGLE, 1.0, None)
    for regret, valid in ((0.0, True), (-1e-4, True), (-1.0, False), (np.nan, False)):
        worth = [{"regret": np.array([regret, 1.0, 1.0])}]
        assert script.Outcome(variant, two_peaks, worth, 1.0).valid is valid


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--parts", "network,peak"), "--parts peak: choose from network, landscapes, peaks, actors, errors"),
        (("--seeds", "1"), "--seeds 1: must be at least 2"),
        (("--updates", "3"), "--updates 3: must be at least 4"),
    ],
)
def test_a_mistake_is_one_line(script, monkeypatch, capsys, arguments: tuple[str, ...], message: str):
    monkeypatch.setattr(sys, "argv", ["frozen_critic.py", *arguments])
    with pytest.raises(SystemExit):
        script.main()
    assert message in capsys.readouterr().err
