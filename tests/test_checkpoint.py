"""The files of a checkpoint."""

import errno

import numpy as np
import pytest
import torch
from broken_files import breaking

from savo_bench.bench.training import checkpoint
from savo_bench.results.files import CorruptFile
from savo_bench.results.format import replay_file, replay_files, state_steps


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


def test_only_the_states_and_segments_that_are_needed_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SEGMENT", 10)
    rows = np.arange(200, dtype=np.float32).reshape(100, 2)
    for added in (25, 50, 75, 100):  # a buffer of 30
        checkpoint.append_records(tmp_path, added - 25, rows[added - 25 : added])
        oldest = max(0, added - 30)
        checkpoint.stage(tmp_path, added, state(oldest, added))
        checkpoint.commit(tmp_path, added, oldest)
        assert np.array_equal(checkpoint.read_records(tmp_path, oldest, added, 2), rows[oldest:added])
    assert state_steps(tmp_path) == [100, 75]
    assert checkpoint.load(tmp_path, 75)["x"] == 75
    assert min(replay_files(tmp_path)) == 40  # 75 - 30 = 45


def test_a_staged_state_does_not_count_and_is_deleted_with_the_newer_ones(tmp_path):
    for step in (10, 20, 30):
        checkpoint.stage(tmp_path, step, state(0, 0))
    checkpoint.commit(tmp_path, 10, 0)
    checkpoint.commit(tmp_path, 20, 0)
    assert state_steps(tmp_path) == [20, 10]
    checkpoint.discard_after(tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["state-000000010.pt"]


def test_records_replace_what_the_log_holds_from_their_number_on(tmp_path):
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    checkpoint.append_records(tmp_path, 0, rows)
    checkpoint.append_records(tmp_path, 2, rows[:3] + 100)
    expected = np.concatenate([rows[:2], rows[:3] + 100])
    assert np.array_equal(checkpoint.read_records(tmp_path, 0, 5, 2), expected)
    assert replay_file(tmp_path, 0).stat().st_size == 5 * 2 * checkpoint.FLOAT32


def test_a_state_whose_log_is_too_short_is_corrupt(tmp_path):
    checkpoint.append_records(tmp_path, 0, np.zeros((5, 2), np.float32))
    for step, added in ((10, 5), (20, 6)):
        checkpoint.stage(tmp_path, step, state(0, added))
        checkpoint.commit(tmp_path, step, 0)
    assert checkpoint.load(tmp_path, 10)["x"] == 5
    with pytest.raises(CorruptFile, match=r"replay-000000000\.bin: 40 bytes long where the checkpoint names 48"):
        checkpoint.load(tmp_path, 20)


def test_a_linked_folder_is_deleted_with_what_a_checkpoint_put_there_and_nothing_else(tmp_path):
    for name, own in (("alone", ()), ("shared", ("notes.txt", ".profile"))):
        scratch, link = tmp_path / name, tmp_path / f"link-{name}"
        scratch.mkdir()
        link.symlink_to(scratch)
        for file in own:
            (scratch / file).touch()
        checkpoint.append_records(link, 0, np.zeros((5, 2), np.float32))
        checkpoint.stage(link, 10, state(0, 5))
        checkpoint.commit(link, 10, 0)
        checkpoint.stage(link, 20, state(0, 5))
        checkpoint.remove(link)
        assert not link.is_symlink()
        assert scratch.exists() is bool(own)
        assert sorted(path.name for path in tmp_path.glob(f"{name}/*")) == sorted(own)


def test_a_link_that_leads_nowhere_does_not_keep_a_seed_from_its_end(tmp_path):
    (tmp_path / "checkpoint").symlink_to("/scratch/gone")
    checkpoint.remove(tmp_path / "checkpoint")


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_state_that_cannot_be_read_is_not_taken_for_a_damaged_one(tmp_path, error):
    checkpoint.append_records(tmp_path, 0, np.zeros((5, 2), np.float32))
    checkpoint.stage(tmp_path, 10, state(0, 5))
    checkpoint.commit(tmp_path, 10, 0)
    with breaking(tmp_path, 0, error, lasting=True), pytest.raises(OSError, match=r"state-000000010\.pt"):
        checkpoint.load(tmp_path, 10)
    with breaking(tmp_path, 0, error, lasting=True), pytest.raises(OSError, match=str(tmp_path)):
        state_steps(tmp_path)
