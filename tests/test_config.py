"""The configs' levels, and the fields that the training loop reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from savo_bench import algos
from savo_bench.algos.config import Config, NoiseConfig, SmoothingConfig
from savo_bench.algos.noise import exploration
from savo_bench.algos.td3 import TD3Config

ROOT = Path(__file__).parent.parent


def levels(kind: type) -> int:
    return 0 if kind is object else 1 + max(map(levels, kind.__bases__))


@pytest.mark.parametrize("name", [entry.name for entry in algos.BUILT_IN])
def test_a_config_is_an_algorithm_made_of_parts_of_one_base(name: str):
    kind = algos.get(name).config
    assert levels(kind) <= 3
    assert issubclass(kind, Config)
    others = {entry.config for entry in algos.BUILT_IN} - {kind}
    assert not others & set(kind.__mro__)  # no algorithm inherits from another


def test_no_algorithm_smooths_in_a_fair_comparison_and_those_that_are_published_so_do_there():
    smooth = {entry.name: entry.config for entry in algos.BUILT_IN if issubclass(entry.config, SmoothingConfig)}
    assert all(config().target_noise == 0 for config in smooth.values())
    published = {name for name, config in smooth.items() if config.PRESETS["published"].get("target_noise")}
    assert published == {"td3", "greedy-td3"}


def test_exploration_noise_is_that_of_the_config():
    config = TD3Config(noise="gaussian", noise_sigma=0.3)
    made = exploration(config, (1, 2), seeds=3)
    assert made.config is config
    assert made.state.shape == (3, 1, 2)


def test_without_exploration_noise_its_process_is_empty():
    assert exploration(algos.get("sac").config(), (1, 2), seeds=3).state.size == 0
    assert exploration(NoiseConfig(), None, seeds=3).state.size == 0


def train(root: Path, environment: str, *variants: str) -> list[dict[str, torch.Tensor]]:
    """The policies of variants, trained for a few steps by the command line."""
    command = [sys.executable, "-m", "savo_bench.bench.cli", "run", "--algos", ",".join(variants)]
    command += ["--envs", environment, "--seeds", "1", "--steps", "120", "--eval-every", "60", "--eval-episodes", "1"]
    command += ["--set", "hidden=8-8", "--on", "inline", "--runs", str(root), "--name", "fields"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [
        next(path.parent.glob("seed-*/policy.pt"))
        for path in sorted((root / "fields").glob("*/*/seed-0000"), key=lambda path: path.parent.name)
    ]
    assert len(found) == len(variants)
    return [{name: value for name, value in torch.load(path).items() if name != "spec"} for path in found]


def all_differ(policies: list[dict[str, torch.Tensor]]) -> bool:
    actors = [policy["actor"].flatten() for policy in policies]
    return all(
        one.shape != other.shape or not torch.equal(one, other) for i, one in enumerate(actors) for other in actors[:i]
    )


def test_every_field_that_the_loop_reads_changes_what_is_learnt(tmp_path):
    base = "td3:warmup_steps=40"
    variants = [
        f"{base},{field}"
        for field in (
            "buffer_size=30",
            "batch_size=99",
            "preset=published",
            "noise_sigma=0.9",
            "noise_decay=output",
            "noise_reset=true",
            "epsilon=0.5",
            "replay_ratio=2",
            "reset_every=70",
        )
    ]
    assert all_differ(train(tmp_path, "restricted-inverted-pendulum", base, *variants, "td3:warmup_steps=60"))


def test_the_search_and_its_probes_change_what_is_learnt(tmp_path):
    pytest.importorskip("faiss")
    base = "td3:warmup_steps=40,search=ivf"
    assert all_differ(train(tmp_path, "recsim:items=26000", "td3:warmup_steps=40", base, f"{base},probes=1"))
