"""The estimate before a training, and what is said or refused where there is too little memory or disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from small_cells import opted

from savo_bench.bench import estimate, room
from savo_bench.bench.commands import run as verb
from savo_bench.bench.errors import UserError
from savo_bench.bench.grid import Grid
from savo_bench.bench.launch.local import Local
from savo_bench.bench.launch.slurm.options import SlurmOptions
from savo_bench.bench.room import Disk, Memory

PLENTY = Disk(10**15, "is free in /disk")


@pytest.fixture(autouse=True)
def disk(monkeypatch):
    """Let the disk have so much space, and the shell allow any file."""

    def has(bytes_: int, largest: int | None = None) -> None:
        monkeypatch.setattr(room, "free_disk", lambda _: Disk(bytes_, "is free in /disk"))
        monkeypatch.setattr(room, "largest_file", lambda: largest)

    has(10**15)
    return has


def grid_of(root: Path, **given) -> Grid:
    usual = {"envs": "inverted-pendulum", "profile": "quick", "seeds": "4", "workers": 2, "runs": root, "device": "cpu"}
    options = opted(**usual | given)
    return verb.prepare(options, Local(options))


def needs(grid: Grid) -> estimate.Needs:
    states = grid.look()
    return estimate._needs(grid, grid.packs(states), grid.todo(states))


def said(grid: Grid) -> list[str]:
    states = grid.look()
    return [text for text, _ in estimate.lines(grid, grid.packs(states), grid.todo(states))]


def test_memory_and_disk_are_in_the_estimate(tmp_path):
    (text,) = said(replace(grid_of(tmp_path), memory=Memory(None, "is free here")))
    assert text.startswith("estimate: ")
    assert "; memory " in text
    assert " with 2 workers; disk " in text


def test_workers_share_their_libraries(tmp_path):
    found = needs(grid_of(tmp_path))
    assert found.memory(1) == max(found.processes)
    assert found.memory(1) < found.memory(2) < 2 * found.memory(1)


def test_too_little_memory_is_a_warning_before_training(tmp_path):
    grid = grid_of(tmp_path)
    needed = needs(grid).memory(2)
    assert len(said(replace(grid, memory=Memory(2 * needed, "is free here")))) == 1
    line = said(replace(grid, memory=Memory(needed // 2, "is free here")))[1]
    assert line.startswith("warning: about ")
    assert "is free here: take fewer --workers" in line


def test_a_task_that_asks_for_too_little_memory_is_a_warning(tmp_path):
    asked = {
        text: SlurmOptions(mem=text).memory for text in ("100M", "100", "64G", "2GB", "1T", "512k", "0", "all", None)
    }
    assert asked["100"] == asked["100M"] == 100 * 2**20
    assert asked["64G"] == 64 * 2**30
    assert asked["2GB"] == 2 * 2**30
    assert asked["1T"] == 2**40
    assert asked["512k"] == 2**19
    assert asked["0"] is asked["all"] is asked[None] is None
    grid = grid_of(tmp_path)
    text, line = said(replace(grid, memory=Memory(asked["100M"], "--mem 100M", packs=1)))
    assert " of a task; disk " in text
    assert line.startswith("warning: about ")
    assert "of memory is needed by a task, which has --mem 100M: ask for more" in line
    assert len(said(replace(grid, memory=Memory(asked["64G"], "--mem 64G", packs=1)))) == 1


def test_a_disk_that_is_too_small_is_refused_with_what_to_do(tmp_path, disk):
    grid = grid_of(tmp_path)
    needed = needs(grid).missing
    disk(int(needed / 1.2))
    with pytest.raises(
        UserError, match=r"of disk is needed at peak, .* is free in /disk: free some, .*--runs DIR"
    ) as no:
        said(grid)
    assert no.value.exit_code == 74
    assert not grid.root.exists()


def test_a_dry_run_says_that_the_disk_is_too_small(tmp_path, disk):
    disk(10**3)
    assert "of disk is needed at peak" in said(grid_of(tmp_path, dry_run=True))[1]


def test_a_disk_that_may_become_full_is_a_warning(tmp_path, disk):
    grid = grid_of(tmp_path)
    needed = needs(grid).missing
    for part, warned in ((0.7, False), (0.85, True), (1.05, True)):
        disk(int(needed / part))
        assert (len(said(grid)) == 2) == warned
    assert "it may become full" in said(grid)[1]


def test_a_file_that_the_shell_does_not_allow_is_refused(tmp_path, disk):
    disk(10**15, largest=10**4)
    with pytest.raises(UserError, match=r"a file of .* is needed, but this shell allows 10 kB: .*ulimit -f unlimited"):
        said(grid_of(tmp_path))
    disk(10**15, largest=10**10)
    assert len(said(grid_of(tmp_path))) == 1


def test_what_is_on_disk_is_not_needed_again(tmp_path):
    grid = grid_of(tmp_path, seeds="1")
    before = needs(grid)
    assert before.missing == before.peak
    folder = grid.root / "inverted-pendulum" / "td3" / "seed-0000"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "replay-000000000.bin").write_bytes(bytes(100_000))
    (folder / "evals.csv").write_bytes(bytes(300))
    after = needs(grid)
    assert (after.peak, after.missing) == (before.peak, before.missing - 100_300)
    (folder / "checkpoint" / "replay-000000000.bin").write_bytes(bytes(before.peak))  # more than was thought
    assert needs(grid).missing == before.kept - 300


def test_packs_of_one_task_share_its_memory(tmp_path):
    grid = grid_of(tmp_path)
    needed = needs(grid).memory(2)
    alone = needs(grid).memory(1)
    assert len(said(replace(grid, memory=Memory((alone + needed) // 2, "--mem 1G", packs=1)))) == 1
    assert len(said(replace(grid, memory=Memory((alone + needed) // 2, "--mem 1G", packs=2)))) == 2
