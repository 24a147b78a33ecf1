"""`mtbench sweep --cluster`: a run directory filled from the hosts of a cluster."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from mtbench.commands import report
from mtbench.commands.arguments import request, resumed
from mtbench.errors import Exit, UsageError
from mtbench.fleet import fleet
from mtbench.fleet.fleet import Fleet
from mtbench.plan import jobs
from mtbench.plan.jobs import Job
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory, new_path
from mtbench.trial import progress, session, signals
from plots.numbers import counted


def command(args: argparse.Namespace) -> int:
    """`mtbench sweep --cluster`, new or resumed."""
    fleet.distributed()
    with contextlib.ExitStack() as stack:
        if args.resume:
            run, job = resumed(args)
            stack.enter_context(run)
            if run.manifest.cluster is None:
                raise UsageError(f"{run.path} was measured here; resume it without --cluster")
            address = args.cluster or run.manifest.cluster
            found = stack.enter_context(fleet.connected(address, job))
        else:
            job, address = jobs.job(request(args)), args.cluster
            # The hosts first: without them there is nothing to keep.
            found = stack.enter_context(fleet.connected(address, job))
            manifest = msgspec.structs.replace(
                session.manifest(job, args.title),
                cluster=address,
                on_each_host=args.on_each_host,
                hosts={},
                assignment={},
            )
            path = Path(args.output) if args.output else new_path(Path("runs"))
            run = stack.enter_context(RunDirectory.create(path, manifest))
        stack.enter_context(signals.terminable())
        ended_by = _measure(args, run, job, found)
        signals.only_finish()
        return _conclude(run, as_json=args.json, quiet=args.quiet, ended_by=ended_by)


def _measure(args: argparse.Namespace, run: RunDirectory, job: Job, found: Fleet) -> int:
    _settle(run, job, found)
    done = fleet.fill(found, run)
    queued = sum(len(entry.queue) for entry in found.hosts.values())
    if not args.quiet:
        names = ", ".join(
            f"{entry.name} ({entry.plan.cores} cores, {len(entry.queue)} trials)"
            for entry in found.hosts.values()
        )
        print(f"{counted(queued, 'trial')} into {run.path} on {names}", file=sys.stderr)
    # Progress counts what all hosts have to do.
    times = -(-(queued + done) // max(1, len(job.plan.cells) * job.plan.trials))
    shown = progress.shown(
        replace(job.plan, cells=job.plan.cells * max(1, times)),
        done,
        quiet=args.quiet or args.no_progress,
        verbose=args.verbose,
    )
    ended_by = session.fill(run, found.records(run), shown)
    run.update(hosts=(run.manifest.hosts or {}) | found.sites())
    return ended_by


def _settle(run: RunDirectory, job: Job, found: Fleet) -> None:
    """Keep which hosts there are and which workload is whose; on resume only what is new, and
    a workload whose host is not there is measured anew on another."""
    kept = run.manifest.hosts or {}
    for name, site in found.sites().items():
        before = kept[name].conditions if name in kept else {}
        if before and (differing := conditions.differences(before, site.conditions)):
            raise UsageError(
                f"host {name} measured part of {run.path} under other conditions "
                f"({'; '.join(differing)}); restore them, or start a new run"
            )
    chosen = dict(run.manifest.assignment or {})
    if not run.manifest.on_each_host:
        fresh = fleet.assigned(job, found.hosts)
        for workload, name in fresh.items():
            if chosen.get(workload) not in found.hosts and not _finished(run, job, workload):
                chosen[workload] = name
    run.update(hosts=kept | found.sites(), assignment=chosen)


def _finished(run: RunDirectory, job: Job, workload: str) -> bool:
    """Whether one host has measured every trial of a workload."""
    wanted = job.plan.trials * sum(cell.workload == workload for cell in job.plan.cells)
    owner = (run.manifest.assignment or {}).get(workload)
    mine = sum(
        record.workload == workload and record.host is not None and record.host.name == owner
        for record in run.records()
    )
    return owner is not None and mine >= wanted


def _conclude(run: RunDirectory, *, as_json: bool, quiet: bool, ended_by: int) -> int:
    parts, page = report.write_all(run, run.path, report.DEFAULT_FORMATS)
    failures = sum(len(part.results.failures) for part in parts)
    if as_json:
        print(json.dumps([report.document(part) for part in parts], indent=1))
    elif not quiet:
        for part in parts:
            print(f"\n== {part.run.host}: {part.run.machine}")
            report.print_tables(part)
    if not as_json:
        print(f"report: {page}")
    if ended_by:
        print(
            "mtbench: interrupted; what was measured is kept; go on with: "
            f"mtbench sweep --resume {shlex.quote(str(Path(run.path)))}",
            file=sys.stderr,
        )
        return signals.exit_code(ended_by)
    if failures:
        many = counted(failures, "trial")
        print(f"mtbench: {many} failed; see failures in the report", file=sys.stderr)
        return Exit.CELLS_FAILED
    return Exit.FINE
