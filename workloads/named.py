"""The workloads that have a name. `mtbench list workloads` and docs/workloads.md are made of it."""

from __future__ import annotations

from workloads.sizes import Sizes
from workloads.spec import Workload

KIB = 1 << 10
MIB = 1 << 20

_MID = Sizes("uniform", low=1 * KIB, high=8 * KIB)
_SMALL = Sizes("uniform", low=16, high=1 * KIB)

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
        "mid_exchange",
        "exchange",
        _MID,
        "allocate, swap into a random slot shared by all threads, free what came out",
    ),
    Workload(
        "larson",
        "replace",
        Sizes("uniform", low=8, high=1000),
        "replace random blocks of a slice, write two bytes; after a life a successor takes over",
        touch="ends",
        life=1_000_000,
        parameters={"slots": 5000},
    ),
)


def catalogue() -> dict[str, Workload]:
    """Every named workload, in the order they are listed."""
    return {workload.name: workload for workload in _ALL}
