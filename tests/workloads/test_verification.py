"""A malloc that breaks a promise is caught, and told by thread, operation and address."""

from __future__ import annotations

from pathlib import Path

import pytest

import workloads
from tests.support.workload_trial import run_trial

SPEC = workloads.Workload("w", "replace", workloads.Sizes("fixed", size=1000))


def violation_of(
    library: Path, monkeypatch: pytest.MonkeyPatch, fault: str, spec: workloads.Workload = SPEC
) -> dict[str, object]:
    monkeypatch.setenv("FAULT", fault)
    record = run_trial(spec, threads=2, verify=True, preload=library, duration=60.0)
    violation = record["verify"]["violation"]
    assert isinstance(violation, dict)
    assert record["elapsed_s"] < 60.0, "a violation ends the run"
    assert 0 <= violation["thread"] < 2
    assert violation["operation"] > 0
    assert int(violation["address"], 16) > 0
    assert violation["found"] != violation["expected"]
    return violation


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("double", "released before"),
        ("scribble", "pattern is broken"),
        ("misaligned", "not aligned"),
    ],
)
def test_broken_malloc_is_named(
    faulty_library: Path, monkeypatch: pytest.MonkeyPatch, fault: str, what: str
) -> None:
    violation = violation_of(faulty_library, monkeypatch, fault)
    assert what in str(violation["what"])


def test_block_of_two_threads_is_caught(
    faulty_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    violation_of(faulty_library, monkeypatch, "double", SPEC.with_options(kernel="exchange"))


def test_calloc_that_is_not_zero_is_caught(
    faulty_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPEC.with_options(calls={"calloc": 1})
    assert "zero" in str(violation_of(faulty_library, monkeypatch, "dirty", spec)["what"])


def test_realloc_that_loses_bytes_is_caught(
    faulty_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPEC.with_options(calls={"realloc_grow": 1})
    assert "broken" in str(violation_of(faulty_library, monkeypatch, "forgetful", spec)["what"])


@pytest.mark.parametrize("kernel", sorted(workloads.KERNELS))
def test_malloc_that_fails_is_counted_and_survived(
    faulty_library: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    monkeypatch.setenv("FAULT", "null")
    spec = workloads.Workload("w", kernel, workloads.Sizes("fixed", size=100))
    record = run_trial(spec, threads=2, preload=faulty_library, operation_limit=3000, duration=3.0)
    assert record["failed_allocations"] > 0
    assert record["memory"]["live_bytes_drained"] == 0
