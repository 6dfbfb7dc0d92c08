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


TWICE = """
import os, signal, sys, time
from gloinone.pipeline.interrupts import SAME_S, Interrupted, Interrupts
try:
    with Interrupts() as interrupts, interrupts.shield():
        os.kill(os.getpid(), signal.SIGTERM)
        print("after the first", flush=True)
        time.sleep(float(sys.argv[1]) * SAME_S)
        os.kill(os.getpid(), signal.SIGTERM)
        print("after the second", flush=True)
except Interrupted:
    sys.exit(3)
"""


def test_a_second_signal_ends_the_process_unless_it_is_the_first_again(repository: Path) -> None:
    def outcome(pause: str) -> tuple[int, list[str]]:
        call = [sys.executable, "-c", TWICE, pause]
        done = subprocess.run(call, cwd=repository, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    assert outcome("1.1") == (-signal.SIGTERM, ["after the first"])
    assert outcome("0") == (3, ["after the first", "after the second"])
