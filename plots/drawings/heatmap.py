"""Allocator by workload as a ratio to a baseline: the whole run on one page."""

from __future__ import annotations

from math import isfinite, log2, radians, sin

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from plots import style
from plots.data import Cell, Estimate, Run
from plots.numbers import digits
from plots.numbers import threads as thread_count
from plots.paper.sheet import (
    BODY,
    FAMILY,
    FOOT,
    SMALL,
    WIDTH,
    Drawing,
    Panel,
    Tips,
    caption,
    sheet,
    text_width,
)

# From much slower to much faster; orange and blue are told apart by every common colour vision
# and the text in each cell says the number. These are the same on light and dark pages.
SLOWER = ("#fde3cf", "#f9b98a", "#ec8a4c", "#b95713")
FASTER = ("#d8e8f8", "#9cc5ee", "#5a9bdc", "#1f62a8")
STEPS = (0.0, 0.25, 1.0, 2.0)
DARK_TEXT, LIGHT_TEXT = "#101418", "#fdfdfd"

# Degrees at which names stand that are too long for their column, and how deep each inch reaches.
ANGLE = 28
SLANT = sin(radians(ANGLE))


def seen(ratio: Estimate, noise: float, *, doubtful: bool = False) -> str:
    """Return "faster", "slower" or "same": a difference counts only if the interval excludes 1, the
    effect exceeds the noise threshold and it is not doubtful; without an interval it is "same"."""
    if (
        doubtful
        or not ratio.bounded
        or ratio.low <= 1 <= ratio.high
        or abs(ratio.value - 1) <= noise
    ):
        return "same"
    return "faster" if ratio.value > 1 else "slower"


def heatmap(run: Run, threads: tuple[int, ...], *, width: float = WIDTH) -> Drawing:
    """Draw a panel for each of `threads`: allocators down, workloads across."""
    rows = [a.label for a in run.allocators if a.kind != "null" and a.label != run.baseline]
    names = [workload.name for workload in run.workloads]
    left = max((text_width(style.short(label), BODY) for label in rows), default=0.5) + 0.25
    step = max((text_width(name, SMALL) for name in names), default=0.5) + 0.12
    base = style.short(run.baseline) or "none"
    paper = sheet(
        [Panel(thread_count(n, run.cores), f"throughput / {base}") for n in threads],
        f"Ratio to {base}",
        "Blue: faster; orange: slower; no fill: neither is sure (an interval holds 1, or the "
        f"effect is within {digits(run.noise_threshold * 100)} %).",
        caption(run, "", marks="Median of paired ratios, one pair per round."),
        width=width,
        height=max(0.5, 0.27 * len(rows)),
        left=left,
        least=min(max(1.2, 0.44 * len(names)), width - left - 0.3),
        xlabel="",
        foot=max(FOOT, SLANT * step + 0.1),
    )
    said: list[str] = []
    for index, count in enumerate(threads):
        axes = paper.axes[index]
        axes.set_xlim(0, max(1, len(names)))
        axes.set_ylim(len(rows) or 1, 0)
        axes.grid(visible=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([i + 0.5 for i in range(len(names))], names, size=SMALL)
        axes.tick_params(axis="x", length=0)
        inches = axes.get_position().width * width / max(1, len(names))
        if step > inches + 0.08:
            axes.set_xticks([i + 0.5 for i in range(len(names))], names, size=SMALL,
                            rotation=ANGLE, ha="right", rotation_mode="anchor")  # fmt: skip
        first = index % paper.columns == 0
        axes.set_yticks([i + 0.5 for i in range(len(rows))],
                        [style.short(label) if first else "" for label in rows])  # fmt: skip
        for y, label in enumerate(rows):
            for x, name in enumerate(names):
                _square(axes, x, y, run, run.cell(label, name, count), (label, name), inches)
        said.append(_sentence(run, rows, names, count))
    paper.figure.description = f"Throughput as a ratio to {base}. {' '.join(said)}"
    return paper.figure


def _square(
    axes: Axes, x: int, y: int, run: Run, cell: Cell | None, key: tuple[str, str], inches: float
) -> None:
    figure = axes.figure
    assert isinstance(figure, Drawing)
    ratio = cell.metric("ratio") if cell else Estimate(float("nan"))
    text, colour, ink, hatch = "–", "none", style.MUTED, None
    if cell is not None and cell.failed and not cell.throughput.present:
        text, hatch = "failed", "/////"
    elif ratio.present:
        text = f"{digits(ratio.value, 3 if inches > 0.42 else 2)}"
        colour, ink = shade(ratio, run.noise_threshold, doubtful=bool(cell and cell.doubtful))
    square = Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, facecolor=colour, hatch=hatch,
                       edgecolor=style.GRID, linewidth=0.6)  # fmt: skip
    group = f"cell-{axes.get_label() or id(axes)}-{x}-{y}"
    square.set_gid(group)
    axes.add_patch(square)
    bounds = f" [{digits(ratio.low)}, {digits(ratio.high)}]" if ratio.bounded else ""
    threads = cell.threads if cell else 0
    figure.tips[group] = Tips(
        key[0],
        (f"{style.short(key[0])}, {key[1]}, {thread_count(threads)}: {text} x{bounds}",),
    )
    backing = {"facecolor": style.WHITE, "edgecolor": "none", "pad": 1.2} if hatch else None
    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center_baseline", family=FAMILY,
              size=SMALL if inches > 0.42 else SMALL - 1, color=ink, bbox=backing,
              parse_math=False)  # fmt: skip


def shade(ratio: Estimate, noise: float, *, doubtful: bool = False) -> tuple[str, str]:
    """Return the fill ("none" if no difference was seen) and the text colour of a ratio."""
    verdict = seen(ratio, noise, doubtful=doubtful)
    if verdict == "same" or not isfinite(ratio.value) or ratio.value <= 0:
        return "none", style.INK
    size = abs(log2(ratio.value))
    place = max(i for i, least in enumerate(STEPS) if size >= least)
    ramp = FASTER if verdict == "faster" else SLOWER
    return ramp[place], LIGHT_TEXT if place == len(STEPS) - 1 else DARK_TEXT


def _sentence(run: Run, rows: list[str], names: list[str], count: int) -> str:
    faster = slower = total = 0
    for label in rows:
        for name in names:
            cell = run.cell(label, name, count)
            if cell is None or not cell.metric("ratio").present:
                continue
            total += 1
            verdict = seen(cell.metric("ratio"), run.noise_threshold, doubtful=cell.doubtful)
            faster += verdict == "faster"
            slower += verdict == "slower"
    threads = thread_count(count)
    return f"At {threads}: {faster} of {total} cells faster, {slower} slower."
