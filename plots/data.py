"""What a report is made of: frozen records that the caller fills in and every figure reads.

Nothing here computes or draws. All numbers are floats in the unit named beside the field; `nan`
means missing (not measured, not permitted, failed), never zero. Arrays are one-dimensional numpy
arrays unless a shape is given. Threads, trials and counts are ints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

Kind = Literal["null", "system", "hakmem", "peer"]
Severity = Literal["ok", "note", "warning", "unknown"]
Better = Literal["higher", "lower", "neither"]
Tone = Literal["good", "bad", "neutral"]


def no_floats() -> Floats:
    """Returns an empty array, shape (0,)."""
    # Who asks for the facts of a machine need not wait for numpy.
    import numpy as np

    return np.empty(0, dtype=np.float64)


def no_flags() -> Flags:
    """Returns an empty array, shape (0,)."""
    import numpy as np

    return np.empty(0, dtype=np.bool_)


class Estimate(NamedTuple):
    """A value with its 95 % interval, all in one unit; `nan` where missing.

    low <= value <= high where finite. A value without an interval (a single trial) has nan bounds.
    """

    value: float
    low: float = nan
    high: float = nan

    @property
    def present(self) -> bool:
        """Whether there is a value at all."""
        return isfinite(self.value)

    @property
    def bounded(self) -> bool:
        """Whether there is a value and both bounds."""
        return self.present and isfinite(self.low) and isfinite(self.high)

    def inverted(self) -> Estimate:
        """Returns 1 / x: of a ratio that is better above 1 the one that is better below, and the
        other way round; missing if x is not above zero."""
        if not self.present or self.value <= 0:
            return MISSING
        if not self.bounded or self.low <= 0:
            return Estimate(1 / self.value)
        return Estimate(1 / self.value, 1 / self.high, 1 / self.low)


MISSING = Estimate(nan)
"""What was not measured."""


@dataclass(frozen=True)
class Metric:
    """One thing a cell may hold beside its throughput: the key and how to show it."""

    key: str
    label: str
    unit: str
    better: Better
    meaning: str


# fmt: off
PROGRAM_MEASURES: tuple[Metric, ...] = (
    Metric("wall_s", "wall time", "s", "lower", "from start to end; a server's client's"),
    Metric("user_s", "user time", "s", "lower", "CPU seconds outside the system's kernel"),
    Metric("system_s", "system time", "s", "lower", "CPU seconds in the system's kernel"),
    Metric("cpu_s", "CPU time", "s", "lower", "user and system time, all threads and processes"),
    Metric("rss_peak", "peak memory", "bytes", "lower",
           "largest resident set of the process and all it started, summed at one moment"),
    Metric("voluntary", "voluntary switches", "", "lower",
           "context switches to wait for something"),
    Metric("involuntary", "involuntary switches", "", "lower",
           "context switches because the scheduler took the core"),
    Metric("minor_faults", "minor faults", "", "lower", "page faults served from memory"),
    Metric("major_faults", "major faults", "", "lower", "page faults that read a disk"),
)
# fmt: on
"""What running a whole program costs, with an allocator serving it."""


@dataclass(frozen=True)
class ProgramCell:
    """A program run under one allocator: medians of its runs.

    trials, failed: how many gave numbers and how many did not. measures: by keys of
    PROGRAM_MEASURES, and by the names of the program's own numbers. ratios: the same keys, median
    of paired ratios to the baseline; verdict: "better", "worse", "" or "too few trials" for the
    program's leading measure. wall_s, order: of each good run, shape (trials,).
    processes: the most seen in one run, all but `unproven` of them with the library mapped.
    unseen: share of the CPU time, at least, in children that ended before they could be seen, the
    median of the runs. left: what it left running when it ended.
    """

    allocator: str
    trials: int
    failed: int
    measures: Mapping[str, Estimate] = field(default_factory=dict)
    ratios: Mapping[str, Estimate] = field(default_factory=dict)
    verdict: str = ""
    wall_s: Floats = field(default_factory=no_floats)
    order: Floats = field(default_factory=no_floats)
    processes: int = 0
    unproven: int = 0
    unseen: float = 0.0
    left: tuple[str, ...] = ()

    def measure(self, key: str) -> Estimate:
        """Returns the measure, or MISSING."""
        return self.measures.get(key, MISSING)

    def ratio(self, key: str) -> Estimate:
        """Returns the ratio to the baseline, or MISSING."""
        return self.ratios.get(key, MISSING)


@dataclass(frozen=True)
class Tally:
    """What a program asks of its malloc, from one run of its own over the C library's.

    calls_per_s: calls that allocate and frees, per second of wall time (of a server's client's).
    share: of the CPU time of the program and the children it waited for, 0..1, spent in them,
    estimated by timing one call in 64. mean_bytes: asked for per call that allocates.

    Page faults inside a call count, at most 50 µs of one call; nothing outside does.
    """

    calls_per_s: float
    share: float
    mean_bytes: float


@dataclass(frozen=True)
class Program:
    """A whole program at one number of threads, under each allocator.

    workload: its name; name: with the number of threads where it has an axis. command: as one would
    type it. numbers: what was read from its output. leading: the measure that verdicts are about.
    cells: an allocator each, in the run's order. tally: of its first number of threads.
    """

    workload: str
    name: str
    threads: int
    command: str
    leading: Metric
    numbers: tuple[Metric, ...] = ()
    cells: tuple[ProgramCell, ...] = ()
    tally: Tally | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every measure it may have, its own numbers first."""
        return (*self.numbers, *PROGRAM_MEASURES)

    def cell(self, allocator: str) -> ProgramCell | None:
        """Returns what is known of it under an allocator, if anything."""
        return next((cell for cell in self.cells if cell.allocator == allocator), None)


@dataclass(frozen=True)
class SuiteRow:
    """An allocator over several programs: geometric means of ratios to the baseline, over those in
    which every allocator of the suite has a number. measures: "leading" (as a time: below 1 is
    better), and keys of PROGRAM_MEASURES. programs: how many; without: those left out, and of whom
    a number is missing."""

    allocator: str
    measures: Mapping[str, Estimate]
    programs: int
    without: tuple[str, ...] = ()

    def measure(self, key: str) -> Estimate:
        """Returns the mean, or MISSING."""
        return self.measures.get(key, MISSING)


@dataclass(frozen=True)
class LatencyCurve:
    """Service time over percentiles, merged over threads and trials.

    percentiles: in 0..100, rising, shape (k,); 30 to 100 points, dense near 100, draw well.
    ns: service time at each, shape (k,). samples: how many calls were timed.
    """

    percentiles: Floats
    ns: Floats
    samples: int


@dataclass(frozen=True)
class MemorySeries:
    """Memory through one trial: all of shape (k,); seconds from the window's start, bytes.

    rss: resident set minus the resident set before the workload. live: bytes requested and alive;
    nan where unknown.
    """

    t_s: Floats
    rss: Floats
    live: Floats


@dataclass(frozen=True)
class Cell:
    """One (allocator, workload, threads): the median of its trials.

    trials: how many succeeded. failed: how many did not. throughput: workload units per second.
    metrics: by keys of the caller's own; absent or None is missing; `missing` may say why, by key.
    trial_throughput, trial_order: each good trial's units per second and its place in the run
    (0, 1, 2.. over all trials of the run), shape (trials,); flagged: modified z above 3.5, bool.
    latency: "malloc" and "free", where sampled. memory: one representative trial. doubtful: the
    ratio to the baseline is no sure difference, whatever its interval: a second test says so.
    """

    allocator: str
    workload: str
    threads: int
    trials: int
    failed: int
    throughput: Estimate
    metrics: Mapping[str, Estimate | None] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    trial_throughput: Floats = field(default_factory=no_floats)
    trial_order: Floats = field(default_factory=no_floats)
    flagged: Flags = field(default_factory=no_flags)
    latency: Mapping[str, LatencyCurve] = field(default_factory=dict)
    memory: MemorySeries | None = None
    doubtful: bool = False

    def metric(self, key: str) -> Estimate:
        """Returns the metric, or MISSING."""
        return self.metrics.get(key) or MISSING


@dataclass(frozen=True)
class Allocator:
    """A malloc as it served: a caller has its own type for one that is still to be run.

    label: what the user typed and every figure shows, unique in a run. config: its settings, read
    back.
    """

    label: str
    kind: Kind
    version: str = ""
    path: str = ""
    sha256: str = ""
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkloadInfo:
    """A workload, or the program in its place. unit: what is counted, in the plural: "operations",
    "writes", "threads"."""

    name: str
    description: str
    unit: str = "operations"


@dataclass(frozen=True)
class Failure:
    """One trial that gave no number.

    status: crash, timeout, mismatch, violation, refused or error.
    """

    allocator: str
    workload: str
    threads: int
    block: int
    status: str
    reason: str
    signal: str = ""
    exit_code: int | None = None
    stderr_tail: str = ""


@dataclass(frozen=True)
class Fact:
    """One machine fact. harm: what it does to numbers ("" if nothing). remedy: the command."""

    name: str
    found: str
    harm: str = ""
    remedy: str = ""
    severity: Severity = "ok"


class LockRates(NamedTuple):
    """What a lock cost, in one trial or as medians over several.

    Shares are 0..1; contended: acquisitions that spun or waited / acquisitions; wait_share: wait
    time / (threads x window). max_wait_ns, hold_ns: nanoseconds, nan where not sampled.
    """

    acquisitions_per_op: float
    contended: float = nan
    wait_share: float = nan
    max_wait_ns: float = nan
    hold_ns: float = nan
    max_waiters: float = nan
    owner_switches_per_op: float = nan


@dataclass(frozen=True)
class LockRow:
    """One lock of an allocator that counts its own, in one cell."""

    allocator: str
    workload: str
    threads: int
    lock: str
    rates: LockRates


@dataclass(frozen=True)
class UslFit:
    """Universal Scalability Law for one (allocator, workload), or why there is none.

    reason: "" if fitted. rate (lambda): units/s at one thread; sigma: contention; kappa:
    coherency; peak: threads, nan where kappa's interval touches zero. threads, observed, fitted
    (units/s): shape (k,), only N up to usable cores. superlinear: some S(N) > N.
    """

    allocator: str
    workload: str
    reason: str = ""
    rate: Estimate = MISSING
    sigma: Estimate = MISSING
    kappa: Estimate = MISSING
    peak: Estimate = MISSING
    extrapolated: bool = False
    superlinear: bool = False
    threads: Floats = field(default_factory=no_floats)
    observed: Floats = field(default_factory=no_floats)
    fitted: Floats = field(default_factory=no_floats)


@dataclass(frozen=True)
class Finding:
    """A sentence made from numbers, and the numbers behind it ("1.31 x [1.27, 1.36], n = 5").

    tone: for the mark beside it. workload: where to look, "" for the whole run.
    """

    text: str
    evidence: str = ""
    tone: Tone = "neutral"
    workload: str = ""


@dataclass(frozen=True)
class Rung:
    """A step of the registry ladder, lowest first. label: the allocator's; isolates: what it
    shows beside the rung below."""

    label: str
    name: str
    isolates: str = ""


@dataclass(frozen=True, eq=False)
class Run:
    """Everything a report shows of one run on one host. Two runs are equal only if identical.

    source: name of the run directory. created: ISO 8601 UTC. cores: logical CPUs this process may
    use, cgroup quota counted. threads: planned counts, rising. cells: any order, failed ones
    included with a missing throughput. baseline: label behind the metric "ratio". main_workload:
    shown first, "" for the first. noise_threshold: smallest ratio effect worth a word. programs:
    where programs were run instead of a grid; suite: each allocator over all of them, where there
    are several.
    """

    title: str
    command: str
    created: str
    host: str
    cores: int
    seed: int
    allocators: tuple[Allocator, ...]
    workloads: tuple[WorkloadInfo, ...]
    threads: tuple[int, ...]
    cells: tuple[Cell, ...]
    source: str = ""
    version: str = ""
    schema: int = 1
    machine: str = ""
    window_s: float = nan
    warmup_s: float = nan
    trials_planned: int = 0
    elapsed_s: float = nan
    baseline: str = ""
    main_workload: str = ""
    noise_threshold: float = 0.02
    latency_every: int = 0
    complete: bool = True
    failures: tuple[Failure, ...] = ()
    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()
    ladder: tuple[Rung, ...] = ()
    locks: tuple[LockRow, ...] = ()
    usl: tuple[UslFit, ...] = ()
    programs: tuple[Program, ...] = ()
    suite: tuple[SuiteRow, ...] = ()

    def cell(self, allocator: str, workload: str, threads: int) -> Cell | None:
        """Returns the cell, or None if the run has none there."""
        for cell in self.cells:
            if (cell.allocator, cell.workload, cell.threads) == (allocator, workload, threads):
                return cell
        return None

    def curve(self, allocator: str, workload: str) -> tuple[Cell, ...]:
        """Returns the cells of one allocator and workload, by rising threads."""
        found = [c for c in self.cells if c.allocator == allocator and c.workload == workload]
        return tuple(sorted(found, key=lambda cell: cell.threads))

    def workload(self, name: str) -> WorkloadInfo:
        """Returns the workload; one without a description if the run does not list it."""
        for info in self.workloads:
            if info.name == name:
                return info
        return WorkloadInfo(name, "")
