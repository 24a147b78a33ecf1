"""The workloads that have a name. `mtbench list workloads` and docs/workloads.md are made of it."""

from __future__ import annotations

from workloads.sizes import Sizes
from workloads.spec import Workload

KIB = 1 << 10
MIB = 1 << 20

_MID = Sizes("uniform", low=1 * KIB, high=8 * KIB)
_SMALL = Sizes("uniform", low=16, high=1 * KIB)

_SEVENTEEN = (
    *(8, 16, 24, 32, 48, 64, 96, 128, 192),
    *(256, 384, 512, 768, 1024, 1280, 1536, 2048),
)

_LARSON = Workload(
    "larson",
    "replace",
    Sizes("uniform", low=8, high=1000),
    "replace random blocks of a slice, write two bytes; after 500 000 a successor takes over",
    touch="ends",
    life=1_000_000,
    parameters={"slots": 5000},
)

_ALL = (
    Workload(
        "mid_gap",
        "toggle",
        _MID,
        "random slot: occupied, free it; empty, allocate and touch the first byte",
    ),
    Workload(
        "mid_replace",
        "replace",
        _MID,
        "as mid_gap, slots always full: free a random slot, allocate into it; no branch to miss",
    ),
    Workload("random_mixed", "toggle", _SMALL, "as mid_gap with small blocks"),
    Workload(
        "large_mixed",
        "toggle",
        Sizes("uniform", low=32 * KIB, high=1 * MIB),
        "as mid_gap with large blocks",
        parameters={"slots": 16},
    ),
    Workload(
        "huge_mixed",
        "toggle",
        Sizes("uniform", low=2 * MIB, high=16 * MIB),
        "as mid_gap with huge blocks, every page touched",
        touch="pages",
        parameters={"slots": 8},
    ),
    Workload(
        "mid_exchange",
        "exchange",
        _MID,
        "allocate, swap into a random slot shared by all threads, free what came out",
    ),
    Workload("tiny_exchange", "exchange", _SMALL, "as mid_exchange with small blocks"),
    Workload(
        "remote",
        "remote",
        _SMALL,
        "pass nine blocks of ten through a ring to the next thread, which frees them",
    ),
    _LARSON,
    _LARSON.with_options(
        name="larson_mid",
        description="as larson with mid-size blocks, a slice of 1 000 (64 threads hold a gigabyte)",
        sizes=Sizes("uniform", low=2 * KIB, high=32 * KIB),
        slots=1000,
    ),
    Workload(
        "producer_consumer",
        "producer_consumer",
        Sizes("fixed", size=64),
        "half of the threads allocate batches of 4 096 blocks, the other half free them",
    ),
    Workload(
        "producer_consumer_sizes",
        "producer_consumer",
        Sizes(
            "weighted",
            values=tuple((size, 1.0) for size in _SEVENTEEN),
        ),
        "as producer_consumer with 17 sizes from 8 B to 2 KiB",
    ),
    Workload(
        "batch_steal",
        "batch_steal",
        Sizes("linear_falling", low=8, high=16000),
        "bursts of frees and allocations at prime strides, every second one handed on",
    ),
    Workload(
        "generations",
        "generations",
        Sizes("log_uniform", low=16, high=4 * KIB),
        "rounds of unequal load, half retained, a quarter swapped; threads replaced each round",
        touch="all",
    ),
    Workload(
        "sliding_window",
        "sliding_window",
        Sizes("log_uniform", low=16, high=16 * KIB),
        "a ring of falling sizes; when full, keep a fifth and free around it",
    ),
    Workload(
        "pareto",
        "pareto",
        Sizes("pareto", shape=0.7, low=16, high=1 * KIB),
        "0.006 % of the slots take 26 % of the operations; written and read in full, all local",
        touch="all",
    ),
    Workload(
        "false_sharing",
        "false_sharing",
        Sizes("fixed", size=1),
        "one 1-byte object per thread, written 1 000 times, freed and taken again",
        touch="none",
        unit="writes",
    ),
    Workload(
        "false_sharing_passive",
        "false_sharing",
        Sizes("fixed", size=1),
        "as false_sharing, the first objects allocated side by side by the main thread",
        touch="none",
        unit="writes",
        parameters={"first_object": "main"},
    ),
    Workload(
        "thread_churn",
        "exchange",
        _SMALL,
        "threads are born, swap 1 000 blocks into 1 000 shared slots, and die",
        life=2000,
        unit="threads",
        parameters={"total_slots": 1000},
    ),
    Workload(
        "threadtest",
        "batch",
        Sizes("fixed", size=64),
        "allocate a batch of 100 000 / threads objects, free them in order",
        parameters={"objects": 100_000, "objects_of": "all"},
    ),
    Workload(
        "realloc_growth",
        "growth",
        Sizes("log_uniform", low=16, high=1 * KIB),
        "vectors grow by half and shrink, buffers are appended to",
    ),
    Workload(
        "aligned",
        "replace",
        Sizes("log_uniform", low=16, high=8 * KIB),
        "as mid_replace, half of the blocks aligned to 16 B - 4 KiB",
        calls={"malloc": 0.5, "aligned_alloc": 0.5},
        alignments={1 << shift: 1.0 for shift in range(4, 13)},
    ),
    Workload(
        "linear",
        "batch",
        _SMALL,
        "10 000 allocations, then their frees in order",
    ),
    Workload(
        "linear_reverse",
        "batch",
        _SMALL,
        "as linear, freed in reverse",
        parameters={"order": "reverse"},
    ),
    Workload(
        "linear_random",
        "batch",
        _SMALL,
        "as linear, freed at random",
        parameters={"order": "random"},
    ),
)


def catalogue() -> dict[str, Workload]:
    """Returns every named workload by its name, in the order in which they are listed."""
    return {workload.name: workload for workload in _ALL}
