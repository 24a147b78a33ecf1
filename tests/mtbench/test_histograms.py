"""Histograms of many trials are added up, and read as those of one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workloads
from mtbench.analysis import histograms
from mtbench.runs.record import checked
from mtbench.runs.result import Histogram

counted = st.dictionaries(st.integers(0, 2239), st.integers(0, 1000), max_size=30)
SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)


@given(counted)
def test_merged_counts_give_the_percentiles_of_all_calls_as_one_record_does(
    counts: dict[int, int],
) -> None:
    sparse = [[place, count] for place, count in sorted(counts.items())]
    histogram = checked({"scheme": "log-linear-64", "counts": sparse}, Histogram)
    places, numbers = histograms.decoded(histogram)
    merged = histograms.empty()
    merged[places] += numbers
    found = histograms.percentiles_of(merged, SHARES)
    expected = [workloads.latency_percentile(sparse, share) for share in SHARES]
    np.testing.assert_allclose(found, expected)


def test_merged_counts_give_the_percentiles_of_all_calls() -> None:
    merged = histograms.empty()
    for places in ([10, 20], [20, 30]):
        merged[places] += 5
    assert 20 <= histograms.percentiles_of(merged, [0.5])[0] <= 21


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme: Invalid enum value 'other'"):
        checked({"scheme": "other", "counts": []}, Histogram)
