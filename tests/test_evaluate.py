"""Evaluation episodes."""

import pytest
import torch
from faulty_line import FAULTY, at_step
from small_runs import cell, one_thread, pack, status

from savo_bench import algos, envs
from savo_bench.algos.noise import Streams
from savo_bench.bench import evaluate, packing, profiles, train
from savo_bench.bench.evaluate import Episode, Evaluator
from savo_bench.bench.spaces import spaces_of

__all__ = ["at_step", "one_thread"]  # fixtures

CPU = torch.device("cpu")


def test_an_episode_sums_its_rewards_and_reduces_its_metrics():
    episode, names = Episode(), {"speed": "mean", "height": "max", "clicks": "sum"}
    for reward, speed, height, clicks in ((1.0, 2, 5, 0), (0.5, 4, 3, 1), (-2.0, 6, 4, 1)):
        episode.add(reward, {"speed": speed, "height": height, "clicks": clicks, "other": None}, names)
    assert episode.summary(names) == [-0.5, 3, 4.0, 5.0, 2.0]


@pytest.mark.parametrize("environment", [FAULTY, "recsim"])
def test_an_evaluation_depends_on_seed_and_step_alone(environment):
    tested = cell("td3", environment)

    def evaluator(*seeds: int) -> Evaluator:
        make = lambda: envs.make(environment, evaluation=True, **tested.env_keywords)  # noqa: E731
        return Evaluator(make, envs.get(environment), seeds, 2)

    def agent(*seeds: int):
        spaces = spaces_of(evaluator(0).envs[0][0], tested.config, CPU)
        return algos.get("td3").agent(tested.config, spaces, [Streams(seed).init for seed in seeds], CPU)

    def rows(played: Evaluator, step: int, *active: bool):
        return played.run(agent(*played.seeds), step, CPU, active, lambda: False)

    alone, both = evaluator(3), evaluator(7, 3)
    first = rows(alone, 100, True)
    assert first is not None
    assert rows(both, 50, True, True) != first
    together = rows(both, 100, False, True)
    assert together == [None, first[0]]
    assert rows(alone, 101, True) != first
    assert rows(alone, 100, True) == first


def test_a_stop_ends_an_evaluation_without_rows():
    environment = envs.get(FAULTY)
    evaluator = Evaluator(lambda: envs.make(FAULTY, evaluation=True), environment, [0], 1)
    tested = cell("td3", FAULTY)
    agent = algos.get("td3").agent(tested.config, spaces_of(evaluator.envs[0][0]), [Streams(0).init], CPU)
    assert evaluator.run(agent, 10, CPU, [True], lambda: True) is None


def test_a_fault_in_an_evaluation_fails_its_seed_alone(tmp_path, at_step):
    played = []

    def break_evaluation(training):
        played.extend(training.evaluator.envs[1])
        for env in played:
            env.unwrapped.fault = "raises"

    hit = pack(tmp_path, cell("td3", FAULTY), 0, 1)
    at_step(299, break_evaluation)
    train.train_pack(hit)
    states = {seed: status(hit.folder(seed)) for seed in (0, 1)}
    assert states[0]["state"] == "done"
    assert states[1]["state"] == "failed"
    assert states[1]["reason"].startswith("evaluation at step 300: RuntimeError: the simulator fell over")
    assert (hit.folder(1) / "evals.csv").read_text().splitlines()[-1].startswith("150,1,")
    assert played[0].unwrapped.steps == 7  # where it fell over
    assert played[1].unwrapped.steps == 6  # its seed has failed: not played further


def test_waves_give_the_bits_of_one_go(monkeypatch):
    tested = cell("cem")  # its noise is drawn at each step of an evaluation
    seeds, episodes = (3, 7, 1, 4, 8), 5

    def scores(most_episodes: int, most_environments: int):
        monkeypatch.setattr(evaluate, "EPISODES_AT_ONCE", most_episodes)
        monkeypatch.setattr(evaluate, "ENVIRONMENTS", most_environments)
        made = []

        def make():
            made.append(envs.make(tested.environment, evaluation=True))
            return made[-1]

        evaluator = Evaluator(make, envs.get(tested.environment), seeds, episodes)
        inits = [Streams(seed).init for seed in seeds]
        agent = algos.get("cem").agent(tested.config, spaces_of(made[0]), inits, CPU)
        return evaluator.run(agent, 150, CPU, [True, True, False, True, True], lambda: False), len(made)

    in_one_go, made = scores(5, 25)
    assert made == 25
    assert in_one_go is not None
    assert in_one_go[2] is None
    assert [row[1] for row in in_one_go[0] or ()] == [0, 1, 2, 3, 4]
    for most, expected in (((5, 10), 10), ((2, 25), 10), ((2, 4), 4), ((3, 1), 3)):
        assert scores(*most) == (in_one_go, expected)


def test_the_usual_sizes_are_one_wave_and_larger_ones_are_bounded():
    for name in ("quick", "ci"):
        usual = profiles.get(name).eval_episodes
        assert evaluate.at_once(packing.LARGEST_PACK, usual) == (packing.LARGEST_PACK, usual)
    assert evaluate.at_once(1, 40) == (1, 10)
    assert evaluate.at_once(10, 100) == (10, 10)
    assert evaluate.at_once(60, 100) == (10, 10)
    assert evaluate.at_once(60, 3) == (33, 3)


def test_a_seed_that_fails_harms_no_seed_that_shares_its_environments(monkeypatch):
    monkeypatch.setattr(evaluate, "ENVIRONMENTS", 1)
    monkeypatch.setattr(evaluate, "EPISODES_AT_ONCE", 1)
    made = []

    def make():
        made.append(envs.make(FAULTY, evaluation=True))
        return made[-1]

    evaluator = Evaluator(make, envs.get(FAULTY), [0, 1], 2)
    tested = cell("td3", FAULTY)
    agent = algos.get("td3").agent(tested.config, spaces_of(made[0]), [Streams(s).init for s in (0, 1)], CPU)
    made[0].unwrapped.fault = "raises"
    outcome = evaluator.run(agent, 10, CPU, [True, True], lambda: False)
    assert outcome is not None
    failed, played = outcome
    assert "the simulator fell over" in str(failed)
    assert isinstance(played, list)
    assert [row[1] for row in played] == [0, 1]
    assert len(made) == 2
