"""A signal that ends a session ends it wherever the session is."""

from __future__ import annotations

import gc
import signal
import sys
import time

import pytest

from mtbench.trial import signals


class Told:
    """What is told to end while Python destroys it: there an exception is printed and forgotten."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0)


def test_a_signal_within_a_destructor_still_ends_the_session(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(signals.Interrupted) as ended, signals.terminable():
        Told()
        gc.collect()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.01)
    assert ended.value.number == signal.SIGTERM
    assert capsys.readouterr().err == ""


def test_a_signal_within_a_destructor_waits_for_what_is_held() -> None:
    done = False
    with pytest.raises(signals.Interrupted), signals.terminable(), signals.held():
        Told()
        time.sleep(0.1)
        done = True
    assert done


def test_what_else_a_destructor_raises_is_still_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def __del__(self) -> None:
            raise ValueError("of the destructor")

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_type))
    with signals.terminable():
        Failing()
        gc.collect()
    assert told == [ValueError]
