"""Lock counters: what is attributed to the run, and who has some."""

import pytest

import workloads
from mtbench import allocators, counters
from mtbench.errors import UsageError
from mtbench.isolate import Limits, run_worker


def test_only_what_the_run_added_is_counted_and_idle_locks_are_left_out() -> None:
    before = {
        "locks": [
            {"name": "a", "acquisitions": 5, "max_wait_ns": 9},
            {"name": "idle", "acquisitions": 3, "max_wait_ns": 1},
        ]
    }
    after = {
        "version": 1,
        "locks": [
            {"name": "a", "acquisitions": 12, "max_wait_ns": 11},
            {"name": "idle", "acquisitions": 3, "max_wait_ns": 1},
            {"name": "a", "acquisitions": 2, "max_wait_ns": 0},
        ],
    }
    assert counters.spent(before, after) == {
        "version": 1,
        "locks": [
            {"name": "a", "acquisitions": 7, "max_wait_ns": 11},
            {"name": "a", "acquisitions": 2, "max_wait_ns": 0},
        ],
    }
    assert counters.spent(None, after) is None


@pytest.mark.parametrize("label", ["hakmem:registry=locked", "jemalloc"])
def test_an_allocator_that_counts_its_locks_has_them_in_the_record(label: str) -> None:
    try:
        chosen = allocators.resolve(label)
    except UsageError as missing:
        pytest.skip(str(missing))
    request = workloads.request(
        workloads.catalogue()["mid_exchange"], threads=4, duration=0.1, warmup=0.0, seed=1
    )
    outcome = run_worker(request, chosen, Limits(60))
    assert outcome.status == "ok", outcome.reason
    locks = outcome.record["allocator_stats"]["locks"]
    assert sum(lock["acquisitions"] for lock in locks) > 0
    if chosen.kind == "hakmem":
        assert outcome.record["identity"]["config"]["registry"] == "locked"
