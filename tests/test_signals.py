"""Signals that ask for a stop."""

import signal
import threading

import pytest

from savo_bench.bench.training.signals import STOP_SIGNALS, Interrupted, stop_on_signal


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_signal_sets_the_event_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with stop_on_signal() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
    assert signal.getsignal(number) is before


def test_an_interruption_lists_the_signals_in_order():
    def stopped() -> None:
        with stop_on_signal():
            signal.raise_signal(signal.SIGUSR2)
            signal.raise_signal(signal.SIGTERM)
            raise Interrupted

    with pytest.raises(Interrupted) as interrupted:
        stopped()
    assert interrupted.value.signals == (signal.SIGUSR2, signal.SIGTERM)


def test_another_thread_than_the_main_one_handles_no_signals():
    events = []

    def enter() -> None:
        with stop_on_signal() as stop:
            events.append(stop.is_set())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert events == [False]
