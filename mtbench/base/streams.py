"""The standard streams: open, able to say any character, and outliving whoever reads them."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO

_NAMES = ("stdin", "stdout", "stderr")


class _Lasting(io.FileIO):
    """A descriptor that goes on into nothing once its reader or its terminal is gone; where it
    fails otherwise, a full disk, after that was told."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            gone = _hung_up(self.fileno())
            _abandon(self.fileno())
            if not gone:
                raise
            return super().write(data)  # type: ignore[arg-type]


def secure() -> None:
    """No file that is opened later may take the number of a stream that is closed, where progress
    and a child's words would land in it; no character ends a command; and a gate keeps its exit
    code and a sweep goes on, whoever stops reading (`| head`)."""
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    for name in _NAMES[1:]:
        stream = getattr(sys, name)
        # A stream that somebody put in its place (a test, a notebook) is theirs.
        if stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _lasting(stream))


def let_go() -> None:
    """Words into a pipe or a terminal that is gone go nowhere, those of a child too."""
    for descriptor in (1, 2):
        if _hung_up(descriptor):
            _abandon(descriptor)


def _lasting(stream: TextIO) -> TextIO:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
    )


def _abandon(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def _hung_up(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, 0)
    return bool(poller.poll(0))
