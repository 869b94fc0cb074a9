"""An environment that breaks when it is told to, and what else tests break in a training."""

import errno

import gymnasium as gym
import numpy as np
import pytest

from savo_bench import envs
from savo_bench.bench.training.loop import Training

FAULTY = "faulty-line"


class Line(gym.Env):
    """A point on a line that ought to be at 0. `fault` says what goes wrong in the seventh step after it is set."""

    observation_space = gym.spaces.Box(-10, 10, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    fault: str | None = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self.at = float(self.np_random.uniform(-1, 1))
        self.steps = 0
        return self.obs(), {}

    def step(self, action):
        self.at = float(np.clip(self.at + 0.1 * action[0], -10, 10))
        self.steps += 1
        fault = self.fault if self.steps == 7 else None
        if fault == "raises":
            raise RuntimeError("the simulator\nfell over")
        if fault == "file":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/nowhere/mesh.stl")
        reward = float("nan") if fault == "reward" else -abs(self.at)
        return self.obs(fault), reward, False, False, {}

    def obs(self, fault=None):
        return np.array([self.at, np.nan if fault == "obs" else self.steps], np.float32)


if FAULTY not in envs.names():

    @envs.environment(FAULTY, id="Test/FaultyLine-v0", tags=("faulty",), max_episode_steps=20, benchmark=False)
    def faulty_line() -> gym.Env:
        return Line()


@pytest.fixture
def at_step(monkeypatch):
    """Do something to a training when it has reached a step."""

    def arrange(step, action):
        advance = Training.advance

        def acting(self):
            advance(self)
            if self.step == step:
                action(self)

        monkeypatch.setattr(Training, "advance", acting)

    return arrange


def break_environment(seed: int, fault: str):
    def action(training):
        run = next(run for run in training.runs if run.seed == seed)
        run.env.unwrapped.fault = fault

    return action


def break_network(seed: int, network: str = "actor"):
    def action(training):
        index = [run.seed for run in training.runs].index(seed)
        training.agent.networks[network].flat[index].fill_(float("nan"))

    return action
