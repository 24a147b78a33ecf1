"""A program and all it starts, as the kernel shows them: who maps the library, memory, the end.

Descendants are found by session and parent, looking only at processes not seen before, so that a
look costs far less than the 50 ms between two of them. A look disturbs the program as little as
reading /proc does; what ends between two looks is counted by its parent's wait.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtbench.isolate import GRACE_S, thread_states

LOOK_S = 0.05
_EAGER_S = 0.05
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Sighting:
    """What was seen of one process. state: "mapped" (the library is preloaded and mapped),
    "other" or "unseen"; image: where its program lies, which exec changes; peak: the kernel's own
    high-water mark of its memory, bytes."""

    name: str = ""
    state: str = "unseen"
    image: tuple[str, ...] = ()
    peak: int = 0
    gone: bool = False


@dataclass
class Usage:
    """What a program and the descendants it waited for used; bytes, seconds and counts."""

    wall_s: float
    user_s: float
    system_s: float
    rss_peak: int
    voluntary: int
    involuntary: int
    minor_faults: int
    major_faults: int

    def to_json(self) -> dict[str, float | int]:
        """As a record keeps it."""
        return {key: round(v, 6) if isinstance(v, float) else v for key, v in vars(self).items()}


@dataclass
class Tree:
    """One started program, watched until it ends.

    expect: real path of the library that must be preloaded and mapped. started: monotonic
    seconds. before: processes that were there before it, so none of its own.
    """

    process: subprocess.Popen[bytes]
    expect: str
    started: float
    before: frozenset[int]
    seen: dict[int, Sighting] = field(default_factory=dict)
    rss_peak: int = 0
    _alien: set[int] = field(default_factory=set)
    _usage: Usage | None = None
    _status: int = 0

    def __post_init__(self) -> None:
        self.seen[self.process.pid] = Sighting()
        self._alien.update(self.before)
        self._handle = os.pidfd_open(self.process.pid)

    def wait(self, timeout_s: float) -> bool:
        """Watch until the program ends or so many seconds are over; True if it ended."""
        deadline = time.monotonic() + timeout_s
        pause = 0.0
        while True:
            now = time.monotonic()
            if now - self.started < _EAGER_S and self.seen[self.process.pid].state == "unseen":
                # Glances come thick: a short program must not slip through unproven.
                self._glance(self.process.pid, self.seen[self.process.pid])
                time.sleep(0.0002)
                pause = 0.0
            else:
                self.look()
                pause = min(max(pause * 1.5, 0.002), LOOK_S)
            if self._ended(pause):
                return True
            if now > deadline:
                return False

    def alive(self) -> bool:
        """Whether the program has not ended yet."""
        return self._usage is None and not self._ended(0)

    def look(self) -> None:
        """Read once what is alive: new descendants, maps of those not yet judged, memory."""
        self._find()
        resident = [
            self._glance(pid, sighting)
            for pid, sighting in self.seen.items()
            if not sighting.gone or pid == self.process.pid
        ]
        self.rss_peak = max(self.rss_peak, sum(resident))

    def _glance(self, pid: int, sighting: Sighting) -> int:
        """Read one process; its resident bytes now."""
        # A child between fork and exec still shows its parent's maps, so "mapped" holds for one
        # image only; "other" is for good.
        image = _image(pid) if sighting.state != "other" else ()
        if image and image != sighting.image:
            sighting.state = "unseen"
            self._judge(pid, sighting)
            if sighting.state != "unseen" and _image(pid) == image:
                sighting.image = image
        resident, peak = _memory(pid)
        sighting.gone = peak == 0
        sighting.peak = max(sighting.peak, peak)
        return resident

    @property
    def proven(self) -> bool:
        """Whether the program itself was seen with the malloc it should have."""
        return self.seen[self.process.pid].state == "mapped"

    def disproof(self) -> str | None:
        """Why this run does not count; None if every process seen had its malloc."""
        wrong = [entry for entry in self.seen.values() if entry.state == "other"]
        if wrong:
            return f"process '{wrong[0].name}' runs without {self.expect}"
        if not self.proven:
            return (
                f"ended after {self.usage().wall_s * 1e3:.1f} ms, before its malloc could be "
                "seen; accepted: a program with more to do"
            )
        return None

    def proof(self) -> dict[str, Any]:
        """How many processes were seen, and in how many the malloc was seen, for the record."""
        return {
            "processes": len(self.seen),
            "proven": sum(entry.state == "mapped" for entry in self.seen.values()),
        }

    def usage(self) -> Usage:
        """What was used, once the program has ended (it is reaped here)."""
        self._reap(self.started)
        assert self._usage is not None
        return self._usage

    @property
    def status(self) -> int:
        """Exit code, or minus the signal that ended it, as subprocess has it."""
        return self._status

    def end(self) -> None:
        """Terminate, then kill, whatever of the tree is alive, and reap the program."""
        if self.alive():
            self._signal(signal.SIGTERM)
            self._ended(GRACE_S)
        self._find()
        self._signal(signal.SIGKILL)
        self._reap(self.started)

    def stop(self, patience_s: float) -> bool:
        """Ask a server to end by SIGTERM; True if it did in so many seconds."""
        self.look()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        return self._ended(patience_s)

    def states(self) -> tuple[str, ...]:
        """Each thread of the program now, for a timeout's record."""
        return thread_states(self.process.pid)

    def _ended(self, patience_s: float) -> bool:
        if self._usage is not None:
            return True
        poller = select.poll()
        poller.register(self._handle, select.POLLIN)
        if not poller.poll(int(patience_s * 1000)):
            return False
        self._reap(self.started)
        return True

    def _reap(self, started: float) -> None:
        if self._usage is not None:
            return
        if self.process.returncode is None:
            os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOWAIT)
            wall = time.monotonic() - started
            _, status, used = os.wait4(self.process.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
            self.process.returncode = self._status
            peaks = [entry.peak for entry in self.seen.values()]
            self._usage = Usage(
                wall_s=wall,
                user_s=used.ru_utime,
                system_s=used.ru_stime,
                rss_peak=max(self.rss_peak, *peaks, _own_peak(used.ru_maxrss * 1024)),
                voluntary=used.ru_nvcsw,
                involuntary=used.ru_nivcsw,
                minor_faults=used.ru_minflt,
                major_faults=used.ru_majflt,
            )
        os.close(self._handle)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)
        for pid, sighting in self.seen.items():
            if not sighting.gone and pid != self.process.pid and self._belongs(pid):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)

    def _find(self) -> None:
        """Add descendants that appeared since the last look. A process in the session or with a
        parent in the tree is one; each process of others is looked at once."""
        now = present()
        self._alien &= now
        for pid in now - self.seen.keys() - self._alien:
            if self._belongs(pid):
                self.seen[pid] = Sighting()
            else:
                self._alien.add(pid)

    def _belongs(self, pid: int) -> bool:
        fields = _stat(pid)
        return len(fields) > 3 and (
            int(fields[3]) == self.process.pid or (int(fields[1]) in self.seen)
        )

    def _judge(self, pid: int, sighting: Sighting) -> None:
        """Read maps and environment: the loader maps libc after what is preloaded, so libc says
        that it is done; the first in LD_PRELOAD serves, whatever the program itself links."""
        try:
            # Maps last: if they are whole, the environment read before them was not of a corpse.
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
            sighting.name = Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
        except OSError:
            return
        if "[stack]" not in maps or not _LIBC.search(maps):
            return
        asked = f"LD_PRELOAD={self.expect}".encode() in variables
        found = asked and f" {self.expect}\n" in maps
        sighting.state = "mapped" if found else "other"


_LIBC = re.compile(r"/(libc\.so|libc-2|ld-musl|libc\.musl)\S*$", re.MULTILINE)


def present() -> frozenset[int]:
    """Every process of the machine that is visible here."""
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208


def _own_peak(kernel: int) -> int:
    """The kernel's highest resident set of one process of the tree, bytes; 0 where it is hidden
    by this process's own, which the count holds from before the program was executed."""
    mine = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return kernel if kernel > mine else 0


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: state, parent, group, session...; [] if gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read hundreds of times
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return []


def _image(pid: int) -> tuple[str, ...]:
    """Start of the stack and of the environment (fields 28 and 50 of /proc/PID/stat), both placed
    anew by each exec; () if the process is gone, or only its status is left."""
    fields = _stat(pid)
    return (fields[25], fields[47]) if len(fields) > 47 and fields[47] != "0" else ()


def _memory(pid: int) -> tuple[int, int]:
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
