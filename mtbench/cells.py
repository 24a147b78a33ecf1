"""Records of a run gathered into cells: each metric of each trial, by block.

Streams over the records, so a run of ten thousand trials needs the memory of its numbers, not of
its JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtbench.plan import Cell, Plan
from mtbench.statistics import Estimate, bootstrap_median

Floats = NDArray[np.float64]
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
CALLS = ("malloc", "free")
LOCK_FIELDS = (
    "acquisitions",
    "contended",
    "wait_ns",
    "max_wait_ns",
    "hold_ns",
    "max_waiters",
    "owner_switches",
)


@dataclass
class CellData:
    """Everything measured in one cell.

    values: metric -> one number a block, nan where that block failed or the metric is missing,
    shape (trials,). orders: place of each block's trial in the run. missing: metric -> why.
    latency: call -> merged sparse histogram. series: memory samples of the first good trial, rows
    of (seconds, resident bytes above the start, live bytes). locks: lock -> field -> by block.
    identity: of the first good trial.
    """

    cell: Cell
    blocks: int
    values: dict[str, Floats] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    orders: Floats = field(default_factory=lambda: np.empty(0))
    failed: int = 0
    latency: dict[str, dict[str, Any]] = field(default_factory=dict)
    series: Floats | None = None
    locks: dict[str, dict[str, Floats]] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.orders = np.full(self.blocks, math.nan)

    @property
    def throughput(self) -> Floats:
        """Units a second by block, nan where the trial failed."""
        return self.metric("throughput")

    def metric(self, name: str) -> Floats:
        """One metric by block; all nan if it was never measured."""
        found = self.values.get(name)
        return found if found is not None else np.full(self.blocks, math.nan)

    def estimate(self, name: str = "throughput") -> Estimate:
        """Median over blocks with its bootstrap interval."""
        return bootstrap_median(self.metric(name))

    def put(self, name: str, block: int, value: float) -> None:
        """Keep one number of one block."""
        if name not in self.values:
            self.values[name] = np.full(self.blocks, math.nan)
        self.values[name][block] = value


@dataclass
class Results:
    """A whole run in numbers: its cells, and the records of the trials that failed."""

    cells: dict[Cell, CellData]
    failures: list[dict[str, Any]]
    trials: int

    def get(self, allocator: str, workload: str, threads: int) -> CellData | None:
        """The cell, if the run has it."""
        return self.cells.get(Cell(allocator, workload, threads))


def gather(records: Iterable[dict[str, Any]], plan: Plan) -> Results:
    """Sort the records of a run into its planned cells."""
    results = Results({cell: CellData(cell, plan.trials) for cell in plan.cells}, [], 0)
    for record in records:
        cell = Cell(record["allocator"], record["workload"], int(record["threads"]))
        data = results.cells.get(cell)
        block = int(record["block"])
        if data is None or not 0 <= block < plan.trials:
            continue
        results.trials += 1
        if record["status"] != "ok":
            data.failed += 1
            results.failures.append(record)
            continue
        data.orders[block] = record.get("order", results.trials - 1)
        data.identity = data.identity or record.get("identity") or {}
        _add(data, block, record["result"], plan)
        _add_locks(data, block, record, plan)
    for data in results.cells.values():
        _add_merged_latency(data)
    return results


def _add(data: CellData, block: int, result: Mapping[str, Any], plan: Plan) -> None:
    operations = float(result["operations"])
    elapsed = float(result["elapsed_s"])
    data.put("throughput", block, operations / elapsed if elapsed > 0 else math.nan)
    data.put("progressed", block, float(result.get("progressed", math.nan)))
    data.put(
        "fairness", block, _number(data, "fairness", (result.get("fairness") or {}).get("jain"))
    )
    millions = operations / 1e6 if operations else math.nan
    cpu = result.get("cpu") or {}
    for metric, key in (
        ("voluntary_per_mop", "voluntary"),
        ("involuntary_per_mop", "involuntary"),
        ("migrations_per_mop", "migrations"),
    ):
        data.put(metric, block, _number(data, metric, cpu.get(key)) / millions)
    faults = _number(data, "faults_per_mop", cpu.get("minor_faults")) + _number(
        data, "faults_per_mop", cpu.get("major_faults")
    )
    data.put("faults_per_mop", block, faults / millions)
    user = _number(data, "system_share", cpu.get("user_s"))
    # The kernel splits a thread's time by sampling and may take a little back between readings.
    system = max(_number(data, "system_share", cpu.get("system_s")), 0.0)
    spent = user + system
    data.put("system_share", block, system / spent if spent > 0 else math.nan)
    data.put("cpu_ns_per_op", block, spent * 1e3 / millions)
    perf = result.get("perf") or {}
    for name in ("cycles", "instructions", "cache_misses"):
        metric = f"{name}_per_op"
        data.put(metric, block, _number(data, metric, perf.get(name)) / millions / 1e6)
    futex = _number(data, "futex_per_mop", result.get("futex_calls"))
    data.put("futex_per_mop", block, futex / millions)
    _add_memory(data, block, result.get("memory") or {})
    _add_latency(data, block, result.get("latency") or {})


def _number(data: CellData, metric: str, value: object) -> float:
    """A number, or nan with the reason kept: a missing count is never zero."""
    if isinstance(value, (int, float)):
        return float(value)
    reason = value.get("missing") if isinstance(value, Mapping) else None
    data.missing.setdefault(metric, str(reason or "not recorded"))
    return math.nan


def _add_memory(data: CellData, block: int, memory: Mapping[str, Any]) -> None:
    before = _number(data, "peak_over_live", memory.get("rss_before"))
    peak = _number(data, "rss_peak", memory.get("rss_peak"))
    drained = _number(data, "rss_drained", memory.get("rss_drained"))
    live = _number(data, "peak_over_live", memory.get("live_bytes_peak")) or math.nan
    data.put("rss_peak", block, peak)
    data.put("rss_drained", block, drained)
    data.put("rss_used", block, peak - before)
    data.put("live_peak", block, live)
    data.put("peak_over_live", block, (peak - before) / live)
    data.put("drained_over_live", block, (drained - before) / live)
    samples = memory.get("samples")
    if data.series is None and samples:
        series = np.array(
            [[math.nan if entry is None else entry for entry in row] for row in samples],
            dtype=np.float64,
        )
        series[:, 1] -= before
        data.series = series


def _add_latency(data: CellData, block: int, latency: Mapping[str, Any]) -> None:
    from workloads import latency_percentile, merge_latency

    for call in CALLS:
        histogram = latency.get(call)
        if not histogram or not histogram.get("counts"):
            for name in PERCENTILES:
                data.missing.setdefault(f"{call}_{name}_ns", "not sampled")
            continue
        for name, percentile in PERCENTILES.items():
            data.put(f"{call}_{name}_ns", block, float(latency_percentile(histogram, percentile)))
        known = data.latency.get(call)
        data.latency[call] = merge_latency([known, histogram]) if known else histogram


def _add_merged_latency(data: CellData) -> None:
    """The percentile of the merged histogram is the value; the trials only give its interval."""
    from workloads import latency_percentile

    for call, histogram in data.latency.items():
        for name, percentile in PERCENTILES.items():
            merged = float(latency_percentile(histogram, percentile))
            data.values[f"{call}_{name}_ns_merged"] = np.array([merged])


def _add_locks(data: CellData, block: int, record: Mapping[str, Any], plan: Plan) -> None:
    """Lock counters run from start to end of the kernel, so warm-up is counted in the rates."""
    stats = record.get("allocator_stats")
    if not stats or not stats.get("locks"):
        data.missing.setdefault("lock_acq_per_op", "this allocator counts no locks")
        if not (stats and "locks" in stats):
            return
    result = record["result"]
    elapsed = float(result["elapsed_s"])
    counted = elapsed + plan.warmup
    operations = float(result["operations"]) * counted / elapsed if elapsed else math.nan
    thread_ns = data.cell.threads * counted * 1e9
    totals = dict.fromkeys(("acquisitions", "contended", "wait_ns"), 0.0)
    for name, lock in merged_locks(stats["locks"]).items():
        row = data.locks.setdefault(name, {})
        for entry in LOCK_FIELDS:
            scale = {
                "acquisitions": operations,
                "owner_switches": operations,
                "wait_ns": thread_ns,
                "contended": lock["acquisitions"] or math.nan,
            }.get(entry, 1.0)
            if entry not in row:
                row[entry] = np.full(data.blocks, math.nan)
            row[entry][block] = lock[entry] / scale if scale else math.nan
        for entry in totals:
            totals[entry] += lock[entry]
    data.missing.pop("lock_acq_per_op", None)
    data.put("lock_acq_per_op", block, totals["acquisitions"] / operations)
    data.put("lock_contended_per_op", block, totals["contended"] / operations)
    data.put("lock_wait_share", block, totals["wait_ns"] / thread_ns)


def merged_locks(locks: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Locks of one name added up: acquisitions, contended, wait, longest wait, mean hold (ns)."""
    merged: dict[str, dict[str, float]] = {}
    for lock in locks:
        name = str(lock["name"])
        row = merged.setdefault(name, dict.fromkeys((*LOCK_FIELDS, "held", "holds"), 0.0))
        row["acquisitions"] += lock["acquisitions"]
        row["contended"] += lock.get("spun", 0) + lock.get("waited", 0)
        row["wait_ns"] += lock.get("wait_ns", 0)
        row["owner_switches"] += lock.get("owner_switches", 0)
        row["max_wait_ns"] = max(row["max_wait_ns"], lock.get("max_wait_ns", 0))
        row["max_waiters"] = max(row["max_waiters"], lock.get("max_waiters", 0))
        row["held"] += lock.get("hold_ns", 0)
        row["holds"] += lock.get("hold_samples", 0)
        row["hold_ns"] = row["held"] / row["holds"] if row["holds"] else math.nan
    return merged
