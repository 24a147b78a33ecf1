"""A fleet's run seen host by host: as if each host had measured its own records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from mtbench.errors import UsageError
from mtbench.runs.directory import RunDirectory
from mtbench.runs.manifest import Manifest
from mtbench.runs.record import Record


class HostView(RunDirectory):
    """The part of a run that one host measured, for reading: its plan is cut to the workloads that
    this host measured or is to measure."""

    def __init__(self, run: RunDirectory, name: str) -> None:
        self._run = run
        self._name = name
        super().__init__(run.path.with_name(f"{run.path.name}-{name}"), self._part())

    def records(self) -> Iterator[Record]:
        """The records of this host."""
        for record in self._run.records():
            if record.host and record.host.name == self._name:
                yield record

    def _part(self) -> Manifest:
        whole = self._run.manifest
        site = (whole.hosts or {})[self._name]
        plan = whole.plan
        mine = {record.workload for record in self.records()}
        if whole.on_each_host:
            mine |= set(plan.workloads)
        else:
            mine |= {w for w, n in (whole.assignment or {}).items() if n == self._name}
        return msgspec.structs.replace(
            whole,
            host=self._name,
            machine=site.machine,
            fingerprint=site.fingerprint,
            packages=site.packages,
            facts=site.facts,
            allocators=site.allocators,
            workloads=tuple(entry for entry in whole.workloads if entry.name in mine),
            plan=replace(
                plan,
                cores=site.cores or plan.cores,
                workloads=tuple(name for name in plan.workloads if name in mine),
                cells=tuple(cell for cell in plan.cells if cell.workload in mine),
                sources=tuple(entry for entry in plan.sources if entry[0] in mine),
            ),
        )


def is_fleet(path: Path) -> bool:
    """Whether a run directory is there and several hosts may have filled it."""
    try:
        return RunDirectory.read(path).manifest.hosts is not None
    except UsageError:
        return False


def opened(path: Path) -> list[RunDirectory]:
    """A run, for reading; a fleet's in parts, one for each host that has any workload, or only the
    part of one host where `path` is RUN:HOST. Raises UsageError."""
    folder, colon, name = str(path).rpartition(":")
    if colon and not path.exists() and is_fleet(Path(folder)):
        run = RunDirectory.read(Path(folder))
        hosts = run.manifest.hosts or {}
        if name not in hosts:
            raise UsageError(f"{folder} has no host '{name}'; accepted: {', '.join(hosts)}")
        return [HostView(run, name)]
    run = RunDirectory.read(path)
    if run.manifest.hosts is None:
        return [run]
    views = [HostView(run, name) for name in run.manifest.hosts]
    return [view for view in views if view.manifest.plan.workloads]


def opened_one(path: Path) -> RunDirectory:
    """As `opened`, for what looks at one machine. Raises UsageError for several hosts."""
    parts = opened(path)
    if len(parts) != 1:
        names = ", ".join(f"{path}:{view.manifest.host}" for view in parts)
        raise UsageError(f"{path} holds {len(parts)} hosts; accepted: {names or 'one with trials'}")
    return parts[0]
