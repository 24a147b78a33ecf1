"""`sweep --quick`: the grid that answers most within about 90 s of measuring."""

from __future__ import annotations

from contextlib import suppress

from mtbench import allocators
from mtbench.allocators import Allocator
from mtbench.errors import UsageError
from mtbench.plan import Cell

WORKLOADS = ("mid_gap", "mid_replace", "random_mixed", "mid_exchange", "larson")
LADDER_WORKLOADS = ("mid_gap", "mid_exchange")
"""Where the registry is asked most: on local frees, and on frees of other threads' blocks."""

THREADS = (1, 2, 8, 64)
TRIALS = 3
MEASURING_S = 90.0
WARMUP_S = 0.02
OVERHEAD_S = 0.09
"""Start-up, thread creation and drain of one trial on a small machine."""

TOTAL_S = 125.0
"""Measuring and overhead together: what `make sweep` has left after installing."""

LADDER = (
    "hakmem:route=cascade,registry=locked",
    "hakmem:route=cascade",
    "hakmem:registry=locked",
    "hakmem:registry=prealloc-locked",
    "hakmem:registry=prealloc-seqlock",
)


def default_allocators() -> list[Allocator]:
    """System, hakmem, the ladder rungs that this build has, every installed peer, null."""
    found = [entry for entry in allocators.installed() if entry.label != "hakmem-fixed"]
    rungs = []
    for text in LADDER[1:]:
        with suppress(UsageError):
            rungs.append(allocators.resolve(text))
    place = next((i + 1 for i, entry in enumerate(found) if entry.label == "hakmem"), 1)
    return [*found[:place], *rungs, *found[place:]]


def cells(chosen: list[Allocator], workloads: list[str], threads: tuple[int, ...]) -> list[Cell]:
    """The grid; variants of hakmem only in the workloads that ask the registry."""
    return [
        Cell(entry.label, workload, count)
        for workload in workloads
        for entry in chosen
        for count in threads
        if ":" not in entry.label or workload in LADDER_WORKLOADS or workload not in WORKLOADS
    ]


def window(trials: int) -> float:
    """Seconds to measure in each of `trials` trials so that the whole keeps its budget."""
    each = min(MEASURING_S / trials - WARMUP_S, TOTAL_S / trials - OVERHEAD_S - WARMUP_S)
    return round(min(0.5, max(0.05, each)), 3)
