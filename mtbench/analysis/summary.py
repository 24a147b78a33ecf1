"""summary.csv: one row per cell, for people with other tools."""

from __future__ import annotations

import csv
import io
import math

from mtbench.analysis.metrics import METRICS
from plots.data import PROGRAM_MEASURES, Run

IDENTITY = ("allocator", "workload", "threads", "trials", "failed", "unit")


def columns() -> list[str]:
    """The header: identity, throughput (units per second), then each metric, with bounds."""
    names = ["throughput", *(metric.key for metric in METRICS)]
    return [*IDENTITY, *(f"{name}{end}" for name in names for end in ("", "_low", "_high"))]


def rows(run: Run) -> list[dict[str, str]]:
    """A row for each cell; an empty field is missing, never zero."""
    found = []
    for cell in run.cells:
        row = {
            "allocator": cell.allocator,
            "workload": cell.workload,
            "threads": str(cell.threads),
            "trials": str(cell.trials),
            "failed": str(cell.failed),
            "unit": run.workload(cell.workload).unit,
        }
        intervals = {"throughput": cell.throughput}
        intervals |= {metric.key: cell.metric(metric.key) for metric in METRICS}
        for name, interval in intervals.items():
            for end, value in (
                ("", interval.value),
                ("_low", interval.low),
                ("_high", interval.high),
            ):
                row[f"{name}{end}"] = f"{value:.6g}" if math.isfinite(value) else ""
        found.append(row)
    return found


def program_rows(run: Run) -> list[dict[str, str]]:
    """A row for each program and allocator: measures and ratios, with bounds. A number that only
    another program has is empty."""
    found = []
    own = dict.fromkeys(metric for program in run.programs for metric in program.numbers)
    for program, cell in ((each, cell) for each in run.programs for cell in each.cells):
        row = {"allocator": cell.allocator, "program": program.command, "name": program.workload}
        row |= {"threads": str(program.threads)}
        row |= {"trials": str(cell.trials), "failed": str(cell.failed)}
        for metric in (*PROGRAM_MEASURES, *own):
            for name, interval in (
                (metric.key, cell.measure(metric.key)),
                (f"{metric.key}_ratio", cell.ratio(metric.key)),
            ):
                for end, value in (
                    ("", interval.value),
                    ("_low", interval.low),
                    ("_high", interval.high),
                ):
                    row[f"{name}{end}"] = f"{value:.6g}" if math.isfinite(value) else ""
        found.append(row)
    return found


def text(run: Run) -> str:
    """The whole file."""
    target = io.StringIO()
    found = program_rows(run) if run.programs else rows(run)
    names = list(found[0]) if run.programs else columns()
    writer = csv.DictWriter(target, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return target.getvalue()
