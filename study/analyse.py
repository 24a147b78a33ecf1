"""From a question's trials to ratios with intervals and verdicts. Nothing here makes sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtbench.analysis.cells import CellData
from mtbench.analysis.statistics import (
    NOISE_THRESHOLD,
    RESAMPLES,
    Verdict,
    bootstrap_median,
    geometric_mean_interval,
    paired_ratio,
    student_interval,
    student_quantile,
)
from plots.data import MISSING, Estimate
from study.plan import rung
from study.store import Part

Floats = NDArray[np.float64]
FASTER, SLOWER, NONE, FEW = Verdict

STEPS = {
    "growth": ("prealloc-locked", "locked"),
    "exclusion": ("prealloc-seqlock", "prealloc-locked"),
    "search": ("flat", "prealloc-seqlock"),
}
"""Step -> (rung, the rung below): their ratios multiply to the whole ladder's."""

HALVES = {
    "sharing": ("prealloc-rwlock", "prealloc-locked"),
    "no lock": ("prealloc-seqlock", "prealloc-rwlock"),
}
"""The two halves of the exclusion step."""

WHOLE = ("flat", "locked")
STEP_FOUR = ("prealloc-seqlock", "locked")
"""Step 4 as the predecessor meant it: room from the start, and no lock on free."""

LEAST_GAIN = 1.1
"""Of a gain below this nobody can say which part of it is whose."""


@dataclass(frozen=True)
class Ratio:
    """A throughput ratio, of one cell or pooled over `cells` of them. trials: pairs in each."""

    estimate: Estimate
    verdict: Verdict
    cells: int = 1
    by_block: tuple[float, ...] = ()


UNMEASURED = Ratio(MISSING, FEW, 0)


@dataclass(frozen=True)
class Difference:
    """A difference of times, ns, paired by round. sign: 1 or -1 if the bootstrap interval and
    Student's both lie on that side of 0, else 0. trials: pairs; below 3 nothing is said."""

    estimate: Estimate
    sign: int
    trials: int


def difference(values: Floats) -> Difference:
    """Of one number per round, nan where a trial failed."""
    estimate, (low, high) = bootstrap_median(values), student_interval(values)
    trials = int(np.isfinite(values).sum())
    above = estimate.low > 0 and low > 0
    below = estimate.high < 0 and high < 0
    return Difference(estimate, (above - below) if trials > 2 else 0, trials)


NO_DIFFERENCE = Difference(MISSING, 0, 0)
"""Of what was not measured."""


def within(part: Part) -> list[int]:
    """The thread counts at which every thread can have a core."""
    return [count for count in part.plan.threads if count <= part.plan.cores]


def beyond(part: Part) -> list[int]:
    """The thread counts at which cores are shared: oversubscription."""
    return [count for count in part.plan.threads if count > part.plan.cores]


def throughput(part: Part, allocator: str, workload: str, threads: int) -> Floats | None:
    """Units per second by round, nan where a trial failed; None if the run has no such cell."""
    data = part.results.get(allocator, workload, threads)
    return None if data is None else data.throughput


def compare(of: Floats | None, over: Floats | None) -> Ratio:
    """One array of trials over another, paired by round; UNMEASURED if either is missing."""
    if of is None or over is None:
        return UNMEASURED
    found = paired_ratio(of, over)
    if not math.isfinite(found.estimate.value):
        return UNMEASURED
    # As `paired_ratio` has it: a trial without an operation has no ratio.
    usable = np.isfinite(of) & np.isfinite(over) & (of > 0) & (over > 0)
    return Ratio(found.estimate, found.verdict, 1, tuple((of[usable] / over[usable]).tolist()))


def against(part: Part, of: str, over: str, workload: str, threads: int) -> Ratio:
    """`of` over `over` in one cell."""
    return compare(
        throughput(part, of, workload, threads), throughput(part, over, workload, threads)
    )


def pooled(ratios: Iterable[Ratio]) -> Ratio:
    """Geometric mean over cells, each cell's trials resampled on their own.

    A difference is said only if that interval and `log_mean_interval` both exclude 1 and the
    effect exceeds the noise threshold, as for a single cell in `paired_ratio`.
    """
    positive = ([value for value in entry.by_block if value > 0] for entry in ratios)
    used = [values for values in positive if values]
    if not used:
        return UNMEASURED
    estimate = geometric_mean_interval(used)
    return Ratio(estimate, _judged(estimate, log_mean_interval(used)), len(used))


def log_mean_interval(cells: Sequence[Sequence[float]]) -> tuple[float, float]:
    """95 % interval of the mean over cells of each cell's mean log ratio (Student; Welch 1947).

    Cells vary on their own: the variances of their means add up, with Welch and Satterthwaite's
    degrees of freedom. For one cell this is Student's interval. Unbounded if a cell has one trial.
    """
    logs = [np.log(cell) for cell in cells]
    if any(cell.size < 2 for cell in logs):
        return -math.inf, math.inf
    parts = np.array([cell.var(ddof=1) / cell.size for cell in logs]) / len(logs) ** 2
    mean = float(np.mean([cell.mean() for cell in logs]))
    if parts.sum() == 0:
        return mean, mean
    freedom = parts.sum() ** 2 / sum(
        part**2 / (cell.size - 1) for part, cell in zip(parts, logs, strict=True)
    )
    half = student_quantile(0.975, max(1, int(freedom))) * math.sqrt(parts.sum())
    return mean - half, mean + half


def _judged(estimate: Estimate, logs: tuple[float, float]) -> Verdict:
    value, low, high = estimate
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(logs[0])):
        return FEW
    if low > 1 and logs[0] > 0 and value > 1 + NOISE_THRESHOLD:
        return FASTER
    if high < 1 and logs[1] < 0 and value < 1 - NOISE_THRESHOLD:
        return SLOWER
    return NONE


def step(part: Part, pair: tuple[str, str], workload: str, threads: int) -> Ratio:
    """A rung over another, by names of STEPS."""
    return against(part, rung(pair[0]), rung(pair[1]), workload, threads)


def steps(
    part: Part, pair: tuple[str, str], workloads: Sequence[str], threads: Sequence[int]
) -> Ratio:
    """A rung over another, pooled over cells."""
    return pooled(step(part, pair, name, count) for name in workloads for count in threads)


def shares(
    part: Part, workloads: Sequence[str], threads: Sequence[int], *, seed: int = 0
) -> dict[str, Estimate] | None:
    """Each step's share of the log of the whole ladder's gain, pooled over cells; they add to 1.

    None where the gain is not surely above LEAST_GAIN. Interval: rounds resampled together.
    """
    rows = []
    for pair in STEPS.values():
        cells = []
        for name in workloads:
            for count in threads:
                upper = throughput(part, rung(pair[0]), name, count)
                lower = throughput(part, rung(pair[1]), name, count)
                if upper is not None and lower is not None:
                    with np.errstate(divide="ignore", invalid="ignore"):
                        cells.append(np.log(upper / lower))
        if not cells:
            return None
        rows.append(cells)
    if len({len(cells) for cells in rows}) != 1:
        return None
    logs: Floats = np.array(rows)
    # A cell's round in which one rung failed says nothing about the others' shares either.
    logs[:, ~np.isfinite(logs).all(axis=0)] = math.nan
    counts = np.isfinite(logs).sum(axis=1)
    blocks = np.flatnonzero(counts.min(axis=0) > 0)
    if blocks.size < 3:
        return None
    sums = np.nansum(logs, axis=1)[:, blocks]
    drawn = np.random.default_rng([seed, blocks.size]).integers(
        0, blocks.size, (RESAMPLES, blocks.size)
    )
    whole = sums.sum(axis=0)
    cells_used = counts[0, blocks].sum()
    gain_low = np.quantile(whole[drawn].sum(axis=1), 0.025) / cells_used
    if gain_low < math.log(LEAST_GAIN):
        return None
    result = {}
    for name, row in zip(STEPS, sums, strict=True):
        low, high = np.quantile(row[drawn].sum(axis=1) / whole[drawn].sum(axis=1), [0.025, 0.975])
        result[name] = Estimate(float(row.sum() / whole.sum()), float(low), float(high))
    return result


def nanoseconds(values: Floats | None, threads: int = 1) -> Floats | None:
    """Thread time per operation, ns, of throughputs."""
    if values is None:
        return None
    return threads * 1e9 / np.where(values > 0, values, math.nan)


def extra(of: Floats | None, over: Floats | None, threads: int = 1) -> Floats | None:
    """How much longer an operation of `of` takes in each round, ns of thread time."""
    one, two = nanoseconds(of, threads), nanoseconds(over, threads)
    return None if one is None or two is None else one - two


def apart(one: Floats | None, two: Floats | None = None) -> Difference:
    """`one` itself, or less `two` round by round."""
    if one is None:
        return NO_DIFFERENCE
    return difference(one if two is None else one - two)


def kept_speed(part: Part, allocator: str, workload: str, threads: int) -> Ratio:
    """X(threads) over X(cores)."""
    return compare(
        throughput(part, allocator, workload, threads),
        throughput(part, allocator, workload, part.plan.cores),
    )


def cell(part: Part, allocator: str, workload: str, threads: int) -> CellData | None:
    """The cell if it has any number."""
    data = part.results.get(allocator, workload, threads)
    return data if data is not None and np.isfinite(data.throughput).any() else None
