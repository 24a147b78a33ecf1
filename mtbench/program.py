"""A real program to run under each allocator: its command line and the commands around it."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mtbench.errors import MtbenchError, UsageError

_ELF_MAGIC = b"\x7fELF"
_PT_INTERP = 3


@dataclass(frozen=True)
class Number:
    """A number in the program's output: the last match's first group. lower: smaller is better."""

    name: str
    pattern: str
    lower: bool = False

    def find(self, output: str) -> float | None:
        """The number in `output`, or None; thousands may be set apart by commas."""
        found = None
        for match in re.finditer(self.pattern, output, re.MULTILINE):
            with contextlib.suppress(ValueError, AttributeError):
                found = float(match[1].replace(",", ""))
        return found


@dataclass(frozen=True)
class Program:
    """What `mtbench exec` runs; kept in the manifest and enough to resume.

    command: served by the allocator under test; with a client it is a server, started before the
    client and ended after it. setup, cleanup: shell commands, once a run; prepare: before every
    trial; ready: succeeds once the server serves ("": when it listens). codes: exit codes that are
    no failure; empty for any. timeout: seconds of a trial, or of waiting for a server.
    """

    name: str
    command: tuple[str, ...]
    client: tuple[str, ...] = ()
    setup: str = ""
    prepare: str = ""
    cleanup: str = ""
    ready: str = ""
    codes: tuple[int, ...] = (0,)
    timeout: float = 600.0
    numbers: tuple[Number, ...] = ()

    @property
    def unit(self) -> str:
        """What is counted a second: the first number asked for, or runs of the program."""
        return self.numbers[0].name if self.numbers else "runs"

    def text(self) -> str:
        """The command as one would type it."""
        served = shlex.join(self.command)
        return f"{served} | {shlex.join(self.client)}" if self.client else served

    def to_json(self) -> dict[str, Any]:
        """The program as the manifest keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Program:
        """The program of a manifest. Raises MtbenchError if fields are missing."""
        try:
            values = {entry.name: kept[entry.name] for entry in fields(cls)}
            for name in ("command", "client", "codes"):
                values[name] = tuple(values[name])
            values["numbers"] = tuple(Number(**entry) for entry in values["numbers"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise MtbenchError(f"manifest.json holds no usable program: {error}") from error


def number(text: str, *, lower: bool = False) -> Number:
    """`NAME=REGEX` or `REGEX`; the regular expression has a group around the number.

    Raises UsageError.
    """
    match = re.match(r"([A-Za-z][\w /-]*)=", text)
    name, pattern = (match[1], text[match.end() :]) if match else ("metric", text)
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise UsageError(f"--metric '{text}' is no regular expression: {error}") from error
    if groups < 1:
        raise UsageError(
            f"--metric '{text}' has no group around the number; accepted: "
            r"'requests per second=([\d.]+) requests per second'"
        )
    return Number(name, pattern, lower)


def words(option: str, text: str, shell: str) -> tuple[str, ...]:
    """A command given as one text: its words, or the shell that reads it. Raises UsageError."""
    if shell != "none":
        return (*words("--shell", shell, "none"), "-c", text)
    try:
        found = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{option} '{text}' cannot be split into words: {error}") from error
    if not found:
        raise UsageError(f"{option} is empty; accepted: a command such as 'redis-server --port 0'")
    return found


def checked(command: Sequence[str], *, served: bool) -> None:
    """Refuse what cannot run, and, if it is to be served, what no preloaded library reaches.

    Raises UsageError.
    """
    path = shutil.which(command[0])
    if path is None:
        raise UsageError(f"no program '{command[0]}' here; accepted: a name on PATH or a path")
    if served and _is_static(Path(path)):
        raise UsageError(
            f"{path} is statically linked: no preloaded malloc takes effect in it; accepted: "
            "dynamically linked programs and scripts"
        )


def _is_static(path: Path) -> bool:
    """Whether a file is an ELF executable that names no dynamic linker."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:4] != _ELF_MAGIC or head[4] != 2 or head[5] != 1:
            return False
        (offset,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
        file.seek(offset)
        table = file.read(size * count)
    kinds = [struct.unpack_from("<I", table, size * i)[0] for i in range(len(table) // size)]
    return _PT_INTERP not in kinds
