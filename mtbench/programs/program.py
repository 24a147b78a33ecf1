"""A real program to run under each allocator: its command line and the commands around it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mtbench.errors import UsageError
from mtbench.programs.inputs import Input
from mtbench.programs.number import Number

_ELF_MAGIC = b"\x7fELF"
_PT_INTERP = 3

_THREADS, _PORT = "{threads}", "{port}"


@dataclass(frozen=True)
class Program:
    """What `mtbench exec` runs; kept in the manifest and enough to resume.

    command: served by the allocator under test; with a client it is a server, started before the
    client and ended after it. setup, cleanup: shell commands, once a run; prepare: before every
    trial; ready: succeeds once the server serves ("": when it listens). codes: exit codes that are
    no failure; empty for any. timeout: seconds of a trial, or of waiting for a server.

    inputs: files made in the folder where it runs. stdin: path of its standard input, "" for none.
    environment: set for the command, the client, the check.
    check: what must be the same after every run, "stdout" or the output of a shell command; "" for
    nothing. conclude: a shell command after every trial. memory: bytes that it may hold, 0 for any.
    by: the measure that comparisons are about, "" for its first number or its wall time. apart: it
    runs in a folder of its own, with its inputs. template: `{threads}` and `{port}` in its texts
    stand for numbers.
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
    inputs: dict[str, Input] = field(default_factory=dict)
    stdin: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    check: str = ""
    conclude: str = ""
    memory: int = 0
    by: str = ""
    apart: bool = False
    template: bool = False

    @property
    def threaded(self) -> bool:
        """Whether its number of threads can be chosen."""
        texts = (*self._texts(), *self.environment.values())
        return self.template and any(_THREADS in text for text in texts)

    @property
    def unit(self) -> str:
        """What is counted per second: the first number asked for, or runs of the program."""
        return self.numbers[0].name if self.numbers else "runs"

    def text(self) -> str:
        """The command as one would type it."""
        served = shlex.join(self.command)
        return f"{served} | {shlex.join(self.client)}" if self.client else served

    def at(self, threads: int, port: int) -> Program:
        """The same with its numbers in their places: a port of this machine, and of threads."""
        if not self.template:
            return self

        def put(text: str) -> str:
            return text.replace(_THREADS, str(threads)).replace(_PORT, str(port))

        return replace(
            self,
            command=tuple(map(put, self.command)),
            client=tuple(map(put, self.client)),
            prepare=put(self.prepare),
            ready=put(self.ready),
            check=put(self.check),
            conclude=put(self.conclude),
            environment={name: put(text) for name, text in self.environment.items()},
            template=False,
        )

    @property
    def ported(self) -> bool:
        """Whether it needs a port."""
        return self.template and any(_PORT in text for text in self._texts())

    def _texts(self) -> tuple[str, ...]:
        return (*self.command, *self.client, self.prepare, self.ready, self.check, self.conclude)


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
