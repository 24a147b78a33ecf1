"""One trial in one fresh process: started, watched, ended, and its fate put into words.

The worker is the leader of its own session, so that everything it starts ends with it; it dies
with this process; and it is told to be the first that Linux's memory killer takes. Nothing
here raises for what a worker does: an outcome is always returned.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtbench.machine import fate, procfs, readings
from mtbench.mallocs.allocators import Allocator, worker_environment
from mtbench.runs.record import Status
from mtbench.trial.worker import Errand

TAIL_BYTES = 2048
POLL_S = 0.1
GRACE_S = 1.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_SOURCE = str(Path(__file__).resolve().parents[2])
_START = "import sys; sys.path[:0] = sys.argv[3:]; from mtbench.trial.worker import main; main()"


@dataclass(frozen=True)
class Limits:
    """timeout_s: seconds until the watchdog acts. memory_bytes: resident bytes the worker may
    use; 0 for no limit."""

    timeout_s: float
    memory_bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of a worker.

    wall_s: seconds from start to end. record: what the worker wrote, {} if nothing. threads: at a
    timeout, each thread's state letter, kernel wait channel and name, at most 256. runnable:
    threads of the whole machine running or waiting for a processor, looked at each `POLL_S`, the
    median; 0 if the worker ended before.
    """

    status: Status
    reason: str | None
    signal: str | None
    exit_code: int | None
    stderr_tail: str
    wall_s: float
    record: dict[str, Any] = field(default_factory=dict)
    threads: tuple[str, ...] = ()
    runnable: int = 0


@dataclass
class _Watched:
    """What the watchdog saw. why: it ended the worker early, None if not; status: as what. tail:
    last bytes said."""

    why: str | None = None
    status: Status = Status.ERROR
    tail: bytes = b""
    threads: tuple[str, ...] = ()
    runnable: list[int] = field(default_factory=list)
    kills: fate.Kills = field(default_factory=fate.kills)


def run_worker(request: bytes, chosen: Allocator, limits: Limits) -> Outcome:
    """Run one request under one allocator. KeyboardInterrupt ends the worker and passes on."""
    config = chosen.environment if chosen.kind == "hakmem" else {}
    errand: Errand = {
        "expect": chosen.path,
        "config": {name.removeprefix("HAKMEM_").lower(): value for name, value in config.items()},
        "packages": _package_folders(),
    }
    request_file = os.memfd_create("mtbench-request")
    record_file = os.memfd_create("mtbench-record")
    try:
        for part in (json.dumps(errand).encode(), b"\n", request):
            _write_all(request_file, part)
        started = time.monotonic()
        process = _start(chosen, request_file, record_file)
        try:
            watched = _watch(process, limits)
        finally:
            _end(process)
        wall = time.monotonic() - started
        return _outcome(process.returncode, watched, wall, _read_all(record_file))
    finally:
        os.close(request_file)
        os.close(record_file)


def _start(chosen: Allocator, request: int, record: int) -> subprocess.Popen[bytes]:
    """Start the interpreter without `site`, which would double its start-up: what this process
    can import is handed over instead."""
    environment = worker_environment(chosen)
    environment["PYTHONHASHSEED"] = "0"
    own = f"/proc/{os.getpid()}/fd"
    folders = [_SOURCE, *filter(os.path.isabs, sys.path)]
    return subprocess.Popen(
        [sys.executable, "-S", "-c", _START, f"{own}/{request}", f"{own}/{record}", *folders],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
        bufsize=0,
    )


def _package_folders() -> dict[str, list[str]]:
    """Where the packages with native halves lie: two folders in an editable install."""
    import allocator
    import workloads

    return {package.__name__: list(package.__path__) for package in (allocator, workloads)}


def die_with_parent() -> None:
    """In the child before exec: no orphan keeps a core busy after this process is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(descriptor, b"1000")
        os.close(descriptor)


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> _Watched:
    """Wait for the worker's end, or for a reason to end it."""
    assert process.stdout is not None
    seen = _Watched()
    speech = process.stdout.fileno()
    os.set_blocking(speech, False)
    handle = os.pidfd_open(process.pid)
    deadline = time.monotonic() + limits.timeout_s
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, selectors.EVENT_READ)
            selector.register(speech, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select(POLL_S)}
                if speech in ready:
                    said = _drain(speech)
                    if said is None:
                        selector.unregister(speech)
                    else:
                        seen.tail = (seen.tail + said)[-TAIL_BYTES:]
                if handle in ready:
                    seen.tail = (seen.tail + (_drain(speech) or b""))[-TAIL_BYTES:]
                    return seen
                if procfs.continued(handle):
                    seen.why = "it was stopped and continued, so that its window counts a pause"
                    return seen
                seen.runnable.append(readings.load()[1])
                resident = _resident(process.pid) if limits.memory_bytes else 0
                if limits.memory_bytes and resident > limits.memory_bytes:
                    seen.why = (
                        f"used {resident >> 20} MiB, over the limit of "
                        f"{limits.memory_bytes >> 20} MiB a worker"
                    )
                    return seen
                if time.monotonic() > deadline:
                    seen.status = Status.TIMEOUT
                    seen.threads = thread_states(process.pid)
                    seen.why = f"no end after {limits.timeout_s:.0f} s; {_summary(seen.threads)}"
                    return seen
    finally:
        os.close(handle)


def _drain(descriptor: int) -> bytes | None:
    """What can be read now, at most 1 MiB and only its end kept; None at the end of file."""
    tail = b""
    for _ in range(16):
        try:
            said = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            break
        if not said:
            return tail or None
        tail = (tail + said)[-TAIL_BYTES:]
    return tail


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate, then kill, the worker's whole process group, and reap the worker.

    The group is signalled before the leader is reaped, so its number cannot be another's.
    """
    handle = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, selectors.EVENT_READ)
            if not selector.select(0):
                _signal_group(process.pid, signal.SIGTERM)
                selector.select(GRACE_S)
        _signal_group(process.pid, signal.SIGKILL)
    finally:
        os.close(handle)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _resident(pid: int) -> int:
    """Resident bytes of a process now; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def thread_states(pid: int, limit: int = 256) -> tuple[str, ...]:
    """Each thread of a process: state letter, kernel wait channel, name."""
    states = []
    with contextlib.suppress(OSError):
        for task in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name)):
            with contextlib.suppress(OSError):
                name, _, rest = (task / "stat").read_text(errors="replace").rpartition(")")
                channel = "-"
                with contextlib.suppress(OSError):
                    channel = (task / "wchan").read_text().strip("0 \n") or "-"
                states.append(f"{rest.split()[0]} {channel} {name.partition('(')[2]}")
            if len(states) == limit:
                break
    return tuple(states)


def _summary(threads: tuple[str, ...]) -> str:
    counted: dict[str, int] = {}
    for thread in threads:
        state, channel, _ = thread.split(" ", 2)
        key = state if channel == "-" else f"{state} in {channel}"
        counted[key] = counted.get(key, 0) + 1
    words = ", ".join(f"{n} x {state}" for state, n in sorted(counted.items()))
    return f"threads: {words or 'none left'}"


def _outcome(code: int, seen: _Watched, wall: float, written: bytes) -> Outcome:
    words = seen.tail.decode(errors="replace")
    name = fate.signal_name(code)
    exit_code = code if code >= 0 else None
    runnable = sorted(seen.runnable)[len(seen.runnable) // 2] if seen.runnable else 0

    def failure(status: Status, reason: str) -> Outcome:
        return Outcome(status, reason, name, exit_code, words, wall, {}, seen.threads, runnable)

    if seen.why is not None:
        return failure(seen.status, seen.why)
    if code < 0:
        return failure(Status.CRASH, fate.words(code, seen.kills))
    try:
        record = json.loads(written) if written else {}
    except (ValueError, RecursionError):
        record = {}
    if not isinstance(record, dict) or not {"status", "reason"} <= record.keys():
        last = words.strip().splitlines()[-1:] or ["nothing on stderr"]
        reason = f"exit code {code} without a record: {last[0][:200]}"
        return failure(Status.ERROR if code else Status.CRASH, reason)
    status, why = record.pop("status"), record.pop("reason")
    try:
        ended = Status(status)
    except ValueError:
        return failure(Status.ERROR, f"its record is damaged: its status is {repr(status)[:60]}")
    return Outcome(
        ended, None if why is None else str(why), None, code, words, wall, record, (), runnable
    )


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_all(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)
