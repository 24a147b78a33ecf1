"""Commands as they are started here, and what they write: a program, a server, the shell around."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from mtbench.errors import MtbenchError
from mtbench.machine import fate, procfs
from mtbench.mallocs.allocators import Allocator, worker_environment
from mtbench.trial.isolate import TAIL_BYTES, die_with_parent
from mtbench.trial.proctree import Tree

_OUTPUT_BYTES = 8 << 20
"""How much of the end of the output is searched for numbers."""


class Output:
    """Where a process writes. keep: its standard output too, else only its standard error."""

    def __init__(self, *, keep: bool) -> None:
        self.out: IO[bytes] | int = subprocess.DEVNULL
        self.err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        if keep:
            self.out = tempfile.TemporaryFile()  # noqa: SIM115

    def text(self) -> str:
        """The end of both, for finding numbers."""
        kept = b"" if isinstance(self.out, int) else _end_of(self.out, _OUTPUT_BYTES)
        return (kept + b"\n" + _end_of(self.err, _OUTPUT_BYTES)).decode(errors="replace")

    def words(self) -> str:
        """The last words on standard error."""
        return _end_of(self.err, TAIL_BYTES).decode(errors="replace")

    def digest(self) -> str:
        """SHA-256 of all its standard output, in hex; "" if that was not kept."""
        if isinstance(self.out, int):
            return ""
        digest, at = hashlib.sha256(), 0
        while block := os.pread(self.out.fileno(), 1 << 20, at):
            digest.update(block)
            at += len(block)
        return digest.hexdigest()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *_: object) -> None:
        self.err.close()
        if not isinstance(self.out, int):
            self.out.close()


def _end_of(file: IO[bytes], most: int) -> bytes:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), most, max(0, size - most))


def start(
    words: tuple[str, ...],
    environment: dict[str, str],
    output: Output,
    expect: str,
    *,
    server: bool = False,
    folder: Path | None = None,
    stdin: str = "",
) -> Tree:
    """Start a program as leader of its own session. A server ends with this process; a program
    would pay for that with a slower start. expect: real path of the library that must serve it, ""
    for any. stdin: path of its standard input. Raises MtbenchError."""
    before = procfs.present()
    try:
        given = (folder or Path()).joinpath(stdin).open("rb") if stdin else None
    except OSError as error:
        raise MtbenchError(f"--stdin {stdin} cannot be read: {error.strerror}") from None
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            words,
            env=environment,
            stdin=given or subprocess.DEVNULL,
            stdout=output.out,
            stderr=output.err,
            start_new_session=True,
            preexec_fn=die_with_parent if server else None,
            cwd=folder,
        )
    except OSError as error:
        raise MtbenchError(f"{words[0]} cannot be started: {error.strerror}") from error
    finally:
        if given:
            given.close()
    if expect:
        # If memory runs out Linux is to take the program, and neither mtbench nor others.
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000")
    return Tree(process, expect, started, before)


def shell(
    option: str,
    text: str,
    timeout_s: float,
    more: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a command around the trials, under the system's malloc. What it puts into the background
    stays. Raises MtbenchError if it fails or does not end in time."""
    before = fate.kills()
    with Output(keep=False) as said:
        status = _status(text, timeout_s, more or {}, said, folder, keep=True)
        last = said.words().strip().splitlines()[-1:]
    if status is None:
        raise MtbenchError(
            f"{option} '{text}' did not end within {timeout_s:g} s; accepted: a command that ends, "
            "'COMMAND &' for one that is to go on, or a longer --timeout"
        )
    if status != 0:
        raise MtbenchError(
            f"{option} '{text}' failed ({fate.words(status, before)})"
            + (f": {last[0]}" if last else "")
        )


def succeeds(text: str, timeout_s: float, folder: Path | None = None) -> bool | None:
    """Whether a shell command ends with exit code 0; None if it does not end in time."""
    with Output(keep=False) as said:
        status = _status(text, timeout_s, {}, said, folder, keep=False)
    return None if status is None else status == 0


def answer(
    text: str, timeout_s: float, more: Mapping[str, str], folder: Path | None
) -> tuple[str, str]:
    """SHA-256 of what a shell command writes, and ""; or "" and why there is none."""
    before = fate.kills()
    with Output(keep=True) as said:
        status = _status(text, timeout_s, more, said, folder, keep=False)
        if status is None:
            return "", f"'{text}' did not end within {timeout_s:g} s"
        if status != 0:
            last = said.words().strip().splitlines()[-1:]
            why = f"'{text}' failed ({fate.words(status, before)})"
            return "", why + (f": {last[0]}" if last else "")
        return said.digest(), ""


def _status(
    text: str,
    timeout_s: float,
    more: Mapping[str, str],
    said: Output,
    folder: Path | None,
    *,
    keep: bool,
) -> int | None:
    """Exit status of a shell command, None if it had to be ended. keep: what it leaves in the
    background goes on; else it ends too."""
    environment = worker_environment(Allocator("shell", "system", None)) | dict(more)
    tree = start(("sh", "-c", text), environment, said, "", folder=folder)
    ended = False
    try:
        ended = tree.wait(timeout_s)
    finally:
        if not ended or not keep:
            tree.end()
    return tree.status if ended else None
