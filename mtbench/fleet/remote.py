"""The worker's side of a fleet: what this host is, and one trial measured on it.

Runs inside a worker of a Dask cluster; the trial itself is the same isolated process as locally,
so nothing of Dask is in the measured process.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtbench.errors import MtbenchError
from mtbench.machine import checks, readings
from mtbench.mallocs import allocators
from mtbench.mallocs.allocators import Allocator
from mtbench.plan import jobs
from mtbench.plan.plan import Plan, Trial
from mtbench.runs import conditions
from mtbench.runs.manifest import Site
from mtbench.runs.record import Record
from mtbench.trial.measure import Measurer

RESOURCE = "mtbench"
"""The worker resource that a trial takes, one a worker: `dask worker --resources mtbench=1`."""

NAME_VARIABLE = "MTBENCH_HOST"
"""Gives a worker's host another name than Linux does."""


@dataclass(frozen=True)
class Described:
    """A host of a cluster. key: of two names of one machine it is the same, as they share its
    cores. resource: how many trials the worker takes at once. build: of mtbench and its libraries.
    error: why one of the allocators asked for cannot run here, "" if all can."""

    name: str
    key: str
    resource: float
    build: Mapping[str, str]
    site: Site
    error: str = ""


def describe(kept: Sequence[Allocator], dask_worker: Any = None) -> Described:
    """This host. kept: the client's allocators. dask_worker: given by Dask."""
    named = os.environ.get(NAME_VARIABLE)
    boot = readings.text("/proc/sys/kernel/random/boot_id") or socket.gethostname()
    name = named or socket.gethostname()
    error, chosen = "", []
    try:
        chosen = allocators.identify([jobs.again(entry) for entry in kept])
    except MtbenchError as refusal:
        error = str(refusal)
    site = Site(
        cores=readings.usable_cores(),
        machine=readings.summary(),
        fingerprint={**readings.fingerprint(), "host": name},
        conditions={**conditions.here(), "host": name},
        packages=readings.packages(),
        facts=() if error else tuple(checks.examine()),
        allocators=tuple(chosen),
    )
    resource = dask_worker.state.total_resources.get(RESOURCE, 0) if dask_worker else 1
    return Described(name, named or boot, resource, conditions.build(), site, error)


_measurers: dict[str, Measurer] = {}


def trial(key: str, plan: Plan, kept: Sequence[Allocator], planned: Trial) -> Record:
    """Measure one trial here. key: names plan and allocators, so that requests are built once."""
    measurer = _measurers.get(key)
    if measurer is None:
        chosen = {entry.label: entry for entry in kept}
        measurer = Measurer(plan, chosen, jobs.specs_of(plan))
        _measurers.clear()
        _measurers[key] = measurer
    return measurer.record(planned)
