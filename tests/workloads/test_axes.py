"""Every axis of a spec does what it says, seen from the record of a trial."""

from __future__ import annotations

import os
import time

import pytest

import workloads
from tests.support.workload_trial import run_trial
from workloads.engine import CALLS, TOUCHES

SIZES = workloads.Sizes("uniform", low=16, high=4096)
SPEC = workloads.Workload("w", "replace", SIZES)
KIB = 1024


@pytest.mark.parametrize("call", CALLS)
def test_each_call_keeps_its_promises(call: str) -> None:
    spec = SPEC.with_options(calls={call: 1}, alignments={16: 1, 256: 1, 4096: 1})
    record = run_trial(spec, threads=2, verify=True)
    assert record["verify"]["violation"] is None
    assert record["verify"]["checked"] > 0
    assert record["memory"]["live_bytes_drained"] == 0


def test_all_calls_mix() -> None:
    record = run_trial(SPEC.with_options(calls=dict.fromkeys(CALLS, 1)), verify=True)
    assert record["verify"]["violation"] is None


@pytest.mark.parametrize("touch", TOUCHES)
def test_touch_makes_the_pages_it_names_resident(touch: str) -> None:
    size = 4 << 20  # above the threshold where malloc maps, so untouched pages stay away
    spec = workloads.Workload(
        "w",
        "replace",
        workloads.Sizes("fixed", size=size),
        touch=touch,
        parameters={"slots": 4},
    )
    memory = run_trial(spec)["memory"]
    grown = memory["rss_start"] - memory["rss_before"]
    assert (grown >= 3 * size) == (touch in ("pages", "all"))


@pytest.mark.parametrize("lifetime", ["slots", "lifo", "fifo", "generational"])
@pytest.mark.parametrize("handoff", ["none", "shared", "ring"])
def test_each_lifetime_goes_with_each_handoff(lifetime: str, handoff: str) -> None:
    spec = SPEC.with_options(kernel="mixed", parameters={}).with_options(
        lifetime=lifetime, handoff=handoff
    )
    record = run_trial(spec, threads=3, verify=True)
    assert record["verify"]["violation"] is None
    assert record["memory"]["live_bytes_drained"] == 0


def test_life_ends_and_a_successor_takes_over() -> None:
    record = run_trial(SPEC.with_options(life=1000), threads=2, duration=0.2)
    assert record["lives"] > 2
    assert record["memory"]["live_bytes_drained"] == 0


def test_unit_threads_counts_lives() -> None:
    spec = SPEC.with_options(life=200, unit="threads")
    record = run_trial(spec, duration=0.2)
    assert 0 < record["operations"] <= record["lives"]


def test_work_is_done_between_operations() -> None:
    # A thousand allocations with 100 000 dependent multiplications each: four cycles apiece, so
    # 60 ms at the least, on any machine and however busy.
    spec = SPEC.with_options(work=100_000)
    record = run_trial(spec, operation_limit=2000, duration=100.0)
    assert record["elapsed_s"] > 0.06


def test_phases_repeat_and_each_has_its_memory() -> None:
    phases = [{"kind": kind, "seconds": 0.05} for kind in ("ramp", "steady", "drain")]
    spec = SPEC.with_options(phases=phases, sizes={"kind": "fixed", "size": 64 * KIB})
    record = run_trial(spec, threads=2, duration=1.0)
    rows = record["memory"]["phases"]
    assert [row["kind"] for row in rows[:3]] == ["ramp", "steady", "drain"]
    assert any(row["kind"] == "drain" and row["live_bytes_peak"] > 0 for row in rows)
    assert record["memory"]["live_bytes_drained"] == 0


def test_affinity_is_followed_or_refused_with_the_thread_named() -> None:
    import os

    allowed = sorted(os.sched_getaffinity(0))
    assert run_trial(SPEC, threads=3, affinity=allowed)["operations"] > 0
    message = workloads.request(SPEC, threads=2, duration=0.01, warmup=0, seed=1, affinity=[1000])
    with pytest.raises(RuntimeError, match=r"thread 1 of 2 cannot be started on its processor"):
        workloads.execute(message)


def test_handing_on_a_ring_that_is_full_frees_at_home() -> None:
    spec = SPEC.with_options(kernel="remote", parameters={"ring": 1, "share": 1.0})
    assert run_trial(spec, threads=2, duration=0.2)["fallback_frees"] > 0


def test_latency_can_be_left_out() -> None:
    assert run_trial(SPEC, latency_every=0)["latency"] is None


def test_record_says_which_share_was_timed_and_what_timing_costs() -> None:
    record = run_trial(SPEC, warmup=0.03)
    assert record["latency_every"] in [256 << doubled for doubled in range(23)]
    assert record["timing_cost_ns"] > 0
    assert run_trial(SPEC, latency_every=7, warmup=0.03)["latency_every"] == 7


@pytest.mark.parametrize(
    ("asked", "timing", "operation", "every"),
    [
        (256, 50.0, 100.0, 256),  # 50 ns in 256 operations are 0.2 % of 100 ns
        (256, 50.0, 78.2, 256),  # just within a quarter of 1 %; the rest is for the detour
        (256, 50.0, 78.1, 512),
        (256, 50.0, 1.7, 16384),
        (300, 50.0, 10.0, 2400),  # doubled from what was asked
        (1000, 50.0, 100.0, 1000),
        (255, 50.0, 1.0, 255),  # finer than the default: as asked, whatever it costs
        (1, 50.0, 1.0, 1),
        (0, 50.0, 1.0, 0),
        (256, 50.0, 0.0, 256),  # nothing was seen in the warm-up
        (256, 1e9, 1e-9, 1 << 30),  # it ends
    ],
)
def test_timing_is_thinned_until_it_costs_less_than_one_percent(
    asked: int, timing: float, operation: float, every: int
) -> None:
    assert workloads.latency_every(asked, timing, operation) == every
    if asked >= 256 and operation > 0 and every < 1 << 30:
        assert timing / every < 0.01 * operation


def test_every_operation_can_be_timed() -> None:
    record = run_trial(SPEC, latency_every=1, duration=0.2)
    for name in ("malloc", "free"):
        assert workloads.latency_percentile(record["latency"][name], 0.5) > 0


def test_live_bytes_are_what_was_requested() -> None:
    spec = SPEC.with_options(sizes={"kind": "fixed", "size": 1000}, slots=64)
    memory = run_trial(spec, threads=2)["memory"]
    assert 0.95 * 128_000 <= memory["live_bytes_mean"] <= 128_000


def test_what_the_machine_does_not_count_is_missing_not_zero() -> None:
    record = run_trial(SPEC)
    cpu = record["cpu"]
    counted = (record["futex_calls"], cpu["migrations"], cpu["run_delay_ns"])
    for value in (*record["perf"].values(), *counted):
        assert isinstance(value, int) or value["missing"]


def test_threads_that_share_a_processor_wait_for_it() -> None:
    one = min(os.sched_getaffinity(0))
    began = time.monotonic()
    record = run_trial(SPEC, threads=4, affinity=[one], duration=2.0)
    whole = time.monotonic() - began
    delay = record["cpu"]["run_delay_ns"]
    if isinstance(delay, dict):
        pytest.skip(delay["missing"])
    # At most one of the four runs at any moment; none of them ever sleeps. Who reads the counters
    # beside the window may be late, but not later than the trial.
    assert 2 * record["elapsed_s"] < delay * 1e-9 < 4 * whole


def test_the_delay_of_threads_that_came_and_went_is_missing() -> None:
    record = run_trial(SPEC.with_options(life=500), threads=2, duration=0.2)
    delay = record["cpu"]["run_delay_ns"]
    assert record["lives"] > 2
    assert isinstance(delay, dict) and delay["missing"]
