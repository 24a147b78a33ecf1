"""A run's numbers turned into what `plots` draws: the only place that fills in `plots.data`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mtbench.analysis import findings, histograms, programs, scaling, suite
from mtbench.analysis.cells import CALLS, PERCENTILES, CellData, Results
from mtbench.analysis.metrics import METRICS
from mtbench.analysis.statistics import (
    NOISE_THRESHOLD,
    Verdict,
    bootstrap_median,
    far_out,
    median,
    paired_ratio,
)
from mtbench.base.table import printable
from mtbench.mallocs.allocators import Allocator
from mtbench.mallocs.ladder import LADDER
from mtbench.plan.plan import Plan
from mtbench.runs.directory import RunDirectory
from mtbench.runs.manifest import Manifest
from mtbench.runs.record import SCHEMA, Identity, Record
from plots import data as plots_data
from plots.data import Estimate

_CURVE = np.array(
    [*range(0, 90, 5), *range(90, 99), 99, 99.3, 99.5, 99.7, 99.9, 99.95, 99.99, 99.999, 100],
    dtype=np.float64,
)
_COUNTED = ("lock_acq_per_op", "lock_contended_per_op", "lock_wait_share")
_OWN = tuple(metric.key for metric in METRICS if metric.read or metric.key in _COUNTED)
"""Metrics that a trial has by itself; the others compare it with another cell."""


def baseline(plan: Plan) -> str:
    """The allocator that ratios are against: the system's, else the first that is not null."""
    if "system" in plan.allocators:
        return "system"
    return next((label for label in plan.allocators if label != "null"), plan.allocators[0])


def main_workload(plan: Plan) -> str:
    """The workload shown first: where threads meet most, if the run has it."""
    for name in ("mid_exchange", "mid_gap"):
        if name in plan.workloads:
            return name
    return plan.workloads[0]


def presented(run: RunDirectory, plan: Plan, results: Results, title: str = "") -> plots_data.Run:
    """The whole run as `plots.data.Run`."""
    manifest = run.manifest.shown()
    base = baseline(plan)
    rungs = ladder(plan)
    measured = programs.gather(run.records(), plan) if manifest.programs else {}
    ran = programs.presented(run, plan, base, measured)
    rows = suite.rows(measured, plan, ran, base) if ran else ()
    told = (
        [
            *suite.findings(rows, ran, base),
            *programs.findings(run, ran, results, base),
            *suite.absent(run.manifest.left_out),
        ]
        if ran
        else findings.of(plan, results, base, [rung.label for rung in rungs])
    )
    return plots_data.Run(
        title=printable(title) or manifest.title or _title(plan, manifest),
        command=manifest.command,
        created=manifest.created,
        host=manifest.host,
        cores=plan.cores,
        seed=plan.seed,
        allocators=tuple(_allocator(entry, results) for entry in manifest.allocators),
        workloads=manifest.workloads,
        threads=plan.threads,
        cells=tuple(_cell(data, results, plan, base) for data in results.cells.values()),
        source=printable(run.path.name),
        version=manifest.packages.get("mtbench", ""),
        schema=SCHEMA,
        machine=manifest.machine,
        window_s=plan.duration,
        warmup_s=plan.warmup,
        trials_planned=plan.trials,
        elapsed_s=sum(entry.seconds for entry in manifest.sessions) or math.nan,
        baseline=base,
        main_workload=main_workload(plan),
        noise_threshold=NOISE_THRESHOLD,
        latency_every=plan.latency_every,
        complete=results.trials >= len(plan.cells) * plan.trials,
        failures=tuple(_failure(record) for record in results.failures),
        facts=(*manifest.facts, *_beside(manifest)),
        findings=tuple(told),
        ladder=rungs,
        locks=tuple(row for data in results.cells.values() for row in lock_rows(data)),
        usl=tuple(
            _law(allocator, workload, plan, results)
            for workload in plan.workloads
            for allocator in plan.allocators
        ),
        programs=ran,
        suite=rows,
    )


def _beside(manifest: Manifest) -> Iterator[plots_data.Fact]:
    for name, digest in manifest.beside.items():
        yield plots_data.Fact("preloaded with each malloc", f"lib{name}.so ({digest[:12]})")


def ladder(plan: Plan) -> tuple[plots_data.Rung, ...]:
    """The rungs of the registry ladder that the run has, lowest first; none if only one."""
    found: list[plots_data.Rung] = []
    for step in LADDER:
        label = next((label for label in plan.allocators if step.is_of(label)), None)
        if label is not None and all(rung.label != label for rung in found):
            found.append(plots_data.Rung(label, step.name, step.isolates))
    return tuple(found) if len(found) > 1 else ()


def _title(plan: Plan, manifest: Manifest) -> str:
    if manifest.programs:
        what = plan.workloads[0] if len(plan.workloads) == 1 else f"{len(plan.workloads)} programs"
        return f"{what} under {len(plan.allocators)} allocators"
    counts = (
        f"{plan.threads[0]} to {plan.threads[-1]}" if len(plan.threads) > 1 else plan.threads[0]
    )
    return f"{len(plan.allocators)} allocators, {counts} threads, {plan.cores} cores"


def _allocator(entry: Allocator, results: Results) -> plots_data.Allocator:
    proof = next(
        (
            data.identity
            for cell, data in results.cells.items()
            if cell.allocator == entry.label and data.identity
        ),
        Identity(),
    )
    return plots_data.Allocator(
        label=entry.label,
        kind=entry.kind,  # type: ignore[arg-type]
        version=entry.version,
        path=proof.path or entry.path or "",
        sha256=entry.sha256,
        config=proof.config or {},
    )


def _cell(data: CellData, results: Results, plan: Plan, base: str) -> plots_data.Cell:
    good = np.isfinite(data.throughput)
    rates = data.throughput[good]
    metrics = {name: data.estimate(name) for name in _OWN}
    merged = _merged_percentiles(data)
    for call in CALLS:
        for name in PERCENTILES:
            key = f"{call}_{name}_ns"
            # A value outside the interval of the trials' own widens it.
            value, (_, low, high) = merged.get(key, math.nan), data.estimate(key)
            metrics[key] = Estimate(value, min(low, value), max(high, value))
    metrics |= compared(data, results, plan, base)
    return plots_data.Cell(
        allocator=data.cell.allocator,
        workload=data.cell.workload,
        threads=data.cell.threads,
        trials=int(good.sum()),
        failed=data.failed,
        throughput=data.estimate(),
        metrics={name: value for name, value in metrics.items() if value.present},
        missing=data.missing,
        trial_throughput=rates,
        trial_order=data.orders[good],
        flagged=far_out(rates),
        latency=_curves(data),
        memory=None
        if data.series is None
        else plots_data.MemorySeries(data.series[:, 0], data.series[:, 1], data.series[:, 2]),
        doubtful=_doubtful(data, results, base),
    )


def _doubtful(data: CellData, results: Results, base: str) -> bool:
    rival = results.get(base, data.cell.workload, data.cell.threads)
    if rival is None or base == data.cell.allocator:
        return False
    return paired_ratio(data.throughput, rival.throughput).verdict not in (
        Verdict.FASTER,
        Verdict.SLOWER,
    )


def compared(data: CellData, results: Results, plan: Plan, base: str) -> dict[str, Estimate]:
    """Metrics against other cells of the run: ratio, speedup, efficiency, net cost..."""
    allocator, workload, threads = data.cell
    found: dict[str, Estimate] = {}
    rival = results.get(base, workload, threads)
    if rival is not None and base != allocator:
        found["ratio"] = paired_ratio(data.throughput, rival.throughput).estimate
    single = results.get(allocator, workload, 1)
    if single is not None:
        gain = paired_ratio(data.throughput, single.throughput).estimate
        found["speedup"] = gain
        found["efficiency"] = Estimate(*(value / threads for value in gain))
        if threads > 1:
            bounds = [scaling.karp_flatt(value, threads) for value in gain]
            found["karp_flatt"] = Estimate(bounds[0], bounds[2], bounds[1])
    within = [count for count in plan.threads if count <= plan.cores]
    if within and threads >= within[-1]:
        full = results.get(allocator, workload, within[-1])
        if full is not None:
            found["vs_cores"] = paired_ratio(data.throughput, full.throughput).estimate
    floor = results.get("null", workload, threads)
    if floor is not None and allocator != "null":
        net = data.metric("cpu_ns_per_op") - floor.metric("cpu_ns_per_op")
        found["net_ns_per_op"] = bootstrap_median(net)
    return found


def _merged_percentiles(data: CellData) -> dict[str, float]:
    """Percentiles of all trials' calls together; the trials' own only give the interval."""
    return {
        f"{call}_{name}_ns": float(value)
        for call, counts in data.latency.items()
        for name, value in zip(
            PERCENTILES,
            histograms.percentiles_of(counts, tuple(PERCENTILES.values())),
            strict=True,
        )
    }


def _curves(data: CellData) -> dict[str, plots_data.LatencyCurve]:
    return {
        call: plots_data.LatencyCurve(
            _CURVE,
            histograms.percentiles_of(counts, tuple(_CURVE / 100)),
            int(counts.sum()),
        )
        for call, counts in data.latency.items()
    }


def lock_rows(data: CellData, *, most: int = 12) -> list[plots_data.LockRow]:
    """The cell's locks, hottest first: by wait, then by acquisitions; at most `most`."""
    rows = []
    for name, rates in data.locks.items():
        medians = plots_data.LockRates(*np.median(np.array(rates), axis=0).tolist())
        rows.append(plots_data.LockRow(*data.cell, name, medians))
    rows.sort(key=lambda row: (-row.rates.wait_share, -row.rates.acquisitions_per_op))
    return rows[:most]


def _failure(record: Record) -> plots_data.Failure:
    return plots_data.Failure(
        allocator=record.allocator,
        workload=record.workload,
        threads=record.threads,
        block=record.block,
        status=record.status.value,
        reason=record.reason or "",
        signal=record.signal or "",
        exit_code=record.exit_code,
        stderr_tail=record.stderr_tail,
    )


def _law(allocator: str, workload: str, plan: Plan, results: Results) -> plots_data.UslFit:
    trials = {
        count: list(data.throughput[np.isfinite(data.throughput)])
        for count in plan.threads
        if (data := results.get(allocator, workload, count)) is not None
    }
    law = scaling.fit(trials, plan.cores)
    if law.reason:
        return plots_data.UslFit(allocator, workload, law.reason)
    counts = np.array(law.threads, dtype=np.float64)
    return plots_data.UslFit(
        allocator,
        workload,
        rate=law.scale,
        sigma=law.sigma,
        kappa=law.kappa,
        peak=law.peak,
        extrapolated=law.extrapolated,
        superlinear=bool(law.superlinear),
        threads=counts,
        observed=np.array([median(trials[count]) for count in law.threads]),
        fitted=law.predict(counts),
    )
