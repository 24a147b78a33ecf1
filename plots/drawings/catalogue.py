"""Which figures a run has: each with a name, the section of the report it belongs to, and how to
draw it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from matplotlib.figure import Figure

from plots.data import Program, Run
from plots.drawings import (
    contention,
    heatmap,
    ladder,
    latency,
    memory,
    programs,
    scaling,
    suite,
    throughput,
    trials,
    usl,
)
from plots.drawings.fairness import fairness
from plots.paper import svg
from plots.paper.sheet import WIDTH, Drawing

Draw = Callable[[float], Drawing]


@dataclass(frozen=True)
class Entry:
    """One figure to be drawn. draw: takes the width in inches. section: of the report. workload:
    "" if it covers all. present: whether the run has any data for it."""

    name: str
    section: str
    workload: str
    title: str
    present: bool
    draw: Draw


def figures(run: Run, width: float = WIDTH) -> dict[str, Figure]:
    """Draw every figure the run has data for, by name; width in inches."""
    return {entry.name: entry.draw(width) for entry in entries(run) if entry.present}


# A sweep wants its figures as files and in a page: rendering is nearly all of the cost, so it is
# done once for as long as the run lives.
_rendered: WeakKeyDictionary[Run, dict[str, svg.Rendered]] = WeakKeyDictionary()


def rendered(run: Run, entry: Entry) -> svg.Rendered:
    """Return the entry of this run, rendered at the width of a report."""
    known = _rendered.setdefault(run, {})
    if entry.name not in known:
        known[entry.name] = svg.rendered(entry.draw(WIDTH))
    return known[entry.name]


def picks(run: Run) -> tuple[int, ...]:
    """Return the thread counts that stand for a run: fewest, as many as cores, most."""
    inside = [n for n in run.threads if n <= run.cores]
    chosen = [min(run.threads), max(inside, default=min(run.threads)), max(run.threads)]
    return tuple(dict.fromkeys(chosen))


def main_workload(run: Run) -> str:
    """Return the workload to show first."""
    names = [info.name for info in run.workloads]
    return run.main_workload if run.main_workload in names else names[0]


def entries(run: Run) -> list[Entry]:
    """Return all figures in reading order, the main workload first."""
    if run.programs:
        return [*_of_suite(run), *_of_programs(run)]
    first = main_workload(run)
    names = [first, *(info.name for info in run.workloads if info.name != first)]
    chosen = picks(run)
    all_over = [
        Entry("heatmap", "overview", "", "Every allocator in every workload",
              bool(run.baseline) and _has(run, "", "ratio") and len(run.allocators) > 1,
              lambda width: heatmap.heatmap(run, chosen, width=width)),
    ]  # fmt: skip
    return [*all_over, *(entry for name in names for entry in _of(run, name, chosen))]


def _of_suite(run: Run) -> Iterator[Entry]:
    whole = len(run.suite) > 1
    placed = sum(map(suite.placed, run.suite)) > 1
    yield Entry("suite", "suite", "", "Time against memory over all programs", placed,
                lambda width: suite.frontier(run, width=width))  # fmt: skip
    yield Entry("suite-cells", "suite", "", "Every program under every allocator", whole,
                lambda width: suite.cells(run, width=width))  # fmt: skip


def _of_programs(run: Run) -> Iterator[Entry]:
    """A figure for each program, in the section of its name; the only one's is "programs"."""
    for program in run.programs:
        name = "programs" if len(run.programs) == 1 else f"program-{_file(program.name)}"

        def draw(width: float, program: Program = program) -> Drawing:
            return programs.bars(run, program, width=width)

        measured = any(cell.trials for cell in program.cells)
        yield Entry(name, program.name, "", f"{program.name} under each allocator", measured, draw)


def _file(name: str) -> str:
    return name.replace(" × ", "-").replace("/", "-")


def _of(run: Run, name: str, chosen: tuple[int, ...]) -> Iterator[Entry]:
    several = len(run.threads) > 1
    upper = chosen[-2:]

    def entry(kind: str, section: str, title: str, draw: Draw, *, present: bool) -> Entry:
        return Entry(f"{kind}-{name}", section, name, title, present, draw)

    measured = any(c.throughput.present for c in run.cells if c.workload == name)
    yield entry(
        "throughput",
        "workload",
        "Throughput",
        lambda width: throughput.throughput(run, name, width=width),
        present=measured,
    )
    yield entry(
        "throughput-log",
        "workload",
        "Throughput, logarithmic",
        lambda width: throughput.throughput(run, name, scale="log", width=width),
        present=measured,
    )
    yield entry(
        "scaling",
        "workload",
        "Speedup and efficiency",
        lambda width: scaling.scaling(run, name, width=width),
        present=several and _has(run, name, "speedup"),
    )
    yield entry(
        "oversubscription",
        "workload",
        "More threads than cores",
        lambda width: scaling.oversubscription(run, name, width=width),
        present=max(run.threads) > run.cores and _has(run, name, "vs_cores"),
    )
    yield entry(
        "fairness",
        "workload",
        "Fairness",
        lambda width: fairness(run, name, width=width),
        present=several and _has(run, name, "fairness"),
    )
    yield entry(
        "usl",
        "workload",
        "Universal Scalability Law",
        lambda width: usl.usl(run, name, width=width),
        present=usl.fitted(run, name),
    )
    yield entry(
        "trials",
        "workload",
        "Every trial",
        lambda width: trials.trials(run, name, width=width),
        present=any(c.trial_throughput.size for c in run.cells if c.workload == name),
    )
    yield entry(
        "contention",
        "contention",
        "Locks, as the allocators count them",
        lambda width: contention.contention(run, name, width=width),
        present=_has(run, name, "lock_wait_share", "lock_acq_per_op"),
    )
    yield entry(
        "kernel",
        "contention",
        "What the system's kernel saw",
        lambda width: contention.kernel(run, name, width=width),
        present=_has(run, name, "voluntary_per_mop", "futex_per_mop", "system_share"),
    )
    yield entry(
        "percentiles",
        "latency",
        "Service time over threads",
        lambda width: latency.percentiles(run, name, width=width),
        present=_has(run, name, "malloc_p50_ns", "malloc_p99_ns", "free_p99_ns"),
    )
    yield entry(
        "latency",
        "latency",
        "The tail",
        lambda width: latency.latency_curves(run, name, upper, width=width),
        present=latency.has_curves(run, name),
    )
    yield entry(
        "memory",
        "memory",
        "What memory costs",
        lambda width: memory.memory(run, name, width=width),
        present=_has(run, name, "peak_over_live", "rss_peak", "drained_over_live"),
    )
    yield entry(
        "memory-time",
        "memory",
        "Memory over time",
        lambda width: memory.memory_over_time(run, name, upper, width=width),
        present=any(c.memory is not None for c in run.cells if c.workload == name),
    )
    yield entry(
        "ladder",
        "ladder",
        "What each rung buys",
        lambda width: ladder.ladder(run, name, chosen, width=width),
        present=any(
            rung.label == cell.allocator and cell.workload == name and cell.throughput.present
            for rung in run.ladder
            for cell in run.cells
        ),
    )


def _has(run: Run, workload: str, *keys: str) -> bool:
    return any(
        cell.metric(key).present
        for cell in run.cells
        if workload in ("", cell.workload)
        for key in keys
    )
