"""`bench landscape`: what each actor of a trained policy does to Q, in states that the policy visits.

The states are those of the run's last evaluation, played again: on a CPU they are the same to the last digit. In one
dimension Q is drawn over the whole box. In more it is drawn in a plane, through the first proposal, the executed one
and the highest point found, or along two chosen dimensions. On a catalogue it is drawn over the items, sorted by Q.

A film has a picture for each policy that was kept on the way, of the same states and the same actions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from savo_bench.algos import maxima
from savo_bench.algos.actor_critic import ActorCritic
from savo_bench.algos.agent import Noise
from savo_bench.algos.maxima import Maxima
from savo_bench.algos.ruggedness import of_surrogates
from savo_bench.algos.slices import q_slice, surrogate_slices
from savo_bench.bench import film, finished, show
from savo_bench.bench.errors import MACHINE, NEGATIVE, UserError
from savo_bench.bench.run_directory import reading
from savo_bench.results import landscapes, plots
from savo_bench.results.files import replacing, said
from savo_bench.results.format import label
from savo_bench.results.landscape_plots import landscape_figure, landscape_pictures
from savo_bench.results.landscapes import Count, Kind, Landscape, Point, Surrogate

LINE = 801  # ours: points in one dimension, about as many as a printed column has dots
PLANE = 81  # ours: points along each side of a plane; more are not seen in a panel of 4 cm
ITEMS = 2_000  # ours: of a larger catalogue so many are drawn, beside those that are proposed
MARGIN = 0.25  # ours: of a plane beyond its points, in shares of their extent
LEAST_SIDE = 0.5  # ours: of a plane whose points lie close together, in units of the maximal action
APART = 1e-3  # ours: nearer points are one, and farther ones do not lie in a plane; in units of the maximal action
WELL_APART = 0.2  # ours: a tenth of a side of the box; a plane through nearer points has a direction by chance
PER_SECOND = 2.0  # ours: pictures of a film; each can be looked at
PALETTE = 8  # ours: pictures whose colours a GIF has; they are held side by side
LAST = 4  # ours: how many times more the last picture of a film is shown
SEARCHED = 256  # ours: visited states, at equal distances, among which the largest gaps are looked for


Place = tuple[float, float, bool]  # of an action in a picture: x, y, and whether it lies in what is drawn


@dataclass(frozen=True)
class View:
    """Which actions of a state are drawn, and where.

    Attributes:
        kind: See `Landscape`; so are x, y and axes.
        actions: (N, A), in a plane (M N, A), row by row.
        place: The place of an action (A,), on a catalogue of an item by its number.
    """

    kind: Kind
    axes: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    actions: np.ndarray
    place: Callable[[Any], Place]


@dataclass(frozen=True)
class Seen:
    """What a policy does in one state, and in a box what was found of its Q there.

    Attributes:
        proto_actions: Of the actors (1, 1, K, A).
        proposals: What the critics value (1, 1, K, A): the same in a box, on a catalogue the items' vectors.
        places: What `View.place` takes, of each proposal: (K, A), on a catalogue items (K,).
        chosen: The index of the executed one.
        maxima: None on a catalogue.
    """

    proto_actions: Tensor
    proposals: Tensor
    places: np.ndarray
    chosen: int
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
    filmed: bool,
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
        filmed: Whether to write a film over the policies that were kept on the way, and no figure.
        out: The file; None for landscapes.svg and .png, or for a film landscapes.mp4 or .gif, beside the policy.

    Raises:
        UserError: there is no such policy or state, or the file cannot be written.
    """
    if filmed and out is not None:
        with reading():
            film.check(out)
    elif out is not None and out.suffix[1:] not in plots.KINDS:
        raise UserError(f"--out {out}: must end in {' or '.join(f'.{kind}' for kind in plots.KINDS)}")
    elif out is not None and not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.parent}")
    torch.set_num_threads(1)  # both as in training, so that the same bits come out
    torch.set_flush_denormal(True)
    chosen, spec = finished.find(root, env, algo, seed)
    what = f"{spec['algorithm']['variant']} on {label(spec['environment']['name'], spec['environment']['keywords'])}"
    what = f"{what}, seed {chosen.seed}"
    with contextlib.closing(finished.Policies(chosen)) as policies:
        if filmed and len(policies.steps) == 1:
            raise UserError(
                f"{what} kept no policies on the way, so there is nothing to film: "
                "train it under another --name with `bench run --keep-policies N`",
                exit_code=NEGATIVE,
            )
        pair = None if dims is None else _dims(dims, policies.agent)
        visit = policies.visit(policies.steps[-1])
        numbers = _states(policies.agent, visit.states, visit.noise, state, states)
        if filmed:
            path = out or chosen.folder.landscapes.with_suffix(film.suffix())
            _film(policies, visit, numbers, pair, path, console)
            show.line(console, f"landscapes of {what} over training: {path} ({show.size(path.stat().st_size)})")
            return
        found = [_still(policies, visit, number, pair) for number in numbers]

    figure = landscape_figure(found)
    files = [out] if out else [chosen.folder.landscapes.with_suffix(suffix) for suffix in (".svg", ".png")]
    try:
        landscapes.write(chosen.folder, found)
        for file in files:
            with replacing(file, durable=False) as opened:
                opened.write(plots.content(figure, file.suffix[1:]))
    except OSError as error:
        raise UserError(f"cannot write {said(error)}", exit_code=MACHINE) from None
    _tell(console, {policies.steps[-1]: found})
    show.line(console, f"landscapes of {what}: {', '.join(map(str, files))}")


def _still(policies: finished.Policies, visit: finished.Visit, number: int, dims: tuple[int, int] | None) -> Landscape:
    """The landscape of the policy that is loaded, in the visited state of that number."""
    obs = visit.states[:, [number]]
    seen = _seen(policies.agent, obs, visit.noise)
    return _landscape(policies, obs, number, seen, _view(policies.agent, obs, seen, dims))


def _film(
    policies: finished.Policies,
    visit: finished.Visit,
    numbers: Sequence[int],
    dims: tuple[int, int] | None,
    path: Path,
    console: Console,
) -> None:
    """Write the film of some visited states over the policies of a seed, and print their gaps.

    What is drawn of a state is chosen by the final policy, and is the same in all pictures.
    """
    obs = {number: visit.states[:, [number]] for number in numbers}
    seen: dict[int, list[Seen]] = {}  # by step of the training
    for step in policies.steps:
        policies.load(step)
        seen[step] = [_seen(policies.agent, obs[number], visit.noise) for number in numbers]
    final = seen[policies.steps[-1]]
    views = [
        _view(policies.agent, obs[number], final[index], dims, [each[index] for each in seen.values()])
        for index, number in enumerate(numbers)
    ]
    found: dict[int, list[Landscape]] = {}
    for step in policies.steps:
        policies.load(step)
        found[step] = [
            _landscape(policies, obs[number], number, each, view)
            for number, each, view in zip(numbers, seen[step], views, strict=True)
        ]
    pictures = landscape_pictures(found)
    some = [pictures[index] for index in finished.evenly(len(pictures), PALETTE)]
    with film.writing(path, PER_SECOND, palette_of=np.concatenate(some)) as add:
        for picture in pictures + pictures[-1:] * LAST:
            add(picture)
    _tell(console, found)


def _states(agent: ActorCritic, visited: Tensor, noise: Noise, state: str | None, states: int) -> list[int]:
    """The numbers of the states to draw, of those that were visited (1, B, O)."""
    B = visited.shape[1]
    if states < 1:
        raise UserError(f"--states {states}: must be at least 1")
    if state is None:
        return finished.evenly(B, states)
    if state == "gap":
        searched = finished.evenly(B, SEARCHED)
        obs, critic = visited[:, searched], agent.critic.first
        with torch.no_grad():
            proposals = agent.snap(agent.propose(obs, noise, explore=False), noise).actions
        found = maxima.found_in(critic, obs, agent.spaces.action_dim, agent.catalogue)
        gaps = maxima.gap_of_each(critic, obs, proposals, found)[0].amin(-1).tolist()
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


def _seen(agent: ActorCritic, obs: Tensor, noise: Noise) -> Seen:
    """What a policy does in one state (1, 1, O)."""
    proto_actions = agent.propose(obs, noise, explore=False)
    proposals = agent.snap(proto_actions, noise)
    return Seen(
        proto_actions,
        proposals.actions,
        (proposals.actions if proposals.items is None else proposals.items)[0, 0].numpy(),
        int(agent.act(obs, noise, explore=False).chosen),
        None if agent.catalogue is not None else maxima.of_critic(agent.critic.first, obs, agent.spaces.action_dim),
    )


def _landscape(policies: finished.Policies, obs: Tensor, state: int, seen: Seen, view: View) -> Landscape:
    """The landscape of one state (1, 1, O) as the policy that is loaded sees it."""
    agent = policies.agent
    q_proposals = q_slice(agent, obs, seen.proposals)[0, 0].tolist()
    outside = (np.abs(view.actions) > 1).any(-1) if agent.catalogue is None else np.zeros(len(view.actions), bool)

    def shaped(values: np.ndarray) -> np.ndarray:
        values = np.where(outside, np.nan, values)
        return values.reshape(len(view.y), len(view.x)) if view.kind == "plane" else values

    points = torch.from_numpy(view.actions.astype(np.float32))[None, None]
    q = q_slice(agent, obs, points)[0, 0].numpy()
    if seen.maxima is None:
        top = float(view.x[q.argmax()]), 0.0, True
        highest, lowest = float(q.max()), float(q.min())
        counts: dict[int, tuple[Count, Count]] = {}  # of Ψ and of Ψ̂, by the actor
    else:
        top = view.place(_top(seen.maxima))
        highest = float(seen.maxima.highest)
        lowest = highest - float(seen.maxima.span)
        of_each = of_surrogates(agent, obs, seen.proposals, seen.maxima.span)
        counts = {each.actor: (_count(each.exact), _count(each.learnt)) for each in of_each}
    places = [view.place(proposal) for proposal in seen.places]
    if max(q_proposals) > highest:
        highest, top = max(q_proposals), places[int(np.argmax(q_proposals))]
    x, y, inside = top
    valid = _valid(policies.task, view.actions)
    return Landscape(
        state=state,
        kind=view.kind,
        x=view.x,
        y=view.y,
        axes=view.axes,
        q=shaped(q),
        valid=valid.reshape(len(view.y), len(view.x)) if valid.size and view.kind == "plane" else valid,
        proposals=tuple(Point(x, y, q, inside) for (x, y, inside), q in zip(places, q_proposals, strict=True)),
        chosen=seen.chosen,
        highest=Point(x, y, highest, inside),
        lowest=min(lowest, *q_proposals),
        maxima=None if seen.maxima is None else _count(seen.maxima),
        surrogates=tuple(
            Surrogate(
                each.actor,
                None if each.floor is None else float(each.floor),
                shaped(each.exact[0, 0].numpy()),
                shaped(each.learnt[0, 0].numpy()),
                *counts.get(each.actor, ()),
            )
            for each in surrogate_slices(agent, obs, seen.proto_actions, seen.proposals, points)
        ),
    )


def _count(found: Maxima) -> Count:
    """The numbers of maxima of one state."""
    return Count(int(found.number()), int(found.number_on_border()))


def _top(found: Maxima) -> np.ndarray:
    """The highest point (A,) that was found in one state."""
    return found.actions[0, 0, int(found.values.argmax())].numpy()


def _view(
    agent: ActorCritic, obs: Tensor, seen: Seen, dims: tuple[int, int] | None, others: Sequence[Seen] = ()
) -> View:
    """What is drawn of a state (1, 1, O); on a catalogue also the items that other policies propose there."""
    if seen.maxima is None:
        proposed = np.concatenate([each.places for each in (seen, *others)])
        return _items(agent, obs, proposed, "final Q₁" if others else "Q₁")
    whose = "final proposals" if others else "proposals"
    return _box(seen.places, seen.chosen, _top(seen.maxima), dims, whose)


def _items(agent: ActorCritic, obs: Tensor, proposed: np.ndarray, by: str) -> View:
    """The items of a catalogue from the highest Q, which is called `by`, to the lowest; with the proposed ones."""
    assert agent.catalogue is not None
    count = len(agent.catalogue)
    even = np.linspace(0, count - 1, min(count, ITEMS)).round().astype(int)
    items = np.union1d(even, proposed)
    vectors = agent.catalogue[torch.from_numpy(items)]
    q = q_slice(agent, obs, vectors[None, None])[0, 0].numpy()
    order = np.argsort(-q, kind="stable")
    rank = {item: float(at) for at, item in enumerate(items[order].tolist())}
    return View(
        kind="items",
        axes=(f"{'items' if len(items) == count else f'{len(items)} of {count} items'}\nsorted by {by}",),
        x=np.arange(len(items), dtype=float),
        y=np.empty(0),
        actions=vectors.numpy()[order],
        place=lambda item: (rank[int(item)], 0.0, True),
    )


def _box(proposals: np.ndarray, chosen: int, top: np.ndarray, dims: tuple[int, int] | None, whose: str) -> View:
    """A line over actions of one dimension, or a plane through more, beside proposals (K, A) and the highest (A,).

    `whose` is what these proposals are called.
    """
    if proposals.shape[1] == 1:
        x = np.linspace(-1, 1, LINE)
        return View("line", ("action",), x, np.empty(0), x[:, None], lambda action: (float(action[0]), 0.0, True))
    if dims is None:
        plane = Plane.through(proposals[0], [proposals[chosen], top, *proposals])
        places = [plane.place(action) for action in proposals]
        x, y = _sides([*(place for place in places if place[2]), plane.place(top)])
        axes = f"in the plane\nof the {whose}", ""
    else:
        origin = proposals[chosen].copy()
        origin[list(dims)] = 0
        plane = Plane(origin, np.eye(len(origin))[list(dims)])
        x = y = np.linspace(-1, 1, PLANE)
        axes = f"action {dims[0]}", f"action {dims[1]}"
    across, up = (side.reshape(-1, 1) for side in np.meshgrid(x, y))
    actions = plane.origin + across * plane.sides[0] + up * plane.sides[1]
    return View("plane", axes, x, y, actions, plane.place)


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

    def place(self, action: np.ndarray) -> Place:
        """The place in the plane that is nearest to an action (A,), and whether the action lies in the plane."""
        x, y = self.sides @ (action - self.origin)
        nearest = self.origin + x * self.sides[0] + y * self.sides[1]
        return float(x), float(y), bool(np.linalg.norm(nearest - action) < APART)


def _sides(places: list[Place]) -> tuple[np.ndarray, np.ndarray]:
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


def _tell(console: Console, found: Mapping[int, Sequence[Landscape]]) -> None:
    """Print how many maxima Q and the surrogates have in each state, and how far proposals are below the highest Q.

    `found` has the landscapes of policies by their steps of the training, which are named where there are several.
    """
    names = ["trained for"] * (len(found) > 1) + ["state"]
    drawn = [
        ([show.thousands(step)] * (len(found) > 1) + [str(each.state)], each)
        for step, of_step in found.items()
        for each in of_step
    ]
    columns = (
        *names,
        "maxima of Q₁",
        "on the border",
        "Q₁ of the first",
        "of the executed",
        "highest",
        "gap of the first",
        "of the executed",
    )
    table = show.table(*columns, numbers=columns)
    for numbers, each in drawn:
        first, executed = each.proposals[0].q, each.proposals[each.chosen].q
        gaps = (f"{100 * each.gap(index):.1f} %" for index in (0, each.chosen))
        values = map(show.decimal, (first, executed, each.highest.q))
        table.add_row(*numbers, *_shown(each.maxima), *values, *gaps)
    console.print(table)
    columns = (*names, "actor", "maxima of Ψ", "on the border", "maxima of Ψ̂", "on the border")
    table = show.table(*columns, numbers=columns)
    for numbers, each in drawn:
        for surrogate in each.surrogates:
            if surrogate.exact_maxima is not None:
                counts = *_shown(surrogate.exact_maxima), *_shown(surrogate.learnt_maxima)
                table.add_row(*numbers, str(surrogate.index), *counts)
    if table.row_count:
        console.print(table)


def _shown(count: Count | None) -> tuple[str, str]:
    return ("–", "–") if count is None else (str(count.number), str(count.border))
