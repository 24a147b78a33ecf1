"""The words of docs/workloads.md come from the code, and the harness can be asked what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import workloads
from workloads.document import document
from workloads.harness import measure
from workloads.measured import DATA

PAGE = Path(__file__).parents[2] / "docs" / "workloads.md"


def test_page_is_what_the_code_prints() -> None:
    assert PAGE.read_text(encoding="utf-8") == document(PAGE.parents[1] / DATA), (
        "run: python -m workloads.document > docs/workloads.md"
    )


def test_page_names_every_workload_kernel_and_parameter() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in workloads.catalogue():
        assert f"`{name}`" in text
    for kernel in workloads.KERNELS.values():
        assert f"### `{kernel.name}`" in text
        for parameter in kernel.parameters:
            assert f"`{parameter.name}`" in text


def test_harness_cost_is_measured() -> None:
    cost = measure(workloads.catalogue()["mid_replace"], windows=2)
    assert cost.null > 0
    assert cost.bare is not None
    assert cost.calls is not None
    assert cost.bare > 0
    assert cost.calls > 0


def test_harness_names_what_there_is_for_an_unknown_workload() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "workloads.harness", "mid_gab"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
    assert "mid_gab" in told.stderr
    assert "mid_gap" in told.stderr
