"""The main job: measure a grid trial by trial, keep each at once, end with table and report."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mtbench.commands.arguments import request, resumed
from mtbench.errors import Exit, UsageError
from mtbench.plan import jobs
from mtbench.plan.jobs import Job
from mtbench.plan.plan import Plan
from mtbench.runs.directory import RunDirectory, new_path
from mtbench.runs.hosts import is_fleet
from mtbench.trial import progress, session, signals
from mtbench.trial.measure import Measurer
from plots.numbers import counted


def command(args: argparse.Namespace) -> int:
    """`mtbench sweep`."""
    if args.cluster or (args.resume and is_fleet(Path(args.resume))):
        from mtbench.commands import cluster

        return cluster.command(args)
    if args.on_each_host:
        raise UsageError("--on-each-host goes with --cluster")
    run, job = resumed(args) if args.resume else created(args)
    with run, signals.terminable():
        done = session.finished(run)
        if not args.quiet:
            _announce(run, job.plan, len(done))
        show = progress.shown(
            job.plan, len(done), quiet=args.quiet or args.no_progress, verbose=args.verbose
        )
        measurer = Measurer(job.plan, job.allocators, job.specs)
        ended_by = session.fill(run, session.measured(measurer, session.left(job.plan, done)), show)
        signals.only_finish()
        return conclude(run, as_json=args.json, quiet=args.quiet, ended_by=ended_by)


def conclude(run: RunDirectory, *, as_json: bool, quiet: bool, ended_by: int) -> int:
    """Summary, figures, report and the closing words; returns the exit code."""
    from mtbench.commands import report

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
            f"mtbench: interrupted with {counted(left, 'trial')} to go; all others are kept; "
            f"go on with: mtbench sweep --resume {shlex.quote(str(run.path))}",
            file=sys.stderr,
        )
        return signals.exit_code(ended_by)
    if written.results.failures:
        failures = written.results.failures
        cells = {record.cell for record in failures}
        print(
            f"mtbench: {counted(len(failures), 'trial')} failed in {counted(len(cells), 'cell')}; "
            "see failures in the report",
            file=sys.stderr,
        )
        return Exit.CELLS_FAILED
    return Exit.FINE


def created(args: argparse.Namespace) -> tuple[RunDirectory, Job]:
    """A new run directory for what the arguments ask for."""
    job = jobs.job(request(args))
    path = Path(args.output) if args.output else new_path(Path("runs"))
    return RunDirectory.create(path, session.manifest(job, args.title)), job


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
    spoiling = [fact for fact in run.manifest.facts if fact.severity == "warning"]
    for fact in spoiling[:3]:
        print(f"warning: {fact.name}: {fact.found}: {fact.harm}", file=sys.stderr)
    if len(spoiling) > 3:
        print(f"({len(spoiling) - 3} more: mtbench doctor)", file=sys.stderr)
