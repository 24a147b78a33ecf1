"""Two views of lock contention: what an allocator counts, and what the system's kernel saw."""

from __future__ import annotations

from plots.data import Cell, Estimate, Run
from plots.numbers import share
from plots.paper import curves
from plots.paper.sheet import WIDTH, Drawing, Panel, caption, sheet

MILLION = 1e6


def contention(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw lock wait share, acquisitions and contended acquisitions of the allocators that count
    their own locks."""
    wait = curves.series(run, workload, curves.metric("lock_wait_share"))
    taken = curves.series(run, workload, _per_million("lock_acq_per_op"))
    contended = curves.series(run, workload, _per_million("lock_contended_per_op"))
    paper = sheet(
        [
            Panel("Lock wait", "share of thread time"),
            Panel("Acquisitions", "per million operations"),
            Panel("Contended", "per million operations"),
        ],
        f"{workload}: lock contention",
        "Only allocators that count their own locks; Linux's view covers everyone.",
        caption(run, workload, marks="Contended: taken after spinning or waiting."),
        width=width,
        labels=curves.names(wait + taken + contended),
    )
    curves.draw(paper, 0, wait, run, show=share, top=0.01)
    curves.draw(paper, 1, taken, run, scale="symlog", unit="per million operations")
    curves.draw(paper, 2, contended, run, scale="symlog", unit="per million operations")
    paper.figure.description = curves.summary(
        wait, f"lock wait of {workload} as a share of thread time", "", share
    )
    return paper.figure


def kernel(run: Run, workload: str, *, width: float = WIDTH) -> Drawing:
    """Draw voluntary switches, futex calls and system time, for every allocator."""
    switches = curves.series(run, workload, curves.metric("voluntary_per_mop"))
    futex = curves.series(run, workload, curves.metric("futex_per_mop"))
    system = curves.series(run, workload, curves.metric("system_share"))
    paper = sheet(
        [
            Panel("Voluntary switches", "per million operations"),
            Panel("Futex calls", "per million operations"),
            Panel("System time", "share of CPU time"),
        ],
        f"{workload}: what the system's kernel saw",
        "A thread that waits for a lock gives up its core: a voluntary switch, a futex call.",
        caption(run, workload, marks=curves.marks(switches)),
        width=width,
        labels=curves.names(switches + futex + system),
    )
    per = "per million operations"
    curves.draw(
        paper, 0, switches, run, scale="symlog", unit=per, why=why(run, "voluntary_per_mop")
    )
    curves.draw(paper, 1, futex, run, scale="symlog", unit=per, why=why(run, "futex_per_mop"))
    curves.draw(paper, 2, system, run, show=share, top=0.01, why=why(run, "system_share"))
    paper.figure.description = curves.summary(
        switches, f"voluntary context switches of {workload}", "per million operations"
    )
    return paper.figure


def why(run: Run, key: str) -> str:
    """Return why a metric is missing, in the first cell that says so."""
    for cell in run.cells:
        if key in cell.missing:
            return f"not measured: {cell.missing[key]}"
    return "no data"


def _per_million(key: str) -> curves.Reader:
    def read(cell: Cell) -> Estimate:
        found = cell.metric(key)
        return Estimate(found.value * MILLION, found.low * MILLION, found.high * MILLION)

    return read
