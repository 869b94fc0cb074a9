"""How far below the maximum of Q1 do SAVO's proposals lie? On tasks with one action dimension, where a grid finds it.

    python benchmarks/q_gap.py runs/NAME ENVIRONMENT [VARIANT]

Plays the final policy of every finished seed for some episodes and, in the states it visits, compares Q1 at the first
proposal and at the best proposal with the largest value on a fine grid of actions.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from savo_bench import algos, envs
from savo_bench.algos.agent import Spaces, load_policy_state
from savo_bench.algos.nets import q_values
from savo_bench.algos.noise import Streams, evaluation_stream
from savo_bench.results.format import SeedFolder, slug

GRID = torch.linspace(-1, 1, 2_001)
EPISODES, STATES = 3, 1_000
OTHER_EVALUATION = 1  # a step at which no run evaluates, so the episodes are new ones


@torch.no_grad()
def measure(folder: SeedFolder) -> dict[str, float]:
    run = folder.read_run()
    assert run is not None
    task, algorithm = run["spec"]["environment"], run["spec"]["algorithm"]
    env = envs.make(task["name"], **task["keywords"])
    assert env.observation_space.shape is not None
    if env.action_space.shape != (1,):
        sys.exit(f"{task['name']}: its actions have the shape {env.action_space.shape}; the grid is for one dimension")
    entry = algos.get(algorithm["name"])
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in algorithm["config"].items()}
    spaces = Spaces(env.observation_space.shape[0], 1)
    agent = entry.agent(entry.config(**fields), spaces, [Streams(0).init], torch.device("cpu"))
    load_policy_state(agent, 0, torch.load(folder.policy))

    visited = []
    for seed in evaluation_stream(folder.seed, OTHER_EVALUATION).integers(2**31, size=EPISODES):
        obs, _ = env.reset(seed=int(seed))
        ended = False
        while not ended:
            visited.append(obs)
            action = agent.act(torch.from_numpy(obs)[None, None], {}, explore=False).action
            obs, _, terminated, truncated, _ = env.step(action[0, 0].numpy())
            ended = terminated or truncated
    visited = np.random.default_rng(0).permutation(np.array(visited))[:STATES]

    obs = torch.from_numpy(visited)[None]  # (1, B, O)
    proposed = q_values(agent.critic.first.frozen, obs, agent.propose(obs))[0, 0]  # (B, K)
    grid = GRID[:, None].expand(1, len(visited), -1, 1)
    highest = q_values(agent.critic.first.frozen, obs, grid)[0, 0].amax(-1)  # (B,)
    best = proposed.amax(-1)
    return {
        "seed": folder.seed,
        "q": highest.mean().item(),
        "first below maximum": (highest - proposed[:, 0]).mean().item(),
        "best below maximum": (highest - best).mean().item(),
        "first stuck %": 100 * (highest - proposed[:, 0] > 0.01 * highest.abs()).float().mean().item(),
        "best stuck %": 100 * (highest - best > 0.01 * highest.abs()).float().mean().item(),
    }


def main(root: str, environment: str, variant: str = "savo") -> None:
    torch.set_num_threads(1)
    folders = sorted((Path(root) / slug(environment) / slug(variant)).glob("seed-*/policy.pt"))
    if not folders:
        sys.exit(f"{root}: no finished seed of {variant} on {environment}")
    table = pd.DataFrame([measure(SeedFolder(path.parent)) for path in folders]).set_index("seed")
    table.loc["mean"] = table.mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
