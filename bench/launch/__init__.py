"""Launchers: where packs are trained. All of them run the same function on the same pickled Pack."""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Protocol, Self

from savo_bench.bench.plan import Pack, seed_folder
from savo_bench.bench.progress import Board
from savo_bench.results.files import CorruptFile
from savo_bench.results.lock import holding

Claim = Callable[[Pack], Pack | None]  # a pack without the seeds that need no training any more, None if none is left
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read when torch and numpy load
SAME_STOP = 0.3  # seconds; ours: `timeout` and job managers signal a process and its group at once, people are slower
Problems = dict[Path, str]  # a seed's folder -> why its attempt ended early, where its files cannot say it


class Launcher(Protocol):
    """Trains packs, some at a time."""

    def run(self, packs: Sequence[Pack], claim: Claim, board: Board, stop: "Stop") -> Problems:
        """Train every pack that `claim` leaves, in order.

        Raises:
            Stopped: a signal asked for it; everything is saved.
        """
        ...


class Stopped(Exception):
    """The user, or the machine, ended the grid."""

    def __init__(self, number: int, *, killed: bool = False) -> None:
        super().__init__(f"signal {number}")
        self.number = number
        self.killed = killed  # before everything was saved

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number


class Stop:
    """While it is entered, signals that end a process only leave a note here: how many came, and the first of them."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.count = 0
        self._last = -math.inf  # when a signal came
        self._at_once = False
        self._before: dict[int, signal.Handlers | Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        """Install the handlers, on the main thread only."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if number == signal.SIGHUP and before == signal.SIG_IGN:
                continue  # nohup
            self._before[number] = before
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Put the former handlers back."""
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = self.number or number
        now = time.monotonic()
        if now > self._last + SAME_STOP:
            self.count += 1
        self._last = now
        if self._at_once:
            raise Stopped(self.number)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal raise Stopped where it arrives, as long as nobody else handles it: there is nothing to save."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def check(self) -> None:
        """Raise Stopped if a signal came.

        Raises:
            Stopped: a signal came.
        """
        if self.number is not None:
            raise Stopped(self.number)


def record(pack: Pack, problem: str) -> Problems:
    """Note in the files of a dead process's seeds why they stand still; what no file can hold is returned."""
    problems: Problems = {}
    for seed in pack.seeds:
        folder = seed_folder(pack.root, pack.cell, seed)
        try:
            if folder.read_status() is None:
                problems[folder.path] = problem
                continue
            with holding(folder.lock) as mine:
                status = folder.read_status()
                if mine and status is not None and status["state"] == "running":
                    folder.write_status({**status, "state": "failed", "reason": problem}, durable=True)
        except (OSError, CorruptFile):
            problems[folder.path] = problem
    return problems
