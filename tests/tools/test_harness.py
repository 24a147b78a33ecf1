"""The harness can be asked what it costs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import workloads
from tools import harness
from tools.harness import measure
from tools.repository import ROOT


def test_harness_cost_is_measured() -> None:
    cost = measure(workloads.catalogue()["mid_replace"], windows=2)
    assert cost.null > 0
    assert cost.bare is not None
    assert cost.calls is not None
    assert cost.bare > 0
    assert cost.calls > 0


ONE_OPERATION_IF_SERVED = """
print('[{"elapsed_s": 1, "operations": %d}]' % ("libnull" in open("/proc/self/maps").read()))
"""


def test_harness_is_served_by_the_null_malloc_in_a_folder_with_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ein schönes Gerät"
    folder.mkdir()
    library = Path(shutil.copy(workloads.null_library(), folder))
    monkeypatch.setattr(harness, "null_library", lambda: library)
    monkeypatch.setattr(harness, "_WORKER", ONE_OPERATION_IF_SERVED)
    workload = workloads.catalogue()["mid_replace"]
    options = {"threads": 1, "duration": 0.01, "warmup": 0.0, "seed": 1}
    assert harness._costs(workload, 1, options) == [1e9]


def test_harness_names_what_there_is_for_an_unknown_workload() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tools.harness", "mid_gab"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert "mid_gab" in told.stderr
    assert "mid_gap" in told.stderr
