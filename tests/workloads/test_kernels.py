"""Every named workload runs, checks its blocks and frees them, with one thread and with many."""

from __future__ import annotations

import pytest
from workload_trial import run_trial

import workloads

CATALOGUE = workloads.catalogue()


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("name", CATALOGUE)
def test_named_workload_is_verified_and_leaves_nothing_allocated(name: str, threads: int) -> None:
    record = run_trial(CATALOGUE[name], threads=threads, verify=True)
    assert record["verify"]["violation"] is None
    assert record["verify"]["checked"] > 0
    assert record["memory"]["live_bytes_drained"] == 0
    assert record["failed_allocations"] == 0
    assert record["operations"] > 0


@pytest.mark.parametrize("name", CATALOGUE)
def test_named_workload_runs_on_the_null_allocator(name: str) -> None:
    record = run_trial(CATALOGUE[name], threads=3, preload=workloads.null_library())
    assert record["operations"] > 0


def test_engine_has_the_kernels_that_specs_name() -> None:
    assert sorted(workloads.kernel_names()) == sorted(workloads.KERNELS)


def test_256_threads_run() -> None:
    record = run_trial(CATALOGUE["mid_exchange"], threads=256, duration=0.2)
    assert len(record["per_thread"]) == 256
