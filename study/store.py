"""The study's data as kept in the repository: small, without folders of one machine, gzipped."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from mtbench.analysis.cells import Results
from mtbench.base.written import write_whole
from mtbench.commands.report import load
from mtbench.plan.plan import Plan
from mtbench.runs.directory import MANIFEST, PACKED, RunDirectory
from mtbench.runs.manifest import Manifest
from mtbench.runs.record import Record, encoded
from mtbench.runs.result import Counters, Lock
from plots import data as plots_data
from tools.keep import placeless, thinned

LATENCY = ("seed", "ladder")
"""Questions that ask for percentiles; histograms are most of a record."""

SERIES = ("seed",)
"""Questions that draw memory over time."""

LOCKS = ("ladder", "locks", "crowd")
_COUNTERS = ("registry_growths", "registry_lookups", "leaked_blocks")


@dataclass(frozen=True)
class Part:
    """One question's run: its plan, its numbers, what figures draw, and its manifest.

    counters: (allocator, workload, threads, counter) -> a value per trial. walls: (allocator,
    workload, threads) -> whole seconds a trial took.
    """

    plan: Plan
    results: Results
    run: plots_data.Run
    manifest: Manifest
    counters: dict[tuple[str, str, int, str], list[float]]
    walls: dict[tuple[str, str, int], list[float]]


def keep(runs: Path, target: Path) -> None:
    """Pack every run under `runs` into `target`, where it replaces what was packed before.

    Raises MtbenchError, before anything is replaced, for a run that cannot be read.
    """
    found = [path.parent for path in sorted(runs.glob(f"*/{MANIFEST}"))]
    packed = {run.name: _packed(run) for run in found}
    for old in target.glob(f"*/{PACKED}"):
        if old.parent.name not in packed:
            shutil.rmtree(old.parent)
    for run in found:
        folder = target / run.name
        folder.mkdir(parents=True, exist_ok=True)
        manifest = (run / MANIFEST).read_text(encoding="utf-8")
        write_whole(folder / MANIFEST, placeless(manifest))
        write_whole(folder / PACKED, packed[run.name])


def _packed(run: Path) -> bytes:
    text = "".join(
        placeless(encoded(small(record, run.name)).decode())
        for record in RunDirectory.read(run).records()
    )
    # Equal data make equal files: no time in the header.
    return gzip.compress(text.encode(), 9, mtime=0)


def small(record: Record, question: str) -> Record:
    """A record without what its question does not ask."""
    result, stats = record.result, record.allocator_stats or Counters()
    record = thinned(record)
    if result and record.result and question in LATENCY:
        record = replace(record, result=replace(record.result, latency=result.latency))
    if result and record.result and question in SERIES:
        record = replace(record, result=replace(record.result, memory=result.memory))
    counted = {name: getattr(stats, name) or None for name in _COUNTERS}
    if stats.locks and question in LOCKS:
        counted |= {"locks": summed(stats.locks), "counted_s": stats.counted_s}
    kept = Counters(**counted) if any(counted.values()) else None
    return replace(record, allocator_stats=kept, stderr_tail=record.stderr_tail[-200:])


def summed(locks: list[Lock]) -> list[Lock]:
    """The registry's lock, and all others as one."""
    names = ("acquisitions", "spun", "waited", "wait_ns")
    rows: dict[str, Lock] = {}
    for lock in locks:
        name = "registry" if lock.name == "registry" else "others"
        row = rows.get(name, Lock(name, 0))
        sums = {key: getattr(row, key) + getattr(lock, key) for key in names}
        rows[name] = replace(row, max_wait_ns=max(row.max_wait_ns, lock.max_wait_ns), **sums)
    return list(rows.values())


def read(folder: Path) -> Part:
    """A kept question. Raises MtbenchError if it is damaged."""
    counters: dict[tuple[str, str, int, str], list[float]] = {}
    walls: dict[tuple[str, str, int], list[float]] = {}
    plan, results, run = load(folder)
    kept = RunDirectory.read(folder)
    for record in kept.records():
        if not record.good:
            continue
        place = record.cell
        walls.setdefault(place, []).append(float(record.wall_s))
        for name in _COUNTERS:
            value = float(getattr(record.allocator_stats or Counters(), name) or 0)
            counters.setdefault((*place, name), []).append(value)
    return Part(plan, results, run, kept.manifest, counters, walls)


def read_all(folder: Path) -> dict[str, Part]:
    """Every kept question by name."""
    return {path.parent.name: read(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))}
