"""One seed, one operation stream per thread, whatever the other threads do."""

from __future__ import annotations

from functools import partial

import pytest

import workloads
from tests.support.workload_trial import run_trial

CATALOGUE = workloads.catalogue()


def stream(spec: workloads.Workload, seed: int, threads: int = 2) -> list[str]:
    record = run_trial(spec, threads=threads, seed=seed, operation_limit=200, duration=60.0)
    digests: list[str] = record["digests"]
    return digests


@pytest.mark.parametrize("name", CATALOGUE)
def test_one_seed_issues_one_stream(name: str) -> None:
    assert stream(CATALOGUE[name], 5) == stream(CATALOGUE[name], 5)


def test_threads_and_seeds_have_streams_of_their_own() -> None:
    spec = CATALOGUE["random_mixed"]
    digests = stream(spec, 5, threads=8) + stream(spec, 6, threads=8)
    assert len(set(digests)) == 16


def test_more_threads_do_not_change_a_stream() -> None:
    spec = CATALOGUE["mid_replace"]
    assert stream(spec, 5, threads=4)[:2] == stream(spec, 5, threads=2)


def test_one_seed_makes_one_request() -> None:
    spec = CATALOGUE["aligned"]
    asked = partial(workloads.request, spec, threads=2, duration=1.0, warmup=0.0)
    assert asked(seed=3) == asked(seed=3)
    assert asked(seed=3) != asked(seed=4)
