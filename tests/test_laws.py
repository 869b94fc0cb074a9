"""The three laws of a run, on the real training loop: pack-free, interruption-free, idempotent."""

import dataclasses
import itertools
import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest
import worker_hooks
from small_runs import VARIANTS, assert_same_run, cell, one_thread, pack, status, stop_at

from savo_bench.algos.catalogue import INVERTED_FROM
from savo_bench.bench import train
from savo_bench.bench.cells import Cell, Pack
from savo_bench.bench.evaluate import Evaluator
from savo_bench.bench.training import checkpoint
from savo_bench.results.files import read_csv
from savo_bench.results.format import SeedFolder, state_steps

__all__ = ["one_thread", "stop_at"]  # fixtures
pytestmark = pytest.mark.laws

PACKS = ((3,), (9, 3), (0, 1, 2, 3, 4))  # seeds


@pytest.mark.parametrize("environment", ["restricted-hopper", "restricted-inverted-pendulum", "recsim"])
@pytest.mark.parametrize("algorithm", VARIANTS)
def test_a_seed_is_the_same_alone_and_in_any_pack(tmp_path, algorithm, environment):
    runs = {seeds: pack(tmp_path / str(len(seeds)), cell(algorithm, environment), *seeds) for seeds in PACKS}
    for each in runs.values():
        train.train_pack(each)
    for each in runs.values():
        assert_same_run(runs[PACKS[0]].folder(3), each.folder(3))


def test_seeds_differ_from_each_other(tmp_path):
    both = pack(tmp_path, cell("td3"), 0, 1)
    train.train_pack(both)
    first, second = (both.folder(seed) / "evals.csv" for seed in (0, 1))
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize("environment", ["restricted-hopper", "recsim"])
@pytest.mark.parametrize("algorithm", VARIANTS)
def test_a_run_stopped_at_awkward_steps_ends_as_the_undisturbed_one(tmp_path, stop_at, algorithm, environment):
    calm = pack(tmp_path / "calm", cell(algorithm, environment), 3)
    train.train_pack(calm)
    stopped = pack(tmp_path / "stopped", cell(algorithm, environment), 3)
    before = 0
    for step in (1, 59, 60, 61, 150, 151, 275, 300, 399):  # around the warm-up, on evaluations, before the last step
        stop_at(step)
        with pytest.raises(train.Interrupted):
            train.train_pack(stopped)
        assert status(stopped.folder(3))["resumed_from"] == before
        before = step
    stop_at(None)
    train.train_pack(stopped)
    assert status(stopped.folder(3))["resumed_from"] == 399
    assert_same_run(calm.folder(3), stopped.folder(3))


def assert_alone_and_stopped_in_a_pack_are_the_same(tmp_path, stop_at, trained: Cell) -> Pack:
    """Seed 3 of a cell learns the same alone and in a pack that is stopped; returns the pack of it alone."""
    calm = pack(tmp_path / "calm", trained, 3)
    train.train_pack(calm)
    stopped = pack(tmp_path / "stopped", trained, 9, 3)
    stop_at(200)
    with pytest.raises(train.Interrupted):
        train.train_pack(stopped)
    stop_at(None)
    train.train_pack(stopped)
    assert_same_run(calm.folder(3), stopped.folder(3))
    return calm


@pytest.mark.parametrize(
    ("algorithm", "fields"),
    [("td3", {"refine": 2, "best_of": 3}), ("sac", {"best_of": 3}), ("savo", {"argmax": "act"})],
)
def test_the_laws_hold_with_a_search_around_the_action_and_with_argmax_in_one_place(
    tmp_path, stop_at, algorithm, fields
):
    assert_alone_and_stopped_in_a_pack_are_the_same(tmp_path, stop_at, cell(algorithm, **fields))


@pytest.mark.parametrize("algorithm", ["wolpertinger", "cem"])
def test_the_laws_hold_with_an_approximate_search(tmp_path, stop_at, algorithm):
    pytest.importorskip("faiss")
    searched = cell(algorithm, "recsim", search="ivf", probes=1)
    searched = dataclasses.replace(searched, env_keywords={"items": INVERTED_FROM})
    calm = assert_alone_and_stopped_in_a_pack_are_the_same(tmp_path, stop_at, searched)
    recall = read_csv(SeedFolder(calm.folder(3)).train_csv)["recall"]
    assert recall.between(0, 1).all()
    assert 0 < recall.mean() < 0.9


@pytest.mark.parametrize("environment", ["restricted-hopper", "recsim"])
def test_the_laws_hold_with_random_steps(tmp_path, stop_at, environment):
    exploring = cell("savo", environment, epsilon=0.5)
    assert_alone_and_stopped_in_a_pack_are_the_same(tmp_path, stop_at, exploring)


def test_a_stop_during_an_evaluation_leaves_it_to_the_next_attempt(tmp_path, monkeypatch):
    calm = pack(tmp_path / "calm", cell("td3"), 3)
    train.train_pack(calm)
    stopped = pack(tmp_path / "stopped", cell("td3"), 3)
    run = Evaluator.run

    def stopping(self, agent, step, device, active, stop):
        steps = itertools.count(1)

        def stop_in_the_third_step():
            if next(steps) == 3:
                signal.raise_signal(signal.SIGTERM)
            return stop()

        return run(self, agent, step, device, active, stop_in_the_third_step)

    monkeypatch.setattr(Evaluator, "run", stopping)
    with pytest.raises(train.Interrupted) as interrupted:
        train.train_pack(stopped)
    assert interrupted.value.signals == (signal.SIGTERM,)
    assert state_steps(SeedFolder(stopped.folder(3)).checkpoint) == [150]
    assert not (stopped.folder(3) / "evals.csv").exists()
    monkeypatch.undo()
    train.train_pack(stopped)
    assert_same_run(calm.folder(3), stopped.folder(3))


def test_a_seed_can_resume_in_another_pack(tmp_path, stop_at):
    calm = pack(tmp_path / "calm", cell("savo"), 3)
    train.train_pack(calm)
    stop_at(200)
    with pytest.raises(train.Interrupted):
        train.train_pack(pack(tmp_path / "moved", cell("savo"), 1, 3, 5))
    stop_at(None)
    alone = pack(tmp_path / "moved", cell("savo"), 3)
    train.train_pack(alone)
    assert_same_run(calm.folder(3), alone.folder(3))


def test_what_a_crash_left_beyond_the_last_checkpoint_is_cut(tmp_path, stop_at):
    calm = pack(tmp_path / "calm", cell("td3"), 3)
    train.train_pack(calm)
    crashed = pack(tmp_path / "crashed", cell("td3"), 3)
    stop_at(200)
    with pytest.raises(train.Interrupted):
        train.train_pack(crashed)
    folder = crashed.folder(3)
    for name, left in {
        "evals.csv": b"200,0,1.0,1,1.0\n200,1,",
        "train.csv": b"201,",
        "checkpoint/replay-000000000.bin": b"torn",
        "checkpoint/.state-000000250.pt": b"half",
    }.items():
        with (folder / name).open("ab") as file:
            file.write(left)
    stop_at(None)
    train.train_pack(crashed)
    assert_same_run(calm.folder(3), folder)


def test_the_replay_log_survives_several_segments_and_a_full_ring(tmp_path, stop_at, monkeypatch):
    monkeypatch.setattr(checkpoint, "SEGMENT", 40)
    small = cell("td3", buffer_size=70)
    calm = pack(tmp_path / "calm", small, 3)
    train.train_pack(calm)
    stopped = pack(tmp_path / "stopped", small, 3)
    for step in (30, 75, 160, 230, 231, 320):
        stop_at(step)
        with pytest.raises(train.Interrupted):
            train.train_pack(stopped)
    segments = sorted(path.name for path in SeedFolder(stopped.folder(3)).checkpoint.glob("replay-*"))
    assert segments[0] == "replay-000000160.bin"  # the state of step 231 still needs what came from step 161 on
    stop_at(None)
    train.train_pack(stopped)
    assert_same_run(calm.folder(3), stopped.folder(3))


@pytest.mark.parametrize(("algorithm", "steps"), [("td3", 4000), ("savo", 1200)])
def test_a_run_killed_at_random_moments_ends_as_the_undisturbed_one(tmp_path, algorithm, steps):
    """The command line, its worker killed with -9 three times, each time after it has saved something of its own."""
    command = [sys.executable, "-m", "savo_bench.bench.cli", "run", "--algos", algorithm, "--envs", "restricted-hopper"]
    command += ["--seeds", "3-3", "--steps", str(steps), "--eval-every", "1000", "--eval-episodes", "1"]
    command += ["--set", "warmup_steps=500", "--set", "hidden=16-16", "--set", "batch_size=16"]
    command += ["--checkpoint-every", "0.3", "--name", "law"]
    killing = worker_hooks.environment(tmp_path / "hook", worker_hooks.kill_after_the_first_save)

    def run(runs: str, **more: Any) -> int:
        line = [*command, "--runs", str(tmp_path / runs)]
        return subprocess.run(line, stdout=subprocess.DEVNULL, check=False, **more).returncode

    variant = f"{algorithm}__hidden-16-16__batch_size-16__warmup_steps-500"
    folder = SeedFolder(tmp_path / "killed" / "law" / "restricted-hopper" / variant / "seed-0003")
    saved = 0
    for _ in range(worker_hooks.KILLS):
        assert run("killed", env=killing) == 1
        assert status(folder.path)["resumed_from"] == saved
        assert state_steps(folder.checkpoint)[0] > saved
        saved = state_steps(folder.checkpoint)[0]
    assert run("killed", env=killing) == 0
    assert status(folder.path)["resumed_from"] == saved
    assert run("calm") == 0
    assert_same_run(tmp_path / "calm" / folder.path.relative_to(tmp_path / "killed"), folder.path)


def test_what_is_done_is_not_trained_again_and_a_deleted_seed_alone_is(tmp_path):
    both = pack(tmp_path, cell("td3"), 0, 1)
    train.train_pack(both)
    kept, deleted = both.folder(0), both.folder(1)
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    copied = tmp_path / "copy"
    shutil.copytree(deleted, copied)
    shutil.rmtree(deleted)
    train.train_pack(both)
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    assert_same_run(copied, deleted)
