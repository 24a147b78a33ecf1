"""What Linux shows of any process: its parent, image, memory and CPU time; no more than reads.

Numbers of a process that is gone are zeros and its names are empty: it may go at any moment.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stat:
    """One line of /proc/PID/stat. state: R, S, D, T, Z...; reaped: minor faults of the children it
    has waited for, which each of them adds to; image: where stack and environment start, both
    placed anew by each exec, () if only a status is left of the process."""

    state: str
    parent: int
    session: int
    reaped: int
    image: tuple[str, ...]


def stat(pid: int) -> Stat | None:
    """The process now; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read hundreds of times
            fields = file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return None
    if len(fields) < 48:
        return None
    image = (fields[25], fields[47]) if fields[47] != "0" else ()
    return Stat(fields[0], int(fields[1]), int(fields[3]), int(fields[8]), image)


def present() -> frozenset[int]:
    """Every process of the machine that is visible here."""
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def children(before: frozenset[int]) -> frozenset[int]:
    """This process's own children that are not in `before`, those handed to it included."""
    mine = os.getpid()
    fresh = present() - before
    return frozenset(pid for pid in fresh if (found := stat(pid)) and found.parent == mine)


def name(pid: int) -> str:
    """What the process calls itself."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def memory(pid: int) -> tuple[int, int]:
    """Resident bytes now and at the most; zeros if the process is gone."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123
            text = file.read()
    except OSError:
        return 0, 0
    found = {}
    for key in (b"VmHWM:", b"VmRSS:"):
        _, _, rest = text.partition(key)
        found[key] = int(rest.split(None, 1)[0]) * 1024 if rest else 0
    return found[b"VmRSS:"], found[b"VmHWM:"]


def cpu_s(pid: int) -> float:
    """CPU seconds of the process and all its threads, also while it waits to be reaped."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3)
    except OSError:
        return 0.0


def own_peak(kernel: int) -> int:
    """Linux's highest resident set of one process of a tree, bytes; 0 where it is hidden
    by this process's own, which the count holds from before the program was executed."""
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return kernel if kernel > mine else 0


def continued(handle: int) -> bool:
    """Whether the child behind a pidfd went on after a stop; Linux tells of each once."""
    with contextlib.suppress(ChildProcessError):  # it has ended
        return os.waitid(os.P_PIDFD, handle, os.WCONTINUED | os.WNOHANG) is not None
    return False


def listen(pids: Iterable[int]) -> bool:
    """Whether any of the processes has a socket that waits for others: TCP or Unix listening, UDP
    bound to a port."""
    sockets = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(entry.readlink())
                    if target.startswith("socket:["):
                        sockets.add(target[8:-1])
    for table, state, place, inode in (
        ("tcp", "0A", 3, 9),
        ("tcp6", "0A", 3, 9),
        ("udp", "07", 3, 9),
        ("udp6", "07", 3, 9),
        ("unix", "01", 5, 6),
    ):
        for line in _lines(f"/proc/net/{table}")[1:]:
            fields = line.split()
            ours = len(fields) > inode and fields[inode] in sockets
            # A Unix socket also has state 01 while it is unconnected; flag 10000 is listening.
            if ours and fields[place] == state and (table != "unix" or fields[3] == "00010000"):
                return True
    return False


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
