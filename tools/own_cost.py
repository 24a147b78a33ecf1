"""What the tool itself costs: start-up, time outside the windows, report of a large run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec

from mtbench.base.table import text_table
from mtbench.machine import readings
from mtbench.plan.plan import grid
from mtbench.runs.directory import RunDirectory
from mtbench.runs.record import encoded
from tools.repository import Json

REPEATS = 5
REPORT_TRIALS = 10_000


def measure() -> Json:
    """Every promise with what was found: `rows` of name, found, limit, unit, kept."""
    rows = [
        _row("mtbench --help", _best(lambda: _timed("--help")) * 1e3, 100, "ms"),
        _row("mtbench list", _best(lambda: _timed("list")) * 1e3, 300, "ms"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows += _sweep(Path(folder) / "run")
        rows += _report(Path(folder) / "run", Path(folder) / "large")
    return {"machine": readings.summary(), "load1": readings.load()[0], "rows": rows}


HEADER = ("cost of the tool", "found", "promised", "")


def cells(document: Json, broken: str = "BROKEN") -> list[list[str]]:
    """A row per promise, under HEADER. broken: the word for one that is not kept."""
    return [
        [
            row["name"],
            f"{row['found']:.4g} {row['unit']}",
            f"{'at least' if row['at_least'] else 'at most'} {row['limit']:g} {row['unit']}",
            "kept" if row["kept"] else broken,
        ]
        for row in document["rows"]
    ]


def table(document: Json) -> str:
    """The promises as aligned text."""
    return text_table(HEADER, cells(document))


def _row(name: str, found: float, limit: float, unit: str) -> Json:
    at_least = unit == "% of wall time"
    kept = found >= limit if at_least else found <= limit
    return {
        "name": name,
        "found": round(found, 3),
        "limit": limit,
        "unit": unit,
        "kept": kept,
        "at_least": at_least,
    }


def _best(measured: Callable[[], float]) -> float:
    """The least of several: what the tool costs when nobody disturbs it."""
    return min(measured() for _ in range(REPEATS))


def _timed(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mtbench", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started


def _sweep(run: Path) -> list[Json]:
    """Worker start-up and the share spent measuring, from a sweep with default windows.

    Measuring is warm-up and window; start-up is what the process adds to them at one thread.
    """
    subprocess.run(
        [
            sys.executable,
            "-m",
            "mtbench",
            "sweep",
            "-a",
            "system,hakmem",
            "-w",
            "mid_gap",
            "-t",
            "1,2",
            "-n",
            "5",
            "--no-progress",
            "-q",
            "-o",
            str(run),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    directory = RunDirectory.read(run)
    plan = directory.manifest.plan
    records = list(directory.records())
    measured = {
        record.order: record.good.elapsed_s + plan.warmup for record in records if record.good
    }
    wall = sum(session.seconds for session in directory.manifest.sessions)
    rows = []
    for label in ("system", "hakmem"):
        extra = min(
            record.wall_s - measured[record.order]
            for record in records
            if record.allocator == label and record.threads == 1
        )
        rows.append(_row(f"worker start-up and end, {label}", extra * 1e3, 80, "ms"))
    share = sum(measured.values()) / wall * 100
    rows.append(_row("default sweep inside windows and warm-up", share, 85, "% of wall time"))
    return rows


def _report(source: Path, target: Path) -> list[Json]:
    """`mtbench report` over ten thousand trials made from real records."""
    original = RunDirectory.read(source)
    records = list(original.records())
    plan = original.manifest.plan
    labels = [f"allocator{i}" for i in range(10)]
    names = [f"workload{i}" for i in range(5)]
    threads = (1, 2, 4, 8)
    cells = grid(labels, names, threads)
    trials = REPORT_TRIALS // len(cells)
    allocator, workload = original.manifest.allocators[0], original.manifest.workloads[0]
    manifest = msgspec.structs.replace(
        original.manifest,
        plan=replace(
            plan,
            allocators=tuple(labels),
            workloads=tuple(names),
            threads=threads,
            trials=trials,
            cells=cells,
            sources=tuple((name, plan.sources[0][1]) for name in names),
        ),
        allocators=tuple(replace(allocator, label=label) for label in labels),
        workloads=tuple(replace(workload, name=name) for name in names),
    )
    generator = random.Random(1)
    with RunDirectory.create(target, manifest):
        pass
    with (target / "trials.jsonl").open("wb") as file:
        for block in range(trials):
            for cell in cells:
                chosen = generator.choice(records)
                record = msgspec.structs.replace(chosen, **cell._asdict(), block=block)
                file.write(encoded(record))
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "mtbench", "report", str(target), "-q"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "mtbench report")
    elapsed = time.perf_counter() - started
    peak = usage.ru_maxrss / 1024
    return [
        _row(f"report on {REPORT_TRIALS} trials", elapsed, 20, "s"),
        _row(f"report on {REPORT_TRIALS} trials, peak memory", peak, 1024, "MiB"),
    ]
