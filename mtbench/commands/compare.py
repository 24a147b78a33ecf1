"""`mtbench compare`: two or more runs, cell by cell, each against the first."""

from __future__ import annotations

import argparse
import csv
import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mtbench.analysis.cells import Results, gather
from mtbench.analysis.statistics import (
    NOISE_THRESHOLD,
    Verdict,
    geometric_mean_interval,
    independent_ratio,
)
from mtbench.base.table import named, ratio, text_table
from mtbench.errors import Exit, UsageError
from mtbench.plan.plan import Cell, Plan
from mtbench.runs.conditions import differences
from mtbench.runs.hosts import is_fleet, opened
from mtbench.runs.manifest import Manifest
from plots.data import MISSING
from plots.pages.table import markdown_table

ABSENT = "not in the run"


@dataclass(frozen=True)
class Row:
    """One cell of one run against the base: throughput ratio (above 1 is faster) and verdict.

    ratio, low, high: nan where the run has no number. regression: it closes the gate; the verdict
    says why.
    """

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
    path: Path
    manifest: Manifest
    plan: Plan
    results: Results


def command(args: argparse.Namespace) -> int:
    """`mtbench compare`; exit 3 if a cell is slower beyond the threshold, or cannot be told."""
    if len(args.runs) < 2 and not is_fleet(Path(args.runs[0])):
        raise UsageError("compare needs two runs or more; the first is the base")
    parts = [_load(Path(path)) for path in args.runs]
    loaded = _told_apart([part for found in parts for part in found])
    hosts = len(parts) == 1 and len(loaded) > 1
    if not hosts and any(len(found) > 1 for found in parts):
        raise UsageError("a run of several hosts is compared alone, or one host of it: RUN:HOST")
    if len(loaded) < 2:
        raise UsageError(f"{args.runs[0]} has one host only; compare needs two runs, or two hosts")
    base, rest = loaded[0], loaded[1:]
    across = args.across_machines or hosts
    notes = [note for other in rest for note in _check(base, other, across=across)]
    if empty := [cell for cell, data in base.results.cells.items() if not data.good]:
        notes.append(f"{base.name} has no number for {_places(empty)}: not compared")
    if not any(base.results.cells.keys() & other.results.cells.keys() for other in rest):
        raise UsageError(f"{base.name} and the others have no cell in common; nothing to compare")
    rows = [row for other in rest for row in rows_of(base.results, other, args.threshold)]
    if hosts:
        # Another machine is no regression, and may have measured other workloads.
        rows = [replace(row, regression=False) for row in rows if row.verdict != ABSENT]
    if not rows:
        raise UsageError(f"{base.name} has no number in any cell; nothing to compare with")
    known = {cell for other in rest for cell in other.results.cells} - base.results.cells.keys()
    if known and not hosts:
        notes.append(f"{base.name} lacks {_places(sorted(known))}: not compared")
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    _PRINTERS[args.format](rows, base, rest)
    return _gate(rows, args.threshold)


def _places(cells: Sequence[Cell], most: int = 5) -> str:
    """`hakmem mid_gap x 8, hakmem mid_gap x 64 and 3 more`, for one line."""
    words = ", ".join(f"{c.allocator} {c.workload} x {c.threads}" for c in cells[:most])
    return f"{words} and {len(cells) - most} more" if len(cells) > most else words


def _gate(rows: list[Row], threshold: float) -> int:
    """Closed for each cell that is slower, and for each that the base has and another run lacks."""
    closing = [row for row in rows if row.regression]
    slower = [row for row in closing if row.verdict == Verdict.SLOWER]
    of = "{0.run}: " if len({row.run for row in rows}) > 1 else ""
    place = f"{of}{{0.allocator}} {{0.workload}} x {{0.threads}}"
    short = {place.format(row): row.verdict for row in closing if row.verdict != Verdict.SLOWER}
    told = []
    if slower:
        worst = min(slower, key=lambda row: row.ratio)
        cells = "1 cell is" if len(slower) == 1 else f"{len(slower)} cells are"
        told.append(
            f"{cells} slower by more than {threshold * 100:.3g} %; worst: {worst.allocator} "
            f"{worst.workload} x {worst.threads}, {worst.ratio:.2f} x"
        )
    if short:
        cells = "1 cell falls" if len(short) == 1 else f"{len(short)} cells fall"
        told.append(f"{cells} short of the base: {named(short)}")
    if told:
        print(f"mtbench: {'; '.join(told)}", file=sys.stderr)
    return Exit.GATE if told else Exit.FINE


def _told_apart(loaded: list[_Loaded]) -> list[_Loaded]:
    """The same, by their paths where two directories have one name."""
    names = [part.name for part in loaded]
    return [
        replace(part, name=str(part.path)) if names.count(part.name) > 1 else part
        for part in loaded
    ]


def _load(path: Path) -> list[_Loaded]:
    """A run, or each host of one."""
    return [
        _Loaded(view.path.name, view.path, view.manifest, plan, gather(view.records(), plan))
        for view in opened(path)
        for plan in [view.manifest.plan]
    ]


def _check(base: _Loaded, other: _Loaded, *, across: bool) -> list[str]:
    """What makes the comparison weaker. Raises UsageError for another machine."""
    notes = []
    here, there = base.manifest.fingerprint, other.manifest.fingerprint
    differing = [key for key in sorted({*here, *there}) if here.get(key) != there.get(key)]
    if differing:
        what = ", ".join(f"{key} {here.get(key)} / {there.get(key)}" for key in differing)
        text = f"{base.name} and {other.name} come from different machines ({what})"
        if not across:
            raise UsageError(f"{text}; --across-machines compares them all the same")
        notes.append(f"{text}: a ratio mixes machine and allocator")
    for name in ("duration", "warmup", "pin", "verify", "latency_every", "turns", "memory"):
        one, two = getattr(base.plan, name), getattr(other.plan, name)
        if one != two:
            notes.append(f"{other.name} was measured with {name} {two}, {base.name} with {one}")
    sources, others = dict(base.plan.sources), dict(other.plan.sources)
    notes += [
        f"workload {name} is not the same in {base.name} and {other.name}"
        for name in sorted(sources.keys() & others.keys())
        if sources[name] != others[name]
    ]
    notes += _programs(base, other)
    one, two = base.manifest.conditions, other.manifest.conditions
    if one and two:
        told = {*here, *there}
        changed = differences(*({k: v for k, v in c.items() if k not in told} for c in (one, two)))
        notes += [f"from {base.name} to {other.name} {change}" for change in changed]
    built = {entry.label: entry.sha256 for entry in base.manifest.allocators}
    for entry in other.manifest.allocators:
        known = built.get(entry.label)
        if known is not None and known != entry.sha256:
            notes.append(f"{entry.label} is another build in {other.name} than in {base.name}")
    return notes


def _programs(base: _Loaded, other: _Loaded) -> list[str]:
    """Where two programs, or two ways to run one, were measured. Raises UsageError where what was
    counted is not the same, so that a ratio would mean nothing."""
    counted = {entry.name: entry.unit for entry in base.manifest.workloads}
    for entry in other.manifest.workloads:
        unit = counted.get(entry.name, entry.unit)
        if unit != entry.unit:
            raise UsageError(
                f"{entry.name}: {base.name} counts {unit}, {other.name} {entry.unit}; "
                "accepted: runs that count the same"
            )
    ran = {task.name: msgspec.to_builtins(task) for task in base.manifest.programs}
    again = {task.name: msgspec.to_builtins(task) for task in other.manifest.programs}
    return [
        f"{other.name} ran {name} with {key} {_typed(two[key])}, {base.name} with "
        f"{_typed(one[key])}"
        for name, one in ran.items()
        if (two := again.get(name))
        for key in one
        if key != "timeout" and one[key] != two[key]
    ]


def _typed(value: object) -> str:
    """A part of a program's description as one would type it."""
    words = isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value)
    return f"'{shlex.join(value)}'" if words else json.dumps(value)  # type: ignore[arg-type]


def rows_of(base: Results, other: _Loaded, threshold: float) -> list[Row]:
    """Each cell in which the base has a number, those without one first, then the worst.

    A regression may be sought below the noise threshold; then that is lowered too.
    """
    rows = []
    for cell, rival in base.cells.items():
        if not rival.good:
            continue
        data = other.results.cells.get(cell)
        if data is None:
            rows.append(Row(other.name, *cell, *MISSING, ABSENT, 0, regression=True))
            continue
        result = independent_ratio(
            data.throughput, rival.throughput, threshold=min(threshold, NOISE_THRESHOLD)
        )
        short = data.shortfall(rival)
        slower = result.verdict is Verdict.SLOWER and result.estimate.value < 1 - threshold
        verdict = short or result.verdict
        closes = bool(short) or slower
        rows.append(Row(other.name, *cell, *result.estimate, verdict, result.trials, closes))
    return sorted(rows, key=lambda row: (math.isfinite(row.ratio), row.ratio))


def _means(base: _Loaded, rest: list[_Loaded]) -> list[tuple[str, str, str, str]]:
    """(run, allocator, geometric mean over cells with interval, of how many of the base's)."""
    found = []
    for other in rest:
        for label in base.plan.allocators:
            wanted = {
                cell: data.throughput
                for cell, data in base.results.cells.items()
                if cell.allocator == label and data.good
            }
            ratios = [
                data.throughput[np.isfinite(data.throughput)] / np.nanmedian(bottom)
                for cell, bottom in wanted.items()
                if (data := other.results.cells.get(cell)) is not None and data.good
            ]
            if ratios:
                mean = ratio(geometric_mean_interval(ratios))
                found.append((other.name, label, mean, f"{len(ratios)} of {len(wanted)}"))
    return found


_MEANS = ("run", "allocator", "geometric mean", "cells")
_HEADER = ("run", "allocator", "workload", "threads", "ratio [95 %]", "verdict", "trials")


def _cells(row: Row) -> list[str]:
    return [
        row.run,
        row.allocator,
        row.workload,
        str(row.threads),
        f"{row.ratio:.3f} [{row.low:.3f}, {row.high:.3f}]"
        if math.isfinite(row.low)
        else f"{row.ratio:.3f}"
        if math.isfinite(row.ratio)
        else "-",
        row.verdict + (" (regression)" if row.regression else ""),
        str(row.trials),
    ]


def _text(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    print(f"throughput over {base.name}\n")
    print(text_table(_HEADER, map(_cells, rows), align="lllr"))
    print("\n" + text_table(_MEANS, _means(base, rest), align="llr"))


def _markdown(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    print(f"Throughput over `{base.name}`.\n")
    print(markdown_table(_HEADER, map(_cells, rows), align="lllr"))
    print("\n" + markdown_table(_MEANS, _means(base, rest), align="llr"))


def _json(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    document = {
        "base": base.name,
        "cells": [_plain(row, None) for row in rows],
        "geometric_means": [
            {"run": run, "allocator": label, "ratio": text, "cells": cells}
            for run, label, text, cells in _means(base, rest)
        ],
    }
    print(json.dumps(document, indent=1))


def _csv(rows: list[Row], base: _Loaded, rest: list[_Loaded]) -> None:
    writer = csv.DictWriter(sys.stdout, list(asdict(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(row, "") for row in rows)


def _plain(row: Row, missing: str | None) -> dict[str, Any]:
    return {key: missing if value != value else value for key, value in asdict(row).items()}


_PRINTERS: dict[str, Callable[[list[Row], _Loaded, list[_Loaded]], None]] = {
    "text": _text,
    "markdown": _markdown,
    "json": _json,
    "csv": _csv,
}
