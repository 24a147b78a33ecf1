"""Readings of this machine: cores a process may use, memory, load, steal time, versions.

Each function reads one source and returns a plain value, or None where the machine does not tell.
Judging them is `doctor`'s part.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_BALLOON = "0x0005"
_REPORTING = 5
"""VIRTIO_ID_BALLOON and VIRTIO_BALLOON_F_REPORTING of the virtio specification."""


def text(path: str | Path) -> str | None:
    """The stripped text of a small file; None if it cannot be read."""
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return None


def affinity() -> tuple[int, ...]:
    """The logical CPUs this process may run on, rising."""
    return tuple(sorted(os.sched_getaffinity(0)))


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """This process's cgroup folders for a controller, innermost first, up to the root."""
    for line in (text("/proc/self/cgroup") or "").splitlines():
        number, names, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not names:
            root = Path("/sys/fs/cgroup")
        elif controller in names.split(","):
            root = Path("/sys/fs/cgroup") / controller
        else:
            continue
        folder = root / path.lstrip("/")
        while True:
            yield folder
            if folder == root or root not in folder.parents:
                break
            folder = folder.parent


def cpu_quota() -> float | None:
    """Cores' worth of CPU time that the cgroup allows; None if unlimited."""
    quotas = []
    for folder in _cgroup_folders("cpu"):
        with suppress(ValueError):
            if found := text(folder / "cpu.max"):
                limit, period = found.split()
                if limit != "max":
                    quotas.append(int(limit) / int(period))
            elif (found := text(folder / "cpu.cfs_quota_us")) and int(found) > 0:
                quotas.append(int(found) / int(text(folder / "cpu.cfs_period_us") or 100_000))
    return min(quotas, default=None)


def usable_cores() -> int:
    """Cores this process may use at once: affinity and cgroup quota counted, at least 1."""
    quota = cpu_quota()
    allowed = len(affinity())
    return max(1, min(allowed, int(quota + 0.01))) if quota is not None else allowed


def memory_limit() -> int | None:
    """Bytes that the cgroup allows; None if unlimited."""
    limits = []
    for folder in _cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with suppress(ValueError, TypeError):
                value = int(text(folder / name) or "")
                if value < 1 << 60:
                    limits.append(value)
    return min(limits, default=None)


def memory_available() -> int:
    """Bytes that a new process could take now without swapping, cgroup limit counted."""
    found = {}
    for line in (text("/proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        with suppress(ValueError, IndexError):
            found[name] = int(rest.split()[0]) * 1024
    available = found.get("MemAvailable", found.get("MemFree", 1 << 30))
    for folder in _cgroup_folders("memory"):
        for names in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            with suppress(ValueError, TypeError):
                limit, used = (int(text(folder / name) or "") for name in names)
                available = min(available, max(limit - used, 0))
    return available


def reports_free_pages(devices: Path = Path("/sys/bus/virtio/devices")) -> bool:
    """Whether this is a virtual machine that gives free memory back to its host by itself: a
    virtio memory balloon which reports free pages. `devices`: where Linux lists what is virtio."""
    for folder in devices.glob("*"):
        balloon = text(folder / "device") == _BALLOON
        # A digit per feature, that of bit 0 first.
        features = text(folder / "features") or ""
        if balloon and features[_REPORTING : _REPORTING + 1] == "1":
            return True
    return False


def worker_memory() -> int:
    """Default limit of one worker, bytes: three quarters of what is available. Workers run one
    at a time, so nothing is divided further."""
    return memory_available() * 3 // 4


def load() -> tuple[float, int]:
    """Load average of the last minute, and threads running or runnable now, this one included."""
    fields = (text("/proc/loadavg") or "0 0 0 1/1 0").split()
    return float(fields[0]), int(fields[3].partition("/")[0])


def steal_s() -> float:
    """Seconds of CPU time the hypervisor has given to others since boot, all cores together."""
    fields = (text("/proc/stat") or "cpu").splitlines()[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else 0.0


def cpu_model() -> str:
    """The processor's name as Linux gives it."""
    for line in (text("/proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return platform.processor() or platform.machine()


def topology() -> dict[str, int | None]:
    """Logical CPUs, physical cores and NUMA nodes of the whole machine."""
    cores = set()
    logical = 0
    for folder in Path("/sys/devices/system/cpu").glob("cpu[0-9]*"):
        logical += 1
        package, core = (
            text(folder / "topology/physical_package_id"),
            text(folder / "topology/core_id"),
        )
        if core is not None:
            cores.add((package, core))
    nodes = len(list(Path("/sys/devices/system/node").glob("node[0-9]*")))
    return {
        "logical": logical or os.cpu_count(),
        "physical": len(cores) or None,
        "numa_nodes": nodes or None,
    }


def siblings(cpu: int) -> str | None:
    """The hardware threads that share a core with `cpu`, as Linux lists them."""
    return text(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")


def caches() -> list[str]:
    """`L1 Data 32K`, `L2 Unified 1024K`... of the first CPU this process may use."""
    found = []
    for folder in sorted(Path(f"/sys/devices/system/cpu/cpu{affinity()[0]}/cache").glob("index*")):
        level, kind, size = (text(folder / name) for name in ("level", "type", "size"))
        if level and kind and size:
            found.append(f"L{level} {kind} {size}")
    return found


def packages() -> dict[str, str]:
    """Versions of Python and of the packages that measuring depends on."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in ("mtbench", "numpy", "cffi", "matplotlib"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def summary() -> str:
    """One line that tells two machines apart: processor, cores, memory is left to `doctor`."""
    return f"{cpu_model()}, {usable_cores()} usable cores, {platform.system()} {platform.release()}"


def fingerprint() -> dict[str, str]:
    """What must agree for two runs to have come from the same machine."""
    return {
        "host": socket.gethostname(),
        "cpu": cpu_model(),
        "cores": str(usable_cores()),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
    }


def cpu_order(pin: str) -> list[int] | None:
    """The CPUs threads are pinned to in turn; None for `none`.

    `compact` fills a core's hardware threads before the next core; `spread` takes one hardware
    thread of every core first.
    """
    if pin == "none":
        return None
    allowed = affinity()

    def place(cpu: int) -> tuple[int, int]:
        folder = f"/sys/devices/system/cpu/cpu{cpu}/topology"
        package, core = text(f"{folder}/physical_package_id"), text(f"{folder}/core_id")
        return int(package or 0), int(core) if core else cpu

    compact = sorted(allowed, key=lambda cpu: (*place(cpu), cpu))
    if pin == "compact":
        return compact
    turns: dict[tuple[int, int], int] = {}
    ranked = []
    for cpu in compact:
        turn = turns[place(cpu)] = turns.get(place(cpu), -1) + 1
        ranked.append((turn, *place(cpu), cpu))
    return [entry[-1] for entry in sorted(ranked)]
