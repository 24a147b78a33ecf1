"""The record of a trial: every field, written once by whoever measures, read once from the disk.

`mtbench list schema` prints the same as JSON Schema. A field whose number the machine does not
give holds the reason instead; it is never zero. What is None is left out of a file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from mtbench import fate
from mtbench.plan import Cell
from mtbench.table import printable
from workloads.latency import BUCKETS, SCHEME

SCHEMA = 1
"""Of records and manifests: readers refuse any other."""

_MOST, _LEAST = 1e30, 1e-30
"""What lies beyond would be infinite, or zero, after the first division."""


def _is(text: str) -> Meta:
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

    missing: Annotated[str, _is("why")]


Counted = Number | Missing | None


class Status(str, Enum):
    """How a trial ended. Only `ok` has a throughput."""

    OK = "ok"
    CRASH = "crash"
    TIMEOUT = "timeout"
    MISMATCH = "mismatch"
    """Another malloc served than the one under test, or with other switches."""
    VIOLATION = "violation"
    """A block did not hold what was written to it."""
    REFUSED = "refused"
    """The malloc, the machine or a limit refused a part of the work."""
    ERROR = "error"

    __str__ = str.__str__


class Fairness(Struct, frozen=True, omit_defaults=True):
    """How evenly the threads came on."""

    min: Annotated[Counted, _is("operations of the thread with fewest")] = None
    max: Annotated[Counted, _is("operations of the thread with most")] = None
    jain: Annotated[Counted, _is("(sum x)^2 / (N sum x^2) over threads, 1/N to 1")] = None


class Histogram(Struct, frozen=True):
    """Service times of sampled calls, log-linear: 64 buckets an octave, ns."""

    scheme: Literal["log-linear-64"]
    counts: Annotated[
        list[tuple[Whole, Whole]], _is("[bucket, calls] where there are any, buckets rising")
    ]

    def __post_init__(self) -> None:
        if any(bucket >= BUCKETS or calls > 1 << 40 for bucket, calls in self.counts):
            raise ValueError(f"a bucket is not below {BUCKETS}, or has more calls than there are")


assert SCHEME == "log-linear-64"


class Latency(Struct, frozen=True, omit_defaults=True):
    """Time stamp counter around sampled calls."""

    malloc: Annotated[Histogram | None, _is("of every allocating call, ns")] = None
    free: Annotated[Histogram | None, _is("of every freeing call, ns")] = None


class Stage(Struct, frozen=True):
    """Memory in one phase of a workload that has phases."""

    kind: Literal["steady", "ramp", "drain"]
    start_s: Annotated[Amount, _is("since the window's start, s")]
    end_s: Annotated[Amount, _is("likewise")]
    rss_peak: Annotated[Amount, _is("bytes")]
    rss_end: Annotated[Amount, _is("bytes")]
    live_bytes_peak: Annotated[Amount, _is("bytes")]


class Memory(Struct, frozen=True, omit_defaults=True):
    """Of the worker; resident sizes from /proc/self/statm, read by the coordinator."""

    rss_before: Annotated[Counted, _is("before the fill, bytes")] = None
    rss_start: Annotated[Counted, _is("at the window's start, bytes")] = None
    rss_peak: Annotated[Counted, _is("largest in the window, bytes")] = None
    rss_end: Annotated[Counted, _is("at the window's end, bytes")] = None
    rss_drained: Annotated[Counted, _is("after every block was freed, bytes")] = None
    virtual_peak: Annotated[Counted, _is("largest address space in the window, bytes")] = None
    live_bytes_peak: Annotated[
        Counted, _is("threads' sums of sizes requested and not yet freed, the largest, bytes")
    ] = None
    live_bytes_mean: Annotated[Counted, _is("their mean over the window, bytes")] = None
    live_bytes_drained: Annotated[Counted, _is("what no thread freed, bytes")] = None
    samples: Annotated[
        list[tuple[Number | None, Number | None, Number | None]] | None,
        _is("[s, resident bytes, live bytes] each 10 ms, thinned to 200 rows"),
    ] = None
    phases: list[Stage] | None = None


class Cpu(Struct, frozen=True, omit_defaults=True):
    """getrusage of the process less the coordinator's thread, at both edges of the window."""

    user_s: Annotated[Counted, _is("CPU seconds outside the kernel")] = None
    system_s: Annotated[Counted, _is("CPU seconds in the kernel")] = None
    voluntary: Annotated[Counted, _is("context switches to wait")] = None
    involuntary: Annotated[Counted, _is("context switches that the scheduler made")] = None
    minor_faults: Annotated[Counted, _is("page faults served from memory")] = None
    major_faults: Annotated[Counted, _is("page faults that read a disk")] = None
    migrations: Annotated[
        Counted, _is("moves to another CPU: perf_event, else /proc/self/task/*/sched")
    ] = None


class Perf(Struct, frozen=True, omit_defaults=True):
    """perf_event, user space, all threads, in the window."""

    cycles: Counted = None
    instructions: Counted = None
    cache_misses: Annotated[Counted, _is("of the last level")] = None


class Violation(Struct, frozen=True, omit_defaults=True):
    """The first block that did not hold its pattern."""

    what: str = ""
    thread: Whole = 0
    operation: Whole = 0
    address: str = ""
    found: str = ""
    expected: str = ""


class Verified(Struct, frozen=True, omit_defaults=True):
    """Patterns in every block, with `--verify`."""

    checked: Annotated[Whole | None, _is("blocks whose pattern was looked at")] = None
    violation: Violation | None = None


class ProgramUse(Struct, frozen=True, omit_defaults=True):
    """What one run of a program, and all that it waited for, used."""

    wall_s: Annotated[Amount | None, _is("from start to end; a server's client's, s")] = None
    user_s: Annotated[Amount | None, _is("CPU seconds outside the kernel")] = None
    system_s: Annotated[Amount | None, _is("CPU seconds in the kernel")] = None
    rss_peak: Annotated[
        Amount | None, _is("resident set of all its processes at one moment, the largest, bytes")
    ] = None
    voluntary: Annotated[Amount | None, _is("context switches to wait")] = None
    involuntary: Annotated[Amount | None, _is("context switches that the scheduler made")] = None
    minor_faults: Annotated[Amount | None, _is("page faults served from memory")] = None
    major_faults: Annotated[Amount | None, _is("page faults that read a disk")] = None
    numbers: Annotated[dict[str, Number], _is("each --metric, as the output says it")] = {}
    stopped_itself: Annotated[
        bool | None, _is("a server that ended when it was asked to, before it was killed")
    ] = None


class Result(Struct, frozen=True, omit_defaults=True):
    """What was measured. Throughput is operations / elapsed_s."""

    operations: Annotated[
        Amount, _is("threads' counters at both edges of the window, in the workload's unit")
    ]
    elapsed_s: Annotated[Amount, _is("CLOCK_MONOTONIC at both edges, s")]
    threads: Annotated[Whole | None, _is("that the workload had")] = None
    progressed: Annotated[Amount | None, _is("threads with at least one operation")] = None
    per_thread: Annotated[list[Whole] | None, _is("operations of each thread")] = None
    fairness: Fairness | None = None
    latency: Latency | None = None
    latency_every: Annotated[Whole | None, _is("one call in so many was timed")] = None
    timing_cost_ns: Annotated[Number | None, _is("what timing one call costs, ns")] = None
    memory: Memory | None = None
    cpu: Cpu | None = None
    perf: Perf | None = None
    futex_calls: Annotated[Counted, _is("perf_event tracepoint sys_enter_futex")] = None
    total_operations: Annotated[
        Whole | None, _is("from the first fill to the last free, refused calls included")
    ] = None
    failed_allocations: Annotated[Whole | None, _is("calls that were refused")] = None
    failed_successors: Annotated[Whole | None, _is("threads that could not be started")] = None
    lives: Annotated[Whole | None, _is("threads that there were in all")] = None
    fallback_frees: Annotated[
        Whole | None, _is("blocks freed by their own thread, as nobody took them")
    ] = None
    digests: Annotated[
        list[str] | None, _is("of each thread's operations, where their number is fixed; hex")
    ] = None
    verify: Verified | None = None
    program: ProgramUse | None = None

    def __post_init__(self) -> None:
        for name, value in (("operations", self.operations), ("elapsed_s", self.elapsed_s)):
            if 0 < value < _LEAST:
                raise ValueError(f"{name} is {value:g}, too small for a number that was measured")


def cpu_seconds(result: Result) -> float:
    """Of all threads in the window, in and outside the kernel; nan where the machine gives none."""
    cpu = result.cpu or Cpu()
    if isinstance(cpu.user_s, (int, float)) and isinstance(cpu.system_s, (int, float)):
        return cpu.user_s + cpu.system_s
    return math.nan


class Identity(Struct, frozen=True, omit_defaults=True):
    """Which malloc served, proved in the process itself, or by looking at it from outside."""

    path: Annotated[str | None, _is("the library, by dladdr")] = None
    version: Annotated[str, _is("the library's own answer")] = ""
    sha256: Annotated[str, _is("of the file")] = ""
    config: Annotated[dict[str, Any] | None, _is("hakmem's switches, read back")] = None
    processes: Annotated[Amount | None, _is("of a program: how many were seen")] = None
    proven: Annotated[Amount | None, _is("of these, with the library mapped")] = None
    unseen_s: Annotated[Amount, _is("CPU seconds in children that ended unseen, about")] = 0.0
    left: Annotated[list[str], _is("what the program left running")] = []


class Lock(Struct, frozen=True, omit_defaults=True):
    """One lock of a malloc that counts its own: what was added in the window."""

    name: str
    acquisitions: Amount
    spun: Annotated[Amount, _is("obtained after spinning")] = 0
    waited: Annotated[Amount, _is("obtained after sleeping")] = 0
    wait_ns: Amount = 0
    max_wait_ns: Annotated[Amount, _is("longest wait, ns")] = 0
    owner_switches: Annotated[Amount, _is("times another thread had it before")] = 0
    max_waiters: Annotated[Amount, _is("most at once")] = 0
    hold_ns: Annotated[Amount, _is("time held, of those sampled, ns")] = 0
    hold_samples: Annotated[Amount, _is("how often that was sampled")] = 0


class Box(Struct, frozen=True, omit_defaults=True):
    """One box of hakmem: a kind of sizes."""

    name: str
    allocations: Count = 0
    frees: Count = 0
    refills: Count = 0
    flushes: Count = 0
    bytes_in_use: Count = 0
    bytes_cached: Count = 0
    bytes_committed: Count = 0
    purges: Count = 0


class Counters(Struct, frozen=True, omit_defaults=True):
    """What the malloc itself counts: hakmem's `hak_stats`, or jemalloc's mutexes."""

    locks: list[Lock] | None = None
    counted_s: Annotated[Amount | None, _is("between the two readings, s")] = None
    boxes: list[Box] | None = None
    version: Count | None = None
    lock_count: Count | None = None
    box_count: Count | None = None
    threads: Count | None = None
    active_threads: Count | None = None
    cache_budget: Count | None = None
    reserved_bytes: Count | None = None
    committed_bytes: Count | None = None
    dirty_bytes: Count | None = None
    purged_bytes: Count | None = None
    foreign_frees: Count | None = None
    idle_taken: Count | None = None
    leaked_blocks: Count | None = None
    registry_entries: Count | None = None
    registry_lookups: Count | None = None
    registry_retries: Count | None = None
    registry_growths: Count | None = None
    bigcache_hits: Count | None = None
    bigcache_misses: Count | None = None
    bigcache_bytes: Count | None = None
    huge_threshold: Count | None = None
    learner_matches: Count | None = None
    learner_moves: Count | None = None


class Around(Struct, frozen=True, omit_defaults=True):
    """The machine about the trial."""

    load1: Annotated[Amount | None, _is("/proc/loadavg, the last minute, threads")] = None
    runnable_before: Annotated[Amount | None, _is("running or waiting for a processor")] = None
    runnable_during: Annotated[Amount | None, _is("likewise, median, looked at each 0.1 s")] = None
    runnable_after: Annotated[Amount | None, _is("likewise")] = None
    steal_s: Annotated[Amount | None, _is("taken by other machines, CPU s, all cores")] = None
    stopped: Annotated[
        Whole | None, _is("attempts before this one that a stop (Ctrl-Z) spoilt")
    ] = None


class MeasuredOn(Struct, frozen=True, omit_defaults=True):
    """The host of a cluster that measured it."""

    name: str
    worker: str = ""
    lost: Annotated[list[str], _is("why the trial had to be begun again")] = []


class Record(Struct, frozen=True, kw_only=True):
    """One trial, of a grid or of a program."""

    schema: Annotated[int, _is("version of this form")]
    order: Annotated[Whole, _is("place in the whole plan")]
    block: Annotated[Whole, _is("round of trials, in which every cell has one")]
    allocator: str
    workload: str
    threads: Threads
    status: Status
    reason: Annotated[str | None, _is("why it gave no number")]
    signal: Annotated[str | None, _is("that ended it")]
    exit_code: Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)] | None
    stderr_tail: Annotated[str, _is("its last words")]
    thread_states: Annotated[
        list[str], _is("at a timeout: state, kernel wait channel and name of each thread")
    ] = []
    started: Annotated[Amount, _is("s since 1970")] = 0
    wall_s: Annotated[Amount, _is("of the whole process, s")]
    identity: Identity | None = None
    result: Result | None = None
    allocator_stats: Counters | None = None
    machine: Around | None = None
    host: MeasuredOn | None = None

    def __post_init__(self) -> None:
        if self.status is Status.OK and self.result is None:
            raise ValueError("status is ok, but there is no result")

    @property
    def cell(self) -> Cell:
        """What was measured."""
        return Cell(self.allocator, self.workload, self.threads)

    @property
    def good(self) -> Result | None:
        """The numbers of a trial that has any."""
        return self.result if self.status is Status.OK else None

    @property
    def killed_by(self) -> str | None:
        """The signal that ended a failed run, by its own word or by that of the shell it ran in."""
        if self.signal or self.status is Status.OK:
            return self.signal
        return fate.told(self.exit_code)

    def failed(self, status: Status, reason: str) -> Record:
        """The same trial as one that gave no number."""
        return msgspec.structs.replace(
            self, status=status, reason=reason, result=None, allocator_stats=None
        )


Kind = TypeVar("Kind")


def checked(value: object, kind: type[Kind]) -> Kind:
    """A value from elsewhere as `kind`. Raises ValueError, which names the first field that is not
    as it should be."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(fault(error)) from None


def fault(error: msgspec.ValidationError) -> str:
    """What is wrong, and where: ``threads: expected `int`, got `str` ``."""
    text, _, place = str(error).partition(" - at `$")
    text = text.replace("Object missing required field", "has no").replace("Expected", "expected")
    place = place.removesuffix("`").removeprefix(".")
    return f"{place}: {text}" if place else text


def sound(record: Record) -> Record:
    """The record, or a failure in its place where a reader would refuse it: what a broken malloc
    left of a worker's numbers is no number."""
    try:
        return checked(msgspec.to_builtins(record), Record)
    except ValueError as error:
        failure = record.failed(Status.ERROR, f"its numbers are damaged: {error}")
        return msgspec.structs.replace(failure, identity=None)


_DECODER = msgspec.json.Decoder(Record)


def decoded(line: bytes) -> Record:
    """A record of one line of a file, its texts printable. Raises ValueError for a line that is no
    JSON, and `msgspec.ValidationError`, which is one, for JSON that is no record."""
    if b"\\u" not in line:
        return _DECODER.decode(line)
    return msgspec.convert(printable(json.loads(line, parse_constant=_no_number)), Record)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def encoded(record: Record) -> bytes:
    """A record as one line. A name that is no UTF-8 is written in escapes."""
    try:
        return msgspec.json.encode(record) + b"\n"
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(record), separators=(",", ":")).encode() + b"\n"


def fields(kind: type[Struct] = Record, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field below `kind`: its path, a list's marked by [], and what it holds."""
    for entry in msgspec.structs.fields(kind):
        info = msgspec.inspect.type_info(entry.type)
        yield from _below(info, f"{path}{entry.encode_name}", "")


def _below(info: Any, path: str, told: str) -> Iterator[tuple[str, str]]:
    while isinstance(info, msgspec.inspect.Metadata):
        told = told or (info.extra_json_schema or {}).get("description", "")
        info = info.type
    if isinstance(info, msgspec.inspect.UnionType):
        kept = [one for one in info.types if not isinstance(one, msgspec.inspect.NoneType)]
        nested = [
            one
            for one in kept
            if isinstance(one, msgspec.inspect.StructType) and one.cls is not Missing
        ]
        yield from _below(nested[0] if nested else kept[0], path, told)
    elif isinstance(info, msgspec.inspect.StructType):
        yield from fields(info.cls, f"{path}.")
    elif isinstance(info, msgspec.inspect.ListType) and isinstance(
        info.item_type, msgspec.inspect.StructType
    ):
        yield from fields(info.item_type.cls, f"{path}[].")
    else:
        yield path, told
