"""The programs that `mtbench exec` is asked for: one as typed, or some of the catalogue."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

from mtbench.base.table import printable
from mtbench.errors import MtbenchError, UsageError
from mtbench.mallocs.allocators import pieces
from mtbench.plan.plan import thread_counts
from mtbench.programs import number, program
from mtbench.programs.entry import Entry, load
from mtbench.programs.program import Program
from mtbench.trial.proctree import Usage

LEADING = {"wall": "wall_s", "cpu": "cpu_s", "peak": "rss_peak", "faults": "minor_faults"}
"""What --by takes -> the measure."""

_OF_ONE = (
    *("server", "client", "ready", "setup", "prepare", "conclude", "cleanup"),
    *("metric", "lower", "stdin", "check", "name", "ignore_exit_code"),
)


def programs(args: argparse.Namespace) -> tuple[dict[str, Program], dict[str, str]]:
    """Every program, by name, and why those of the catalogue that are left out cannot run here,
    which is told on stderr too. Raises UsageError, and MtbenchError if none can."""
    if args.threads:
        thread_counts(args.threads)
    found, lacking = _catalogued(args) if args.programs else ([_typed(args)], {})
    if args.threads and not any(task.threaded for task in found):
        raise UsageError(
            f"-t {args.threads}: {found[0].name} has no number of threads; accepted: "
            + (_threaded() if args.programs else "{threads} in the command, as in: ")
            + "-t 1,2,8 -- xz -T{threads} -k -c FILE"
        )
    tasks = {}
    for task in found:
        if task.name in tasks:
            raise UsageError(f"two programs are called '{task.name}'; change a name")
        tasks[task.name] = replace(
            task,
            by=LEADING.get(args.by or "", ""),
            memory=args.memory or 0,
            timeout=args.timeout or task.timeout,
        )
    return tasks, lacking


def entries(wanted: list[str]) -> Iterator[Entry]:
    """The catalogue's entries of comma-separated lists of names, TOML files and `all`, each once.
    Raises UsageError."""
    from mtbench.programs.named import CATALOGUE

    seen: dict[str, Entry] = {}
    for part in (piece for text in wanted for piece in pieces(text)):
        if part == "all":
            found = list(CATALOGUE.values())
        elif part.endswith(".toml"):
            found = [load(Path(part))]
        elif part in CATALOGUE:
            found = [CATALOGUE[part]]
        else:
            raise UsageError(
                f"unknown program '{part}'; accepted: {', '.join(CATALOGUE)}, a .toml file, all"
            )
        for entry in found:
            if seen.setdefault(entry.name, entry) != entry:
                raise UsageError(f"{part}: another program is called '{entry.name}' too")
    yield from seen.values()


def _threaded() -> str:
    from mtbench.programs.named import CATALOGUE

    names = [name for name, entry in CATALOGUE.items() if entry.program().threaded]
    return f"{', '.join(names)}, a .toml file with {{threads}} in its command, or a command: "


def _catalogued(args: argparse.Namespace) -> tuple[list[Program], dict[str, str]]:
    """Those that can run here, and why the others cannot. Raises UsageError and MtbenchError."""
    for name in _OF_ONE:
        if getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is of a typed program; with -p the catalogue says it")
    if args.program or args.shell != "none":
        raise UsageError("exec takes -p or a typed program, not both")
    found, lacking = [], {}
    for entry in entries(args.programs):
        task, obstacle = entry.program(), entry.obstacle()
        try:
            if not obstacle:
                program.checked(task.command, served=True)
        except UsageError as error:
            obstacle = str(error)
        if obstacle:
            lacking[entry.name] = obstacle
        else:
            found.append(task)
    lines = [f"{name}: {obstacle}" for name, obstacle in lacking.items()]
    if not found:
        raise MtbenchError(f"none of these programs can run here: {'; '.join(lines)}")
    for line in lines if not args.quiet else ():
        print(f"left out: {line}", file=sys.stderr)
    return found, lacking


def _typed(args: argparse.Namespace) -> Program:
    """The program that the arguments spell out. Raises UsageError."""
    typed = args.program[1:] if args.program[:1] == ["--"] else args.program
    if bool(args.server) != bool(args.client):
        raise UsageError("--server and --client go together: the server runs under the allocators")
    if args.ready and not args.server:
        raise UsageError("--ready asks whether a server serves; it goes with --server")
    if args.lower and not args.metric:
        raise UsageError("--lower says that less of a --metric is better; it goes with --metric")
    if args.stdin and args.server:
        raise UsageError("--stdin is the standard input of a program; a server has none")
    if bool(typed) == bool(args.server):
        raise UsageError(
            "exec needs one program: -- PROGRAM ARGS..., --server with --client, or -p NAME"
        )
    if args.server:
        served = program.words("--server", args.server, args.shell)
        client = program.words("--client", args.client, args.shell)
        program.checked(client, served=False)
    elif args.shell != "none":
        served, client = program.words("program", " ".join(typed), args.shell), ()
    else:
        served, client = tuple(typed), ()
    program.checked(served, served=True)
    if args.stdin and not Path(args.stdin).is_file():
        raise UsageError(f"--stdin {args.stdin}: no such file")
    name = args.name or (Path(served[0]).name if args.shell == "none" else "program")
    return Program(
        name=printable(" ".join(name.split())),
        command=served,
        client=client,
        setup=args.setup or "",
        prepare=args.prepare or "",
        conclude=args.conclude or "",
        cleanup=args.cleanup or "",
        ready=args.ready or "",
        codes=() if args.ignore_exit_code else (0,),
        numbers=number.numbers(
            args.metric or (), (f.name for f in fields(Usage)), lower=args.lower
        ),
        stdin=str(Path(args.stdin).resolve()) if args.stdin else "",
        check=args.check or "",
        template=bool(args.threads),
    )


def told(tasks: dict[str, Program]) -> str:
    """The programs in one line."""
    if len(tasks) == 1:
        (task,) = tasks.values()
        return task.text()
    return f"{len(tasks)} programs ({shlex.join(tasks)})"
