"""How a process ended, in words. A SIGKILL that nobody here sent is looked up with Linux."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

_HINTS = {
    "SIGSYS": "a sandbox (seccomp) refused a system call",
    "SIGXCPU": "the limit on CPU time, ulimit -t",
    "SIGXFSZ": "the limit on file sizes, ulimit -f",
}


@dataclass(frozen=True)
class Kills:
    """What Linux's out-of-memory killer has counted: kills on this machine, and in this
    process's control group; None where it does not tell."""

    machine: int | None
    group: int | None


def kills() -> Kills:
    """The counters now."""
    return Kills(_counter(Path("/proc/vmstat")), _of_group())


def words(status: int, before: Kills) -> str:
    """An exit status as subprocess has it. before: the counters when the process started; a
    SIGKILL of our own is never asked about."""
    if status >= 0:
        told = _name(status - 128) if status > 128 else ""
        if not told:
            return f"exit code {status}"
        return f"exit code {status}, which tells of a command {_killed(told, before)}"
    return _killed(_name(-status) or f"signal {-status}", before)


def signal_name(status: int) -> str | None:
    """The signal behind an exit status, None if it is an exit code."""
    return (_name(-status) or f"signal {-status}") if status < 0 else None


def told(exit_code: int | None) -> str | None:
    """The signal that a shell's exit code tells of, None if it tells of none."""
    return (_name(exit_code - 128) or None) if exit_code is not None and exit_code > 128 else None


def _killed(name: str, before: Kills) -> str:
    if name != "SIGKILL":
        return f"killed by {name}" + (f" ({_HINTS[name]})" if name in _HINTS else "")
    now = kills()
    for then, count, where in (
        (before.group, now.group, "in this control group"),
        (before.machine, now.machine, "on this machine"),
    ):
        if then is not None and count is not None and count > then:
            return (
                "killed by SIGKILL: out of memory; meanwhile Linux's out-of-memory killer "
                f"ended {count - then} process{'es' if count - then > 1 else ''} {where}"
            )
    if before.machine is None or now.machine is None:
        return "killed by SIGKILL, which mtbench did not send; often Linux's out-of-memory killer"
    return (
        "killed by SIGKILL, which neither mtbench nor Linux's out-of-memory killer sent: "
        "a person, a limit, or a daemon that guards memory (earlyoom, systemd-oomd)"
    )


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _counter(file: Path) -> int | None:
    try:
        found = re.search(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def _of_group() -> int | None:
    """The counter of this process's control group, of either version."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            file = Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
        elif not controllers:
            file = Path(f"/sys/fs/cgroup{path}/memory.events")
        else:
            continue
        if (found := _counter(file)) is not None:
            return found
    return None
