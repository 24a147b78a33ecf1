"""Service time of malloc and free: percentiles over threads, and whole curves into the tail."""

from __future__ import annotations

from math import isfinite

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from plots import style
from plots.data import LatencyCurve, Run
from plots.numbers import digits, nanoseconds
from plots.numbers import threads as thread_count
from plots.paper import curves
from plots.paper.labels import End, beside
from plots.paper.sheet import SMALL, WIDTH, Drawing, Panel, Tips, caption, sheet

KEYS = (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))
TICKS = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)


def percentiles(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw p50, p99 and p99.9 of malloc and of free over threads."""
    panels, lines = [], []
    for call in ("malloc", "free"):
        for key, text in KEYS:
            panels.append(Panel(f"{call} {text}", "service time"))
            lines.append(curves.series(run, workload, curves.metric(f"{call}_{key}_ns")))
    paper = sheet(
        panels,
        f"{workload}: service time over threads",
        "Half of the calls take at most p50; one in a thousand takes longer than p99.9.",
        caption(run, workload, marks=_sampled(run), latency=_samples(run, workload)),
        width=width,
        height=2.1,
        labels=curves.names([line for group in lines for line in group]),
    )
    for index, group in enumerate(lines):
        curves.draw(paper, index, group, run, scale="log", show=nanoseconds)
    paper.figure.description = curves.summary(
        lines[1], f"99th percentile of malloc's service time in {workload}", "", nanoseconds
    )
    return paper.figure


def latency_curves(
    run: Run, workload: str, threads: tuple[int, ...], *, width: float = WIDTH
) -> Drawing:
    """Draw service time against a log-percentile axis, a row for each of `threads`."""
    looks = style.looks(a.label for a in run.allocators)
    panels = [
        Panel(call, f"service time, {thread_count(n, run.cores)}")
        for n in threads
        for call in ("malloc", "free")
    ]
    shown = [style.short(a.label) for a in run.allocators if a.kind != "null"]
    paper = sheet(
        panels,
        f"{workload}: the tail of service times",
        "Read at 99.9: one call in a thousand takes longer than this.",
        caption(
            run,
            workload,
            marks=f"{_sampled(run)} A curve ends where no call lies beyond.",
            latency=_samples(run, workload),
        ),
        width=width,
        height=2.7,
        labels=shown,
        least=2.8,
        xlabel="percentile of calls",
    )
    worst: list[str] = []
    for index, (n, call) in enumerate((n, call) for n in threads for call in ("malloc", "free")):
        axes = paper.axes[index]
        found = {
            a.label: cell.latency[call]
            for a in run.allocators
            if a.kind != "null"
            and (cell := run.cell(a.label, workload, n)) is not None
            and call in cell.latency
        }
        ends = _panel(axes, found, looks, index)
        if index in paper.row_ends:
            beside(axes, ends)
        if ends and call == "malloc":
            top = max(ends, key=lambda end: end.y)
            worst.append(f"{top.text} with {nanoseconds(top.y)} at {thread_count(n)}")
    paper.figure.description = (
        f"Service times of {workload} by percentile. Longest tail of malloc: {'; '.join(worst)}."
        if worst
        else f"No service times for {workload}."
    )
    return paper.figure


def _panel(
    axes: Axes, found: dict[str, LatencyCurve], looks: dict[str, style.Look], index: int
) -> list[End]:
    if not found:
        curves.blank(axes, "not sampled")
        return []
    ends = []
    axes.set_xscale("log")
    axes.set_yscale("log")
    for place, (label, curve) in enumerate(found.items()):
        good = np.isfinite(curve.ns) & (curve.ns > 0)
        # Beyond this no whole call is left: the curve would only repeat the maximum.
        good &= curve.percentiles <= 100 - 100 / max(1, curve.samples)
        x, y = 100 / (100 - curve.percentiles[good]), curve.ns[good]
        if not x.size:
            continue
        marks = _landmarks(x)
        said = tuple(f"p{digits(100 - 100 / x[i], 6)}: {nanoseconds(float(y[i]))}" for i in marks)
        tips = Tips(label, said, f"{style.short(label)}, ")
        ends.append(curves.path(axes, (x, y), looks[label], f"series-{index}-{place}", marks, tips))
    right = max((end.x for end in ends), default=100.0)
    axes.set_xlim(0.85, right * 1.25)
    ticks = [100 / (100 - p) for p in TICKS]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: digits(100 - 100 / v, 6)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(10, numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: nanoseconds(value)))
    low, high = axes.get_ylim()
    if high / low < 30:
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=8))
    return ends


def _landmarks(x: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[int]:
    """Return the points nearest the named percentiles: where markers and tips go."""
    wanted = [100 / (100 - p) for p in (50, 90, 99, 99.9, 99.99)]
    inside = [w for w in wanted if w <= x[-1] * 1.01]
    return sorted({int(np.argmin(np.abs(np.log(x / w)))) for w in inside} | {int(x.size - 1)})


def _samples(run: Run, workload: str) -> int:
    total = 0
    for cell in run.cells:
        if cell.workload == workload:
            total += sum(curve.samples for curve in cell.latency.values())
    return total


def _sampled(run: Run) -> str:
    every = f"1 call in {run.latency_every} timed. " if run.latency_every else ""
    return f"{every}Threads and trials merged; buckets at most 3 % wide."


def has_curves(run: Run, workload: str) -> bool:
    """Return whether any cell of the workload holds a curve with a finite time."""
    return any(
        isfinite(float(np.nanmax(curve.ns))) if curve.ns.size else False
        for cell in run.cells
        if cell.workload == workload
        for curve in cell.latency.values()
    )
