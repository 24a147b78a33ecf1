"""The study's data as kept in the repository: small, without folders of one machine, gzipped."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtbench.cells import Results
from mtbench.plan import Plan
from mtbench.report import load
from mtbench.rundir import MANIFEST, PACKED, RunDirectory
from mtbench.written import write_whole
from plots import data as plots_data
from tools.tables import placeless, thinned

LATENCY = ("seed", "ladder")
"""Questions that ask for percentiles; histograms are most of a record."""

SERIES = ("seed",)
"""Questions that draw memory over time."""

LOCKS = ("ladder", "locks", "crowd")
_COUNTERS = ("registry_growths", "registry_lookups", "leaked_blocks")


@dataclass(frozen=True)
class Part:
    """One question's run: its plan, its numbers, what figures draw, and its manifest.

    counters: (allocator, workload, threads, counter) -> a value a trial. walls: (allocator,
    workload, threads) -> whole seconds a trial took.
    """

    plan: Plan
    results: Results
    run: plots_data.Run
    manifest: dict[str, Any]
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
        placeless(json.dumps(small(record, run.name), separators=(",", ":"))) + "\n"
        for record in RunDirectory.read(run).records()
    )
    # Equal data make equal files: no time in the header.
    return gzip.compress(text.encode(), 9, mtime=0)


def small(record: dict[str, Any], question: str) -> dict[str, Any]:
    """A record without what its question does not ask."""
    result = record.get("result") or {}
    latency, samples = result.get("latency"), (result.get("memory") or {}).get("samples")
    stats = record.get("allocator_stats") or {}
    record = thinned(record)
    if record.get("result") and question in LATENCY:
        record["result"]["latency"] = latency
    if record.get("result") and question in SERIES:
        record["result"]["memory"]["samples"] = samples
    kept: dict[str, Any] = {name: stats[name] for name in _COUNTERS if stats.get(name)}
    if stats.get("locks") and question in LOCKS:
        kept |= {"locks": summed(stats["locks"]), "counted_s": stats.get("counted_s")}
    record["allocator_stats"] = kept or None
    record["stderr_tail"] = record["stderr_tail"][-200:]
    return record


def summed(locks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The registry's lock, and all others as one."""
    names = ("acquisitions", "spun", "waited", "wait_ns", "max_wait_ns")
    rows: dict[str, dict[str, Any]] = {}
    for lock in locks:
        name = "registry" if lock["name"] == "registry" else "others"
        row = rows.setdefault(name, {"name": name, **dict.fromkeys(names, 0)})
        for key in names:
            value = lock.get(key, 0)
            row[key] = max(row[key], value) if key == "max_wait_ns" else row[key] + value
    return list(rows.values())


def read(folder: Path) -> Part:
    """A kept question. Raises MtbenchError if it is damaged."""
    counters: dict[tuple[str, str, int, str], list[float]] = {}
    walls: dict[tuple[str, str, int], list[float]] = {}
    plan, results, run = load(folder)
    kept = RunDirectory.read(folder)
    for record in kept.records():
        if record["status"] != "ok":
            continue
        place = record["allocator"], record["workload"], record["threads"]
        walls.setdefault(place, []).append(float(record["wall_s"]))
        for name in _COUNTERS:
            value = float((record["allocator_stats"] or {}).get(name, 0))
            counters.setdefault((*place, name), []).append(value)
    return Part(plan, results, run, kept.manifest, counters, walls)


def read_all(folder: Path) -> dict[str, Part]:
    """Every kept question by name."""
    return {path.parent.name: read(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))}
