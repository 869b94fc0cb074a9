"""How many maxima has the final Q, how far below the highest do proposals lie, and how wrong are the surrogates?

    python benchmarks/q_gap.py runs/NAME ENVIRONMENT [VARIANT]

Plays the final policy of every finished seed for some episodes, and looks at Q_1 in states that it visits: on a grid
where actions have one dimension, by ascents where they have more, at the items of a catalogue (algos/maxima.py). All
gaps and errors are in per cent of the span of Q over actions (highest - lowest value in the state); its level does not
matter.
The surrogates' errors are centred: in each state the mean of the error over the grid (one dimension) is taken off, as
it moves no actor. Policies that were saved without critics are refused.
"""

import io
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from savo_bench import algos, envs
from savo_bench.algos import maxima
from savo_bench.algos.actor_critic import ActorCritic, clipped_double_q
from savo_bench.algos.agent import load_policy_state
from savo_bench.algos.nets import q_values
from savo_bench.algos.noise import Streams, evaluation_stream, standard_normal
from savo_bench.algos.slices import surrogate_slices
from savo_bench.bench import grammar, resolving
from savo_bench.bench.spaces import spaces_of
from savo_bench.results.format import SeedFolder, slug

CPU = torch.device("cpu")
EPISODES = 3
STATES, ASCENT_STATES = 1_000, 100  # ours: of the visited ones; those with ascents take some seconds
OTHER_EVALUATION = 1  # a step at which no run evaluates, so the episodes are new ones


def load(folder: SeedFolder) -> tuple[ActorCritic, gym.Env]:
    """A seed's agent with the networks of its policy.pt, and its environment.

    Raises:
        SystemExit: the file holds no critics.
    """
    run = folder.read_run()
    assert run is not None
    task, algorithm = run["spec"]["environment"], run["spec"]["algorithm"]
    policy = torch.load(io.BytesIO(folder.policy.read_bytes()), map_location=CPU, weights_only=True)
    if "critic" not in policy:
        sys.exit(f"{folder.policy}: holds no critics; an earlier version saved it, train the seed again")
    env = envs.make(task["name"], evaluation=True, **task["keywords"])
    entry = algos.get(algorithm["name"])
    types = resolving.field_types(entry.config)
    config = entry.config(**{key: grammar.convert(value, types[key]) for key, value in algorithm["config"].items()})
    agent = entry.agent(config, spaces_of(env, config), [Streams(folder.seed).init], CPU)
    load_policy_state(agent, 0, policy)
    assert isinstance(agent, ActorCritic)
    return agent, env


def visited(agent: ActorCritic, env: gym.Env, seed: int) -> Tensor:
    """Observations of some episodes of the policy, in an order that is shuffled but fixed: (1, B, O)."""
    found = []
    rng = evaluation_stream(seed, OTHER_EVALUATION)
    for env_seed in rng.integers(2**31, size=EPISODES):
        obs, _ = env.reset(seed=int(env_seed))
        ended = False
        while not ended:
            obs = np.asarray(obs, np.float32)
            found.append(obs)
            noise = standard_normal([rng], agent.noise_shapes("evaluate"), CPU)
            acted = agent.act(torch.from_numpy(obs)[None, None], noise, explore=False)
            obs, _, terminated, truncated, _ = env.step(acted.executed[0, 0].numpy())
            ended = terminated or truncated
    return torch.from_numpy(np.random.default_rng(0).permutation(np.array(found)))[None]


@torch.no_grad()
def measure(folder: SeedFolder) -> dict[str, float]:
    agent, env = load(folder)
    obs = visited(agent, env, folder.seed)
    catalogue, dims = agent.spaces.catalogue, agent.spaces.action_dim
    obs = obs[:, : STATES if dims == 1 or catalogue is not None else ASCENT_STATES]
    noise = standard_normal([np.random.default_rng(0)], agent.noise_shapes("evaluate"), CPU)
    proto_actions = agent.propose(obs, noise, explore=False)
    proposals = agent.snap(proto_actions, noise)
    found = maxima.gaps(agent.critic.first, obs, proposals.actions, catalogue, states=obs.shape[1])
    values = {name: value.item() for name, value in found.items()}
    row = {"seed": folder.seed, "maxima": values["maxima"]}
    row |= {f"{name} %": 100 * values[name] for name in ("stuck", "first_gap", "best_gap")}
    if dims == 1 and catalogue is None:
        errors = surrogate_errors(agent, obs, proposals.actions)
        row |= {f"error of surrogate {i} %": 100 * error for i, error in errors}
    return row


def surrogate_errors(agent: ActorCritic, obs: Tensor, proposals: Tensor) -> list[tuple[int, float]]:
    """For each surrogate the root mean square over states and a grid of the centred Ψ̂_i - Ψ_i, in shares of the span.

    The surrogates see the policy's own proposals (1, B, K, 1). The span is that of the smaller critic, to which they
    are fitted.
    """
    grid = torch.linspace(-1, 1, maxima.GRID).view(1, 1, -1, 1).expand(1, obs.shape[1], -1, 1)
    q = clipped_double_q(q_values(agent.critic.online.frozen, obs, grid))  # (1, B, G)
    span = maxima.span_of(q.amax(-1), q.amin(-1)).unsqueeze(-1)
    errors = []
    for each in surrogate_slices(agent, obs, proposals, proposals, grid):
        error = (each.learnt - each.exact) / span
        centred = error - error.mean(-1, keepdim=True)
        errors.append((each.actor, centred.square().mean().sqrt().item()))
    return errors


def main(root: str, environment: str, variant: str = "savo") -> None:
    torch.set_num_threads(1)
    folders = sorted((Path(root) / slug(environment) / slug(variant)).glob("seed-*/policy.pt"))
    if not folders:
        sys.exit(f"{root}: no finished seed of {variant} on {environment}")
    table = pd.DataFrame([measure(SeedFolder(path.parent)) for path in folders]).set_index("seed")
    table.loc["mean"] = table.mean()
    print(table.round(2).to_string())


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
