"""What the outside tells a session: to end (Ctrl-C, SIGTERM, a closed terminal), or to go on.

A session that is told to end raises KeyboardInterrupt once; what was measured is kept, the user's
own --cleanup runs, the report is written, and the exit code is the shell's: 128 + the signal.

Python runs a signal's handler wherever the main thread is, also inside callbacks whose exceptions
it prints and forgets: a destructor, what logging does after each fork. What was lost there is
raised again a moment later.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from mtbench.base import streams

_Hook = Callable[["sys.UnraisableHookArgs"], object]

# Seconds from an exception that Python forgot to the same one again, outside of the callback.
_AGAIN = 0.01


class Interrupted(KeyboardInterrupt):
    """A signal that ends the session."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


@dataclass
class _Told:
    """What arrived. continued: how often this process went on after a stop. held: depth of
    `held`; pending: the signal that arrived meanwhile, 0 if none. lost: the signal whose exception
    Python forgot, 0 if none."""

    continued: int = 0
    held: int = 0
    pending: int = 0
    lost: int = 0


_told = _Told()


def number(error: KeyboardInterrupt) -> int:
    """The signal behind a KeyboardInterrupt."""
    return error.number if isinstance(error, Interrupted) else signal.SIGINT


def exit_code(ended_by: int) -> int:
    """What the shell expects of a command that a signal ended."""
    return 128 + ended_by


def times_continued() -> int:
    """How often this process was continued after a stop (Ctrl-Z and fg) inside `terminable`."""
    return _told.continued


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM and a closed terminal end a session as Ctrl-C does. What is ignored stays so: a
    command under nohup outlives its terminal."""
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGINT: _end,
        signal.SIGTERM: _end,
        signal.SIGHUP: _end,
        signal.SIGCONT: _go_on,
        signal.SIGALRM: _raise_lost,
    }
    before = {
        one: signal.signal(one, handler)
        for one, handler in handlers.items()
        if signal.getsignal(one) is not signal.SIG_IGN
    }
    forgotten, sys.unraisablehook = sys.unraisablehook, _raising_again(sys.unraisablehook)
    try:
        yield
    finally:
        sys.unraisablehook = forgotten
        signal.setitimer(signal.ITIMER_REAL, 0)
        for one, handler in before.items():
            signal.signal(one, handler)


def only_finish() -> None:
    """From here to the end of `terminable` only Ctrl-C interrupts: a report is still to be written,
    and a terminal that closes sends SIGHUP more than once."""
    for one, handler in ((signal.SIGTERM, _nothing), (signal.SIGHUP, _hung_up)):
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """What would end the session waits until this is left: no program is left half ended."""
    _told.held += 1
    try:
        yield
    finally:
        _told.held -= 1
        if _told.pending and not _told.held:
            arrived, _told.pending = _told.pending, 0
            raise Interrupted(arrived)


def _end(arrived: int, _: FrameType | None) -> None:
    only_finish()
    if arrived == signal.SIGHUP:
        streams.let_go()
    _raise(arrived)


def _raise(arrived: int) -> None:
    if _told.held:
        _told.pending = arrived
    else:
        raise Interrupted(arrived)


def _raising_again(others: _Hook) -> _Hook:
    def forgotten(what: sys.UnraisableHookArgs) -> None:
        if isinstance(what.exc_value, Interrupted):
            _told.lost = what.exc_value.number
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        else:
            others(what)

    return forgotten


def _raise_lost(*_: object) -> None:
    arrived, _told.lost = _told.lost, 0
    if arrived:
        _raise(arrived)


def _go_on(*_: object) -> None:
    _told.continued += 1


def _nothing(*_: object) -> None:
    """A handler and not SIG_IGN, which every command started from here would inherit."""


def _hung_up(*_: object) -> None:
    streams.let_go()
