"""Names beside the ends of lines, moved apart so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from plots import style
from plots.paper.sheet import BODY, FAMILY, Drawing

PITCH = 11.5 / 72


@dataclass(frozen=True)
class End:
    """Where a line ends: its label, shown text and last point in data units."""

    label: str
    text: str
    x: float
    y: float
    look: style.Look


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places as near as can be (least squares) to the wanted ones, in the same order, at
    least `gap` apart and within [low, high]; evenly squeezed if there is not room for all.

    Pool-adjacent-violators on wanted[i] - i * gap, after Barlow et al., Statistical Inference
    under Order Restrictions (1972). `wanted` must be rising.
    """
    count = len(wanted)
    if count == 0:
        return []
    if (count - 1) * gap > high - low:
        gap = (high - low) / (count - 1)
    blocks: list[tuple[float, int]] = []
    for index, place in enumerate(wanted):
        blocks.append((place - index * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, size), (before, earlier) = blocks.pop(), blocks.pop()
            blocks.append(((mean * size + before * earlier) / (size + earlier), size + earlier))
    ceiling = high - (count - 1) * gap
    places = []
    for mean, size in blocks:
        places += [min(max(mean, low), ceiling)] * size
    return [place + index * gap for index, place in enumerate(places)]


def beside(axes: Axes, ends: Sequence[End]) -> None:
    """Write each label right of the panel, level with its line's end or as near as there is room,
    with a thin leader. Axis limits must be final."""
    figure = axes.figure
    assert isinstance(figure, Drawing)
    _, total = figure.get_size_inches()
    box = axes.get_position()
    bottom, top = box.y0 * total, box.y1 * total
    dpi = figure.dpi
    pixels = {end: axes.transData.transform((end.x, end.y)) for end in ends}
    ordered = sorted(ends, key=lambda end: float(pixels[end][1]))
    wanted = [min(max(float(pixels[end][1]) / dpi, bottom), top) for end in ordered]
    places = spread(wanted, PITCH, bottom - 0.05, top + 0.12)
    width = figure.get_size_inches()[0]
    edge = box.x1 * width
    for end, level, place in zip(ordered, wanted, places, strict=True):
        start = float(pixels[end][0]) / dpi
        colour = style.MUTED if end.look is style.NULL else end.look.colour
        early = start < edge - 0.35
        figure.add_artist(
            _leader([(start + 0.06) / width, (edge + 0.1) / width, (edge + 0.2) / width],
                    [level / total, (level if not early else place) / total, place / total],
                    colour, (0, (1, 2.5)) if early else "-", f"leader:{end.label}")
        )  # fmt: skip
        _name(figure, (edge + 0.24) / width, place / total, end)


def key(axes: Axes, ends: Sequence[End]) -> None:
    """Write marker and label of each in a column right of the panel, for marks without an end
    that a label could stand at. x and y of the ends are not used."""
    figure = axes.figure
    assert isinstance(figure, Drawing)
    width, total = figure.get_size_inches()
    box = axes.get_position()
    edge, top = box.x1 * width, box.y1 * total
    step = min(PITCH * 1.15, box.height * total / max(1, len(ends) - 1))
    for index, end in enumerate(ends):
        place = (top - 0.04 - index * step) / total
        mark = Line2D([(edge + 0.16) / width], [place], color=end.look.colour, linestyle="none",
                      marker=end.look.marker or ".", markersize=5)  # fmt: skip
        mark.set_gid(f"leader:{end.label}")
        figure.add_artist(mark)
        _name(figure, (edge + 0.28) / width, place, end)


def _name(figure: Drawing, x: float, y: float, end: End) -> None:
    colour = style.MUTED if end.look is style.NULL else end.look.colour
    weight = "bold" if end.look.width > 2.2 else "normal"
    name = figure.text(x, y, end.text, size=BODY, color=colour, va="center_baseline", ha="left",
                       family=FAMILY, weight=weight, parse_math=False)  # fmt: skip
    name.set_gid(f"name:{end.label}")


def _leader(x: list[float], y: list[float], colour: str, dash: style.LineStyle, gid: str) -> Line2D:
    line = Line2D(x, y, color=colour, linewidth=0.6, alpha=0.7, linestyle=dash)
    line.set_gid(gid)
    return line
