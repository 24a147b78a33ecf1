"""From what the user typed to a plan, its allocators and its workloads."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workloads
from mtbench import allocators, machine, quick
from mtbench.allocators import Allocator
from mtbench.errors import MtbenchError, UsageError
from mtbench.plan import TURNS, Cell, Plan, grid, thread_counts

DEFAULT_TRIALS, DEFAULT_DURATION, DEFAULT_WARMUP, DEFAULT_SEED = 8, 0.5, 0.1, 1


@dataclass(frozen=True)
class Job:
    """A plan with what it names: allocators identified, workloads loaded."""

    plan: Plan
    allocators: dict[str, Allocator]
    specs: dict[str, workloads.Workload]


def job(args: argparse.Namespace) -> Job:
    """The sweep that the arguments ask for. Raises UsageError for anything unknown."""
    specs = workload_specs(args.workloads or list(quick.WORKLOADS))
    threads = thread_counts(args.threads) if args.threads else None
    if args.quick:
        chosen = (
            allocators.resolve_all(args.allocators)
            if args.allocators
            else quick.default_allocators()
        )
        counts = threads or quick.THREADS
        cells: list[Cell] = quick.cells(chosen, list(specs), counts)
        trials = args.trials or quick.TRIALS
        duration = args.duration or quick.window(cells, trials, machine.usable_cores())
        warmup = quick.WARMUP_S if args.warmup is None else args.warmup
    else:
        chosen = allocators.resolve_all(args.allocators or ["all"])
        counts = threads or thread_counts("1-64")
        cells = list(grid([entry.label for entry in chosen], list(specs), counts))
        trials = args.trials or DEFAULT_TRIALS
        duration = args.duration or DEFAULT_DURATION
        warmup = DEFAULT_WARMUP if args.warmup is None else args.warmup
    return _job(args, chosen, specs, counts, cells, trials, duration, warmup)


def one_cell(args: argparse.Namespace) -> Job:
    """The single cell that `mtbench run` asks for."""
    chosen = allocators.resolve_all([args.allocator])
    specs = workload_specs([args.workload])
    if len(chosen) != 1 or len(specs) != 1:
        raise UsageError("run measures one allocator and one workload; `mtbench sweep` does more")
    if args.threads > 256:
        raise UsageError(f"{args.threads} threads are not possible; accepted: 1-256")
    cells = grid([chosen[0].label], list(specs), (args.threads,))
    return _job(
        args,
        chosen,
        specs,
        (args.threads,),
        cells,
        args.trials or DEFAULT_TRIALS,
        args.duration or DEFAULT_DURATION,
        DEFAULT_WARMUP if args.warmup is None else args.warmup,
    )


def _job(
    args: argparse.Namespace,
    chosen: Sequence[Allocator],
    specs: dict[str, workloads.Workload],
    threads: tuple[int, ...],
    cells: Sequence[Cell],
    trials: int,
    duration: float,
    warmup: float,
) -> Job:
    if args.latency_every < 0:
        raise UsageError(
            f"--latency-every {args.latency_every} is not possible; accepted: 0 or more"
        )
    identified = allocators.identify(chosen)
    plan = Plan(
        allocators=tuple(entry.label for entry in identified),
        workloads=tuple(specs),
        threads=threads,
        trials=trials,
        duration=duration,
        warmup=warmup,
        seed=DEFAULT_SEED if args.seed is None else args.seed,
        cores=machine.usable_cores(),
        cells=tuple(cells),
        timeout=args.timeout or 0.0,
        pin=args.pin,
        verify=args.verify,
        latency_every=args.latency_every,
        memory=args.memory or 0,
        turns=quick.TURNS if getattr(args, "quick", False) else TURNS,
        sources=tuple((name, spec.to_toml()) for name, spec in specs.items()),
    )
    for spec in specs.values():
        for count in threads:
            _sampled(spec, plan, count)
    return Job(plan, {entry.label: entry for entry in identified}, specs)


def _sampled(spec: workloads.Workload, plan: Plan, threads: int) -> None:
    """Try a request: what cannot be measured is refused before there is a run directory."""
    workloads.request(
        spec,
        threads=threads,
        duration=plan.window(threads),
        warmup=plan.warmup,
        seed=plan.seed,
        latency_every=plan.latency_every,
    )


def workload_specs(texts: Sequence[str]) -> dict[str, workloads.Workload]:
    """Workloads by name from comma-separated lists: catalogue names, files, `all`.

    `NAME:option=value` changes a catalogue entry; the whole text is then its name.
    """
    catalogue = workloads.catalogue()
    found: dict[str, workloads.Workload] = {}
    for part in (part for text in texts for part in _split(text)):
        base, colon, options = part.partition(":")
        if part == "all":
            found.update(catalogue)
        elif part.endswith(".toml"):
            if not os.path.isfile(part):  # noqa: PTH113 - also False for a name that is too long
                raise UsageError(f"no workload file at {part}")
            spec = workloads.load(part)
            found[spec.name] = spec
        elif base in catalogue and colon and part.isprintable():
            found[part] = catalogue[base].with_options(**_values(part, options))
        elif base in catalogue:
            found[part] = catalogue[part]
        else:
            raise UsageError(
                f"unknown workload '{part}'; accepted: {', '.join(catalogue)}, a .toml file "
                r"(a comma in its path as \,), all"
            )
    if not found:
        raise UsageError("no workload named; accepted: those of `mtbench list workloads`")
    return found


def _split(text: str) -> list[str]:
    """Commas separate workloads, except between the options of one."""
    parts: list[str] = []
    for piece in allocators.pieces(text):
        if parts and ":" in parts[-1] and "=" in piece and ":" not in piece:
            parts[-1] += f",{piece}"
        else:
            parts.append(piece)
    return parts


def _values(name: str, text: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise UsageError(f"workload '{name}': option '{part}' is not of the form NAME=VALUE")
        for kind in (int, float):
            try:
                values[key] = kind(value)
                break
            except ValueError:
                continue
        else:
            values[key] = value
    return values


def job_of(plan: Plan, kept: Sequence[dict[str, str]]) -> Job:
    """The job of a manifest, for --resume: the same allocators and workloads as when it began.

    Raises MtbenchError if a library has changed since: its trials could not be told apart.
    """
    specs = specs_of(plan)
    chosen = [again(entry) for entry in kept]
    identified = {entry.label: entry for entry in allocators.identify(chosen)}
    for entry in kept:
        now = identified[entry["label"]]
        if now.sha256 != entry["sha256"]:
            raise MtbenchError(
                f"allocator '{now.label}' is not the library this run began with ({now.path} has "
                "changed); start a new sweep"
            )
    return Job(plan, identified, specs)


def specs_of(plan: Plan) -> dict[str, workloads.Workload]:
    """The workloads that a plan keeps as text."""
    specs = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in plan.sources:
            file = Path(folder) / "workload.toml"
            file.write_text(text, encoding="utf-8", errors="backslashreplace")
            specs[name] = workloads.load(file)
    return specs


def again(kept: Mapping[str, Any]) -> Allocator:
    """An allocator of a manifest, found anew on this machine. Raises UsageError."""
    if kept["kind"] == "peer" and kept["path"] and Path(kept["path"]).exists():
        return allocators.resolve(f"{kept['label']}={kept['path']}")
    return allocators.resolve(kept["label"])
