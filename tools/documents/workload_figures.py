"""The figures of docs/workloads.md, one small figure per kernel, from the kept measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator

from plots import style
from tools.repository import DOCS
from tools.workload_costs import Cell, Cost, load
from workloads.kernels import KERNELS
from workloads.named import catalogue

FOLDER = DOCS / "figures" / "workloads"
CORES = 2
"""Of the machine that the kept measurements are from."""

ALLOCATORS = ("system", "hakmem", "tcmalloc", "jemalloc", "mimalloc", "tbbmalloc")


def workloads_of(kernel: str, costs: Mapping[Cell, Cost]) -> list[str]:
    """The measured workloads of a kernel: those of the catalogue, or else one of its own name."""
    named = [name for name, workload in catalogue().items() if workload.kernel == kernel]
    measured = {cell[0] for cell in costs}
    return [name for name in named or [kernel] if name in measured]


def draw_one(kernel: str, costs: Mapping[Cell, Cost], path: Path) -> None:
    """Work for a second of CPU time against threads, a panel for each workload of the kernel."""
    matplotlib.use("svg")
    names = workloads_of(kernel, costs)
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": kernel, "font.size": 8}
    settings |= {"font.family": "sans-serif", "path.simplify": True}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        width = 1.9 * len(names) + 1.3
        figure, panels = pyplot.subplots(
            1, len(names), figsize=(width, 2.1), squeeze=False, layout="constrained"
        )
        for panel, name in zip(panels[0], names, strict=True):
            _panel(panel, name, costs)
        panels[0][0].set_ylabel(f"{KERNELS[kernel].unit} / CPU s")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=7)
        metadata: dict[str, Any] = {"Date": None, "Creator": None}
        figure.savefig(path, format="svg", metadata=metadata)
        pyplot.close(figure)


def _panel(axes: Axes, workload: str, costs: Mapping[Cell, Cost]) -> None:
    counts = sorted({cell[1] for cell in costs if cell[0] == workload})
    looks = style.looks(ALLOCATORS)
    for allocator in ALLOCATORS:
        points = [
            (n, costs[workload, n, allocator]) for n in counts if (workload, n, allocator) in costs
        ]
        if not points:
            continue
        axes.plot(
            [n for n, _ in points],
            [1e9 / cost.median for _, cost in points],
            color=looks[allocator].colour,
            marker=looks[allocator].marker,
            markersize=3,
            linewidth=1,
            label=allocator,
        )
    axes.axvline(CORES, color=style.REGION_EDGE, linewidth=0.8, linestyle=":", zorder=0)
    axes.axvspan(CORES, max(counts), color=style.REGION, linewidth=0, zorder=-1)
    # Above the panel, clear of the lines.
    above = axes.get_xaxis_transform()
    axes.text(CORES, 1.01, "oversubscribed", transform=above, fontsize=5, style="italic")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    # At least a factor of four from edge to edge, or noise would look like a finding.
    low, high = axes.get_ylim()
    spread = max(1.0, 2.0 / math.sqrt(high / low))
    axes.set_ylim(low / spread, high * spread)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.minorticks_off()
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.set_xlabel("threads")
    axes.set_title(workload, fontsize=8, pad=9)
    axes.spines[["top", "right"]].set_visible(False)


def draw() -> None:
    """Draw every figure."""
    costs = load()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for kernel in KERNELS:
        if workloads_of(kernel, costs):
            draw_one(kernel, costs, FOLDER / f"{kernel}.svg")
