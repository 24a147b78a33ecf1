"""Service-time histograms of many trials: decoded once each, added up, read at percentiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mtbench.runs.result import Histogram
from workloads.engine import BUCKETS
from workloads.latency import percentiles

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def empty() -> Counts:
    """No counts, shape (BUCKETS,)."""
    return np.zeros(BUCKETS, dtype=np.int64)


def decoded(histogram: Histogram) -> tuple[NDArray[np.intp], Counts]:
    """Buckets, rising, and counts of a record's histogram."""
    pairs = np.array(histogram.counts, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0].astype(np.intp), pairs[:, 1]


def percentiles_of(merged: Counts, shares: Sequence[float]) -> Floats:
    """Percentiles, in ns, from counts of all buckets, shape (BUCKETS,)."""
    places = np.flatnonzero(merged)
    return percentiles(places, merged[places], shares)
