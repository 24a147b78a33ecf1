"""From a planned trial to its record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

import msgspec

import workloads
from mtbench.machine import readings
from mtbench.mallocs.allocators import Allocator
from mtbench.plan.plan import Cell, Plan, Trial
from mtbench.runs.record import SCHEMA, Around, Identity, Kind, Record, Status, checked
from mtbench.runs.result import Counters, Result
from mtbench.trial.isolate import Limits, run_worker

_KEPT_BYTES = 256 << 20


class Measurer:
    """Runs the trials of one plan. Requests are built once for all allocators of a round."""

    def __init__(
        self,
        plan: Plan,
        allocators: Mapping[str, Allocator],
        specs: Mapping[str, workloads.Workload],
    ) -> None:
        self._plan = plan
        self._allocators = allocators
        self._specs = specs
        self._memory = plan.memory or readings.worker_memory()
        self._cpus = readings.cpu_order(plan.pin)
        self._block = -1
        self._requests: dict[tuple[str, int], bytes] = {}

    def record(self, trial: Trial) -> Record:
        """Measure one trial; whatever becomes of the worker, a record comes back.

        Raises workloads.SpecError for a workload that cannot run with so many threads.
        """
        cell = trial.cell
        request = self._request(trial.block, cell)
        chosen = self._allocators[cell.allocator]
        load, runnable = readings.load()
        steal = readings.steal_s()
        started = time.time()
        limits = Limits(self._plan.limit(cell.threads), self._memory)
        outcome = run_worker(request, chosen, limits)
        kept = partial(
            Record,
            schema=SCHEMA,
            order=trial.order,
            block=trial.block,
            allocator=cell.allocator,
            workload=cell.workload,
            threads=cell.threads,
            signal=outcome.signal,
            exit_code=outcome.exit_code,
            stderr_tail=outcome.stderr_tail,
            thread_states=list(outcome.threads),
            started=round(started, 3),
            wall_s=round(outcome.wall_s, 4),
            machine=Around(
                load1=load,
                runnable_before=runnable,
                runnable_during=outcome.runnable,
                runnable_after=readings.load()[1],
                steal_s=round(readings.steal_s() - steal, 2),
            ),
        )
        written = outcome.record
        try:
            return kept(
                status=outcome.status,
                reason=outcome.reason,
                identity=_identity(written.get("identity"), chosen),
                result=_if_any(written.get("result"), Result),
                allocator_stats=_if_any(written.get("allocator_stats"), Counters),
            )
        except ValueError as error:
            # What a broken malloc left of a worker's numbers is no number.
            return kept(status=Status.ERROR, reason=f"its numbers are damaged: {error}")

    def _request(self, block: int, cell: Cell) -> bytes:
        """The same work for every allocator of a round, other work in the next."""
        if block != self._block:
            self._block = block
            self._requests.clear()
        key = cell.workload, cell.threads
        if key not in self._requests:
            request = workloads.request(
                self._specs[cell.workload],
                threads=cell.threads,
                duration=self._plan.window(cell.threads),
                warmup=self._plan.warmup,
                seed=self._plan.seed * 1_000 + block,
                verify=self._plan.verify,
                latency_every=self._plan.latency_every,
                affinity=self._cpus,
            )
            if sum(map(len, self._requests.values())) + len(request) > _KEPT_BYTES:
                self._requests.clear()
            self._requests[key] = request
        return self._requests[key]


def _identity(told: object, chosen: Allocator) -> Identity | None:
    """What the worker says of its malloc. Raises ValueError if that is none."""
    found = _if_any(told, Identity)
    return found and msgspec.structs.replace(found, sha256=chosen.sha256)


def _if_any(told: object, kind: type[Kind]) -> Kind | None:
    return None if told is None else checked(told, kind)
