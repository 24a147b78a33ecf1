"""mtbench from Python: sweep and get numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtbench.analysis.cells import Results, gather
from mtbench.errors import UsageError
from mtbench.plan import jobs
from mtbench.plan.request import Request, Wanted
from mtbench.runs.directory import RunDirectory, new_path
from mtbench.runs.hosts import opened_one
from mtbench.trial import progress, session
from mtbench.trial.measure import Measurer


@dataclass(frozen=True)
class Sweep:
    """A measured grid. path: its run directory.

    Arrays have the axes (allocator, workload, threads, trial) of `allocators`, `workloads`,
    `threads`, in that order; nan where a trial failed or a cell was not planned.
    """

    path: Path
    allocators: tuple[str, ...]
    workloads: tuple[str, ...]
    threads: tuple[int, ...]
    trials: int
    results: Results

    @property
    def throughput(self) -> NDArray[np.float64]:
        """Units per second, shape (allocators, workloads, threads, trials)."""
        return self.metric("throughput")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names that `metric` knows in this run; throughput also where every trial failed."""
        found = {name for data in self.results.cells.values() for name in data.values}
        return tuple(sorted(found | {"throughput"}))

    def metric(self, name: str) -> NDArray[np.float64]:
        """Any metric of the trials, same shape as `throughput`. Raises KeyError if unknown."""
        if name not in self.metrics:
            raise KeyError(f"no metric {name!r}; this run has: {', '.join(self.metrics)}")
        shape = len(self.allocators), len(self.workloads), len(self.threads), self.trials
        array = np.full(shape, np.nan)
        for (allocator, workload, threads), data in self.results.cells.items():
            place = (
                self.allocators.index(allocator),
                self.workloads.index(workload),
                self.threads.index(threads),
            )
            array[place] = data.metric(name)
        return array

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dictionary per cell with medians and bounds: ready for any table library."""
        for (allocator, workload, threads), data in self.results.cells.items():
            value, low, high = data.estimate()
            yield {
                "allocator": allocator,
                "workload": workload,
                "threads": threads,
                "throughput": value,
                "low": low,
                "high": high,
                "failed": data.failed,
            }


def sweep(
    allocators: str | Sequence[str] = "all",
    workloads: Wanted | Sequence[Wanted] | None = None,
    threads: str | int | Sequence[int] = "1-64",
    *,
    trials: int = jobs.DEFAULT_TRIALS,
    duration: float = jobs.DEFAULT_DURATION,
    warmup: float = jobs.DEFAULT_WARMUP,
    seed: int = jobs.DEFAULT_SEED,
    output: str | Path | None = None,
    pin: str = "none",
    verify: bool = False,
    quiet: bool = True,
) -> Sweep:
    """Measure every combination, keep it in a run directory, and return the numbers.

    allocators, workloads: one or several, text as on the command line; a workload may also be a
    Workload or the path of a TOML file; None: those of a quick sweep. duration, warmup: seconds a
    trial. threads: "1-64", "1,2,8" or numbers. pin: none, compact or spread. output: the run
    directory, by default under runs/. Raises UsageError for what is unknown or not possible,
    workloads.SpecError for a workload that is none, and KeyboardInterrupt when interrupted; what
    was measured until then is on the disk.
    """
    asked = Request(
        allocators=allocators,
        workloads=workloads,  # type: ignore[arg-type] # one stands for a list of one
        threads=threads,  # type: ignore[arg-type]
        trials=trials,
        duration=duration,
        warmup=warmup,
        seed=seed,
        pin=pin,
        verify=verify,
    )
    job = jobs.job(asked)
    if output == "":
        raise UsageError("output is empty; accepted: a directory, or None for one under runs/")
    path = new_path(Path("runs")) if output is None else Path(output)
    measurer = Measurer(job.plan, job.allocators, job.specs)
    with RunDirectory.create(path, session.manifest(job, None)) as run:
        show = progress.shown(job.plan, 0, quiet=quiet, verbose=False)
        if session.fill(run, session.measured(measurer, job.plan.order()), show):
            raise KeyboardInterrupt
    return load(path)


def load(path: str | Path) -> Sweep:
    """The numbers of an existing run directory. Raises UsageError if it is none."""
    directory = opened_one(Path(path))
    plan = directory.manifest.plan
    results = gather(directory.records(), plan)
    return Sweep(
        directory.path, plan.allocators, plan.workloads, plan.threads, plan.trials, results
    )
