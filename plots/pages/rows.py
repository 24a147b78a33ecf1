"""The rows of every table in a report, as text with the raw value to sort by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from plots.data import Cell, Estimate, Failure, LockRow, Program, ProgramCell, Run, UslFit
from plots.drawings import programs
from plots.numbers import ABSENT, compact, digits, interval, nanoseconds, share, times

Show = Callable[[float], str]
LOCKS_SHOWN = 40


@dataclass(frozen=True)
class Column:
    """A column heading. number: whether its values are right-aligned numbers."""

    heading: str
    meaning: str
    number: bool = True


@dataclass(frozen=True)
class Value:
    """One table cell: text, smaller text, the number to sort by ("" if missing), CSS class."""

    text: str
    raw: str
    more: str = ""
    style: str = "n"


@dataclass(frozen=True)
class Row:
    """One row of a cell table."""

    allocator: str
    workload: str
    threads: int
    values: tuple[Value, ...]


@dataclass(frozen=True)
class LockLine:
    """One row of the lock table."""

    allocator: str
    lock: str
    workload: str
    threads: int
    values: tuple[Value, ...]


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one cell that look alike."""

    allocator: str
    workload: str
    threads: int
    trials: int
    status: str
    reason: str
    signal: str
    exit_code: int | None
    tail: str


# key, heading, how to show it
EXPLAINING: tuple[tuple[str, str, Show], ...] = (
    ("speedup", "Speedup", times),
    ("efficiency", "Efficiency", share),
    ("malloc_p99_ns", "malloc p99", nanoseconds),
    ("voluntary_per_mop", "Switches / Mop", compact),
    ("system_share", "System time", share),
    ("peak_over_live", "Peak / live", times),
    ("fairness", "Fairness", digits),
)
KEYS = (Column("Allocator", "label", number=False), Column("Workload", "name", number=False))


def columns(run: Run) -> tuple[Column, ...]:
    """Return the headings of the cell table."""
    meanings = {
        "speedup": "X(N) / X(1)",
        "efficiency": "speedup / N",
        "malloc_p99_ns": "99th percentile of malloc's service time",
        "voluntary_per_mop": "voluntary context switches per million operations",
        "system_share": "share of CPU time spent in the system's kernel",
        "peak_over_live": "peak resident memory over bytes alive",
        "fairness": "Jain's index over threads",
    }
    ratio = Column(f"× {run.baseline}", f"paired ratio of throughput to {run.baseline}")
    return (
        *KEYS,
        Column("Threads", "number of threads"),
        Column("Throughput / s", "median with bootstrap 95 % interval"),
        *([ratio] if run.baseline else []),
        *(Column(heading, meanings[key]) for key, heading, _ in EXPLAINING),
        Column("Trials", "good trials; failed ones in red"),
    )


def rows(run: Run) -> list[Row]:
    """Return a row for each cell, in the run's order of workloads, allocators and threads."""
    found = []
    for info in run.workloads:
        for allocator in run.allocators:
            for cell in run.curve(allocator.label, info.name):
                values = [throughput(cell)]
                if run.baseline:
                    values.append(_value(cell.metric("ratio"), times))
                values += [_value(cell.metric(key), show) for key, _, show in EXPLAINING]
                values.append(_trials(cell))
                found.append(Row(allocator.label, info.name, cell.threads, tuple(values)))
    return found


def rows_side_by_side(runs: Sequence[Run]) -> list[Row]:
    """Return a row for each cell that any run has, with each run's throughput."""
    names = dict.fromkeys(info.name for run in runs for info in run.workloads)
    labels = dict.fromkeys(a.label for run in runs for a in run.allocators)
    counts = sorted({cell.threads for run in runs for cell in run.cells})
    measured = {(c.workload, c.allocator, c.threads) for run in runs for c in run.cells}
    return [
        Row(label, name, count, tuple(throughput(run.cell(label, name, count)) for run in runs))
        for name in names
        for label in labels
        for count in counts
        if (name, label, count) in measured
    ]


def throughput(cell: Cell | None) -> Value:
    """Return the throughput of a cell: a number, a failure, or a dash where there is none."""
    if cell is not None and cell.failed and not cell.throughput.present:
        return Value("failed", "", f"{cell.failed} of {cell.failed + cell.trials}", "n lost")
    found = cell.throughput if cell is not None else Estimate(float("nan"))
    bounds = f"[{compact(found.low)}, {compact(found.high)}]" if found.bounded else ""
    return Value(compact(found.value), raw(found.value), bounds)


def _trials(cell: Cell) -> Value:
    if cell.failed:
        return Value(str(cell.trials), str(cell.trials), f"{cell.failed} failed", "n lost")
    return Value(str(cell.trials), str(cell.trials))


def _value(found: Estimate, show: Show) -> Value:
    return Value(show(found.value), raw(found.value))


def raw(value: float) -> str:
    """Return a number for sorting, "" where missing."""
    return f"{value:.6g}" if isfinite(value) else ""


def program_columns(run: Run, program: Program) -> tuple[Column, ...]:
    """Return the headings of a program's table."""
    found = [Column("Allocator", "label", number=False)]
    for metric in program.metrics:
        found.append(Column(metric.label.capitalize(), metric.meaning))
        if run.baseline and metric.key in _compared(program):
            found.append(Column(f"× {run.baseline}", f"paired ratio of {metric.label}"))
    return (
        *found,
        Column("Verdict", f"in {program.leading.label}, against {run.baseline}", number=False),
        Column("Processes", "seen in one run with the library mapped"),
        Column("Runs", "good runs; failed ones in red"),
    )


def program_rows(run: Run, program: Program) -> list[tuple[ProgramCell, tuple[Value, ...]]]:
    """Return a row of values for each allocator, in the run's order."""
    found = []
    for cell in program.cells:
        values = []
        for metric in program.metrics:
            show, value = programs.shown(metric), cell.measure(metric.key)
            more = f"[{show(value.low)}, {show(value.high)}]" if value.bounded else ""
            values.append(Value(show(value.value), raw(value.value), more))
            if run.baseline and metric.key in _compared(program):
                values.append(_ratio(cell.ratio(metric.key)))
        values.append(Value(cell.verdict or "–", cell.verdict, style="wrap"))
        seen = f"{cell.unproven} too short to see" if cell.unproven else ""
        values.append(Value(str(cell.processes - cell.unproven), str(cell.processes), seen))
        lost = f"{cell.failed} failed" if cell.failed else ""
        looks = "n lost" if cell.failed else "n"
        values.append(Value(str(cell.trials), str(cell.trials), lost, looks))
        found.append((cell, tuple(values)))
    return found


def _compared(program: Program) -> tuple[str, ...]:
    return program.leading.key, "wall_s", "rss_peak"


def _ratio(found: Estimate) -> Value:
    more = f"[{digits(found.low)}, {digits(found.high)}]" if found.bounded else ""
    return Value(digits(found.value), raw(found.value), more)


LOCK_COLUMNS = (
    ("Allocator", False),
    ("Lock", False),
    ("Workload", False),
    ("Threads", True),
    ("Acquisitions / Mop", True),
    ("Contended", True),
    ("Wait / thread time", True),
    ("Longest wait", True),
    ("Hold", True),
    ("Most waiters", True),
    ("Owner changes / Mop", True),
)


def locks(run: Run) -> list[LockLine]:
    """Return the locks with the largest wait share, most waited first, at most LOCKS_SHOWN."""

    def weight(row: LockRow) -> float:
        return row.rates.wait_share if isfinite(row.rates.wait_share) else -1.0

    chosen = sorted(run.locks, key=weight, reverse=True)[:LOCKS_SHOWN]
    return [
        LockLine(row.allocator, row.lock, row.workload, row.threads, (
            Value(compact(rates.acquisitions_per_op * 1e6), raw(rates.acquisitions_per_op)),
            Value(share(rates.contended), raw(rates.contended)),
            Value(share(rates.wait_share), raw(rates.wait_share)),
            Value(nanoseconds(rates.max_wait_ns), raw(rates.max_wait_ns)),
            Value(nanoseconds(rates.hold_ns), raw(rates.hold_ns)),
            Value(digits(rates.max_waiters), raw(rates.max_waiters)),
            Value(compact(rates.owner_switches_per_op * 1e6), raw(rates.owner_switches_per_op)),
        ))
        for row in chosen
        for rates in (row.rates,)
    ]  # fmt: skip


def failures(run: Run) -> list[FailureGroup]:
    """Return failures grouped by cell and kind, in order of appearance."""
    groups: dict[tuple[object, ...], list[Failure]] = {}
    for failure in run.failures:
        key = (failure.allocator, failure.workload, failure.threads, failure.status,
               failure.reason, failure.signal, failure.exit_code)  # fmt: skip
        groups.setdefault(key, []).append(failure)
    return [
        FailureGroup(first.allocator, first.workload, first.threads, len(group), first.status,
                     first.reason, first.signal, first.exit_code, first.stderr_tail)
        for group in groups.values()
        for first in group[:1]
    ]  # fmt: skip


def peak(fit: UslFit) -> str:
    """Return where a fitted curve peaks, in words."""
    if not fit.peak.present:
        most = digits(float(fit.threads.max())) if fit.threads.size else ABSENT
        return f"no peak up to N = {most}"
    text = f"{interval(fit.peak)} threads"
    return f"{text}, extrapolated" if fit.extrapolated else text
