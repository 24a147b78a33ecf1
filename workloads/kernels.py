"""The kernels by name: what each does and which parameters it takes, for specs and for texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workloads.engine import enumerators
from workloads.errors import number, one_of, refuse, whole


@dataclass(frozen=True)
class Parameter:
    """One number or choice that a kernel takes.

    `default` is an int (whole numbers from `least` to `most`), a float (any number between), or a
    str (one of `choices`, each with the engine's number for it). `unit` is that of the number, in
    words.
    """

    name: str
    default: int | float | str
    description: str
    unit: str = ""
    least: float = 0
    most: float = 1 << 24
    choices: Mapping[str, int] = field(default_factory=dict)

    def checked(self, value: object) -> int | float | str:
        """Returns the value in the parameter's own type; text is read where a number is wanted.

        Raises SpecError if it is not possible.
        """
        key = f"parameters.{self.name}"
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                raise refuse(key, value, one_of(self.choices))
            return value
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise refuse(key, value, f"a number from {self.least:g} to {self.most:g}") from None
        if isinstance(self.default, int):
            return whole(key, value, int(self.least), int(self.most), self.unit)
        return number(key, value, self.least, self.most, self.unit)

    def native(self, value: int | float | str) -> float:
        """Returns the value as the kernel takes it."""
        return float(self.choices[value]) if isinstance(value, str) else float(value)

    def allowed(self) -> str:
        """Returns what may be given, in words."""
        if self.choices:
            return one_of(self.choices)
        return f"{self.least:g} - {self.most:g}"


@dataclass(frozen=True)
class Kernel:
    """The loop that a thread of a workload runs. `unit` is what it counts."""

    name: str
    description: str
    parameters: tuple[Parameter, ...] = ()
    unit: str = "operations"


def _slots(default: int) -> Parameter:
    return Parameter("slots", default, "blocks in a thread's working set", "slots", 1)


_TOTAL_SLOTS = "slots that all threads share, in all"

KERNELS: dict[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        Kernel(
            "toggle",
            "a random slot: occupied, free it; empty, allocate into it",
            (_slots(256),),
        ),
        Kernel("replace", "a random slot, always full: free it, allocate into it", (_slots(256),)),
        Kernel(
            "exchange",
            "allocate, swap into a random shared slot, free what came out",
            (
                Parameter("slots", 256, "shared slots for each thread", "slots", 1, 1 << 20),
                Parameter("total_slots", 0, _TOTAL_SLOTS + "; 0: slots x threads", "slots"),
            ),
        ),
        Kernel(
            "mixed",
            "any lifetime with any hand-off: allocate, then give up the block whose time is over",
            (
                _slots(1024),
                Parameter(
                    "lifetime",
                    "slots",
                    "which block is over: a random one (slots), the last (lifo, the stack goes up "
                    "or down by chance), the first (fifo), or a young one, save for the share that "
                    "joins an old generation (generational)",
                    choices=enumerators("lifetime"),
                ),
                Parameter("long_lived", 0.1, "generational: blocks that join the old", "", 0, 1),
                Parameter(
                    "handoff",
                    "none",
                    "how another thread comes to free a block: never, through slots that all "
                    "share (shared), or through a ring to the next thread (ring)",
                    choices=enumerators("handoff"),
                ),
                Parameter("share", 0.5, "blocks handed to another thread", "", 0, 1),
            ),
        ),
        Kernel(
            "remote",
            "pass a share of the blocks through a ring to the next thread, which frees them",
            (
                Parameter("share", 0.9, "blocks passed on", "", 0, 1),
                Parameter(
                    "ring",
                    65536,
                    "blocks a ring holds, rounded up to a power of two",
                    "blocks",
                    1,
                    1 << 20,
                ),
            ),
        ),
        Kernel(
            "producer_consumer",
            "producers allocate batches into a bounded queue, consumers take and free them",
            (
                Parameter("batch", 4096, "blocks in a batch", "blocks", 1, 1 << 20),
                Parameter("queue", 16, "batches the queue holds", "batches", 1, 4096),
                Parameter("producers", 0.5, "threads that produce, at least one of each", "", 0, 1),
                Parameter(
                    "consumers",
                    "allocated_once",
                    "whether a consumer allocates one block before it starts, as a program's "
                    "threads have, or never: some allocators give no cache to a thread that only "
                    "frees",
                    choices=enumerators("consumers"),
                ),
            ),
        ),
        Kernel(
            "batch_steal",
            "bursts of frees and allocations at prime strides; every second burst is handed to "
            "the next thread",
            (_slots(2000),),
        ),
        Kernel(
            "generations",
            "rounds of unequal load; half of the blocks retained for a round, a quarter swapped "
            "through shared slots, all threads replaced after each",
            (
                Parameter(
                    "blocks",
                    2000,
                    "blocks in a round of the least loaded thread",
                    "blocks",
                    1,
                    1 << 20,
                ),
                Parameter("total_slots", 1000, _TOTAL_SLOTS, "slots", 1),
            ),
        ),
        Kernel(
            "sliding_window",
            "allocate falling sizes into a ring; when full keep a fifth, free one side in order "
            "and the other in reverse",
            (_slots(4096),),
        ),
        Kernel(
            "pareto",
            "replace blocks in groups of very unequal heat (0.006 % of the slots take 26 % of the "
            "operations), read others in full",
            (_slots(20000),),
        ),
        Kernel(
            "false_sharing",
            "write one small object many times, free it, take another",
            (
                Parameter(
                    "writes", 1000, "writes between taking an object and freeing it", "writes", 1
                ),
                Parameter(
                    "first_object",
                    "own",
                    "who allocates a thread's first object: itself, or the main thread",
                    choices=enumerators("first_object"),
                ),
            ),
            unit="writes",
        ),
        Kernel(
            "batch",
            "allocate a batch of objects, then free them all",
            (
                Parameter("objects", 10000, "objects in a batch", "objects", 1),
                Parameter(
                    "objects_of",
                    "thread",
                    "whether that many are of each thread or of all together",
                    choices=enumerators("objects_of"),
                ),
                Parameter(
                    "order",
                    "in_order",
                    "the order they are freed in",
                    choices=enumerators("order"),
                ),
            ),
        ),
        Kernel(
            "growth",
            "vectors that grow by half and shrink, buffers that are appended to",
            (
                Parameter("slots", 64, "vectors and buffers of a thread, half each", "slots", 1),
                Parameter(
                    "limit",
                    1 << 16,
                    "size at which a vector shrinks and a buffer ends",
                    "bytes",
                    64,
                    1 << 30,
                ),
            ),
        ),
    )
}
"""Every kernel by name."""
