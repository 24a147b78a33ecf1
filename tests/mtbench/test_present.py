"""From records to what is drawn and said."""

import math
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from mtbench.analysis import findings, summary
from mtbench.analysis.cells import gather
from mtbench.analysis.present import lock_rows, presented
from mtbench.runs.directory import RunDirectory
from mtbench.runs.record import Around
from mtbench.runs.result import Counters, Lock
from plots import data as plots_data
from plots.pages.rows import peak
from tests.support.fabricated import fabricate


def scaling(label: str, workload: str, threads: int) -> float:
    base = {"system": 10e6, "hakmem": 30e6, "peer": 12e6, "null": 90e6}.get(label, 5e6)
    fall = 0.1 if label == "peer" and threads > 2 else 1.0
    return base * min(threads, 2) * fall


def shown(path: Path) -> plots_data.Run:
    directory = RunDirectory.read(path)
    plan = directory.manifest.plan
    return presented(directory, plan, gather(directory.records(), plan))


def test_a_cell_holds_its_median_its_interval_and_every_raw_trial(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling))
    cell = run.cell("hakmem", "mid_gap", 2)
    assert cell is not None and cell.trials == 5
    assert cell.throughput.value == pytest.approx(60e6, rel=0.01)
    assert cell.throughput.low <= cell.throughput.value <= cell.throughput.high
    assert np.median(cell.trial_throughput) == cell.throughput.value
    assert len(set(cell.trial_order)) == 5


def test_speedup_efficiency_and_serial_share_stand_beside_throughput(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling, noise=1e-6))
    cell = run.cell("hakmem", "mid_gap", 8)
    assert cell is not None
    assert cell.metric("speedup").value == pytest.approx(2, rel=1e-3)
    assert cell.metric("efficiency").value == pytest.approx(0.25, rel=1e-3)
    assert cell.metric("vs_cores").value == pytest.approx(1, rel=1e-3)
    assert cell.metric("karp_flatt").value == pytest.approx((1 / 2 - 1 / 8) / (1 - 1 / 8), rel=1e-3)
    assert cell.metric("ratio").value == pytest.approx(3, rel=1e-3)


def test_a_missing_count_is_missing_with_its_reason_never_zero(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling))
    cell = run.cell("system", "mid_gap", 1)
    assert cell is not None
    assert not cell.metric("futex_per_mop").present
    assert cell.missing["futex_per_mop"] == "no tracefs"
    row = summary.rows(run)[0]
    assert row["futex_per_mop"] == ""


def test_a_failed_trial_is_a_failure_and_a_cell_without_trials_is_a_gap(tmp_path: Path) -> None:
    failing = [("peer", block) for block in range(5)] + [("hakmem", 0)]
    run = shown(fabricate(tmp_path / "run", scaling, failing=failing))
    gap = run.cell("peer", "mid_gap", 1)
    part = run.cell("hakmem", "mid_gap", 1)
    assert gap is not None and gap.failed == 5 and not gap.throughput.present
    assert part is not None and (part.trials, part.failed) == (4, 1)
    assert len(run.failures) == 18
    assert run.failures[0].signal == "SIGSEGV" and run.failures[0].stderr_tail == "last words"
    assert any("peer failed in 15 trials" in finding.text for finding in run.findings)


def test_the_first_finding_names_the_fastest_with_its_interval(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling))
    first = run.findings[0]
    assert "hakmem is fastest" in first.text and "x system" in first.text
    assert "[" in first.evidence and "n = 5" in first.evidence


def test_nothing_is_called_fastest_within_the_noise(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", lambda a, w, t: 1e7, noise=0.05))
    assert not any("is fastest" in f.text for f in run.findings)
    told = run.findings[0].text
    assert "no difference seen" in told or "too uncertain to call" in told


def test_a_ladder_is_told_in_one_sentence_a_workload_and_thread_count(tmp_path: Path) -> None:
    labels = ("hakmem", "hakmem:registry=locked", "hakmem:registry=prealloc-seqlock")
    speeds = dict(zip(labels, (4e7, 1e7, 2e7), strict=True))
    run = shown(fabricate(tmp_path / "run", lambda a, w, t: speeds[a], allocators=labels))
    told = [finding.text for finding in run.findings if "ladder" in finding.text]
    assert len(told) == 2
    assert "registry=locked to registry=prealloc-seqlock 2.00 x" in told[0]
    assert "registry=prealloc-seqlock to hakmem 2.00 x" in told[0]


def test_a_collapse_beyond_the_cores_is_told(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling))
    assert any("at 8 threads: peer 10 %" in finding.text for finding in run.findings)


def test_no_law_is_fitted_on_two_cores_and_the_reason_is_given(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling, threads=(1, 2, 4, 8, 16, 32, 64)))
    assert run.usl and all("2 usable cores" in law.reason for law in run.usl)


def test_a_law_is_fitted_where_there_are_cores_enough(tmp_path: Path) -> None:
    run = shown(
        fabricate(
            tmp_path / "run",
            lambda a, w, n: 1e7 * n / (1 + 0.05 * (n - 1)),
            threads=(1, 2, 4, 8, 12, 16),
            cores=16,
        )
    )
    law = run.usl[0]
    assert law.reason == "" and law.sigma.value == pytest.approx(0.05, abs=0.01)
    assert math.isnan(law.peak.value)
    assert peak(law) == "no peak up to N = 16"


def test_the_ladder_is_ordered_from_the_fault_to_the_page_map(tmp_path: Path) -> None:
    labels = (
        "system",
        "hakmem",
        "hakmem:registry=prealloc-locked",
        "hakmem:route=cascade",
        "hakmem:registry=locked",
    )
    run = shown(fabricate(tmp_path / "run", scaling, allocators=labels))
    assert [rung.name for rung in run.ladder] == ["cascade", "locked", "prealloc-locked", "flat"]


def test_percentiles_come_from_the_merged_histogram(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling))
    cell = run.cell("system", "mid_gap", 1)
    assert cell is not None
    curve = cell.latency["malloc"]
    assert curve.samples == 5000
    assert 40 <= cell.metric("malloc_p50_ns").value <= 41
    assert cell.metric("malloc_p999_ns").value > cell.metric("malloc_p90_ns").value


def test_other_work_during_the_trials_is_told(tmp_path: Path) -> None:
    path = fabricate(tmp_path / "run", scaling, threads=(2,), allocators=("hakmem",))
    directory = RunDirectory.read(path)
    plan = directory.manifest.plan
    records = list(directory.records())

    def told(runnable: int) -> bool:
        busy = [replace(record, machine=Around(runnable_during=runnable)) for record in records]
        sentences = findings.of(plan, gather(busy, plan), "system", ())
        return any("Other work" in finding.text for finding in sentences)

    assert not told(3)  # two threads, and this tool, looking
    assert told(4)


def test_lock_counters_become_rates_hottest_first(tmp_path: Path) -> None:
    path = fabricate(tmp_path / "run", scaling, threads=(2,), allocators=("hakmem",))
    directory = RunDirectory.read(path)
    plan = directory.manifest.plan
    hot = Lock(
        "hot",
        60,
        spun=10,
        waited=5,
        wait_ns=60_000_000,
        max_wait_ns=9,
        owner_switches=3,
        max_waiters=2,
    )
    cold = replace(hot, name="cold", acquisitions=60_000, wait_ns=0)
    records = [
        replace(
            record,
            result=record.result and replace(record.result, operations=1_000_000),
            allocator_stats=Counters(counted_s=0.6, locks=[cold, hot]),
        )
        for record in directory.records()
    ]
    data = gather(records, plan).cells[plan.cells[0]]
    rows = lock_rows(data)
    assert [row.lock for row in rows] == ["hot", "cold"]
    assert rows[1].rates.acquisitions_per_op == pytest.approx(60_000 / 1_200_000)
    assert rows[0].rates.wait_share == pytest.approx(0.06 / (2 * 0.6))
    assert rows[0].rates.contended == pytest.approx(15 / 60)
    assert data.estimate("lock_contended_per_op").value == pytest.approx(30 / 1_200_000)


def test_summary_has_one_row_a_cell_with_bounds(tmp_path: Path) -> None:
    run = shown(fabricate(tmp_path / "run", scaling))
    rows = summary.rows(run)
    assert len(rows) == 9
    assert set(rows[0]) == set(summary.columns())
    assert float(rows[0]["throughput_low"]) <= float(rows[0]["throughput"])
