"""From a request to its plan, its allocators and its workloads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import workloads
from mtbench.errors import MtbenchError, UsageError
from mtbench.machine import readings
from mtbench.mallocs import allocators
from mtbench.mallocs.allocators import Allocator
from mtbench.plan import quick
from mtbench.plan.plan import TURNS, Cell, Plan, grid, thread_counts
from mtbench.plan.request import Request, Wanted

DEFAULT_TRIALS, DEFAULT_DURATION, DEFAULT_WARMUP, DEFAULT_SEED = 8, 0.5, 0.1, 1
DEFAULT_EVERY = 256


@dataclass(frozen=True)
class Job:
    """A plan with what it names: allocators identified, workloads loaded."""

    plan: Plan
    allocators: dict[str, Allocator]
    specs: dict[str, workloads.Workload]


def job(asked: Request) -> Job:
    """The sweep that is asked for. Raises UsageError for anything unknown."""
    specs, chosen = _specs(asked), _chosen(asked)
    identified = {entry.label: entry for entry in allocators.identify(chosen)}
    plan = _plan(asked, chosen, specs)
    for workload, threads in dict.fromkeys((cell.workload, cell.threads) for cell in plan.cells):
        _sampled(specs[workload], plan, threads)
    return Job(plan, identified, specs)


def plan_of(asked: Request) -> Plan:
    """The plan of that job, without a look at whether it can be run here."""
    return _plan(asked, _chosen(asked), _specs(asked))


def _specs(asked: Request) -> dict[str, workloads.Workload]:
    return workload_specs(quick.WORKLOADS if asked.workloads is None else asked.workloads)


def _chosen(asked: Request) -> list[Allocator]:
    if asked.allocators is None and asked.quick:
        return quick.default_allocators()
    return allocators.resolve_all(["all"] if asked.allocators is None else asked.allocators)


def _plan(
    asked: Request, chosen: Sequence[Allocator], specs: Mapping[str, workloads.Workload]
) -> Plan:
    labels, names, cores = [entry.label for entry in chosen], list(specs), readings.usable_cores()
    if asked.quick:
        counts = asked.threads or quick.THREADS
        cells = _within(quick.cells(chosen, names, counts), asked.cells)
        trials = asked.trials or quick.TRIALS
        duration = asked.duration or quick.window(cells, trials, cores)
        warmup = quick.WARMUP_S if asked.warmup is None else asked.warmup
    else:
        counts = asked.threads or thread_counts("1-64")
        cells = _within(grid(labels, names, counts), asked.cells)
        trials = asked.trials or DEFAULT_TRIALS
        duration = asked.duration or DEFAULT_DURATION
        warmup = DEFAULT_WARMUP if asked.warmup is None else asked.warmup
    return Plan(
        allocators=tuple(labels),
        workloads=tuple(specs),
        threads=counts,
        trials=trials,
        duration=duration,
        warmup=warmup,
        seed=DEFAULT_SEED if asked.seed is None else asked.seed,
        cores=cores,
        cells=cells,
        timeout=asked.timeout or 0.0,
        pin=asked.pin or "none",
        verify=asked.verify,
        latency_every=DEFAULT_EVERY if asked.latency_every is None else asked.latency_every,
        memory=asked.memory or 0,
        turns=quick.TURNS if asked.quick else TURNS,
        sources=tuple((name, spec.to_toml()) for name, spec in specs.items()),
    )


def _within(whole: tuple[Cell, ...], wanted: tuple[Cell, ...] | None) -> tuple[Cell, ...]:
    """The wanted cells of a grid. Raises UsageError for one that is not in it."""
    if wanted is None:
        return whole
    known = set(whole)
    if strange := next((cell for cell in wanted if cell not in known), None):
        raise UsageError(f"cell {', '.join(map(str, strange))} is none of this sweep")
    return wanted


def one_cell(asked: Request) -> Job:
    """The single cell that `mtbench run` asks for. Raises UsageError for more."""
    found = job(asked)
    if len(found.plan.cells) != 1:
        raise UsageError("run measures one allocator and one workload; `mtbench sweep` does more")
    return found


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


def workload_specs(wanted: Sequence[Wanted]) -> dict[str, workloads.Workload]:
    """Workloads by name: from comma-separated lists of catalogue names, files and `all`, from
    paths, and as they are.

    `NAME:option=value` changes a catalogue entry; the whole text is then its name. Raises
    UsageError for two of one name, the catalogue's names included.
    """
    catalogue = workloads.catalogue()
    found: dict[str, workloads.Workload] = {}
    for part in _parts(wanted):
        if isinstance(part, workloads.Workload):
            _add(found, part.name, part, "a Workload")
            continue
        if not isinstance(part, str) or part.endswith(".toml"):
            if not os.path.isfile(part):  # noqa: PTH113 - also False for a name that is too long
                raise UsageError(f"no workload file at {part}")
            spec = workloads.load(Path(part))
            _add(found, spec.name, spec, str(part))
            continue
        base, colon, options = part.partition(":")
        if part == "all":
            for name, spec in catalogue.items():
                _add(found, name, spec, "all")
        elif base in catalogue and colon and part.isprintable():
            _add(found, part, catalogue[base].with_options(**_values(part, options)), part)
        elif base in catalogue:
            _add(found, part, catalogue[part], part)
        else:
            raise UsageError(
                f"unknown workload '{part}'; accepted: {', '.join(catalogue)}, a .toml file "
                r"(a comma in its path as \,), all"
            )
    if not found:
        raise UsageError("no workload named; accepted: those of `mtbench list workloads`")
    return found


def _add(
    found: dict[str, workloads.Workload], name: str, spec: workloads.Workload, source: str
) -> None:
    """Take one in; the same twice is one, but two of one name could not be told apart."""
    reserved = workloads.catalogue().get(name, spec)
    if reserved != spec:
        raise UsageError(
            f"{source}: the name '{name}' is that of another workload, in `mtbench list "
            "workloads`; change its name"
        )
    if found.setdefault(name, spec) != spec:
        raise UsageError(f"{source}: another workload named before is '{name}' too; change a name")


def _parts(wanted: Sequence[Wanted]) -> Iterator[Wanted]:
    for entry in wanted:
        yield from _split(entry) if isinstance(entry, str) else (entry,)


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
        if key in values:
            raise UsageError(f"workload '{name}': option {key} is given twice; accepted: once")
        for kind in (int, float):
            try:
                values[key] = kind(value)
                break
            except ValueError:
                continue
        else:
            values[key] = value
    return values


def job_of(plan: Plan, kept: Sequence[Allocator]) -> Job:
    """The job of a manifest, for --resume: the same allocators and workloads as when it began.

    Raises MtbenchError if a library has changed since: its trials could not be told apart.
    """
    specs = specs_of(plan)
    chosen = [again(entry) for entry in kept]
    identified = {entry.label: entry for entry in allocators.identify(chosen)}
    for entry in kept:
        now = identified[entry.label]
        if now.sha256 != entry.sha256:
            raise MtbenchError(
                f"allocator '{now.label}' is not the library this run began with ({now.path} has "
                "changed); start a new sweep"
            )
    return Job(plan, identified, specs)


def specs_of(plan: Plan) -> dict[str, workloads.Workload]:
    """The workloads that a plan keeps as text."""
    return {name: workloads.loads(text) for name, text in plan.sources}


def again(kept: Allocator) -> Allocator:
    """An allocator of a manifest, found anew on this machine. Raises UsageError."""
    if kept.kind == "peer" and kept.path and Path(kept.path).exists():
        return allocators.peer(kept.label, kept.path)
    return allocators.resolve(kept.label)
