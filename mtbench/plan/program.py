"""A real program to run under each allocator: its command line and the commands around it."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shlex
import shutil
import stat
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtbench.errors import UsageError

_FIXED = ("allocator", "program", "trials", "runs", "failed", "verdict", "order", "processes")
_ELF_MAGIC = b"\x7fELF"
_PT_INTERP = 3


_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)


@dataclass(frozen=True)
class Number:
    """A number in the program's output: the last match's first group. lower: smaller is better.

    Where the output itself says `name=` before what the pattern matches, only that counts: so
    `throughput=([0-9.]+)` is the number behind "throughput=", not the last number of all.
    """

    name: str
    pattern: str
    lower: bool = False

    def find(self, output: str) -> float:
        """The number in `output`. Raises ValueError if there is none, or it may mean two."""
        found = self._last(output)
        if found is None:
            raise ValueError(f"no number for --metric '{self.pattern}' in the output")
        try:
            return plain(_whole(found, output))
        except ValueError as error:
            raise ValueError(f"--metric '{self.pattern}' found {error}") from None

    def _last(self, output: str) -> re.Match[str] | None:
        told = None
        with contextlib.suppress(re.error):  # flags in front of the pattern
            told = re.compile(f"{re.escape(self.name)}=(?:{self.pattern})", re.MULTILINE)
        for pattern in (told, re.compile(self.pattern, re.MULTILINE)):
            matches = pattern.finditer(output) if pattern else ()
            if found := [match for match in matches if match[1] is not None][-1:]:
                return found[0]
        return None


def _whole(match: re.Match[str], output: str) -> str:
    """The first group. Raises ValueError if it is cut out of a longer number: `([0-9.]+) per` finds
    234.5 in "1,234.5 per second"."""
    start, end = match.span(1)
    before = re.search(r"[\d.,]*\Z", output[max(0, start - 40) : start])
    after = re.match(r"[.,]?\d[\d.,]*|[eE][+-]?\d+", output[end : end + 40])
    lead = before[0] if before and start == match.start() and re.search(r"\d", before[0]) else ""
    rest = after[0] if after and end == match.end() else ""
    if lead or rest:
        raise ValueError(
            f"'{match[1]}', a part of '{lead}{match[1]}{rest}'; accepted: a regular expression "
            "that also matches what stands beside the number"
        )
    return match[1]


def plain(text: str) -> float:
    """A finite number; thousands may be set apart by commas where that can mean nothing else.

    Raises ValueError with the text and what is wrong with it.
    """
    text = text.strip()
    if _GROUPED.fullmatch(text) and (text.count(",") > 1 or "." in text):
        text = text.replace(",", "")
    elif "," in text and _PLAIN.fullmatch(text.replace(",", "")):
        raise ValueError(
            f"'{text}', in which the comma may set apart thousands or decimals; accepted: numbers "
            "such as 1500.5 (many programs write them under LC_ALL=C)"
        )
    if not _PLAIN.fullmatch(text) or not math.isfinite(value := float(text)):
        raise ValueError(f"'{text}', which is no finite number")
    return value


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
        """What is counted per second: the first number asked for, or runs of the program."""
        return self.numbers[0].name if self.numbers else "runs"

    def text(self) -> str:
        """The command as one would type it."""
        served = shlex.join(self.command)
        return f"{served} | {shlex.join(self.client)}" if self.client else served


def number(text: str, *, lower: bool = False) -> Number:
    """`NAME=REGEX` or `REGEX`; the regular expression has a group around the number.

    Raises UsageError.
    """
    match = re.match(r"([A-Za-z][\w /-]*)=", text)
    name, pattern = (match[1].strip(), text[match.end() :]) if match else ("metric", text)
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


def numbers(texts: Sequence[str], measures: Iterable[str], *, lower: bool) -> tuple[Number, ...]:
    """Every --metric. measures: what a run has anyway. Raises UsageError, also for a name whose
    columns another one has: one would hide the other."""
    found = tuple(number(text, lower=lower) for text in texts)
    taken = set(_FIXED).union(*map(_columns, measures))
    for entry in found:
        if taken & _columns(entry.name):
            raise UsageError(
                f"--metric '{entry.name}={entry.pattern}': there is a '{entry.name}' already; "
                f"accepted: a name of its own for each, as in 'my {entry.name}=REGEX'"
            )
        taken |= _columns(entry.name)
    return found


def _columns(name: str) -> set[str]:
    """What a measure is called in tables, in lower case."""
    ends = ("", "_low", "_high")
    return {f"{start}{end}".lower() for start in (name, f"{name}_ratio") for end in ends}


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
    found = shutil.which(command[0])
    if found is None:
        raise UsageError(f"no program '{command[0]}' here; accepted: a name on PATH or a path")
    path = Path(found)
    if not served:
        return
    if is_static(path):
        raise UsageError(
            f"{path} is statically linked: no preloaded malloc takes effect in it; accepted: "
            "dynamically linked programs and scripts"
        )
    if _gains_rights(path):
        raise UsageError(
            f"{path} runs with rights of its own (set-user-ID, set-group-ID or capabilities): the "
            "loader ignores preloaded libraries there; accepted: a program without"
        )


def _gains_rights(path: Path) -> bool:
    """Whether executing a file changes who runs it, which makes the loader ignore LD_PRELOAD."""
    kept = path.stat()
    if kept.st_mode & stat.S_ISUID and kept.st_uid != os.geteuid():
        return True
    if kept.st_mode & stat.S_ISGID and kept.st_gid != os.getegid():
        return True
    with contextlib.suppress(OSError):
        return os.geteuid() != 0 and bool(os.getxattr(path, "security.capability"))
    return False


def is_static(path: Path) -> bool:
    """Whether a file is an ELF executable that names no dynamic linker. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 52 or head[:4] != _ELF_MAGIC or head[5] != 1:
            return False
        wide = head[4] == 2
        (offset,) = (
            struct.unpack_from("<Q", head, 32) if wide else struct.unpack_from("<I", head, 28)
        )
        size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
        file.seek(offset)
        table = file.read(size * count)
    kinds = [struct.unpack_from("<I", table, size * i)[0] for i in range(len(table) // (size or 1))]
    return _PT_INTERP not in kinds
