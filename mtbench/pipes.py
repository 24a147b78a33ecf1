"""Output into a pipe whose reader has seen enough (`| head`): it ends, the work does not."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class _Pipe(io.FileIO):
    """A descriptor that goes on into nothing once its reader is gone."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)
            return super().write(data)  # type: ignore[arg-type]


def outlive_readers() -> None:
    """From here on a gate keeps its exit code and a sweep goes on, whoever stops reading."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A stream that somebody put in its place (a test, a notebook) is theirs.
        if stream is not None and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _outliving(stream))


def _outliving(stream: TextIO) -> TextIO:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Pipe(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
    )
