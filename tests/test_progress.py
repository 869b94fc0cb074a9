"""What a terminal, or a file, shows while packs are trained."""

import io
import threading
import time
from pathlib import Path

import pytest
from fake_training import FakeConfig
from rich.console import Console

from savo_bench.bench.cells import Budget, Cell, Pack, seed_folder
from savo_bench.bench.progress import Board
from savo_bench.results.format import Status


def board(width: int, height: int = 40, **given) -> tuple[Board, io.StringIO]:
    output = io.StringIO()
    console = Console(file=output, width=width, height=height, force_terminal=True, color_system=None, highlight=False)
    return Board(console, **{"seeds": 40, "done": 3, "failed": 1, "workers": 2, "queue": []} | given), output


def shown(board: Board) -> str:
    with board.console.capture() as capture:
        board.console.print(board.render())
    return capture.get()


def training(root: Path, name: str, seeds: range, step: int) -> Pack:
    """A pack of the longest names, in the middle of its training."""
    pack = Pack(
        Cell("restricted-inverted-double-pendulum", {}, name, FakeConfig(), {}, Budget("quick", 50_000, 2_500, 3)),
        tuple(seeds), root, "cpu", 300.0, "local",
    )  # fmt: skip
    for seed in seeds:
        status: Status = {
            "state": "running", "step": step, "steps": 50_000, "heartbeat": time.time() + 5,
            "steps_per_s": 125.0, "last_return": 9354.0 + seed,
        }  # fmt: skip
        folder = seed_folder(root, pack.cell, seed)
        folder.path.mkdir(parents=True)
        folder.write_status(status)
    return pack


@pytest.mark.parametrize("width", [80, 200])
def test_the_live_table_shows_every_number_whole(tmp_path, width):
    made, _ = board(width)
    pack = training(tmp_path, "savo:extra_actors=5,target_noise=0.2", range(10), 12_500)
    made.started(pack, pack)
    made.refresh()
    text = shown(made)
    assert all(len(line) <= width for line in text.splitlines())
    for part in (
        "restricted-inverted-double-pendulum",
        "savo:extra_actors=5",
        "0-9",
        "12.5k/50k",
        "125",
        "9358",
        "5:00",
    ):
        assert part in text
    assert "seeds: 3 done, 1 failed, 36 left · ETA 5:00" in text


def test_the_live_table_names_what_it_has_no_room_for(tmp_path):
    made, _ = board(200, height=10)
    for index in range(9):
        pack = training(tmp_path, f"a{index}", range(1), 100)
        made.started(pack, pack)
    text = shown(made)
    assert "and 5 more packs" in text
    assert "36 left" in text
    assert len(text.splitlines()) <= 10


def test_seeds_that_end_are_counted_while_their_pack_goes_on(tmp_path):
    made, _ = board(200)
    pack = training(tmp_path, "a", range(3), 100)
    made.started(pack, pack)
    for seed, state in ((0, "done"), (1, "failed")):
        folder = seed_folder(tmp_path, pack.cell, seed)
        folder.write_status({"state": state, "step": 100, "steps": 50_000, "heartbeat": time.time() + 5})
    made.refresh()
    assert "seeds: 4 done, 2 failed, 34 left" in shown(made)


def test_the_eta_of_the_whole_counts_what_waits_at_the_measured_speed(tmp_path):
    pack, waiting = training(tmp_path, "a", range(1), 25_000), training(tmp_path, "b", range(1), 0)
    made, _ = board(200, workers=1, queue=[(pack, 100.0), (waiting, 100.0)])
    made.started(pack, pack)
    made.refresh()
    # 25 000 steps at 125 a second are 200 s, twice the 100 s that were expected of them; so the rest takes 200 s, too
    assert made.eta() == pytest.approx(400)


def test_an_older_attempts_status_is_not_taken_for_this_ones(tmp_path):
    made, _ = board(200)
    pack = training(tmp_path, "a", range(1), 100)
    folder = seed_folder(tmp_path, pack.cell, 0)
    folder.write_status({"state": "failed", "step": 100, "steps": 50_000, "heartbeat": time.time() - 60})
    made.started(pack, pack)
    made.refresh()
    assert "seeds: 3 done, 1 failed, 36 left" in shown(made)


def test_without_a_terminal_there_are_plain_lines_few_and_unbroken(tmp_path):
    output, now = io.StringIO(), [time.time()]
    console = Console(file=output, width=80, highlight=False)
    made = Board(console, seeds=3, done=0, failed=0, workers=1, queue=[], clock=lambda: now[0])
    pack = training(tmp_path, "savo:extra_actors=5,target_noise=0.2,hidden=32-32", range(3), 12_500)
    made.started(pack, pack)
    for _ in range(100):
        now[0] += 1
        made.refresh()
    made.ended(pack)
    lines = output.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["started", *3 * ["restricted-inverted-double-pendulum"], "ended"]
    assert lines[1].endswith("seeds 0-2: step 12.5k/50k, 125 steps/s, return 9355, ETA 5:00")


def test_the_live_table_leaves_only_lines_behind(tmp_path):
    made, output = board(80)
    pack = training(tmp_path, "a", range(1), 100)
    with made:
        made.started(pack, pack)
        made.refresh()
        made.ended(pack)
    assert "ended restricted-inverted-double-pendulum a seed 0" in output.getvalue()
    assert not any(thread.name == "progress" for thread in threading.enumerate())
