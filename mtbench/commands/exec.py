"""`mtbench exec`: a real program under each allocator, run by run in random order."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path

import msgspec

from mtbench.base.table import printable
from mtbench.commands.arguments import refuse_options
from mtbench.errors import Exit, MtbenchError, UsageError
from mtbench.machine import procfs, readings
from mtbench.mallocs import allocators
from mtbench.mallocs.allocators import Allocator
from mtbench.plan import program
from mtbench.plan.jobs import Job
from mtbench.plan.plan import Plan, grid
from mtbench.plan.program import Program
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory, new_path
from mtbench.trial import proctree, progress, session, signals
from mtbench.trial.program import ProgramTrial, shell
from plots.data import WorkloadInfo

DEFAULT_TRIALS = 10


def command(args: argparse.Namespace) -> int:
    """`mtbench exec`."""
    run, plan, task, chosen = _resumed(args) if args.resume else _created(args)
    with run, signals.terminable():
        done = session.finished(run)
        if not args.quiet:
            total = len(plan.cells) * plan.trials
            before = f", {len(done)} done before" if done else ""
            print(f"{task.text()}: {total} runs into {run.path}{before}", file=sys.stderr)
        show = progress.shown(
            plan, len(done), quiet=args.quiet or args.no_progress, verbose=args.verbose
        )
        try:
            ended_by = session.fill(run, _records(run, plan, task, chosen, done), show)
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
    task: Program,
    chosen: Mapping[str, Allocator],
    done: session.Done,
) -> session.Records:
    """Every run of the program that is not in `done`, and the commands around them."""
    trial_of = ProgramTrial(task, chosen)
    with proctree.adopting(), _surrounded(task):
        yield from session.measured(trial_of, session.left(plan, done))
        if _none_lived(run, chosen):
            run.update(without_preload=trial_of.plain() or "")


def _none_lived(run: RunDirectory, chosen: Mapping[str, Allocator]) -> bool:
    """Whether every run under every preloaded malloc but libc's own died by a signal that is no
    lack of memory: perhaps the program takes no preloaded malloc at all."""
    others = {label for label, entry in chosen.items() if entry.kind != "system"} or set(chosen)
    ends = [record.killed_by for record in run.records() if record.allocator in others]
    return bool(ends) and all(ends) and "SIGKILL" not in ends


@contextlib.contextmanager
def _surrounded(task: Program) -> Iterator[None]:
    """--setup before, --cleanup after, also when interrupted; then what they left running ends."""
    before = procfs.present()
    try:
        if task.setup:
            shell("--setup", task.setup, task.timeout)
        yield
    finally:
        try:
            if task.cleanup:
                shell("--cleanup", task.cleanup, task.timeout)
        finally:
            proctree.end_orphans(before)


def _conclude(run: RunDirectory, *, as_json: bool, quiet: bool, ended_by: int) -> int:
    from mtbench.analysis import programs
    from mtbench.commands import report

    written = report.write(run, Path(run.path), report.DEFAULT_FORMATS)
    if as_json:
        print(json.dumps(programs.document(written.run), indent=1))
    elif not quiet:
        print(f"\n{programs.table(written.run)}")
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
    if written.results.failures:
        first = written.results.failures[0]
        print(
            f"mtbench: {len(written.results.failures)} runs failed; the first: "
            f"{first.allocator}, {first.status}: {first.reason}",
            file=sys.stderr,
        )
        return Exit.CELLS_FAILED
    return Exit.FINE


def _created(
    args: argparse.Namespace,
) -> tuple[RunDirectory, Plan, Program, dict[str, Allocator]]:
    task = _task(args)
    found = allocators.resolve_all(args.allocators or ["all"])
    if not args.allocators:
        # It frees nothing, so a program of unknown hunger would take all memory.
        found = [entry for entry in found if entry.kind != "null"]
    chosen = {entry.label: entry for entry in _preloadable(allocators.identify(found))}
    plan = Plan(
        allocators=tuple(chosen),
        workloads=(task.name,),
        threads=(1,),
        trials=args.trials or DEFAULT_TRIALS,
        duration=0.0,
        warmup=0.0,
        seed=1 if args.seed is None else args.seed,
        cores=readings.usable_cores(),
        cells=grid(tuple(chosen), (task.name,), (1,)),
        timeout=task.timeout,
        latency_every=0,
    )
    manifest = session.manifest(Job(plan, chosen, {}), args.title)
    manifest = msgspec.structs.replace(
        manifest,
        workloads=(WorkloadInfo(task.name, task.text(), task.unit),),
        program=task,
        conditions=manifest.conditions | conditions.of_program(task.command, task.client),
    )
    path = Path(args.output) if args.output else new_path(Path("runs"))
    return RunDirectory.create(path, manifest), plan, task, chosen


def _resumed(
    args: argparse.Namespace,
) -> tuple[RunDirectory, Plan, Program, dict[str, Allocator]]:
    refuse_options(args)
    run = RunDirectory.resume(Path(args.resume))
    try:
        plan, task = run.manifest.plan, run.manifest.program
        if task is None:
            raise UsageError(
                f"{run.path} is a sweep; go on with: mtbench sweep --resume {run.path}"
            )
        programs = conditions.of_program(task.command, task.client)
        conditions.check(run, conditions.here() | programs)
        kept = {entry.label: entry for entry in run.manifest.allocators}
        for entry in kept.values():
            path = entry.path or ""
            if not Path(path).exists() or allocators.file_hash(path) != entry.sha256:
                raise MtbenchError(
                    f"allocator '{entry.label}' is not the library this run began with ({path} "
                    "has changed); start a new run"
                )
        return run, plan, task, kept
    except BaseException:
        run.close()
        raise


def _preloadable(found: list[Allocator]) -> list[Allocator]:
    """The same with a library to preload for each: for the system's malloc that is libc, first,
    so that it also serves programs that link another malloc themselves."""
    from mtbench.mallocs import identity

    libc = identity.where("gnu_get_libc_version") or identity.where("printf")
    return [replace(entry, path=libc) if entry.path is None and libc else entry for entry in found]


def _task(args: argparse.Namespace) -> Program:
    """The program that the arguments ask for. Raises UsageError."""
    typed = (
        [part for part in args.program if part != "--"]
        if args.program[:1] == ["--"]
        else (args.program)
    )
    if bool(args.server) != bool(args.client):
        raise UsageError("--server and --client go together: the server runs under the allocators")
    if args.ready and not args.server:
        raise UsageError("--ready asks whether a server serves; it goes with --server")
    if args.lower and not args.metric:
        raise UsageError("--lower says that less of a --metric is better; it goes with --metric")
    if bool(typed) == bool(args.server):
        raise UsageError("exec needs one program: -- PROGRAM ARGS..., or --server with --client")
    if args.server:
        served = program.words("--server", args.server, args.shell)
        client = program.words("--client", args.client, args.shell)
        program.checked(client, served=False)
    elif args.shell != "none":
        served, client = program.words("program", " ".join(typed), args.shell), ()
    else:
        served, client = tuple(typed), ()
    program.checked(served, served=True)
    name = args.name or (Path(served[0]).name if args.shell == "none" else "program")
    name = printable(" ".join(name.split()))
    return Program(
        name=name,
        command=served,
        client=client,
        setup=args.setup or "",
        prepare=args.prepare or "",
        cleanup=args.cleanup or "",
        ready=args.ready or "",
        codes=() if args.ignore_exit_code else (0,),
        timeout=args.timeout or 600.0,
        numbers=program.numbers(
            args.metric or (), (f.name for f in fields(proctree.Usage)), lower=args.lower
        ),
    )
