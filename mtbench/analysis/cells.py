"""Records of a run gathered into cells: each metric of each trial, by round.

Streams over the records, so a run of ten thousand trials needs the memory of its numbers, not of
its JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtbench.analysis import histograms
from mtbench.analysis.metrics import READ, NoNumberError, Read
from mtbench.analysis.statistics import FEWEST, bootstrap_median
from mtbench.plan.plan import Cell, Plan
from mtbench.runs.record import Around, Identity, Record, Status
from mtbench.runs.result import Counters, Latency, Lock, Memory, Result, given
from plots.data import Estimate, LockRates
from workloads import unserved
from workloads.latency import percentiles

Floats = NDArray[np.float64]
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
CALLS = ("malloc", "free")
LOCKS_KEPT = 24
"""Hottest locks of a trial that a lock table may show; the sums count all."""


class LockTotals(NamedTuple):
    """What one lock of one trial counted; times in ns."""

    name: str
    acquisitions: float
    contended: float
    wait_ns: float
    max_wait_ns: float
    hold_ns: float
    hold_samples: float
    max_waiters: float
    owner_switches: float


@dataclass
class CellData:
    """Everything measured in one cell.

    values: metric -> one number per round, nan where that one failed or the metric is missing,
    shape (trials,). orders: place of each round's trial in the run. missing: metric -> why.
    latency: call -> counts of all trials by bucket. series: memory samples of the first good
    trial, rows of (seconds, resident bytes above the start, live bytes). locks: lock -> its rates
    in each good trial. identity: of the first good trial.
    """

    cell: Cell
    blocks: int
    values: dict[str, Floats] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    orders: Floats = field(default_factory=lambda: np.empty(0))
    failed: int = 0
    latency: dict[str, histograms.Counts] = field(default_factory=dict)
    series: Floats | None = None
    locks: dict[str, list[LockRates]] = field(default_factory=dict)
    identity: Identity | None = None

    def __post_init__(self) -> None:
        self.orders = np.full(self.blocks, math.nan)

    @property
    def throughput(self) -> Floats:
        """Units per second by round, nan where the trial failed."""
        return self.metric("throughput")

    def metric(self, name: str) -> Floats:
        """One metric by round; all nan if it was never measured."""
        found = self.values.get(name)
        return found if found is not None else np.full(self.blocks, math.nan)

    @property
    def good(self) -> int:
        """How many trials gave a throughput."""
        return int(np.isfinite(self.throughput).sum())

    @property
    def ended(self) -> int:
        """How many trials ended well, with a throughput or without."""
        return int(np.isfinite(self.orders).sum())

    def shortfall(self, base: CellData) -> str:
        """Why this cell cannot stand where another has its number; "" if it can.

        Trials that failed leave a median of those that did not: it is no answer.
        """
        if self.failed > base.failed:
            return f"failed in {self.failed} of {self.blocks} trials"
        measured = self.ended + self.failed
        if measured < self.blocks:
            return f"unfinished, {measured} of {self.blocks} trials"
        if self.good < min(base.good, FEWEST):
            return f"{self.good or 'no'} trial{'' if self.good == 1 else 's'} with a number"
        return ""

    def estimate(self, name: str = "throughput") -> Estimate:
        """Median over rounds with its bootstrap interval."""
        return bootstrap_median(self.metric(name))

    def put(self, name: str, block: int, value: float) -> None:
        """Keep one number of one round."""
        if name not in self.values:
            self.values[name] = np.full(self.blocks, math.nan)
        self.values[name][block] = value


@dataclass
class Results:
    """A whole run in numbers: its cells, and the records of the trials that failed."""

    cells: dict[Cell, CellData]
    failures: list[Record]
    trials: int

    def get(self, allocator: str, workload: str, threads: int) -> CellData | None:
        """The cell, if the run has it."""
        return self.cells.get(Cell(allocator, workload, threads))


def gather(records: Iterable[Record], plan: Plan) -> Results:
    """Sort the records of a run into its planned cells."""
    results = Results({cell: CellData(cell, plan.trials) for cell in plan.cells}, [], 0)
    for record in records:
        data, block = results.cells.get(record.cell), record.block
        if data is None or block >= plan.trials:
            continue
        results.trials += 1
        record = _judged(record)
        if record.good is None:
            data.failed += 1
            results.failures.append(record)
            continue
        data.orders[block] = record.order
        data.identity = data.identity or record.identity
        _add(data, block, record.good)
        data.put("others", block, _others(record.machine or Around(), record.threads))
        _add_locks(data, block, record.good, record.allocator_stats)
    return results


def _judged(record: Record) -> Record:
    """The record, refused where its workload was not served: older runs called that ok."""
    result = record.good
    why = result and unserved(
        {
            "failed_allocations": result.failed_allocations or 0,
            "failed_successors": result.failed_successors or 0,
            "total_operations": result.total_operations,
        }
    )
    return record.failed(Status.REFUSED, why) if why else record


def _add(data: CellData, block: int, result: Result) -> None:
    operations, elapsed = float(result.operations), float(result.elapsed_s)
    if operations > 0 and elapsed > 0:
        data.put("throughput", block, operations / elapsed)
    else:
        data.missing.setdefault("throughput", "no operation ended in the window")
    for metric, read in READ.items():
        _read(data, block, metric, read, result)
    _keep_series(data, result.memory or Memory())
    _add_latency(data, block, result.latency or Latency())


def _read(data: CellData, block: int, metric: str, read: Read, result: Result) -> None:
    try:
        data.put(metric, block, read(result))
    except NoNumberError as absence:
        data.put(metric, block, math.nan)
        data.missing.setdefault(metric, str(absence))


def _others(found: Around, threads: int) -> float:
    """Threads of other work that wanted a processor, at least; nan where nobody looked.

    Of those seen during the trial `threads` were the trial's and one was this tool, looking.
    """
    seen = found.runnable_during
    return float(max(seen - threads - 1, 0)) if seen else math.nan


def _keep_series(data: CellData, memory: Memory) -> None:
    """Memory over time, of the cell's first good trial."""
    samples = memory.samples
    if data.series is None and samples:
        series = np.array(
            [[math.nan if entry is None else entry for entry in row] for row in samples],
            dtype=np.float64,
        )
        series[:, 1] -= given(memory.rss_before)
        data.series = series


def _add_latency(data: CellData, block: int, latency: Latency) -> None:
    for call, histogram in (("malloc", latency.malloc), ("free", latency.free)):
        if not histogram or not histogram.counts:
            for name in PERCENTILES:
                data.missing.setdefault(f"{call}_{name}_ns", "not sampled")
            continue
        places, counts = histograms.decoded(histogram)
        found = percentiles(places, counts, tuple(PERCENTILES.values()))
        for name, value in zip(PERCENTILES, found, strict=True):
            data.put(f"{call}_{name}_ns", block, float(value))
        if call not in data.latency:
            data.latency[call] = histograms.empty()
        data.latency[call][places] += counts


def _add_locks(data: CellData, block: int, result: Result, stats: Counters | None) -> None:
    """Lock counters of the window, by the clock of their own readings at its two edges."""
    if stats is None or stats.locks is None:
        data.missing.setdefault("lock_acq_per_op", "this allocator counts no locks")
        return
    counted = float(stats.counted_s or math.nan)
    if math.isnan(counted):
        reason = "this run counted its locks beyond the window too; measure it again"
        data.missing.setdefault("lock_acq_per_op", reason)
        return
    elapsed = float(result.elapsed_s)
    operations = float(result.operations) * counted / elapsed if elapsed else math.nan
    operations = operations or math.nan
    thread_ns = data.cell.threads * counted * 1e9
    locks = merged_locks(stats.locks)
    data.put("lock_acq_per_op", block, sum(lock.acquisitions for lock in locks) / operations)
    data.put("lock_contended_per_op", block, sum(lock.contended for lock in locks) / operations)
    data.put("lock_wait_share", block, sum(lock.wait_ns for lock in locks) / thread_ns)
    for lock in locks[:LOCKS_KEPT]:
        data.locks.setdefault(lock.name, []).append(
            LockRates(
                lock.acquisitions / operations,
                lock.contended / lock.acquisitions if lock.acquisitions else math.nan,
                lock.wait_ns / thread_ns,
                lock.max_wait_ns,
                lock.hold_ns / lock.hold_samples if lock.hold_samples else math.nan,
                lock.max_waiters,
                lock.owner_switches / operations,
            )
        )


def merged_locks(locks: Iterable[Lock]) -> list[LockTotals]:
    """Locks of one name added up, hottest first: by wait, then by acquisitions."""
    rows: dict[str, LockTotals] = {}
    for lock in locks:
        row = LockTotals(
            lock.name,
            lock.acquisitions,
            lock.spun + lock.waited,
            lock.wait_ns,
            lock.max_wait_ns,
            lock.hold_ns,
            lock.hold_samples,
            lock.max_waiters,
            lock.owner_switches,
        )
        known = rows.get(row.name)
        rows[row.name] = row if known is None else _together(known, row)
    return sorted(rows.values(), key=lambda row: (-row.wait_ns, -row.acquisitions))


def _together(one: LockTotals, two: LockTotals) -> LockTotals:
    return LockTotals(
        one.name,
        one.acquisitions + two.acquisitions,
        one.contended + two.contended,
        one.wait_ns + two.wait_ns,
        max(one.max_wait_ns, two.max_wait_ns),
        one.hold_ns + two.hold_ns,
        one.hold_samples + two.hold_samples,
        max(one.max_waiters, two.max_waiters),
        one.owner_switches + two.owner_switches,
    )
