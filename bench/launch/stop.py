"""Signals that stop a `bench run`: they are noted, and the launcher ends in order."""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Self

SAME_STOP = 0.3  # seconds; ours: `timeout` and job managers signal a process and its group within it, people do not
_TICK = 0.1  # seconds between two looks at whether a signal came


class Stopped(Exception):
    """A signal of the user, or of the machine, ended the command."""

    def __init__(self, number: int, *, killed: bool = False) -> None:
        super().__init__(f"signal {number}")
        self.number = number
        self.killed = killed  # before everything was saved

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that a signal ended: 129 after SIGHUP, 130 Ctrl-C, 143 SIGTERM."""
        return 128 + self.number


class Stop:
    """A context manager in which signals that would end the process are only noted.

    number: the first signal that came, None before; count: how many came.
    """

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
        """Put back the handlers that were there before."""
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
        """A context manager in which a signal raises Stopped where it arrives: for code that has nothing to save."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def check(self) -> None:
        """Return if no signal came.

        Raises:
            Stopped: a signal came.
        """
        if self.number is not None:
            raise Stopped(self.number)

    def pause(self, seconds: float) -> None:
        """Wait, unless a signal comes.

        Raises:
            Stopped: a signal came.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check()
            time.sleep(_TICK)
