"""Every trial in the order it ran, relative to its cell, so that drift has nowhere to hide."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from plots import style
from plots.data import Run
from plots.numbers import digits
from plots.numbers import threads as thread_count
from plots.paper import curves
from plots.paper.labels import End, key
from plots.paper.sheet import WIDTH, Drawing, Panel, Tips, caption, sheet

# The running median takes this share of the trials on each side.
WINDOW = 0.04


def trials(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw each good trial's throughput relative to its cell's median, over the order of trials."""
    looks = style.looks(a.label for a in run.allocators)
    shown = [a.label for a in run.allocators]
    paper = sheet(
        [Panel("Deviation", "from the median of the cell")],
        f"{workload}: every trial in the order it ran",
        "A slope or a step that all share is the machine drifting; rounds are randomised so that "
        "it hits everyone alike.",
        caption(run, workload, marks="Dark line: running median of all. Ring: modified z > 3.5."),
        width=width,
        height=2.6,
        labels=[style.short(label) for label in shown],
        xlabel="place of the trial in the run",
    )
    axes = paper.axes[0]
    places: list[float] = []
    values: list[float] = []
    ends: list[End] = []
    for number, label in enumerate(shown):
        x: list[float] = []
        y: list[float] = []
        flagged: list[bool] = []
        tips: list[str] = []
        for cell in run.curve(label, workload):
            middle = float(np.median(cell.trial_throughput)) if cell.trial_throughput.size else 0.0
            if middle <= 0:
                continue
            x += cell.trial_order.tolist()
            deviations = (cell.trial_throughput / middle - 1).tolist()
            y += deviations
            marks = cell.flagged.tolist() or [False] * len(deviations)
            flagged += marks
            tips += [f"{thread_count(cell.threads)}: {digits(d * 100, 2)}" for d in deviations]
        if not x:
            continue
        look = looks[label]
        (dots,) = axes.plot(x, y, linestyle="none", marker=look.marker or ".", markersize=3.8,
                            color=look.colour, alpha=0.75, markeredgewidth=0, zorder=3)  # fmt: skip
        group = f"series-0-{number}"
        dots.set_gid(group)
        paper.figure.tips[group] = Tips(
            label, tuple(tips), f"{style.short(label)}, ", " % off its cell's median"
        )
        far = np.flatnonzero(flagged)
        if far.size:
            (rings,) = axes.plot(np.array(x)[far], np.array(y)[far], linestyle="none", marker="o",
                                 markersize=8, markerfacecolor="none", markeredgecolor=style.INK,
                                 markeredgewidth=0.8, zorder=4)  # fmt: skip
            rings.set_gid(f"rings:{label}")
        ends.append(End(label, style.short(label), 0.0, 0.0, look))
        places += x
        values += y
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{digits(value * 100, 3)} %"))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if not places:
        axes.set_yticks([])
        curves.nothing(axes)
        paper.figure.description = f"No single trials of {workload}."
        return paper.figure
    order = np.argsort(places)
    x_all, y_all = np.array(places)[order], np.array(values)[order]
    low, high = min(-0.02, float(y_all.min())), max(0.02, float(y_all.max()))
    pad = 0.06 * (high - low)
    axes.set_ylim(low - pad, high + pad)
    axes.axhline(0, color=style.NEUTRAL, linewidth=0.8, zorder=1)
    half = max(2, int(len(x_all) * WINDOW))
    running = [float(np.median(y_all[max(0, i - half) : i + half + 1])) for i in range(len(x_all))]
    step = max(1, len(x_all) // 80)
    axes.plot(x_all[::step], running[::step], color=style.INK, linewidth=1.3, zorder=5)
    key(axes, ends)
    wander = max(abs(value) for value in running)
    paper.figure.description = (
        f"{len(places)} trials of {workload} in the order they ran. The running median wanders by "
        f"at most {digits(wander * 100, 2)} %; the farthest trial is "
        f"{digits(float(np.abs(y_all).max()) * 100, 2)} % off its cell's median."
    )
    return paper.figure
