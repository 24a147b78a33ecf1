"""Every kernel, checking every block, on every rung and route of both flavours, 1 to 64 threads.

One process a configuration: it runs all kernels at all thread counts one after another, so that the
caches of dead threads serve the next ones. A fixed amount of work keeps it short. So long a bound
of its time that every thread comes to work on a busy machine; it is met where a thread waits for
what another, which has done its part, will not give.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import allocator
import workloads
from mtbench.mallocs.allocators import Allocator
from workloads.preload import preload_path

THREADS = (1, 2, 8, 64)
_VALUES = {option.name: option.values for option in allocator.OPTIONS}
REGISTRIES, ROUTES = _VALUES["registry"], _VALUES["route"]
# Small, mid and large blocks by every call; nine of ten are at most 12 KiB.
SIZES = workloads.Sizes("log_uniform", low=1, high=48 << 10)
CALLS = {"malloc": 4, "calloc": 1, "realloc_random": 1, "aligned_alloc": 1}
ALIGNMENTS = {1 << shift: 1.0 for shift in (3, 4, 6, 9, 12, 14)}
# Working sets that 64 threads fill in a moment.
FEWER: dict[str, dict[str, int | float | str]] = {
    "batch": {"objects": 200},
    "batch_steal": {"slots": 200},
    "exchange": {"slots": 50},
    "false_sharing": {"writes": 50},
    "generations": {"blocks": 100, "total_slots": 100},
    "growth": {"slots": 8},
    "mixed": {"slots": 100, "lifetime": "generational", "handoff": "ring"},
    "pareto": {"slots": 200},
    "producer_consumer": {"batch": 64},
    "remote": {"ring": 256},
    "replace": {"slots": 100},
    "sliding_window": {"slots": 200},
    "toggle": {"slots": 100},
}
LIVES = {"exchange": 500, "replace": 500}
"""Operations after which a thread dies and leaves its blocks to a successor."""

WORKER = """
import json, struct, sys, workloads
requests = sys.stdin.buffer
while head := requests.read(4):
    record = workloads.execute(requests.read(*struct.unpack("<I", head)))
    print(json.dumps(record), flush=True)
"""


@functools.lru_cache
def trials(
    threads: tuple[int, ...] = THREADS, kernels: tuple[str, ...] = tuple(workloads.KERNELS)
) -> dict[str, bytes]:
    """Name of each trial and its request."""
    return {
        f"{kernel} with {count} threads": workloads.request(
            workloads.Workload(
                kernel,
                kernel,
                SIZES,
                calls=CALLS,
                alignments=ALIGNMENTS,
                life=LIVES.get(kernel, 0),
                parameters=FEWER[kernel],
            ),
            threads=count,
            duration=0.5,
            warmup=0.0,
            seed=count,
            verify=True,
            latency_every=0,
            operation_limit=max(256, 4096 // count),
        )
        for kernel in kernels
        for count in threads
    }


def faults(
    library: Path, environment: dict[str, str], chosen: dict[str, bytes] | None = None
) -> dict[str, str]:
    """What went wrong, by trial; the first that ends the process ends the list."""
    chosen = trials() if chosen is None else chosen
    messages = b"".join(struct.pack("<I", len(request)) + request for request in chosen.values())
    worker = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=messages,
        capture_output=True,
        env={**os.environ, **environment, "LD_PRELOAD": preload_path(str(library))},
        timeout=600,
        check=False,
    )
    lines = worker.stdout.decode().splitlines()
    found = {}
    for name, line in zip(chosen, lines, strict=False):
        try:
            record = json.loads(line)
        except ValueError:
            found[name] = "the record itself is broken"
            continue
        verify, drained = record["verify"], record["memory"]["live_bytes_drained"]
        if verify["violation"] is not None:
            found[name] = str(verify["violation"]["what"])
        elif verify["checked"] == 0 or drained or record["failed_allocations"]:
            found[name] = f"checked {verify['checked']}, {drained} bytes never freed"
    if len(lines) < len(chosen):
        words = worker.stderr.decode().strip().splitlines()
        ended = words[-1] if words else f"exit code {worker.returncode}"
        found[list(chosen)[len(lines)]] = f"the process ended: {ended}"
    return found


def test_every_kernel_is_in_the_matrix() -> None:
    assert set(FEWER) == set(workloads.KERNELS)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("registry", REGISTRIES)
def test_no_block_is_broken_when_chosen_at_run_time(registry: str, route: str) -> None:
    chosen = {"HAKMEM_REGISTRY": registry, "HAKMEM_ROUTE": route}
    assert faults(allocator.library(), chosen) == {}


def test_no_block_is_broken_in_the_fixed_flavour() -> None:
    assert faults(allocator.library("fixed"), {}) == {}


@pytest.mark.parametrize(
    ("registry", "route"),
    # Flat and direct is what the installed library has.
    [pair for pair in itertools.product(REGISTRIES, ROUTES) if pair != ("flat", "direct")],
)
def test_no_block_is_broken_when_compiled_in(
    fixed: Callable[..., Path], registry: str, route: str
) -> None:
    library = fixed(registry=f"REGISTRY_{registry}", route=f"ROUTE_{route}")
    assert faults(library, {}) == {}


def kernels_that_find(faulty: Allocator, fault: str) -> set[str]:
    """Each kernel in a process of its own: a fault may end the process."""
    return {kernel for kernel in FEWER if faults_of(faulty, fault, (kernel,))}


def faults_of(faulty: Allocator, fault: str, kernels: Iterable[str]) -> dict[str, str]:
    # In the kernel's threads alone, so that the interpreter around them does not crash.
    environment = {"FAULTY": fault, "FAULTY_IN": "threads"}
    return faults(Path(str(faulty.path)), environment, trials((8,), tuple(kernels)))


@pytest.mark.parametrize("fault", ["misaligned", "lossy-realloc"])
def test_every_kernel_finds_the_seeded_fault(faulty: Allocator, fault: str) -> None:
    assert kernels_that_find(faulty, fault) == set(FEWER)


def test_every_kernel_that_frees_often_finds_a_block_handed_out_twice(faulty: Allocator) -> None:
    # false_sharing writes fifty times for each block that it frees.
    assert kernels_that_find(faulty, "twice") >= set(FEWER) - {"false_sharing"}


def test_no_kernel_finds_a_fault_where_none_is_seeded(faulty: Allocator) -> None:
    assert faults_of(faulty, "none", FEWER) == {}
