"""Sentences made from a run's numbers: what was found, in plain words, each with its evidence.

A sentence says "faster" only where `statistics.paired_ratio` does. The first one heads the report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from mtbench.analysis.cells import CellData, Results
from mtbench.analysis.statistics import Ratio, Verdict, far_out, median, paired_ratio
from mtbench.base.table import bytes_, number, ratio
from mtbench.plan.plan import Plan
from plots.data import Finding

Tone = Literal["good", "bad", "neutral"]
_NEUTRAL: Tone = "neutral"
COLLAPSE = 0.5
"""Keeping less than this share of the throughput at threads = cores is called a collapse."""


def of(plan: Plan, results: Results, base: str, ladder: Sequence[str]) -> list[Finding]:
    """Every finding of a run, the most telling first; never empty."""
    found = [
        *_fastest(plan, results, base),
        *_ladder(plan, results, ladder),
        *_collapses(plan, results),
        *_memory(plan, results),
        *_failures(results),
        *_noise(results),
    ]
    return found or [Finding("Nothing was measured: every trial is missing or failed.", tone="bad")]


def compared(top: CellData | None, bottom: CellData | None, comparisons: int = 1) -> Ratio | None:
    """Throughput of one cell over another's; None if either has no trial.

    comparisons: among how many the pair was chosen because it was the best.
    """
    if top is None or bottom is None:
        return None
    result = paired_ratio(top.throughput, bottom.throughput, comparisons=comparisons)
    return result if math.isfinite(result.estimate.value) else None


def _evidence(result: Ratio) -> str:
    return f"{ratio(result.estimate)} x, n = {result.trials}"


def _rivals(plan: Plan, results: Results, workload: str, threads: int) -> list[CellData]:
    """Cells of one workload and thread count without null and variants, fastest first."""
    cells = [
        data
        for label in plan.allocators
        if label != "null"
        and not (":" in label and label.partition(":")[0] in plan.allocators)
        and (data := results.get(label, workload, threads)) is not None
        and np.isfinite(data.throughput).any()
    ]
    return sorted(cells, key=lambda data: -median(data.throughput))


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _fastest(plan: Plan, results: Results, base: str) -> Iterator[Finding]:
    """Who is fastest at the most threads of each workload, against the baseline."""
    most = plan.threads[-1]
    order = sorted(plan.workloads, key=lambda name: (name != "mid_exchange", name != "mid_gap"))
    for workload in order:
        rivals = _rivals(plan, results, workload, most)
        if not rivals:
            continue
        best = rivals[0]
        place = f"{_threads(most)} on {plan.cores} core{'s' if plan.cores > 1 else ''}"
        speed = f"{number(best.estimate().value)} operations/s"
        result = compared(best, results.get(base, workload, most), len(rivals))
        if best.cell.allocator == base or result is None:
            rest = [data for data in rivals if data is not best]
            second = compared(best, rest[0], len(rivals)) if rest else None
            if second is None:
                yield Finding(
                    f"{workload}, {place}: {best.cell.allocator} runs {speed}.", workload=workload
                )
            elif second.verdict is Verdict.FASTER:
                text = (
                    f"{workload}, {place}: {best.cell.allocator} is fastest, "
                    f"{second.estimate.value:.2f} x {rest[0].cell.allocator} ({speed})."
                )
                yield Finding(text, _evidence(second), "neutral", workload)
            else:
                text = (
                    f"{workload}, {place}: {best.cell.allocator} and {rest[0].cell.allocator} "
                    f"are in front, {_undecided(second)} ({speed})."
                )
                yield Finding(text, _evidence(second), "neutral", workload)
        elif result.verdict is Verdict.FASTER:
            text = (
                f"{workload}, {place}: {best.cell.allocator} is fastest, "
                f"{result.estimate.value:.2f} x {base} ({speed})."
            )
            yield Finding(text, _evidence(result), "good", workload)
        else:
            text = (
                f"{workload}, {place}: {best.cell.allocator} has the highest median ({speed}); "
                f"against {base}: {_undecided(result)}."
            )
            yield Finding(text, _evidence(result), "neutral", workload)


def _undecided(result: Ratio) -> str:
    """What to say where no difference may be claimed: unseen, or seen but not to be trusted."""
    if result.verdict is Verdict.FEW:
        return "too few trials to tell a difference"
    low, high = result.estimate.low, result.estimate.high
    return "no difference seen" if not (low > 1 or high < 1) else "too uncertain to call"


def _ladder(plan: Plan, results: Results, ladder: Sequence[str]) -> Iterator[Finding]:
    """What each step of the registry ladder brings, at one thread and at the most."""
    for workload in plan.workloads:
        for threads in dict.fromkeys((plan.threads[0], plan.threads[-1])):
            steps, evidence, tone = [], [], _NEUTRAL
            for lower, upper in pairwise(ladder):
                result = compared(
                    results.get(upper, workload, threads), results.get(lower, workload, threads)
                )
                if result is None:
                    continue
                step = f"{_short(lower)} to {_short(upper)}"
                evidence.append(f"{step} {_evidence(result)}")
                if result.verdict in (Verdict.FASTER, Verdict.SLOWER):
                    steps.append(f"{step} {result.estimate.value:.2f} x")
                    tone = "good" if result.verdict is Verdict.FASTER else tone
                else:
                    steps.append(f"{step} {_undecided(result)}")
            if steps:
                text = f"Registry ladder, {workload}, {_threads(threads)}: {'; '.join(steps)}."
                yield Finding(text, "; ".join(evidence), tone, workload)


def _short(label: str) -> str:
    """A rung's name without the allocator's: `hakmem:registry=locked` is `registry=locked`."""
    return label.partition(":")[2] or label


def _collapses(plan: Plan, results: Results) -> Iterator[Finding]:
    """Who loses more than half of the throughput when threads outnumber the cores."""
    within = [count for count in plan.threads if count <= plan.cores]
    most = plan.threads[-1]
    if not within or most <= plan.cores:
        return
    for workload in plan.workloads:
        fallen = []
        for label in plan.allocators:
            result = compared(
                results.get(label, workload, most), results.get(label, workload, within[-1])
            )
            if label == "null" or result is None or result.verdict is not Verdict.SLOWER:
                continue
            if result.estimate.value < COLLAPSE:
                fallen.append((result.estimate.value, label, result))
        if fallen:
            fallen.sort()
            shares = ", ".join(f"{label} {value * 100:.0f} %" for value, label, _ in fallen)
            text = (
                f"{workload}: kept of the {within[-1]}-thread throughput at {most} threads: "
                f"{shares}."
            )
            yield Finding(text, f"worst {_evidence(fallen[0][2])}", "bad", workload)


def _memory(plan: Plan, results: Results) -> Iterator[Finding]:
    """Leanest and most wasteful at the most threads."""
    most = plan.threads[-1]
    for workload in plan.workloads:
        used = [
            (median(data.metric("rss_used")), data.cell.allocator)
            for data in _rivals(plan, results, workload, most)
        ]
        used = sorted(entry for entry in used if math.isfinite(entry[0]) and entry[0] > 0)
        if len(used) > 1 and used[-1][0] > 2 * used[0][0]:
            text = (
                f"{workload}, {_threads(most)}: {used[-1][1]} needs {bytes_(used[-1][0])} at its "
                f"peak, {used[0][1]} {bytes_(used[0][0])}."
            )
            yield Finding(text, f"{used[-1][0] / used[0][0]:.1f} x", "neutral", workload)


def _failures(results: Results) -> Iterator[Finding]:
    by_label: dict[str, list[str]] = {}
    for record in results.failures:
        by_label.setdefault(record.allocator, []).append(record.status)
    for label, kinds in sorted(by_label.items()):
        counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
        plural = "" if len(kinds) == 1 else "s"
        yield Finding(f"{label} failed in {len(kinds)} trial{plural}.", counted, "bad")


def _noise(results: Results) -> Iterator[Finding]:
    disturbed = sum(int((data.metric("others") >= 1).sum()) for data in results.cells.values())
    if disturbed > 0.1 * results.trials:
        text = (
            f"Other work wanted the processors in {disturbed} of {results.trials} trials: "
            "throughputs are low and intervals wide."
        )
        yield Finding(text, "more runnable threads than the trial had", "bad")
    flagged = sum(int(far_out(data.throughput).sum()) for data in results.cells.values())
    if results.trials and flagged > 0.02 * results.trials:
        text = (
            f"{flagged} of {results.trials} trials lie far out of their cell: this machine was "
            "not quiet."
        )
        yield Finding(text, "modified z above 3.5", "bad")
