"""The measurements behind docs/workloads.md as they are taken from run directories."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.fabricated import fabricate
from tools.repository import ROOT
from tools.workload_costs import load


def told(*runs: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.workload_costs", *map(str, runs)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_runs_are_kept_by_cell_the_last_run_first(tmp_path: Path) -> None:
    made = partial(fabricate, workloads=["w"], threads=[2], noise=0.0)
    one = made(tmp_path / "one", lambda *_: 1e6, allocators=("a", "b"), trials=2)
    gone = [("c", block) for block in range(3)]
    two = made(tmp_path / "two", lambda *_: 4e6, allocators=("b", "c"), trials=3, failing=gone)
    done = told(one, two)
    assert done.returncode == 0
    kept = tmp_path / "kept.csv"
    kept.write_text(done.stdout, encoding="utf-8")
    costs = load(kept)
    assert {cell: cost.trials for cell, cost in costs.items()} == {
        ("w", 2, "a"): 2,
        ("w", 2, "b"): 3,
    }
    assert costs["w", 2, "b"].median == pytest.approx(costs["w", 2, "a"].median / 4)


@pytest.mark.parametrize("arguments", [[], ["absent"]])
def test_run_that_is_none_is_told_in_one_line(arguments: list[str]) -> None:
    done = told(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
