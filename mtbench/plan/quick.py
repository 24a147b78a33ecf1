"""`sweep --quick`: the grid that answers most within about 90 s of measuring."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from mtbench.errors import UsageError
from mtbench.mallocs import allocators
from mtbench.mallocs.allocators import Allocator
from mtbench.mallocs.ladder import LADDER
from mtbench.plan.plan import Cell, least_window

WORKLOADS = ("mid_gap", "mid_replace", "random_mixed", "mid_exchange", "larson")
LADDER_WORKLOADS = ("mid_gap", "mid_exchange")
"""Where the registry is asked most: on local frees, and on frees of other threads' blocks."""

MAIN_THREADS = (1, 2, 8, 64)
SIDE_THREADS = (1, 2, 64)
LADDER_THREADS = (1, 64)
THREADS = MAIN_THREADS

TRIALS = 3
TURNS = 2
WARMUP_S = 0.02
MEASURING_S = 85.0
OVERHEAD_S = 0.085
"""Start-up, thread creation and drain of one trial on a small machine."""

TOTAL_S = 110.0
"""Measuring and overhead together: what three minutes leave after installing and drawing."""


def default_allocators() -> list[Allocator]:
    """System, hakmem, the ladder rungs that this build has, every installed peer, null."""
    found = [entry for entry in allocators.installed() if entry.label != "hakmem-fixed"]
    rungs = []
    for step in LADDER:
        if step.quick:
            with suppress(UsageError):
                rungs.append(allocators.resolve(step.label))
    place = next((i + 1 for i, entry in enumerate(found) if entry.label == "hakmem"), 1)
    return [*found[:place], *rungs, *found[place:]]


def cells(
    chosen: Sequence[Allocator], workloads: Sequence[str], threads: tuple[int, ...]
) -> tuple[Cell, ...]:
    """The grid, thinned where it tells least: variants of hakmem run only where the registry is
    asked, and only the main workloads at every thread count. Counts that the user gave are all
    kept."""
    found: list[Cell] = []
    for workload in workloads:
        main = workload in LADDER_WORKLOADS or workload not in WORKLOADS
        for entry in chosen:
            variant = ":" in entry.label
            if variant and not main:
                continue
            thinned = LADDER_THREADS if variant else MAIN_THREADS if main else SIDE_THREADS
            counts = thinned if threads == THREADS else threads
            found += [Cell(entry.label, workload, count) for count in counts]
    return tuple(found)


def window(planned: Sequence[Cell], trials: int, cores: int) -> float:
    """Seconds to measure in each trial so that the whole keeps its budget."""
    floors = [least_window(cell.threads, cores, TURNS) for cell in planned]
    spare = TOTAL_S - OVERHEAD_S * len(planned) * trials
    budget = max(0.0, min(MEASURING_S, spare)) / trials
    low, high = 0.05, 0.5
    for _ in range(30):
        middle = (low + high) / 2
        if sum(max(middle, floor) + WARMUP_S for floor in floors) > budget:
            high = middle
        else:
            low = middle
    return round(low, 3)
