"""The one loop of every session: records come, each is kept at once, and a signal ends it.

Where records come from differs: a grid's trials, a program's runs, the hosts of a cluster. What is
kept when a session is interrupted does not.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timezone
from typing import Protocol

from mtbench.errors import MtbenchError
from mtbench.machine import checks, readings
from mtbench.plan.jobs import Job
from mtbench.plan.plan import Cell, Plan, Trial
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory
from mtbench.runs.manifest import Manifest, Session
from mtbench.runs.record import SCHEMA, Record
from mtbench.trial import signals
from mtbench.trial.progress import Progress
from plots.data import WorkloadInfo

Done = set[tuple[int, Cell]]
Records = Generator[Record, None, None]


class Measures(Protocol):
    """Whatever makes a record of a trial."""

    def record(self, trial: Trial) -> Record:
        """One trial's record; whatever becomes of it, a record comes back."""


def finished(run: RunDirectory) -> Done:
    """Which (round, cell) already have a record, failures included."""
    return {(record.block, record.cell) for record in run.records()}


def left(plan: Plan, done: Done) -> Iterator[Trial]:
    """The trials of a plan that have no record yet, in the plan's order."""
    return (trial for trial in plan.order() if (trial.block, trial.cell) not in done)


def measured(measures: Measures, trials: Iterator[Trial]) -> Records:
    """The records of trials, one after the other."""
    for trial in trials:
        yield measures.record(trial)


def collect(records: Records, keep: Callable[[Record], None], show: Progress) -> int:
    """Keep and show each record as it comes; the signal that ended that before its time, 0 if none
    did. The next trial begins when a record is kept. Raises what `records` and `keep` raise."""
    with show, contextlib.closing(records):
        try:
            for record in records:
                keep(record)
                show.trial(record)
        except KeyboardInterrupt as error:
            return signals.number(error)
    return 0


def fill(run: RunDirectory, records: Records, show: Progress) -> int:
    """As `collect`, into a run directory, whose manifest tells of each session.

    Raises MtbenchError if a record cannot be kept, or could not be made.
    """
    began = time.monotonic()
    try:
        ended_by = collect(records, run.append, show)
    except MtbenchError:
        with contextlib.suppress(MtbenchError):
            _note(run, time.monotonic() - began, ended_by=0)
        raise
    _note(run, time.monotonic() - began, ended_by)
    return ended_by


def _note(run: RunDirectory, seconds: float, ended_by: int) -> None:
    session = Session(round(seconds, 3), ended_by > 0)
    run.update(sessions=(*run.manifest.sessions, session))


def manifest(job: Job, title: str | None) -> Manifest:
    """What a run directory says of itself."""
    return Manifest(
        schema=SCHEMA,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=shlex.join(["mtbench", *sys.argv[1:]]),
        title=title or "",
        host=socket.gethostname(),
        machine=readings.summary(),
        fingerprint=readings.fingerprint(),
        conditions=conditions.here(),
        packages=readings.packages(),
        facts=tuple(checks.examine()),
        plan=job.plan,
        allocators=tuple(job.allocators.values()),
        workloads=tuple(
            WorkloadInfo(name, spec.description, spec.unit) for name, spec in job.specs.items()
        ),
    )
