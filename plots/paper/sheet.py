"""The paper a figure is drawn on: title, a grid of panels, a caption, all laid out in inches.

The layout is fixed arithmetic instead of a layout engine, because direct labels have to know where
the panels are before anything is rendered, and because it makes the same figure every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from plots import style
from plots.data import Run
from plots.numbers import digits, spread

WIDTH = 10.0
FAMILY = "DejaVu Sans"
TITLE, HEADING, BODY, SMALL = 12.0, 9.5, 8.5, 7.5
LEFT, GAP, EDGE = 0.62, 0.72, 0.16
HEAD, PANEL_HEAD, FOOT = 0.62, 0.36, 0.52
LINE = 0.155
# Hinted glyphs on a pixel grid come out a little wider than their outlines.
HINTED = 1.05
# In a long line of small text at 72 dpi that adds up to twice as much.
PROSE = 0.95


@dataclass(frozen=True)
class Tips:
    """What a group of marks says when pointed at: the allocator, and for each mark its line with
    what all lines of the group share before and after it."""

    label: str
    lines: tuple[str, ...]
    before: str = ""
    after: str = ""


class Drawing(Figure):
    """A figure that also knows its words.

    description: alternative text with the actual finding. tips: by the group id of the marks.
    """

    description: str
    tips: dict[str, Tips]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.description = ""
        self.tips = {}


@dataclass(frozen=True)
class Panel:
    """The heading of one panel: what is drawn, and in which unit ("" if it has none)."""

    heading: str
    unit: str = ""


@dataclass
class Sheet:
    """A laid-out figure. room: inches right of each row's last panel, for direct labels."""

    figure: Drawing
    axes: list[Axes]
    columns: int
    room: float
    row_ends: list[int] = field(default_factory=list)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a line in inches; size in points."""
    font = FontProperties(family=FAMILY, size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72 * HINTED


def wrapped(text: str, inches: float, size: float) -> list[str]:
    """Return the text in lines no wider than so many inches, broken between words."""
    inches *= PROSE
    space = text_width("n n", size) - text_width("nn", size)
    lines: list[str] = []
    line, length = "", 0.0
    for word in text.split():
        width = text_width(word, size)
        if line and length + space + width > inches:
            lines.append(line)
            line, length = word, width
        else:
            line, length = f"{line} {word}".strip(), length + (space if line else 0) + width
    return [*lines, line] if line else lines


def sheet(
    panels: Sequence[Panel],
    title: str,
    subtitle: str,
    caption: str,
    *,
    width: float = WIDTH,
    height: float = 2.9,
    labels: Iterable[str] = (),
    least: float = 1.75,
    left: float = LEFT,
    xlabel: str = "threads",
    foot: float = FOOT,
) -> Sheet:
    """Lay out panels in rows. width: of the figure, inches. height: of a panel, inches. labels:
    direct labels that need room at the right. least: a panel's smallest width, inches; panels
    wrap into further rows rather than get narrower. foot: below a panel, inches."""
    room = max((text_width(text, BODY) for text in labels), default=0.0)
    room = min(room + 0.4, max(width * 0.4, width - left - 1.35)) if room else EDGE
    usable = width - left - room
    columns = max(1, min(len(panels), int((usable + GAP) // (least + GAP))))
    rows = ceil(len(panels) / columns)
    columns = ceil(len(panels) / rows)
    panel_width = (usable - GAP * (columns - 1)) / columns
    heading = wrapped(title, width - 2 * EDGE, TITLE)
    under = wrapped(subtitle, width - 2 * EDGE, BODY)
    lines = wrapped(caption, width - 2 * EDGE, SMALL)
    head = HEAD + 0.2 * (len(heading) - 1) + LINE * (len(under) - 1)
    stacked = any(
        text_width(f"{panel.heading}  {panel.unit}", HEADING, "bold") > panel_width
        for panel in panels
    )
    row_height = PANEL_HEAD + (LINE if stacked else 0) + height + foot
    total = head + rows * row_height + LINE * len(lines) + 0.12
    figure = Drawing(figsize=(width, total), dpi=100, facecolor="none")

    def write(x: float, y: float, text: str, size: float, colour: str, weight: str) -> None:
        figure.text(x / width, y / total, text, size=size, color=colour, weight=weight,
                    family=FAMILY, va="top", ha="left", parse_math=False)  # fmt: skip

    y = total - 0.1
    for line in heading:
        write(EDGE, y, line, TITLE, style.INK, "bold")
        y -= 0.2
    for line in under:
        write(EDGE, y - 0.03, line, BODY, style.MUTED, "normal")
        y -= LINE
    for place, line in enumerate(lines):
        write(EDGE, 0.08 + LINE * (len(lines) - place), line, SMALL, style.MUTED, "normal")
    made = Sheet(figure, [], columns, room)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        bottom = total - head - (row + 1) * row_height + foot
        start = left + column * (panel_width + GAP)
        axes = figure.add_axes(
            (start / width, bottom / total, panel_width / width, height / total),
            facecolor="none",
        )
        _dress(axes, xlabel)
        _head(axes, panel, stacked=stacked)
        made.axes.append(axes)
        if column == columns - 1 or index == len(panels) - 1:
            made.row_ends.append(index)
    return made


def _dress(axes: Axes, xlabel: str) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(style.MUTED)
    axes.spines["bottom"].set_linewidth(0.8)
    axes.tick_params(axis="both", which="both", length=0, labelsize=BODY, labelcolor=style.MUTED,
                     labelfontfamily=FAMILY, pad=4)  # fmt: skip
    axes.tick_params(axis="x", which="major", length=3, color=style.MUTED, width=0.8)
    axes.grid(axis="y", color=style.GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, size=BODY, color=style.MUTED, family=FAMILY, labelpad=3)


def _head(axes: Axes, panel: Panel, *, stacked: bool) -> None:
    """Write the heading over a panel and the unit beside it, or under it where that is too wide."""
    above = 9 + (LINE * 72 if stacked else 0)
    axes.annotate(panel.heading, (0, 1), (0, above), xycoords="axes fraction",
                  textcoords="offset points", size=HEADING, weight="bold", color=style.INK,
                  family=FAMILY, va="bottom", parse_math=False)  # fmt: skip
    shift = 0 if stacked else text_width(panel.heading, HEADING, "bold") * 72 + 6
    axes.annotate(panel.unit, (0, 1), (shift, 9), xycoords="axes fraction",
                  textcoords="offset points", size=BODY, color=style.MUTED, family=FAMILY,
                  va="bottom", parse_math=False)  # fmt: skip


def caption(run: Run, workload: str, *, marks: str = "", latency: int = 0) -> str:
    """Return the source line of a figure: what the marks are, how many samples, from where.

    workload: whose cells are counted, "" for all. latency: number of timed calls, 0 to leave out.
    """
    cells = [cell for cell in run.cells if workload in ("", cell.workload)]
    good = [cell.trials for cell in cells if cell.trials]
    parts = [marks] if marks else []
    single = ", so no intervals" if good and max(good) == 1 else ""
    parts.append(f"Trials per cell: {spread(good)}{single}.")
    if run.window_s == run.window_s:
        parts.append(f"Window {digits(run.window_s)} s.")
    if latency:
        parts.append(f"Timed calls: {latency:,}.".replace(",", " "))
    failed = gaps(run, workload)
    if failed:
        parts.append(f"Gaps are failed cells: {failed}.")
    where = f"{run.host}, {run.cores} usable cores, seed {run.seed}"
    parts.append(f"Source: {run.source or run.title} ({where}).")
    return " ".join(parts)


def gaps(run: Run, workload: str) -> str:
    """Return which cells of a workload ("" for all) hold no number because trials failed."""
    failed: dict[str, list[int]] = {}
    for cell in run.cells:
        if cell.failed and not cell.throughput.present and workload in ("", cell.workload):
            failed.setdefault(style.short(cell.allocator), []).append(cell.threads)
    if workload == "":
        return ", ".join(f"{label} ({len(counts)})" for label, counts in failed.items())
    everywhere = len({cell.threads for cell in run.cells if cell.workload == workload})
    texts = []
    for label, counts in failed.items():
        at = "everywhere" if len(counts) == everywhere else f"at {', '.join(map(str, counts))}"
        texts.append(f"{label} {at}")
    return "; ".join(texts)
