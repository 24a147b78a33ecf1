"""The main job: measure a grid trial by trial, keep each at once, end with table and report."""

from __future__ import annotations

import argparse
import shlex
import socket
import sys
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mtbench import conditions, doctor, machine, options, progress, signals
from mtbench.asked import Asked
from mtbench.errors import Exit, UsageError
from mtbench.hostview import is_fleet
from mtbench.measure import Measurer
from mtbench.options import Job
from mtbench.plan import Cell, Plan
from mtbench.rundir import RunDirectory, new_path

Done = set[tuple[int, Cell]]


def command(args: argparse.Namespace) -> int:
    """`mtbench sweep`."""
    if args.cluster or (args.resume and is_fleet(Path(args.resume))):
        from mtbench import fleetrun

        return fleetrun.command(args)
    if args.on_each_host:
        raise UsageError("--on-each-host goes with --cluster")
    run, job = resumed(args) if args.resume else created(args)
    with run, signals.terminable():
        done = finished(run)
        if not args.quiet:
            _announce(run, job.plan, len(done))
        show = progress.shown(
            job.plan, len(done), quiet=args.quiet or args.no_progress, verbose=args.verbose
        )
        ended_by = measure(job, run, done, show)
        signals.only_finish()
        return conclude(run, as_json=args.json, quiet=args.quiet, ended_by=ended_by)


def measure(job: Job, run: RunDirectory, done: Done, show: progress.Progress) -> int:
    """Every trial of the plan that is not in `done`; the signal that ended it before its time, 0
    if none did.

    Raises MtbenchError if a record cannot be kept.
    """
    measurer = Measurer(job.plan, job.allocators, job.specs)
    began = time.monotonic()
    ended_by = 0
    with show:
        try:
            for trial in job.plan.order():
                if (trial.block, trial.cell) in done:
                    continue
                record = measurer.record(trial)
                run.append(record)
                show.trial(record)
        except KeyboardInterrupt as error:
            ended_by = signals.number(error)
    session = {"seconds": round(time.monotonic() - began, 3), "interrupted": ended_by > 0}
    run.update(sessions=[*run.manifest.get("sessions", []), session])
    return ended_by


def finished(run: RunDirectory) -> Done:
    """Which (block, cell) already have a record, failures included."""
    return {
        (record["block"], Cell(record["allocator"], record["workload"], record["threads"]))
        for record in run.records()
    }


def conclude(run: RunDirectory, *, as_json: bool, quiet: bool, ended_by: int) -> int:
    """Summary, figures, report and the closing words; returns the exit code."""
    from mtbench import report

    written = report.write(run, Path(run.path), report.DEFAULT_FORMATS)
    if as_json:
        report.print_json(written)
    elif not quiet:
        report.print_tables(written)
    if not as_json:
        print(f"report: {written.page}")
    if ended_by:
        left = len(written.plan.cells) * written.plan.trials - written.results.trials
        print(
            f"mtbench: interrupted with {left} trials to go; all others are kept; "
            f"go on with: mtbench sweep --resume {shlex.quote(str(run.path))}",
            file=sys.stderr,
        )
        return signals.exit_code(ended_by)
    if written.results.failures:
        cells = {(r["allocator"], r["workload"], r["threads"]) for r in written.results.failures}
        print(
            f"mtbench: {len(written.results.failures)} trials failed in {len(cells)} cells; "
            "see failures in the report",
            file=sys.stderr,
        )
        return Exit.CELLS_FAILED
    return Exit.FINE


def manifest(job: Job, title: str | None) -> dict[str, Any]:
    """What a run directory says of itself."""
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(["mtbench", *sys.argv[1:]]),
        "title": title or "",
        "host": socket.gethostname(),
        "machine": machine.summary(),
        "fingerprint": machine.fingerprint(),
        "conditions": conditions.here(),
        "packages": machine.packages(),
        "facts": doctor.as_json(doctor.examine()),
        "plan": job.plan.to_json(),
        "allocators": [asdict(entry) for entry in job.allocators.values()],
        "workloads": [
            {"name": name, "description": spec.description, "unit": spec.unit}
            for name, spec in job.specs.items()
        ],
    }


def created(args: argparse.Namespace) -> tuple[RunDirectory, Job]:
    """A new run directory for what the arguments ask for."""
    job = options.job(Asked.by(args))
    path = Path(args.output) if args.output else new_path(Path("runs"))
    return RunDirectory.create(path, manifest(job, args.title)), job


def resumed(args: argparse.Namespace) -> tuple[RunDirectory, Job]:
    """The run that --resume names, locked. Raises UsageError for what does not go with it."""
    refuse_options(args)
    run = RunDirectory.resume(Path(args.resume))
    try:
        if "program" in run.manifest:
            raise UsageError(
                f"{run.path} holds runs of a program; go on with: mtbench exec --resume {run.path}"
            )
        # The hosts of a cluster are asked themselves; their client measures nothing.
        if "hosts" not in run.manifest:
            conditions.check(run, conditions.here())
        plan = Plan.from_json(run.manifest["plan"])
        return run, options.job_of(plan, run.manifest["allocators"])
    except BaseException:
        run.close()
        raise


_GO_WITH_RESUME = {
    *("command", "handler", "version", "resume", "cluster"),
    *("json", "quiet", "verbose", "no_progress"),
}


def refuse_options(args: argparse.Namespace) -> None:
    """Raises UsageError for an option that --resume would not heed: the run has its own."""
    for name, value in vars(args).items():
        given = not (value is None or value is False or value == [])
        if name == "shell":
            given = value != "none"
        if given and name not in _GO_WITH_RESUME:
            option = name if name == "program" else f"--{name.replace('_', '-')}"
            raise UsageError(
                f"--resume takes everything from the run; {option} does not go with it"
            )


def _announce(run: RunDirectory, plan: Plan, done: int) -> None:
    """What will happen, and the worst three things that may spoil it."""
    total = len(plan.cells) * plan.trials
    expected = sum(plan.expected(cell.threads) for cell in plan.cells) * plan.trials
    remaining = expected * (total - done) / max(total, 1)
    print(
        f"{len(plan.cells)} cells x {plan.trials} trials into {run.path}"
        + (f", {done} done before" if done else "")
        + f"; about {remaining / 60:.1f} min",
        file=sys.stderr,
    )
    spoiling = [fact for fact in run.manifest.get("facts", []) if fact["severity"] == "warning"]
    for fact in spoiling[:3]:
        print(f"warning: {fact['name']}: {fact['found']}: {fact['harm']}", file=sys.stderr)
    if len(spoiling) > 3:
        print(f"({len(spoiling) - 3} more: mtbench doctor)", file=sys.stderr)
