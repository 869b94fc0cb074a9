"""Launchers, and the grid around them, with a stand-in for the training; what a terminal shows meanwhile."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_training
import pytest
from fake_training import FakeConfig, attempts
from rich.console import Console

from savo_bench.bench import grid, provenance, run_directory, show, worker
from savo_bench.bench.errors import UserError
from savo_bench.bench.launch import Stop, local
from savo_bench.bench.options import Options
from savo_bench.bench.plan import Budget, Cell, Pack, seed_folder
from savo_bench.bench.progress import Board
from savo_bench.results.format import SeedFolder, Status
from savo_bench.results.state import state_of

TESTS = Path(__file__).parent


def cell_of(name: str = "fake", steps: int = 4, **config) -> Cell:
    fields = FakeConfig(**config)
    return Cell("hopper", {}, name, fields, {}, Budget("ci", steps, 1, 1))


def grid_of(root: Path, *cells: Cell, seeds: int = 2, workers: int = 2, **options: Any) -> grid.Grid:
    usual: dict[str, Any] = {"name": root.name, "runs": root.parent, "pack": 1}
    opted = Options(**usual | options)
    return grid.Grid(opted, cells or (cell_of(),), tuple(range(seeds)), "cpu", workers)


def run(planned: grid.Grid) -> tuple[int, str]:
    """Exit code and output of a grid, where there is no terminal."""
    output = io.StringIO()
    return grid.run(planned, Console(file=output, width=show.WIDE, highlight=False)), output.getvalue()


def states(planned: grid.Grid) -> list[str]:
    return [seed.state for cell in planned.look() for seed in cell.seeds]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a name, with a path on which workers find the stand-in."""
    patch = tmp_path / "path"
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(fake_training.SITECUSTOMIZE)
    monkeypatch.syspath_prepend(TESTS)
    monkeypatch.syspath_prepend(patch)
    monkeypatch.setitem(sys.modules, "savo_bench.bench.train", fake_training)
    return tmp_path / "runs" / "name"


# ---- the pool of processes


def test_every_seed_is_trained_once_by_workers_of_one_thread(root):
    code, output = run(grid_of(root, cell_of("a"), cell_of("b"), pack=2))
    assert code == 0
    assert "4 of 4 seeds are done" in output
    assert sorted(attempts(root)) == [("a", 0, 0), ("a", 1, 0), ("b", 0, 0), ("b", 1, 0)]
    record = SeedFolder.of(root, "hopper", "a", 1).read_run()
    assert record is not None
    assert record["provenance"] == {"threads": "1", "launcher": "local"}


def test_no_more_workers_than_asked_for_run_at_a_time(root):
    run(grid_of(root, cell_of(seconds=0.05), seeds=4, workers=2))
    lines = [line.split() for line in (root / "attempts.txt").read_text().splitlines()]
    began = {int(seed): float(at) for _, seed, _, _, at in lines}
    ended = {seed: seed_folder(root, cell_of(), seed).status_json.stat().st_mtime for seed in began}
    for seed, moment in began.items():
        others = [other for other in began if other != seed and began[other] <= moment < ended[other] - 0.01]
        assert len(others) <= 1


def test_a_killed_worker_fails_its_own_pack_only_and_is_resumed_by_the_next_run(root):
    planned = grid_of(root, cell_of("dies", killed=(1,)), cell_of("lives"))
    code, output = run(planned)
    assert code == 1
    assert states(planned) == ["done", "failed", "done", "done"]
    assert "worker died (signal 9)" in output
    died = state_of(seed_folder(root, planned.cells[0], 1))
    assert (died.state, died.reason) == ("failed", "worker died (signal 9)")
    code, output = run(grid_of(root, *planned.cells))
    assert (code, attempts(root)[-1]) == (0, ("dies", 1, 2))
    assert "1 failed before" in output


def test_a_crash_says_its_last_line_and_where_the_rest_is(root):
    code, output = run(grid_of(root, cell_of("a", crashed=(0,)), seeds=1))
    log = root / "logs" / "hopper--a--seeds-0000-0000.log"
    assert code == 1
    assert "crashed: ValueError: boom" in output
    assert str(log) in output
    assert "Traceback" in log.read_text()
    assert "Traceback" not in output
    run(grid_of(root, cell_of("a", crashed=(0,)), seeds=1))
    assert log.read_text().count("Traceback") == 2  # the next attempt does not wipe it


def test_a_worker_that_dies_before_it_writes_anything_is_reported(root, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    code, output = run(grid_of(root, seeds=1))
    assert code == 1
    assert "hopper fake seed 0: crashed: it printed nothing" in output
    assert "0 of 1 seeds are done" in output


def test_a_failed_seed_has_its_reason_in_the_table_and_the_others_go_on(root):
    code, output = run(grid_of(root, cell_of(failed=(0,)), seeds=3, pack=3))
    assert code == 1
    assert "hopper fake seed 0: failed at step 0 of 4: the environment fell over" in output
    assert "2 of 3 seeds are done" in output
    assert len(attempts(root)) == 3  # within one run, what fails is not tried again


def test_a_second_run_trains_nothing_and_after_deleting_a_seed_only_that(root):
    run(grid_of(root, cell_of("a"), cell_of("b")))
    before = attempts(root)
    code, output = run(grid_of(root, cell_of("a"), cell_of("b")))
    assert (code, attempts(root)) == (0, before)
    assert "nothing to do: 4 of 4 seeds are done" in output
    shutil.rmtree(seed_folder(root, cell_of("b"), 1).path)
    code, output = run(grid_of(root, cell_of("a"), cell_of("b")))
    assert (code, attempts(root)[len(before) :]) == (0, [("b", 1, 0)])
    assert "3 done, 1 to train (1 new)" in output


def test_an_unreadable_seed_is_named_and_left_alone(root):
    run(grid_of(root))
    status = seed_folder(root, cell_of(), 0).status_json
    status.write_text("{")
    code, output = run(grid_of(root))
    assert code == 1
    assert str(status) in output
    assert status.read_text() == "{"
    assert len(attempts(root)) == 2


def test_a_dry_run_writes_nothing(root):
    output = io.StringIO()
    assert grid.dry_run(grid_of(root, seeds=3), Console(file=output, width=80)) == 0
    assert not root.exists()
    assert "0 done, 3 to train" in output.getvalue()
    assert "3×1" in output.getvalue()  # its packs


def test_inline_trains_in_this_process_and_shows_an_error_of_the_harness(root):
    code, _ = run(grid_of(root, on="inline"))
    assert code == 0
    assert f" {os.getpid()} " in (root / "attempts.txt").read_text()
    with pytest.raises(ValueError, match="boom"):
        run(grid_of(root, cell_of("b", crashed=(0,)), on="inline"))


def test_workers_share_the_gpus(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    variables = [local._environment("cuda", slot) for slot in range(3)]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in variables] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-abc")
    assert local._environment("cuda", 1)["CUDA_VISIBLE_DEVICES"] == "GPU-abc"
    assert local._environment("cpu", 1)["OMP_NUM_THREADS"] == "1"


def test_a_logs_name_fits_a_file_system():
    cell = Cell("e" * 300, {}, "v" * 300, FakeConfig(), {}, Budget("ci", 1, 1, 1))
    assert len(local.log_path(Pack(cell, (0, 9999), Path(), "cpu", 1.0, "local")).name) < 256


# ---- signals, in a process of its own

DRIVER = """
    import sys, types
    sys.path[:0] = [{path!r}, {tests!r}, {project!r}]
    import fake_training
    fake_training.install()
    from test_launch import cell_of, grid_of, grid, show
    from pathlib import Path
    grid.WAIT = 0.2
    grid.plan.probe = lambda _: types.SimpleNamespace(obs_dim=11, action_dim=3)  # nobody needs the simulator
    planned = grid_of(Path({root!r}), cell_of({config}), {options})
    sys.exit(grid.run(planned, show.console()))
"""


@pytest.fixture
def drive(root: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`drive(config, options)` starts a grid of one cell in a process group of its own, as a shell would."""
    started = []

    def start(config: str, options: str = "seeds=2") -> subprocess.Popen[str]:
        code = textwrap.dedent(DRIVER).format(
            path=str(tmp_path / "path"), tests=str(TESTS), project=str(TESTS.parent), root=str(root),
            config=config, options=options,
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def pids(root: Path) -> list[int]:
    return [int(line.split()[3]) for line in (root / "attempts.txt").read_text().splitlines()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # ended; nobody has asked how


@pytest.mark.parametrize("on", ["local", "inline"])
def test_ctrl_c_saves_says_how_to_go_on_and_the_same_command_does(root, drive, on):
    process = drive("seconds=0.05, steps=40", f"seeds=2, on={on!r}")
    begun = 2 if on == "local" else 1
    wait_until(lambda: len(attempts(root)) == begun)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopped: everything is saved; run the same command again to go on" in output
    assert "Traceback" not in output
    assert not any(map(alive, pids(root)))
    planned = grid_of(root, cell_of(steps=40))
    assert set(states(planned)) <= {"interrupted", "missing"}
    code, _ = run(planned)
    assert code == 0
    again = {seed: step for _, seed, step in attempts(root)[begun:]}
    assert all(again[seed] > 0 for seed in range(begun))


def test_sigterm_to_the_parent_alone_stops_the_workers_cleanly(root, drive):
    process = drive("seconds=0.05, steps=400")
    wait_until(lambda: len(attempts(root)) == 2)
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "stopped: everything is saved" in output
    assert "interrupted, saved" in output
    assert not any(map(alive, pids(root)))


def test_two_signals_at_once_are_one_stop():
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.number, stop.count) == (signal.SIGINT, 1)
        time.sleep(0.4)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.count == 2


def test_a_second_ctrl_c_kills(root, drive):
    process = drive("seconds=0.05, steps=4000, deaf=True")
    wait_until(lambda: len(attempts(root)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.0)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Ctrl-C again kills" in output
    assert "after the last checkpoints is lost" in output
    assert not any(map(alive, pids(root)))


def test_ctrl_c_while_workers_start_leaves_no_traceback(root, drive):
    process = drive("seconds=0.05, steps=4000")
    logs = root / "logs"
    wait_until(lambda: len(list(logs.glob("*"))) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in output + "".join(path.read_text() for path in logs.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_workers_save_and_end_when_their_parent_is_killed(root, drive):
    process = drive("seconds=0.05, steps=4000")
    wait_until(lambda: len(attempts(root)) == 2)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, pids(root))))
    assert set(states(grid_of(root, cell_of(steps=4000)))) == {"interrupted"}


# ---- two processes on one name


def test_two_runs_at_once_never_train_a_seed_twice(root, drive):
    first = drive("seconds=0.05, steps=20", "seeds=3, workers=1")
    wait_until(lambda: len(attempts(root)) == 1)
    second = drive("seconds=0.05, steps=20", "seeds=3, workers=1")
    outputs = [process.communicate(timeout=40)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert sorted(seed for _, seed, _ in attempts(root)) == [0, 1, 2]
    assert any(f"that another process trains: host {socket.gethostname()}, pid" in output for output in outputs)


def test_seeds_whose_process_dies_while_another_waits_are_taken_over(root, drive):
    first = drive("seconds=0.05, steps=40", "seeds=1")
    wait_until(lambda: len(attempts(root)) == 1)
    second = drive("seconds=0.05, steps=40", "seeds=1")
    assert second.stdout is not None
    for line in second.stdout:
        if line.startswith(f"waiting for 1 seed that another process trains: host {socket.gethostname()}, pid"):
            break
    os.killpg(first.pid, signal.SIGKILL)
    output, _ = second.communicate(timeout=40)
    assert second.returncode == 0, output
    assert [seed for _, seed, _ in attempts(root)] == [0, 0]
    assert attempts(root)[1][2] > 0


def test_what_fails_in_another_process_is_not_tried_again_by_the_one_that_waited(root, drive):
    first = drive("seconds=1.0, failed=(0,)", "seeds=1")
    wait_until(lambda: len(attempts(root)) == 1)
    second = drive("seconds=1.0, failed=(0,)", "seeds=1")
    outputs = [process.communicate(timeout=20)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [1, 1]
    assert len(attempts(root)) == 1
    assert all("the environment fell over" in output for output in outputs)


def test_a_stop_is_noted_and_the_former_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.number, stop.count) == (signal.SIGTERM, 1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_worker_that_is_stopped_before_it_trains_has_nothing_to_save():
    process = subprocess.Popen([sys.executable, "-m", "savo_bench.bench.worker"], stdin=subprocess.PIPE)
    wait_until(lambda: int(signal_mask(process.pid, "SigCgt")) & 1 << signal.SIGTERM - 1 != 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == worker.INTERRUPTED
    process.communicate()


def signal_mask(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name)), 16)


# ---- what is shown


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
    made.started(pack, id(pack))
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
        made.started(pack, index)
    text = shown(made)
    assert "and 5 more packs" in text
    assert "36 left" in text
    assert len(text.splitlines()) <= 10


def test_seeds_that_end_are_counted_while_their_pack_goes_on(tmp_path):
    made, _ = board(200)
    pack = training(tmp_path, "a", range(3), 100)
    made.started(pack, 1)
    for seed, state in ((0, "done"), (1, "failed")):
        folder = seed_folder(tmp_path, pack.cell, seed)
        folder.write_status({"state": state, "step": 100, "steps": 50_000, "heartbeat": time.time() + 5})
    made.refresh()
    assert "seeds: 4 done, 2 failed, 34 left" in shown(made)


def test_the_eta_of_the_whole_counts_what_waits_at_the_measured_speed(tmp_path):
    pack, waiting = training(tmp_path, "a", range(1), 25_000), training(tmp_path, "b", range(1), 0)
    made, _ = board(200, workers=1, queue=[(pack, 100.0), (waiting, 100.0)])
    made.started(pack, id(pack))
    made.refresh()
    # 25 000 steps at 125 a second are 200 s, twice the 100 s that were expected of them; so the rest takes 200 s, too
    assert made.eta() == pytest.approx(400)


def test_an_older_attempts_status_is_not_taken_for_this_ones(tmp_path):
    made, _ = board(200)
    pack = training(tmp_path, "a", range(1), 100)
    folder = seed_folder(tmp_path, pack.cell, 0)
    folder.write_status({"state": "failed", "step": 100, "steps": 50_000, "heartbeat": time.time() - 60})
    made.started(pack, 1)
    made.refresh()
    assert "seeds: 3 done, 1 failed, 36 left" in shown(made)


def test_without_a_terminal_there_are_plain_lines_few_and_unbroken(tmp_path):
    output, now = io.StringIO(), [time.time()]
    console = Console(file=output, width=80, highlight=False)
    made = Board(console, seeds=3, done=0, failed=0, workers=1, queue=[], clock=lambda: now[0])
    pack = training(tmp_path, "savo:extra_actors=5,target_noise=0.2,hidden=32-32", range(3), 12_500)
    made.started(pack, 1)
    for _ in range(100):
        now[0] += 1
        made.refresh()
    made.ended(1)
    lines = output.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["started", *3 * ["restricted-inverted-double-pendulum"], "ended"]
    assert lines[1].endswith("seeds 0-2: step 12.5k/50k, 125 steps/s, return 9355, ETA 5:00")


def test_the_live_table_leaves_only_lines_behind(tmp_path):
    made, output = board(80)
    pack = training(tmp_path, "a", range(1), 100)
    with made:
        made.started(pack, 1)
        made.refresh()
        made.ended(1)
    assert "ended restricted-inverted-double-pendulum a seed 0" in output.getvalue()
    assert not any(thread.name == "progress" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (show.thousands, 999, "999"),
        (show.thousands, 2_500, "2.5k"),
        (show.thousands, 999_999, "1M"),
        (show.thousands, 1_234_567, "1.23M"),
        (show.clock, None, "–"),
        (show.clock, 7, "0:07"),
        (show.clock, 3_725, "1:02:05"),
        (show.clock, 273_600, "3d 04h"),
        (show.span, 40, "40 seconds"),
        (show.span, 600, "10 minutes"),
        (show.span, 18_720, "5.2 hours"),
        (show.span, 6_048_000, "70 days"),
        (show.size, 3_400_000_000, "3.4 GB"),
        (show.size, 0, "0 B"),
        (show.decimal, 9354.4, "9354"),
        (show.decimal, -0.517, "-0.52"),
        (show.seeds, (0, 1, 2, 5), "0-2,5"),
        (show.seeds, (7,), "7"),
    ],
)
def test_numbers_are_short(function, value, expected):
    assert function(value) == expected


# ---- provenance


def test_provenance_names_code_packages_hardware_and_command(monkeypatch):
    import json

    monkeypatch.setenv(provenance.COMMAND, "bench run --algos td3")
    record = provenance.provenance(device="cpu", launcher="local", pack=(0, 1))
    assert list(record) == [
        "version", "git", "dirty", "packages", "python", "platform", "cpu", "cores", "device", "gpu", "host",
        "command", "launcher", "pack", "started",
    ]  # fmt: skip
    assert json.loads(json.dumps(record)) == record
    assert record["command"] == "bench run --algos td3"
    assert record["pack"] == [0, 1]
    assert {"numpy", "torch", "gymnasium", "mujoco"} <= set(record["packages"])
    assert record["cores"] == len(os.sched_getaffinity(0))


def test_the_commit_is_that_of_our_code_not_of_a_repository_around_it(tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    code = tmp_path / "bench" / "provenance.py"
    code.parent.mkdir()
    code.write_text("a")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    assert provenance.checkout(tmp_path) == (None, None)  # a virtual environment in somebody's repository
    subprocess.run([*git, "add", "bench"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "b"], check=True)
    provenance.checkout.cache_clear()
    commit, dirty = provenance.checkout(tmp_path)
    assert (len(str(commit)), dirty) == (40, False)
    code.write_text("b")
    provenance.checkout.cache_clear()
    assert provenance.checkout(tmp_path) == (commit, True)


def test_a_seed_is_told_from_its_lock_while_a_worker_trains_it(root, drive):
    drive("seconds=0.1, steps=400", "seeds=1")
    wait_until(lambda: len(attempts(root)) == 1)
    folder = seed_folder(root, cell_of(), 0)
    wait_until(lambda: state_of(folder).state == "running" and state_of(folder).owner is not None)
    assert state_of(folder).who == f"host {socket.gethostname()}, pid {pids(root)[0]}"


def test_what_no_file_can_say_is_said_at_the_end(root, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SeedFolder, "write_status", full)  # in this process only
    code, output = run(grid_of(root, cell_of(killed=(0,)), seeds=1))
    assert code == 1
    assert "hopper fake seed 0: worker died (signal 9)" in output


def test_a_disk_that_fills_up_under_the_grid_is_one_line(root, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(run_directory, "ask", full)
    with pytest.raises(UserError, match="somewhere: No space left on device") as caught:
        run(grid_of(root))
    assert caught.value.exit_code == 1
