"""The registry ladder: what each rung buys, lowest at the bottom."""

from __future__ import annotations

from math import isfinite

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from plots import style
from plots.data import Run
from plots.numbers import compact, digits
from plots.numbers import threads as thread_count
from plots.paper import curves
from plots.paper.sheet import (
    BODY,
    FAMILY,
    SMALL,
    WIDTH,
    Drawing,
    Panel,
    Tips,
    caption,
    sheet,
    text_width,
)


def ladder(run: Run, workload: str, threads: tuple[int, ...], *, width: float = WIDTH) -> Drawing:
    """Draw the throughput of each rung, a panel for each of `threads`, and memory at the last."""
    info = run.workload(workload)
    left = max((text_width(rung.name, BODY) for rung in run.ladder), default=0.6) + 0.25
    panels = [Panel(thread_count(n, run.cores), f"{info.unit} per second") for n in threads]
    most = max(threads)
    paper = sheet(
        [*panels, Panel("Memory", f"peak over live, {thread_count(most)}")],
        f"{workload}: the registry ladder",
        " · ".join(f"{rung.name}: {rung.isolates}" for rung in run.ladder if rung.isolates),
        caption(run, workload, marks="Bold: ratio of medians to the rung below."),
        width=width,
        height=max(0.7, 0.36 * len(run.ladder)),
        left=left,
        least=1.5,
        xlabel="",
    )
    said: list[str] = []
    for index, count in enumerate(threads):
        said.append(_rungs(paper.axes[index], run, workload, count, index, "", paper.columns))
    _rungs(paper.axes[-1], run, workload, most, len(threads), "peak_over_live", paper.columns)
    found = " ".join(sentence for sentence in said if sentence)
    paper.figure.description = f"The registry ladder in {workload}. {found or 'No data.'}"
    return paper.figure


def _rungs(
    axes: Axes, run: Run, workload: str, threads: int, index: int, key: str, columns: int
) -> str:
    figure = axes.figure
    assert isinstance(figure, Drawing)
    looks = style.looks(rung.label for rung in run.ladder)
    axes.grid(visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.7)
    axes.set_ylim(-0.6, len(run.ladder) - 0.4)
    first = index % columns == 0
    axes.set_yticks(range(len(run.ladder)), [rung.name if first else "" for rung in run.ladder])
    below, top, said = float("nan"), 0.0, ""
    values = []
    for y, rung in enumerate(run.ladder):
        cell = run.cell(rung.label, workload, threads)
        found = (cell.metric(key) if key else cell.throughput) if cell else None
        values.append((y, rung, found))
        if found is not None and found.present:
            top = max(top, found.value, found.high if isfinite(found.high) else 0.0)
    room = 1.95 if key == "" else 1.4
    axes.set_xlim(0, (top or 1.0) * room)
    for y, rung, found in values:
        if found is None or not found.present:
            axes.text(top * 0.02, y, "no number", size=SMALL, color=style.MUTED, style="italic",
                      va="center_baseline", family=FAMILY)  # fmt: skip
            below = float("nan")
            continue
        look = looks[rung.label]
        (bar,) = axes.barh(y, found.value, height=0.62, color=look.colour, linewidth=0)
        group = f"cell-{index}-{y}"
        bar.set_gid(group)
        figure.tips[group] = Tips(rung.label, (
            f"{rung.name}, {thread_count(threads)}: {compact(found.value)}"
            + (f" [{compact(found.low)}, {compact(found.high)}]" if found.bounded else ""),
        ))  # fmt: skip
        if found.bounded:
            axes.plot([found.low, found.high], [y, y], color=style.INK, linewidth=1.1)
        edge = max(found.value, found.high if found.bounded else 0.0)
        text = compact(found.value) if key == "" else f"{digits(found.value)} x"
        axes.annotate(text, (edge, y), (4, 0), textcoords="offset points", size=SMALL,
                      color=style.MUTED, va="center_baseline", family=FAMILY)  # fmt: skip
        if key == "" and isfinite(below) and below > 0:
            shift = 8 + text_width(text, SMALL) * 72
            axes.annotate(f"× {digits(found.value / below)}", (edge, y), (shift, 0),
                          textcoords="offset points", size=SMALL, weight="bold", color=style.INK,
                          va="center_baseline", family=FAMILY)  # fmt: skip
            said = f"top rung {compact(found.value)}"
        below = found.value
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    present = [found for _, _, found in values if found is not None and found.present]
    if not present:
        curves.nothing(axes)
        return ""
    whole = present[-1].value / present[0].value if present[0].value else float("nan")
    threads_text = thread_count(threads)
    return f"At {threads_text}: {said}, {digits(whole)} times the lowest." if said else ""
