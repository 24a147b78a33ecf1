"""Several runs side by side, of hosts or of versions: same scale, never one average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from plots import style
from plots.data import Run
from plots.numbers import compact
from plots.paper import curves
from plots.paper.sheet import WIDTH, Drawing, Panel, sheet

DASHES: tuple[style.LineStyle, ...] = (style.SOLID, style.DASH, style.DOT, style.DASHDOT)


def names(runs: Sequence[Run]) -> list[str]:
    """Return a distinct name for each run: its host, with the source where hosts repeat, and a
    number where even that repeats."""
    hosts = [run.host for run in runs]
    chosen = [
        run.host if hosts.count(run.host) == 1 else f"{run.host} · {run.source or run.title}"
        for run in runs
    ]
    return [
        name if chosen.count(name) == 1 else f"{name} ({place + 1})"
        for place, name in enumerate(chosen)
    ]


def shared_workloads(runs: Sequence[Run]) -> list[str]:
    """Return the workloads that any run has, in order of first appearance."""
    found = [info.name for run in runs for info in run.workloads]
    return list(dict.fromkeys(found))


def by_host(runs: Sequence[Run], workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw throughput over threads, a panel for each run, all on one scale."""
    groups = [curves.series(run, workload, lambda cell: cell.throughput, null=True) for run in runs]
    every = [line for group in groups for line in group]
    unit = runs[0].workload(workload).unit
    paper = sheet(
        [
            Panel(name, f"{run.cores} cores, {unit}/s")
            for name, run in zip(names(runs), runs, strict=True)
        ],
        f"{workload}: each host by itself, on one scale",
        "",
        _caption(runs, curves.marks(every)),
        width=width,
        height=3.2,
        labels=curves.names(every),
        least=2.4,
    )
    best = [
        float(np.nanmax(np.concatenate([line.value, line.high])))
        for line in every
        if line.look is not style.NULL
    ]
    top = max(best, default=1.0)
    for index, (run, lines) in enumerate(zip(runs, groups, strict=True)):
        curves.draw(paper, index, lines, run, unit=f"{unit}/s", top=top)
    said = [
        f"{name}: {curves.summary(lines, 'throughput', f'{unit} per second')}"
        for name, lines in zip(names(runs), groups, strict=True)
    ]
    paper.figure.description = f"Throughput of {workload} on each host. {' '.join(said)}"
    return paper.figure


def by_allocator(runs: Sequence[Run], workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw throughput over threads, a panel for each allocator (null included, as the limit of
    the machine), a line for each run."""
    labels = list(dict.fromkeys(a.label for run in runs for a in run.allocators))
    looks = style.looks(labels)
    titles = names(runs)
    unit = runs[0].workload(workload).unit
    paper = sheet(
        [Panel(style.short(label), f"{unit}/s") for label in labels],
        f"{workload}: each allocator across hosts",
        "Beyond a dotted upright, that host has more threads than cores.",
        _caption(runs, f"Runs: {'; '.join(titles)}. Line: median."),
        width=width,
        height=1.9,
        labels=titles,
        least=2.2,
    )
    threads = sorted({n for run in runs for n in run.threads})
    # No region is shaded: each run has its own cores.
    wide = replace(runs[0], threads=tuple(threads), cores=max(threads))
    said = []
    for index, label in enumerate(labels):
        lines = []
        for place, (run, title) in enumerate(zip(runs, titles, strict=True)):
            found = curves.series(run, workload, lambda cell: cell.throughput, null=True)
            look = replace(looks[label], dash=DASHES[place % len(DASHES)])
            look = replace(look, colour=style.MUTED) if look.marker == "" else look
            lines += [replace(line, text=title, look=look) for line in found if line.label == label]
        # Inner panels have no room beside them: the dash says which run, as named at row ends.
        curves.draw(paper, index, lines, wide, unit=f"{unit}/s")
        for cores in sorted({run.cores for run in runs if run.cores < max(threads)}):
            paper.axes[index].axvline(cores, color=style.REGION_EDGE, linewidth=0.8,
                                      linestyle=(0, (1, 2)), zorder=1)  # fmt: skip
        tops = [f"{line.text} {compact(float(np.nanmax(line.value)))}" for line in lines]
        said.append(f"{style.short(label)} at best: {', '.join(tops) or 'no data'}.")
    paper.figure.description = f"Throughput of {workload} per allocator. {' '.join(said)}"
    return paper.figure


def _caption(runs: Sequence[Run], marks: str) -> str:
    sources = "; ".join(f"{run.source or run.title} ({run.host}, seed {run.seed})" for run in runs)
    return f"{marks} Nothing is averaged over runs. Sources: {sources}."
