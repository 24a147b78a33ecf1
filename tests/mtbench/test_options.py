"""From words to a job: workloads, quick grids, Python."""

from pathlib import Path

import numpy as np
import pytest

import mtbench
from mtbench.errors import UsageError
from mtbench.mallocs.allocators import Allocator
from mtbench.mallocs.ladder import LADDER
from mtbench.plan import jobs, quick
from mtbench.plan.plan import least_window


def test_workloads_come_from_the_catalogue_with_changes_or_from_a_file(tmp_path: Path) -> None:
    specs = jobs.workload_specs(["mid_gap,mid_gap:slots=64,work=3", "larson"])
    assert list(specs) == ["mid_gap", "mid_gap:slots=64,work=3", "larson"]
    assert specs["mid_gap:slots=64,work=3"].work == 3
    file = tmp_path / "mine.toml"
    file.write_text(specs["mid_gap"].to_toml().replace("mid_gap", "mine"))
    assert list(jobs.workload_specs([str(file)])) == ["mine"]


@pytest.mark.parametrize("text", ["nothing", "mid_gap:slots", "x.toml", ""])
def test_a_bad_workload_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        jobs.workload_specs([text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
def test_a_quick_sweep_keeps_its_ninety_seconds_of_measuring(cores: int) -> None:
    peers = [Allocator(f"peer{i}", "peer", None) for i in range(8)]
    rungs = [Allocator(step.label, "hakmem", None) for step in LADDER if step.quick]
    cells = quick.cells([*peers, *rungs], list(quick.WORKLOADS), quick.THREADS)
    window = quick.window(cells, quick.TRIALS, cores)
    assert window >= 0.05
    spent = sum(
        max(window, least_window(cell.threads, cores, quick.TURNS)) + quick.WARMUP_S
        for cell in cells
    )
    assert cores == 1 or spent * quick.TRIALS <= 90


def test_a_quick_sweep_climbs_the_ladder_only_where_the_registry_is_asked() -> None:
    cells = quick.cells(
        [Allocator(step.label, "hakmem", None) for step in LADDER if step.quick],
        list(quick.WORKLOADS),
        quick.THREADS,
    )
    assert {cell.workload for cell in cells} == set(quick.LADDER_WORKLOADS)


def test_a_sweep_from_python_returns_arrays(tmp_path: Path) -> None:
    sweep = mtbench.sweep(
        ["system", "null"],
        ["mid_gap"],
        [1, 2],
        trials=2,
        duration=0.3,  # longer than a thread waits for a processor
        warmup=0.0,
        output=tmp_path / "run",
    )
    assert sweep.throughput.shape == (2, 1, 2, 2)
    assert np.all(sweep.throughput > 0)
    assert "peak_over_live" in sweep.metrics
    assert len(list(sweep.rows())) == 4
    again = mtbench.load(tmp_path / "run")
    assert np.array_equal(again.throughput, sweep.throughput)
    with pytest.raises(KeyError, match="no metric 'colour'"):
        sweep.metric("colour")
