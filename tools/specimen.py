"""Made-up runs for the gallery and the tests: shapes that real runs take, and those that hurt.

No number here was measured. The curves follow a saturating law with a collapse beyond the cores,
so that pictures look like pictures of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import nan

import numpy as np

from plots.data import (
    PROGRAM_MEASURES,
    Allocator,
    Cell,
    Estimate,
    Fact,
    Failure,
    Finding,
    Kind,
    LatencyCurve,
    LockRates,
    LockRow,
    MemorySeries,
    Program,
    ProgramCell,
    Run,
    Rung,
    SuiteRow,
    UslFit,
    WorkloadInfo,
)

# label: (kind, operations/s of one thread, sigma, fall beyond the cores, memory over live bytes)
CHARACTERS: Mapping[str, tuple[Kind, float, float, float, float]] = {
    "null": ("null", 160e6, 0.0, 0.0, 1.0),
    "hakmem": ("hakmem", 52e6, 0.02, 0.01, 1.2),
    "hakmem-fixed": ("hakmem", 55e6, 0.02, 0.01, 1.2),
    "hakmem:registry=prealloc-seqlock": ("hakmem", 31e6, 0.05, 0.02, 1.2),
    "hakmem:registry=prealloc-rwlock": ("hakmem", 22e6, 0.5, 0.1, 1.2),
    "hakmem:registry=prealloc-locked": ("hakmem", 20e6, 0.9, 0.2, 1.2),
    "hakmem:registry=locked": ("hakmem", 19e6, 0.95, 0.25, 1.25),
    "system": ("system", 24e6, 0.15, 0.05, 1.4),
    "jemalloc": ("peer", 33e6, 0.06, 0.03, 1.3),
    "tcmalloc": ("peer", 45e6, 0.04, 0.08, 1.15),
    "mimalloc": ("peer", 47e6, 0.03, 0.6, 2.6),
    "tbb": ("peer", 36e6, 0.05, 0.3, 1.9),
}
WORKLOADS = (
    WorkloadInfo("mid_gap", "256 slots, 1 to 8 KiB uniform: occupied, free it; empty, allocate"),
    WorkloadInfo("mid_replace", "256 full slots, 1 to 8 KiB: free a random one, allocate into it"),
    WorkloadInfo("random_mixed", "256 slots, 16 B to 1 KiB: occupied, free it; empty, allocate"),
    WorkloadInfo("mid_exchange", "swap 1 to 8 KiB blocks through shared slots, free what came out"),
    WorkloadInfo("larson", "5 000 blocks per thread, handed to a successor thread"),
)
LADDER = (
    Rung("hakmem:registry=locked", "locked", "the sorted table under a mutex, as shipped"),
    Rung("hakmem:registry=prealloc-locked", "prealloc-locked", "no growth of the table"),
    Rung("hakmem:registry=prealloc-rwlock", "prealloc-rwlock", "readers no longer exclude others"),
    Rung("hakmem:registry=prealloc-seqlock", "prealloc-seqlock", "no lock on free"),
    Rung("hakmem", "flat", "no search either"),
)
NOT_PERMITTED = "not permitted: perf_event_paranoid is 4 (sysctl kernel.perf_event_paranoid=1)"
TEN_COUNTS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)
POWERS = (1, 2, 4, 8, 16, 32, 64)


def run(
    labels: tuple[str, ...] = tuple(CHARACTERS),
    workloads: tuple[WorkloadInfo, ...] = WORKLOADS[:1],
    threads: tuple[int, ...] = POWERS,
    *,
    trials: int = 5,
    cores: int = 2,
    host: str = "specimen",
    speed: float = 1.0,
) -> Run:
    """Return a whole made-up run; speed multiplies every rate, as another machine would."""
    random = np.random.default_rng(7)
    places = iter(random.permutation(len(labels) * len(workloads) * len(threads) * trials))
    cells: list[Cell] = []
    locks: list[LockRow] = []
    for hardness, workload in enumerate(workloads):
        for label in labels:
            for count in threads:
                order = np.array([float(next(places)) for _ in range(trials)])
                cells.append(_cell(random, label, workload, count, cores, order, hardness, speed))
                if CHARACTERS[label][0] == "hakmem":
                    locks += _locks(label, workload.name, count)
    made = Run(
        title="A made-up run",
        command="mtbench sweep -a null,hakmem,system -w mid_gap -t 1-64 -n 5 --seed 7",
        created="2026-01-15T10:15:00Z",
        host=host,
        cores=cores,
        seed=7,
        allocators=tuple(_allocator(label) for label in labels),
        workloads=workloads,
        threads=threads,
        cells=tuple(cells),
        source=f"20260115T101500Z-{host}",
        version="0.0.0",
        machine=f"made-up processor, {cores} cores",
        window_s=0.5,
        warmup_s=0.1,
        trials_planned=trials,
        elapsed_s=321.0,
        baseline="system" if "system" in labels else labels[-1],
        latency_every=256,
        facts=FACTS,
        findings=FINDINGS,
        ladder=tuple(rung for rung in LADDER if rung.label in labels),
        locks=tuple(locks),
    )
    return replace(made, usl=_usl(made))


FACTS = (
    Fact("processor", "made-up processor", severity="ok"),
    Fact("frequency governor", "powersave", "throughput wanders with load",
         "sudo cpupower frequency-set -g performance", "warning"),
    Fact("load average", "3.1 before the run", "other programs took cores during trials",
         "stop them, or use --pin", "warning"),
    Fact("transparent huge pages", "madvise", severity="ok"),
    Fact("turbo", "cannot be read in this container", severity="unknown"),
)  # fmt: skip
FINDINGS = (
    Finding("hakmem is faster than system in mid_gap at 64 threads",
            "2.31 x [2.24, 2.39], 5 paired rounds", "good", "mid_gap"),
    Finding("mimalloc falls when threads outnumber the cores: at 64 threads it keeps 8 % of its "
            "throughput at 2", "0.081 x [0.074, 0.089], n = 5", "bad", "mid_gap"),
    Finding("no difference seen between hakmem and hakmem-fixed at 1 thread",
            "1.01 x [0.98, 1.04], 5 paired rounds", "neutral", "mid_gap"),
)  # fmt: skip


def _allocator(label: str) -> Allocator:
    version = "" if label in ("null", "system") else "1.2.3"
    return Allocator(label, CHARACTERS[label][0], version, f"/usr/lib/lib{label}.so", "0f" * 32)


def _rate(label: str, threads: int, cores: int, hardness: int, speed: float) -> float:
    _, rate, sigma, fall, _ = CHARACTERS[label]
    running = min(threads, cores)
    inside = rate * running / (1 + sigma * (1 + 0.5 * hardness) * (running - 1))
    return speed * inside / (1 + fall * max(0, threads - cores) / 4) / (1 + 0.3 * hardness)


def _around(random: np.random.Generator, value: float, noise: float = 0.02) -> Estimate:
    low, high = sorted(1 + noise * np.abs(random.normal(size=2)) * (-1, 1))
    return Estimate(value, value * low, value * high)


def _cell(
    random: np.random.Generator,
    label: str,
    workload: WorkloadInfo,
    threads: int,
    cores: int,
    order: np.ndarray[tuple[int], np.dtype[np.float64]],
    hardness: int,
    speed: float,
) -> Cell:
    rate = _rate(label, threads, cores, hardness, speed)
    kind, _, sigma, fall, memory = CHARACTERS[label]
    raw = rate * (1 + 0.03 * random.normal(size=order.size))
    rate = float(np.median(raw))
    one = _rate(label, 1, cores, hardness, speed)
    system = _rate("system", threads, cores, hardness, speed)
    waiting = sigma * (1 - 1 / threads) + fall * max(0, threads - cores) / 64
    service = {"malloc": 1e9 / one * 0.6, "free": 1e9 / one * 0.4}
    values = {
        "ratio": rate / system,
        "speedup": rate / one,
        "efficiency": rate / one / threads,
        "fairness": 1 / (1 + 0.02 * threads * (1 + fall)),
        "voluntary_per_mop": 0.2 + 900 * waiting,
        "futex_per_mop": 0.1 + 1500 * waiting,
        "system_share": min(0.9, 0.01 + 0.4 * waiting),
        "faults_per_mop": 3 + 20 * fall,
        "peak_over_live": memory * (1 + 0.1 * fall * threads),
        "drained_over_live": 0.4 * memory,
        "rss_peak": memory * threads * 1.2e6,
        "rss_drained": memory * threads * 0.4e6,
    }
    if threads >= cores:
        values["vs_cores"] = rate / _rate(label, cores, cores, hardness, speed)
    if threads > 1:
        values["karp_flatt"] = (1 / values["speedup"] - 1 / threads) / (1 - 1 / threads)
    if kind == "hakmem":
        values["lock_acq_per_op"] = 0.0004 if sigma < 0.1 else 1.01
        values["lock_contended_per_op"] = values["lock_acq_per_op"] * min(1, 2 * waiting)
        values["lock_wait_share"] = min(0.95, waiting)
    percentiles = np.concatenate([np.linspace(0, 90, 19), 100 - np.geomspace(8, 1e-3, 26)])
    curves = {}
    for call, base in service.items():
        tail = (
            base
            * (1 + 0.02 * threads)
            * (1 + (1 + 9 * waiting) * (100 / (100.02 - percentiles)) ** 0.6 / 9)
        )
        curves[call] = LatencyCurve(percentiles, tail, 20_000 * threads)
        for key, at in (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9)):
            values[f"{call}_{key}_ns"] = float(np.interp(at, percentiles, tail))
    seconds = np.linspace(0, 0.5, 26)
    live = 1.0e6 * threads * np.minimum(1, seconds / 0.08)
    rss = live * memory * (1 + 0.1 * fall * threads * seconds)
    return Cell(
        allocator=label,
        workload=workload.name,
        threads=threads,
        trials=order.size,
        failed=0,
        throughput=_around(random, rate) if order.size > 1 else Estimate(rate),
        metrics={
            key: _around(random, value) if order.size > 1 else Estimate(value)
            for key, value in values.items()
        },
        trial_throughput=raw,
        trial_order=order,
        flagged=np.zeros(order.size, dtype=np.bool_),
        latency={} if kind == "null" else curves,
        memory=MemorySeries(seconds, rss, live),
    )


def _locks(label: str, workload: str, threads: int) -> list[LockRow]:
    sigma = CHARACTERS[label][2]
    waiting = sigma * (1 - 1 / threads)
    central = LockRates(0.0004, 0.01, 0.0002, 2100, 45, 3, 0.0001)
    rows = [LockRow(label, workload, threads, "central", central)]
    if sigma > 0.1:
        rows.append(
            LockRow(label, workload, threads, "registry",
                    LockRates(1.01, min(1, 2 * waiting), min(0.9, waiting), 81_000, 60,
                              threads - 1, 0.4))
        )  # fmt: skip
    return rows


def _usl(made: Run) -> tuple[UslFit, ...]:
    fits = []
    for workload in made.workloads:
        for allocator in made.allocators:
            cells = [c for c in made.curve(allocator.label, workload.name)
                     if c.threads <= made.cores and c.throughput.present]  # fmt: skip
            if len(cells) < 6:
                reason = f"{len(cells)} thread counts up to {made.cores} cores; a fit needs 6"
                fits.append(UslFit(allocator.label, workload.name, reason))
                continue
            counts = np.array([float(cell.threads) for cell in cells])
            seen = np.array([cell.throughput.value for cell in cells])
            sigma = CHARACTERS[allocator.label][2]
            fitted = seen[0] * counts / (1 + sigma * (counts - 1))
            fits.append(
                UslFit(allocator.label, workload.name, "", Estimate(seen[0], seen[0], seen[0]),
                       Estimate(sigma, sigma * 0.9, sigma * 1.1), Estimate(0, 0, 1e-5),
                       threads=counts, observed=seen, fitted=fitted)
            )  # fmt: skip
    return tuple(fits)


def one_cell() -> Run:
    """Return one allocator at one thread count."""
    return run(("hakmem",), threads=(1,))


def full() -> Run:
    """Return twelve allocators at ten thread counts."""
    return run(threads=TEN_COUNTS)


def many_cores() -> Run:
    """Return twelve allocators on 48 cores, where a scalability law can be fitted."""
    return run(threads=TEN_COUNTS, cores=48)


def default_sweep() -> Run:
    """Return 12 allocators x 5 workloads x 7 thread counts, the default grid."""
    return run(workloads=WORKLOADS)


def failing() -> Run:
    """Return a run where one allocator failed everywhere, one from 8 threads, one at 4 only."""
    made = run()
    gone = {("tbb", n) for n in POWERS} | {("mimalloc", n) for n in POWERS if n >= 8}
    gone.add(("jemalloc", 4))
    cells = [
        Cell(c.allocator, c.workload, c.threads, 0, c.trials, Estimate(nan))
        if (c.allocator, c.threads) in gone
        else c
        for c in made.cells
    ]
    failures = tuple(
        Failure(label, "mid_gap", threads, block, "crash", "killed by signal", "SIGSEGV", None,
                "free(): invalid pointer")
        for label, threads in sorted(gone)
        for block in range(5)
    )  # fmt: skip
    return replace(made, cells=tuple(cells), failures=failures, complete=False)


def single_trials() -> Run:
    """Return a run of one trial per cell: values without intervals."""
    return run(trials=1)


def extreme() -> Run:
    """Return values over nine orders of magnitude, intervals wider than their value."""
    made = run()
    power = {label: 10.0 ** (3 - i) for i, label in enumerate(CHARACTERS)}

    def stretched(found: Estimate | None, by: float) -> Estimate | None:
        if found is None:
            return None
        return Estimate(found.value * by, found.low * by * 0.2, found.high * by * 3)

    cells = []
    for cell in made.cells:
        by = power[cell.allocator]
        metrics = {key: stretched(found, by) for key, found in cell.metrics.items()}
        throughput = stretched(cell.throughput, by) or cell.throughput
        cells.append(replace(cell, throughput=throughput, metrics=metrics,
                             trial_throughput=cell.trial_throughput * by))  # fmt: skip
    return replace(made, cells=tuple(cells))


def missing_fields() -> Run:
    """Return a run that could measure throughput and nothing else, and lacks all optional parts."""
    made = run()
    cells = tuple(
        replace(cell, metrics={"futex_per_mop": None}, latency={}, memory=None,
                missing={"futex_per_mop": NOT_PERMITTED})
        for cell in made.cells
    )  # fmt: skip
    return replace(made, cells=cells, facts=(), findings=(), ladder=(), locks=(), usl=(),
                   baseline="", machine="", trials_planned=0, window_s=nan)  # fmt: skip


def two_hosts() -> list[Run]:
    """Return the same grid on two machines of different speed."""
    return [run(host="oak", cores=8), run(host="elm", cores=2, speed=0.6)]


def several_programs() -> Run:
    """Return 30 programs under twelve allocators, one of them failing in one."""
    made = run(threads=(1,))
    labels = [entry.label for entry in made.allocators]
    random = np.random.default_rng(4)
    keys = ("wall_s", "cpu_s", "rss_peak")
    programs = []
    for index in range(30):
        found = []
        for label in labels:
            ratios = {key: _around(random, float(np.exp(random.normal(0, 0.2)))) for key in keys}
            failed = 5 if (index, label) == (3, "tcmalloc") else 0
            cell = ProgramCell(label, 5 - failed, failed, ratios, ratios if not failed else {})
            found.append(cell)
        name = f"program {index + 1} × 8" if index % 7 == 6 else f"program{index + 1}"
        programs.append(
            Program(name, name, 1, f"{name} FILE", PROGRAM_MEASURES[0], cells=tuple(found))
        )
    means = {label: [_around(random, random.uniform(0.93, 1.1)) for _ in keys] for label in labels}
    suite = tuple(
        SuiteRow(label, {"leading": mean[0], **dict(zip(keys, mean, strict=True))}, 29)
        for label, mean in means.items()
    )
    return replace(made, cells=(), programs=tuple(programs), suite=suite)


CONDITIONS: Mapping[str, Callable[[], Run]] = {
    "one cell": one_cell,
    "twelve allocators, ten thread counts": full,
    "48 cores": many_cores,
    "failed cells": failing,
    "single trials": single_trials,
    "extreme values": extreme,
    "missing fields": missing_fields,
    "several programs": several_programs,
}
