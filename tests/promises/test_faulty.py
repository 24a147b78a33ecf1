"""A suite is only as good as the faults it finds: each planted fault, found by a named probe."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from mtbench.commands.verify import Report, probe_path
from mtbench.mallocs.allocators import Allocator
from tools.faults import FOUND_BY, HANGS, HOARDS, with_fault


@pytest.mark.parametrize("fault", FOUND_BY)
def test_seeded_fault_is_found(fault: str, faulty: Allocator, check: Callable[..., Report]) -> None:
    report = check(with_fault(faulty, fault), FOUND_BY[fault])
    if len(report.promises("inapplicable")) == len(report.verdicts):
        pytest.skip(report.verdicts[0].why)
    assert report.promises("broken"), f"{fault} was not noticed"


def test_every_promise_on_memory_finds_a_malloc_that_keeps_what_is_freed_for_its_size(
    hoarder: Allocator, check: Callable[..., Report]
) -> None:
    report = check(with_fault(hoarder, "hoards"), HOARDS["hoards"], jobs=8)
    assert [(v.promise.name, v.result) for v in report.verdicts if v.result != "broken"] == []


def test_without_that_fault_all_promises_on_memory_are_kept(
    hoarder: Allocator, check: Callable[..., Report]
) -> None:
    report = check(with_fault(hoarder, "none"), HOARDS["hoards"])
    assert [(v.promise.name, v.why) for v in report.promises("broken")] == []


@pytest.mark.parametrize("fault", HANGS)
def test_seeded_hang_is_named_a_hang(
    fault: str, faulty: Allocator, check: Callable[..., Report]
) -> None:
    report = check(with_fault(faulty, fault), HANGS[fault], timeout=10)
    assert [v.why for v in report.promises("broken") if "hang" in v.why]


@pytest.mark.parametrize("pattern", sorted({*FOUND_BY.values(), *HANGS.values()}))
def test_without_fault_the_same_probes_are_kept(
    pattern: str, faulty: Allocator, check: Callable[..., Report]
) -> None:
    report = check(with_fault(faulty, "none"), pattern)
    assert [(v.promise.name, v.why) for v in report.promises("broken")] == []


def test_a_crash_is_a_broken_promise_with_its_signal(
    faulty: Allocator, check: Callable[..., Report]
) -> None:
    report = check(with_fault(faulty, "enomem-crash"), r"refusal\.beyond-address-space$")
    assert [v.why for v in report.promises("broken")] == ["crash: SIGABRT"]


def test_a_missing_preload_is_broken_and_never_the_systems_malloc(faulty: Allocator) -> None:
    command = [str(probe_path()), "--served-by", str(faulty.path), "zero.free-null"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("not served: malloc comes from")
