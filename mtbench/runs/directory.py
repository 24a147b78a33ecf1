"""The run directory: manifest, records appended one by one, lock, and what a crash leaves.

A record is one line, written whole and flushed to disk before the next trial starts. A last line
without its newline is what a crash leaves: readers ignore it, the next writer removes it. Records
may lie gzipped beside the manifest; such a run can be read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import json
import os
import re
import socket
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import msgspec

from mtbench.base.written import write_whole
from mtbench.errors import MtbenchError, UsageError
from mtbench.runs import manifest as manifests
from mtbench.runs.manifest import Manifest
from mtbench.runs.record import SCHEMA, Record, decoded, encoded, fault

MANIFEST, TRIALS, LOCK = "manifest.json", "trials.jsonl", "lock"
PACKED = f"{TRIALS}.gz"
WRITTEN = (TRIALS, PACKED, "report.html", "summary.csv", "figures")
"""What a run writes beside manifest and lock: where any of it is, something else is kept."""


def new_path(parent: Path) -> Path:
    """runs/20261123T101500Z-hostname, with -2, -3.. if that second is taken; made, so that no
    other process takes it too. Raises MtbenchError."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    host = re.sub(r"[^\w.-]", "_", socket.gethostname()) or "host"
    path = parent / f"{stamp}-{host}"
    number = 1
    while not _made(path):
        number += 1
        path = parent / f"{stamp}-{host}-{number}"
    return path


def _made(path: Path) -> bool:
    try:
        path.mkdir(parents=True)
    except OSError as error:
        if os.path.lexists(path):
            return False
        raise _unwritable(path, error) from error
    return True


class RunDirectory:
    """One run on disk. Open with `create`, `resume` (both hold the lock) or `read`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._lock: int | None = None
        self._trials: int | None = None
        self._fresh = False

    @classmethod
    def create(cls, path: Path, manifest: Manifest) -> RunDirectory:
        """A new directory with its manifest, locked for writing.

        Raises UsageError if it holds a run already, or a file of the user's that a run would
        replace; MtbenchError if it cannot be written.
        """
        _refuse_taken(path)
        run = cls(path, manifest)
        try:
            path.mkdir(parents=True, exist_ok=True)
            run._take_lock()
            # Another process may have had the lock since, and ended.
            _refuse_taken(path)
            run.write(MANIFEST, manifests.encoded(manifest))
            run._open_trials()
        except OSError as error:
            run.close()
            raise _unwritable(path, error) from error
        except BaseException:
            run.close()
            raise
        run._fresh = True
        return run

    @classmethod
    def resume(cls, path: Path) -> RunDirectory:
        """An existing run, locked for writing, its torn last line removed."""
        run = cls.read(path)
        if not (path / TRIALS).exists():
            with run._opened():
                raise UsageError(f"{path / PACKED} is packed; to resume: gunzip {path / PACKED}")
        try:
            run._take_lock()
            run._open_trials()
        except OSError as error:
            run.close()
            raise _unwritable(path, error) from error
        return run

    @classmethod
    def read(cls, path: Path) -> RunDirectory:
        """An existing run, for reading. Raises UsageError: no run there, of another schema, or
        with a manifest that is damaged."""
        manifest = path / MANIFEST
        try:
            text = manifest.read_text(encoding="utf-8")
            schema = json.loads(text)["schema"]
        except FileNotFoundError:
            raise UsageError(
                f"{path} is no run directory (it has no {MANIFEST}); accepted: a directory that "
                "`mtbench sweep` wrote"
            ) from None
        except OSError as error:
            raise UsageError(f"{manifest}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(f"{manifest} is not readable as a run's manifest") from None
        if schema != SCHEMA:
            raise UsageError(
                f"{path} was written with schema {schema}; this version reads schema {SCHEMA}"
            )
        try:
            return cls(path, manifests.decoded(text))
        except ValueError as error:
            raise UsageError(f"{manifest} is damaged: {error}") from None

    def append(self, record: Record) -> None:
        """Add one record and flush it to the disk; on failure what was there stays whole."""
        assert self._trials is not None, "the run is open for reading only"
        self._check_place()
        line = encoded(record)
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

    def records(self) -> Iterator[Record]:
        """Every record, one at a time, in the order measured; a torn last line is left out.

        Raises MtbenchError for a damaged line that is not the last, and where there is no file.
        """
        damaged, why = 0, ""
        with self._opened() as file:
            for number, line in enumerate(self._lines(file), 1):
                if damaged:
                    break
                if not line.endswith(b"\n"):
                    damaged = number
                    continue
                try:
                    record = decoded(line)
                except msgspec.ValidationError as error:
                    self._refuse_schema(line, file, number)
                    damaged, why = number, f" ({fault(error)})"
                    break
                except (ValueError, RecursionError):
                    damaged = number
                    continue
                if record.schema != SCHEMA:
                    self._refuse_schema(line, file, number)
                if self.manifest.programs and record.good and not record.good.program:
                    damaged, why = number, " (it is no run of a program)"
                    break
                if self.manifest.hosts is not None and record.host is None:
                    damaged, why = number, " (host is missing)"
                    break
                yield record
            else:
                return
        raise MtbenchError(
            f"{file.name}: line {damaged} is damaged{why}; remove that line to use the rest"
        )

    @staticmethod
    def _refuse_schema(line: bytes, file: IO[bytes], number: int) -> None:
        found = None
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(line)
        if isinstance(found, dict) and found.get("schema") != SCHEMA:
            raise UsageError(
                f"{file.name}: line {number} has schema {found.get('schema')}; this version reads "
                f"schema {SCHEMA}"
            )

    def _opened(self) -> IO[bytes]:
        """The file of the records, packed or not. Raises MtbenchError."""
        try:
            return (self.path / TRIALS).open("rb")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise MtbenchError(f"{self.path / TRIALS}: {error.strerror}") from error
        try:
            return gzip.open(self.path / PACKED, "rb")  # type: ignore[return-value]
        except FileNotFoundError:
            raise MtbenchError(
                f"{self.path} has a manifest but no {TRIALS} (nor {PACKED}); its records were "
                "moved or deleted"
            ) from None
        except OSError as error:
            raise MtbenchError(f"{self.path / PACKED}: {error.strerror}") from error

    def _lines(self, file: IO[bytes]) -> Iterator[bytes]:
        try:
            yield from file
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise MtbenchError(f"{self.path / PACKED} is damaged: gunzip -t tells more") from None
        except OSError as error:
            raise MtbenchError(f"{file.name}: {error.strerror}") from error

    def write(self, name: str, text: str) -> Path:
        """Replace a file of the run in one step, so that a reader never sees half of it."""
        target = self.path / name
        try:
            write_whole(target, text)
        except OSError as error:
            raise _unwritable(target, error) from error
        return target

    def update(self, **entries: Any) -> None:
        """Change entries of the manifest, on disk too; what this version does not know stays."""
        self._check_place()
        self.manifest = msgspec.structs.replace(self.manifest, **entries)
        kept = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        kept |= {name: msgspec.to_builtins(value) for name, value in entries.items()}
        self.write(MANIFEST, json.dumps(kept, indent=1) + "\n")

    def close(self) -> None:
        """Give the lock back; reading stays possible."""
        for descriptor in (self._trials, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._trials = self._lock = None

    def __enter__(self) -> RunDirectory:
        """Nothing: `create` and `resume` did it."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self._fresh:
            self._discard()
        self.close()

    def _discard(self) -> None:
        """Remove a new run that ended before its first trial: it would only be in the way of the
        corrected command."""
        with contextlib.suppress(OSError, MtbenchError):
            if self._trials is not None and os.fstat(self._trials).st_size == 0:
                self._check_place()
                for name in (TRIALS, MANIFEST, LOCK):
                    (self.path / name).unlink()
                self.path.rmdir()

    def _check_place(self) -> None:
        """Raises MtbenchError if the run is no longer where it was."""
        assert self._trials is not None, "the run is open for reading only"
        mine = os.fstat(self._trials)
        try:
            found = (self.path / TRIALS).stat()
            if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                return
        except OSError:
            pass
        if mine.st_nlink:
            now = Path(f"/proc/self/fd/{self._trials}").readlink().parent
            raise MtbenchError(
                f"{self.path} was moved while it was measured; every finished trial is kept in "
                f"{now}: go on there with --resume"
            )
        raise MtbenchError(f"{self.path} was deleted while it was measured, and its trials with it")

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


def _refuse_taken(path: Path) -> None:
    if (path / MANIFEST).exists():
        raise UsageError(f"{path} holds a run already; give another -o, or --resume {path}")
    for name in WRITTEN:
        if os.path.lexists(path / name):
            raise UsageError(f"{path} holds {name}, which a run would replace; give another -o")
    try:
        lock = (path / LOCK).read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error) from error
    # What a run that was killed at once leaves is the number of its process.
    if not re.fullmatch(rb"\d{0,10}", lock):
        raise UsageError(f"{path} holds {LOCK}, which a run would replace; give another -o")


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
            with contextlib.suppress(ValueError, RecursionError):
                if not previous or json.loads(previous) is not None:
                    return end
            return end - len(previous) - 1
    return end


def _unwritable(path: Path, error: OSError) -> MtbenchError:
    if error.errno == errno.ENOSPC:
        return MtbenchError(f"{path}: no space left on the disk; every finished trial is kept")
    return MtbenchError(f"{path} cannot be written: {error.strerror or error}")
