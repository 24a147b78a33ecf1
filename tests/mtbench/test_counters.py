"""Lock counters: what is attributed to the run, and who has some."""

from pathlib import Path

import pytest
from msgspec.structs import replace

import workloads
from mtbench.analysis.cells import gather
from mtbench.errors import UsageError
from mtbench.mallocs import allocators, counters
from mtbench.runs.directory import RunDirectory
from mtbench.runs.result import Counters, Lock
from mtbench.trial.isolate import Limits, run_worker
from tests.support.fabricated import fabricate


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


def near(found: list[float], wanted: float) -> bool:
    return any(abs(value - wanted) < 0.05 for value in found)


def test_lock_counters_refer_to_the_window_alone_where_threads_queue_up() -> None:
    """Each free of the locked rung looks the block up under the registry's lock, so that lock is
    taken once in two operations; and nobody can wait longer than the window is."""
    threads = 16
    chosen = allocators.resolve("hakmem:registry=locked")
    shares: list[float] = []
    # Where the coordinator loses its processor between two readings they belong less together:
    # then again.
    while len(shares) < 3 and not near(shares, 0.5):
        request = workloads.request(
            workloads.catalogue()["mid_exchange"],
            threads=threads,
            duration=2.0,
            warmup=0.05,
            seed=len(shares),
        )
        outcome = run_worker(request, chosen, Limits(60))
        assert outcome.status == "ok", outcome.reason
        result, stats = outcome.record["result"], outcome.record["allocator_stats"]
        counted = stats["counted_s"]
        waited = sum(lock["wait_ns"] for lock in stats["locks"]) / 1e9
        assert 0 < waited <= threads * counted
        registry = next(lock for lock in stats["locks"] if lock["name"].startswith("registry"))
        assert registry["hold_samples"] <= registry["acquisitions"] / 64 + 1
        operations = result["operations"] * counted / result["elapsed_s"]
        shares.append(registry["acquisitions"] / operations)
    assert near(shares, 0.5), shares


def test_a_run_that_counted_beyond_the_window_gets_no_rates(tmp_path: Path) -> None:
    path = fabricate(tmp_path / "run", lambda *_: 1e6, threads=(2,), allocators=("hakmem",))
    directory = RunDirectory.read(path)
    plan = directory.manifest.plan
    stats = Counters(locks=[Lock("a", 5)])
    records = [replace(record, allocator_stats=stats) for record in directory.records()]
    data = gather(records, plan).cells[plan.cells[0]]
    assert "beyond the window" in data.missing["lock_acq_per_op"]
    assert not data.locks
