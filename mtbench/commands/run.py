"""`mtbench run`: one cell, printed; nothing is written to disk."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from typing import Any

import msgspec

from mtbench.analysis.cells import CellData, gather
from mtbench.base.table import bytes_, number, text_table
from mtbench.commands.arguments import request
from mtbench.errors import Exit
from mtbench.plan import jobs
from mtbench.plan.plan import Plan
from mtbench.runs.record import Record
from mtbench.trial import progress, session, signals
from mtbench.trial.measure import Measurer

_SHOWN = (
    ("fairness", "Jain's fairness"),
    ("progressed", "threads that progressed"),
    ("malloc_p50_ns", "malloc p50, ns"),
    ("malloc_p99_ns", "malloc p99, ns"),
    ("free_p50_ns", "free p50, ns"),
    ("free_p99_ns", "free p99, ns"),
    ("cpu_ns_per_op", "CPU ns per operation"),
    ("system_share", "system share of CPU time"),
    ("voluntary_per_mop", "voluntary switches, per million operations"),
    ("futex_per_mop", "futex calls, per million operations"),
    ("faults_per_mop", "page faults, per million operations"),
    ("peak_over_live", "peak memory over live bytes"),
    ("lock_acq_per_op", "lock acquisitions per operation"),
    ("lock_contended_per_op", "contended, per operation"),
    ("lock_wait_share", "lock wait, share of thread time"),
)


def command(args: argparse.Namespace) -> int:
    """`mtbench run`."""
    asked = request(args, allocators=args.allocator, workloads=args.workload, threads=args.threads)
    job = jobs.one_cell(asked)
    measurer = Measurer(job.plan, job.allocators, job.specs)
    show = progress.shown(
        job.plan,
        0,
        quiet=args.quiet or args.no_progress or not sys.stderr.isatty(),
        verbose=args.verbose,
    )
    records: list[Record] = []
    with signals.terminable():
        trials = session.measured(measurer, job.plan.order())
        ended_by = session.collect(trials, records.append, show)
    data = gather(records, job.plan).cells[job.plan.cells[0]]
    unit = next(iter(job.specs.values())).unit
    if args.json:
        print(json.dumps(_document(data, job.plan, records, unit), indent=1))
    else:
        _print(data, records, unit)
        if args.locks:
            _print_locks(data)
    if ended_by:
        return signals.exit_code(ended_by)
    return Exit.CELLS_FAILED if data.failed else Exit.FINE


def _print(data: CellData, records: list[Record], unit: str) -> None:
    value = data.estimate()
    allocator, workload, threads = data.cell
    print(f"{allocator}, {workload}, {threads} thread{'s' if threads > 1 else ''}: ", end="")
    bounds = f" [{number(value.low)}, {number(value.high)}]" if math.isfinite(value.low) else ""
    print(f"{number(value.value)} {unit}/s{bounds}, n = {data.good}")
    rows, missing = [], []
    for metric, label in _SHOWN:
        estimate = data.estimate(metric)
        if math.isfinite(estimate.value):
            rows.append([label, *(number(bound) for bound in estimate)])
        elif metric in data.missing:
            missing.append(f"missing: {label}: {data.missing[metric]}")
    peak = data.estimate("rss_used")
    rows.append(["peak resident, above the start", *(bytes_(bound) for bound in peak)])
    print(text_table(["", "median", "low", "high"], rows))
    if data.good and missing:
        print("\n".join(missing))
    for record in records:
        if not record.good:
            print(
                f"mtbench: round {record.block} failed: {record.status}, {record.reason}",
                file=sys.stderr,
            )


def _print_locks(data: CellData) -> None:
    """The lock table, hottest first: medians over trials."""
    from mtbench.analysis.present import lock_rows

    rows = lock_rows(data, most=24)
    if not rows:
        print(f"\nno lock table: {data.missing.get('lock_acq_per_op', 'no lock was taken')}")
        return
    header = [
        "lock",
        "per op",
        "contended",
        "wait share",
        "longest wait",
        "hold",
        "most waiters",
        "owner changes",
    ]
    print()
    print(
        text_table(
            header,
            [
                [
                    row.lock,
                    number(row.rates.acquisitions_per_op),
                    f"{row.rates.contended * 100:.2f} %",
                    f"{row.rates.wait_share * 100:.3f} %",
                    f"{number(row.rates.max_wait_ns)} ns",
                    f"{number(row.rates.hold_ns)} ns",
                    number(row.rates.max_waiters),
                    number(row.rates.owner_switches_per_op),
                ]
                for row in rows
            ],
        )
    )


def _document(data: CellData, plan: Plan, records: list[Record], unit: str) -> dict[str, Any]:
    def finite(value: float) -> float | None:
        return value if math.isfinite(value) else None

    return {
        "allocator": data.cell.allocator,
        "workload": data.cell.workload,
        "threads": data.cell.threads,
        "unit": f"{unit}/s",
        "trials": data.good,
        "failed": data.failed,
        "metrics": {
            name: {
                key: finite(value)
                for key, value in zip(("value", "low", "high"), data.estimate(name), strict=True)
            }
            for name in data.values
        },
        "missing": data.missing,
        "plan": asdict(plan),
        "records": msgspec.to_builtins(records),
    }
