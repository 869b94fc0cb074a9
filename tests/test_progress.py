"""What a terminal, or a file, shows while packs are trained."""

import io
import threading
import time
from pathlib import Path

import pytest
from fake_training import FakeConfig
from rich.console import Console

from savo_bench.bench.cells import Budget, Cell, Pack, seed_folder
from savo_bench.bench.forecast import Work
from savo_bench.bench.progress import Board
from savo_bench.results.format import Status

WORK = Work(begin=0, steps=50_000, warmup=1_000, eval_every=2_500, step=0.001, update=0.006, evaluation=0.0)
LONG = "savo:extra_actors=5,target_noise=0.2,hidden=32-32,batch_size=64,warmup_steps=200"


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


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_live_table_shows_every_number_whole_and_cuts_labels_in_the_middle(tmp_path, width):
    packs = [training(tmp_path, name, range(10), 12_500) for name in ("td3", LONG)]
    made, _ = board(width, 24, queue=[(pack, WORK) for pack in packs])
    for pack in packs:
        made.started(pack, pack)
    made.refresh()
    lines = shown(made).splitlines()
    assert all(len(line) <= width for line in lines)
    rows = [line.split() for line in lines if line.split()[:1] == ["12.5k/50k"]]
    assert [row[1:4] for row in rows] == 2 * [["125", "9358", "4:22"]]
    (long,) = [line.split("savo:")[1].rstrip() for line in lines if "savo:" in line]
    assert long.startswith("extra_act")
    assert long.endswith("warmup_steps=200 · 0-9" if width == 200 else "=200 · 0-9")
    assert ("…" in long) == (width < 200)
    assert "td3 · 0-9" in shown(made)
    assert "seeds: 3 done, 1 failed, 36 left · ETA 4:22" in lines


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


def test_the_eta_of_the_whole_counts_what_waits(tmp_path):
    pack, waiting = training(tmp_path, "a", range(1), 0), training(tmp_path, "b", range(1), 0)
    made, _ = board(200, workers=1, queue=[(pack, WORK), (waiting, WORK)])
    made.started(pack, pack)
    made.refresh()
    whole = 50_000 * 0.001 + 49_000 * 0.006
    assert made.eta() == pytest.approx(2 * whole + WORK.start, abs=1)
    assert "1 pack waiting · ETA 11:3" in shown(made)


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
    assert "seeds 0-2: step 12.5k/50k, 125 steps/s, return 9355, ETA 0:" in lines[1]


def test_the_live_table_leaves_only_lines_behind(tmp_path):
    made, output = board(80)
    pack = training(tmp_path, "a", range(1), 100)
    with made:
        made.started(pack, pack)
        made.refresh()
        made.ended(pack)
    assert "ended restricted-inverted-double-pendulum a seed 0" in output.getvalue()
    assert not any(thread.name == "progress" for thread in threading.enumerate())


def test_a_pack_that_goes_on_from_a_checkpoint_is_said_to_be_resumed(tmp_path):
    output = io.StringIO()
    made = Board(Console(file=output, width=200), seeds=3, done=0, failed=0, workers=1, queue=[])
    pack = training(tmp_path, "a", range(2), 12_500)
    (seed_folder(tmp_path, pack.cell, 1).checkpoint / "state-12000.pt").parent.mkdir()
    (seed_folder(tmp_path, pack.cell, 1).checkpoint / "state-12000.pt").touch()
    made.started(pack, pack)
    assert output.getvalue().startswith("resumed restricted-inverted-double-pendulum a seeds 0-1 from step 12k")
