"""Run directories with known numbers, for what reads runs."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mtbench.plan.plan import Plan, grid
from mtbench.runs.directory import RunDirectory
from mtbench.runs.manifest import Manifest
from mtbench.runs.record import SCHEMA, Record, checked

Speed = Callable[[str, str, int], float]
KINDS = {"system": "system", "null": "null"}


def fabricate(
    path: Path,
    speed: Speed,
    *,
    allocators: Sequence[str] = ("system", "hakmem", "peer"),
    workloads: Sequence[str] = ("mid_gap",),
    threads: Sequence[int] = (1, 2, 8),
    trials: int = 5,
    noise: float = 0.002,
    memory: Callable[[str], int] = lambda label: 100 << 20,
    failing: Sequence[tuple[str, int]] = (),
    host: str = "here",
    cores: int = 2,
    sha256: str = "a" * 64,
) -> Path:
    """A run whose trials have the given speeds, units per second, times lognormal noise.

    failing: (allocator, round) pairs whose trials crashed.
    """
    plan = Plan(
        allocators=tuple(allocators),
        workloads=tuple(workloads),
        threads=tuple(threads),
        trials=trials,
        duration=0.5,
        warmup=0.1,
        seed=1,
        cores=cores,
        cells=grid(allocators, workloads, threads),
        sources=tuple((name, f"name = '{name}'") for name in workloads),
    )
    generator = np.random.default_rng(zlib.crc32(os.fsencode(path.name)))
    with RunDirectory.create(path, manifest(plan, host, sha256)) as run:
        for trial in plan.order():
            label, workload, count = trial.cell
            rate = speed(label, workload, count) * float(generator.lognormal(0, noise))
            crashed = (label, trial.block) in failing
            run.append(
                a_record(
                    {
                        "schema": SCHEMA,
                        "order": trial.order,
                        "block": trial.block,
                        "allocator": label,
                        "workload": workload,
                        "threads": count,
                        "status": "crash" if crashed else "ok",
                        "reason": "killed by SIGSEGV" if crashed else None,
                        "signal": "SIGSEGV" if crashed else None,
                        "exit_code": None if crashed else 0,
                        "stderr_tail": "last words" if crashed else "",
                        "wall_s": 0.7,
                        "identity": {"path": f"/lib/{label}.so", "version": "1.0", "config": None},
                        "result": None if crashed else result(rate, count, memory(label)),
                        "allocator_stats": None,
                        "machine": {"load1": 0.1, "steal_s": 0.0},
                    }
                )
            )
    return path


def a_record(fields: dict[str, Any]) -> Record:
    """A record of these fields."""
    return checked(fields, Record)


def manifest(plan: Plan, host: str = "here", sha256: str = "a" * 64) -> Manifest:
    """What a run directory of the plan says of itself."""
    fields = {
        "schema": SCHEMA,
        "created": "2026-01-01T00:00:00+00:00",
        "command": "mtbench sweep",
        "title": "",
        "host": host,
        "machine": "a processor",
        "fingerprint": {"host": host, "cpu": "a processor", "cores": str(plan.cores)},
        "packages": {"mtbench": "0.1.0"},
        "facts": [],
        "sessions": [{"seconds": 12.0, "interrupted": False}],
        "plan": plan,
        "allocators": [
            {
                "label": label,
                "kind": KINDS.get(label, "hakmem" if label.startswith("hakmem") else "peer"),
                "path": None if label == "system" else f"/lib/{label}.so",
                "environment": {},
                "version": "1.0",
                "sha256": sha256,
            }
            for label in plan.allocators
        ],
        "workloads": [
            {"name": name, "description": "a workload", "unit": "operations"}
            for name in plan.workloads
        ],
    }
    return checked(msgspec.to_builtins(fields), Manifest)


def result(rate: float, threads: int, memory: int) -> dict[str, Any]:
    """What a worker returns for `rate` operations per second."""
    operations = int(rate * 0.5)
    latency = {
        call: {"scheme": "log-linear-64", "counts": [[40, 900], [90, 90], [400, 10]]}
        for call in ("malloc", "free")
    }
    return {
        "operations": operations,
        "elapsed_s": 0.5,
        "threads": threads,
        "progressed": threads,
        "per_thread": [operations // threads] * threads,
        "fairness": {"min": 1, "max": 1, "jain": 1.0},
        "latency": latency,
        "memory": {
            "rss_before": 10 << 20,
            "rss_start": 10 << 20,
            "rss_peak": (10 << 20) + memory,
            "rss_end": (10 << 20) + memory,
            "rss_drained": 20 << 20,
            "virtual_peak": 1 << 30,
            "live_bytes_peak": 50 << 20,
            "live_bytes_mean": 40 << 20,
            "samples": [[0.0, 10 << 20, 0], [0.25, 60 << 20, 40 << 20]],
        },
        "cpu": {
            "user_s": 0.4 * min(threads, 2),
            "system_s": 0.1,
            "voluntary": 10,
            "involuntary": 5,
            "minor_faults": 100,
            "major_faults": 0,
            "migrations": {"missing": "not permitted here"},
        },
        "perf": {
            name: {"missing": "no PMU"} for name in ("cycles", "instructions", "cache_misses")
        },
        "futex_calls": {"missing": "no tracefs"},
        "verify": {"checked": 0, "violation": None},
    }
