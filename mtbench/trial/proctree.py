"""A program and all it starts, as Linux shows them: who maps the library, memory, the end.

Descendants are found by session and parent, looking only at processes not seen before, so that a
look costs far less than the 50 ms between two of them; while processes come and go looks are
closer. A look disturbs the program as little as reading /proc does; what ends between two looks is
counted by its parent's wait. Orphans of the program come to this process (`adopting`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from mtbench.machine import procfs
from mtbench.runs.record import Identity
from mtbench.trial import signals
from mtbench.trial.isolate import GRACE_S, thread_states
from mtbench.trial.sighting import Sighting

LOOK_S = 0.05
_CLOSE_S = 0.002
_EAGER_S = 0.05
_UNSEEN_SHARE = 0.5
_UNSEEN_S = 0.01
"""A run of which more CPU time than both was spent unseen proves nothing."""
_PR_SET_CHILD_SUBREAPER = 36


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

    expect: real path of the library that must be preloaded and mapped; "" if nothing need be.
    started: monotonic seconds. before: processes that were there before it, so none of its own.
    left: names of what it had left running when it ended by itself. stopped: it was stopped and
    continued, so that its times count a pause. most: bytes it may hold, 0 for any; over: what it
    held when it was ended for that, 0 if it was not.
    """

    process: subprocess.Popen[bytes]
    expect: str
    started: float
    before: frozenset[int]
    seen: dict[int, Sighting] = field(default_factory=dict)
    rss_peak: int = 0
    left: tuple[str, ...] = ()
    stopped: bool = False
    most: int = 0
    over: int = 0
    unseen_s: float = 0.0
    _alien: set[int] = field(default_factory=set)
    _served: set[tuple[str, ...]] = field(default_factory=set)
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
                pause = _CLOSE_S if self.look() else min(max(pause * 1.5, _CLOSE_S), LOOK_S)
            if self._ended(min(pause, max(0.0, deadline - now))):
                return True
            if now > deadline:
                return False

    def alive(self) -> bool:
        """Whether the program has not ended yet."""
        return self._usage is None and not self._ended(0)

    def look(self) -> bool:
        """Read once what is alive: new descendants, maps of those not yet judged, memory. True if
        processes came or went since the last look, so that the next should be soon."""
        known, reaped = len(self.seen), sum(entry.reaped for entry in self.seen.values())
        self._find()
        resident = [
            self._glance(pid, sighting)
            for pid, sighting in self.seen.items()
            if not sighting.gone or pid == self.process.pid
        ]
        self.rss_peak = max(self.rss_peak, sum(resident))
        if self.most and sum(resident) > self.most and not self.over:
            self.over = sum(resident)
            self._signal(signal.SIGKILL)
        return len(self.seen) > known or sum(e.reaped for e in self.seen.values()) > reaped

    def _glance(self, pid: int, sighting: Sighting) -> int:
        """Read one process; its resident bytes now."""
        now, found = time.monotonic(), procfs.stat(pid)
        image = found.image if found and sighting.state != "unserved" else ()
        # A child between fork and exec still shows its parent's maps, so "served" holds for one
        # image only; "unserved" is for good.
        if image and (image != sighting.image or sighting.state == "unseen"):
            self._judge(pid, sighting, image)
        resident, peak = procfs.memory(pid)
        sighting.peak = max(sighting.peak, peak)
        if peak == 0 or found is None:
            if not sighting.gone and pid != self.process.pid:
                sighting.cpu_s = procfs.cpu_s(pid) or sighting.ended(now)
                _reap(pid)
                sighting.went()
            return 0
        sighting.ran(procfs.cpu_s(pid), now)
        sighting.reaped = found.reaped
        if pid == self.process.pid:
            self.stopped |= found.state == "T" or procfs.continued(self._handle)
        return resident

    def _judge(self, pid: int, sighting: Sighting, image: tuple[str, ...]) -> None:
        sighting.image = image
        if not self.expect:
            sighting.state = "served"
            return
        sighting.judge(pid, self.expect, self._served, ours=pid == self.process.pid)
        if sighting.state == "served":
            now = procfs.stat(pid)
            if now is not None and now.image == image:
                self._served.add(image)
            else:
                sighting.state = "unseen"  # it executed another program meanwhile

    @property
    def proven(self) -> bool:
        """Whether the program itself was seen with the malloc it should have."""
        return self.seen[self.process.pid].state == "served"

    def disproof(self) -> str | None:
        """Why this run does not count; None if its processes were seen to have their malloc, but
        for a smaller part of the CPU time, which `proof` tells, or if any malloc will do."""
        if not self.expect:
            return None
        wrong = [entry for entry in self.seen.values() if entry.state == "unserved"]
        usage = self.usage()
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            return f"process '{wrong[0].name}'{more} runs without {self.expect}: {wrong[0].why}"
        if not self.proven:
            if (why := self.seen[self.process.pid].why) and usage.wall_s > _EAGER_S:
                return f"its malloc could not be seen in {usage.wall_s * 1e3:.1f} ms: {why}"
            busy = ", or a machine with less to do" if usage.wall_s > _EAGER_S / 2 else ""
            return (
                f"ended after {usage.wall_s * 1e3:.1f} ms, before its malloc could be "
                f"seen; accepted: a program with more to do{busy}"
            )
        share = self.unseen_s / max(usage.user_s + usage.system_s, 1e-6)
        if share > _UNSEEN_SHARE and self.unseen_s > _UNSEEN_S:
            return (
                f"about {min(share, 1):.0%} of its CPU time was spent in children that ended "
                "before their malloc could be seen; accepted: children with more to do"
            )
        return None

    def proof(self) -> Identity:
        """For the record: how many processes were seen, in how many the malloc, how many CPU
        seconds, about, went by unseen in children, and what was left running at the end."""
        return Identity(
            processes=len(self.seen),
            proven=sum(entry.state == "served" for entry in self.seen.values()),
            unseen_s=round(self.unseen_s, 4),
            left=list(self.left),
        )

    def usage(self) -> Usage:
        """What was used, once the program has ended (it is reaped here)."""
        self._reap()
        assert self._usage is not None
        return self._usage

    @property
    def status(self) -> int:
        """Exit code, or minus the signal that ended it, as subprocess has it."""
        return self._status

    def end(self) -> None:
        """Terminate, then kill, whatever of the tree is alive, and reap the program."""
        with signals.held():
            by_itself = not self.alive()
            self.look()
            rest = self._rest()
            if by_itself:
                self.left = tuple(sorted({procfs.name(pid) for pid in rest} - {""}))
            if rest or not by_itself:
                self._signal(signal.SIGTERM)
                deadline = time.monotonic() + GRACE_S
                while time.monotonic() < deadline and not (self._ended(0) and not self._rest()):
                    time.sleep(0.005)
                self._find()
                self._signal(signal.SIGKILL)
            self._reap()
            end_orphans(self.before)

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
        self._reap()
        return True

    def _reap(self) -> None:
        if self._usage is not None:
            return
        if self.process.returncode is None:
            os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOWAIT)
            wall = time.monotonic() - self.started
            own = procfs.cpu_s(self.process.pid)
            _, status, used = os.wait4(self.process.pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
            self.process.returncode = self._status
            peaks = [entry.peak for entry in self.seen.values()]
            self._usage = Usage(
                wall_s=wall,
                user_s=used.ru_utime,
                system_s=used.ru_stime,
                rss_peak=max(self.rss_peak, *peaks, procfs.own_peak(used.ru_maxrss * 1024)),
                voluntary=used.ru_nvcsw,
                involuntary=used.ru_nivcsw,
                minor_faults=used.ru_minflt,
                major_faults=used.ru_majflt,
            )
            self.unseen_s = self._unseen(used.ru_utime + used.ru_stime - own)
        os.close(self._handle)

    def _unseen(self, of_children: float) -> float:
        """CPU seconds, about, of the children waited for in which no malloc was seen."""
        now = time.monotonic()
        return max(
            0.0,
            of_children
            - sum(
                entry.cpu_s if entry.gone else entry.ended(now)
                for pid, entry in self.seen.items()
                if pid != self.process.pid and entry.state == "served"
            ),
        )

    def _rest(self) -> list[int]:
        """What is alive of the tree beside the program."""
        return [
            pid
            for pid in self.seen
            if pid != self.process.pid
            and self._belongs(pid)
            and (found := procfs.stat(pid)) is not None
            and found.state not in "ZX"
        ]

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)
        for pid in self._rest():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def _find(self) -> None:
        """Add descendants that appeared since the last look. A process in the session, with a
        parent in the tree or handed to this process is one; others are looked at once each."""
        now = procfs.present()
        self._alien &= now
        # In their order, for a grandchild is told by its parent.
        for pid in sorted(now - self.seen.keys() - self._alien):
            if self._belongs(pid):
                self.seen[pid] = Sighting()
            else:
                self._alien.add(pid)

    def _belongs(self, pid: int) -> bool:
        found = procfs.stat(pid)
        return found is not None and (
            found.session == self.process.pid
            or found.parent in self.seen
            or (found.parent == os.getpid() and pid not in self.before)
        )


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Meanwhile this process is given whatever its descendants leave without a parent, so that a
    program which puts itself into the background is still found, judged and ended."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def end_orphans(before: frozenset[int]) -> None:
    """Kill and reap every child of this process that is not in `before`, generation by generation:
    the children of what is killed come here next."""
    deadline = time.monotonic() + GRACE_S
    while (found := procfs.children(before)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            _reap(pid)
        time.sleep(0.001)


def _reap(pid: int) -> None:
    """Reap a process that was handed to this one; nothing for others."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
