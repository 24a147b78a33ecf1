"""What the engine's header declares, and the head of a request to it. No numpy here.

The header is the one place for the names of the calls, touches and choices and for the numbers
behind them: they are read from the built engine, and a dictionary holds each enum in its order.
"""

from __future__ import annotations

import struct
from importlib import import_module
from typing import Any, TypedDict

module: Any = import_module("workloads._kernels")
ffi, lib = module.ffi, module.lib


def enumerators(enum: str) -> dict[str, int]:
    """The names of one of the header's enums, without prefix and in small letters: `touch`'s
    WK_TOUCH_ENDS is `ends`."""
    prefix = f"WK_{enum.upper()}_"
    return {
        name.removeprefix(prefix).removeprefix("WK_").lower(): number
        for number, name in sorted(ffi.typeof(f"enum wk_{enum}").elements.items())
    }


CALLS = enumerators("call")
"""The calls a mix is made of."""

TOUCHES = enumerators("touch")
"""What is written into a new block."""

PHASES = enumerators("stage_kind")
"""What a phase does."""

LOOPS = enumerators("loop")
"""What stands in the place of malloc."""

UNITS = enumerators("unit")
"""What is counted: operations, the lives of threads, or what the kernel counts of its own."""

EDGES = enumerators("edge")
"""The ends of the timed window."""

STAGES: int = lib.WK_STAGES
"""Stages that are reported one by one; a workload has no more phases."""

OCTAVE: int = lib.WK_OCTAVE
BUCKETS: int = lib.WK_BUCKETS
"""All buckets of a latency histogram, `OCTAVE` to a doubling: they reach 2^40 ns."""

SCHEME = f"log-linear-{OCTAVE}"
"""How a record says what its buckets are."""

MAGIC = b"MTW1"
HEAD = struct.Struct("<4sI")
"""A request begins with `MAGIC` and the length of its JSON header; header and tables follow."""


class Header(TypedDict):
    """What a request says beside its tables, as the engine's `struct wk_request` has it.

    affinity: a processor for each thread, in turn. parameters: the kernel's, by name. stages: kind
    and seconds of each.
    """

    kernel: str
    threads: int
    duration: float
    warmup: float
    seed: int
    verify: bool
    loop: int
    latency_every: int
    chunk: int
    operation_limit: int
    life: int
    work: int
    touch: int
    plain: bool
    unit: int
    affinity: list[int]
    parameters: dict[str, float]
    stages: list[tuple[int, float]]
