"""The kept measurements behind docs/workloads.md; tools/workload_costs.py makes them from runs."""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DATA = Path("docs/data/workloads.csv")
COLUMNS = ("workload", "threads", "allocator", "operations", "elapsed_s", "user_s", "system_s")

Cell = tuple[str, int, str]
"""Workload, threads, allocator."""


@dataclass(frozen=True)
class Cost:
    """CPU nanoseconds for one unit of work, all threads together, over the trials of a cell.

    CPU time, not time on the wall: on a machine that others use, what a thread waits for a
    processor is theirs. The median and the quartiles.
    """

    median: float
    low: float
    high: float
    trials: int


def load(path: Path = DATA) -> dict[Cell, Cost]:
    """The cost of each cell of a file that this module wrote."""
    trials: dict[Cell, list[float]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            cell = row["workload"], int(row["threads"]), row["allocator"]
            seconds = float(row["user_s"]) + float(row["system_s"])
            trials.setdefault(cell, []).append(1e9 * seconds / int(row["operations"]))
    return {cell: _cost(costs) for cell, costs in trials.items()}


def _cost(costs: Sequence[float]) -> Cost:
    if len(costs) < 2:
        return Cost(costs[0], costs[0], costs[0], len(costs))
    low, median, high = statistics.quantiles(costs, n=4, method="inclusive")
    return Cost(median, low, high, len(costs))


def ranking(costs: Mapping[Cell, Cost], workload: str, threads: int) -> list[tuple[str, float]]:
    """(allocator, median cost in ns) of all that ran it, the cheapest first."""
    found = [
        (cell[2], cost.median) for cell, cost in costs.items() if cell[:2] == (workload, threads)
    ]
    return sorted(found, key=lambda pair: pair[1])
