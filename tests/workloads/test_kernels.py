"""Every named workload runs, checks its blocks and frees them, with one thread and with many."""

from __future__ import annotations

import pytest

import allocator
import workloads
from tests.support.workload_trial import run_trial
from workloads.kernels import Parameter

CATALOGUE = workloads.catalogue()
SIZES = workloads.Sizes("log_uniform", low=16, high=4096)
# One of every kernel, whether or not the catalogue uses it.
ALL = {**CATALOGUE, "mixed": workloads.Workload("mixed", "mixed", SIZES)}
MALLOCS = {"system": None, "hakmem": allocator.library()}


def test_every_kernel_is_among_those_tested() -> None:
    assert {spec.kernel for spec in ALL.values()} == set(workloads.KERNELS)


@pytest.mark.parametrize("malloc", MALLOCS)
@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("name", ALL)
def test_workload_is_verified_and_leaves_nothing_allocated(
    name: str, threads: int, malloc: str
) -> None:
    record = run_trial(ALL[name], threads=threads, verify=True, preload=MALLOCS[malloc])
    assert record["verify"]["violation"] is None
    assert record["verify"]["checked"] > 0
    assert record["memory"]["live_bytes_drained"] == 0
    assert record["failed_allocations"] == 0
    assert record["operations"] > 0


def edges(parameter: Parameter) -> list[int | float | str]:
    """The smallest value, and the largest that a test has memory for; or every choice."""
    if parameter.choices:
        return list(parameter.choices)
    return [parameter.least, min(parameter.most, 3000)]


@pytest.mark.parametrize(
    ("kernel", "parameter"),
    [
        (kernel, item.name)
        for kernel, found in workloads.KERNELS.items()
        for item in found.parameters
    ],
)
def test_every_parameter_goes_to_its_edges(kernel: str, parameter: str) -> None:
    item = next(item for item in workloads.KERNELS[kernel].parameters if item.name == parameter)
    for value in edges(item):
        spec = workloads.Workload("w", kernel, SIZES, parameters={parameter: value})
        record = run_trial(spec, threads=2, verify=True)
        assert record["verify"]["violation"] is None
        assert record["memory"]["live_bytes_drained"] == 0


@pytest.mark.parametrize(
    ("consumers", "allocates"), [("allocated_once", True), ("only_free", False)]
)
def test_consumer_allocates_once_or_never(consumers: str, *, allocates: bool) -> None:
    spec = CATALOGUE["producer_consumer"].with_options(consumers=consumers)
    record = run_trial(spec, threads=2, operation_limit=200, duration=60.0)
    assert (int(record["digests"][1], 16) != 0) is allocates


@pytest.mark.parametrize("name", ALL)
def test_workload_runs_on_the_null_allocator(name: str) -> None:
    record = run_trial(ALL[name], threads=3, preload=workloads.null_library())
    assert record["operations"] > 0


def test_engine_has_the_kernels_that_specs_name() -> None:
    assert sorted(workloads.kernel_names()) == sorted(workloads.KERNELS)


def test_256_threads_run() -> None:
    record = run_trial(CATALOGUE["mid_exchange"], threads=256, duration=0.2)
    assert len(record["per_thread"]) == 256
