"""The record of a trial: every field, written once by whoever measures, read once from the disk.

`mtbench list schema` prints the same as JSON Schema. A number that the machine does not give is the
reason instead; it is never zero. Of the parts of a record, what is None is left out of a file.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from mtbench.base.table import printable
from mtbench.machine import fate
from mtbench.plan.plan import Cell
from mtbench.runs.result import Amount, Counters, Result, Threads, Whole, is_

SCHEMA = 1
"""Of records and manifests: readers refuse any other."""


class Status(str, Enum):
    """How a trial ended. Only `ok` has a throughput."""

    OK = "ok"
    CRASH = "crash"
    TIMEOUT = "timeout"
    MISMATCH = "mismatch"
    """Another malloc served than the one under test, or with other switches."""
    VIOLATION = "violation"
    """A block did not hold what was written to it, or a program's output is another."""
    REFUSED = "refused"
    """The malloc, the machine or a limit refused a part of the work."""
    ERROR = "error"

    __str__ = str.__str__


class Identity(Struct, frozen=True, omit_defaults=True):
    """Which malloc served, proved in the process itself, or by looking at it from outside."""

    path: Annotated[str | None, is_("the library, by dladdr")] = None
    version: Annotated[str, is_("the library's own answer")] = ""
    sha256: Annotated[str, is_("of the file")] = ""
    config: Annotated[dict[str, Any] | None, is_("hakmem's switches, read back")] = None
    processes: Annotated[Amount | None, is_("of a program: how many were seen")] = None
    proven: Annotated[Amount | None, is_("of these, with the library mapped")] = None
    unseen_s: Annotated[Amount, is_("CPU seconds in children that ended unseen, about")] = 0.0
    left: Annotated[list[str], is_("what the program left running")] = []


class Around(Struct, frozen=True, omit_defaults=True):
    """The machine about the trial."""

    load1: Annotated[Amount | None, is_("/proc/loadavg, the last minute, threads")] = None
    runnable_before: Annotated[Amount | None, is_("running or waiting for a processor")] = None
    runnable_during: Annotated[Amount | None, is_("likewise, median, looked at each 0.1 s")] = None
    runnable_after: Annotated[Amount | None, is_("likewise")] = None
    steal_s: Annotated[Amount | None, is_("taken by other machines, CPU s, all cores")] = None
    stopped: Annotated[
        Whole | None, is_("attempts before this one that a stop (Ctrl-Z) spoilt")
    ] = None


class MeasuredOn(Struct, frozen=True):
    """The host of a cluster that measured it."""

    name: Annotated[str, is_("what the run calls it")]
    worker: Annotated[str, is_("its address")] = ""
    lost: Annotated[list[str], is_("why the trial had to be begun again")] = []


STATUSES = (
    "ok, crash, timeout, mismatch (another malloc served, or with other switches), violation (a "
    "block did not hold what was written to it, or a program wrote something else than without a "
    "preloaded malloc), refused (a call, a thread, or more than --memory) or error"
)


class Record(Struct, frozen=True, kw_only=True):
    """One trial, of a grid or of a program."""

    schema: Annotated[int, is_("version of this form")]
    order: Annotated[Whole, is_("place in the whole plan")]
    block: Annotated[Whole, is_("round of trials, in which every cell has one")]
    allocator: Annotated[str, is_("its label, as typed")]
    workload: Annotated[str, is_("its name")]
    threads: Annotated[Threads, is_("how many were asked for")]
    status: Annotated[Status, is_(STATUSES)]
    reason: Annotated[str | None, is_("why it gave no number")]
    signal: Annotated[str | None, is_("that ended it")]
    exit_code: Annotated[
        Annotated[int, Meta(ge=-(1 << 31), le=1 << 31)] | None, is_("of the process")
    ]
    stderr_tail: Annotated[str, is_("its last words")]
    thread_states: Annotated[
        list[str], is_("at a timeout: state, kernel wait channel and name of each thread")
    ] = []
    started: Annotated[Amount, is_("s since 1970")] = 0
    wall_s: Annotated[Amount, is_("of the whole process, s")]
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
