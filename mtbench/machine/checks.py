"""What on this machine will spoil measurements, how, and what to do about it.

A table of checks, each returning one Fact. Nothing is changed on the machine.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mtbench.machine import readings
from mtbench.machine.environment import settings
from plots import data

Check = Callable[[], Iterator["Fact"]]
_ORDER = {"warning": 0, "unknown": 1, "note": 2, "ok": 3}


@dataclass(frozen=True)
class Fact(data.Fact):
    """One fact. harm: what it does to numbers, "" if nothing. remedy: the command that mends it.

    severity: "warning" spoils numbers, "note" must be known to read them, "unknown" could not be
    read here, "ok" is fine. weight: among warnings, the worst is largest.
    """

    weight: int = 0


def examine() -> list[Fact]:
    """Every fact, the worst first."""
    facts = [fact for check in CHECKS for fact in check()]
    return sorted(facts, key=lambda fact: (_ORDER[fact.severity], -fact.weight))


def as_json(facts: list[Fact]) -> list[dict[str, Any]]:
    """Facts for the manifest and for --json."""
    return [asdict(fact) for fact in facts]


def _processor() -> Iterator[Fact]:
    yield Fact("processor", f"{readings.cpu_model()} ({platform.machine()})")
    found = readings.topology()
    yield Fact(
        "cores",
        f"{found['logical']} logical, {found['physical'] or '?'} physical, "
        f"{found['numa_nodes'] or '?'} NUMA node(s)",
        *(
            (
                "threads far from their memory pay more",
                "numactl --cpunodebind=0 --membind=0",
                "note",
            )
            if (found["numa_nodes"] or 1) > 1
            else ()
        ),
    )
    yield Fact("caches", ", ".join(readings.caches()) or "not told", severity="ok")


def _usable() -> Iterator[Fact]:
    allowed, cores, quota = readings.affinity(), readings.usable_cores(), readings.cpu_quota()
    logical = readings.topology()["logical"] or len(allowed)
    few = (
        f"above {cores} threads the report shows oversubscription, not scaling; no scaling law is "
        "fitted below 6 usable cores"
        if cores < 6
        else ""
    )
    yield Fact(
        "usable cores",
        str(cores),
        few,
        "" if not few else "use a machine with more cores",
        "note" if few else "ok",
    )
    if len(allowed) < logical:
        yield Fact(
            "affinity",
            f"{len(allowed)} of {logical} CPUs allowed",
            "other CPUs stay idle",
            f"taskset -c 0-{logical - 1} mtbench ...",
            "note",
        )
    else:
        yield Fact("affinity", "all CPUs allowed")
    if quota is not None and quota < len(allowed):
        yield Fact(
            "cgroup CPU quota",
            f"{quota:.2f} cores for {len(allowed)} CPUs",
            "threads are stopped when the quota is used up, in every 100 ms",
            "run outside the container, or with --cpus=" + str(len(allowed)),
            "warning",
            90,
        )
    else:
        yield Fact("cgroup CPU quota", "none" if quota is None else f"{quota:.2f} cores")
    limit = readings.memory_limit()
    available = readings.memory_available()
    short = available < 2 << 30
    yield Fact(
        "memory",
        f"{available >> 20} MiB available, cgroup limit "
        + ("none" if limit is None else f"{limit >> 20} MiB"),
        "wasteful allocators will be stopped early" if short else "",
        "free memory, or raise the limit" if short else "",
        "warning" if short else "ok",
        40,
    )


def _smt() -> Iterator[Fact]:
    active = readings.text("/sys/devices/system/cpu/smt/active")
    if active == "1":
        yield Fact(
            "SMT",
            "on",
            "two threads of one core share it: the second adds less than one",
            "echo off | sudo tee /sys/devices/system/cpu/smt/control",
            "note",
        )
    else:
        yield Fact("SMT", "off" if active == "0" else "not told")


def _frequency() -> Iterator[Fact]:
    cpu = readings.affinity()[0]
    governor = readings.text(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")
    if governor is None:
        yield Fact(
            "frequency governor",
            "not visible here",
            "the clock may change between trials and nobody here can tell",
            "compare within one run only (mtbench pairs trials of one block)",
            "unknown",
        )
    elif governor != "performance":
        yield Fact(
            "frequency governor",
            governor,
            "the clock rises and falls with the load",
            "sudo cpupower frequency-set -g performance",
            "warning",
            60,
        )
    else:
        yield Fact("frequency governor", governor)
    no_turbo = readings.text("/sys/devices/system/cpu/intel_pstate/no_turbo")
    boost = readings.text("/sys/devices/system/cpu/cpufreq/boost")
    if no_turbo == "0" or boost == "1":
        yield Fact(
            "turbo",
            "on",
            "few threads run at a higher clock than many, so speedup at "
            "many threads looks worse than the allocator is",
            "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
            if no_turbo
            else "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
            "note",
        )
    else:
        known = no_turbo == "1" or boost == "0"
        yield (
            Fact("turbo", "off")
            if known
            else Fact(
                "turbo",
                "not visible here",
                "few threads may run at a higher clock than many, and nobody here can tell",
                "read speedups beside those of other allocators in the same run",
                "unknown",
            )
        )


def _kernel() -> Iterator[Fact]:
    yield Fact("kernel", f"{platform.system()} {platform.release()}")
    yield Fact("libc", " ".join(platform.libc_ver()) or "not told")
    randomised = readings.text("/proc/sys/kernel/randomize_va_space")
    yield Fact(
        "ASLR",
        {"0": "off", "1": "partly on", "2": "on"}.get(randomised or "", "not told"),
        "addresses differ between trials, so cache conflicts do: it belongs to the spread "
        "that intervals show"
        if randomised != "0"
        else "",
        "none needed; setarch -R mtbench ... fixes one layout",
        "ok",
    )
    pages = readings.text("/sys/kernel/mm/transparent_hugepage/enabled")
    always = pages is not None and "[always]" in pages
    yield Fact(
        "transparent huge pages",
        pages or "not told",
        "resident memory grows in steps of 2 MiB, and faults are few but large" if always else "",
        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled" if always else "",
        "note" if always else "ok",
    )
    overcommit = readings.text("/proc/sys/vm/overcommit_memory")
    yield Fact(
        "overcommit",
        {"0": "heuristic", "1": "always", "2": "never"}.get(overcommit or "", "not told"),
        "allocators that reserve much address space fall back or fail" if overcommit == "2" else "",
        "sudo sysctl vm.overcommit_memory=0" if overcommit == "2" else "",
        "warning" if overcommit == "2" else "ok",
        50,
    )
    swap = any(
        line.split()[1:2] != ["0"]
        for line in (readings.text("/proc/meminfo") or "").splitlines()
        if line.startswith("SwapTotal")
    )
    yield Fact(
        "swap",
        "on" if swap else "off",
        "a page that was swapped out counts as a major fault, not as memory" if swap else "",
        "sudo swapoff -a" if swap else "",
        "note" if swap else "ok",
    )


def _neighbours() -> Iterator[Fact]:
    average, runnable = readings.load()
    cores = readings.usable_cores()
    busy = average > 0.25 * cores or runnable > 2
    yield Fact(
        "load",
        f"{average:.2f} in the last minute, {runnable} runnable now",
        "others take CPU time from the trials" if busy else "",
        "stop other work: top -o %CPU" if busy else "",
        "warning" if busy else "ok",
        100,
    )
    flags = readings.text("/proc/cpuinfo") or ""
    virtual = "hypervisor" in flags
    kind = readings.text("/sys/class/dmi/id/sys_vendor") or ""
    yield Fact(
        "virtualisation",
        (f"virtual machine {kind}".strip() if virtual else "none seen"),
        "another machine may take the core: each trial records the time stolen" if virtual else "",
        "use bare metal for publishable absolute numbers" if virtual else "",
        "note" if virtual else "ok",
    )
    reported = readings.reports_free_pages()
    yield Fact(
        "free memory",
        "reported to the host (virtio-balloon)" if reported else "not seen to leave the machine",
        "memory that was free for some seconds is the host's: it is faulted in there too at its "
        "next first touch, a huge page ten times as slowly and more"
        if reported
        else "",
        "compare within one run only; bare metal, or a machine whose balloon does not report"
        if reported
        else "",
        "note" if reported else "ok",
    )
    yield Fact("steal time", f"{readings.steal_s():.1f} s since boot")


def _permissions() -> Iterator[Fact]:
    paranoid = readings.text("/proc/sys/kernel/perf_event_paranoid")
    if paranoid is None:
        yield Fact(
            "perf events",
            "not offered by this kernel",
            "no cycles, instructions or misses",
            "use a kernel with perf_event",
            "unknown",
        )
    elif int(paranoid) > 2 and os.geteuid() != 0:
        yield Fact(
            "perf events",
            f"perf_event_paranoid = {paranoid}",
            "no cycles, instructions or misses",
            "sudo sysctl kernel.perf_event_paranoid=2",
            "note",
        )
    else:
        yield Fact("perf events", f"perf_event_paranoid = {paranoid}")
    files = shutil.disk_usage(Path.cwd()).free
    yield Fact(
        "disk",
        f"{files >> 20} MiB free here",
        "a sweep of thousands of trials writes tens of MiB" if files < 1 << 28 else "",
        "free some space, or use -o on another disk" if files < 1 << 28 else "",
        "warning" if files < 1 << 28 else "ok",
        30,
    )


def _environment() -> Iterator[Fact]:
    if found := settings(os.environ):
        yield Fact(
            "environment",
            ", ".join(f"{name}={value}" for name, value in found.items()),
            "settings of allocators reach every trial (LD_PRELOAD and HAKMEM_* do not)",
            "unset " + " ".join(found),
            "warning",
            70,
        )
    else:
        yield Fact("environment", "no allocator settings")
    yield Fact("packages", ", ".join(f"{name} {v}" for name, v in readings.packages().items()))


def _libraries() -> Iterator[Fact]:
    import allocator
    import workloads

    for package, ask in ((allocator, allocator.build), (workloads, lambda: workloads.BUILD)):
        yield _build(package, ask)


def _build(package: ModuleType, ask: Callable[[], Any]) -> Fact:
    """Whether the native half of a package was made from the sources that lie beside it."""
    name = f"{package.__name__} library"
    try:
        build = ask()
    except (ImportError, OSError):
        return Fact(name, "not built", "it cannot be measured", "pip install .", "warning", 95)
    folder = Path(str(package.__file__)).resolve().parent
    found = f"{build.source_hash[:12]}, {build.flags}"
    if not (folder / "src").is_dir():
        return Fact(name, found)
    if source_hash(folder, build.flags) == build.source_hash:
        return Fact(name, f"{found}, as its sources")
    return Fact(
        name,
        f"{found}, older than its sources",
        "what is measured is not what is written",
        "pip install --no-build-isolation -e .",
        "warning",
        99,
    )


def source_hash(folder: Path, flags: str) -> str:
    """The hash that `cmake/SourceHash.cmake` computes, over the sources in `folder`, hex."""
    files = [path for path in (folder / "src").rglob("*") if path.suffix in (".c", ".h")]
    files += (folder / "include").rglob("*.h")
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix())
    ]
    return hashlib.sha256(("".join(lines) + f"flags {flags}\n").encode()).hexdigest()


CHECKS: tuple[Check, ...] = (
    _processor,
    _usable,
    _smt,
    _frequency,
    _kernel,
    _neighbours,
    _permissions,
    _environment,
    _libraries,
)
