"""Several programs at once: who is on the frontier of time and memory, and every cell."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from plots import style
from plots.data import MISSING, Estimate, Program, ProgramCell, Run, SuiteRow
from plots.drawings.heatmap import shade
from plots.numbers import digits
from plots.paper.sheet import BODY, FAMILY, SMALL, WIDTH, Drawing, Panel, Tips, sheet, text_width

LEADING = "leading"
_LEAST = 0.27
"""Width of a cell that holds a ratio, inches."""
_HALF = 0.065
"""Half the height of a mark and of a name, inches."""
_NEAR = (0.12, -0.12, 0.24, -0.24, 0.36, -0.36, 0.48, -0.48)
"""How far above its mark a name may stand, the best first, inches."""
_PANELS = ((LEADING, "Time"), ("cpu_s", "CPU time"), ("rss_peak", "Peak memory"))


def frontier(run: Run, *, width: float = WIDTH) -> Drawing:
    """Draw each allocator's time against its peak memory, geometric means over all programs."""
    points = [row for row in run.suite if placed(row)]
    base = style.short(run.baseline)
    count = points[0].programs if points else 0
    paper = sheet(
        [Panel("Peak memory against time", f"ratios to {base}, lower left is better")],
        f"{count} programs under {len(points)} allocators",
        "Geometric means over the programs in which every allocator has a number. Line: beaten "
        "by no other in both.",
        f"Point: mean; bars: 95 % interval, each program's rounds resampled on their own. Source: "
        f"{run.source or run.title} ({run.host}, {run.cores} usable cores, seed {run.seed}).",
        width=width,
        height=3.6,
        left=0.8,
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
        (bars,) = axes.plot(
            [time.low, time.high, nan, time.value, time.value],
            [memory.value, memory.value, nan, memory.low, memory.high],
            color=look.colour,
            linewidth=1.1,
        )
        bars.set_gid(f"bars:{row.allocator}")
    _label(axes, points, looks)
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        near = MaxNLocator(6, steps=[1, 2, 5, 10])
        axis.set_major_locator(near if high < 4 * low else LogLocator(subs=(1, 2, 5)))
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
    every = [cell for program in run.programs for cell in program.cells]
    names = [program.name for program in run.programs]
    base = style.short(run.baseline)
    left = max((text_width(name, BODY) for name in names), default=0.5) + 0.25
    short = [style.short(label) for label in labels]
    failed = "; ×: no run succeeded" if any(map(_failed, every)) else ""
    step = max((text_width(label, SMALL) for label in short), default=0.5) + 0.12
    paper = sheet(
        [Panel(heading, f"/ {base}") for _, heading in _PANELS],
        f"Every program, as a ratio to {base}",
        "Below 1 is better. Blue: better; orange: worse; no fill: neither is sure (the interval "
        f"holds 1, or it is within {digits(run.noise_threshold * 100)} %){failed}.",
        "Median of paired ratios, one pair per round; time is what the program itself is compared "
        f"by. Source: {run.source or run.title} ({run.host}, seed {run.seed}).",
        width=width,
        height=max(0.5, 0.24 * len(names)),
        left=left,
        least=max(1.4, _LEAST * len(labels)),
        xlabel="",
        foot=0.15 + step * 0.72,
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
    faster = sum(cell.verdict == "better" for cell in every)
    slower = sum(cell.verdict == "worse" for cell in every)
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
        ratio = ratio.inverted()
    text, colour, ink, hatch = "–", "none", style.MUTED, None
    if cell is not None and _failed(cell):
        text, hatch = "×", "/////"
    elif ratio.present:
        text = _ratio(ratio.value)
        colour, ink = shade(ratio.inverted(), run.noise_threshold)
    x, y = at
    square = Rectangle((x + 0.02, y + 0.04), 0.96, 0.92, facecolor=colour, hatch=hatch,
                       edgecolor=style.GRID, linewidth=0.6)  # fmt: skip
    group = f"cell-{id(axes)}-{x}-{y}"
    square.set_gid(group)
    axes.add_patch(square)
    figure.tips[group] = Tips(
        label, (f"{style.short(label)}, {program.name}: {_bounded(ratio)} x",)
    )
    backing = {"facecolor": style.WHITE, "edgecolor": "none", "pad": 1.2} if hatch else None
    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center_baseline", family=FAMILY,
              size=SMALL - 0.5, color=ink, bbox=backing, parse_math=False)  # fmt: skip


def _failed(cell: ProgramCell) -> bool:
    return cell.failed > 0 and not cell.trials


def _ratio(value: float) -> str:
    """As many decimals everywhere, so that a column reads at a glance."""
    return f"{value:.2f}" if value < 10 else digits(value)


def _bounded(found: Estimate) -> str:
    if not found.bounded:
        return digits(found.value)
    return f"{digits(found.value)} [{digits(found.low)}, {digits(found.high)}]"


def _measures(row: SuiteRow) -> tuple[Estimate, Estimate]:
    return row.measure(LEADING), row.measure("rss_peak")


def placed(row: SuiteRow) -> bool:
    """Whether it has both means, and so a place in the frontier."""
    return all(found.present and found.value > 0 for found in _measures(row))


def _unbeaten(points: list[SuiteRow]) -> list[tuple[float, float]]:
    """(time, memory) of those that no other beats in both, by time."""
    places = sorted((time.value, memory.value) for time, memory in map(_measures, points))
    found: list[tuple[float, float]] = []
    for time, memory in places:
        if not found or memory < found[-1][1]:
            found.append((time, memory))
    return found


class _Box(NamedTuple):
    """A rectangle on the sheet, inches from its lower left corner."""

    left: float
    low: float
    right: float
    high: float

    def shared(self, other: _Box) -> float:
        """The area that both cover, square inches."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        tall = min(self.high, other.high) - max(self.low, other.low)
        return wide * tall if wide > 0 and tall > 0 else 0.0

    def outside(self, room: _Box) -> float:
        """The area that lies outside of a room, square inches."""
        return (self.right - self.left) * (self.high - self.low) - self.shared(room)


def _label(axes: Axes, points: list[SuiteRow], looks: Mapping[str, style.Look]) -> None:
    """Write each name at the nearest place beside its mark where it covers no mark, bar or other
    name; where there is none, at the one that covers least. Axis limits must be final."""
    figure = axes.figure
    assert isinstance(figure, Drawing)
    axes.get_xlim(), axes.get_ylim()  # only now are they what the marks ask for
    scale = figure.dpi_scale_trans

    def inches(x: float, y: float) -> tuple[float, float]:
        across, up = scale.inverted().transform(axes.transData.transform((x, y)))
        return float(across), float(up)

    centres = {}
    taken: list[_Box] = []
    names: list[_Box] = []
    for row in points:
        time, memory = _measures(row)
        x, y = centres[row.allocator] = inches(time.value, memory.value)
        taken.append(_Box(x - _HALF, y - _HALF, x + _HALF, y + _HALF))
        if time.bounded:
            taken.append(_Box(inches(time.low, memory.value)[0], y - 0.01,
                              inches(time.high, memory.value)[0], y + 0.01))  # fmt: skip
        if memory.bounded:
            taken.append(_Box(x - 0.01, inches(time.value, memory.low)[1],
                              x + 0.01, inches(time.value, memory.high)[1]))  # fmt: skip
    width, height = figure.get_size_inches()
    panel = axes.get_position()
    room = _Box(panel.x0 * width, panel.y0 * height, width - 0.05, panel.y1 * height + 0.15)
    for row in points:
        x, y = centres[row.allocator]
        text = style.short(row.allocator)
        long = text_width(text, BODY)
        places = [
            _Box(left, y + up - _HALF, left + long, y + up + _HALF)
            for up in _NEAR
            for left in (x + 0.08, x - 0.08 - long, x - long / 2)
        ]
        box = _freest(places, room, names, taken)
        names.append(box)
        name = figure.text(box.left / width, (box.low + box.high) / 2 / height, text, size=BODY,
                           color=looks[row.allocator].colour, family=FAMILY, parse_math=False,
                           va="center_baseline")  # fmt: skip
        name.set_gid(f"name:{row.allocator}")


def _freest(places: list[_Box], room: _Box, names: list[_Box], taken: list[_Box]) -> _Box:
    """The first that covers least; another name under it counts more than a mark or a bar."""

    def covered(box: _Box) -> float:
        hidden = box.outside(room) + sum(map(box.shared, names))
        return round(10 * hidden + sum(map(box.shared, taken)), 4)

    return min(places, key=covered)
