"""Signals end a run, but not between two steps that belong together."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gloinone.pipeline.interrupts import Interrupted, Interrupts


def test_a_signal_is_raised_and_the_handlers_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(Interrupted) as caught, Interrupts():
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.number == 15
    assert str(caught.value) == "SIGTERM"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_no_broad_except_holds_it_up() -> None:
    assert not issubclass(Interrupted, Exception)


def test_within_the_shield_it_waits() -> None:
    steps = []

    def work(interrupts: Interrupts) -> None:
        with interrupts.shield():
            with interrupts.shield():
                os.kill(os.getpid(), signal.SIGINT)
                steps.append("inner")
            steps.append("outer")
        steps.append("after")

    with pytest.raises(Interrupted), Interrupts() as entered:
        work(entered)
    assert steps == ["inner", "outer"]


def test_an_error_in_the_shield_comes_out() -> None:
    with pytest.raises(KeyError), Interrupts() as interrupts, interrupts.shield():
        raise KeyError


def test_not_entered_it_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().shield():
        assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_comes_twice_at_once_is_one() -> None:
    tidied = []

    def work(interrupts: Interrupts) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            tidied.append(True)

    with pytest.raises(Interrupted), Interrupts() as entered:
        work(entered)
    assert tidied


def test_a_second_signal_ends_the_process(repository: Path) -> None:
    program = (
        "import os, signal, time\n"
        "from gloinone.pipeline.interrupts import SAME_S, Interrupts\n"
        "with Interrupts() as i, i.shield():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here', flush=True)\n"
        "    time.sleep(SAME_S + 0.1)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('not here', flush=True)\n"
    )
    call = [sys.executable, "-c", program]
    done = subprocess.run(call, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == "still here\n"
