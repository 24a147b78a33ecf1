"""The Universal Scalability Law where it may be fitted: curves through points, and residuals."""

from __future__ import annotations

from functools import partial

import numpy as np

from plots import style
from plots.data import Run, UslFit
from plots.numbers import digits, share
from plots.paper import curves
from plots.paper.sheet import WIDTH, Drawing, Panel, caption, sheet


def fitted(run: Run, workload: str) -> bool:
    """Return whether any allocator has a fit in the workload."""
    return bool(_fits(run, workload))


def usl(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw measured points, the fitted curves and the residuals, up to the cores; or why there is
    no fit."""
    fits = _fits(run, workload)
    looks = style.looks(a.label for a in run.allocators)
    unit = run.workload(workload).unit
    threads = sorted({int(n) for fit in fits for n in fit.threads})
    lines, off = [], []
    for fit in fits:
        text = style.short(fit.allocator)
        look = looks[fit.allocator]
        gone = np.full(fit.threads.size, np.nan)
        lines.append(curves.Series(fit.allocator, text, look, fit.threads, fit.fitted, gone, gone,
                                   (0,) * fit.threads.size))  # fmt: skip
        residual = fit.observed / fit.fitted - 1
        off.append(curves.Series(fit.allocator, text, look, fit.threads, residual, gone, gone,
                                 (0,) * fit.threads.size))  # fmt: skip
    paper = sheet(
        [Panel("Fit", f"{unit} per second"), Panel("Residual", "measured / fitted - 1")],
        f"{workload}: Universal Scalability Law",
        f"Fitted up to {run.cores} cores only. "
        "X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), σ: contention, κ: coherency.",
        caption(run, workload, marks="Line: fit; markers left: measured medians."),
        width=width,
        labels=curves.names(lines),
    )
    reasons = [fit.reason for fit in run.usl if fit.workload == workload and fit.reason]
    why = f"no fit: {reasons[0]}" if reasons else "no fit"
    curves.draw(paper, 0, lines, run, unit=f"{unit}/s fitted", threads=threads, why=why)
    for line in paper.axes[0].get_lines():
        if line.get_gid():
            line.set_marker("None")
    for fit in fits:
        look = looks[fit.allocator]
        (dots,) = paper.axes[0].plot(fit.threads, fit.observed, linestyle="none",
                                     marker=look.marker, color=look.colour, markersize=5.2,
                                     markeredgecolor=style.WHITE, markeredgewidth=0.6,
                                     zorder=6)  # fmt: skip
        dots.set_gid(f"dots:{fit.allocator}")
    percent = partial(share, significant=2)
    curves.draw(paper, 1, off, run, scale="symmetric", show=percent, threads=threads, why=why)
    if not fits:
        paper.figure.description = f"Scalability law of {workload}: {why}."
        return paper.figure
    worst = max(fits, key=lambda fit: fit.sigma.value if fit.sigma.present else 0.0)
    paper.figure.description = (
        f"Scalability law fitted to {workload}. Highest contention: "
        f"{style.short(worst.allocator)} with sigma {digits(worst.sigma.value)}."
    )
    return paper.figure


def _fits(run: Run, workload: str) -> list[UslFit]:
    limits = {a.label for a in run.allocators if a.kind == "null"}
    return [
        fit
        for fit in run.usl
        if fit.workload == workload
        and not fit.reason
        and fit.threads.size
        and fit.allocator not in limits
    ]
