"""Random calls beside a model: none breaks hakmem, and a fault is shrunk to the calls it needs.

MTBENCH_MACHINE_EXAMPLES=2000 searches for minutes instead of a second; see machine.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import allocator
from mtbench.mallocs.allocators import Allocator

MACHINE = Path(__file__).with_name("machine.py")
SETTINGS = {
    "default": {},
    "huge blocks": {"HAKMEM_THRESHOLD": "512K"},
    "cascade": {"HAKMEM_ROUTE": "cascade", "HAKMEM_REGISTRY": "locked"},
    "no caches": {"HAKMEM_BUDGET": "0", "HAKMEM_BIGCACHE": "0"},
    "checked": {"HAKMEM_CHECK": "1"},
}
SHRUNK = {
    "lossy-realloc": "realloc",
    "misaligned": "malloc",
    "realloc-frees": "impossible_realloc",
}
"""Fault -> the call that shows it."""


def drive(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(MACHINE), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def calls(output: str) -> list[str]:
    """The calls of the failing example."""
    lines = [line.strip() for line in output.splitlines()]
    return [line for line in lines if line.startswith("state.") and "teardown" not in line]


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_sequence_of_calls_breaks_hakmem(setting: str) -> None:
    done = drive(str(allocator.library()), "hak_", **SETTINGS[setting])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_sequence_of_calls_breaks_the_fixed_flavour() -> None:
    done = drive(str(allocator.library("fixed")), "hak_")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_sequence_of_calls_breaks_the_systems_malloc() -> None:
    done = drive()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("fault", SHRUNK)
def test_seeded_fault_is_shrunk_to_at_most_three_calls(faulty: Allocator, fault: str) -> None:
    done = drive(str(faulty.path), FAULTY=fault)
    found = calls(done.stdout)
    assert done.returncode == 1, done.stderr
    assert len(found) <= 3, done.stdout
    assert found[-1].startswith(f"state.{SHRUNK[fault]}("), done.stdout


def test_without_fault_the_machine_finds_none(faulty: Allocator) -> None:
    assert drive(str(faulty.path), FAULTY="none").returncode == 0
