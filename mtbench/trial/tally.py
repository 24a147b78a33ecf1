"""What a program asks of its malloc: read from the file in which libtally.so counts."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from mtbench.mallocs.allocators import Allocator
from mtbench.runs.result import ProgramUse
from plots.data import Tally
from workloads.native import tally_library

_SLOT = struct.Struct("=8Q")
_SLOTS = 1 << 16


@dataclass(frozen=True)
class Counts:
    """Of all threads and processes: calls that allocate, frees of a block, bytes asked for; how
    many of both kinds were timed, and what they took, ns, without reading the clock."""

    calls: int
    frees: int
    bytes: int
    sampled: int
    sampled_ns: int


def counting(file: Path) -> Allocator:
    """The C library's malloc, counting into a file, which is made here."""
    with file.open("wb") as made:
        made.truncate(_SLOTS * _SLOT.size)
    library = os.path.realpath(tally_library())
    return Allocator("tally", "system", library, {"MTBENCH_TALLY": str(file.absolute())})


def counts(file: Path) -> Counts:
    """What was counted so far."""
    with file.open("rb") as opened:
        taken, *_, cost, _, _, _ = _SLOT.unpack(opened.read(_SLOT.size))
        used = opened.read(_SLOT.size * min(taken, _SLOTS - 1))
    sums = [sum(column) for column in zip(*_SLOT.iter_unpack(used), strict=True)] or [0] * 8
    calls, frees, asked, sampled, took = sums[:5]
    return Counts(calls, frees, asked, sampled, max(0, took - sampled * cost))


def tally(found: Counts, used: ProgramUse) -> Tally | None:
    """What was counted, set beside what the same run used; None where nothing is to be said."""
    cpu_s, wall_s = used.cpu_s or 0.0, used.wall_s or 0.0
    if not (found.calls and found.sampled and cpu_s > 0 and wall_s > 0):
        return None
    calls = found.calls + found.frees
    in_malloc_s = found.sampled_ns * 1e-9 * calls / found.sampled
    return Tally(
        calls_per_s=calls / wall_s,
        share=min(1.0, in_malloc_s / cpu_s),
        mean_bytes=found.bytes / found.calls,
    )
