"""Fairness: whether every thread gets its share of the operations."""

from __future__ import annotations

from plots.data import Run
from plots.numbers import digits
from plots.paper import curves
from plots.paper.sheet import WIDTH, Drawing, Panel, caption, sheet


def fairness(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw Jain's index over threads: 1 is even, 1/N is one thread alone."""
    lines = curves.series(run, workload, curves.metric("fairness"))
    paper = sheet(
        [Panel("Jain's fairness", "1 is even, 1/N is one thread alone")],
        f"{workload}: fairness between threads",
        "",
        caption(run, workload, marks="(sum x)² / (N sum x²) over each thread's operations."),
        width=width,
        labels=curves.names(lines),
    )
    curves.draw(paper, 0, lines, run, show=digits, top=1.0)
    if lines and len(run.threads) > 1:
        alone = [1 / n for n in run.threads]
        curves.reference(paper.axes[0], run.threads, alone, "one thread alone")
    paper.figure.description = curves.summary(
        lines, f"Jain's fairness between the threads of {workload}", "", digits
    )
    return paper.figure
