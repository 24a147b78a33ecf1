"""Exit codes, and the errors that end a command with one line on stderr."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of the command."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    GATE = 3
    CELLS_FAILED = 4
    INTERRUPTED = 130


class MtbenchError(Exception):
    """The tool could not do its work; the message is one line that names the thing."""

    code = Exit.FAILED


class UsageError(MtbenchError):
    """What was asked for is not possible; the message says what would be accepted."""

    code = Exit.USAGE
