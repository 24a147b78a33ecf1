"""Several programs at once: who is on the frontier of time and memory, and every cell."""

from __future__ import annotations

from math import log10

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from plots import style
from plots.data import MISSING, Estimate, Program, Run, SuiteRow
from plots.drawings.heatmap import shade
from plots.numbers import digits
from plots.paper.sheet import BODY, FAMILY, SMALL, WIDTH, Drawing, Panel, Tips, sheet, text_width

LEADING = "leading"
_PANELS = ((LEADING, "Time"), ("cpu_s", "CPU time"), ("rss_peak", "Peak memory"))


def frontier(run: Run, *, width: float = WIDTH) -> Drawing:
    """Draw each allocator's time against its peak memory, geometric means over all programs."""
    points = [row for row in run.suite if _place(row)]
    base = style.short(run.baseline)
    count = points[0].programs if points else 0
    paper = sheet(
        [Panel("Peak memory against time", f"ratios to {base}, lower left is better")],
        f"{count} programs under {len(points)} allocators",
        "Geometric means over the programs in which every allocator has a number. The line joins "
        "those that no other beats in both.",
        f"Point: mean; bars: 95 % interval, each program's rounds resampled on their own. Source: "
        f"{run.source or run.title} ({run.host}, {run.cores} usable cores, seed {run.seed}).",
        width=width,
        height=3.6,
        left=0.8,
        labels=[style.short(row.allocator) for row in points],
        xlabel=f"time / {base}",
    )
    axes = paper.axes[0]
    axes.set_xscale("log")
    axes.set_yscale("log")
    looks = style.looks(entry.label for entry in run.allocators)
    best = _unbeaten(points)
    axes.plot([x for x, _ in best], [y for _, y in best], color=style.GRID, linewidth=1.4, zorder=1)
    for index, row in enumerate(points):
        time, memory = _measures(row)
        look = looks[row.allocator]
        (mark,) = axes.plot([time.value], [memory.value], marker=look.marker or "o", markersize=7,
                            linestyle="none", color=look.colour, zorder=3)  # fmt: skip
        group = f"cell-suite-{index}"
        mark.set_gid(group)
        paper.figure.tips[group] = Tips(
            row.allocator, (f"time {_bounded(time)} x, peak memory {_bounded(memory)} x",)
        )
        if time.bounded:
            axes.plot([time.low, time.high], [memory.value] * 2, color=look.colour, linewidth=1.1)
        if memory.bounded:
            axes.plot([time.value] * 2, [memory.low, memory.high], color=look.colour, linewidth=1.1)
    _label(axes, points)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: digits(value)))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, color=style.GRID, linewidth=0.7)
    axes.set_ylabel(f"peak memory / {base}", size=BODY, color=style.MUTED, family=FAMILY)
    said = [
        f"{style.short(row.allocator)} {digits(_measures(row)[0].value)} and "
        f"{digits(_measures(row)[1].value)}"
        for row in points
    ]
    paper.figure.description = f"Time and peak memory as ratios to {base}: {'; '.join(said)}."
    return paper.figure


def cells(run: Run, *, width: float = WIDTH) -> Drawing:
    """Draw programs down and allocators across: time, CPU time and peak memory as ratios."""
    labels = [entry.label for entry in run.allocators if entry.label != run.baseline]
    names = [program.name for program in run.programs]
    base = style.short(run.baseline)
    left = max((text_width(name, BODY) for name in names), default=0.5) + 0.25
    short = [style.short(label) for label in labels]
    step = max((text_width(label, SMALL) for label in short), default=0.5) + 0.12
    paper = sheet(
        [Panel(heading, f"/ {base}") for _, heading in _PANELS],
        f"Every program, as a ratio to {base}",
        "Below 1 is better. Blue: better; orange: worse; no fill: neither is sure (an interval "
        f"holds 1, or the effect is within {digits(run.noise_threshold * 100)} %).",
        "Median of paired ratios, one pair per round; time is what the program itself is compared "
        f"by. Source: {run.source or run.title} ({run.host}, seed {run.seed}).",
        width=width,
        height=max(0.5, 0.24 * len(names)),
        left=left,
        least=max(1.4, min(step * len(labels), (width - left - 0.3) / 3 - 0.75)),
        xlabel="",
        foot=0.35 + step * 0.75,
    )
    for index, (key, _) in enumerate(_PANELS):
        axes = paper.axes[index]
        axes.set_xlim(0, max(1, len(labels)))
        axes.set_ylim(len(names) or 1, 0)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([i + 0.5 for i in range(len(labels))], short, size=SMALL, rotation=45,
                        ha="right", rotation_mode="anchor")  # fmt: skip
        axes.tick_params(axis="x", length=0)
        first = index % paper.columns == 0
        axes.set_yticks([i + 0.5 for i in range(len(names))], names if first else [""] * len(names))
        for y, program in enumerate(run.programs):
            for x, label in enumerate(labels):
                _square(axes, (x, y), run, program, label, key)
    faster = sum(c.verdict == "better" for p in run.programs for c in p.cells)
    slower = sum(c.verdict == "worse" for p in run.programs for c in p.cells)
    paper.figure.description = (
        f"{len(names)} programs by {len(labels)} allocators as ratios to {base}: better in "
        f"{faster} cells, worse in {slower}."
    )
    return paper.figure


def _square(
    axes: Axes, at: tuple[int, int], run: Run, program: Program, label: str, key: str
) -> None:
    figure = axes.figure
    assert isinstance(figure, Drawing)
    cell = program.cell(label)
    ratio = MISSING if cell is None else cell.ratio(program.leading.key if key == LEADING else key)
    if key == LEADING and program.leading.better == "higher":
        ratio = _inverse(ratio)
    text, colour, ink, hatch = "–", "none", style.MUTED, None
    if cell is not None and cell.failed and not cell.trials:
        text, hatch = "failed", "/////"
    elif ratio.present:
        text = digits(ratio.value, 3)
        colour, ink = shade(_inverse(ratio), run.noise_threshold)
    x, y = at
    square = Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, facecolor=colour, hatch=hatch,
                       edgecolor=style.GRID, linewidth=0.6)  # fmt: skip
    group = f"cell-{id(axes)}-{x}-{y}"
    square.set_gid(group)
    axes.add_patch(square)
    figure.tips[group] = Tips(
        label, (f"{style.short(label)}, {program.name}: {_bounded(ratio)} x",)
    )
    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center_baseline", family=FAMILY,
              size=SMALL - 0.5, color=ink, parse_math=False)  # fmt: skip


def _inverse(found: Estimate) -> Estimate:
    """1 / x, so that above 1 is better."""
    if not found.present or found.value <= 0:
        return MISSING
    if not found.bounded or found.low <= 0:
        return Estimate(1 / found.value)
    return Estimate(1 / found.value, 1 / found.high, 1 / found.low)


def _bounded(found: Estimate) -> str:
    if not found.bounded:
        return digits(found.value)
    return f"{digits(found.value)} [{digits(found.low)}, {digits(found.high)}]"


def _measures(row: SuiteRow) -> tuple[Estimate, Estimate]:
    return row.measure(LEADING), row.measure("rss_peak")


def _place(row: SuiteRow) -> bool:
    return all(found.present and found.value > 0 for found in _measures(row))


def _unbeaten(points: list[SuiteRow]) -> list[tuple[float, float]]:
    """(time, memory) of those that no other beats in both, by time."""
    places = sorted((time.value, memory.value) for time, memory in map(_measures, points))
    found: list[tuple[float, float]] = []
    for time, memory in places:
        if not found or memory < found[-1][1]:
            found.append((time, memory))
    return found


def _label(axes: Axes, points: list[SuiteRow]) -> None:
    """Names above their bars, moved apart where two would touch."""
    low, high = axes.get_ylim()
    least = (log10(high) - log10(low)) * 0.05
    taken: list[tuple[float, float]] = []
    for row in sorted(points, key=lambda row: row.measure("rss_peak").value):
        time, memory = _measures(row)
        y = log10(memory.value)
        for x_other, y_other in taken:
            near = abs(log10(time.value) - x_other) < 0.12
            if near and abs(y - y_other) < least:
                y = y_other + least
        taken.append((log10(time.value), y))
        axes.annotate(style.short(row.allocator), (time.value, 10**y), (6, 5),
                      textcoords="offset points", size=BODY, color=style.INK, family=FAMILY,
                      parse_math=False)  # fmt: skip
