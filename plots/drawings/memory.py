"""Memory: over the time of a trial, at its peak over what was alive, and after everything was
freed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from plots import style
from plots.data import MemorySeries, Run
from plots.numbers import bytes_step, bytes_text, digits, times
from plots.numbers import threads as thread_count
from plots.paper import curves
from plots.paper.labels import End, beside
from plots.paper.sheet import SMALL, WIDTH, Drawing, Panel, Tips, caption, sheet

if TYPE_CHECKING:
    from plots.data import Floats

POINTS = 48


def memory(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw peak over live bytes, peak resident memory, and what stays after the drain."""
    over = curves.series(run, workload, curves.metric("peak_over_live"))
    peak = curves.series(run, workload, curves.metric("rss_peak"))
    after = curves.series(run, workload, curves.metric("drained_over_live"))
    paper = sheet(
        [
            Panel("Peak over live", "resident / alive"),
            Panel("Peak resident", "bytes"),
            Panel("After drain", "resident / alive at peak"),
        ],
        f"{workload}: what memory costs",
        "1 x would hold exactly what the program asked for.",
        caption(run, workload, marks="Resident memory less what was there before the workload."),
        width=width,
        labels=curves.names(over + peak + after),
    )
    scale = "log" if _wide(over) else "linear"
    curves.draw(paper, 0, over, run, scale=scale, show=times, top=1.0)
    curves.draw(paper, 1, peak, run, scale="log", show=bytes_text)
    curves.draw(paper, 2, after, run, show=times)
    if over and len(run.threads) > 1:
        curves.reference(paper.axes[0], run.threads, [1.0] * len(run.threads), "")
    paper.figure.description = curves.summary(
        over, f"peak resident memory over live bytes in {workload}", "", times
    )
    return paper.figure


def memory_over_time(
    run: Run, workload: str, threads: tuple[int, ...], *, width: float = WIDTH
) -> Drawing:
    """Draw resident memory through one trial, a panel for each of `threads`, over the range of
    bytes alive."""
    looks = style.looks(a.label for a in run.allocators)
    shown = [a for a in run.allocators if a.kind != "null"]
    paper = sheet(
        [Panel(thread_count(n, run.cores), "resident memory") for n in threads],
        f"{workload}: memory over time",
        "Grey band: bytes the program held, over all allocators.",
        caption(run, workload, marks="One representative trial each, sampled from outside."),
        width=width,
        labels=[style.short(a.label) for a in shown],
        least=2.6,
        xlabel="seconds in the window",
    )
    most: list[str] = []
    for index, count in enumerate(threads):
        axes = paper.axes[index]
        found = {
            a.label: cell.memory
            for a in shown
            if (cell := run.cell(a.label, workload, count)) is not None and cell.memory is not None
        }
        ends = _panel(axes, found, looks, index)
        if index in paper.row_ends:
            beside(axes, ends)
        if ends:
            top = max(ends, key=lambda end: end.y)
            most.append(f"{top.text} ends with {bytes_text(top.y)} at {thread_count(count)}")
    paper.figure.description = (
        f"Resident memory of {workload} over time. Most: {'; '.join(most)}."
        if most
        else f"No memory samples for {workload}."
    )
    return paper.figure


def _panel(
    axes: Axes, found: dict[str, MemorySeries], looks: dict[str, style.Look], index: int
) -> list[End]:
    if not found:
        curves.blank(axes, "no samples")
        return []
    alive = _alive(axes, found)
    ends = []
    for place, (label, series) in enumerate(found.items()):
        t, rss = thinned(series.t_s, series.rss)
        if not t.size:
            continue
        said = (
            f"{style.short(label)}: {bytes_text(float(rss[-1]))} at the end, "
            f"{bytes_text(float(np.nanmax(rss)))} at most"
        )
        marks, tips = [t.size - 1], Tips(label, (said,))
        ends.append(
            curves.path(axes, (t, rss), looks[label], f"series-{index}-{place}", marks, tips)
        )
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top * 1.05)
    if alive is not None:
        # Below its line, unless the axis is there.
        aside = -9 if alive[1] > 0.1 * top else 4
        axes.annotate("alive", alive, (0, aside), textcoords="offset points", size=SMALL,
                      color=style.MUTED, ha="center", style="italic", zorder=6)  # fmt: skip
    axes.yaxis.set_major_locator(MultipleLocator(bytes_step(top, 6)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: bytes_text(value)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: digits(value)))
    axes.margins(x=0.02)
    return ends


def _alive(axes: Axes, found: dict[str, MemorySeries]) -> tuple[float, float] | None:
    """Shade from the least to the most bytes alive of any allocator at each moment. Return the
    middle of its upper edge; None if nothing is known."""
    end = min(float(series.t_s[-1]) for series in found.values() if series.t_s.size)
    moments = np.linspace(0, end, 40)
    lives = [
        np.interp(moments, series.t_s, series.live)
        for series in found.values()
        if series.t_s.size and np.isfinite(series.live).all()
    ]
    if not lives:
        return None
    stacked = np.array(lives)
    low, high = stacked.min(axis=0), stacked.max(axis=0)
    axes.fill_between(moments, low, high, color=style.NEUTRAL, alpha=0.28, linewidth=0, zorder=1)
    axes.plot(moments, high, color=style.NEUTRAL, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    return float(moments[len(moments) // 2]), float(high[len(moments) // 2])


def thinned(t: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Return at most 2 x POINTS points: the least and the most of each stretch of time, so that
    no peak is lost."""
    good = np.isfinite(values)
    t, values = t[good], values[good]
    if t.size <= POINTS:
        return t, values
    kept = {0, int(t.size - 1)}
    for part in np.array_split(np.arange(t.size), POINTS // 2):
        kept.add(int(part[np.argmin(values[part])]))
        kept.add(int(part[np.argmax(values[part])]))
    chosen = np.array(sorted(kept))
    return t[chosen], values[chosen]


def _wide(lines: list[curves.Series]) -> bool:
    values = np.concatenate([line.value for line in lines]) if lines else np.empty(0)
    values = values[np.isfinite(values) & (values > 0)]
    return bool(values.size) and float(values.max() / values.min()) > 30
