"""What was measured in one trial: the numbers of the window, and what the malloc counts itself."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta, Struct

from workloads.engine import BUCKETS, SCHEME

_MOST, _LEAST = 1e30, 1e-30
"""What lies beyond would be infinite, or zero, after the first division."""


def is_(text: str) -> Meta:
    """What a field holds: where its value comes from, and its unit."""
    return Meta(description=text)


Whole = Annotated[int, Meta(ge=0, le=1 << 62)]
Amount = Annotated[int, Meta(ge=0, le=1 << 62)] | Annotated[float, Meta(ge=0, le=_MOST)]
Number = (
    Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)] | Annotated[float, Meta(ge=-_MOST, le=_MOST)]
)
Count = Annotated[int, Meta(ge=0)]
"""Of a malloc's own, which may be wrong: nothing is divided by it."""
MOST_THREADS = 1 << 16
Threads = Annotated[int, Meta(ge=1, le=MOST_THREADS)]


class Missing(Struct, frozen=True):
    """In place of a number that the machine does not give."""

    missing: Annotated[str, is_("why")]


Counted = Number | Missing | None


class Fairness(Struct, frozen=True, omit_defaults=True):
    """How evenly the threads came on."""

    min: Annotated[Counted, is_("operations of the thread with fewest")] = None
    max: Annotated[Counted, is_("operations of the thread with most")] = None
    jain: Annotated[Counted, is_("(sum x)^2 / (N sum x^2) over threads, 1/N to 1")] = None


class Histogram(Struct, frozen=True):
    """Service times of sampled calls, log-linear: 64 buckets an octave, ns."""

    scheme: Annotated[Literal["log-linear-64"], is_("how buckets are cut")]
    counts: Annotated[
        list[tuple[Whole, Whole]], is_("[bucket, calls] where there are any, buckets rising")
    ]

    def __post_init__(self) -> None:
        if any(bucket >= BUCKETS or calls > 1 << 40 for bucket, calls in self.counts):
            raise ValueError(f"a bucket is not below {BUCKETS}, or has more calls than there are")


assert SCHEME == "log-linear-64"


class Latency(Struct, frozen=True, omit_defaults=True):
    """Time stamp counter around sampled calls."""

    malloc: Annotated[Histogram | None, is_("of every allocating call, ns")] = None
    free: Annotated[Histogram | None, is_("of every freeing call, ns")] = None


class Stage(Struct, frozen=True):
    """Memory in one phase of a workload that has phases."""

    kind: Annotated[Literal["steady", "ramp", "drain"], is_("steady, ramp or drain")]
    start_s: Annotated[Amount, is_("since the window's start, s")]
    end_s: Annotated[Amount, is_("likewise")]
    rss_peak: Annotated[Amount, is_("bytes")]
    rss_end: Annotated[Amount, is_("bytes")]
    live_bytes_peak: Annotated[Amount, is_("bytes")]


class Memory(Struct, frozen=True, omit_defaults=True):
    """Of the worker; resident sizes from /proc/self/statm, read by the coordinator."""

    rss_before: Annotated[Counted, is_("before the fill, bytes")] = None
    rss_start: Annotated[Counted, is_("at the window's start, bytes")] = None
    rss_peak: Annotated[Counted, is_("largest in the window, bytes")] = None
    rss_end: Annotated[Counted, is_("at the window's end, bytes")] = None
    rss_drained: Annotated[Counted, is_("after every block was freed, bytes")] = None
    virtual_peak: Annotated[Counted, is_("largest address space in the window, bytes")] = None
    live_bytes_peak: Annotated[
        Counted, is_("threads' sums of sizes requested and not yet freed, the largest, bytes")
    ] = None
    live_bytes_mean: Annotated[Counted, is_("their mean over the window, bytes")] = None
    live_bytes_drained: Annotated[Counted, is_("what no thread freed, bytes")] = None
    samples: Annotated[
        list[tuple[Number | None, Number | None, Number | None]] | None,
        is_("[s, resident bytes, live bytes] each 10 ms, thinned to 200 rows"),
    ] = None
    phases: list[Stage] | None = None


class Cpu(Struct, frozen=True, omit_defaults=True):
    """getrusage of the process less the coordinator's thread, at both edges of the window."""

    user_s: Annotated[Counted, is_("CPU seconds outside the system's kernel")] = None
    system_s: Annotated[Counted, is_("CPU seconds in the system's kernel")] = None
    voluntary: Annotated[Counted, is_("context switches to wait")] = None
    involuntary: Annotated[Counted, is_("context switches that the scheduler made")] = None
    minor_faults: Annotated[Counted, is_("page faults served from memory")] = None
    major_faults: Annotated[Counted, is_("page faults that read a disk")] = None
    migrations: Annotated[
        Counted, is_("moves to another CPU: perf_event, else /proc/self/task/*/sched")
    ] = None
    run_delay_ns: Annotated[
        Counted, is_("ready to run, waiting for a processor: /proc/self/task/*/schedstat, ns")
    ] = None


class Perf(Struct, frozen=True, omit_defaults=True):
    """perf_event, user space, all threads, in the window."""

    cycles: Annotated[Counted, is_("CPU cycles")] = None
    instructions: Annotated[Counted, is_("retired")] = None
    cache_misses: Annotated[Counted, is_("of the last level")] = None


class Violation(Struct, frozen=True, omit_defaults=True):
    """The first block that did not hold its pattern."""

    what: Annotated[str, is_("what was wrong")] = ""
    thread: Annotated[Whole, is_("whose")] = 0
    operation: Annotated[Whole, is_("which of the thread's")] = 0
    address: Annotated[str, is_("of the block, hex")] = ""
    found: Annotated[str, is_("what it held, hex")] = ""
    expected: Annotated[str, is_("what it should have held, hex")] = ""


class Verified(Struct, frozen=True, omit_defaults=True):
    """Patterns in every block, with `--verify`."""

    checked: Annotated[Whole | None, is_("blocks whose pattern was looked at")] = None
    violation: Violation | None = None


class ProgramUse(Struct, frozen=True, omit_defaults=True):
    """What one run of a program, and all that it waited for, used."""

    wall_s: Annotated[Amount | None, is_("from start to end; a server's client's, s")] = None
    user_s: Annotated[Amount | None, is_("CPU seconds outside the system's kernel")] = None
    system_s: Annotated[Amount | None, is_("CPU seconds in the system's kernel")] = None
    rss_peak: Annotated[
        Amount | None, is_("resident set of all its processes at one moment, the largest, bytes")
    ] = None
    voluntary: Annotated[Amount | None, is_("context switches to wait")] = None
    involuntary: Annotated[Amount | None, is_("context switches that the scheduler made")] = None
    minor_faults: Annotated[Amount | None, is_("page faults served from memory")] = None
    major_faults: Annotated[Amount | None, is_("page faults that read a disk")] = None
    numbers: Annotated[dict[str, Number], is_("each --metric, as the output says it")] = {}
    output: Annotated[str, is_("SHA-256 of what has to be the same under every malloc")] = ""
    stopped_itself: Annotated[
        bool | None, is_("a server that ended when it was asked to, before it was killed")
    ] = None

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds, in and outside the system's kernel."""
        if self.user_s is None or self.system_s is None:
            return None
        return self.user_s + self.system_s


class Result(Struct, frozen=True, omit_defaults=True):
    """What was measured. Throughput is operations / elapsed_s."""

    operations: Annotated[
        Amount, is_("threads' counters at both edges of the window, in the workload's unit")
    ]
    elapsed_s: Annotated[Amount, is_("CLOCK_MONOTONIC at both edges, s")]
    threads: Annotated[Whole | None, is_("that the workload had")] = None
    progressed: Annotated[Amount | None, is_("threads with at least one operation")] = None
    per_thread: Annotated[list[Whole] | None, is_("operations of each thread")] = None
    fairness: Fairness | None = None
    latency: Latency | None = None
    latency_every: Annotated[Whole | None, is_("one call in so many was timed")] = None
    timing_cost_ns: Annotated[Number | None, is_("what timing one call costs, ns")] = None
    memory: Memory | None = None
    cpu: Cpu | None = None
    perf: Perf | None = None
    futex_calls: Annotated[Counted, is_("perf_event tracepoint sys_enter_futex")] = None
    total_operations: Annotated[
        Whole | None, is_("from the first fill to the last free, refused calls included")
    ] = None
    failed_allocations: Annotated[Whole | None, is_("calls that were refused")] = None
    failed_successors: Annotated[Whole | None, is_("threads that could not be started")] = None
    lives: Annotated[Whole | None, is_("threads that there were in all")] = None
    fallback_frees: Annotated[
        Whole | None, is_("blocks freed by their own thread, as nobody took them")
    ] = None
    digests: Annotated[
        list[str] | None, is_("of each thread's operations, where their number is fixed; hex")
    ] = None
    verify: Verified | None = None
    program: ProgramUse | None = None

    def __post_init__(self) -> None:
        for name, value in (("operations", self.operations), ("elapsed_s", self.elapsed_s)):
            if 0 < value < _LEAST:
                raise ValueError(f"{name} is {value:g}, too small for a number that was measured")


def given(value: Counted) -> float:
    """The number, or nan where the machine gave none."""
    return float(value) if isinstance(value, (int, float)) else math.nan


def cpu_seconds(result: Result) -> float:
    """User and system time of all threads in the window; nan where the machine gave none."""
    cpu = result.cpu or Cpu()
    return given(cpu.user_s) + given(cpu.system_s)


class Lock(Struct, frozen=True, omit_defaults=True):
    """One lock of a malloc that counts its own: what was added in the window."""

    name: Annotated[str, is_("the malloc's own name for it")]
    acquisitions: Annotated[Amount, is_("all of them")]
    spun: Annotated[Amount, is_("obtained after spinning")] = 0
    waited: Annotated[Amount, is_("obtained after sleeping")] = 0
    wait_ns: Annotated[Amount, is_("time waited, ns")] = 0
    max_wait_ns: Annotated[Amount, is_("longest wait, ns")] = 0
    owner_switches: Annotated[Amount, is_("times another thread had it before")] = 0
    max_waiters: Annotated[Amount, is_("most at once")] = 0
    hold_ns: Annotated[Amount, is_("time held, of those sampled, ns")] = 0
    hold_samples: Annotated[Amount, is_("how often that was sampled")] = 0


class Box(Struct, frozen=True, omit_defaults=True):
    """One box of hakmem: a kind of sizes."""

    name: Annotated[str, is_("tiny, small, mid, large, huge or bigcache")]
    allocations: Annotated[Count, is_("blocks handed out")] = 0
    frees: Annotated[Count, is_("blocks taken back")] = 0
    refills: Annotated[Count, is_("batches that caches took")] = 0
    flushes: Annotated[Count, is_("batches that caches gave")] = 0
    bytes_in_use: Annotated[Count, is_("of blocks, bytes")] = 0
    bytes_cached: Annotated[Count, is_("of blocks in caches, bytes")] = 0
    bytes_committed: Annotated[Count, is_("of its runs, bytes")] = 0
    purges: Annotated[Count, is_("times memory was given back")] = 0


class Counters(Struct, frozen=True, omit_defaults=True):
    """What the malloc itself counts: hakmem's `hak_stats`, or jemalloc's mutexes."""

    locks: list[Lock] | None = None
    counted_s: Annotated[Amount | None, is_("between the two readings, s")] = None
    boxes: list[Box] | None = None
    version: Annotated[Count | None, is_("of hak_stats")] = None
    lock_count: Annotated[Count | None, is_("locks that hakmem has")] = None
    box_count: Annotated[Count | None, is_("boxes that it has")] = None
    threads: Annotated[Count | None, is_("thread caches in use")] = None
    active_threads: Annotated[Count | None, is_("of these, active in the last decay period")] = None
    cache_budget: Annotated[Count | None, is_("what one thread may cache, bytes")] = None
    reserved_bytes: Annotated[Count | None, is_("address space claimed, bytes")] = None
    committed_bytes: Annotated[Count | None, is_("of it, mapped, bytes")] = None
    dirty_bytes: Annotated[Count | None, is_("free, and still holding memory, bytes")] = None
    purged_bytes: Annotated[Count | None, is_("given back since the start, bytes")] = None
    foreign_frees: Annotated[Count | None, is_("pointers given to the libc that owns them")] = None
    idle_taken: Annotated[Count | None, is_("blocks taken from the caches of sleeping threads")] = (
        None
    )
    leaked_blocks: Annotated[Count | None, is_("dropped by the cascade-leak rung")] = None
    registry_entries: Annotated[Count | None, is_("in the registry now")] = None
    registry_lookups: Annotated[Count | None, is_("since the start")] = None
    registry_retries: Annotated[
        Count | None, is_("readers of the sequence lock that looked again")
    ] = None
    registry_growths: Annotated[Count | None, is_("times the table grew")] = None
    bigcache_hits: Annotated[Count | None, is_("mappings used again")] = None
    bigcache_misses: Annotated[Count | None, is_("mappings made anew")] = None
    bigcache_bytes: Annotated[Count | None, is_("kept for reuse, bytes")] = None
    huge_threshold: Annotated[Count | None, is_("larger blocks are mapped one by one, bytes")] = (
        None
    )
    learner_matches: Annotated[Count | None, is_("pairs of thresholds compared")] = None
    learner_moves: Annotated[Count | None, is_("times the leading one changed")] = None
