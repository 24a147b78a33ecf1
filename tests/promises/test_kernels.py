"""The kernels' own checks: `mtbench run --verify` finds planted faults that a workload can meet.

The fault acts in the kernel's threads alone, so that what is found is found by the kernel and not
by a crash of the interpreter around it.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from mtbench.errors import Exit
from mtbench.mallocs.allocators import Allocator

FOUND_IN = {
    "twice": "random_mixed",
    "short-class": "random_mixed",
    "misaligned": "tiny_exchange",
    "lossy-realloc": "realloc_growth",
    "racy": "tiny_exchange",
}


def run(
    faulty: Allocator, fault: str, workload: str, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> int:
    monkeypatch.setenv("FAULTY", fault)
    monkeypatch.setenv("FAULTY_IN", "threads")
    command = [sys.executable, "-m", "mtbench", "run", "-a", f"faulty={faulty.path}"]
    command += ["-w", workload, "-t", "2", "-n", "1", "--duration", str(seconds), "--verify", "-q"]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("fault", FOUND_IN)
def test_kernel_finds_the_fault(
    fault: str, faulty: Allocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is found ends the window.
    assert run(faulty, fault, FOUND_IN[fault], monkeypatch, 10.0) == Exit.CELLS_FAILED


@pytest.mark.parametrize("workload", sorted(set(FOUND_IN.values())))
def test_kernel_passes_the_same_malloc_without_fault(
    workload: str, faulty: Allocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(faulty, "none", workload, monkeypatch, 0.2) == Exit.FINE
