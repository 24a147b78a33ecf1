"""Throughput against threads, with intervals, the null limit and the oversubscribed region."""

from __future__ import annotations

from plots.data import Run
from plots.paper import curves
from plots.paper.sheet import WIDTH, Drawing, Panel, caption, sheet


def throughput(run: Run, workload: str, *, scale: str = "linear", width: float = WIDTH) -> Drawing:
    """Draw one workload. scale: "linear" from zero or "log". width: inches."""
    info = run.workload(workload)
    lines = curves.series(run, workload, lambda cell: cell.throughput, null=True)
    paper = sheet(
        [Panel("Throughput", f"{info.unit} per second")],
        f"{workload}: throughput",
        info.description,
        caption(run, workload, marks=curves.marks(lines)),
        width=width,
        height=3.6,
        labels=curves.names(lines),
    )
    curves.draw(paper, 0, lines, run, scale=scale, unit=f"{info.unit}/s")
    paper.figure.description = curves.summary(
        lines, f"throughput of {workload}", f"{info.unit} per second"
    )
    return paper.figure
