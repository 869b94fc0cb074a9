"""Which seeds of a pack a process trains, and what it records of them."""

import dataclasses

import numpy as np
import pytest
from small_runs import cell, one_thread, pack

from savo_bench.algos.noise import Streams
from savo_bench.bench import train
from savo_bench.bench.errors import UserError
from savo_bench.bench.training.loop import Training
from savo_bench.results.format import SeedFolder
from savo_bench.results.lock import holding
from savo_bench.results.state import state_of

__all__ = ["one_thread"]  # a fixture


def test_another_config_in_the_same_folder_is_refused_with_the_field_named(tmp_path):
    train.train_pack(pack(tmp_path, cell("td3", steps=80), 0))
    with pytest.raises(UserError, match=r"budget\.steps=80, not 90"):
        train.train_pack(pack(tmp_path, cell("td3", steps=90), 0))


def test_run_json_holds_the_spec_and_the_command_that_asked_for_the_run(tmp_path):
    asked = dataclasses.replace(pack(tmp_path, cell("td3", steps=80), 0), command="bench run --algos td3")
    train.train_pack(asked)
    run = SeedFolder(asked.folder(0)).read_run()
    assert run is not None
    assert run["spec"] == asked.cell.spec(0)
    assert run["provenance"]["command"] == "bench run --algos td3"
    assert run["provenance"]["pack"] == [0]


def test_a_seed_whose_lock_is_held_is_left_alone(tmp_path):
    both = pack(tmp_path, cell("td3", steps=80), 0, 1)
    held = SeedFolder(both.folder(0))
    held.path.mkdir(parents=True)
    with holding(held.lock):
        train.train_pack(both)
    assert held.read_run() is None
    assert state_of(SeedFolder(both.folder(1))).state == "done"


@pytest.mark.parametrize("environment", ["restricted-inverted-pendulum", "recsim"])
def test_random_steps_come_with_probability_epsilon_which_falls_with_the_noise(tmp_path, monkeypatch, environment):
    random, draw = [], Training.random_action

    def drawing(self, rng):
        random.append(self.step)
        return draw(self, rng)

    monkeypatch.setattr(Training, "random_action", drawing)
    exploring = cell("td3", environment, steps=250, epsilon=0.5, noise_final=0.0, noise_decay_steps=200)
    train.train_pack(pack(tmp_path, exploring, 3))
    assert random[:60] == list(range(60))  # the warm-up
    assert max(random) < 200
    assert 12 <= len(random) - 60 <= 37  # 24 expected, three standard deviations


def test_without_epsilon_no_number_is_drawn_for_it(tmp_path, monkeypatch):
    states = []
    monkeypatch.setattr(
        Training, "finish", lambda self: states.append(self.runs[0].streams.explore.bit_generator.state)
    )
    train.train_pack(pack(tmp_path, cell("td3", steps=100), 3))
    expected = Streams(3).explore
    for step in range(100):
        expected.standard_normal((1, 3), dtype=np.float32)
        if step < 60:
            expected.uniform(-1, 1, 3)
    assert states == [expected.bit_generator.state]
