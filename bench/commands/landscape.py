"""`bench landscape`: what each actor of a trained policy does to Q, in states that the policy visits.

The states are those of the run's last evaluation, played again: on a CPU they are the same to the last digit. In one
dimension Q is drawn over the whole box. In more it is drawn in a plane, through the first proposal, the executed one
and the highest point found, or along two chosen dimensions. On a catalogue it is drawn over the items, sorted by Q.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from savo_bench import envs
from savo_bench.algos import maxima
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.agent import Noise
from savo_bench.algos.maxima import Maxima
from savo_bench.algos.ruggedness import of_surrogates
from savo_bench.algos.slices import q_slice, surrogate_slices
from savo_bench.bench import finished, show
from savo_bench.bench.errors import MACHINE, UserError
from savo_bench.results import landscapes, plots
from savo_bench.results.files import replacing, said
from savo_bench.results.format import label
from savo_bench.results.landscape_plots import landscape_figure
from savo_bench.results.landscapes import Count, Kind, Landscape, Point, Surrogate

LINE = 801  # ours: points in one dimension, about as many as a printed column has dots
PLANE = 81  # ours: points along each side of a plane; more are not seen in a panel of 4 cm
ITEMS = 2_000  # ours: of a larger catalogue so many are drawn, beside those that are proposed
MARGIN = 0.25  # ours: of a plane beyond its points, in shares of their extent
LEAST_SIDE = 0.5  # ours: of a plane whose points lie close together, in units of the maximal action
APART = 1e-3  # ours: nearer points are one, and farther ones do not lie in a plane; in units of the maximal action
WELL_APART = 0.2  # ours: a tenth of a side of the box; a plane through nearer points has a direction by chance
SEARCHED = 256  # ours: visited states, at equal distances, among which the largest gaps are looked for


@dataclass(frozen=True)
class View:
    """Which actions of a state are drawn, and where.

    Attributes:
        kind: See `Landscape`; so are x, y and axes.
        actions: (N, A), in a plane (M N, A), row by row.
        places: Of each proposal: x, y, and whether it lies in what is drawn.
        top: The place of the highest point.
        highest: The largest Q that was found.
        lowest: The smallest one.
        maxima: Of Q; None on a catalogue.
    """

    kind: Kind
    axes: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    actions: np.ndarray
    places: list[tuple[float, float, bool]]
    top: tuple[float, float, bool]
    highest: float
    lowest: float
    maxima: Maxima | None


def draw(
    root: Path,
    env: str,
    algo: str,
    seed: int | None,
    console: Console,
    *,
    state: str | None,
    states: int,
    dims: str | None,
    out: Path | None,
) -> None:
    """Draw landscapes of a finished seed, of the lowest one if `seed` is None; print the gaps of its proposals.

    Args:
        root: The folder of a name.
        env: The environment, as for `bench run`.
        algo: The variant, as for `bench run`.
        seed: Which one.
        console: Where to print.
        state: Numbers of steps of the last evaluation, separated by commas; `gap` for those with the largest gaps;
            None for some at equal distances.
        states: How many, where no numbers are given.
        dims: The two dimensions of the plane, separated by a comma; None for a plane through proposals.
        out: The figure's file; None for landscapes.svg and .png beside the policy.

    Raises:
        UserError: there is no such policy or state, or the figure cannot be written.
    """
    if out is not None and out.suffix[1:] not in plots.KINDS:
        raise UserError(f"--out {out}: must end in {' or '.join(f'.{kind}' for kind in plots.KINDS)}")
    if out is not None and not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    torch.set_num_threads(1)  # both as in training, so that the same bits come out
    torch.set_flush_denormal(True)
    chosen, spec = finished.find(root, env, algo, seed)
    task = envs.make(spec["environment"]["name"], evaluation=True, **spec["environment"]["keywords"])
    agent = finished.agent_of(chosen.folder, spec, task, critics=True)
    if not isinstance(agent, ActorCritic):
        raise UserError(f"--algo {algo}: is not built on algos.actor_critic, so nothing is known of its critics")
    pair = None if dims is None else _dims(dims, agent)
    takes = finished.perform(chosen.folder, spec, 1, agent)
    visited, noise = finished.visited(takes), finished.last_noise(agent, chosen.seed, spec)
    numbers = _states(agent, visited, noise, state, states)
    found = [_landscape(agent, task, visited[:, [number]], noise, number, pair) for number in numbers]
    task.close()

    figure = landscape_figure(found)
    files = [out] if out else [chosen.folder.landscapes.with_suffix(suffix) for suffix in (".svg", ".png")]
    try:
        landscapes.write(chosen.folder, found)
        for file in files:
            with replacing(file, durable=False) as opened:
                opened.write(plots.content(figure, file.suffix[1:]))
    except OSError as error:
        raise UserError(f"cannot write {said(error)}", exit_code=MACHINE) from None
    _tell(console, found)
    what = f"{spec['algorithm']['variant']} on {label(spec['environment']['name'], spec['environment']['keywords'])}"
    show.line(console, f"landscapes of {what}, seed {chosen.seed}: {', '.join(map(str, files))}")


def _states(agent: ActorCritic, visited: Tensor, noise: Noise, state: str | None, states: int) -> list[int]:
    """The numbers of the states to draw, of those that were visited (1, B, O)."""
    B = visited.shape[1]
    if states < 1:
        raise UserError(f"--states {states}: must be at least 1")
    if state is None:
        return finished.evenly(B, states)
    if state == "gap":
        searched = finished.evenly(B, SEARCHED)
        gaps = [_gap(agent, visited[:, [number]], noise) for number in searched]
        largest = sorted(range(len(searched)), key=lambda index: -gaps[index])[:states]
        return sorted(searched[index] for index in largest)
    try:
        numbers = [int(number) for number in state.split(",")]
    except ValueError:
        raise UserError(f"--state {state}: must be gap, or whole numbers such as 0,250") from None
    for number in numbers:
        if not 0 <= number < B:
            raise UserError(f"--state {number}: the last evaluation has the steps 0 to {B - 1}")
    return numbers


def _gap(agent: ActorCritic, obs: Tensor, noise: Noise) -> float:
    """The gap of the best proposal in a state (1, 1, O)."""
    proposals = agent.snap(agent.propose(obs, noise, explore=False), noise).actions
    return float(maxima.gaps(agent.critic.first, obs, proposals, agent.catalogue, states=1)["best_gap"])


def _dims(text: str, agent: ActorCritic) -> tuple[int, int]:
    A = agent.spaces.action_dim
    if agent.catalogue is not None or A == 1:
        kind = "items" if agent.catalogue is not None else "one dimension"
        raise UserError(f"--dims {text}: has no meaning where actions are {kind}")
    try:
        first, second = (int(number) for number in text.split(","))
    except ValueError:
        raise UserError(f"--dims {text}: must be two dimensions, such as 0,1") from None
    if first == second or not (0 <= first < A and 0 <= second < A):
        raise UserError(f"--dims {text}: must be two different dimensions from 0 to {A - 1}")
    return first, second


def _landscape(
    agent: ActorCritic, task: gym.Env, obs: Tensor, noise: Noise, state: int, dims: tuple[int, int] | None
) -> Landscape:
    """The landscape of one state (1, 1, O)."""
    proto_actions = agent.propose(obs, noise, explore=False)
    proposals = agent.snap(proto_actions, noise)
    q_proposals = q_slice(agent, obs, proposals.actions)[0, 0].tolist()
    chosen = int(agent.act(obs, noise, explore=False).chosen)
    if agent.catalogue is not None:
        assert proposals.items is not None
        view = _of_items(agent, obs, proposals.items[0, 0].numpy())
    else:
        view = _of_box(agent, obs, proposals.actions[0, 0].numpy(), chosen, dims)
    outside = (np.abs(view.actions) > 1).any(-1) if agent.catalogue is None else np.zeros(len(view.actions), bool)

    def shaped(values: np.ndarray) -> np.ndarray:
        values = np.where(outside, np.nan, values)
        return values.reshape(len(view.y), len(view.x)) if view.kind == "plane" else values

    points = torch.from_numpy(view.actions.astype(np.float32))[None, None]
    found = surrogate_slices(agent, obs, proto_actions, proposals.actions, points)
    counts: dict[int, tuple[Count, Count]] = {}  # of Ψ and of Ψ̂, by the actor
    if view.maxima is not None:
        of_each = of_surrogates(agent, obs, proposals.actions, view.maxima.span)
        counts = {each.actor: (_count(each.exact), _count(each.learnt)) for each in of_each}
    valid = _valid(task, view.actions)
    highest = max(view.highest, *q_proposals)
    x, y, inside = view.top if highest == view.highest else view.places[int(np.argmax(q_proposals))]
    return Landscape(
        state=state,
        kind=view.kind,
        x=view.x,
        y=view.y,
        axes=view.axes,
        q=shaped(q_slice(agent, obs, points)[0, 0].numpy()),
        valid=valid.reshape(len(view.y), len(view.x)) if valid.size and view.kind == "plane" else valid,
        proposals=tuple(Point(x, y, q, inside) for (x, y, inside), q in zip(view.places, q_proposals, strict=True)),
        chosen=chosen,
        highest=Point(x, y, highest, inside),
        lowest=min(view.lowest, *q_proposals),
        maxima=None if view.maxima is None else _count(view.maxima),
        surrogates=tuple(
            Surrogate(
                each.actor,
                None if each.floor is None else float(each.floor),
                shaped(each.exact[0, 0].numpy()),
                shaped(each.learnt[0, 0].numpy()),
                *counts.get(each.actor, ()),
            )
            for each in found
        ),
    )


def _count(found: Maxima) -> Count:
    """The numbers of maxima of one state."""
    return Count(int(found.number()), int(found.number_on_border()))


def _of_items(agent: ActorCritic, obs: Tensor, proposed: np.ndarray) -> View:
    """The items of a catalogue from the highest Q to the lowest; the proposed ones (K,) are among them."""
    assert agent.catalogue is not None
    count = len(agent.catalogue)
    even = np.linspace(0, count - 1, min(count, ITEMS)).round().astype(int)
    items = np.union1d(even, proposed)
    vectors = agent.catalogue[torch.from_numpy(items)]
    q = q_slice(agent, obs, vectors[None, None])[0, 0].numpy()
    order = np.argsort(-q, kind="stable")
    rank = np.empty(len(items))
    rank[order] = np.arange(len(items))
    return View(
        kind="items",
        axes=("items, sorted by Q₁" if len(items) == count else f"{len(items)} of {count} items, sorted by Q₁",),
        x=np.arange(len(items), dtype=float),
        y=np.empty(0),
        actions=vectors.numpy()[order],
        places=[(float(rank[np.searchsorted(items, item)]), 0.0, True) for item in proposed],
        top=(0.0, 0.0, True),
        highest=float(q.max()),
        lowest=float(q.min()),
        maxima=None,
    )


def _of_box(agent: ActorCritic, obs: Tensor, proposals: np.ndarray, chosen: int, dims: tuple[int, int] | None) -> View:
    """A line over actions of one dimension, or a plane through more, beside proposals (K, A)."""
    found = maxima.of_critic(agent.critic.first, obs, agent.spaces.action_dim)
    highest = float(found.highest)
    lowest = highest - float(found.span)
    ends = found.actions[0, 0].numpy()
    top = ends[int(found.values.argmax())]
    if agent.spaces.action_dim == 1:
        x = np.linspace(-1, 1, LINE)
        places = [(float(action[0]), 0.0, True) for action in proposals]
        at = (float(top[0]), 0.0, True)
        return View("line", ("action",), x, np.empty(0), x[:, None], places, at, highest, lowest, found)
    if dims is None:
        plane = Plane.through(proposals[0], [proposals[chosen], top, *proposals])
        places = [plane.place(action) for action in proposals]
        x, y = _sides([*(place for place in places if place[2]), plane.place(top)])
        axes = "in the plane of the proposals", ""
    else:
        origin = proposals[chosen].copy()
        origin[list(dims)] = 0
        plane = Plane(origin, np.eye(len(origin))[list(dims)])
        places = [plane.place(action) for action in proposals]
        x = y = np.linspace(-1, 1, PLANE)
        axes = f"action {dims[0]}", f"action {dims[1]}"
    across, up = (side.reshape(-1, 1) for side in np.meshgrid(x, y))
    actions = plane.origin + across * plane.sides[0] + up * plane.sides[1]
    return View("plane", axes, x, y, actions, places, plane.place(top), highest, lowest, found)


@dataclass(frozen=True)
class Plane:
    """A plane through a box: a point of it (A,), and two directions (2, A), which are orthonormal."""

    origin: np.ndarray
    sides: np.ndarray

    @classmethod
    def through(cls, origin: np.ndarray, points: list[np.ndarray]) -> Plane:
        """The plane through a point and the first two others that lie well apart.

        Where there are fewer it goes through the middle of the box, and then along dimensions: proposals often lie on
        the border, and a plane that leaves the box beside them would show nothing.
        """
        sides: list[np.ndarray] = []
        for direction in [*(point - origin for point in points), -origin, *np.eye(len(origin))]:
            rest = direction - sum(side * (side @ direction) for side in sides)
            if np.linalg.norm(rest) > WELL_APART and len(sides) < 2:
                sides.append(rest / np.linalg.norm(rest))
        return cls(origin, np.array(sides))

    def place(self, action: np.ndarray) -> tuple[float, float, bool]:
        """The place in the plane that is nearest to an action (A,), and whether the action lies in the plane."""
        x, y = self.sides @ (action - self.origin)
        nearest = self.origin + x * self.sides[0] + y * self.sides[1]
        return float(x), float(y), bool(np.linalg.norm(nearest - action) < APART)


def _sides(places: list[tuple[float, float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    """A square round these places, as the coordinates of PLANE points along each side."""
    corners = np.array([place[:2] for place in places])
    low, high = corners.min(0), corners.max(0)
    side = max(LEAST_SIDE, (1 + 2 * MARGIN) * float((high - low).max()))
    x, y = (np.linspace(middle - side / 2, middle + side / 2, PLANE) for middle in (low + high) / 2)
    return x, y


def _valid(task: gym.Env, actions: np.ndarray) -> np.ndarray:
    """Which actions (N, A) the environment executes, bool (N,); empty where it executes all."""
    try:
        is_valid = task.get_wrapper_attr("is_valid")
    except AttributeError:
        return np.empty(0, bool)
    return np.array([bool(is_valid(action)) for action in actions.astype(np.float32)])


def _tell(console: Console, found: list[Landscape]) -> None:
    """Print how many maxima Q and the surrogates have in each state, and how far proposals are below the highest Q."""
    columns = (
        "state",
        "maxima of Q₁",
        "on the border",
        "Q₁ of the first",
        "of the executed",
        "highest",
        "gap of the first",
        "of the executed",
    )
    table = show.table(*columns, numbers=columns)
    for each in found:
        first, executed = each.proposals[0].q, each.proposals[each.chosen].q
        gaps = (f"{100 * each.gap(index):.1f} %" for index in (0, each.chosen))
        table.add_row(
            str(each.state), *_shown(each.maxima), *map(show.decimal, (first, executed, each.highest.q)), *gaps
        )
    console.print(table)
    rows = [
        (str(each.state), str(surrogate.index), *_shown(surrogate.exact_maxima), *_shown(surrogate.learnt_maxima))
        for each in found
        for surrogate in each.surrogates
        if surrogate.exact_maxima is not None
    ]
    if rows:
        columns = "state", "actor", "maxima of Ψ", "on the border", "maxima of Ψ̂", "on the border"
        table = show.table(*columns, numbers=columns)
        for row in rows:
            table.add_row(*row)
        console.print(table)


def _shown(count: Count | None) -> tuple[str, str]:
    return ("–", "–") if count is None else (str(count.number), str(count.border))
