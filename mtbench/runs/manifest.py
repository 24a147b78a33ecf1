"""The manifest of a run: what was asked, of which mallocs, on which machine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from mtbench.base.table import printable
from mtbench.machine.checks import Fact
from mtbench.mallocs.allocators import Allocator
from mtbench.plan.plan import MOST_TRIALS, Plan
from mtbench.programs.program import Program
from mtbench.runs.record import fault
from mtbench.runs.result import MOST_THREADS, Amount, Threads
from plots.data import Tally, WorkloadInfo


class Session(Struct, frozen=True):
    """One time that the run was measured."""

    seconds: Amount
    interrupted: bool


class Site(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A machine as it was when it measured, and the mallocs as they were there."""

    machine: str = ""
    fingerprint: dict[str, Any] = {}
    conditions: dict[str, str] = {}
    packages: dict[str, str] = {}
    facts: tuple[Fact, ...] = ()
    allocators: tuple[Allocator, ...]
    cores: Threads | None = None


class Manifest(Site, frozen=True, omit_defaults=True, kw_only=True):
    """A run. hosts, assignment, on_each_host, cluster: of a run on a cluster. programs: of a run of
    programs, one for each workload of the plan; left_out: why others of the catalogue could not
    run; without_preload: how each program ended without a preloaded malloc, where none lived with
    one, "" if well; beside: what was preloaded with every malloc, with its SHA-256; tallies: what
    each program asks of its malloc, null where that could not be counted."""

    schema: int
    created: Annotated[str, Meta(description="ISO 8601, UTC")]
    command: Annotated[str, Meta(description="what the user typed")]
    title: str = ""
    host: str
    plan: Plan
    workloads: tuple[WorkloadInfo, ...]
    sessions: tuple[Session, ...] = ()
    programs: tuple[Program, ...] = ()
    left_out: dict[str, str] = {}
    without_preload: dict[str, str] = {}
    beside: dict[str, str] = {}
    tallies: dict[str, Tally | None] = {}
    cluster: str | None = None
    on_each_host: bool | None = None
    assignment: dict[str, str] | None = None
    hosts: dict[str, Site] | None = None

    def shown(self) -> Manifest:
        """The same, every text printable."""
        return msgspec.convert(printable(msgspec.to_builtins(self)), Manifest)


def decoded(text: str) -> Manifest:
    """The manifest of a file. Raises ValueError, with what is wrong."""
    given = json.loads(text)
    if isinstance(given, dict):
        _renew(given)
    try:
        found = msgspec.convert(given, Manifest)
    except msgspec.ValidationError as error:
        raise ValueError(fault(error)) from None
    wrong = next(_faults(found), None)
    if wrong:
        raise ValueError(wrong)
    return found


def _renew(given: dict[str, Any]) -> None:
    """Older runs hold at most one program."""
    program = given.pop("program", None)
    if isinstance(program, dict):
        given["programs"] = [program]
        if isinstance(plain := given.get("without_preload"), str):
            given["without_preload"] = {str(program.get("name")): plain}


def encoded(manifest: Manifest) -> str:
    """A manifest as a file holds it."""
    return json.dumps(msgspec.to_builtins(manifest), indent=1) + "\n"


def _faults(manifest: Manifest) -> Iterator[str]:
    """Where its parts contradict each other, or hold what no run could have been asked for."""
    plan = manifest.plan
    if not 1 <= plan.trials <= MOST_TRIALS:
        yield f"plan.trials is {plan.trials}, not 1 to {MOST_TRIALS}"
    if not all(1 <= count <= MOST_THREADS for count in (*plan.threads, plan.cores)):
        yield "plan.threads or plan.cores has no number of threads"
    for name in ("duration", "warmup", "timeout", "latency_every", "memory", "turns"):
        value = getattr(plan, name)
        if not 0 <= value <= 1 << 62:
            yield f"plan.{name} is {value}, not a number that a run could be asked for"
    for name in ("allocators", "workloads", "threads", "cells"):
        entries = sorted(map(repr, getattr(plan, name)))
        if twice := next((one for one, next_ in pairwise(entries) if one == next_), None):
            yield f"plan.{name} has {twice} twice"
    labels = tuple(entry.label for entry in manifest.allocators)
    names = tuple(entry.name for entry in manifest.workloads)
    if not labels or labels != plan.allocators:
        yield "allocators are not those of its plan"
    if not names or names != plan.workloads or not plan.threads:
        yield "workloads are not those of its plan"
    for allocator, workload, threads in plan.cells:
        if not (allocator in labels and workload in names and threads in plan.threads):
            yield f"plan.cells has {allocator}, {workload}, {threads}, which its lists have not"
    described = [entry.name for entry in manifest.programs] or [name for name, _ in plan.sources]
    if sorted(described) != sorted(names):
        yield "plan.sources or programs are not those of its workloads"
    if not all(0 <= code <= 255 for entry in manifest.programs for code in entry.codes):
        yield "programs have what is no exit code"
    for name, found in manifest.tallies.items():
        if found and not (0 <= found.share <= 1 and _finite(found.calls_per_s, found.mean_bytes)):
            yield f"tallies.{name[:60]} has what nobody could have counted"
    for host, site in (manifest.hosts or {}).items():
        # The name is a folder's, too.
        if not host.strip(".") or "/" in host or not host.isprintable():
            yield f"hosts has the name {host[:60]!r}"
        if tuple(entry.label for entry in site.allocators) != labels or site.cores is None:
            yield f"hosts.{host[:60]}: its allocators are not those of the plan, or it has no cores"
    if manifest.hosts is not None and None in (manifest.assignment, manifest.on_each_host):
        yield "hosts without assignment and on_each_host"


def _finite(*counted: float) -> bool:
    return all(0 <= value < math.inf for value in counted)
