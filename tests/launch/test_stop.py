"""Signals that stop a run."""

import os
import signal
import time

import pytest

from savo_bench.bench.launch.stop import SAME_STOP, Stop, Stopped


def test_two_signals_at_once_are_one_stop():
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.number, stop.count) == (signal.SIGINT, 1)
        time.sleep(1.5 * SAME_STOP)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.count == 2


def test_a_stop_is_noted_and_the_former_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.number, stop.count) == (signal.SIGTERM, 1)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_ends_with_the_code_of_its_signal(number: signal.Signals, code: int):
    with Stop() as stop:
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped) as stopped:
            stop.check()
    assert stopped.value.exit_code == code
