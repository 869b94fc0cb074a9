"""Policies that are kept on the way of a training: which, and that the laws of a run hold for them, too."""

import dataclasses
from pathlib import Path

import pytest
import torch
from small_runs import assert_same_run, cell, one_thread, pack, stop_at

from savo_bench.bench import grid, train
from savo_bench.bench.cells import Budget, Pack
from savo_bench.bench.options import Options
from savo_bench.bench.training.loop import Training
from savo_bench.results.format import SeedFolder, state_file

__all__ = ["one_thread", "stop_at"]  # fixtures


def kept(trained: Pack, seed: int = 3) -> dict[int, bytes]:
    """The files of a seed's kept policies, by their steps."""
    return {step: path.read_bytes() for step, path in SeedFolder(trained.folder(seed)).kept_policies().items()}


def stop(trained: Pack, stop_at, step: int) -> None:
    """Train until a stop signal at a step."""
    stop_at(step)
    with pytest.raises(train.Interrupted):
        train.train_pack(trained)
    stop_at(None)


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Pack:
    """Seed 3, undisturbed, with two policies on the way."""
    trained = pack(tmp_path_factory.mktemp("calm"), cell("td3"), 3, keep_policies=2)
    train.train_pack(trained)
    return trained


@pytest.mark.parametrize(
    ("steps", "every", "number", "kept"),
    [
        (1000, 100, 0, []),
        (1000, 100, 1, [500]),
        (1000, 100, 4, [200, 400, 600, 800]),
        (1000, 100, 3, [200, 500, 700]),  # the evaluation at a quarter of the training or before, and so on
        (1000, 100, 9, [100, 200, 300, 400, 500, 600, 700, 800, 900]),
        (1000, 100, 50, [100, 200, 300, 400, 500, 600, 700, 800, 900]),
        (950, 300, 3, [300, 600, 900]),  # and the last evaluation at 950
        (950, 300, 1, [600]),
        (50, 100, 5, []),
    ],
)
def test_policies_are_kept_at_evaluations_at_equal_distances(steps: int, every: int, number: int, kept: list[int]):
    assert Budget("ci", steps, every, 1).policy_steps(number) == kept


def test_the_scores_are_the_same_bytes_with_and_without_them(tmp_path, calm):
    plain = pack(tmp_path, cell("td3"), 3)
    train.train_pack(plain)
    assert_same_run(plain.folder(3), calm.folder(3))
    assert [*kept(calm)] == [150, 300]
    assert kept(plain) == {}
    assert not (plain.folder(3) / "policies").exists()
    runs = [SeedFolder(each.folder(3)).read_run() for each in (plain, calm)]
    assert runs[0] is not None
    assert runs[1] is not None
    assert runs[0]["hash"] == runs[1]["hash"]


def test_what_is_kept_has_the_form_of_the_final_policy_and_other_networks(calm):
    final = torch.load(SeedFolder(calm.folder(3)).policy)
    for path in SeedFolder(calm.folder(3)).kept_policies().values():
        saved = torch.load(path)
        assert saved["spec"] == final["spec"]
        assert saved.keys() == final.keys()
        assert not torch.equal(saved["actor"], final["actor"])


def test_a_seed_keeps_the_same_alone_and_in_a_pack(tmp_path, calm):
    together = pack(tmp_path, cell("td3"), 9, 3, keep_policies=2)
    train.train_pack(together)
    assert kept(together) == kept(calm)
    assert kept(together, 9).keys() == kept(calm).keys()
    assert kept(together, 9)[150] != kept(calm)[150]


def test_a_stopped_run_keeps_the_same_and_nothing_twice(tmp_path, stop_at, calm):
    stopped = pack(tmp_path, cell("td3"), 3, keep_policies=2)
    written = {}
    for step in (1, 149, 150, 151, 275, 300, 399):
        stop(stopped, stop_at, step)
        for path in (stopped.folder(3) / "policies").glob("*"):
            assert written.setdefault(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    train.train_pack(stopped)
    assert kept(stopped) == kept(calm)


def test_a_policy_beyond_the_checkpoint_of_a_crashed_run_is_written_anew_with_the_same_bytes(
    tmp_path, stop_at, monkeypatch, calm
):
    crashed = pack(tmp_path, cell("td3"), 3, keep_policies=2)
    stop(crashed, stop_at, 140)
    advance = Training.advance

    def dying(self):
        if self.step == 160:
            raise KeyboardInterrupt
        advance(self)

    monkeypatch.setattr(Training, "advance", dying)
    with pytest.raises(KeyboardInterrupt):
        train.train_pack(crashed)
    assert kept(crashed) == {150: kept(calm)[150]}
    SeedFolder(crashed.folder(3)).kept_policy(150).write_bytes(b"as another machine might")
    monkeypatch.undo()
    train.train_pack(crashed)
    assert kept(crashed) == kept(calm)


@pytest.mark.parametrize(("first", "then", "in_the_end"), [(1, 2, [150, 300]), (2, 0, [150]), (0, 2, [300])])
def test_with_another_number_a_resume_leaves_what_is_there_and_keeps_that_number_from_then_on(
    tmp_path, stop_at, calm, first: int, then: int, in_the_end: list[int]
):
    resumed = pack(tmp_path, cell("td3"), 3, keep_policies=first)
    stop(resumed, stop_at, 200)
    train.train_pack(dataclasses.replace(resumed, keep_policies=then))
    assert kept(resumed) == {step: kept(calm)[step] for step in in_the_end}


def test_a_run_that_begins_anew_has_no_policies_of_the_lost_one(tmp_path, stop_at):
    lost = pack(tmp_path, cell("td3"), 3, keep_policies=2)
    stop(lost, stop_at, 200)
    state_file(SeedFolder(lost.folder(3)).checkpoint, 200).unlink()
    train.train_pack(dataclasses.replace(lost, keep_policies=0))
    assert kept(lost) == {}


def asked(root: Path, trained: Pack, number: int) -> grid.Grid:
    options = Options(name=root.name, runs=root.parent, keep_policies=number)
    return grid.Grid(options, (trained.cell,), trained.seeds, "cpu", 1)


def remarks(wanted: grid.Grid) -> str:
    return "\n".join(text for text, _ in grid.announcement(wanted, wanted.look())[1])


def test_the_option_reaches_the_packs(tmp_path):
    new = pack(tmp_path / "runs", cell("td3"), 3)
    (planned,) = asked(new.root, new, 4).packs(asked(new.root, new, 4).look())
    assert planned.keep_policies == 4


def test_it_is_said_where_there_are_fewer_evaluations(tmp_path):
    new = pack(tmp_path / "runs", cell("td3"), 3)
    few = "--keep-policies 3: only 2 evaluations come before the last on restricted-hopper, so 2 are kept"
    assert few in remarks(asked(new.root, new, 3))
    assert "--keep-policies" not in remarks(asked(new.root, new, 2))


def test_it_is_said_where_a_seed_went_past_a_step_without_keeping_a_policy(tmp_path, stop_at, calm):
    said = "went past some of these steps without keeping a policy"
    assert said not in remarks(asked(calm.root, calm, 2))
    late = pack(tmp_path / "runs", cell("td3"), 3)
    stop(late, stop_at, 100)
    assert said not in remarks(asked(late.root, late, 2))
    stop(late, stop_at, 200)
    assert f"--keep-policies 2: 1 seed {said}" in remarks(asked(late.root, late, 2))
    assert said not in remarks(asked(late.root, late, 0))
    train.train_pack(late)
    assert f"--keep-policies 2: 1 seed {said}" in remarks(asked(late.root, late, 2))
