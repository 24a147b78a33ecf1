"""A fleet's run seen host by host: as if each host had measured its own records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtbench.errors import UsageError
from mtbench.plan import Plan
from mtbench.rundir import RunDirectory


class HostView(RunDirectory):
    """The part of a run that one host measured, for reading."""

    def __init__(self, run: RunDirectory, name: str) -> None:
        facts = run.manifest["hosts"][name]
        manifest = {
            **run.manifest,
            "host": name,
            **{
                key: facts[key]
                for key in ("machine", "fingerprint", "packages", "facts", "allocators")
            },
        }
        super().__init__(run.path.with_name(f"{run.path.name}-{name}"), manifest)
        self._run = run
        self._name = name

    def records(self) -> Iterator[dict[str, Any]]:
        """The records of this host."""
        for record in self._run.records():
            if record["host"]["name"] == self._name:
                yield record

    def plan(self) -> Plan:
        """The plan, cut to the workloads that this host measured or is to measure."""
        whole = Plan.from_json(self.manifest["plan"])
        mine = {record["workload"] for record in self.records()}
        if self.manifest["on_each_host"]:
            mine |= set(whole.workloads)
        else:
            mine |= {w for w, n in self.manifest["assignment"].items() if n == self._name}
        self.manifest["workloads"] = [
            entry for entry in self.manifest["workloads"] if entry["name"] in mine
        ]
        return replace(
            whole,
            cores=self.manifest["hosts"][self._name]["cores"],
            workloads=tuple(name for name in whole.workloads if name in mine),
            cells=tuple(cell for cell in whole.cells if cell.workload in mine),
            sources=tuple(entry for entry in whole.sources if entry[0] in mine),
        )


def is_fleet(path: Path) -> bool:
    """Whether a run directory is there and several hosts may have filled it."""
    try:
        return "hosts" in RunDirectory.read(path).manifest
    except UsageError:
        return False


def opened(path: Path) -> list[tuple[RunDirectory, Plan]]:
    """A run and its plan, for reading; a fleet's in parts, one for each host that has any
    workload, or only the part of one host where `path` is RUN:HOST. Raises UsageError."""
    folder, colon, name = str(path).rpartition(":")
    if colon and not path.exists() and is_fleet(Path(folder)):
        run = RunDirectory.read(Path(folder))
        if name not in run.manifest["hosts"]:
            hosts = ", ".join(run.manifest["hosts"])
            raise UsageError(f"{folder} has no host '{name}'; accepted: {hosts}")
        view = HostView(run, name)
        return [(view, view.plan())]
    run = RunDirectory.read(path)
    if "hosts" not in run.manifest:
        return [(run, Plan.from_json(run.manifest["plan"]))]
    found = [HostView(run, name) for name in run.manifest["hosts"]]
    planned = [(view, view.plan()) for view in found]
    return [(view, plan) for view, plan in planned if plan.workloads]


def opened_one(path: Path) -> tuple[RunDirectory, Plan]:
    """As `opened`, for what looks at one machine. Raises UsageError for several hosts."""
    parts = opened(path)
    if len(parts) != 1:
        names = ", ".join(f"{path}:{view.manifest['host']}" for view, _ in parts)
        raise UsageError(f"{path} holds {len(parts)} hosts; accepted: {names or 'one with trials'}")
    return parts[0]
