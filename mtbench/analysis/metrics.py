"""What a cell may hold beside its throughput: each metric declared once, with how a trial has it.

A new one is a row here and, if nothing counts it yet, a field of `result.Result`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mtbench.runs.result import Counted, Cpu, Fairness, Memory, Missing, Perf, Result
from plots import data

Read = Callable[[Result], float]


class NoNumberError(Exception):
    """A trial has no such number; the message says why."""


@dataclass(frozen=True)
class Metric(data.Metric):
    """One metric, as plots shows it. read: of a trial, raising NoNumberError; None where it is the
    cell's: a percentile of its histogram, its locks' sums, or what compares it with another cell.
    """

    read: Read | None = None


def need(value: Counted) -> float:
    """The number. Raises NoNumberError: a missing count is never zero."""
    if value is None or isinstance(value, Missing):
        raise NoNumberError(value.missing if value else "not recorded")
    return float(value)


def millions(result: Result) -> float:
    """Millions of operations; nan for none."""
    return result.operations / 1e6 or math.nan


def cpu(result: Result) -> Cpu:
    """Its counts, each missing where there are none."""
    return result.cpu or Cpu()


def perf(result: Result) -> Perf:
    """Likewise."""
    return result.perf or Perf()


def memory(result: Result) -> Memory:
    """Likewise."""
    return result.memory or Memory()


def _live(result: Result) -> float:
    return need(memory(result).live_bytes_peak) or math.nan


def _above_start(result: Result, resident: Counted) -> float:
    return need(resident) - need(memory(result).rss_before)


def _system_share(result: Result) -> float:
    spent = _spent_s(result)
    return max(need(cpu(result).system_s), 0.0) / spent if spent > 0 else math.nan


def _spent_s(result: Result) -> float:
    # Linux splits a thread's time by sampling and may take a little back between readings.
    return need(cpu(result).user_s) + max(need(cpu(result).system_s), 0.0)


# A table reads better in columns than one argument a line.
# fmt: off
METRICS: tuple[Metric, ...] = (
    Metric("ratio", "ratio to baseline", "x", "higher",
           "throughput over the baseline's: median of paired ratios, one pair per round"),
    Metric("speedup", "speedup", "x", "higher",
           "X(N) / X(1)"),
    Metric("efficiency", "efficiency", "", "higher",
           "speedup / N, 1 is ideal"),
    Metric("karp_flatt", "serial fraction", "", "lower",
           "(1/S - 1/N) / (1 - 1/N), N > 1"),
    Metric("vs_cores", "relative to threads = cores", "x", "higher",
           "X(N) / X(cores), N >= cores"),
    Metric("fairness", "Jain's fairness", "", "higher",
           "(sum x)^2 / (N sum x^2) over threads' operations; 1 is even, 1/N is one thread only",
           lambda r: need((r.fairness or Fairness()).jain)),
    Metric("progressed", "threads that progressed", "threads", "higher",
           "threads that completed at least one operation in the window",
           lambda r: need(r.progressed)),
    Metric("malloc_p50_ns", "malloc p50", "ns", "lower",
           "service time of malloc, median"),
    Metric("malloc_p90_ns", "malloc p90", "ns", "lower",
           "service time of malloc, 90 %"),
    Metric("malloc_p99_ns", "malloc p99", "ns", "lower",
           "service time of malloc, 99 %"),
    Metric("malloc_p999_ns", "malloc p99.9", "ns", "lower",
           "service time of malloc, 99.9 %"),
    Metric("free_p50_ns", "free p50", "ns", "lower",
           "service time of free, median"),
    Metric("free_p90_ns", "free p90", "ns", "lower",
           "service time of free, 90 %"),
    Metric("free_p99_ns", "free p99", "ns", "lower",
           "service time of free, 99 %"),
    Metric("free_p999_ns", "free p99.9", "ns", "lower",
           "service time of free, 99.9 %"),
    Metric("voluntary_per_mop", "voluntary switches", "per million operations", "lower",
           "voluntary context switches: a thread gave up the core to wait",
           lambda r: need(cpu(r).voluntary) / millions(r)),
    Metric("involuntary_per_mop", "involuntary switches", "per million operations", "lower",
           "involuntary context switches: the scheduler took the core away",
           lambda r: need(cpu(r).involuntary) / millions(r)),
    Metric("futex_per_mop", "futex calls", "per million operations", "lower",
           "futex system calls",
           lambda r: need(r.futex_calls) / millions(r)),
    Metric("system_share", "system time", "share of CPU time", "lower",
           "system / (user + system) CPU seconds of the window, 0..1",
           _system_share),
    Metric("faults_per_mop", "page faults", "per million operations", "lower",
           "minor and major page faults",
           lambda r: (need(cpu(r).minor_faults) + need(cpu(r).major_faults)) / millions(r)),
    Metric("migrations_per_mop", "CPU migrations", "per million operations", "lower",
           "moves of a thread to another CPU",
           lambda r: need(cpu(r).migrations) / millions(r)),
    Metric("run_delay_ns_per_op", "run-queue delay", "ns per operation", "lower",
           "time that threads were ready to run and waited for a processor, over operations",
           lambda r: need(cpu(r).run_delay_ns) / millions(r) / 1e6),
    Metric("peak_over_live", "peak memory over live bytes", "x", "lower",
           "(peak resident - resident before) / peak bytes requested and alive",
           lambda r: _above_start(r, memory(r).rss_peak) / _live(r)),
    Metric("rss_peak", "peak resident memory", "bytes", "lower",
           "peak resident set in the window",
           lambda r: need(memory(r).rss_peak)),
    Metric("rss_drained", "resident after drain", "bytes", "lower",
           "resident set after every block was freed",
           lambda r: need(memory(r).rss_drained)),
    Metric("drained_over_live", "after drain over live bytes", "x", "lower",
           "(resident after drain - resident before) / peak bytes requested and alive",
           lambda r: _above_start(r, memory(r).rss_drained) / _live(r)),
    Metric("lock_acq_per_op", "lock acquisitions", "per operation", "lower",
           "acquisitions of the allocator's own locks, all of them"),
    Metric("lock_contended_per_op", "contended acquisitions", "per operation", "lower",
           "acquisitions that spun or waited"),
    Metric("lock_wait_share", "lock wait", "share of thread time", "lower",
           "wait time in locks / (threads x window), 0..1"),
    Metric("net_ns_per_op", "net cost of an operation", "ns", "lower",
           "thread time per operation minus the null allocator's in the same cell"),
    Metric("cycles_per_op", "cycles", "per operation", "lower",
           "CPU cycles",
           lambda r: need(perf(r).cycles) / millions(r) / 1e6),
    Metric("instructions_per_op", "instructions", "per operation", "lower",
           "retired instructions",
           lambda r: need(perf(r).instructions) / millions(r) / 1e6),
    Metric("cache_misses_per_op", "cache misses", "per operation", "lower",
           "last-level misses",
           lambda r: need(perf(r).cache_misses) / millions(r) / 1e6),
)
# fmt: on

INNER: dict[str, Read] = {
    "cpu_ns_per_op": lambda r: _spent_s(r) * 1e3 / millions(r),
    "rss_used": lambda r: _above_start(r, memory(r).rss_peak),
    "live_peak": _live,
}
"""What others are made of, or findings speak of; in no table."""

READ: dict[str, Read] = {m.key: m.read for m in METRICS if m.read} | INNER
"""Every metric that a trial has by itself."""
