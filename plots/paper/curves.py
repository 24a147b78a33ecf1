"""Lines over threads, the form most figures share: values with interval bands, gaps where there is
nothing, a log2 thread axis, and the oversubscribed region shaded and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    SymmetricalLogLocator,
)

from plots import style
from plots.data import Cell, Estimate, Run
from plots.numbers import bytes_text, compact
from plots.numbers import threads as thread_count
from plots.paper.labels import End, beside
from plots.paper.sheet import BODY, FAMILY, SMALL, Drawing, Sheet, Tips, text_width, wrapped

if TYPE_CHECKING:
    from plots.data import Floats

Format = Callable[[float], str]
Reader = Callable[[Cell], Estimate]
# Beyond this multiple of the best contender a limit line would squeeze everyone else.
OFF_SCALE = 1.5
WHY_LINES = 7


@dataclass(frozen=True)
class Series:
    """One line: threads, value, low and high, each shape (k,), nan for gaps; samples: trials."""

    label: str
    text: str
    look: style.Look
    threads: Floats
    value: Floats
    low: Floats
    high: Floats
    samples: tuple[int, ...]

    @property
    def present(self) -> bool:
        """Whether any value is there."""
        return bool(np.isfinite(self.value).any())


def series(run: Run, workload: str, read: Reader, *, null: bool = False) -> list[Series]:
    """Return a line for each allocator that has a value anywhere, in the run's order; the null
    allocator only if asked for, as it is a limit and no contender."""
    looks = style.looks(a.label for a in run.allocators)
    lines = []
    for allocator in run.allocators:
        if allocator.kind == "null" and not null:
            continue
        cells = {cell.threads: cell for cell in run.curve(allocator.label, workload)}
        found = [read(cells[n]) if n in cells else Estimate(nan) for n in run.threads]
        line = Series(
            allocator.label,
            "null (limit)" if allocator.kind == "null" else style.short(allocator.label),
            style.NULL if allocator.kind == "null" else looks[allocator.label],
            np.array(run.threads, dtype=np.float64),
            np.array([interval.value for interval in found]),
            np.array([interval.low for interval in found]),
            np.array([interval.high for interval in found]),
            tuple(cells[n].trials if n in cells else 0 for n in run.threads),
        )
        if line.present:
            lines.append(line)
    return lines


def metric(key: str) -> Reader:
    """Return a reader of one metric, for `series`."""
    return lambda cell: cell.metric(key)


def draw(
    sheet: Sheet,
    index: int,
    lines: Sequence[Series],
    run: Run,
    *,
    scale: str = "linear",
    unit: str = "",
    show: Format = compact,
    floor: float = 1.0,
    top: float = nan,
    threads: Iterable[int] = (),
    why: str = "no data",
) -> None:
    """Draw lines into panel `index` of the sheet, with labels if it ends its row.

    scale: "linear" from zero, "log", "symlog" (linear below `floor`, so that zero can be shown),
    or "symmetric" about zero, reaching at least 1 % of `floor`. show: a value's text, on the axis
    and in tips. top: the axis' least upper end, nan for none. threads: the ticks, the run's
    planned counts by default. why: what an empty panel says.
    """
    axes = sheet.axes[index]
    counts = sorted(threads or run.threads)
    thread_axis(axes, counts, run.cores)
    _value_axis(axes, lines, scale, show, floor, top)
    for place, line in enumerate(sorted(lines, key=_depth)):
        _line(axes, line, f"series-{index}-{place}", unit, show)
    if not lines:
        axes.set_yticks([])
        nothing(axes, why)
    if index in sheet.row_ends:
        beside(axes, [end for line in lines if (end := _end(axes, line, show))])


def _depth(line: Series) -> float:
    return -1.0 if line.look is style.NULL else line.look.width


def _end(axes: Axes, line: Series, show: Format) -> End | None:
    low, high = axes.get_ylim()
    seen = np.flatnonzero(np.isfinite(line.value) & _drawable(axes, line.value))
    if not seen.size:
        return None
    last = int(seen[-1])
    text, y = line.text, float(line.value[last])
    if last < line.threads.size - 1:
        text = _ending(line, last)
    if y > high:
        text, y = f"{line.text} ↑ {show(y)}", high
    return End(line.label, text, float(line.threads[last]), max(y, low), line.look)


def _ending(line: Series, last: int) -> str:
    return f"{line.text}, to {line.threads[last]:.0f}"


def marks(lines: Sequence[Series]) -> str:
    """Return what a caption says of these lines: null is named only where it is drawn."""
    null = any(line.look is style.NULL for line in lines)
    limit = "; dashed grey: null allocator, the kernel alone" if null else ""
    return f"Line: median; band: bootstrap 95 % interval{limit}."


def names(lines: Sequence[Series]) -> list[str]:
    """Return the longest text that each line's label may take, so that a sheet leaves room."""
    texts = []
    for line in lines:
        seen = np.flatnonzero(np.isfinite(line.value))
        last = int(seen[-1]) if seen.size else 0
        ended = last < line.threads.size - 1
        texts.append(_ending(line, last) if ended else line.text)
        if line.look is style.NULL:
            texts.append(f"{line.text} ↑ 999 M")
    return texts


def _drawable(axes: Axes, values: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return values > 0 if axes.get_yscale() == "log" else np.isfinite(values)


def _line(axes: Axes, line: Series, group: str, unit: str, show: Format) -> None:
    look = line.look
    dots = np.isfinite(line.value)
    (drawn,) = axes.plot(
        line.threads, line.value, color=look.colour, linestyle=look.dash, linewidth=look.width,
        marker=look.marker or "None", markersize=4.6 + look.width * 0.5,
        markeredgecolor=style.WHITE, markeredgewidth=0.7, zorder=3 + look.width,
        solid_capstyle="round", solid_joinstyle="round", dash_capstyle="butt",
    )  # fmt: skip
    drawn.set_gid(group)
    bounded = dots & np.isfinite(line.low) & np.isfinite(line.high)
    if bounded.any() and look is not style.NULL:
        band = axes.fill_between(line.threads, line.low, line.high, where=bounded.tolist(),
                                 color=look.colour, alpha=0.13, linewidth=0, zorder=2)  # fmt: skip
        band.set_gid(f"band:{line.label}")
        alone = bounded & ~_beside_another(bounded)
        if alone.any():
            bars = axes.vlines(line.threads[alone], line.low[alone], line.high[alone],
                               color=look.colour, linewidth=1.2, alpha=0.6, zorder=2)  # fmt: skip
            bars.set_gid(f"bars:{line.label}")
    figure = axes.figure
    assert isinstance(figure, Drawing)
    shown = np.flatnonzero(dots & _drawable(axes, line.value))
    samples = {line.samples[int(i)] for i in shown}
    after = f" {unit}".rstrip()
    if len(samples) == 1 and samples != {0}:
        after += f", n = {samples.pop()}"
    figure.tips[group] = Tips(
        line.label, tuple(_tip(line, int(i), show) for i in shown), f"{line.text}, ", after
    )


def _beside_another(
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return where a neighbour of a true place is true: a band has width there."""
    near = np.zeros_like(mask)
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    return near


def _tip(line: Series, i: int, show: Format) -> str:
    value, low, high = float(line.value[i]), float(line.low[i]), float(line.high[i])
    bounds = f" [{show(low)}, {show(high)}]" if isfinite(low) and isfinite(high) else ""
    count = int(line.threads[i])
    return f"{thread_count(count)}: {show(value)}{bounds}"


def thread_axis(axes: Axes, counts: Sequence[int], cores: int) -> None:
    """Make x a log2 axis of threads with plain ticks, and shade what exceeds the cores."""
    low, high = min(counts), max(counts)
    axes.set_xscale("log", base=2)
    figure = axes.figure
    assert isinstance(figure, Drawing)
    inches = axes.get_position().width * figure.get_size_inches()[0]
    # A fifth of an inch on both sides, whatever the range; one octave around a single count.
    margin = 2 ** (np.log2(high / low) * 0.2 / max(inches - 0.4, 0.5)) if low != high else 2.0
    axes.set_xlim(low / margin, high * margin)
    powers = [n for n in counts if n & (n - 1) == 0]
    ticks = powers if len(powers) >= 2 else list(counts)
    axes.xaxis.set_major_locator(FixedLocator([float(n) for n in ticks]))
    axes.xaxis.set_minor_locator(FixedLocator([float(n) for n in counts if n not in ticks]))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda _value, _place: ""))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:.0f}"))
    axes.tick_params(axis="x", which="minor", length=2, color=style.MUTED, width=0.6)
    left, right = axes.get_xlim()
    if high <= cores:
        return
    edge = max(cores, left)
    axes.axvspan(edge, right, facecolor=style.REGION, edgecolor="none", zorder=0)
    if cores > left:
        axes.axvline(cores, color=style.REGION_EDGE, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    inches *= np.log(right / edge) / np.log(right / left)
    for text in (f"oversubscribed: threads > {cores} cores", "oversubscribed", "> cores"):
        if text_width(text, SMALL) < inches - 0.1:
            axes.annotate(text, (edge, 1), (4, -4), xycoords=axes.get_xaxis_transform(),
                          textcoords="offset points", size=SMALL, color=style.MUTED, va="top",
                          family=FAMILY, style="italic", zorder=1, parse_math=False)  # fmt: skip
            break


def _value_axis(
    axes: Axes, lines: Sequence[Series], scale: str, show: Format, floor: float, least: float
) -> None:
    contenders = [line for line in lines if line.look is not style.NULL] or list(lines)
    values = _finite([array for line in contenders for array in (line.value, line.low, line.high)])
    limits = _finite([line.value for line in lines])
    if scale == "log":
        values, limits = values[values > 0], limits[limits > 0]
    best = float(values.max()) if values.size else 1.0
    limit = float(limits.max()) if limits.size else best
    upper = max(best, limit) if scale != "linear" or limit <= best * OFF_SCALE else best
    if isfinite(least):
        upper = max(upper, least)
    if scale == "log":
        lower = float(min(values.min(), limits.min())) if values.size else upper / 10
        # At least a decade, or the axis would show a single tick.
        if upper / lower < 10:
            lower, upper = lower / 2, upper * 2
        span = upper / lower
        axes.set_yscale("log")
        axes.set_ylim(lower / span**0.04, upper * span**0.1)
        # Below two and a half decades, powers of ten alone are too few ticks to read values by.
        subs = (1.0, 2.0, 5.0) if span < 300 else (1.0,)
        axes.yaxis.set_major_locator(LogLocator(10, subs=subs, numticks=9))
        if show is bytes_text:
            axes.yaxis.set_major_locator(LogLocator(2, numticks=9))
    if scale == "symlog":
        axes.set_yscale("symlog", linthresh=floor, linscale=0.5)
        axes.set_ylim(-floor * 0.06, max(upper, floor * 10) * (max(upper / floor, 10) ** 0.12))
        axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=floor))
    if scale in ("log", "symlog"):
        # Setting a scale resets the formatter.
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: show(value)))
        return
    if scale == "symmetric":
        reach = 1.3 * max(float(np.abs(values).max()) if values.size else 0.0, 0.01 * floor)
        axes.set_ylim(-reach, reach)
        axes.axhline(0, color=style.NEUTRAL, linewidth=1, zorder=1)
    lower = min(0.0, float(values.min())) if values.size else 0.0
    upper = upper if upper > 0 else 1.0
    if scale == "linear":
        axes.set_ylim(lower * 1.05, upper * 1.12)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: show(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _finite(arrays: Sequence[Floats]) -> Floats:
    joined = np.concatenate(arrays) if arrays else np.empty(0)
    return joined[np.isfinite(joined)]


def reference(axes: Axes, x: Sequence[float], y: Sequence[float], text: str) -> None:
    """Draw an ideal or a limit as a thin neutral line, named near its visible end."""
    axes.plot(x, y, color=style.NEUTRAL, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1.5)
    low, high = axes.get_ylim()
    inside = [(a, b) for a, b in zip(x, y, strict=True) if low <= b <= high]
    if inside:
        a, b = inside[-1]
        axes.annotate(text, (a, b), (-4, 4), textcoords="offset points", size=SMALL,
                      color=style.MUTED, ha="right", va="bottom", family=FAMILY,
                      parse_math=False)  # fmt: skip


def nothing(axes: Axes, why: str = "no data") -> None:
    """Say that a panel is empty, and why, where the data would be."""
    figure = axes.figure
    assert isinstance(figure, Drawing)
    inches = axes.get_position().width * figure.get_size_inches()[0]
    lines = wrapped(why, inches - 0.2, BODY)
    text = "\n".join(lines[:WHY_LINES]) + ("…" if len(lines) > WHY_LINES else "")
    axes.text(0.5, 0.5, text, transform=axes.transAxes, size=BODY, color=style.MUTED, ha="center",
              va="center", family=FAMILY, style="italic", parse_math=False)  # fmt: skip


def blank(axes: Axes, why: str) -> None:
    """An empty panel without axes, and why it is empty."""
    axes.set_yticks([])
    axes.set_xticks([])
    nothing(axes, why)


def path(
    axes: Axes,
    points: tuple[Floats, Floats],
    look: style.Look,
    group: str,
    marks: Sequence[int],
    tips: Tips,
) -> End:
    """Draw one allocator's path over a continuous axis; return where its name goes.

    points: x and y, shape (k,), not empty. marks: positions that get a marker. tips: what pointing
    at the path says; their label is the allocator's.
    """
    figure = axes.figure
    assert isinstance(figure, Drawing)
    x, y = points
    (line,) = axes.plot(x, y, color=look.colour, linestyle=look.dash, linewidth=look.width,
                        marker=look.marker, markersize=4.6, markeredgecolor=style.WHITE,
                        markeredgewidth=0.6, markevery=list(marks),
                        zorder=3 + look.width)  # fmt: skip
    line.set_gid(group)
    figure.tips[group] = tips
    return End(tips.label, style.short(tips.label), float(x[-1]), float(y[-1]), look)


def at(lines: Sequence[Series], threads: int) -> list[tuple[Series, float]]:
    """Return the lines with a value at a thread count, best (highest) first."""
    found = []
    for line in lines:
        index = np.flatnonzero(line.threads == threads)
        if index.size and isfinite(float(line.value[index[0]])):
            found.append((line, float(line.value[index[0]])))
    return sorted(found, key=lambda pair: -pair[1])


def summary(lines: Sequence[Series], what: str, unit: str, show: Format = compact) -> str:
    """Return a sentence for alternative text: highest and lowest at the fewest and most threads."""
    contenders = [line for line in lines if line.look is not style.NULL]
    if not contenders:
        return f"No data for {what}."
    counts = sorted({int(n) for line in contenders for n in line.threads})
    sentences = []
    for count in dict.fromkeys((counts[0], counts[-1])):
        ranked = at(contenders, count)
        if not ranked:
            continue
        threads = thread_count(count)
        first, last = ranked[0], ranked[-1]
        text = f"At {threads}: {first[0].text} {show(first[1])} {unit}".rstrip()
        if len(ranked) > 1:
            text = f"At {threads}: highest {first[0].text} with {show(first[1])}, "
            text += f"lowest {last[0].text} with {show(last[1])} {unit}".rstrip()
        sentences.append(text + ".")
    return f"{what[:1].upper()}{what[1:]} over threads. {' '.join(sentences)}"
