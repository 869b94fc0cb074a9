"""What was audited stays: with the settings of that time, every algorithm learns bit for bit what it learnt then.

tests/unchanged/*.json were made by commit 26e6690, before the defaults of initialisation and noise changed, with
`output_gain=1` and noise that does not decay; a file's name is how the processor computes. On other processors the last
digits differ, and the test is skipped.
"""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from small_runs import cell, pack

from savo_bench import algos
from savo_bench.bench import train
from savo_bench.bench.processor import arithmetic

STORED = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parent / "unchanged").glob("*.json")}
FIELDS = {
    "output_gain": 1.0,
    "noise_decay_steps": 0,
    "target_noise": 0.1,
    "replay_ratio": 1,
    "reset_every": 0,
    "noise_reset": False,
}
ACTORS = ("actor", "followers")


def digests(folder: Path) -> list[str]:
    """Of the evaluations and of the actors of one seed."""
    networks = torch.load(folder / "policy.pt")
    actors = b"".join(networks[name].numpy().tobytes() for name in ACTORS if name in networks)
    return [hashlib.sha256(data).hexdigest()[:12] for data in ((folder / "evals.csv").read_bytes(), actors)]


@pytest.mark.laws
@pytest.mark.parametrize("environment", ["restricted-hopper", "recsim"])
@pytest.mark.parametrize("name", [entry.name for entry in algos.BUILT_IN])
def test_what_was_audited_is_learnt_bit_for_bit(tmp_path: Path, name: str, environment: str):
    stored = STORED.get(re.sub("[^a-z0-9]+", "-", arithmetic()))
    if stored is None:
        pytest.skip("no run was stored on a processor that computes like this one")
    known = {field.name for field in dataclasses.fields(algos.get(name).config)}
    fields = {key: value for key, value in FIELDS.items() if key in known}
    if name == "wolpertinger":
        fields["dual_executed"] = False
    trained = pack(tmp_path, cell(name, environment, steps=300, **fields), 0, 1)
    train.train_pack(trained)
    for seed in (0, 1):
        assert digests(trained.folder(seed)) == stored[f"{environment} {name} {seed}"]
