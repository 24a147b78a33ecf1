"""`mtbench sweep --cluster`: the hosts of a Dask cluster, each with its queue of trials.

One trial at a time on a host. All cells of a workload stay on one host, so that ratios between
allocators and between thread counts never mix machines. Only this process writes the run
directory; a trial whose worker is lost goes back to the front of its host's queue.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import msgspec

from mtbench.errors import MtbenchError, UsageError
from mtbench.fleet import remote
from mtbench.mallocs.allocators import Allocator
from mtbench.plan.jobs import Job
from mtbench.plan.plan import Cell, Plan, Trial
from mtbench.runs import conditions
from mtbench.runs.directory import RunDirectory
from mtbench.runs.manifest import Site
from mtbench.runs.record import MeasuredOn, Record
from mtbench.trial.session import Records

PATIENCE_S = 60.0
"""How long to wait for a lost scheduler, or for a lost host before its cells move to another."""

_POLL_S = 0.05
_CENSUS_S = 1.0
_RPC_S = 120.0


@dataclass
class Host:
    """One machine of the cluster: what it said of itself, its live workers, and its trials."""

    told: remote.Described
    plan: Plan
    workers: list[str] = field(default_factory=list)
    queue: deque[Trial] = field(default_factory=deque)
    running: tuple[Any, Trial, str] | None = None
    lost: dict[Trial, list[str]] = field(default_factory=dict)
    last_seen: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """What the run calls it."""
        return self.told.name


class Cluster:
    """A connection to a scheduler that is made again when it breaks."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._dask = distributed()
        self._client: Any = None

    def client(self) -> Any:
        """The connection. Raises MtbenchError after a minute without a scheduler."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._connect():
            if time.monotonic() > deadline:
                raise MtbenchError(f"no scheduler answers at {self.address}")
            time.sleep(0.5)
        return self._client

    def _connect(self) -> bool:
        if self._client is None:
            try:
                self._client = self._dask.Client(self.address, timeout=5, set_as_default=False)
            except OSError:
                return False
            except (ValueError, TypeError) as error:
                raise UsageError(
                    f"'{self.address}' is no scheduler; accepted: tcp://HOST:8786"
                ) from error
        return True

    def broken(self) -> None:
        """Forget the connection; the next `client` makes another."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=1)
        self._client = None

    def live(self) -> dict[str, int]:
        """Addresses of the workers that the scheduler has now."""
        client = self.client()
        if client.status != "running":
            raise OSError("the scheduler is gone")
        return dict(client.sync(_ncores, client, callback_timeout=10))

    def describe(self, worker: str, kept: list[Allocator]) -> remote.Described:
        """What a worker says of its host. Raises UsageError for one that knows no such question."""
        try:
            told = self.client().run(remote.describe, kept, workers=[worker])
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"worker {worker} has another mtbench ({error}); install the same on both"
            ) from error
        found: remote.Described = told[worker]
        return found


async def _ncores(client: Any) -> Any:
    return await client.scheduler.ncores()


def distributed() -> ModuleType:
    """Dask's package, silenced. Raises UsageError where it is missing."""
    try:
        found = importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError("--cluster needs Dask: pip install 'mtbench[cluster]'") from error
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return found


class Fleet:
    """The hosts of one run and what each has still to measure."""

    def __init__(self, cluster: Cluster, job: Job) -> None:
        self.cluster = cluster
        self.hosts: dict[str, Host] = {}
        self._job = job
        self._kept = list(job.allocators.values())
        self._known: dict[str, str] = {}
        self._census_at = 0.0

    def gather(self) -> None:
        """Find every host now; refuses what cannot take part. Raises MtbenchError."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.hosts:
            self._census()
            if not self.hosts and time.monotonic() > deadline:
                raise MtbenchError(f"the scheduler at {self.cluster.address} has no workers")
            if not self.hosts:
                time.sleep(0.5)

    def sites(self) -> dict[str, Site]:
        """Each host as the manifest keeps it."""
        return {name: found.told.site for name, found in self.hosts.items()}

    def _census(self) -> None:
        """Which workers live now; new ones are asked what they are."""
        self._census_at = time.monotonic()
        live = self.cluster.live()
        for address in live:
            if address not in self._known:
                told = self.cluster.describe(address, self._kept)
                self._known[address] = self._admit(address, told).name
        for gone in [address for address in self._known if address not in live]:
            del self._known[gone]
        for found in self.hosts.values():
            found.workers = [a for a, name in self._known.items() if name == found.name]
            if found.workers:
                found.last_seen = time.monotonic()

    def _admit(self, address: str, told: remote.Described) -> Host:
        name = told.name
        if not told.resource:
            raise UsageError(
                f"worker {address} on {name} does not offer the resource {remote.RESOURCE}; "
                f"start it with: dask worker --nthreads 1 --resources {remote.RESOURCE}=1"
            )
        mine = conditions.build()
        for part, found in told.build.items():
            if found != mine.get(part):
                raise UsageError(
                    f"host {name} has another build of {part} ({found}) than this one "
                    f"({mine.get(part)}); install the same mtbench on both"
                )
        if told.error:
            raise UsageError(f"host {name}: {told.error}")
        for known in self.hosts.values():
            if known.told.key == told.key:
                return known
            if known.name == name:
                raise UsageError(
                    f"two machines are called {name}; tell them apart with {remote.NAME_VARIABLE}"
                )
        plan = replace(self._job.plan, cores=told.site.cores or self._job.plan.cores)
        self.hosts[name] = Host(told, plan)
        return self.hosts[name]

    def records(self, run: RunDirectory) -> Records:
        """The record of every queued trial, as it comes; its host goes on when it is kept."""
        while any(found.queue or found.running for found in self.hosts.values()):
            try:
                if time.monotonic() - self._census_at > _CENSUS_S:
                    self._census()
                for found in self.hosts.values():
                    record = self._ended(found)
                    if record is not None:
                        yield record
                    self._start(found)
                self._move(run)
            except MtbenchError:
                raise
            except (OSError, TimeoutError, RuntimeError) as error:
                if isinstance(error, OSError) and error.filename:
                    raise
                self._reconnect(type(error).__name__)
            time.sleep(_POLL_S)

    def cancel(self) -> None:
        """Give up what is running, so that the cluster is free at once."""
        for found in self.hosts.values():
            if found.running:
                with contextlib.suppress(Exception):
                    found.running[0].cancel()

    def _ended(self, found: Host) -> Record | None:
        """The record of the trial that ran on a host, once it is there."""
        if not found.running:
            return None
        future, trial, worker = found.running
        if future.status == "finished":
            record: Record = future.result(timeout=_RPC_S)
            measured_on = MeasuredOn(found.name, worker, found.lost.pop(trial, []))
            found.running = None
            return msgspec.structs.replace(record, host=measured_on)
        if future.status == "error":
            self._failed(found, future.exception(timeout=_RPC_S))
        elif worker not in found.workers or future.status in ("lost", "cancelled"):
            self._lose(found, f"worker {worker} was lost")
        return None

    def _start(self, found: Host) -> None:
        """The next trial of a host that has nothing to do."""
        if found.running or not found.queue or not found.workers:
            return
        trial, worker = found.queue.popleft(), found.workers[0]
        kept = found.told.site.allocators
        key = hashlib.sha256(repr((found.plan, kept)).encode()).hexdigest()
        future = self.cluster.client().submit(
            remote.trial,
            key,
            found.plan,
            kept,
            trial,
            workers=[worker],
            allow_other_workers=False,
            resources={remote.RESOURCE: 1},
            pure=False,
            retries=0,
        )
        found.running = future, trial, worker

    def _failed(self, found: Host, error: BaseException) -> None:
        # By name: where these classes lie differs between versions of Dask.
        if type(error).__name__ in ("KilledWorker", "CommClosedError", "FutureCancelledError"):
            self._lose(found, str(error).splitlines()[0])
            return
        raise MtbenchError(f"host {found.name}: {type(error).__name__}: {error}")

    def _lose(self, found: Host, why: str) -> None:
        """Put the trial that was running back to the front of the queue."""
        if found.running is None:
            return
        future, trial, _ = found.running
        with contextlib.suppress(Exception):
            future.cancel()
        found.running = None
        found.lost.setdefault(trial, []).append(why)
        found.queue.appendleft(trial)

    def _reconnect(self, why: str) -> None:
        for found in self.hosts.values():
            self._lose(found, f"the scheduler was lost ({why})")
            found.workers = []
            found.last_seen = time.monotonic()
        self._known.clear()
        self.cluster.broken()
        self.cluster.client()

    def _move(self, run: RunDirectory) -> None:
        """Give a lost host's workloads to another, to be measured there from the start: trials
        of one cell on two machines are never put together."""
        gone = [
            found
            for found in self.hosts.values()
            if found.queue and not found.workers
            and time.monotonic() - found.last_seen > PATIENCE_S
        ]  # fmt: skip
        there = [found for found in self.hosts.values() if found.workers]
        for found in gone:
            if not there or run.manifest.on_each_host:
                raise MtbenchError(
                    f"host {found.name} did not come back with {len(found.queue)} trials to go; "
                    f"all others are kept; go on with: mtbench sweep --resume {run.path}"
                )
            heir = min(there, key=lambda other: len(other.queue))
            moved = {trial.cell.workload for trial in found.queue}
            found.queue.clear()
            assignment = dict(run.manifest.assignment or {})
            assignment |= dict.fromkeys(moved, heir.name)
            run.update(assignment=assignment, hosts=(run.manifest.hosts or {}) | self.sites())
            heir.queue.extend(t for t in heir.plan.order() if t.cell.workload in moved)


def assigned(job: Job, hosts: dict[str, Host]) -> dict[str, str]:
    """Workload -> host, the longest first to whoever has least to do."""
    plan = job.plan
    cost = dict.fromkeys(plan.workloads, 0.0)
    for cell in plan.cells:
        cost[cell.workload] += plan.expected(cell.threads)
    burden = dict.fromkeys(sorted(hosts), 0.0)
    chosen = {}
    for workload in sorted(cost, key=lambda name: -cost[name]):
        least = min(burden, key=lambda name: burden[name])
        chosen[workload] = least
        burden[least] += cost[workload]
    return chosen


def fill(fleet: Fleet, run: RunDirectory) -> int:
    """Queue what each host has still to do; how many records there are already."""
    done: set[tuple[str, int, Cell]] = {
        (record.host.name, record.block, record.cell) for record in run.records() if record.host
    }
    assignment = run.manifest.assignment or {}
    everywhere = run.manifest.on_each_host
    for found in fleet.hosts.values():
        found.queue.extend(
            trial
            for trial in found.plan.order()
            if (everywhere or assignment.get(trial.cell.workload) == found.name)
            and (found.name, trial.block, trial.cell) not in done
        )
    return len(done)


@contextlib.contextmanager
def connected(address: str, job: Job) -> Iterator[Fleet]:
    """A fleet, gathered and closed again."""
    cluster = Cluster(address)
    fleet = Fleet(cluster, job)
    try:
        fleet.gather()
        yield fleet
    finally:
        fleet.cancel()
        cluster.broken()
