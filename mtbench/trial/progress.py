"""What a person sees while a sweep runs: on stderr, so that results pipe cleanly."""

from __future__ import annotations

import contextlib
import statistics as stdlib_statistics
import sys
import time
from typing import Protocol

from mtbench.base.table import duration, number
from mtbench.plan.plan import Cell, Plan
from mtbench.runs.record import Record

_LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Told of every trial; a context manager."""

    def trial(self, record: Record) -> None:
        """One trial is over and on the disk."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *_: object) -> None: ...


class Silent:
    """Says nothing."""

    def trial(self, record: Record) -> None:
        """Nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""


class Standing:
    """The estimate of the time left and who leads, shared by both ways of showing them."""

    def __init__(self, plan: Plan, done: int) -> None:
        self.total = len(plan.cells) * plan.trials
        self.done = done
        self.failed = 0
        self._plan = plan
        self._began = time.monotonic()
        self._left_s = sum(plan.expected(cell.threads) for cell in plan.cells) * plan.trials
        self._left_s *= 1 - done / max(self.total, 1)
        self._spent_expected = 0.0
        self._seen: dict[tuple[str, int], dict[str, list[float]]] = {}

    def add(self, record: Record) -> None:
        """Count one record."""
        self.done += 1
        self._spent_expected += self._plan.expected(record.threads)
        result = record.good
        if result is None:
            self.failed += 1
        elif record.allocator != "null" and result.elapsed_s:
            place = record.workload, record.threads
            self._seen.setdefault(place, {}).setdefault(record.allocator, []).append(
                result.operations / result.elapsed_s
            )

    def left(self) -> str:
        """Time left: the plan's estimate, corrected by how the trials so far turned out."""
        spent = time.monotonic() - self._began
        pace = spent / self._spent_expected if self._spent_expected > 1 else 1.0
        return duration(max(0.0, self._left_s - self._spent_expected) * pace)

    def leader(self, cell: Cell) -> str:
        """Who leads the cell's workload at its thread count so far; "" if nobody does."""
        rivals = self._seen.get((cell.workload, cell.threads), {})
        if not rivals:
            return ""
        best = max(rivals, key=lambda label: stdlib_statistics.median(rivals[label]))
        speed = number(stdlib_statistics.median(rivals[best]))
        return f"{cell.workload} x {cell.threads}: {best} leads with {speed}/s"


class Lines:
    """A plain line for each failure, and after a trial if the last is `every_s` seconds ago."""

    def __init__(self, plan: Plan, done: int, every_s: float) -> None:
        self._standing = Standing(plan, done)
        self._every_s = every_s
        self._last = time.monotonic()

    def trial(self, record: Record) -> None:
        """Say what is due."""
        self._standing.add(record)
        if not record.good:
            _say(_failure(record))
        now = time.monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            s = self._standing
            leader = s.leader(record.cell)
            _say(f"{s.done}/{s.total} trials, {s.left()} left; {leader}")

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


class Bar:
    """A moving bar for a terminal; the only user of rich."""

    def __init__(self, plan: Plan, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._standing = Standing(plan, done)
        self._rich = RichProgress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]} left"),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=2,
        )
        self._task = self._rich.add_task(
            "starting", total=self._standing.total, completed=done, left=self._standing.left()
        )

    def trial(self, record: Record) -> None:
        """Move the bar."""
        self._standing.add(record)
        with contextlib.suppress(OSError):
            if not record.good:
                self._rich.console.print(_failure(record), markup=False, highlight=False)
            self._rich.update(
                self._task,
                completed=self._standing.done,
                description=self._standing.leader(record.cell),
                left=self._standing.left(),
            )

    def __enter__(self) -> Bar:
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._rich.stop()


def _say(text: str) -> None:
    """A line on stderr; a terminal that is gone is no reason to lose the measurement."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _failure(record: Record) -> str:
    place = f"{record.allocator} {record.workload} x {record.threads}"
    return f"failed: {place} (round {record.block}): {record.status}, {record.reason}"


def shown(plan: Plan, done: int, *, quiet: bool, verbose: bool) -> Progress:
    """A bar if a person is looking, lines if not, nothing if asked."""
    if quiet:
        return Silent()
    if sys.stderr.isatty() and not verbose:
        return Bar(plan, done)
    return Lines(plan, done, 0.0 if verbose else _LINE_EVERY_S)
