"""Small agents, and the batches and noise to train them with, for the tests of the algorithms."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from savo_bench import algos
from savo_bench.algos.agent import Acted, Agent, Batch, Call, Spaces
from savo_bench.algos.catalogue import Catalogue
from savo_bench.algos.nets import Stack
from savo_bench.algos.noise import Streams, standard_normal
from savo_bench.algos.sac import LOG_SIGMA_HIGH, LOG_SIGMA_LOW

CPU = torch.device("cpu")
Twins = tuple[tuple[float, float], tuple[float, float]]  # two functions of the action: slope and offset
UNUSED: Twins = ((0, -99), (0, -99))


def rngs(*seeds: int) -> list[np.random.Generator]:
    """One generator per seed."""
    return [np.random.default_rng(seed) for seed in seeds]


def random(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers of this shape."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


# Every algorithm of the registry, and the variants that run other code of it.
ABLATIONS: dict[str, list[dict[str, Any]]] = {
    "td3": [{"refine": 3}, {"best_of": 3}, {"refine": 2, "refine_at": "target", "best_of": 2, "target_noise": 0.2}],
    "savo": [
        {"extra_actors": 0},
        {"extra_actors": 1},
        {"extra_actors": 5},
        {"surrogate": "exact"},
        {"conditioning": "none"},
        {"joint": True},
        {"target_noise": 0.2, "extra_actors": 1},
        {"diversity": 1.0, "extra_actors": 1},
        {"target_argmax": "target", "extra_actors": 1},
        {"surrogate_critics": "target", "extra_actors": 1},
        {"summariser": "lstm"},
        {"summariser": "transformer"},
        {"truncation": False, "conditioning": "concat", "init": "code"},
        {"surrogate": "exact", "truncation": False},
        {"surrogate": "exact", "truncation": False, "conditioning": "concat"},
        {"surrogate": "exact", "truncation": False, "conditioning": "none"},
        {"quiet_first": True, "evaluate": "first"},
        {"argmax": "act"},
        {"argmax": "target", "extra_actors": 1},
    ],
    "wolpertinger": [
        {"candidates": 1},
        {"candidates": 5, "candidate_sigma": 0.1},
        {"dual": True},
        {"dual": True, "dual_executed": False},
    ],
    "cem": [{"iterations": 1}, {"iterations": 2, "samples": 10, "elites": 4}],
    "ensemble": [{"extra_actors": 0}, {"explore": "chosen", "init": "code"}, {"argmax": "act"}],
    "sac": [{"best_of": 3}, {"learn_temperature": False}, {"policy_delay": 2}],
    "savo-sac": [
        {"extra_actors": 0},
        {"extra_actors": 1, "conditioning": "none"},
        {"learn_temperature": False},
        {"entropy_argmax": True, "init": "code"},
        {"entropy_argmax": True, "argmax": "target"},
    ],
    "greedy-ac": [{"entropy": 0.0}],
}
# Variants that make sense on a catalogue alone, beside those above that can be had there.
ON_ITEMS: dict[str, list[dict[str, Any]]] = {
    "cem": [{"snap_samples": True}],
    "greedy-ac": [{"snap_samples": True}],
    "td3": [{"target_noise": 0.0}],
}


class Variant(NamedTuple):
    """An algorithm with changed fields, in a box or on a catalogue."""

    name: str
    fields: dict[str, Any]
    items: int = 0  # of the catalogue; 0 is a box


def _variants() -> dict[str, Variant]:
    found = {}
    for name in algos.names():
        for fields in [{}, *ABLATIONS.get(name, [])]:
            found[",".join([name, *(f"{field}={value}" for field, value in fields.items())])] = Variant(name, fields)
            if "exact" not in fields.values() and "chosen" not in fields.values():  # which are for boxes alone
                label = ",".join([name, *(f"{field}={value}" for field, value in fields.items()), "on items"])
                found[label] = Variant(name, fields, ITEMS)
        for fields in ON_ITEMS.get(name, []):
            label = ",".join([name, *(f"{field}={value}" for field, value in fields.items()), "on items"])
            found[label] = Variant(name, fields, ITEMS)
    return found


ITEMS = 23  # ours: of the small catalogue; more than any number of candidates here
VARIANTS = _variants()


def catalogue(items: int | Sequence[float], action_dim: int) -> Catalogue | None:
    """Items strewn over the box, or the given ones on a line; None for no items."""
    if items == 0:
        return None
    if not isinstance(items, int):
        return Catalogue(np.array(items, dtype=np.float32)[:, None])
    return Catalogue(np.random.default_rng(1).uniform(-1, 1, (items, action_dim)).astype(np.float32))


SMALL = {"hidden": (16, 16), "batch_size": 8, "lr": 1e-3, "summary_hidden": 8, "summary_size": 4}


# Numbers that can be computed in the head: one state, one action dimension, networks of one hidden layer of 2 units.
TINY = {"hidden": (2,), "batch_size": 1, "gamma": 0.5, "lr": 0.25, "max_grad_norm": 0.0, "actor_norm": False}


def tiny(name: str, seeds: Sequence[int] = (0,), items: int | Sequence[float] = 0, **fields: Any) -> "Pack":
    """An agent whose numbers can be computed in the head."""
    known = {field.name for field in dataclasses.fields(algos.get(name).config)}
    base = {field: value for field, value in TINY.items() if field in known}
    return pack(name, seeds, obs_dim=1, action_dim=1, items=items, **base | fields)


def config(name: str, **fields: Any) -> Any:
    """The algorithm's config, small unless the fields say otherwise; SMALL's fields that it lacks are left out."""
    kind = algos.get(name).config
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{field: value for field, value in SMALL.items() if field in known} | fields)


class Pack(NamedTuple):
    """An agent and the streams of its seeds; what it is fed is a function of the seeds alone."""

    agent: Any
    streams: list[Streams]

    def batch(self) -> Batch:
        """Random transitions from each seed's own stream; proto-actions from another, as their number differs."""
        agent, spaces = self.agent, self.agent.spaces
        B, O, A = agent.config.batch_size, spaces.obs_dim, spaces.action_dim
        shapes = {"obs": (B, O), "action": (B, A), "reward": (B,), "next_obs": (B, O), "terminated": (B,)}
        drawn = standard_normal([stream.replay for stream in self.streams], shapes, CPU)
        others = {"p": (B, agent.stored_proto_actions, A), "i": (B, agent.stored_items)}
        stored = standard_normal([stream.explore for stream in self.streams], others, CPU)
        action, proto_actions = drawn["action"].clamp(-1, 1), stored["p"].clamp(-1, 1)
        proposals = proto_actions
        if spaces.catalogue is not None:
            N = len(spaces.catalogue)
            action = spaces.catalogue[(drawn["action"][..., 0].abs() * 1000).long() % N]
            proposals = spaces.catalogue[(stored["i"].abs() * 1000).long() % N]
        return Batch(
            drawn["obs"],
            action,
            proto_actions,
            proposals,
            drawn["reward"],
            drawn["next_obs"],
            (drawn["terminated"] > 1).float(),
        )

    def noise(self, call: Call) -> dict[str, Tensor]:
        return standard_normal([stream.update for stream in self.streams], self.agent.noise_shapes(call), CPU)

    def update(self, times: int = 1) -> dict[str, Tensor]:
        """Train on random batches; the metrics of all updates, newer over older."""
        metrics = {}
        for _ in range(times):
            metrics |= self.agent.update(self.batch(), self.noise("update"))
        return metrics

    def act(self, *, explore: bool = True, states: int = 1) -> Acted:
        obs = standard_normal(
            [stream.replay for stream in self.streams], {"obs": (states, self.agent.spaces.obs_dim)}, CPU
        )
        return self.agent.act(obs["obs"], self.noise("act" if explore else "evaluate"), explore=explore)


def pack(
    name: str,
    seeds: Sequence[int],
    *,
    obs_dim: int = 3,
    action_dim: int = 2,
    items: int | Sequence[float] = 0,
    **fields: Any,
) -> Pack:
    streams = [Streams(seed) for seed in seeds]
    inits: list[np.random.Generator] = [stream.init for stream in streams]
    spaces = Spaces(obs_dim, action_dim, catalogue(items, action_dim))
    return Pack(algos.get(name).agent(config(name, **fields), spaces, inits, CPU), streams)


def one_transition(
    proto_actions: Sequence[float] = (),
    executed: float = 0.25,
    reward: float = 0.0,
    terminated: float = 0.0,
    proposals: Sequence[float] | None = None,
) -> Batch:
    """One transition of one seed, one state and one action dimension; proposals are the proto-actions unless given."""
    zero = torch.zeros(1, 1, 1)
    stored = torch.tensor(proto_actions).view(1, 1, -1, 1)
    return Batch(
        obs=zero,
        action=zero + executed,
        proto_actions=stored,
        proposals=stored if proposals is None else torch.tensor(proposals).view(1, 1, -1, 1),
        reward=zero[0] + reward,
        next_obs=zero,
        terminated=zero[0] + terminated,
    )


def numbers(agent: Agent) -> dict[str, Tensor]:
    """A copy of all networks: name -> (S, M, P); empty stacks left out."""
    return {name: stack.flat.clone() for name, stack in agent.networks.items() if stack.flat.numel()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def make_linear(stack: Stack, *functions: tuple[float, float]) -> None:
    """Let network m of every seed give offset + slope × its last input, for functions of (slope, offset).

    The networks have one hidden layer of 2 units, relu(x) and relu(-x), so they
    have no slope at 0; what they see of earlier actions is ignored.
    """
    p = stack.frozen
    stack.flat.zero_()
    for m, (slope, offset) in enumerate(functions):
        p["hidden0.weight"][:, m, -1] = torch.tensor([1.0, -1.0])
        if "scale0.bias" in p:
            p["scale0.bias"][:, m] = 1
        p["output.weight"][:, m] = torch.tensor([[slope], [-slope]])
        p["output.bias"][:, m] = offset


def make_through(stack: Stack, *lines: Sequence[tuple[float, float]]) -> None:
    """Let network m of every seed go in straight lines through points (last input, output), the first one at -1.

    The networks have one hidden layer of at least one unit fewer than a line has points; what they see of earlier
    actions is ignored.
    """
    p = stack.frozen
    stack.flat.zero_()
    for m, points in enumerate(lines):
        x, y = np.array(points, np.float32).T
        slopes = np.diff(y) / np.diff(x)
        count = len(slopes)
        p["hidden0.weight"][:, m, -1, :count] = 1
        p["hidden0.bias"][:, m, :count] = -torch.from_numpy(x[:-1])
        if "scale0.bias" in p:
            p["scale0.bias"][:, m] = 1
        p["output.weight"][:, m, :count, 0] = torch.from_numpy(np.diff(slopes, prepend=0))
        p["output.bias"][:, m] = float(y[0])


def make_constant(stack: Stack, *outputs: float) -> None:
    """Let network m of every seed give outputs[m] wherever it is asked; an actor then proposes tanh of it."""
    stack.flat.zero_()
    for m, output in enumerate(outputs):
        stack.frozen["output.bias"][:, m] = output


def make_gaussian(stack: Stack, mean: float = 0.0, log_sigma: float = 0.0) -> None:
    """Let every network of a stochastic actor's stack give this Gaussian in every state."""
    share = (log_sigma - LOG_SIGMA_LOW) / (LOG_SIGMA_HIGH - LOG_SIGMA_LOW)
    stack.flat.zero_()
    stack.frozen["output.bias"][:] = torch.tensor([mean, math.atanh(2 * share - 1)])


def unit_log_pi(point: float) -> float:
    """log π of the action tanh(point) under a squashed N(0, 1)."""
    return -(point**2) / 2 - math.log(2 * math.pi) / 2 - math.log(1 - math.tanh(point) ** 2)


def set_critics(made: Pack, online: Twins, targets: Twins) -> None:
    """Make the critics functions of the action, each twin (slope, offset)."""
    make_linear(made.agent.critic.online, *online)
    make_linear(made.agent.critic.target, *targets)
