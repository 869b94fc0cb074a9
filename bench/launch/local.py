"""The launcher `local`: a pool of worker processes on this machine.

A worker process has one core and one thread, or one GPU. It is in this process's group, so Ctrl-C reaches it as well;
it saves and ends by itself. If a worker dies, only the attempt at its own pack fails.
"""

import contextlib
import datetime
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from savo_bench.bench import provenance, show, worker
from savo_bench.bench.cells import Pack
from savo_bench.bench.grid import Problems
from savo_bench.bench.launch.attached import Attached, Claim
from savo_bench.bench.launch.launcher import THREAD_VARIABLES
from savo_bench.bench.launch.problems import record, saved
from savo_bench.bench.launch.stop import Stop, Stopped
from savo_bench.bench.progress import Board
from savo_bench.results.files import make_folder, naming, said
from savo_bench.results.format import logs_folder, slug

POLL = 0.1  # seconds between two looks at the workers
_TAIL = 4_096  # bytes of a log that are searched for its last line


class Local(Attached):
    """Trains packs in worker processes, as many at a time as there are cores or GPUs."""

    name = "local"
    summary = "a pool of processes"

    def workers(self, device: str) -> int:
        """What `--workers` says, else one per core or GPU."""
        return self.options.workers or (provenance.cores() if device == "cpu" else len(gpus()))

    def train(self, packs: Sequence[Pack], workers: int, claim: Claim, board: Board, stop: Stop) -> Problems:
        """Train the packs, some at a time.

        Raises:
            Stopped: a signal came; everything is saved, or the workers were killed by a second Ctrl-C.
        """
        return _Pool(workers).run(packs, claim, board, stop)


@dataclass
class _Worker:
    """A running worker process."""

    queued: Pack  # as it was planned
    pack: Pack  # as it was started
    process: subprocess.Popen[bytes]
    log: Path | None  # None where it cannot be written
    log_start: int  # where this attempt's part of the log begins


class _Pool:
    """Worker processes, at most `workers` at a time, one in each slot."""

    def __init__(self, workers: int) -> None:
        self._slots: list[_Worker | None] = [None] * workers
        self._unlogged = False  # whether it was said that no log can be written

    def run(self, packs: Sequence[Pack], claim: Claim, board: Board, stop: Stop) -> Problems:
        """Train the packs; Stopped is raised as by Local.train."""
        queue = deque(packs)
        problems: Problems = {}
        signalled = 0
        try:
            while True:
                for slot, running in enumerate(self._slots):
                    if running is not None and running.process.poll() is not None:
                        self._slots[slot] = None
                        problems |= self._ended(running, board, stopping=stop.number is not None)
                    if self._slots[slot] is None and stop.number is None:
                        self._slots[slot] = self._next(queue, claim, board, slot)
                if not any(self._slots) and (stop.number is not None or not queue):
                    break
                if stop.count > signalled:
                    self._forward(board, kill=signalled > 0)
                    signalled = stop.count
                time.sleep(POLL)
        finally:
            self._send(signal.SIGTERM)  # workers are left only after an error of ours; they save
        if stop.number is not None:
            raise Stopped(stop.number, killed=signalled > 1)
        return problems

    def _next(self, queue: deque[Pack], claim: Claim, board: Board, slot: int) -> _Worker | None:
        """Start the next pack that still needs training."""
        while queue:
            queued = queue.popleft()
            pack = claim(queued)
            if pack is not None:
                log, problem = _log(pack)
                if problem and not self._unlogged:
                    board.note(f"note: what workers print is lost: {problem}", "yellow")
                    self._unlogged = True
                started = _start(queued, pack, slot, log)
                board.started(queued, pack)
                return started
            board.dropped(queued)
        return None

    def _ended(self, ended: _Worker, board: Board, *, stopping: bool) -> Problems:
        """Show how a worker ended; if it died, write that into its seeds' files."""
        code = ended.process.returncode
        if code < 0 and stopping and saved(ended.pack):  # the signal came once more, while it ended
            code = worker.INTERRUPTED
        if code in (worker.TRAINED, worker.INTERRUPTED):
            board.ended(ended.queued, "interrupted, saved" if code == worker.INTERRUPTED else None)
            return {}
        if code < 0 and stopping:
            problems = record(ended.pack, "killed before it had saved", "interrupted")
            board.ended(ended.queued, "killed")
            return problems
        problem = f"worker died (signal {-code})" if code < 0 else f"crashed: {_last_line(ended.log, ended.log_start)}"
        problems = record(ended.pack, problem)
        board.ended(ended.queued, f"{problem}; its output is in {ended.log}" if ended.log else problem)
        return problems

    def _forward(self, board: Board, *, kill: bool) -> None:
        """Pass a signal on, as it may have been sent to this process only."""
        running = [slot for slot in self._slots if slot is not None]
        if kill:
            board.note(f"killing {show.count(len(running), 'worker')}", "yellow")
            self._send(signal.SIGKILL)
        else:
            saving = f"{show.count(len(running), 'worker')} to save"
            board.note(f"stopping: waiting for {saving}; Ctrl-C again kills", "yellow")
            self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for each in self._slots:
            if each is not None:
                each.process.send_signal(number)


def _log(pack: Pack) -> tuple[Path | None, str | None]:
    """The log of a pack's worker, with a new headline; None, and why, where it cannot be written."""
    log = log_path(pack)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        with naming(log):
            make_folder(log.parent)
            with log.open("ab") as output:
                output.write(f"-- {now} seeds {show.seeds(pack.seeds)}\n".encode())
    except OSError as error:
        return None, said(error)
    return log, None


def _start(queued: Pack, pack: Pack, slot: int, log: Path | None) -> _Worker:
    """Start a worker process on a pack, which prints into a log."""
    with (log or Path(os.devnull)).open("ab") as output:
        start = output.tell()
        # A signal that comes before the worker has its handlers waits until it has: children inherit the mask.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, worker.STOPS)
        try:
            process = subprocess.Popen(
                # -P: no folder beyond this process's own import path, which the environment names
                [sys.executable, "-P", "-m", "savo_bench.bench.worker"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(pack.device, slot),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # it died at once: its exit code says so
        process.stdin.write(pickle.dumps(pack))
    return _Worker(queued, pack, process, log, start)


def _environment(device: str, slot: int) -> dict[str, str]:
    """Environment variables of the worker in a slot of the pool."""
    variables = dict(os.environ)
    variables["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    if device == "cpu":
        variables |= dict.fromkeys(THREAD_VARIABLES, "1")
    else:
        devices = gpus()
        variables["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    return variables


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch  # here: asked for only where packs go to a GPU

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[: torch.cuda.device_count()] or [str(index) for index in range(torch.cuda.device_count())]


def log_path(pack: Pack) -> Path:
    """Where a pack's worker writes what it prints."""
    seeds = f"seeds-{min(pack.seeds):04d}-{max(pack.seeds):04d}"
    # two labels may take 2 x 150 characters, a file's name 255 bytes
    cell = "--".join(slug(label)[:110] for label in (pack.cell.env_label, pack.cell.variant))
    return logs_folder(pack.root) / f"{cell}--{seeds}.log"


def _last_line(log: Path | None, start: int) -> str:
    """The last line that a worker printed: of a traceback, the error."""
    if log is None:
        return "nobody knows what it printed"
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(start, end - _TAIL))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1].strip()[:300] if lines else "it printed nothing"
