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
    """A measured grid, as arrays.

    Arrays have the axes (allocator, workload, threads, trial), in the order of `allocators`,
    `workloads` and `threads`; nan where a trial failed or a cell was not planned.

    - `path`: the run directory
    - `trials`: how many each cell was to have
    - `results`: the same numbers by cell, as they were read
    """

    path: Path
    allocators: tuple[str, ...]
    workloads: tuple[str, ...]
    threads: tuple[int, ...]
    trials: int
    results: Results

    @property
    def throughput(self) -> NDArray[np.float64]:
        """Units of work per second, shape (allocators, workloads, threads, trials)."""
        return self.metric("throughput")

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that `metric` takes for this run; throughput is always among them."""
        found = {name for data in self.results.cells.values() for name in data.values}
        return tuple(sorted(found | {"throughput"}))

    def metric(self, name: str) -> NDArray[np.float64]:
        """Returns one metric of every trial, in the shape of `throughput`.

        Raises KeyError, which tells the names there are, if `name` is not in `metrics`.
        """
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
        """Yields a dictionary per cell, as any table library takes it.

        Its keys: allocator, workload, threads; throughput, the median in units per second, with
        its 95 % interval from low to high, all nan without a trial; failed, how many trials were.
        """
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
    """Measures every combination, keeps it in a run directory, and returns the numbers.

    - `allocators`: one or several, named as on the command line
    - `workloads`: one or several: names, paths of TOML files, Workloads; None: the quick ones
    - `threads`: "1-64" (powers of two), "1,2,8", a number or several
    - `trials`: per cell
    - `duration`, `warmup`: of a trial, seconds
    - `seed`: of the order and the workloads
    - `output`: the run directory, new or empty; None: a new one under runs/
    - `pin`: "none", "compact" or "spread": how threads are bound to CPUs
    - `verify`: whether every block is filled and checked, which is not for speed
    - `quiet`: whether nothing is said on stderr

    A trial that fails raises nothing: it is nan. Raises UsageError, before anything is measured,
    if something is unknown or not possible; workloads.SpecError if a workload is none; and
    KeyboardInterrupt if it is interrupted: what was measured until then is on the disk.
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
    """Reads a run directory and returns its numbers.

    Raises UsageError if there is none at `path`, or one of several hosts (name one: "RUN:HOST"),
    and MtbenchError if it is damaged.
    """
    directory = opened_one(Path(path))
    plan = directory.manifest.plan
    results = gather(directory.records(), plan)
    return Sweep(
        directory.path, plan.allocators, plan.workloads, plan.threads, plan.trials, results
    )
