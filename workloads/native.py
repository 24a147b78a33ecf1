"""The native half: what it is made of, the null malloc, and what its loops cost bare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workloads.engine import ffi, lib, module
from workloads.spec import Workload


@dataclass(frozen=True)
class Build:
    """What the engine was built from: SHA-256 over its sources and flags, and the flags."""

    source_hash: str
    flags: str


def _build() -> Build:
    text = [lib.wk_source_hash(), lib.wk_build_flags()]
    source_hash, flags = (ffi.string(item).decode() for item in text)
    return Build(source_hash, flags)


BUILD: Build = _build()
"""What the engine that is installed was built from."""


def null_library() -> Path:
    """Returns the path of libnull.so, the malloc that does nothing, for LD_PRELOAD.

    Raises FileNotFoundError if the installation has lost it.
    """
    return _installed("null")


def tally_library() -> Path:
    """Returns the path of libtally.so, for LD_PRELOAD in place of a malloc: the C library's, which
    counts its calls and times some into the file that MTBENCH_TALLY names.

    Raises FileNotFoundError if the installation has lost it.
    """
    return _installed("tally")


def deepbind_library() -> Path:
    """Returns the path of libdeepbind.so, for LD_PRELOAD before a malloc: dlopen without
    RTLD_DEEPBIND, so that plug-ins use the same malloc.

    Raises FileNotFoundError if the installation has lost it.
    """
    return _installed("deepbind")


def _installed(name: str) -> Path:
    path = Path(module.__file__).with_name(f"lib{name}.so")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: install mtbench again")
    return path


@cache
def kernel_names() -> tuple[str, ...]:
    """Returns the names of the kernels that the engine has."""
    names: list[str] = []
    while (name := lib.wk_kernel_name(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return tuple(names)


def latency_every(asked: int, timing_cost: float, operation_cost: float) -> int:
    """Returns one operation in how many is timed where `asked` was asked for: the engine's rule.

    Doubled until timing, `timing_cost` ns for each operation timed, adds less than 1 % to
    operations of `operation_cost` ns; `asked` itself below 256, or where no cost is known (0).
    """
    return int(lib.wk_latency_every(asked, timing_cost, operation_cost))


def counter_stride() -> int:
    """Bytes between the published counters of two neighbouring threads."""
    return int(lib.wk_counter_stride())


def bare_cost(
    spec: Workload, *, loop: str = "bare", duration: float = 0.05, repeats: int = 5
) -> float | None:
    """Measures the workload's loop with a moved pointer in place of malloc: ns per operation.

    The least of `repeats` windows of `duration` seconds, on one thread of this process; None for a
    kernel that has no such loop. `loop` "calls" adds two calls of empty functions, which is what
    any malloc costs; set it beside the null allocator's cost, measured the same way.
    """
    from workloads.message import request
    from workloads.running import RunError, execute

    message = request(
        spec, threads=1, duration=duration, warmup=0.0, seed=1, latency_every=0, loop=loop
    )
    costs = []
    for _ in range(repeats):
        try:
            record = execute(message)
        except RunError:
            return None
        if record["operations"]:
            costs.append(1e9 * record["elapsed_s"] / record["operations"])
    return min(costs, default=None)
