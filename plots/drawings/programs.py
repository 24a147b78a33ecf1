"""A whole program under each allocator, one panel a measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from plots import style
from plots.data import PROGRAM_MEASURES, Metric, Program, Run
from plots.numbers import bytes_text, compact, digits
from plots.paper.sheet import BODY, FAMILY, SMALL, WIDTH, Drawing, Panel, Tips, sheet, text_width

DRAWN = ("wall_s", "user_s", "system_s", "rss_peak")


def shown(metric: Metric) -> Callable[[float], str]:
    """Return how a value of the measure is written."""
    if metric.unit == "bytes":
        return bytes_text
    if metric.unit == "s":
        return lambda value: f"{digits(value)} s" if isfinite(value) else digits(value)
    return compact


def bars(run: Run, program: Program, *, width: float = WIDTH) -> Drawing:
    """Draw a program's own numbers, wall and CPU time and peak memory, a bar an allocator."""
    drawn = (*DRAWN, program.leading.key)
    chosen = [
        *program.numbers[:2],
        *(metric for metric in PROGRAM_MEASURES if metric.key in drawn),
    ]
    labels = [style.short(cell.allocator) for cell in program.cells]
    name = program.name
    paper = sheet(
        [Panel(metric.label.capitalize(), _better(metric)) for metric in chosen],
        f"{name} under each allocator",
        program.command if len(program.command) < 200 else f"{program.command[:197]}...",
        "Bar: median; line: bootstrap 95 % interval. "
        f"Runs in random order. Source: {run.source or run.title} ({run.host}, seed {run.seed}).",
        width=width,
        height=max(0.7, 0.3 * len(labels)),
        left=max((text_width(label, BODY) for label in labels), default=0.6) + 0.25,
        least=1.5,
        xlabel="",
    )
    for index, metric in enumerate(chosen):
        first = index % paper.columns == 0
        looks = style.looks(entry.label for entry in run.allocators)
        _bars(
            paper.axes[index],
            paper.figure,
            program,
            looks,
            metric,
            index,
            labels if first else None,
        )
    paper.figure.description = _description(program)
    return paper.figure


def _better(metric: Metric) -> str:
    return "" if metric.better == "neither" else f"{metric.better} is better"


def _bars(
    axes: Axes,
    figure: Drawing,
    program: Program,
    looks: Mapping[str, style.Look],
    metric: Metric,
    index: int,
    labels: list[str] | None,
) -> None:
    show = shown(metric)
    count = len(program.cells)
    axes.grid(visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.7)
    # The first allocator at the top, as in the table.
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_yticks(range(count), labels or [""] * count)
    tops = [
        bound
        for cell in program.cells
        for bound in (cell.measure(metric.key).value, cell.measure(metric.key).high)
        if isfinite(bound)
    ]
    top = max(tops, default=0.0) or 1.0
    axes.set_xlim(0, top * 1.45)
    for y, cell in enumerate(program.cells):
        value = cell.measure(metric.key)
        if not value.present:
            axes.text(top * 0.02, y, "no number", size=SMALL, color=style.MUTED, style="italic",
                      va="center_baseline", family=FAMILY)  # fmt: skip
            continue
        (bar,) = axes.barh(y, value.value, height=0.62, linewidth=0,
                           color=looks[cell.allocator].colour)  # fmt: skip
        group = f"cell-{index}-{y}"
        bar.set_gid(group)
        bounds = f" [{show(value.low)}, {show(value.high)}]" if value.bounded else ""
        figure.tips[group] = Tips(cell.allocator, (f"{metric.label}: {show(value.value)}{bounds}",))
        if value.bounded:
            axes.plot([value.low, value.high], [y, y], color=style.INK, linewidth=1.1)
        edge = max(value.value, value.high if value.bounded else 0.0)
        axes.annotate(show(value.value), (edge, y), (4, 0), textcoords="offset points", size=SMALL,
                      color=style.MUTED, va="center_baseline", family=FAMILY)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))


def _description(program: Program) -> str:
    metric = program.leading
    show = shown(metric)
    said = [
        f"{style.short(cell.allocator)} {show(cell.measure(metric.key).value)}"
        for cell in program.cells
        if cell.measure(metric.key).present
    ]
    return f"{program.name} under each allocator, {metric.label}: {', '.join(said) or 'no data'}."
