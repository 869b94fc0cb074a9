"""How well do the actors of each algorithm maximise a Q that does not change? Their regret on frozen critics.

    python benchmarks/frozen_critic.py --out results/reference/benchmarks/frozen_critic
    python benchmarks/frozen_critic.py --quick
    python benchmarks/frozen_critic.py --parts actors,errors --out results/reference/benchmarks/frozen_critic
    python benchmarks/frozen_critic.py --tables --out results/reference/benchmarks/frozen_critic

The agents are those of `bench run`, ten actor seeds in a pack, with the networks and rates of the profile quick. A
frozen critic stands in the place of theirs, and only the step of the critics is left out: at every step they act with
exploration noise in a new context and store what they did; at every update they fit what they fit to critics, and
every `policy_delay` updates they train their actors. At the end

    regret = max Q(s, ·) - Q(s, best proposal)        mean over the same 256 contexts for all

Frozen critics:

- `network`: the product's critic network, 64-64, fitted to a landscape in one dimension whose valid intervals are those
  of the restricted pendulums: 5.5 (1 - ((a - .8 s) / 2)²) in them, 0 elsewhere. One network for all seeds; a grid of
  actions knows its maximum. How many local maxima it has is printed.
- the landscapes of `envs/landscape.py`, exact, another draw for every seed.

Parts of the table:

    network     all rows on the network, started by a small output (output_gain=1e-3) and by the usual one (1); rows
                that learn from what they did also with noise that has fallen to its end
    landscapes  all rows in 1, 3, 10 and 120 dimensions with 16 peaks, clustering 0 and .8; in 3, .8 from both starts
    peaks       some rows in 3 dimensions with 4 and 64 peaks
    actors      savo and the ensemble with 0 to 20 extra actors, 3 dimensions, 64 peaks, clustering .8
    errors      savo with exact surrogates plus an error: epsilon spans of Q times a smooth random field of unit
                variance whose correlation falls over `length`; 3 dimensions, 16 peaks, clustering .8
    searches    a single actor with a search around its action, on the network and in 3 and 10 dimensions with 16 peaks
                and clustering .8, started by the usual output; compared with the single actor

Columns: the regret with its 95 % bootstrap interval over seeds, and in % of Q's span over actions; the share of
contexts in which the best proposal lies in the basin of the maximum; regret of the first proposal; spread of the
proposals at the start and at the end; the regret minus savo's of the same critic, start and noise, with the interval
of the difference over seeds (below 0: better than savo); milliseconds of an update of the pack without its critics.
An ensemble of equal compute is that of `bench run --controls`: its update, critics included, has as many FLOPs as
savo's with three extra actors, counted for the critic's own sizes. The committed data are older: there it has 33 extra
actors, by the time that an update takes.

With --out, PREFIX.json gets the table, with what it was measured on, and PREFIX.csv the value of every seed; parts that
are not measured stay in them as they were. With --tables nothing is measured: the tables of docs/algorithms.md are
printed from PREFIX.json. Exit code 1 if a regret is not finite, or so far below 0 that the maximum is
wrong, or if a row had to be left out.
"""

from __future__ import annotations

import one_core  # isort: skip  (before torch)

import argparse
import dataclasses
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.signal
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from savo_bench import algos
from savo_bench.algos.actor_critic import best, mean_distance
from savo_bench.algos.agent import Spaces
from savo_bench.algos.config import NoiseConfig
from savo_bench.algos.nets import GivenQ, Optimizer, Stack, TwinCritic, mlp_spec, q_values
from savo_bench.algos.noise import Streams, evaluation_stream, exploration, standard_normal
from savo_bench.algos.replay import Layout, Replay
from savo_bench.algos.savo import SAVO
from savo_bench.bench import controls, grammar, resolving
from savo_bench.bench.errors import UserError
from savo_bench.envs.landscape import Landscape, landscape
from savo_bench.envs.restricted import BALLS_PER_DIMENSION, CENTRES_SEED, UNIT_VOLUME, ball_radius
from savo_bench.results.metrics import bootstrap, mean
from savo_bench.results.page import markdown_table

CPU = torch.device("cpu")
HIDDEN = (64, 64)  # ours: bench/profiles.py, quick
LR = 1e-3  # ours: bench/profiles.py, quick
BATCH = 64  # ours: half of quick's; actors on a frozen critic need fewer states, and it takes half the time
WARMUP = 500  # ours: bench/profiles.py, ci; random steps before the first update
UPDATES = 1_000  # ours: the most of the audit's table (issue 15)
SEEDS = 10  # ours
CONTEXTS = 256  # ours: in which regret is measured
CONTEXTS_SEED = 20241011  # ours: any number that no other generator has
TOP = 5.5  # ours: the fitted network overshoots, and its span over actions is then that of the audit's, 6.7 (issue 15)
VOLUME = 3.0  # code: USC-Lira/Q3C@4a5456b, the volume of the restricted pendulums' intervals
FIT_UPDATES = 28_000  # ours: after so many it has 7 local maxima per state, as the audit's (issue 15)
FIT_BATCH, FIT_LR = 256, 1e-3  # ours: bench/profiles.py, quick, and twice its batch
GRID = 2_001  # ours: points on a line
PROMINENT = 0.05  # ours: of Q's span; a maximum with a lower prominence is not counted as one that holds actors
FEATURES = 256  # ours: of a random field; its variance is 1 ± .06
SMALL, USUAL = 1e-3, 1.0  # output_gain: code: USC-Lira/Q3C@4a5456b; torch's own start
TOLERANCE = 1e-3  # ours: of Q's span, for a regret below 0; float32 and the grid err by less
RESAMPLES = 10_000  # ours: the ends of an interval then differ by a hundredth of its width from draw to draw


@dataclass(frozen=True)
class Row:
    """An algorithm as on the command line; with `epsilon`, savo's exact surrogates get an error of that size."""

    label: str
    text: str
    epsilon: float = 0.0
    length: float = 0.0


SINGLE = Row("single actor", "td3:target_noise=0")
EQUAL_K = Row("ensemble, equal K", "ensemble:extra_actors=3")
EQUAL_COMPUTE = Row("ensemble, equal compute", "ensemble")  # `on` says how many actors
SAVO_ROW = Row("savo", "savo")
EXACT = Row("savo, exact surrogates", "savo:surrogate=exact")
LEARNT = (
    SAVO_ROW,
    Row("savo, no conditioning", "savo:conditioning=none"),
    Row("savo, untruncated", "savo:truncation=false"),
)
ROWS = (
    SINGLE,
    EQUAL_K,
    EQUAL_COMPUTE,
    *LEARNT,
    EXACT,
    Row("savo, exact + error", "savo:surrogate=exact", 0.1, 0.3),
    Row("wolpertinger", "wolpertinger"),
    Row("cem", "cem"),
    Row("sac", "sac"),
    Row("savo-sac", "savo-sac"),
    Row("greedy-ac", "greedy-ac"),
    Row("greedy-td3", "greedy-td3"),
)
EXTRA_ACTORS = (0, 1, 3, 5, 10, 20)
ACTORS = tuple(
    Row(f"{name}, {count} extra", f"{name}:extra_actors={count}")
    for name in ("ensemble", "savo")
    for count in EXTRA_ACTORS
)
ERRORS = (
    EXACT,
    *(
        Row(f"error {epsilon:g}, length {length:g}", "savo:surrogate=exact", epsilon, length)
        for length in (0.1, 0.3, 1.0)
        for epsilon in (0.03, 0.1, 0.3)
    ),
)
SEARCHES = (
    SINGLE,
    Row("single actor, 10 steps on Q", "td3:target_noise=0,refine=10"),
    Row("single actor, best of 10", "td3:target_noise=0,best_of=10"),
    Row("single actor, best of 10, 10 steps each", "td3:target_noise=0,refine=10,best_of=10"),
    Row("sac, best of 10", "sac:best_of=10"),
    Row("savo, later actors on Q itself", "savo:surrogate=exact,truncation=false"),
)


class Landscapes:
    """Q of one analytic landscape per seed, in torch: the same numbers as `Landscape.value`.

    With x = (1, s) and centres Σ_k x_k f_jk the squared distance is |a|² - 2 Σ_k x_k a·f_jk + Σ_kl x_k x_l f_jk·f_jl:
    products of matrices.
    """

    def __init__(self, drawn: Sequence[Landscape]) -> None:
        frames = np.stack([one.frames for one in drawn])  # (S, P, 1 + C, D)
        products = np.einsum("spkd,spld->sklp", frames, frames)
        S, P, F, D = frames.shape
        self.frames = _float32(frames.reshape(S, P * F, D)).mT.contiguous()  # (S, D, P F)
        self.products = _float32(products.reshape(S, F * F, P))
        self.bottoms = _float32(np.stack([1 / one.heights for one in drawn]))[:, None, None]  # (S, 1, 1, P)
        self.height, self.scale = drawn[0].height, D * drawn[0].width ** 2

    def depths(self, obs: Tensor, actions: Tensor) -> Tensor:
        """1/h_j + (d_j / width)²: obs (S, B, C), actions (S, B, K, D) -> (S, B, K, P)."""
        weights = torch.cat([torch.ones_like(obs[..., :1]), obs], dim=-1)  # (S, B, F)
        P, F = self.bottoms.shape[-1], weights.shape[-1]
        each = torch.bmm(actions.flatten(1, 2), self.frames).unflatten(1, actions.shape[1:3]).unflatten(-1, (P, F))
        mixed = (each * weights[:, :, None, None]).sum(-1)  # (S, B, K, P)
        pairs = (weights.unsqueeze(-1) * weights.unsqueeze(-2)).flatten(2)  # (S, B, F²)
        of_centres = torch.bmm(pairs, self.products).unsqueeze(2)  # (S, B, 1, P)
        squares = actions.square().sum(-1, keepdim=True) - 2 * mixed + of_centres
        return self.bottoms + squares.clamp_min(0) / self.scale

    def __call__(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Q: obs (S, B, C), actions (S, B, K, D) -> (S, B, K)."""
        return self.height / self.depths(obs, actions).amin(-1)


class LandscapeCritic:
    """Analytic landscapes, one per seed, in the place of the critics.

    Attributes:
        label: Its keywords.
        spaces: Of its contexts and actions.
        contexts: (S, B, C), in which regret is measured.
        maximum: (S, B), of Q in each context.
        span: The maximum minus the lowest value at uniform actions, its mean over contexts: (S,).
        about: What it is like, for people.
    """

    def __init__(self, seeds: Sequence[int], **keywords: Any) -> None:
        self.label = "landscape " + " ".join(f"{key}={value}" for key, value in keywords.items())
        self.drawn = [landscape(**keywords, landscape_seed=seed) for seed in seeds]
        self.q = Landscapes(self.drawn)
        _, F, D = self.drawn[0].frames.shape
        self.spaces = Spaces(F - 1, D)
        self.contexts = contexts(len(seeds), F - 1)
        self.maximum = torch.full(self.contexts.shape[:2], self.drawn[0].height)
        uniform = _uniform(1, 500, D).unsqueeze(1).expand(len(seeds), CONTEXTS, 500, D)[:, :32]
        q = self.q(self.contexts[:, :32], uniform)
        self.span = self.drawn[0].height - q.amin(-1).mean(1)
        basin = self.q.depths(self.contexts[:, :32], uniform).argmin(-1).eq(0).float().mean()
        found = [
            one.optima(context).sum()
            for one, some in zip(self.drawn, self.contexts, strict=True)
            for context in some[:16]
        ]
        self.about = (
            f"{np.mean(found):.1f} local maxima; {100 * float(basin):.1f} % of uniform actions in the best basin"
        )

    def install(self, critic: TwinCritic) -> None:
        """Let Q stand in the place of both critics and of their targets."""
        critic.online.frozen = critic.target.frozen = GivenQ(self.q, 2)
        critic.first.frozen = critic.first_target.frozen = GivenQ(self.q, 1)

    def values(self, actions: Tensor) -> Tensor:
        """Q of actions (S, B, K, D) at the contexts: (S, B, K)."""
        return self.q(self.contexts, actions)

    def in_best_basin(self, actions: Tensor) -> Tensor:
        """Whether actions (S, B, D) at the contexts lie in the basin of the maximum: (S, B)."""
        return self.q.depths(self.contexts, actions.unsqueeze(2)).argmin(-1).squeeze(-1) == 0


class NetworkCritic:
    """The product's critic network, fitted to a restricted landscape; attributes as of `LandscapeCritic`."""

    def __init__(self, seeds: Sequence[int], network: Stack) -> None:
        self.label = "network"
        self.network = network
        self.spaces = Spaces(1, 1)
        S = len(seeds)
        self.contexts = contexts(S, 1)
        self.grid = torch.linspace(-1, 1, GRID)
        with torch.no_grad():
            each = q_values(network.frozen, self.contexts[:1], self.grid[:, None].expand(1, CONTEXTS, -1, 1))
        self.on_grid = each[0, 0]  # (B, G)
        self.maximum = self.on_grid.amax(-1).expand(S, -1)
        self.span = (self.on_grid.amax(-1) - self.on_grid.amin(-1)).mean().expand(S)
        maxima, prominent = count_maxima(self.on_grid.numpy(), 0), count_maxima(self.on_grid.numpy(), PROMINENT)
        self.about = f"{maxima:.1f} local maxima, {prominent:.1f} of them prominent; span {float(self.span[0]):.2f}"

    def install(self, critic: TwinCritic) -> None:
        """Load the network's numbers into both critics and their targets."""
        for stack in (critic.online, critic.target):
            stack.flat.copy_(self.network.flat.expand_as(stack.flat))

    def values(self, actions: Tensor) -> Tensor:
        """Q of actions (S, B, K, 1) at the contexts: (S, B, K)."""
        S, B, K, _ = actions.shape
        q = q_values(self.network.frozen, self.contexts.reshape(1, S * B, 1), actions.reshape(1, S * B, K, 1))
        return q.reshape(S, B, K)

    @cached_property
    def basins(self) -> np.ndarray:
        """The number of the hill, from the left, that each point of the grid belongs to: (B, G)."""
        return hills(self.on_grid.numpy())

    def in_best_basin(self, actions: Tensor) -> Tensor:
        """Whether actions (S, B, 1) at the contexts lie in the basin of the maximum: (S, B)."""
        at = ((actions.squeeze(-1) + 1) / 2 * (GRID - 1)).round().long()  # (S, B)
        basins = torch.from_numpy(self.basins)
        best = basins.gather(1, self.on_grid.argmax(-1, keepdim=True))  # (B, 1)
        return basins.gather(1, at.mT).mT == best.mT


Critic = LandscapeCritic | NetworkCritic


def fitted(updates: int) -> Stack:
    """A critic network (S = M = 1) after so many updates on uniform states and actions."""
    rng = np.random.default_rng(0)
    network = Stack.initialise(mlp_spec(2, HIDDEN, 1), [rng], 1, CPU)
    optimizer = Optimizer([network], FIT_LR, max_grad_norm=0.0)
    for _ in range(updates):
        points = _float32(rng.uniform(-1, 1, (1, FIT_BATCH, 2)))
        obs, action = points[..., :1], points[..., 1:]
        q = q_values(network.params, obs, action.unsqueeze(2)).flatten()
        optimizer.step((q - restricted_value(obs, action).flatten()).square().mean())
    return network


def restricted_value(obs: Tensor, action: Tensor) -> Tensor:
    """The landscape that the network is fitted to, at obs and actions (..., 1): (..., 1)."""
    centres = 2 * np.random.RandomState(CENTRES_SEED).random(BALLS_PER_DIMENSION) - 1
    reach = 2 * ball_radius(UNIT_VOLUME * VOLUME, 1)  # in [-1, 1], where lengths are twice those in [0, 1]
    valid = (action - _float32(centres)).abs().amin(-1, keepdim=True) < reach
    return torch.where(valid, TOP * (1 - ((action - 0.8 * obs) / 2).square()), torch.zeros(()))


def count_maxima(values: np.ndarray, prominence: float) -> float:
    """Local maxima per row of values on a grid (B, G), ends included, with a prominence of that share of its span."""
    counts = []
    for row in values:
        padded = np.pad(row, 1, constant_values=row.min() - 1)
        counts.append(len(scipy.signal.find_peaks(padded, prominence=prominence * np.ptp(row))[0]))
    return float(np.mean(counts))


def hills(values: np.ndarray) -> np.ndarray:
    """Number the hills of each row of values on a grid (B, G) from the left: (B, G) int64. A valley begins a hill."""
    falls = np.diff(values, axis=1) < 0  # (B, G - 1)
    valley = falls[:, :-1] & ~falls[:, 1:]
    return np.pad(np.cumsum(valley, axis=1), ((0, 0), (2, 0)))


def contexts(seeds: int, dims: int) -> Tensor:
    """The contexts in which regret is measured, the same for all seeds: (S, B, C)."""
    return _uniform(CONTEXTS_SEED, CONTEXTS, dims).expand(seeds, -1, -1)


def _uniform(seed: int, count: int, dims: int) -> Tensor:
    """Points (1, count, dims) in [-1, 1]."""
    return _float32(np.random.default_rng(seed).uniform(-1, 1, (1, count, dims)))


def _float32(numbers: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(numbers, np.float32))


class Field:
    """A smooth random function of [obs, action] for each seed and extra actor: variance 1, Gaussian correlation.

    The correlation falls with the distance per dimension of actions over `length`, and with that of contexts over 1.
    Random Fourier features: Rahimi and Recht 2007.
    """

    def __init__(self, spaces: Spaces, length: float, functions: int, rngs: Sequence[np.random.Generator]) -> None:
        O, A = spaces.obs_dim, spaces.action_dim
        scale = np.concatenate([np.full(O, 1 / math.sqrt(O)), np.full(A, 1 / (length * math.sqrt(A)))])
        shape = (functions, O + A, FEATURES)
        self.frequencies = _float32(np.stack([rng.standard_normal(shape) for rng in rngs]) * scale[:, None])
        self.phases = _float32(np.stack([rng.uniform(0, 2 * np.pi, (functions, 1, FEATURES)) for rng in rngs]))

    def __call__(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Function i at action i: obs (S, B, O), actions (S, B, functions, A) -> (S, functions, B)."""
        points = torch.cat([obs.unsqueeze(2).expand(-1, -1, actions.shape[2], -1), actions], dim=-1).movedim(2, 1)
        return math.sqrt(2) * torch.cos(points @ self.frequencies + self.phases).mean(-1) * math.sqrt(FEATURES)


class ErringSAVO(SAVO):
    """SAVO whose surrogates are the exact truncated landscapes plus a fixed error."""

    def __init__(self, error: float, length: float, config: Any, spaces: Spaces, rngs: Any, device: Any) -> None:
        super().__init__(config, spaces, rngs, device)
        self.error = error  # in units of Q
        self.field = Field(spaces, length, config.extra_actors, rngs)

    def landscape_values(self, obs: Tensor, actions: Tensor) -> list[Tensor]:
        """The frame's exact values, (S, 1, B) each, with the error on all but the first."""
        first, *others = super().landscape_values(obs, actions)
        errors = self.error * self.field(obs, actions[:, :, 1:])
        return [first, *(value + errors[:, i : i + 1] for i, value in enumerate(others))]


@dataclass(frozen=True)
class Plan:
    """How long is trained, and with which seeds."""

    seeds: tuple[int, ...]
    updates: int
    fit_updates: int  # of the network
    warmup: int  # random steps
    quick: bool = False


@dataclass(frozen=True)
class Variant:
    """A row with a start (output_gain) and a noise; None where they make no difference to it."""

    row: Row
    gain: float | None
    noise: str | None


Work = tuple[Critic, Row, tuple[float, ...], bool]  # a row on a critic, its starts, and whether with decayed noise, too


def resolved(row: Row, gain: float, decayed: bool) -> tuple[algos.Entry, Any]:
    """The algorithm of a row and its config.

    Raises:
        UserError: the algorithm has no such field, or not with this value.
    """
    (item,) = grammar.items(row.text, "rows")
    entry = algos.get(item.name)
    known = resolving.field_types(entry.config)
    for field in item.fields:
        if field not in known:
            raise UserError(f"{row.text}: {item.name} has no field {field!r}")
    base = {
        "hidden": HIDDEN,
        "lr": LR,
        "batch_size": BATCH,
        "output_gain": gain,
        "noise_decay_steps": 1 if decayed else 0,  # 1: at its end from the second step on; 0: it does not fall
    }
    config, _ = resolving.resolve(entry, base, item.fields)
    return entry, config


def on(row: Row, critic: Critic) -> Row:
    """A row on a critic: the ensemble of equal compute has as many actors as the critic's sizes say."""
    if row != EQUAL_COMPUTE:
        return row
    _, savo = resolved(SAVO_ROW, USUAL, decayed=False)
    return dataclasses.replace(row, text=f"ensemble:extra_actors={controls.equal_compute(savo, critic.spaces)}")


def variants(row: Row, gains: Iterable[float], decayed: bool) -> Iterator[tuple[Variant, algos.Entry, Any]]:
    """A row with every start, and with `decayed` every noise, that makes a difference to it."""
    seen = []
    for gain in gains:
        for falls in (False, True) if decayed else (False,):
            entry, config = resolved(row, gain, falls)
            fitted_to_acts = isinstance(config, NoiseConfig) and getattr(config, "surrogate", "") == "learned"
            noise = ("decayed" if falls else "constant") if fitted_to_acts else None
            variant = Variant(row, getattr(config, "output_gain", None), noise)
            if variant not in seen:
                seen.append(variant)
                yield variant, entry, config


def train(
    row: Row, entry: algos.Entry, config: Any, critic: Critic, plan: Plan
) -> tuple[list[dict[str, np.ndarray]], float]:
    """Train an agent on a frozen critic.

    Returns:
        What its proposals are worth at the start, after a quarter and a half of the updates and at the end, see
        `measured`; and the milliseconds of an update.
    """
    S = len(plan.seeds)
    streams = [Streams(seed) for seed in plan.seeds]
    rngs = [stream.init for stream in streams]
    if row.epsilon:
        error = row.epsilon * float(critic.span.mean())
        agent: Any = ErringSAVO(error, row.length, config, critic.spaces, rngs, CPU)
    else:
        agent = entry.agent(config, critic.spaces, rngs, CPU)
    critic.install(agent.critic)
    agent.update_critics = lambda *_: {}  # what is left is the frame's update without this step

    layout = Layout(critic.spaces, agent.stored_proto_actions, agent.stored_items)
    replay = Replay(S, plan.warmup + plan.updates, layout, CPU)
    shapes = agent.noise_shapes("act")
    process = exploration(config, shapes.pop("explore", None), S)
    explore, A = [stream.explore for stream in streams], critic.spaces.action_dim
    worth, seconds = [measured(agent, critic, plan)], 0.0
    for step in range(plan.warmup + plan.updates):
        obs = np.stack([stream.environment.uniform(-1, 1, critic.spaces.obs_dim) for stream in streams])
        action, proto_actions, items = np.zeros((S, A)), np.zeros((S, 0)), np.zeros((S, 0))
        if agent.stored_proto_actions:  # else an update sees contexts alone, and what was done there is no matter
            noise = standard_normal(explore, shapes, CPU) | {"explore": torch.from_numpy(process.sample(explore, step))}
            acted = agent.act(_float32(obs).unsqueeze(1), noise, explore=True)
            action, proto_actions = acted.action.squeeze(1).numpy(), acted.proto_actions.squeeze(1).numpy()
            if step < plan.warmup:
                action = np.stack([rng.uniform(-1, 1, A) for rng in explore])
        replay.add(layout.pack(obs, action, proto_actions, items, np.zeros(S), np.ones(S), obs))
        if step >= plan.warmup:
            batch = replay.sample([stream.replay for stream in streams], config.batch_size)
            noise = standard_normal([stream.update for stream in streams], agent.noise_shapes("update"), CPU)
            began = time.process_time()
            agent.update(batch, noise)
            seconds += time.process_time() - began
            if agent.updates in (plan.updates // 4, plan.updates // 2, plan.updates):
                worth.append(measured(agent, critic, plan))
    return worth, 1e3 * seconds / plan.updates


@torch.no_grad()
def measured(agent: Any, critic: Critic, plan: Plan) -> dict[str, np.ndarray]:
    """What the proposals without noise are worth, for every seed as a mean over contexts: (S,) each."""
    rngs = [evaluation_stream(seed, agent.updates) for seed in plan.seeds]
    shapes = {name: (CONTEXTS, *shape) for name, shape in agent.noise_shapes("evaluate").items()}  # for each context
    noise = standard_normal(rngs, shapes, CPU)
    actions = agent.snap(agent.propose(critic.contexts, noise, explore=False), noise).actions  # (S, B, K, A)
    q = critic.values(actions)
    chosen, _ = best(actions, q)
    return {
        "regret": (critic.maximum - q.amax(-1)).double().mean(1).numpy(),
        "first": (critic.maximum - q[..., 0]).double().mean(1).numpy(),
        "basin": critic.in_best_basin(chosen).double().mean(1).numpy(),
        "spread": mean_distance(actions).double().numpy() if actions.shape[2] > 1 else np.zeros(len(q)),
    }


def network_part(plan: Plan) -> Iterator[Work]:
    critic = NetworkCritic(plan.seeds, fitted(plan.fit_updates))
    gains = (USUAL,) if plan.quick else (SMALL, USUAL)
    yield from ((critic, row, gains, row in LEARNT and not plan.quick) for row in ROWS)


def landscapes_part(plan: Plan) -> Iterator[Work]:
    for dims, clustering in [(3, 0.8)] if plan.quick else itertools.product((1, 3, 10, 120), (0, 0.8)):
        critic = LandscapeCritic(plan.seeds, dims=dims, peaks=16, clustering=clustering)
        gains = (SMALL, USUAL) if (dims, clustering) == (3, 0.8) and not plan.quick else (USUAL,)
        yield from ((critic, row, gains, False) for row in ROWS)


def peaks_part(plan: Plan) -> Iterator[Work]:
    for peaks in (4, 64):
        critic = LandscapeCritic(plan.seeds, dims=3, peaks=peaks, clustering=0)
        yield from ((critic, row, (USUAL,), False) for row in (SINGLE, EQUAL_K, EQUAL_COMPUTE, SAVO_ROW, EXACT))


def actors_part(plan: Plan) -> Iterator[Work]:
    critic = LandscapeCritic(plan.seeds, dims=3, peaks=64, clustering=0.8)
    yield from ((critic, row, (USUAL,), False) for row in ACTORS)


def errors_part(plan: Plan) -> Iterator[Work]:
    critic = LandscapeCritic(plan.seeds, dims=3, peaks=16, clustering=0.8)
    yield from ((critic, row, (USUAL,), False) for row in ERRORS)


def searches_part(plan: Plan) -> Iterator[Work]:
    critics = [NetworkCritic(plan.seeds, fitted(plan.fit_updates))]
    critics += [LandscapeCritic(plan.seeds, dims=dims, peaks=16, clustering=0.8) for dims in (3, 10)]
    yield from ((critic, row, (USUAL,), False) for critic in critics for row in SEARCHES)


PARTS: dict[str, tuple[Callable[[Plan], Iterator[Work]], Row]] = {  # and the row with which the others are compared
    "network": (network_part, SAVO_ROW),
    "landscapes": (landscapes_part, SAVO_ROW),
    "peaks": (peaks_part, SAVO_ROW),
    "actors": (actors_part, next(row for row in ACTORS if row.text == "savo:extra_actors=3")),
    "errors": (errors_part, EXACT),
    "searches": (searches_part, SINGLE),
}
QUICK_PARTS = ("network", "landscapes")


@dataclass(frozen=True)
class Outcome:
    """A variant on a critic, with the values of every seed at the start, on the way and at the end."""

    variant: Variant
    critic: Critic
    worth: list[dict[str, np.ndarray]]
    ms: float

    @property
    def regret(self) -> np.ndarray:
        """At the end: (S,)."""
        return self.worth[-1]["regret"]

    @property
    def valid(self) -> bool:
        """Whether every regret is finite and none lies below 0 by more than rounding."""
        return bool(np.isfinite(self.regret).all() and (self.regret > -TOLERANCE * self.critic.span.numpy()).all())

    def compared(self, others: Sequence[Outcome], baseline: Row) -> Outcome | None:
        """Which outcome this one is compared with: of the same critic, start and noise; None if there is none."""
        gain, noise = self.variant.gain or USUAL, self.variant.noise or "constant"
        for other in others:
            same = other.variant.gain == gain and (other.variant.noise or "constant") == noise
            if other.critic is self.critic and other.variant.row == baseline and same and other is not self:
                return other
        return None

    def record(self, others: Sequence[Outcome], baseline: Row) -> dict[str, Any]:
        """What JSON holds of it."""
        variant, end = self.variant, self.worth[-1]
        other = self.compared(others, baseline)
        return {
            "critic": self.critic.label,
            **dataclasses.asdict(variant.row),
            "output_gain": variant.gain,
            "noise": variant.noise,
            "regret": interval(self.regret),
            "regret % of span": interval(100 * self.regret / self.critic.span.numpy()),
            "regret on the way": [round(float(worth["regret"].mean()), 5) for worth in self.worth],
            "regret of the first": interval(end["first"]),
            "best basin %": interval(100 * end["basin"]),
            "spread": [round(float(worth["spread"].mean()), 5) for worth in self.worth],
            f"minus {baseline.label}": interval(self.regret - other.regret) if other else None,
            "ms": round(self.ms, 2),
        }

    def rows(self, part: str, plan: Plan) -> Iterator[dict[str, Any]]:
        """What CSV holds of it: a row per seed."""
        variant = self.variant
        for index, seed in enumerate(plan.seeds):
            values = {name: round(float(value[index]), 6) for name, value in self.worth[-1].items()}
            start = {"start_regret": round(float(self.worth[0]["regret"][index]), 6)}
            names = {"part": part, "critic": self.critic.label, "row": variant.row.label, "algorithm": variant.row.text}
            yield {**names, "output_gain": variant.gain, "noise": variant.noise, "seed": seed, **values, **start}


def interval(values: np.ndarray) -> dict[str, float]:
    """A mean over seeds with its 95 % bootstrap interval."""
    low, high = bootstrap([values], mean, np.random.default_rng(0), resamples=RESAMPLES)
    return {"mean": round(float(values.mean()), 5), "low": round(low, 5), "high": round(high, 5)}


def shown(records: Sequence[dict[str, Any]], baseline: Row, title: str) -> Table:
    """The records of one critic."""
    compared = f"minus {baseline.label}"
    table = Table(title=title)
    for column in (
        "",
        "gain",
        "noise",
        "regret",
        "95 %",
        "% of span",
        "basin %",
        "first",
        "spread",
        compared,
        "95 %",
        "ms",
    ):
        table.add_column(column, justify="left" if column in ("", "noise") else "right")
    for record in records:
        table.add_row(
            record["label"],
            "" if record["output_gain"] is None else f"{record['output_gain']:g}",
            record["noise"] or "",
            *_texts(record["regret"], 3),
            f"{record['regret % of span']['mean']:.1f}",
            f"{record['best basin %']['mean']:.0f}",
            f"{record['regret of the first']['mean']:.3f}",
            f"{record['spread'][0]:.2f} to {record['spread'][-1]:.2f}",
            *(_texts(record[compared], 3) if record[compared] else ("", "")),
            f"{record['ms']:.1f}",
        )
    return table


def _texts(found: dict[str, float], digits: int) -> tuple[str, str]:
    return f"{found['mean']:.{digits}f}", f"[{found['low']:.{digits}f}, {found['high']:.{digits}f}]"


def write(prefix: Path, part: str, record: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Put a part into PREFIX.json and PREFIX.csv, in the place of what they have of it."""
    as_json, as_csv = prefix.with_name(f"{prefix.name}.json"), prefix.with_name(f"{prefix.name}.csv")
    whole = json.loads(as_json.read_text("utf-8")) if as_json.exists() else {}
    as_json.write_text(json.dumps(whole | {part: record}, indent=1) + "\n", "utf-8")
    table = pd.DataFrame(list(rows))
    if as_csv.exists():
        known = pd.read_csv(as_csv)
        table = pd.concat([known[known["part"] != part], table])
    table.to_csv(as_csv, index=False, lineterminator="\n")


def tables(prefix: Path) -> str:
    """Regrets in % of the span as Markdown: a table for every part in PREFIX.json, a column for every critic in it.

    A critic that was measured from both starts has two columns. Rows with noise that has fallen are left out.
    """
    parts = json.loads(prefix.with_name(f"{prefix.name}.json").read_text("utf-8"))
    found = []
    for part in (part for part in PARTS if part in parts):
        rows = [row for row in parts[part]["rows"] if row["noise"] != "decayed"]
        small = {row["critic"] for row in rows if row["output_gain"] == SMALL}
        cells: dict[str, dict[str, str]] = {}
        for row in rows:
            name, values = row["critic"].removeprefix("landscape "), row["regret % of span"]
            text = f"{values['mean']:.1f} [{values['low']:.1f}, {values['high']:.1f}]"
            gains = [SMALL, USUAL] if row["output_gain"] is None else [row["output_gain"]]
            columns = [f"{name}, gain {gain:g}" for gain in gains] if row["critic"] in small else [name]
            cells.setdefault(row["label"], {}).update(dict.fromkeys(columns, text))
        frame = pd.DataFrame.from_dict(cells, orient="index").fillna("")
        frame = frame.reset_index(names="regret in % of the span")
        found.append(markdown_table(frame, list(frame.columns[1:])))
    return "\n\n".join(found)


def measure(part: str, plan: Plan, console: Console, out: Path | None) -> tuple[list[Outcome], list[str]]:
    """Measure a part, show it critic by critic, and write it as far as it is.

    Returns:
        The outcomes, and a line for each row that this version of the product does not have.
    """
    work, baseline = PARTS[part]
    outcomes: list[Outcome] = []
    left_out: list[str] = []
    hardware = one_core.hardware()
    for critic, several in itertools.groupby(work(plan), key=lambda each: each[0]):
        began = time.perf_counter()
        for _, row, gains, decayed in several:
            row = on(row, critic)
            try:
                for variant, entry, config in variants(row, gains, decayed):
                    outcomes.append(Outcome(variant, critic, *train(row, entry, config, critic, plan)))
            except UserError as error:
                left_out.append(str(error))
        records = [outcome.record(outcomes, baseline) for outcome in outcomes]
        of_critic = [record for record in records if record["critic"] == critic.label]
        console.print(shown(of_critic, baseline, f"{part}: {critic.label} ({critic.about})"))
        console.print(f"{time.perf_counter() - began:.0f} seconds")
        if out:
            critics = {outcome.critic.label: outcome.critic.about for outcome in outcomes}
            made = {"hardware": hardware, "plan": dataclasses.asdict(plan), "critics": critics, "rows": records}
            write(out, part, made, [row for outcome in outcomes for row in outcome.rows(part, plan)])
    return outcomes, list(dict.fromkeys(left_out))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", help=f"some of {','.join(PARTS)}; all by default")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of actors, and of landscapes")
    parser.add_argument("--updates", type=int, default=UPDATES)
    parser.add_argument(
        "--quick", action="store_true", help="two critics, 3 seeds, 100 updates, the network not fitted well"
    )
    parser.add_argument("--out", type=Path, metavar="PREFIX", help="write PREFIX.json and PREFIX.csv")
    parser.add_argument("--tables", action="store_true", help="print the tables of PREFIX.json, and measure nothing")
    given = parser.parse_args()
    if given.tables:
        if not given.out:
            parser.error("--tables: needs --out PREFIX")
        print(tables(given.out))
        return 0
    parts = given.parts.split(",") if given.parts else list(QUICK_PARTS if given.quick else PARTS)
    for part in parts:
        if part not in PARTS:
            parser.error(f"--parts {part}: choose from {', '.join(PARTS)}")
    for name, least in (("seeds", 2), ("updates", 4)):
        if getattr(given, name) < least:
            parser.error(f"--{name} {getattr(given, name)}: must be at least {least}")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as the training loop does
    plan = Plan(tuple(range(given.seeds)), given.updates, FIT_UPDATES, WARMUP)
    if given.quick:
        plan = Plan(tuple(range(3)), 100, 1_000, 100, quick=True)
    console = Console(width=170, highlight=False)
    wrong, left_out = 0, []
    for part in parts:
        outcomes, missing = measure(part, plan, console, given.out)
        left_out += missing
        for outcome in outcomes:
            if not outcome.valid:
                wrong += 1
                print(f"{part}: {outcome.critic.label}: {outcome.variant}: regrets {outcome.regret}", file=sys.stderr)
    for line in dict.fromkeys(left_out):
        print(f"left out: {line}", file=sys.stderr)
    return 1 if wrong or left_out else 0


if __name__ == "__main__":
    sys.exit(main())
