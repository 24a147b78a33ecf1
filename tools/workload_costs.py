"""Print the kept measurements behind docs/workloads.md from run directories:

    mtbench sweep -w all -a system,hakmem,tcmalloc,jemalloc,mimalloc,tbbmalloc -t 1,2,4,8 -o RUN
    python -m tools.workload_costs RUN ... > docs/data/workloads.csv

A cell (allocator, workload, threads) that several runs have is taken from the last of them.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from mtbench.errors import MtbenchError
from mtbench.rundir import RunDirectory
from tools.workload_measured import COLUMNS, Cell

Row = tuple[object, ...]


def rows_of(runs: Iterable[Path]) -> list[Row]:
    """COLUMNS of every good trial of the run directories. Raises MtbenchError."""
    cells: dict[Cell, list[Row]] = {}
    for run in runs:
        of_run: dict[Cell, list[Row]] = {}
        for record in RunDirectory.read(run).records():
            if record["status"] != "ok" or not record["result"]["operations"]:
                continue
            cell = record["workload"], record["threads"], record["allocator"]
            result = record["result"]
            times = result["elapsed_s"], result["cpu"]["user_s"], result["cpu"]["system_s"]
            row = (*cell, result["operations"], *(round(seconds, 6) for seconds in times))
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
