"""`mtbench compare`: two or more runs, cell by cell, each against the first."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtbench.cells import Results, gather
from mtbench.errors import Exit, UsageError
from mtbench.hostview import is_fleet, opened
from mtbench.plan import Plan
from mtbench.statistics import NOISE_THRESHOLD, geometric_mean_interval, independent_ratio
from mtbench.table import markdown_table, ratio, text_table


@dataclass(frozen=True)
class Row:
    """One cell of one run against the base: throughput ratio (above 1 is faster) and verdict."""

    run: str
    allocator: str
    workload: str
    threads: int
    ratio: float
    low: float
    high: float
    verdict: str
    trials: int
    regression: bool


@dataclass(frozen=True)
class _Loaded:
    name: str
    manifest: dict[str, Any]
    plan: Plan
    results: Results


def command(args: argparse.Namespace) -> int:
    """`mtbench compare`; exit 3 if a cell is slower beyond the threshold."""
    if len(args.runs) < 2 and not is_fleet(Path(args.runs[0])):
        raise UsageError("compare needs two runs or more; the first is the base")
    parts = [_load(Path(path)) for path in args.runs]
    loaded = [part for found in parts for part in found]
    hosts = len(parts) == 1 and len(loaded) > 1
    if not hosts and any(len(found) > 1 for found in parts):
        raise UsageError("a run of several hosts is compared alone, or one host of it: RUN:HOST")
    if len(loaded) < 2:
        raise UsageError(f"{args.runs[0]} has one host only; compare needs two runs, or two hosts")
    base, rest = loaded[0], loaded[1:]
    across = args.across_machines or hosts
    notes = [note for other in rest for note in _check(base, other, across)]
    rows = [row for other in rest for row in rows_of(base.results, other, args.threshold)]
    if not rows:
        raise UsageError(f"{base.name} and the others have no cell in common; nothing to compare")
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    _PRINTERS[args.format](rows, base, rest)
    regressions = [row for row in rows if row.regression]
    # Another machine is no regression.
    if regressions and not hosts:
        worst = min(regressions, key=lambda row: row.ratio)
        cells = "1 cell is" if len(regressions) == 1 else f"{len(regressions)} cells are"
        print(
            f"mtbench: {cells} slower by more than "
            f"{args.threshold * 100:.3g} %; worst: {worst.allocator} {worst.workload} x "
            f"{worst.threads}, {worst.ratio:.2f} x",
            file=sys.stderr,
        )
        return Exit.GATE
    return Exit.FINE


def _load(path: Path) -> list[_Loaded]:
    """A run, or each host of one."""
    return [
        _Loaded(view.path.name, view.manifest, plan, gather(view.records(), plan))
        for view, plan in opened(path)
    ]


def _check(base: _Loaded, other: _Loaded, across: bool) -> list[str]:
    """What makes the comparison weaker. Raises UsageError for another machine."""
    notes = []
    here, there = base.manifest.get("fingerprint", {}), other.manifest.get("fingerprint", {})
    differing = [key for key in sorted({*here, *there}) if here.get(key) != there.get(key)]
    if differing:
        what = ", ".join(f"{key} {here.get(key)} / {there.get(key)}" for key in differing)
        text = f"{base.name} and {other.name} come from different machines ({what})"
        if not across:
            raise UsageError(f"{text}; --across-machines compares them all the same")
        notes.append(f"{text}: a ratio mixes machine and allocator")
    for name in ("duration", "warmup", "pin", "verify", "latency_every"):
        one, two = getattr(base.plan, name), getattr(other.plan, name)
        if one != two:
            notes.append(f"{other.name} was measured with {name} {two}, {base.name} with {one}")
    sources, others = dict(base.plan.sources), dict(other.plan.sources)
    notes += [
        f"workload {name} is not the same in {base.name} and {other.name}"
        for name in sorted(sources.keys() & others.keys())
        if sources[name] != others[name]
    ]
    built = {entry["label"]: entry["sha256"] for entry in base.manifest["allocators"]}
    for entry in other.manifest["allocators"]:
        known = built.get(entry["label"])
        if known is not None and known != entry["sha256"]:
            notes.append(f"{entry['label']} is another build in {other.name} than in {base.name}")
    return notes


def rows_of(base: Results, other: _Loaded, threshold: float) -> list[Row]:
    """Each cell that both runs have, worst first.

    A regression may be sought below the noise threshold; then that is lowered too.
    """
    rows = []
    for cell, data in other.results.cells.items():
        rival = base.cells.get(cell)
        if rival is None:
            continue
        result = independent_ratio(
            data.throughput, rival.throughput, threshold=min(threshold, NOISE_THRESHOLD)
        )
        value, low, high = result.estimate
        if not math.isfinite(value):
            continue
        regression = result.verdict == "slower" and value < 1 - threshold
        rows.append(
            Row(other.name, *cell, value, low, high, result.verdict, result.trials, regression)
        )
    return sorted(rows, key=lambda row: row.ratio)


def _means(base: _Loaded, rest: list[_Loaded]) -> list[tuple[str, str, str]]:
    """(run, allocator, geometric mean over cells with interval)."""
    found = []
    for other in rest:
        for label in other.plan.allocators:
            shared = [
                (data.throughput, base.results.cells[cell].throughput)
                for cell, data in other.results.cells.items()
                if cell.allocator == label and cell in base.results.cells
            ]
            ratios = [
                top[np.isfinite(top)] / np.nanmedian(bottom)
                for top, bottom in shared
                if np.isfinite(top).any() and np.isfinite(bottom).any()
            ]
            if ratios:
                found.append((other.name, label, ratio(geometric_mean_interval(ratios))))
    return found


_HEADER = ("run", "allocator", "workload", "threads", "ratio [95 %]", "verdict", "trials")


def _cells(row: Row) -> list[str]:
    return [
        row.run,
        row.allocator,
        row.workload,
        str(row.threads),
        f"{row.ratio:.3f} [{row.low:.3f}, {row.high:.3f}]"
        if math.isfinite(row.low)
        else f"{row.ratio:.3f}",
        row.verdict + (" (regression)" if row.regression else ""),
        str(row.trials),
    ]


def _text(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    print(f"throughput over {base.name}\n")
    print(text_table(_HEADER, map(_cells, rows), left=3))
    print("\n" + text_table(("run", "allocator", "geometric mean"), _means(base, rest), left=2))


def _markdown(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    print(f"Throughput over `{base.name}`.\n")
    print(markdown_table(_HEADER, map(_cells, rows), left=3))
    print("\n" + markdown_table(("run", "allocator", "geometric mean"), _means(base, rest), left=2))


def _json(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    document = {
        "base": base.name,
        "cells": [
            {key: None if value != value else value for key, value in asdict(row).items()}
            for row in rows
        ],
        "geometric_means": [
            {"run": run, "allocator": label, "ratio": text}
            for run, label, text in _means(base, rest)
        ],
    }
    print(json.dumps(document, indent=1))


def _csv(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    writer = csv.DictWriter(sys.stdout, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)


_PRINTERS: dict[str, Callable[[list[Row], _Loaded, list[_Loaded]], None]] = {
    "text": _text,
    "markdown": _markdown,
    "json": _json,
    "csv": _csv,
}
