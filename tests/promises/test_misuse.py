"""Misuse under hakmem: stopped by the expected signal with the expected message, at every size; the
benign twin of each program has passed first, or the probe would say so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mtbench.commands.verify import Report
from mtbench.mallocs.allocators import Allocator

CHECKED = {
    "double-free": "double free",
    # A huge block that left quarantine is no longer mapped: then it is an invalid pointer.
    "double-free-delayed": "double free|invalid pointer",
    "double-free-interleaved": "double free",
    "double-free-reused": "double free",
    "double-free-thread": "double free",
    "free-interior": "invalid pointer",
    "free-interior-odd": "invalid pointer",
    "free-interior-end": "invalid pointer",
    "free-aligned-interior": "invalid pointer",
    "underflow-1": "write before the block",
    "underflow-32": "write before the block",
    "overflow-1": "overflow",
    "overflow-32": "overflow",
    "overflow-realloc": "overflow",
    "write-after-free": "write after free",
    "write-after-free-middle": "write after free",
    "write-after-realloc": "write after free",
    "realloc-freed": "use after free",
    "realloc-interior": "invalid pointer",
}
"""Misuse, tried at five sizes -> a pattern of what stderr must say in checked mode."""

FOREIGN = ["free-global", "free-literal", "free-mapped", "free-code", "realloc-mapped"]
REFUSED = ["impossible-malloc", "impossible-calloc", "impossible-realloc", "impossible-alignment"]
BY_DEFAULT = ["double-free", "double-free-thread", "free-interior", "realloc-freed"]
SIZES = "(tiny|small|mid|large|huge)"


@pytest.mark.parametrize("misuse", CHECKED)
def test_checked_mode_stops_and_names_the_fault(misuse: str, check: Callable[..., Report]) -> None:
    report = check("hakmem:check=1", rf"^misuse\.{misuse}-{SIZES}$")
    wrong = {
        v.promise.name: f"{v.result}: {v.why}"
        for v in report.verdicts
        if not v.why.startswith("stopped by SIGABRT: hakmem: ")
        or not re.search(CHECKED[misuse], v.why)
    }
    assert wrong == {}


def test_checked_mode_compiled_in_stops_the_same(
    fixed: Callable[..., Path], check: Callable[..., Report]
) -> None:
    library = Allocator("checked", "hakmem", str(fixed(check="1")))
    report = check(library, r"^misuse\.(double-free|overflow-1|write-after-free|free-stack)-?.*")
    assert {v.stop for v in report.verdicts} == {"purpose"}


def test_checked_mode_makes_a_read_of_freed_memory_visible(
    check: Callable[..., Report],
) -> None:
    report = check("hakmem:check=1", rf"^misuse\.read-after-free-{SIZES}$")
    assert {v.why for v in report.verdicts} == {"refused"}


@pytest.mark.parametrize("misuse", FOREIGN)
def test_checked_mode_stops_foreign_pointers_with_a_message(
    misuse: str, check: Callable[..., Report]
) -> None:
    (row,) = check("hakmem:check=1", rf"^misuse\.{misuse}$").verdicts
    assert (row.stop, row.why.partition(":")[0]) == ("purpose", "stopped by SIGABRT")


@pytest.mark.parametrize("misuse", REFUSED)
def test_impossible_sizes_are_refused(misuse: str, check: Callable[..., Report]) -> None:
    (row,) = check("hakmem", rf"^misuse\.{misuse}$").verdicts
    assert row.stop == "refused"


@pytest.mark.parametrize("misuse", BY_DEFAULT)
def test_the_default_mode_stops_what_costs_nothing_to_see(
    misuse: str, check: Callable[..., Report]
) -> None:
    report = check("hakmem", rf"^misuse\.{misuse}-{SIZES}$")
    assert {v.stop for v in report.verdicts} == {"purpose"}
