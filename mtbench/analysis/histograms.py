"""Service-time histograms of many trials: added up, and read at several percentiles at once.

The same reading as `workloads.latency_percentile`, for runs of thousands of trials: the buckets'
edges are made once, and a histogram is decoded once for all percentiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mtbench.runs.result import Histogram
from workloads.engine import BUCKETS
from workloads.latency import bucket_edges

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@lru_cache(maxsize=1)
def _edges() -> Floats:
    return bucket_edges()


def empty() -> Counts:
    """No counts, shape (BUCKETS,)."""
    return np.zeros(BUCKETS, dtype=np.int64)


def decoded(histogram: Histogram) -> tuple[NDArray[np.intp], Counts]:
    """Buckets, rising, and counts of a record's histogram."""
    pairs = np.array(histogram.counts, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0].astype(np.intp), pairs[:, 1]


def percentiles(places: NDArray[np.intp], counts: Counts, shares: Sequence[float]) -> Floats:
    """Service time in ns that each share (0 - 1) of the calls did not exceed.

    Interpolated within its bucket; nan where nothing was counted. places: rising.
    """
    if not counts.size or not counts.sum():
        return np.full(len(shares), np.nan)
    used = counts > 0
    places, counts = places[used], counts[used]
    reached = np.cumsum(counts)
    wanted = np.asarray(shares, dtype=np.float64) * reached[-1]
    found = np.minimum(np.searchsorted(reached, wanted, side="left"), counts.size - 1)
    within = (wanted - (reached[found] - counts[found])) / counts[found]
    edges = _edges()
    low = edges[places[found]]
    result: Floats = low + within * (edges[places[found] + 1] - low)
    return result


def percentiles_of(merged: Counts, shares: Sequence[float]) -> Floats:
    """The same from counts of all buckets, shape (BUCKETS,)."""
    places = np.flatnonzero(merged)
    return percentiles(places, merged[places], shares)
