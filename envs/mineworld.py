"""A mine field with tools: cross it, and clear the way with the right one of 50 tools, or with two in a row.

A tool turns a mine of one type into another type or into none, and it acts on the cell in front. The catalogue of
actions is 4 moves and 50 tools; their vectors say which way a move goes and what a tool turns into what.

Numbers and rules are those of the SAVO authors' code (`USC-Lira/Q3C@4a5456b`, `large_rl/envs/`). Ours is how an
observation is written: position and heading are scaled to [0, 1], and the last of the 16 flags of the cell in front
says that there is no mine, whether it was removed, never was there, or a wall is (which the free flags tell).
"""

import functools
import heapq
import operator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from savo_bench.envs.registry import environment
from savo_bench.envs.values import integer, picture_mode

SIZE = 8  # code: cells in a row, inside the walls
MINE_PROBABILITY = 0.7  # code
UPPER, LOWER = range(7), range(7, 15)  # code: the types of layer 0 and of layer 1
NO_MINE = 15  # code: the type of what is removed
WALL = 16  # ours
MOVES = 4  # code: right, down, left, up
TOOLS = 50  # code
TOOL_REWARD = 0.05  # code: for a tool that fits
REMOVAL_REWARD = 0.05  # code: besides, for a mine that is gone
APPROACH_REWARD = 0.2  # code: per cell of Manhattan distance to the goal
GOAL_REWARD = 30.0  # code: times 1 - .9 t/101 at step t
GOAL_DECAY = 0.9 / 101  # code
STEPS = 100  # code
LAYOUT_SEED = 0  # ours
CELL_PIXELS = 32  # ours

WIDTH = SIZE + 2  # cells are numbered row by row, with the walls round them
START, GOAL = WIDTH + 1, SIZE * WIDTH + SIZE
AHEAD = (1, WIDTH, -1, -WIDTH)  # from a cell to its neighbour, by heading
OBSERVATION = 3 + MOVES + NO_MINE + 1  # x, y, heading; free neighbours; what is in front


class Layout(NamedTuple):
    """What stays the same from episode to episode.

    Attributes:
        mines: The cells that hold a mine at reset.
        tools: (start, end), the types that each tool turns into each other. The first 15 are the guaranteed ones.
        item_vectors: (54, 4) float32 in [-1, 1], the moves before the tools; nobody can write to it.
    """

    mines: tuple[int, ...]
    tools: tuple[tuple[int, int], ...]
    item_vectors: NDArray[np.float32]


@functools.cache
def layout(seed: int, /) -> Layout:
    """Draw the mines' places and the tools: the same object whenever a process asks for it again."""
    rng = np.random.default_rng(seed)
    places = [cell for cell, kind in enumerate(_EMPTY) if kind != WALL and cell not in (START, GOAL)]
    mines = tuple(cell for cell in places if rng.random() < MINE_PROBABILITY)
    guaranteed = [(start, int(rng.choice(LOWER))) for start in UPPER] + [(start, NO_MINE) for start in LOWER]
    others = [(start, end) for start in UPPER for end in LOWER if (start, end) not in guaranteed]
    drawn = rng.choice(len(others), TOOLS - len(guaranteed), replace=False)
    tools = (*guaranteed, *(others[index] for index in drawn))

    moves = [(1, heading / (MOVES - 1), 0, 0) for heading in range(MOVES)]
    rows = np.array([*moves, *((0, 0, start / NO_MINE, end / NO_MINE) for start, end in tools)])
    low, high = rows.min(axis=0), rows.max(axis=0)
    item_vectors = (2 * (rows - low) / (high - low) - 1).astype(np.float32)
    item_vectors.setflags(write=False)
    return Layout(mines, tools, item_vectors)


class MineWorld(gym.Env[np.ndarray, np.int64]):
    """Observes (23,) and acts by an index of 4 moves and 50 tools.

    A move turns the agent, and takes it forward if the cell ahead is free then. `info["success"]` says whether the
    goal is reached; then the episode terminates.

    Attributes:
        item_vectors: (54, 4) float32; the same object for every copy in a process.
        layout: What stays the same.
        cells: The type in each cell, row by row with the walls: 0..14 a mine, 15 none, 16 a wall.
        position, heading, elapsed: The agent's cell, its heading 0..3, and how many steps were taken.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, layout_seed: int = LAYOUT_SEED, render_mode: str | None = None) -> None:
        self.render_mode = picture_mode(render_mode)
        self.layout = layout(integer("layout_seed", layout_seed, 0, 2**32 - 1))
        self.item_vectors = self.layout.item_vectors
        self.action_space = gym.spaces.Discrete(len(self.item_vectors))
        self.observation_space = gym.spaces.Box(0.0, 1.0, (OBSERVATION,), np.float32)
        self.cells = list(_EMPTY)
        self.position, self.heading, self.elapsed = START, 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Draw the mines' types."""
        super().reset(seed=seed, options=options)
        self.cells = list(_EMPTY)
        mines = self.layout.mines
        for cell, kind in zip(mines, self.np_random.integers(NO_MINE, size=len(mines)).tolist(), strict=True):
            self.cells[cell] = kind
        self.position, self.heading, self.elapsed = START, 0, 0
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move or use a tool.

        Raises:
            ValueError: There is no such action.
        """
        index = operator.index(action)
        if not 0 <= index < MOVES + TOOLS:
            raise ValueError(f"action={action}: must be an index from 0 to {MOVES + TOOLS - 1}")
        self.elapsed += 1
        reward = 0.0
        if index < MOVES:
            self.heading = index
            ahead = self.position + AHEAD[index]
            if self.cells[ahead] == NO_MINE:
                reward = APPROACH_REWARD * (_distance(self.position) - _distance(ahead))
                self.position = ahead
        else:
            start, end = self.layout.tools[index - MOVES]
            ahead = self.position + AHEAD[self.heading]
            if self.cells[ahead] == start:
                self.cells[ahead] = end
                reward = _tool_reward(end)
        reached = self.position == GOAL
        if reached:
            reward += GOAL_REWARD * (1 - GOAL_DECAY * self.elapsed)
        return self._observation(), reward, reached, False, {"success": reached}

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The field as a picture (320, 320, 3), or None without a `render_mode`.

        Walls are dark and the goal is green. Mines of layer 0 are red squares, those of layer 1 blue ones; the pale
        bars in them number the type within its layer. The agent is the triangle that points where it heads.
        """
        if self.render_mode is None:
            return None
        picture = np.empty((WIDTH, WIDTH, CELL_PIXELS, CELL_PIXELS, 3), np.uint8)
        picture[:] = _FLOOR
        picture[:, :, -1] = picture[:, :, :, -1] = _GRID
        for cell, kind in enumerate(self.cells):
            tile = picture[divmod(cell, WIDTH)]
            if kind == WALL:
                tile[:] = _WALL_COLOUR
            elif kind != NO_MINE:
                _draw_mine(tile, kind)
        picture[divmod(GOAL, WIDTH)][3:-4, 3:-4] = _GOAL_COLOUR
        picture[divmod(self.position, WIDTH)][_ARROWS[self.heading]] = _AGENT_COLOUR
        return np.ascontiguousarray(picture.swapaxes(1, 2)).reshape(WIDTH * CELL_PIXELS, WIDTH * CELL_PIXELS, 3)

    def _observation(self) -> NDArray[np.float32]:
        cells, position = self.cells, self.position
        row, column = divmod(position, WIDTH)
        obs = np.zeros(OBSERVATION, np.float32)
        obs[0] = (column - 1) / (SIZE - 1)
        obs[1] = (row - 1) / (SIZE - 1)
        obs[2] = self.heading / (MOVES - 1)
        for heading, step in enumerate(AHEAD):
            if cells[position + step] == NO_MINE:
                obs[3 + heading] = 1
        obs[3 + MOVES + min(cells[position + AHEAD[self.heading]], NO_MINE)] = 1  # a wall is no mine
        return obs


def plan(world: MineWorld) -> list[int]:
    """The actions that bring the most reward from here on: a scripted expert, which sees every mine's type.

    Dijkstra's search over positions and headings. A step costs what it takes off the reward at the goal, and a tool
    brings its own back, though never as much: nothing off the way is worth doing. The way to a cell with a mine is a
    turn, the tools that remove it, and a move; as every mine can be removed, there always is a way.
    """
    tools = world.layout.tools
    removals = _removals(tools)
    queue: list[tuple[float, int, int, tuple[int, ...]]] = [(0.0, world.position, world.heading, ())]
    settled: set[tuple[int, int]] = set()
    while True:
        cost, position, heading, actions = heapq.heappop(queue)
        if position == GOAL:
            return list(actions)
        if (position, heading) in settled:
            continue
        settled.add((position, heading))
        for turn, step in enumerate(AHEAD):
            kind = world.cells[position + step]
            if kind == WALL:
                continue
            removal = removals[kind]
            way = (*removal, turn) if turn == heading or not removal else (turn, *removal, turn)
            brought = sum(_tool_reward(tools[action - MOVES][1]) for action in removal)
            price = GOAL_REWARD * GOAL_DECAY * len(way) - brought
            heapq.heappush(queue, (cost + price, position + step, turn, actions + way))


@environment(
    "mineworld",
    id="SavoBench/MineWorld-v0",
    tags=("discrete",),
    max_episode_steps=STEPS,
    metrics={"success": "max"},
    step_seconds=1 / 622_000,  # ours: docs/environments.md
)
def mineworld(*, layout_seed: int = LAYOUT_SEED, render_mode: str | None = None) -> gym.Env:
    """Mine field on a grid: 4 moves, and 50 tools that turn a mine into another or remove it."""
    return MineWorld(layout_seed, render_mode)


def _removals(tools: tuple[tuple[int, int], ...]) -> dict[int, tuple[int, ...]]:
    """For each type the fewest actions that remove it, none for what is no mine."""
    removals: dict[int, tuple[int, ...]] = {NO_MINE: ()}
    found = [NO_MINE]
    for kind in found:  # it grows: from what is removed back to what turns into that
        for action, (start, end) in enumerate(tools, MOVES):
            if end == kind and start not in removals:
                removals[start] = (action, *removals[kind])
                found.append(start)
    return removals


def _tool_reward(end: int) -> float:
    return TOOL_REWARD + REMOVAL_REWARD * (end == NO_MINE)


def _distance(cell: int) -> int:
    """Manhattan distance to the goal; nothing lies beyond the goal's row and column but walls."""
    return (GOAL // WIDTH - cell // WIDTH) + (GOAL % WIDTH - cell % WIDTH)


def _inside(cell: int) -> bool:
    row, column = divmod(cell, WIDTH)
    return 1 <= row <= SIZE and 1 <= column <= SIZE


_EMPTY = [NO_MINE if _inside(cell) else WALL for cell in range(WIDTH * WIDTH)]

# Colours and shapes of `render`, ours.
_FLOOR, _GRID, _WALL_COLOUR = (236, 234, 228), (214, 211, 203), (64, 66, 74)
_UPPER_COLOUR, _LOWER_COLOUR, _BAR_COLOUR = (196, 78, 62), (62, 112, 178), (250, 246, 236)
_GOAL_COLOUR, _AGENT_COLOUR = (92, 168, 96), (34, 34, 40)


def _draw_mine(tile: NDArray[np.uint8], kind: int) -> None:
    """Draw into the tile: a square with as many bars as its number in its layer, from 1, in two rows of four."""
    tile[3:-4, 3:-4] = _UPPER_COLOUR if kind in UPPER else _LOWER_COLOUR
    for bar in range((kind - UPPER.start if kind in UPPER else kind - LOWER.start) + 1):
        row, column = divmod(bar, 4)
        tile[7 + 10 * row : 14 + 10 * row, 6 + 5 * column : 9 + 5 * column] = _BAR_COLOUR


def _arrows() -> list[NDArray[np.bool_]]:
    """Which pixels of a tile belong to the agent, by heading."""
    away, across = np.mgrid[:CELL_PIXELS, :CELL_PIXELS]
    middle = (CELL_PIXELS - 2) / 2
    up = (away >= 6) & (away <= 25) & (2.2 * np.abs(across - middle) <= away - 6)
    return [np.rot90(up, turns) for turns in (3, 2, 1, 0)]


_ARROWS = _arrows()
