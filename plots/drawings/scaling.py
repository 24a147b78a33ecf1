"""Speedup and efficiency with what is ideal on so many cores, and oversubscription by itself."""

from __future__ import annotations

from plots.data import Run
from plots.numbers import share, times
from plots.paper import curves
from plots.paper.sheet import WIDTH, Drawing, Panel, caption, sheet


def scaling(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw speedup X(N)/X(1) and efficiency, with the ideal: N up to the cores, level beyond."""
    speedup = curves.series(run, workload, curves.metric("speedup"))
    efficiency = curves.series(run, workload, curves.metric("efficiency"))
    paper = sheet(
        [Panel("Speedup", "throughput over that of 1 thread"), Panel("Efficiency", "speedup / N")],
        f"{workload}: speedup and efficiency",
        "Beyond the cores no allocator can gain; the ideal is to lose nothing.",
        caption(run, workload, marks="Dashed grey: ideal, min(N, cores)."),
        width=width,
        labels=curves.names(speedup),
    )
    ideal = [min(n, run.cores) for n in run.threads]
    efficient = [min(n, run.cores) / n for n in run.threads]
    curves.draw(paper, 0, speedup, run, show=times, top=min(max(run.threads), run.cores))
    curves.draw(paper, 1, efficiency, run, show=share, top=1.0)
    if speedup and len(run.threads) > 1:
        curves.reference(paper.axes[0], run.threads, ideal, "ideal")
        curves.reference(paper.axes[1], run.threads, efficient, "ideal")
    paper.figure.description = curves.summary(speedup, f"speedup of {workload}", "", times)
    return paper.figure


def oversubscription(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw throughput relative to threads = cores, from the cores upward."""
    lines = curves.series(run, workload, curves.metric("vs_cores"))
    threads = [n for n in run.threads if n >= run.cores] or list(run.threads)
    paper = sheet(
        [Panel("Relative throughput", f"X(N) / X({run.cores})")],
        f"{workload}: more threads than cores",
        f"1 x: nothing is lost when more than {run.cores} threads share {run.cores} cores.",
        caption(run, workload, marks=curves.marks(lines)),
        width=width,
        labels=curves.names(lines),
    )
    curves.draw(paper, 0, lines, run, show=times, top=1.0, threads=threads)
    if lines and len(threads) > 1:
        curves.reference(paper.axes[0], threads, [1.0] * len(threads), "nothing lost")
    paper.figure.description = curves.summary(
        lines, f"throughput of {workload} relative to {run.cores} threads", "", times
    )
    return paper.figure
