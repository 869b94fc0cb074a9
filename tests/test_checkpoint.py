"""The files of a checkpoint."""

import numpy as np
import pytest
import torch

from savo_bench.bench.training import checkpoint
from savo_bench.results.format import CorruptFile, SeedFolder


@pytest.fixture
def folder(tmp_path) -> SeedFolder:
    folder = SeedFolder(tmp_path / "seed-0000")
    folder.checkpoint.mkdir(parents=True)
    return folder


def state(oldest: int, added: int) -> dict:
    return {"replay": {"oldest": oldest, "added": added, "width": 2}, "x": torch.tensor([added])}


@pytest.mark.parametrize(
    ("available", "groups"),
    [
        ({0: [], 1: []}, [(0, [0, 1])]),
        ({0: [20, 10], 1: [20, 10]}, [(20, [0, 1])]),
        ({0: [20, 10], 1: [10, 5]}, [(10, [0, 1])]),
        ({0: [20, 10], 1: [40, 30], 2: [20]}, [(20, [0, 2]), (40, [1])]),
        ({0: [20], 1: []}, [(20, [0]), (0, [1])]),
    ],
)
def test_seeds_that_share_a_step_resume_together(available, groups):
    assert checkpoint.common_steps(available) == groups


def test_only_the_states_and_log_files_that_are_needed_are_kept(folder, monkeypatch):
    monkeypatch.setattr(checkpoint, "SEGMENT", 10)
    rows = np.arange(200, dtype=np.float32).reshape(100, 2)
    for added in (25, 50, 75, 100):  # a buffer of 30
        checkpoint.append_records(folder, added - 25, rows[added - 25 : added])
        oldest = max(0, added - 30)
        checkpoint.stage(folder, added, state(oldest, added))
        checkpoint.commit(folder, added, oldest)
        assert np.array_equal(checkpoint.read_records(folder, oldest, added, 2), rows[oldest:added])
    assert folder.checkpoint_steps() == [100, 75]
    assert checkpoint.load(folder, 75)["x"] == 75
    assert min(folder.replay_logs()) == 40  # 75 - 30 = 45


def test_a_staged_state_does_not_count_and_is_deleted_with_the_newer_ones(folder):
    for step in (10, 20, 30):
        checkpoint.stage(folder, step, state(0, 0))
    checkpoint.commit(folder, 10, 0)
    checkpoint.commit(folder, 20, 0)
    assert folder.checkpoint_steps() == [20, 10]
    checkpoint.discard_after(folder, 10)
    assert [path.name for path in folder.checkpoint.iterdir()] == ["state-000000010.pt"]


def test_records_replace_what_the_log_holds_from_their_number_on(folder):
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    checkpoint.append_records(folder, 0, rows)
    checkpoint.append_records(folder, 2, rows[:3] + 100)
    expected = np.concatenate([rows[:2], rows[:3] + 100])
    assert np.array_equal(checkpoint.read_records(folder, 0, 5, 2), expected)
    assert folder.replay_log(0).stat().st_size == 5 * 2 * checkpoint.FLOAT32


def test_a_state_whose_log_is_too_short_is_corrupt(folder):
    checkpoint.append_records(folder, 0, np.zeros((5, 2), np.float32))
    for step, added in ((10, 5), (20, 6)):
        checkpoint.stage(folder, step, state(0, added))
        checkpoint.commit(folder, step, 0)
    assert checkpoint.load(folder, 10)["x"] == 5
    with pytest.raises(CorruptFile, match=r"replay-000000000\.bin: 40 bytes long, shorter than state-000000020\.pt"):
        checkpoint.load(folder, 20)
