"""`mtbench rank`: an allocator against the best of the others, cell by cell, worst first."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtbench.analysis.cells import CellData, Results, gather
from mtbench.analysis.statistics import (
    Verdict,
    bootstrap_median,
    geometric_mean_interval,
    median,
    paired_ratio,
)
from mtbench.base.table import bytes_, named, number, ratio, text_table
from mtbench.errors import Exit, UsageError
from mtbench.plan.plan import Cell, Plan
from mtbench.runs.hosts import opened_one
from plots.data import Estimate
from plots.pages.table import markdown_table

FASTEST = 3
"""Memory is held against the leanest of so many fastest others: slow and lean is no rival."""


@dataclass(frozen=True)
class Standing:
    """One cell. throughput: units per second. ratio: throughput over the best other's, paired by
    round. memory_ratio: peak resident memory over the leanest of the fastest others'."""

    workload: str
    threads: int
    throughput: float
    best: str
    best_throughput: float
    ratio: Estimate
    verdict: Verdict
    memory: float
    leanest: str
    memory_ratio: Estimate
    by_block: tuple[float, ...]


def command(args: argparse.Namespace) -> int:
    """`mtbench rank`; exit 3 if a ratio is below --fail-below, or a cell has none."""
    directory = opened_one(Path(args.run))
    plan = directory.manifest.plan
    kinds = {entry.label: entry.kind for entry in directory.manifest.allocators}
    others = _others(args.of, args.against, plan, kinds)
    results = gather(directory.records(), plan)
    rows, absent = standings(args.of, others, plan, results)
    if not rows and not absent:
        raise UsageError(
            f"no cell of {args.run} has a number both of {args.of} and of one of: "
            f"{', '.join(others)}"
        )
    if alone := _alone(args.of, rows, results):
        print(f"warning: no other has a number for {', '.join(alone)}", file=sys.stderr)
    if args.json:
        print(json.dumps(_document(args.of, others, rows, absent), indent=1))
    else:
        _print(args.of, rows, absent, markdown_table if args.markdown else text_table)
    if args.fail_below is None:
        return Exit.FINE
    return _gate(args.of, args.fail_below, rows, shortfalls(args.of, rows, absent, results))


def _others(of: str, against: str | None, plan: Plan, kinds: dict[str, str]) -> list[str]:
    """The rivals: those named, or all but null and the variants of the one ranked."""
    if of not in plan.allocators:
        raise UsageError(f"the run has no allocator '{of}'; accepted: {', '.join(plan.allocators)}")
    if against:
        from mtbench.mallocs.allocators import split

        chosen = split(against)
        for label in chosen:
            if label not in plan.allocators:
                raise UsageError(
                    f"the run has no allocator '{label}'; accepted: {', '.join(plan.allocators)}"
                )
        others = [label for label in chosen if label != of]
        if not others:
            raise UsageError(
                f"--against {against} leaves nobody to compare {of} with; accepted: "
                f"{', '.join(label for label in plan.allocators if label != of) or 'another run'}"
            )
        return others
    own = kinds.get(of) == "hakmem"
    others = [
        label
        for label in plan.allocators
        if label != of and kinds[label] != "null" and not (own and kinds[label] == "hakmem")
    ]
    if not others:
        raise UsageError(
            f"the run has nothing to rank {of} against (null and its own variants do not count, "
            f"but --against takes them); it has: {', '.join(plan.allocators)}"
        )
    return others


def standings(
    of: str, others: list[str], plan: Plan, results: Results
) -> tuple[list[Standing], list[str]]:
    """Each cell, worst first; and the cells in which the ranked one has no number but others do."""
    rows, absent = [], []
    for workload in plan.workloads:
        for threads in plan.threads:
            rivals = [
                data
                for label in others
                if (data := results.get(label, workload, threads)) is not None
                and np.isfinite(data.throughput).any()
            ]
            own = results.get(of, workload, threads)
            if own is None or not rivals:
                continue
            if not np.isfinite(own.throughput).any():
                absent.append(f"{workload} x {threads}")
                continue
            rows.append(_standing(own, sorted(rivals, key=lambda d: -median(d.throughput))))
    return sorted(rows, key=lambda row: row.ratio.value), absent


def _standing(own: CellData, rivals: list[CellData]) -> Standing:
    best = rivals[0]
    # The best of many beats any one of them by luck, as it was chosen by its result.
    result = paired_ratio(own.throughput, best.throughput, comparisons=len(rivals))
    leanest = min(rivals[:FASTEST], key=lambda data: _or_infinite(median(data.metric("rss_peak"))))
    return Standing(
        workload=own.cell.workload,
        threads=own.cell.threads,
        throughput=median(own.throughput),
        best=best.cell.allocator,
        best_throughput=median(best.throughput),
        ratio=result.estimate,
        verdict=result.verdict,
        memory=median(own.metric("rss_peak")),
        leanest=leanest.cell.allocator,
        memory_ratio=bootstrap_median(own.metric("rss_peak") / leanest.metric("rss_peak")),
        by_block=tuple(_finite(own.throughput / best.throughput)),
    )


def _alone(of: str, rows: list[Standing], results: Results) -> list[str]:
    """The cells in which only the ranked one has a number: nothing is said of them."""
    placed = {(row.workload, row.threads) for row in rows}
    return [
        f"{cell.workload} x {cell.threads}"
        for cell, data in results.cells.items()
        if cell.allocator == of and data.good and cell[1:] not in placed
    ]


def shortfalls(
    of: str, rows: list[Standing], absent: list[str], results: Results
) -> dict[str, str]:
    """Each cell in which the ranked one lacks trials that its best rival has, and why."""
    found = {}
    for row in rows:
        own = results.cells[Cell(of, row.workload, row.threads)]
        if why := own.shortfall(results.cells[Cell(row.best, row.workload, row.threads)]):
            found[f"{row.workload} x {row.threads}"] = why
    return found | dict.fromkeys(absent, "no number")


def _or_infinite(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _finite(values: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in values if math.isfinite(value)]


def mean_of(rows: list[Standing]) -> Estimate:
    """Geometric mean of the throughput ratios, trials resampled within each cell."""
    return geometric_mean_interval([row.by_block for row in rows])


def _workloads(rows: list[Standing]) -> list[str]:
    return sorted({row.workload for row in rows})


def _print(
    of: str,
    rows: list[Standing],
    absent: list[str],
    table: Callable[[Sequence[str], list[list[str]]], str],
) -> None:
    header = [
        "workload",
        "threads",
        of,
        "best other",
        "",
        "ratio [95 %]",
        "verdict",
        "memory",
        "leanest of 3",
        "ratio",
    ]
    if rows:
        means = [
            [name, ratio(mean_of([row for row in rows if row.workload == name]))]
            for name in _workloads(rows)
        ]
        means.append(["all cells", ratio(mean_of(rows))])
        print(table(header, [_cells(row) for row in rows]) + "\n")
        print(table(["geometric mean over the best other", "ratio [95 %]"], means) + "\n")
    won = sum(row.verdict is Verdict.FASTER for row in rows)
    lost = sum(row.verdict is Verdict.SLOWER for row in rows)
    print(
        f"{of}: faster in {won}, slower in {lost}, undecided in {len(rows) - won - lost} "
        f"of {len(rows)} cells" + (f"; failed in {', '.join(absent)}" if absent else "")
    )


def _cells(row: Standing) -> list[str]:
    return [
        row.workload,
        str(row.threads),
        number(row.throughput),
        row.best,
        number(row.best_throughput),
        ratio(row.ratio),
        row.verdict,
        bytes_(row.memory),
        row.leanest,
        f"{row.memory_ratio.value:.2f}" if math.isfinite(row.memory_ratio.value) else "-",
    ]


def _document(
    of: str, others: list[str], rows: list[Standing], absent: list[str]
) -> dict[str, object]:
    def plain(estimate: Estimate) -> dict[str, float | None]:
        return {
            key: value if math.isfinite(value) else None
            for key, value in estimate._asdict().items()
        }

    cells = []
    for row in rows:
        cell = asdict(row) | {"ratio": plain(row.ratio), "memory_ratio": plain(row.memory_ratio)}
        cells.append({k: None if v != v else v for k, v in cell.items()})
    return {
        "of": of,
        "others": others,
        "cells": cells,
        "failed_cells": absent,
        "geometric_mean": plain(mean_of(rows)),
        "geometric_means": {
            name: plain(mean_of([row for row in rows if row.workload == name]))
            for name in _workloads(rows)
        },
    }


def _gate(of: str, least: float, rows: list[Standing], short: dict[str, str]) -> int:
    """Closed for each cell that is not known to reach `least`."""
    closing = dict(short)
    for row in rows:
        if not row.ratio.value >= least:
            found = f"{row.ratio.value:.2f}" if row.by_block else "no pair of trials"
            closing.setdefault(f"{row.workload} x {row.threads}", found)
    if not closing:
        return Exit.FINE
    print(
        f"mtbench: {of} is below {least:g} of the best other, or has no number to show, in "
        f"{len(closing)} cell{'s' if len(closing) > 1 else ''}: {named(closing)}",
        file=sys.stderr,
    )
    return Exit.GATE
