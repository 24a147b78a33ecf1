"""The run directory: manifest, records appended one by one, lock, and what a crash leaves.

A record is one line, written whole and flushed to disk before the next trial starts. A last line
without its newline is what a crash leaves: readers ignore it, the next writer removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mtbench.errors import MtbenchError, UsageError

SCHEMA = 1
MANIFEST, TRIALS, LOCK = "manifest.json", "trials.jsonl", "lock"


def new_path(parent: Path) -> Path:
    """runs/20261123T101500Z-hostname, with -2, -3.. if that second is taken."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host = re.sub(r"[^\w.-]", "_", socket.gethostname()) or "host"
    path = parent / f"{stamp}-{host}"
    number = 2
    while path.exists():
        path = parent / f"{stamp}-{host}-{number}"
        number += 1
    return path


class RunDirectory:
    """One run on disk. Open with `create`, `resume` (both hold the lock) or `read`."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._lock: int | None = None
        self._trials: int | None = None

    @classmethod
    def create(cls, path: Path, manifest: dict[str, Any]) -> RunDirectory:
        """A new directory with its manifest, locked for writing.

        Raises UsageError if it holds a run already, MtbenchError if it cannot be written.
        """
        if (path / MANIFEST).exists():
            raise UsageError(f"{path} holds a run already; give another -o, or --resume {path}")
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, {"schema": SCHEMA, **manifest})
            run._take_lock()
            run.write(MANIFEST, json.dumps(run.manifest, indent=1) + "\n")
            run._open_trials()
        except OSError as error:
            raise _unwritable(path, error) from error
        return run

    @classmethod
    def resume(cls, path: Path) -> RunDirectory:
        """An existing run, locked for writing, its torn last line removed."""
        run = cls.read(path)
        try:
            run._take_lock()
            run._open_trials()
        except OSError as error:
            raise _unwritable(path, error) from error
        return run

    @classmethod
    def read(cls, path: Path) -> RunDirectory:
        """An existing run, for reading. Raises UsageError: no run there, or of another schema."""
        manifest = path / MANIFEST
        try:
            kept = json.loads(manifest.read_text())
            schema = kept["schema"]
        except FileNotFoundError:
            raise UsageError(
                f"{path} is no run directory (it has no {MANIFEST}); accepted: a directory that "
                "`mtbench sweep` wrote"
            ) from None
        except OSError as error:
            raise UsageError(f"{manifest}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{manifest} is not readable as a run's manifest") from None
        if schema != SCHEMA:
            raise UsageError(
                f"{path} was written with schema {schema}; this version reads schema {SCHEMA}"
            )
        return cls(path, kept)

    def append(self, record: dict[str, Any]) -> None:
        """Add one record and flush it to the disk; on failure what was there stays whole."""
        assert self._trials is not None, "the run is open for reading only"
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        before = os.fstat(self._trials).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._trials, line[written:])
            os.fsync(self._trials)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._trials, before)
            raise _unwritable(self.path / TRIALS, error) from error

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record, one at a time, in the order measured; a torn last line is left out.

        Raises MtbenchError for a damaged line that is not the last.
        """
        try:
            file = (self.path / TRIALS).open("rb")
        except FileNotFoundError:
            return
        with file:
            damaged = 0
            for number, line in enumerate(file, 1):
                if damaged:
                    raise MtbenchError(
                        f"{self.path / TRIALS}: line {damaged} is damaged; remove that line to "
                        "use the rest"
                    )
                try:
                    record = json.loads(line)
                except ValueError:
                    damaged = number
                    continue
                if not line.endswith(b"\n"):
                    damaged = number
                    continue
                if record.get("schema") != SCHEMA:
                    raise UsageError(
                        f"{self.path / TRIALS}: line {number} has schema "
                        f"{record.get('schema')}; this version reads schema {SCHEMA}"
                    )
                yield record

    def write(self, name: str, text: str) -> Path:
        """Replace a file of the run in one step, so that a reader never sees half of it."""
        target = self.path / name
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise _unwritable(target, error) from error
        return target

    def update(self, **entries: Any) -> None:
        """Change entries of the manifest, on disk too."""
        self.manifest.update(entries)
        self.write(MANIFEST, json.dumps(self.manifest, indent=1) + "\n")

    def close(self) -> None:
        """Give the lock back; reading stays possible."""
        for descriptor in (self._trials, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._trials = self._lock = None

    def __enter__(self) -> RunDirectory:
        """Nothing: `create` and `resume` did it."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_lock(self) -> None:
        descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise UsageError(
                f"{self.path} is being written by process {owner or '?'}; wait for it, or use "
                "another directory"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._lock = descriptor

    def _open_trials(self) -> None:
        descriptor = os.open(
            self.path / TRIALS, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
        )
        self._trials = descriptor
        size = os.fstat(descriptor).st_size
        whole = _last_whole_line(descriptor, size)
        if whole < size:
            os.ftruncate(descriptor, whole)
            os.fsync(descriptor)


def _last_whole_line(descriptor: int, size: int) -> int:
    """Where the last line that is whole, newline and JSON, ends."""
    end = size
    position = size
    tail = b""
    while position > 0:
        step = min(1 << 20, position)
        position -= step
        tail = os.pread(descriptor, step, position) + tail
        lines = tail.split(b"\n")
        if len(lines) >= 3 or position == 0:
            end = size - len(lines[-1])
            previous = lines[-2] if len(lines) > 1 else b""
            with contextlib.suppress(ValueError):
                if not previous or json.loads(previous) is not None:
                    return end
            return end - len(previous) - 1
    return end


def _unwritable(path: Path, error: OSError) -> MtbenchError:
    if error.errno == errno.ENOSPC:
        return MtbenchError(f"{path}: no space left on the disk; every finished trial is kept")
    return MtbenchError(f"{path} cannot be written: {error.strerror or error}")
