"""Tables of docs/workloads.md: the catalogue, the kernels and the keys, from the code."""

from __future__ import annotations

from plots.pages.table import markdown_table
from tools.documents import classics
from tools.documents.workload_figures import FOLDER
from tools.repository import DOCS
from workloads.engine import CALLS, PHASES, TOUCHES
from workloads.kernels import KERNELS
from workloads.named import catalogue
from workloads.sizes import KINDS
from workloads.spec import Workload


def names() -> str:
    """A row per workload: what it counts and does."""
    rows = [[f"`{w.name}`", w.unit, w.description] for w in catalogue().values()]
    return markdown_table(["name", "unit", "what a thread does"], rows, align="l")


def settings() -> str:
    """A row per workload: of what it is made."""
    rows = [
        [f"`{w.name}`", f"`{w.kernel}`", w.sizes.describe(), w.touch, _differences(w)]
        for w in catalogue().values()
    ]
    return markdown_table(["name", "kernel", "sizes", "touch", "settings"], rows, align="l")


def _differences(workload: Workload) -> str:
    """What the workload sets beyond kernel, sizes and defaults."""
    parts = [f"{name} {value}" for name, value in workload.parameters.items()]
    if workload.life:
        parts.append(f"life {workload.life}")
    if workload.work:
        parts.append(f"work {workload.work}")
    if dict(workload.calls) != {"malloc": 1.0}:
        parts.append("calls " + " + ".join(workload.calls))
    return ", ".join(parts) or "none"


def kernels() -> str:
    """A section per kernel: its figure and its parameters."""
    header = ["parameter", "default", "allowed", "unit", "meaning"]
    sections = []
    for kernel in KERNELS.values():
        figure = f"{FOLDER.relative_to(DOCS)}/{kernel.name}.svg"
        rows = [
            [f"`{p.name}`", str(p.default), p.allowed(), p.unit or "-", p.description]
            for p in kernel.parameters
        ]
        sections.append(
            f"### `{kernel.name}`\n\n{kernel.description}. Counts {kernel.unit}.\n\n"
            f"![{kernel.unit} per second of CPU time against threads]({figure})\n\n"
            + markdown_table(header, rows, align="l")
        )
    return "\n\n".join(sections)


def axes() -> str:
    """A row per key of a workload."""
    rows = (
        ("`sizes`", "a distribution of block sizes in bytes, see below", "needed"),
        ("`calls`", f"weights of {', '.join(CALLS)}", "malloc only"),
        ("`alignments`", "weights of powers of two, in bytes, for aligned_alloc", "64"),
        ("`touch`", f"what is written into a new block: {', '.join(TOUCHES)}", "first"),
        ("`work`", "iterations of arithmetic after each allocation, about 1 ns each", "0"),
        ("`life`", "operations in a thread's life, then a successor takes over; 0: for ever", "0"),
        (
            "`phases`",
            f"list of `kind` ({', '.join(PHASES)}) and `seconds`, repeated until the window ends",
            "steady",
        ),
        (
            "`unit`",
            "what is counted: operations, threads (started), or the kernel's own",
            "operations",
        ),
        ("`parameters`", "the kernel's, see above", "the kernel's"),
    )
    return markdown_table(["key", "values", "default"], rows, align="l")


def kinds() -> str:
    """A row per distribution of sizes: the keys it needs."""
    rows = [[f"`{kind}`", ", ".join(f"`{key}`" for key in keys)] for kind, keys in KINDS.items()]
    return markdown_table(["kind", "keys"], rows, align="l")


def example() -> str:
    """A workload of the catalogue as a file."""
    return f"```toml\n{catalogue()['aligned'].to_toml()}```"


PARTS = {
    "catalogue": names,
    "settings": settings,
    "kernels": kernels,
    "axes": axes,
    "kinds": kinds,
    "example": example,
    "order": classics.order,
    "claims": classics.claims,
    "only_free": classics.only_free,
}
