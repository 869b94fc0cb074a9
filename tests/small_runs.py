"""Small real trainings, and what must be equal in two of them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from savo_bench import algos, envs
from savo_bench.bench import profiles, resolving
from savo_bench.bench.cells import Budget, Cell, Pack
from savo_bench.bench.training.loop import Training
from savo_bench.results.files import read_json
from savo_bench.results.format import SeedFolder

SMALL = {"hidden": (24, 17), "batch_size": 19, "warmup_steps": 60, "lr": 1e-3}  # odd sizes: no register is full
# Every algorithm of the registry, the expensive ones made smaller.
VARIANTS: dict[str, dict[str, Any]] = {name: {} for name in algos.names()} | {
    "savo": {"extra_actors": 2, "summary_hidden": 9},
    "savo-sac": {"extra_actors": 1, "summary_hidden": 9},
    "cem": {"samples": 11},
    "greedy-ac": {"samples": 11},
    "greedy-td3": {"samples": 11, "replay_ratio": 2, "reset_every": 170, "noise_reset": True},
    "wolpertinger": {"dual": True},  # stores proto-actions and, on a catalogue, items
}
KEYWORDS: dict[str, dict[str, Any]] = {"recsim": {"items": 50}}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def cell(algorithm: str, environment: str = "restricted-hopper", steps: int = 400, **fields) -> Cell:
    entry = algos.get(algorithm)
    base = profiles.config_fields(profiles.get("quick"), envs.get(environment), steps)
    config, overrides = resolving.resolve(entry, base, SMALL | VARIANTS[algorithm] | fields)
    keywords, budget = KEYWORDS.get(environment, {}), Budget("quick", steps, 150, 2)
    return Cell(environment, keywords, algorithm, config, overrides, budget)


def pack(root: Path, cell: Cell, *seeds: int, checkpoint_every: float = 1000.0, keep_policies: int = 0) -> Pack:
    return Pack(cell, seeds, root, "cpu", checkpoint_every, "inline", keep_policies=keep_policies)


def status(folder: Path) -> dict[str, Any]:
    """What a seed's status.json says."""
    return read_json(SeedFolder(folder).status_json)


def assert_same_run(one: Path, other: Path) -> None:
    """Two seed folders hold the same scores, networks and training curves, but for the clock."""
    assert (one / "evals.csv").read_bytes() == (other / "evals.csv").read_bytes()
    networks, others = (torch.load(path / "policy.pt") for path in (one, other))
    assert networks.keys() == others.keys()
    for name in networks.keys() - {"spec"}:
        assert torch.equal(networks[name], others[name]), name
    assert without_seconds(one) == without_seconds(other)


def without_seconds(folder: Path) -> list[list[str]]:
    """train.csv without its second column, the clock's."""
    lines = [line.split(",") for line in (folder / "train.csv").read_text().splitlines()]
    assert len(lines) > 10
    return [line[:1] + line[2:] for line in lines]


@pytest.fixture
def stop_at(monkeypatch):
    """Let a stop signal arrive at a step, as if a SIGTERM came in the middle of it."""

    advance = Training.advance

    def arrange(step: int | None) -> None:
        def stopping(self):
            advance(self)
            if self.step == step:
                self.stop.set()

        monkeypatch.setattr(Training, "advance", stopping)

    return arrange
