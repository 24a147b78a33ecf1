"""`mtbench exec`: a real program under each allocator, run by run in random order."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from mtbench.commands import wanted
from mtbench.commands.arguments import refuse_options
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.machine import procfs, readings
from mtbench.mallocs import allocators
from mtbench.mallocs.allocators import Allocator
from mtbench.plan.jobs import Job
from mtbench.plan.plan import Cell, Plan, thread_counts
from mtbench.programs.program import Program
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory, new_path
from mtbench.trial import proctree, progress, session, signals
from mtbench.trial.program import ProgramTrial
from mtbench.trial.starting import shell
from plots.data import WorkloadInfo
from plots.numbers import counted

DEFAULT_TRIALS = 10


def command(args: argparse.Namespace) -> int:
    """`mtbench exec`."""
    run, plan, tasks, chosen = _resumed(args) if args.resume else _created(args)
    with run, signals.terminable():
        done = session.finished(run)
        if not args.quiet:
            total = counted(len(plan.cells) * plan.trials, "run")
            before = f", {len(done)} done before" if done else ""
            print(f"{wanted.told(tasks)}: {total} into {run.path}{before}", file=sys.stderr)
        show = progress.shown(
            plan, len(done), quiet=args.quiet or args.no_progress, verbose=args.verbose
        )
        try:
            ended_by = session.fill(run, _records(run, plan, tasks, chosen, done), show)
        except MtbenchError:
            signals.only_finish()
            if session.finished(run):
                with contextlib.suppress(MtbenchError):
                    _conclude(run, as_json=args.json, quiet=args.quiet, ended_by=0)
            raise
        signals.only_finish()
        return _conclude(run, as_json=args.json, quiet=args.quiet, ended_by=ended_by)


def _records(
    run: RunDirectory,
    plan: Plan,
    tasks: Mapping[str, Program],
    chosen: Mapping[str, Allocator],
    done: session.Done,
) -> session.Records:
    """Every run of a program that is not in `done`, and the commands around them; before that, what
    each asks of its malloc, once."""
    trial_of = ProgramTrial(tasks, chosen)
    with proctree.adopting(), trial_of.at_work(), _surrounded(tasks):
        for name in tasks:
            if name not in run.manifest.tallies and (counts := plan.counts(name)):
                found = trial_of.tally(name, counts[0])
                run.update(tallies=run.manifest.tallies | {name: found})
        yield from session.measured(trial_of, session.left(plan, done))
        if unserved := list(_none_lived(run, chosen)):
            ends = {cell.workload: trial_of.plain(cell) or "" for cell in unserved}
            run.update(without_preload=ends)


def _none_lived(run: RunDirectory, chosen: Mapping[str, Allocator]) -> Iterator[Cell]:
    """A cell of each program of which every run under every preloaded malloc but libc's own died by
    a signal that is no lack of memory: perhaps it takes no preloaded malloc at all."""
    others = {label for label, entry in chosen.items() if entry.kind != "system"} or set(chosen)
    ends: dict[str, list[str | None]] = {}
    cells = {}
    for record in run.records():
        if record.allocator in others:
            # A server that is ended once its client is through did not die.
            end = None if record.good else record.killed_by
            ends.setdefault(record.workload, []).append(end)
            cells[record.workload] = record.cell
    for name, found in ends.items():
        if all(found) and "SIGKILL" not in found:
            yield cells[name]


@contextlib.contextmanager
def _surrounded(tasks: Mapping[str, Program]) -> Iterator[None]:
    """--setup before, --cleanup after, also when interrupted; then what they left running ends."""
    before = procfs.present()
    try:
        for task in tasks.values():
            if task.setup:
                shell("--setup", task.setup, task.timeout)
        yield
    finally:
        try:
            for task in tasks.values():
                if task.cleanup:
                    shell("--cleanup", task.cleanup, task.timeout)
        finally:
            proctree.end_orphans(before)


def _conclude(run: RunDirectory, *, as_json: bool, quiet: bool, ended_by: int) -> int:
    from mtbench.analysis import programs, suite
    from mtbench.commands import report

    written = report.write(run, Path(run.path), report.DEFAULT_FORMATS)
    if as_json:
        print(json.dumps(programs.document(written.run), indent=1))
    elif not quiet:
        for program in written.run.programs:
            print(f"\n{programs.table(program, written.run.baseline)}")
        if written.run.suite:
            print(f"\n{suite.table(written.run.suite, written.run.baseline)}\n")
        for finding in written.run.findings[:3]:
            print(f"{finding.text} [{finding.evidence}]" if finding.evidence else finding.text)
    if not as_json:
        print(f"report: {written.page}")
    if ended_by:
        print(
            f"mtbench: interrupted; what was measured is kept; go on with: "
            f"mtbench exec --resume {shlex.quote(str(run.path))}",
            file=sys.stderr,
        )
        return signals.exit_code(ended_by)
    if failures := written.results.failures:
        first, many = failures[0], counted(len(failures), "run")
        print(
            f"mtbench: {many} failed; the first: {first.allocator}, {first.status}: {first.reason}",
            file=sys.stderr,
        )
        return Exit.CELLS_FAILED
    return Exit.FINE


def _created(
    args: argparse.Namespace,
) -> tuple[RunDirectory, Plan, dict[str, Program], dict[str, Allocator]]:
    tasks, lacking = wanted.programs(args)
    found = allocators.resolve_all(args.allocators or ["all"])
    if not args.allocators:
        # It frees nothing, so a program of unknown hunger would take all memory.
        found = [entry for entry in found if entry.kind != "null"]
    chosen = {entry.label: entry for entry in _preloadable(allocators.identify(found))}
    counts = thread_counts(args.threads) if args.threads else (1,)
    # Without a number of threads a program is one of one thread, as far as anyone here knows.
    cells = tuple(
        Cell(label, task.name, count)
        for task in tasks.values()
        for label in chosen
        for count in (counts if task.threaded else (1,))
    )
    plan = Plan(
        allocators=tuple(chosen),
        workloads=tuple(tasks),
        threads=tuple(sorted({cell.threads for cell in cells})),
        trials=args.trials or DEFAULT_TRIALS,
        duration=0.0,
        warmup=0.0,
        seed=1 if args.seed is None else args.seed,
        cores=readings.usable_cores(),
        cells=cells,
        timeout=max(task.timeout for task in tasks.values()),
        latency_every=0,
    )
    manifest = session.manifest(Job(plan, chosen, {}), args.title)
    manifest = msgspec.structs.replace(
        manifest,
        workloads=tuple(WorkloadInfo(task.name, task.text(), task.unit) for task in tasks.values()),
        programs=tuple(tasks.values()),
        beside=conditions.beside(),
        left_out=lacking,
        conditions=manifest.conditions | _conditions(tasks),
    )
    path = Path(args.output) if args.output else new_path(Path("runs"))
    return RunDirectory.create(path, manifest), plan, tasks, chosen


def _conditions(tasks: Mapping[str, Program]) -> dict[str, str]:
    words = [words for task in tasks.values() for words in (task.command, task.client)]
    return conditions.of_program(*words)


def _resumed(
    args: argparse.Namespace,
) -> tuple[RunDirectory, Plan, dict[str, Program], dict[str, Allocator]]:
    refuse_options(args)
    run = RunDirectory.resume(Path(args.resume))
    try:
        tasks = {task.name: task for task in run.manifest.programs}
        if not tasks:
            raise UsageError(
                f"{run.path} is a sweep; go on with: mtbench sweep --resume {run.path}"
            )
        conditions.check(run, conditions.here() | _conditions(tasks))
        kept = {entry.label: entry for entry in run.manifest.allocators}
        for entry in kept.values():
            path = entry.path or ""
            if not Path(path).exists() or allocators.file_hash(path) != entry.sha256:
                raise MtbenchError(
                    f"allocator '{entry.label}' is not the library this run began with ({path} "
                    "has changed); start a new run"
                )
        return run, run.manifest.plan, tasks, kept
    except BaseException:
        run.close()
        raise


def _preloadable(found: list[Allocator]) -> list[Allocator]:
    """The same with a library to preload for each: for the system's malloc that is libc, first,
    so that it also serves programs that link another malloc themselves."""
    from mtbench.mallocs import identity

    libc = identity.where("gnu_get_libc_version") or identity.where("printf")
    return [replace(entry, path=libc) if entry.path is None and libc else entry for entry in found]
