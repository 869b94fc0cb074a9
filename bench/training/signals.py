"""Signals that ask the training to stop. It saves first, between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)  # SIGUSR2: submitit's warning before a time limit


class Interrupted(Exception):
    """A signal asked for a stop. Everything is saved."""

    signals: tuple[int, ...] = ()  # the signals that came, in order


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Give an event that the stop signals set. An `Interrupted` that passes through gets the list of them."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield stop
        return
    received: list[int] = []

    def note(number: int, _: object) -> None:
        received.append(number)
        stop.set()

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield stop
    except Interrupted as interrupted:
        interrupted.signals = tuple(received)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
