"""Which trials a sweep consists of and in which order: nothing here measures."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mtbench.errors import UsageError

MOST_THREADS = 256
MOST_TRIALS = 10_000
"""Of a cell: what reading a run holds in memory grows with them, measured or not yet."""

PINS = ("none", "compact", "spread")
SLICE_S = 0.003
TURNS = 4


def least_window(threads: int, cores: int, turns: int) -> float:
    """Seconds in which every thread is scheduled `turns` times (EEVDF: turns of about 3 ms)."""
    return turns * SLICE_S * threads / max(cores, 1)


class Cell(NamedTuple):
    """One (allocator label, workload name, number of threads)."""

    allocator: str
    workload: str
    threads: int


class Trial(NamedTuple):
    """One measurement: a cell in a round. order: its place in the whole plan, from 0.

    block: the round, from 0."""

    order: int
    block: int
    cell: Cell


@dataclass(frozen=True)
class Plan:
    """Everything that decides what is run; kept in the manifest and enough to resume.

    duration, warmup: seconds asked for. timeout: seconds, 0 for 10 x the expected time and at
    least 20. latency_every: one call in so many is timed, 0 for none. memory: bytes a worker may
    use, 0 for three quarters of what is available. cores: usable cores when planned. turns: how
    often each thread should be scheduled in a window where threads share cores. sources: workload
    name -> its TOML text.
    """

    allocators: tuple[str, ...]
    workloads: tuple[str, ...]
    threads: tuple[int, ...]
    trials: int
    duration: float
    warmup: float
    seed: int
    cores: int
    cells: tuple[Cell, ...]
    timeout: float = 0.0
    pin: str = "none"
    verify: bool = False
    latency_every: int = 256
    memory: int = 0
    turns: int = TURNS
    sources: tuple[tuple[str, str], ...] = ()

    def order(self) -> Iterator[Trial]:
        """Every trial: round after round, each round's cells in its own random order."""
        place = 0
        for block in range(self.trials):
            cells = list(self.cells)
            random.Random(f"{self.seed}/{block}").shuffle(cells)
            for cell in cells:
                yield Trial(place, block, cell)
                place += 1

    def counts(self, workload: str) -> tuple[int, ...]:
        """The numbers of threads at which a workload is run, rising."""
        return tuple(sorted({cell.threads for cell in self.cells if cell.workload == workload}))

    def window(self, threads: int) -> float:
        """Seconds to measure: longer where threads must share cores."""
        return max(self.duration, least_window(threads, self.cores, self.turns))

    def expected(self, threads: int) -> float:
        """Seconds a trial should take, start-up and drain included."""
        return self.warmup + self.window(threads) + 0.1 + 0.001 * threads

    def limit(self, threads: int) -> float:
        """Seconds after which the watchdog ends a trial."""
        return self.timeout or max(20.0, 10 * self.expected(threads))


def grid(
    allocators: Sequence[str], workloads: Sequence[str], threads: Sequence[int]
) -> tuple[Cell, ...]:
    """Every combination, in the order a person would read them."""
    return tuple(Cell(a, w, t) for w in workloads for a in allocators for t in threads)


def thread_counts(text: str) -> tuple[int, ...]:
    """`1-64` (powers of two, both ends included), `1,2,3,8`, or both mixed; rising, each once.

    Raises UsageError.
    """
    counts: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise UsageError(
                f"thread list '{text}' is not understood at '{part}'; accepted: 1-64 "
                "(powers of two) or 1,2,3,8"
            )
        low, high = int(match[1]), int(match[2] or match[1])
        if not 1 <= low <= high <= MOST_THREADS:
            raise UsageError(
                f"thread list '{text}': {part.strip()} is outside 1-{MOST_THREADS} or runs "
                "backwards"
            )
        counts |= {low, high}
        power = 1
        while power < high:
            if power > low:
                counts.add(power)
            power *= 2
    return tuple(sorted(counts))
