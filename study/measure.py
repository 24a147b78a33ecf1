"""Runs the study's sweeps with mtbench, one run directory a question."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mtbench.base.table import duration
from mtbench.errors import Exit, UsageError
from mtbench.machine import readings
from mtbench.mallocs import allocators
from mtbench.plan import jobs
from mtbench.runs import conditions
from mtbench.runs.directory import MANIFEST, RunDirectory
from mtbench.trial import progress, session, signals
from mtbench.trial.measure import Measurer
from study.plan import PEERS, Question, full, questions, quick

LIBRARIES = Path("build/pgo/libhakmem.so"), Path("build/plain/libhakmem.so")


def peers_here() -> list[str]:
    """The peers of the study that this machine has."""
    found = {entry.label for entry in allocators.installed()}
    return [label for label in PEERS if label in found]


def asked(*, short: bool) -> list[Question]:
    """The questions for this machine."""
    cores = readings.usable_cores()
    scale = quick(cores) if short else full(cores)
    return questions(scale, peers_here(), *LIBRARIES)


def run(target: Path, chosen: Sequence[Question], command: str, *, resume: bool) -> int:
    """Measure every question into target/NAME; what a former call finished is not repeated if
    `resume`. command: what the user typed, for the manifests.

    Raises UsageError if there is something and it is not to be resumed.
    """
    if not resume and any((target / entry.name / MANIFEST).exists() for entry in chosen):
        raise UsageError(f"{target} holds runs of the study; remove it, or go on with --resume")
    total = sum(expected(entry) for entry in chosen)
    print(f"{len(chosen)} sweeps into {target}, about {duration(total)}", file=sys.stderr)
    began = time.monotonic()
    for number, question in enumerate(chosen, 1):
        spent = duration(time.monotonic() - began)
        print(f"[{number}/{len(chosen)}] {question.name}, after {spent}", file=sys.stderr)
        if ended_by := one(question, target / question.name, command, resume=resume):
            print(
                f"study: interrupted; what was measured is kept in {target}; go on with the same "
                "command and RESUME=1 (--resume)",
                file=sys.stderr,
            )
            return signals.exit_code(ended_by)
    print(f"measured in {duration(time.monotonic() - began)}", file=sys.stderr)
    return Exit.FINE


def expected(question: Question) -> float:
    """Seconds a question should take; starting a worker is a good tenth of a second."""
    plan = jobs.plan_of(question.sweep)
    return sum(plan.expected(cell.threads) for cell in plan.cells) * plan.trials


def one(question: Question, path: Path, command: str, *, resume: bool) -> int:
    """One sweep; the signal that ended it, 0 if none. A crash or hang is a record, not an error."""
    if resume and (path / MANIFEST).exists():
        directory = RunDirectory.resume(path)
        conditions.check(directory, conditions.here())
        job = jobs.job_of(directory.manifest.plan, directory.manifest.allocators)
    else:
        job = jobs.job(question.sweep)
        manifest = session.manifest(job, f"study: {question.name}")
        directory = RunDirectory.create(path, msgspec.structs.replace(manifest, command=command))
    with directory, signals.terminable():
        done = session.finished(directory)
        show = progress.shown(job.plan, len(done), quiet=False, verbose=False)
        measurer = Measurer(job.plan, job.allocators, job.specs)
        return session.fill(
            directory, session.measured(measurer, session.left(job.plan, done)), show
        )
