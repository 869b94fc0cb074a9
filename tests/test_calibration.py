"""Estimates that are corrected by what has finished on this machine."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_cells import opted
from test_frame import rewrite_status

from savo_bench.bench import calibration, cost, estimate, processor, resolving
from savo_bench.bench.cells import Pack
from savo_bench.bench.commands import run as verb
from savo_bench.bench.launch.local import Local
from savo_bench.bench.room import Memory
from savo_bench.results import files
from savo_bench.results.format import SeedFolder


def cell_of(algos: str = "td3", env: str = "inverted-pendulum"):
    (cell,) = resolving.cells(opted(algos=algos, envs=env, profile="quick"))
    return cell


def finished(root: Path, cell, wall: float, cpu: float | None = None, seeds=(0, 1), model=None, device="cpu") -> None:
    """A pack of seeds that took `wall` and `cpu` times what the model says."""
    expected = cost.pack_seconds(Pack(cell, seeds, root, "cpu", 300, "local"))
    for seed in seeds:
        folder = SeedFolder.of(root, cell.env_label, cell.variant, seed)
        folder.write_run(cell.spec(seed), {"cpu": model or processor.name(), "device": device})
        status = {"state": "done", "step": 1, "steps": 1, "seconds": wall * expected, "owner": {"pack": list(seeds)}}
        files.write_json(
            folder.status_json, status | ({} if cpu is None else {"cpu_seconds": cpu * expected / len(seeds)})
        )


def test_what_has_finished_here_gives_the_ratio_of_the_nearest_cells(tmp_path):
    td3, savo, hopper = cell_of(), cell_of("savo"), cell_of("td3", "restricted-hopper")
    assert calibration.of_runs(tmp_path, [td3], "cpu").ratio(td3) == 1
    finished(tmp_path / "a", td3, wall=3.0, cpu=2.0)
    finished(tmp_path / "b", savo, wall=5.0)
    found = calibration.of_runs(tmp_path, [td3, savo, hopper], "cpu")
    assert found.ratio(td3) == pytest.approx(3)
    assert found.ratio(td3, cpu=True) == pytest.approx(2)
    assert found.ratio(savo) == pytest.approx(5)
    assert found.ratio(savo, cpu=True) == pytest.approx(2)  # of the same environment
    assert found.ratio(hopper) == pytest.approx(3)  # of the same algorithm
    pack = Pack(td3, (5, 6, 7), tmp_path, "cpu", 300, "local")
    assert found.seconds(pack, 100) == pytest.approx(3 * cost.pack_seconds(pack, 100))


def test_only_seeds_that_finished_on_this_processor_and_device_count(tmp_path):
    td3 = cell_of()
    finished(tmp_path / "a", td3, wall=9.0, model="another")
    finished(tmp_path / "b", td3, wall=9.0, device="cuda")
    finished(tmp_path / "c", td3, wall=9.0)
    for seed in (0, 1):
        folder = SeedFolder.of(tmp_path / "c", td3.env_label, td3.variant, seed)
        rewrite_status(folder, state="interrupted")
    damaged = SeedFolder.of(tmp_path / "d", td3.env_label, td3.variant, 0)
    damaged.path.mkdir(parents=True)
    damaged.run_json.write_text("{")
    assert calibration.of_runs(tmp_path, [td3], "cpu").samples == []
    assert calibration.of_runs(tmp_path / "none", [td3], "cpu").samples == []


def test_a_training_of_a_moment_says_nothing(tmp_path):
    td3 = cell_of()
    finished(tmp_path / "a", td3, wall=1e-3)
    assert calibration.of_runs(tmp_path, [td3], "cpu").ratio(td3) == 1


def test_the_estimate_of_a_grid_is_what_such_seeds_took_here(tmp_path):
    options = opted(
        envs="inverted-pendulum", profile="quick", seeds="2", workers=1, runs=tmp_path, device="cpu", pack=2
    )
    grid = replace(verb.prepare(options, Local(options)), memory=Memory(None, ""))
    states = grid.look()
    packs, todo = grid.packs(states), grid.todo(states)
    model = estimate._needs(grid, packs, todo)
    finished(tmp_path / "before", grid.cells[0], wall=3.0, cpu=2.0)
    again = replace(grid)
    assert again.calibration.ratio(grid.cells[0]) == pytest.approx(3)
    needs = estimate._needs(again, packs, todo)
    start = estimate.forecast.START_UP
    assert needs.wall - start == pytest.approx(3 * (model.wall - start))
    assert needs.seconds - start == pytest.approx(2 * (model.seconds - start))
    assert "time by 2 seeds that finished on this machine" in estimate.lines(again, packs, todo)[0][0]


def test_the_parts_of_a_pack_are_the_whole():
    pack = Pack(cell_of(), (0, 1, 2), Path(), "cpu", 300, "local")
    budget, parts = pack.cell.budget, cost.parts(pack)
    evaluations = budget.steps / budget.eval_every
    whole = budget.steps * parts.step + cost.learning_steps(pack.cell) * parts.update + evaluations * parts.evaluation
    assert whole == pytest.approx(cost.pack_seconds(pack))
