"""The kept measurements behind docs/workloads.md: printed from run directories, read for the page.

    mtbench sweep -w all -a system,hakmem,tcmalloc,jemalloc,mimalloc,tbbmalloc -t 1,2,4,8 -o RUN
    python -m tools.workload_costs RUN ... > docs/data/workloads.csv

A cell (allocator, workload, threads) that several runs have is taken from the last of them.
"""

from __future__ import annotations

import csv
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtbench.errors import MtbenchError
from mtbench.runs.directory import RunDirectory
from mtbench.runs.record import checked
from mtbench.runs.result import Cpu
from tools.repository import DATA

KEPT = DATA / "workloads.csv"
COLUMNS = ("workload", "threads", "allocator", "operations", "elapsed_s", "user_s", "system_s")

Cell = tuple[str, int, str]
"""Workload, threads, allocator."""
Row = tuple[object, ...]


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


def load(path: Path = KEPT) -> dict[Cell, Cost]:
    """The cost of each cell of a file that this module printed."""
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


def rows_of(runs: Iterable[Path]) -> list[Row]:
    """COLUMNS of every good trial of the run directories. Raises MtbenchError."""
    cells: dict[Cell, list[Row]] = {}
    for run in runs:
        of_run: dict[Cell, list[Row]] = {}
        for record in RunDirectory.read(run).records():
            result = record.good
            if not result or not result.operations:
                continue
            cell = record.workload, record.threads, record.allocator
            cpu = result.cpu or Cpu()
            times = [checked(s, float) for s in (result.elapsed_s, cpu.user_s, cpu.system_s)]
            row = (*cell, result.operations, *(round(seconds, 6) for seconds in times))
            of_run.setdefault(cell, []).append(row)
        cells.update(of_run)
    return [row for cell in sorted(cells) for row in cells[cell]]


def main(runs: list[str]) -> int:
    """Print the kept file of the run directories named."""
    if not runs:
        print("workload_costs: name the run directories of mtbench sweep", file=sys.stderr)
        return 2
    try:
        rows = rows_of(map(Path, runs))
    except MtbenchError as error:
        print(f"workload_costs: {error}", file=sys.stderr)
        return int(error.code)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
