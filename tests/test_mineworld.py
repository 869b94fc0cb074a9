"""The mine field: its tools, its rewards by hand, and the scripted expert."""

import itertools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from savo_bench import envs
from savo_bench.envs.mineworld import AHEAD, GOAL, NO_MINE, START, WALL, WIDTH, MineWorld, layout, plan

RIGHT, DOWN, LEFT, UP = range(4)
SEEDS = range(20)


def make(**keywords: Any) -> MineWorld:
    env = envs.make("mineworld", **keywords).unwrapped
    assert isinstance(env, MineWorld)
    return env


def tool(world: MineWorld, start: int, end: int) -> int:
    return 4 + world.layout.tools.index((start, end))


def empty_world(seed: int = 0) -> MineWorld:
    """A world without mines."""
    world = make()
    world.reset(seed=seed)
    world.cells = [kind if kind == WALL else NO_MINE for kind in world.cells]
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_there_are_fifteen_guaranteed_tools_and_thirty_five_others(seed: int):
    tools = layout(seed).tools
    assert len(tools) == len(set(tools)) == 50
    first, second, others = tools[:7], tools[7:15], tools[15:]
    assert [start for start, _ in first] == list(range(7))
    assert second == tuple((start, 15) for start in range(7, 15))
    for start, end in (*first, *others):
        assert 0 <= start <= 6
        assert 7 <= end <= 14


@pytest.mark.parametrize("seed", SEEDS)
def test_every_mine_can_be_removed(seed: int):
    tools = layout(seed).tools
    removable = {15}
    for _ in range(2):  # layer 1 in one go, layer 0 in two
        removable |= {start for start, end in tools if end in removable}
    assert removable == set(range(16))


def test_other_tools_are_drawn_evenly():
    drawn = np.zeros((7, 8))
    layouts = 400
    for seed in range(layouts):
        for start, end in layout(seed).tools:
            if end != NO_MINE:
                drawn[start, end - 7] += 1
    # 42 of 56 pairs, every one as often as another: 300 with a standard deviation of some 8.7
    assert drawn.sum() == 42 * layouts
    assert np.abs(drawn / layouts - 0.75).max() < 0.75 * 0.12


def test_mines_lie_on_seven_of_ten_cells_but_never_on_start_or_goal():
    counts = np.zeros(WIDTH * WIDTH)
    for seed in range(400):
        counts[list(layout(seed).mines)] += 1
    assert counts[START] == counts[GOAL] == 0
    inside = counts[counts > 0] / 400
    assert len(inside) == 62
    assert inside.mean() == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / 400 / 62))
    assert np.abs(inside - 0.7).max() < 0.1  # 4.4 standard deviations
    world = make()
    world.reset(seed=0)
    assert {cell for cell, kind in enumerate(world.cells) if kind == WALL} == {
        row * WIDTH + column for row in range(10) for column in range(10) if {row, column} & {0, 9}
    }


def test_types_are_drawn_at_each_reset_and_places_are_not():
    world, types = make(layout_seed=2), np.zeros(15)
    world.reset(seed=0)
    for _ in range(300):
        world.reset()
        mines = [cell for cell, kind in enumerate(world.cells) if kind < NO_MINE]
        assert tuple(mines) == world.layout.mines
        types += np.bincount([world.cells[cell] for cell in mines], minlength=15)
    share = types / types.sum()
    assert np.abs(share - 1 / 15).max() < 4.5 * np.sqrt(1 / 15 / types.sum())


def test_item_vectors_say_where_a_move_goes_and_what_a_tool_does():
    drawn = layout(0)
    vectors = drawn.item_vectors
    assert vectors.shape == (54, 4)
    np.testing.assert_allclose(vectors[:4, :2], [[1, -1], [1, -1 / 3], [1, 1 / 3], [1, 1]], atol=1e-6)
    np.testing.assert_array_equal(vectors[:4, 2:], -1)
    np.testing.assert_array_equal(vectors[4:, :2], -1)
    for (start, end), vector in zip(drawn.tools, vectors[4:], strict=True):
        np.testing.assert_allclose(vector[2:], [2 * start / 14 - 1, 2 * end / 15 - 1], atol=1e-6)


def test_another_seed_is_another_layout_and_another_process_draws_the_same(run_python):
    assert layout(0).mines != layout(1).mines
    assert layout(0).tools != layout(1).tools
    there = run_python("import test_mineworld as t; print(t.layout(5)[:2])", Path(__file__).parent)
    assert there.stdout.strip() == str(layout(5)[:2]), there.stderr


def test_a_move_turns_and_goes_where_it_is_free():
    world = empty_world()
    world.cells[START + 1] = 3
    obs, reward, *_ = world.step(np.int64(RIGHT))  # a mine
    assert (world.position, world.heading, reward) == (START, RIGHT, 0)
    obs, reward, *_ = world.step(np.int64(UP))  # a wall
    assert (world.position, world.heading, reward) == (START, UP, 0)
    assert obs[2] == 1
    obs, reward, *_ = world.step(np.int64(DOWN))
    assert (world.position, world.heading) == (START + WIDTH, DOWN)
    assert reward == pytest.approx(0.2)
    obs, reward, *_ = world.step(np.int64(UP))
    assert world.position == START
    assert reward == pytest.approx(-0.2)


def test_a_tool_acts_on_the_cell_in_front_if_it_fits():
    world = empty_world()
    middle, end = world.layout.tools[2]
    assert middle == 2
    world.cells[START + 1] = 2
    world.cells[START + WIDTH] = end
    _, reward, *_ = world.step(np.int64(tool(world, end, 15)))  # fits the mine below, which is not in front
    assert (world.cells[START + 1], world.cells[START + WIDTH], reward) == (2, end, 0)
    _, reward, *_ = world.step(np.int64(tool(world, 2, end)))
    assert world.cells[START + 1] == end
    assert reward == pytest.approx(0.05)
    _, reward, *_ = world.step(np.int64(tool(world, end, 15)))
    assert world.cells[START + 1] == NO_MINE
    assert reward == pytest.approx(0.1)
    _, reward, *_ = world.step(np.int64(tool(world, end, 15)))
    assert reward == 0
    assert world.position == START


def test_no_tool_opens_a_wall_or_moves():
    world = empty_world()
    world.step(np.int64(UP))
    before = list(world.cells)
    for action in range(4, 54):
        _, reward, *_ = world.step(np.int64(action))
        assert reward == 0
    assert world.cells == before
    assert world.position == START


@pytest.mark.parametrize("detour", [0, 3])
def test_the_goal_is_worth_less_the_later_it_is_reached(detour: int):
    world = empty_world()
    total = 0.0
    for action in [UP] * detour + [RIGHT] * 7 + [DOWN] * 6:
        _, reward, terminated, truncated, info = world.step(np.int64(action))
        assert (terminated, truncated, info["success"]) == (False, False, False)
        total += reward
    assert total == pytest.approx(13 * 0.2)
    _, reward, terminated, truncated, info = world.step(np.int64(DOWN))
    assert (terminated, truncated, info["success"]) == (True, False, True)
    assert reward == pytest.approx(0.2 + 30 * (1 - 0.9 * (14 + detour) / 101))


def test_an_episode_does_not_depend_on_the_one_before():
    world, returns = make(), []
    for _ in range(2):
        world.reset(seed=1)
        returns.append(sum(float(world.step(np.int64(action))[1]) for action in plan(world)))
    assert returns[0] == returns[1] > 20


def test_observation_by_hand():
    world = empty_world()
    world.position, world.heading = 3 * WIDTH + 4, UP  # third row, fourth column
    world.cells[2 * WIDTH + 4] = 9
    world.cells[3 * WIDTH + 5] = 14
    obs, *_ = world.step(np.int64(53))  # whatever this tool is: it fits layer 0 alone
    expected = np.zeros(23, np.float32)
    expected[:3] = 3 / 7, 2 / 7, 1
    expected[3:7] = 0, 1, 1, 0  # right, down, left, up
    expected[7 + 9] = 1
    np.testing.assert_array_equal(obs, expected)
    obs, *_ = world.step(np.int64(tool(world, 9, 15)))
    expected[6], expected[7 + 9], expected[7 + 15] = 1, 0, 1
    np.testing.assert_array_equal(obs, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_expert_reaches_the_goal(seed: int):
    env = envs.make("mineworld", layout_seed=seed)
    world = env.unwrapped
    assert isinstance(world, MineWorld)
    rng = np.random.default_rng(seed)
    for episode in range(10):
        env.reset(seed=episode)
        for _ in range(episode % 4 * 8):  # also from where somebody else left off
            env.step(rng.integers(54))
        actions = plan(world)
        for number, action in enumerate(actions, 1):
            before = list(world.cells)
            *_, terminated, truncated, info = env.step(np.int64(action))
            assert action < 4 or world.cells != before  # no tool is wasted
            assert info["success"] is terminated is (number == len(actions))
            assert not truncated


def best_return(world: MineWorld, horizon: int) -> float:
    """The highest return within some steps, from all sequences of actions that change anything."""
    layer = {(tuple(world.cells), world.position, world.heading): 0.0}
    elapsed, best = world.elapsed, 0.0
    for step in range(horizon):
        following: dict[Any, float] = {}
        for (cells, position, heading), total in layer.items():
            tools = enumerate(world.layout.tools, 4)
            fitting = [index for index, (start, _) in tools if start == cells[position + AHEAD[heading]]]
            for action in (*range(4), *fitting):
                world.cells, world.position, world.heading = list(cells), position, heading
                world.elapsed = elapsed + step
                _, reward, terminated, _, _ = world.step(np.int64(action))
                if terminated:
                    best = max(best, total + reward)
                else:
                    state = (tuple(world.cells), world.position, world.heading)
                    following[state] = max(following.get(state, -np.inf), total + reward)
        layer = following
    return best


@pytest.mark.parametrize("seed", range(8))
def test_no_other_way_brings_more_than_the_expert_s(seed: int):
    """In a corner of two rows and three columns, by trying everything."""
    rng = np.random.default_rng(seed)
    corner = [row * WIDTH + column for row in (7, 8) for column in (6, 7, 8)]
    world = make()
    world.reset(seed=seed)
    world.cells = [NO_MINE if cell in corner else WALL for cell in range(WIDTH * WIDTH)]
    for cell in rng.choice(corner[1:-1], 3, replace=False):
        world.cells[cell] = int(rng.integers(15))
    world.position, world.heading = corner[0], int(rng.integers(4))
    cells, heading = list(world.cells), world.heading
    expected = best_return(world, 11)
    world.cells, world.position, world.heading, world.elapsed = cells, corner[0], heading, 0
    assert sum(float(world.step(np.int64(action))[1]) for action in plan(world)) == pytest.approx(expected)


def test_a_picture_shows_walls_mines_goal_and_agent():
    env = envs.make("mineworld", render_mode="rgb_array")
    env.reset(seed=0)
    world = env.unwrapped
    assert isinstance(world, MineWorld)
    picture: Any = env.render()
    assert picture.shape == (320, 320, 3)
    assert picture.dtype == np.uint8

    def tile(cell: int) -> np.ndarray:
        row, column = divmod(cell, WIDTH)
        return picture[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]

    looks: dict[int, set[bytes]] = {}
    for cell, kind in enumerate(world.cells):
        if cell not in (START, GOAL) and (kind == WALL or kind <= NO_MINE):
            looks.setdefault(kind, set()).add(tile(cell).tobytes())
    assert len(looks) > 10
    assert all(len(look) == 1 for look in looks.values())  # a type has one look,
    assert len(set(itertools.chain(*looks.values()))) == len(looks)  # and no two types the same
    standing = {tile(START).tobytes()}
    for action in (UP, LEFT, DOWN):  # walls, and a mine or a free cell
        world.position = START
        env.step(np.int64(action))
        world.position = START
        picture = env.render()
        standing.add(tile(START).tobytes())
    assert len(standing) == 4
    assert envs.make("mineworld").unwrapped.render() is None


def test_gymnasium_finds_nothing_wrong_with_the_pictures():
    check_env(gym.make("SavoBench/MineWorld-v0").unwrapped)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"layout_seed": 1.5}, r"layout_seed=1.5: must be a whole number from 0 to 4294967295"),
        ({"layout": 1}, r"mineworld: unknown keyword 'layout'; did you mean layout_seed\?"),
        ({"render_mode": "human"}, r"render_mode='human': must be rgb_array"),
    ],
)
def test_a_wrong_keyword_gets_one_clear_line(keywords: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as caught:
        envs.make("mineworld", **keywords)
    assert "\n" not in str(caught.value)
