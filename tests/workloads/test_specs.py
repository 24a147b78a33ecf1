"""Specs print, read back, and are changed by options; sizes follow their distribution."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import workloads
from workloads.engine import BUCKETS
from workloads.latency import bucket_edges

CATALOGUE = workloads.catalogue()
Sizes = workloads.Sizes

DISTRIBUTIONS = [
    (Sizes("fixed", size=64), 64.0),
    (Sizes("uniform", low=1024, high=8192), 4608.0),
    (Sizes("log_uniform", low=16, high=4096), 4080.0 / np.log(256)),
    (Sizes("linear_falling", low=8, high=16000), 8 + (16000 - 8) / 3),
    (Sizes("exponential", mean=500, low=1, high=100000), 500.0),
    (Sizes("pareto", shape=2, low=100, high=1 << 20), 200.0),
    (Sizes("bimodal", small=64, large=4096, large_share=0.25), 1072.0),
    (Sizes("weighted", values=((10, 1), (20, 2), (30, 1))), 20.0),
]


@pytest.mark.parametrize(("sizes", "mean"), DISTRIBUTIONS)
def test_sample_has_the_bounds_and_the_mean_of_its_distribution(sizes: Sizes, mean: float) -> None:
    table = sizes.sample(7)
    low, high = sizes.bounds()
    assert table.dtype == np.uint32
    assert len(table) == 65536
    assert low <= table.min() <= table.max() <= high
    assert table.mean() == pytest.approx(mean, rel=0.03)
    assert np.array_equal(table, sizes.sample(7))


@given(st.integers(1, 1 << 30), st.integers(1, 1 << 30), st.integers(0, 2**63 - 1))
@settings(max_examples=25)
def test_any_bounds_can_be_sampled(one: int, other: int, seed: int) -> None:
    low, high = min(one, other), max(one, other)
    for kind in ("uniform", "log_uniform", "linear_falling"):
        table = Sizes(kind, low=low, high=high).sample(seed)
        assert low <= table.min() <= table.max() <= high


def test_histogram_of_a_csv_is_sampled_in_proportion(tmp_path: Path) -> None:
    (tmp_path / "sizes.csv").write_text("size,count\n32,30\n64,10\n", encoding="utf-8")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nkernel = "replace"\n[sizes]\nkind = "histogram"\npath = "sizes.csv"\n',
        encoding="utf-8",
    )
    spec = workloads.load(tmp_path / "mine.toml")
    table = spec.sizes.sample(1)
    assert set(table.tolist()) == {32, 64}
    assert (table == 32).mean() == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("name", CATALOGUE)
def test_named_workload_reads_back_from_its_toml(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.toml"
    path.write_text(CATALOGUE[name].to_toml(), encoding="utf-8")
    assert workloads.load(path) == CATALOGUE[name]


def test_phases_and_text_read_back_from_toml(tmp_path: Path) -> None:
    spec = CATALOGUE["aligned"].with_options(
        description='a "quoted" \\ word',
        phases=[{"kind": "ramp", "seconds": 0.5}, {"kind": "steady", "seconds": 1.0}],
        sizes={"kind": "weighted", "values": [[8, 1], [64, 0.5]]},
    )
    path = tmp_path / "mine.toml"
    path.write_text(spec.to_toml(), encoding="utf-8")
    assert workloads.load(path) == spec


def test_options_change_fields_and_parameters() -> None:
    changed = CATALOGUE["mid_gap"].with_options(slots="512", touch="none", work="3")
    assert changed.parameters["slots"] == 512
    assert (changed.touch, changed.work) == ("none", 3)
    assert CATALOGUE["mid_gap"].parameters["slots"] == 256


def test_every_workload_has_a_line_of_description() -> None:
    for workload in CATALOGUE.values():
        assert 10 < len(workload.description) < 100


def test_percentiles_are_within_a_bucket_of_the_truth() -> None:
    random = np.random.default_rng(1)
    times = np.floor(random.lognormal(5, 1.5, 100_000))
    edges = bucket_edges()
    places = np.searchsorted(edges, times, side="right") - 1
    found, numbers = np.unique(places, return_counts=True)
    counts = np.stack([found, numbers], axis=1).tolist()
    for quantile in (0.5, 0.9, 0.99, 0.999):
        truth = float(np.quantile(times, quantile))
        assert workloads.latency_percentile(counts, quantile) == pytest.approx(truth, rel=0.03)


@given(st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(0, 2) | st.integers(0, 1000)))
def test_percentile_lies_where_its_share_of_the_calls_is_reached(counts: dict[int, int]) -> None:
    edges = bucket_edges()
    calls = sum(counts.values())
    for share in (0.0, 0.5, 0.9, 0.999, 1.0):
        found = workloads.latency_percentile(sorted(counts.items()), share)
        if not calls:
            assert np.isnan(found)
            continue
        below = 0
        for place in sorted(place for place, count in counts.items() if count):
            reached = below + counts[place]
            if reached >= share * calls:
                break
            below = reached
        part = (share * calls - below) / counts[place]
        expected = edges[place] + part * (edges[place + 1] - edges[place])
        assert found == pytest.approx(expected)


def test_buckets_are_at_most_three_percent_wide() -> None:
    edges = bucket_edges()
    assert len(edges) == BUCKETS + 1
    assert np.all(np.diff(edges) <= np.maximum(1, 0.03 * edges[:-1]))


def test_merged_histograms_add_their_counts() -> None:
    one = {"scheme": "log-linear-64", "counts": [[3, 5], [70, 1]]}
    other = {"scheme": "log-linear-64", "counts": [[3, 2]]}
    assert workloads.merge_latency([one, other])["counts"] == [[3, 7], [70, 1]]
    assert np.isnan(workloads.latency_percentile([], 0.5))
    with pytest.raises(ValueError, match="scheme"):
        workloads.merge_latency([{"scheme": "other", "counts": []}])


def test_worker_imports_no_numpy() -> None:
    program = "import sys, workloads; workloads.execute; print('numpy' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"


def test_bare_loop_exists_for_the_two_reference_workloads() -> None:
    for name in ("mid_gap", "mid_replace"):
        for loop in ("bare", "calls"):
            assert (workloads.bare_cost(CATALOGUE[name], loop=loop, duration=0.01) or 0) > 0
    assert workloads.bare_cost(CATALOGUE["linear"], duration=0.01) is None
