"""The worker's side of a fleet: what this host is, and one trial measured on it.

Runs inside a worker of a Dask cluster; the trial itself is the same isolated process as locally,
so nothing of Dask is in the measured process.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mtbench import allocators, conditions, doctor, machine, options
from mtbench.allocators import Allocator
from mtbench.errors import MtbenchError
from mtbench.measure import Measurer
from mtbench.plan import Cell, Plan, Trial

RESOURCE = "mtbench"
"""The worker resource that a trial takes, one a worker: `dask worker --resources mtbench=1`."""

NAME_VARIABLE = "MTBENCH_HOST"
"""Gives a worker's host another name than the kernel does."""


def describe(kept: Sequence[dict[str, Any]], dask_worker: Any = None) -> dict[str, Any]:
    """This host: name, machine, build, and the allocators asked for as they are here.

    kept: the client's allocators. The answer holds "error" where one cannot run here. dask_worker:
    given by Dask.
    """
    named = os.environ.get(NAME_VARIABLE)
    boot = machine.text("/proc/sys/kernel/random/boot_id") or socket.gethostname()
    found: dict[str, Any] = {
        "host": named or socket.gethostname(),
        # Two containers of one machine have two names but share its cores.
        "key": named or boot,
        "resource": dask_worker.state.total_resources.get(RESOURCE, 0) if dask_worker else 1,
        "build": conditions.build(),
        "cores": machine.usable_cores(),
        "machine": machine.summary(),
        "fingerprint": {**machine.fingerprint(), "host": named or socket.gethostname()},
        "conditions": {**conditions.here(), "host": named or socket.gethostname()},
        "packages": machine.packages(),
    }
    try:
        chosen = allocators.identify([options.again(entry) for entry in kept])
        found["allocators"] = [asdict(entry) for entry in chosen]
        found["facts"] = doctor.as_json(doctor.examine())
    except MtbenchError as error:
        found["error"] = str(error)
    return found


_measurers: dict[str, Measurer] = {}


def trial(
    key: str, plan: dict[str, Any], kept: Sequence[dict[str, Any]], planned: Sequence[Any]
) -> dict[str, Any]:
    """Measure one trial here. key: names plan and allocators, so that requests are built once."""
    measurer = _measurers.get(key)
    if measurer is None:
        job_plan = Plan.from_json(plan)
        chosen = {entry["label"]: Allocator(**entry) for entry in kept}
        measurer = Measurer(job_plan, chosen, options.specs_of(job_plan))
        _measurers.clear()
        _measurers[key] = measurer
    order, block, (label, workload, threads) = planned
    return measurer.record(Trial(order, block, Cell(label, workload, threads)))
