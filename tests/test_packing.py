"""Which seeds are trained together, and in which order."""

from small_cells import cells, one, opted

from savo_bench.bench import packing
from savo_bench.bench.packing import Todo


def packed(number: int, *, names: str = "td3", device: str = "cpu", workers: int = 1, **given) -> list[tuple[int, ...]]:
    todo = [Todo(cell, seed, 0) for cell in cells(algos=names) for seed in range(number)]
    return [pack.seeds for pack in packing.packs(todo, opted(**given), device, workers)]


def test_seeds_of_a_cell_go_together_up_to_ten():
    assert packed(10) == [tuple(range(10))]
    assert sorted(map(len, packed(25))) == [8, 8, 9]
    assert packed(4, pack=3) == [(0, 1), (2, 3)]
    assert packed(10, device="cuda", workers=4) == [tuple(range(10))]


def test_few_cells_are_split_so_that_all_workers_get_work():
    assert sorted(map(len, packed(10, workers=4))) == [2, 2, 3, 3]
    assert sorted(map(len, packed(2, workers=8))) == [1, 1]
    assert len(packed(10, names="td3,td3:lr=0.1", workers=2)) == 2  # as many cells as workers: whole
    assert packed(10, workers=4, pack=10) == [tuple(range(10))]  # asked for


def test_the_longest_pack_comes_first():
    todo = [Todo(cell, 0, 0) for cell in cells(algos="td3,savo,savo:extra_actors=9")]
    order = [pack.cell.variant for pack in packing.packs(todo, opted(), "cpu", 1)]
    assert order == ["savo:extra_actors=9", "savo", "td3"]


def test_seeds_at_different_steps_go_apart():
    cell = one()
    todo = [Todo(cell, 0, 0), Todo(cell, 1, 500), Todo(cell, 2, 0), Todo(cell, 3, 500)]
    assert sorted(pack.seeds for pack in packing.packs(todo, opted(), "cpu", 1)) == [(0, 2), (1, 3)]


def test_on_a_gpu_an_interrupted_pack_comes_back_as_it_was():
    cell = one()
    todo = [Todo(cell, seed, 500, pack=(0, 1) if seed < 2 else (2, 3)) for seed in range(4)]
    assert sorted(pack.seeds for pack in packing.packs(todo, opted(), "cuda", 1)) == [(0, 1), (2, 3)]
    assert [pack.seeds for pack in packing.packs(todo, opted(), "cpu", 1)] == [(0, 1, 2, 3)]
