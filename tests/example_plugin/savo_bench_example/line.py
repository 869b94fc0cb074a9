"""An environment of another package: importing this module registers it, which its entry point makes savo-bench do."""

import gymnasium as gym
import numpy as np

from savo_bench.envs import Metric, environment


class Line(gym.Env[np.ndarray, np.ndarray]):
    """A sledge on a line is pushed towards 0; the reward is minus its distance."""

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium declares it so

    def __init__(self, friction: float) -> None:
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)  # position, velocity
        self.action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._friction = friction
        self._position = self._velocity = 0.0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Put the sledge somewhere, at rest or not."""
        super().reset(seed=seed)
        self._position, self._velocity = self.np_random.uniform(-1.0, 1.0, 2)
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Push the sledge for a tenth of a second."""
        self._velocity += 0.1 * float(action[0]) - self._friction * self._velocity
        self._position += 0.1 * self._velocity
        return self._observation(), -abs(self._position), False, False, {"near": abs(self._position) < 0.1}

    def _observation(self) -> np.ndarray:
        return np.array([self._position, self._velocity], np.float32)


@environment(
    "line",
    id="SavoBenchExample/Line-v0",
    tags=("example",),
    max_episode_steps=100,
    metrics={"near": Metric("mean", "time near 0", "%")},
    benchmark=False,
)
def line(*, friction: float = 0.1) -> gym.Env:
    """A sledge on a line, pushed towards 0."""
    if not 0 <= friction <= 1:
        raise ValueError(f"friction={friction}: must be from 0 to 1")
    return Line(friction)
