"""The three forms of the study's figures, on the paper and in the style of `plots`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, log10, nan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
)

from mtbench.analysis.statistics import NOISE_THRESHOLD
from plots import style
from plots.data import Estimate, Run
from plots.numbers import bytes_step, bytes_text, compact, digits
from plots.paper import curves
from plots.paper.sheet import BODY, FAMILY, SMALL, Drawing, Panel, sheet, text_width
from study.analyse import FASTER, SLOWER, Ratio

Format = Callable[[float], str]
STEP_LOOKS = {
    "growth": style.Look("#9c36b5", "<", style.DASHDOT),
    "exclusion": style.Look("#c2410c", "^", style.DASH),
    "search": style.Look("#0550ae", "o", style.SOLID, 2.2),
}


@dataclass(frozen=True)
class Bars:
    """A panel of bars: one estimate a row, nan where there is none; marks: a number to compare."""

    panel: Panel
    values: Sequence[Estimate]
    show: Format = compact
    marks: Sequence[float] = ()


def bars(
    names: Sequence[str], panels: Sequence[Bars], title: str, under: str, foot: str
) -> Drawing:
    """Rows with a bar in each panel and its number beside it; a diamond where a mark stands."""
    left = max(text_width(name, BODY) for name in names) + 0.25
    paper = sheet(
        [entry.panel for entry in panels], title, under, foot,
        height=0.36 * len(names), left=left, least=1.6, xlabel="",
    )  # fmt: skip
    for index, (axes, entry) in enumerate(zip(paper.axes, panels, strict=True)):
        _rows(axes, names, shown=index % paper.columns == 0)
        ends = [_end(value) for value in entry.values]
        top = max((v for v in [*ends, *entry.marks] if isfinite(v)), default=1.0) or 1.0
        axes.set_xlim(0, top * (2.1 if entry.marks else 1.5))
        for row, (value, end) in enumerate(zip(entry.values, ends, strict=True)):
            if not isfinite(value.value):
                _note(axes, top * 0.02, row, "no number")
                continue
            mark = entry.marks[row] if entry.marks else nan
            _bar(axes, row, value, mark)
            text = entry.show(value.value)
            if isfinite(mark):
                text, end = f"{text}, predecessor {entry.show(mark)}", max(end, mark * 1.02)
            axes.annotate(
                text, (end, row), (8, 0), textcoords="offset points", size=SMALL,
                color=style.MUTED, va="center_baseline", family=FAMILY,
            )  # fmt: skip
        bytes_shown = entry.show is bytes_text
        axes.xaxis.set_major_locator(
            MultipleLocator(bytes_step(axes.get_xlim()[1], 4)) if bytes_shown else MaxNLocator(3)
        )
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _p, show=entry.show: show(v)))
    return paper.figure


def _end(value: Estimate) -> float:
    return value.high if isfinite(value.high) else value.value


def _bar(axes: Axes, row: int, value: Estimate, mark: float) -> None:
    axes.barh(row, value.value, height=0.6, color=style.LOOKS["hakmem"].colour, linewidth=0)
    if isfinite(value.low):
        axes.plot([value.low, value.high], [row, row], color=style.INK, linewidth=1.1)
    if isfinite(mark):
        axes.plot([mark], [row], marker="D", color=style.LOOKS["jemalloc"].colour, markersize=6,
                  markeredgecolor=style.WHITE, linestyle="none")  # fmt: skip


def forest(
    names: Sequence[str], panels: Mapping[str, Sequence[Ratio]], title: str, under: str, foot: str
) -> Drawing:
    """Rows of ratios with their intervals, on a logarithmic axis with 1 marked."""
    left = max(text_width(name, BODY) for name in names) + 0.25
    paper = sheet(
        [Panel(heading, "x") for heading in panels], title, under, foot,
        height=max(0.9, 0.235 * len(names)), left=left, least=2.0, xlabel="",
    )  # fmt: skip
    reach = _reach([entry.estimate for entries in panels.values() for entry in entries])
    for index, (axes, entries) in enumerate(zip(paper.axes, panels.values(), strict=True)):
        _rows(axes, names, shown=index % paper.columns == 0)
        axes.set_xscale("log")
        axes.set_xlim(*reach)
        axes.axvspan(1 - NOISE_THRESHOLD, 1 + NOISE_THRESHOLD, color=style.REGION, zorder=0)
        axes.axvline(1, color=style.NEUTRAL, linewidth=1, zorder=1)
        for row, entry in enumerate(entries):
            value, low, high = entry.estimate
            if not isfinite(value):
                _note(axes, 1.0, row, "no number")
                continue
            colour = {FASTER: style.GOOD, SLOWER: style.BAD}.get(entry.verdict, style.MUTED)
            if isfinite(low):
                axes.plot([low, high], [row, row], color=colour, linewidth=1.6, alpha=0.75)
            face = colour if entry.verdict in (FASTER, SLOWER) else style.WHITE
            axes.plot([value], [row], marker="o", color=colour, markerfacecolor=face, markersize=5)
        _ratio_ticks(axes, reach)
    return paper.figure


def lines(
    run: Run,
    panels: Sequence[tuple[Panel, Sequence[curves.Series]]],
    title: str,
    under: str,
    foot: str,
    *,
    scale: str = "log",
    show: Sequence[Format] = (),
    level: float = nan,
    floors: Sequence[float] = (),
    xlabel: str = "threads",
    points: Sequence[int] = (),
    least: float = 2.6,
) -> Drawing:
    """Panels of lines over threads, or over `points` named by xlabel. level: a line across.
    show, floors: a number's text and the end of the linear part, for each panel."""
    if points:
        # The thread axis shades what exceeds the cores; other quantities have no such limit.
        run = replace(run, cores=1 << 30)
    labels = [name for _, found in panels for name in curves.names(found)]
    paper = sheet([panel for panel, _ in panels], title, under, foot, height=2.5, labels=labels,
                  least=least, xlabel=xlabel)  # fmt: skip
    for index, (_, found) in enumerate(panels):
        chosen = show[index] if show else compact
        floor = floors[index] if floors else nan
        kind = "symlog" if isfinite(floor) else scale
        curves.draw(paper, index, found, run, scale=kind, show=chosen, threads=points,
                    floor=floor if isfinite(floor) else 1.0)  # fmt: skip
        if isfinite(level):
            paper.axes[index].axhline(level, color=style.NEUTRAL, linewidth=1, zorder=1)
    return paper.figure


def series(
    label: str, look: style.Look, threads: Sequence[int], values: Sequence[Estimate]
) -> curves.Series:
    """A line of estimates over thread counts."""
    value, low, high = (np.array(column, dtype=np.float64) for column in zip(*values, strict=True))
    counts = np.array(threads, dtype=np.float64)
    return curves.Series(label, label, look, counts, value, low, high, tuple(0 for _ in threads))


def _rows(axes: Axes, names: Sequence[str], *, shown: bool) -> None:
    axes.grid(visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.7)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), list(names) if shown else [""] * len(names))


def _note(axes: Axes, x: float, row: int, text: str) -> None:
    axes.text(x, row, text, size=SMALL, color=style.MUTED, style="italic", family=FAMILY,
              va="center_baseline")  # fmt: skip


def _reach(estimates: Sequence[Estimate]) -> tuple[float, float]:
    values = [v for e in estimates for v in e if isfinite(v) and v > 0]
    low, high = min([*values, 0.9]), max([*values, 1.1])
    span = high / low
    return low / span**0.05, high * span**0.05


def _ratio_ticks(axes: Axes, reach: tuple[float, float]) -> None:
    low, high = reach
    if high / low < 4:
        step = next(s for s, most in ((0.05, 1.35), (0.1, 1.8), (0.25, 4)) if high / low < most)
        places = range(int(low / step) + 1, int(high / step) + 1)
        ticks = _around_one([round(place * step, 2) for place in places])
    else:
        decades = range(int(log10(low)) - 1, int(log10(high)) + 1)
        ticks = [factor * 10.0**k for k in decades for factor in (1, 2, 5)]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) > 6:
            ticks = [tick for tick in ticks if round(log10(tick), 6).is_integer()]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _p: digits(v)))


def _around_one(ticks: Sequence[float]) -> list[float]:
    every = max(1, -(-len(ticks) // 5))
    middle = ticks.index(1.0)
    return [tick for place, tick in enumerate(ticks) if (place - middle) % every == 0]
