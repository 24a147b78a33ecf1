"""Latency histograms as the engine makes them: merged by adding, read by percentile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SCHEME = "log-linear-64"
BUCKETS = 2240
"""64 buckets an octave: a bucket is at most 1/64 of its value wide; up to 2^40 ns."""


def bucket_edges() -> npt.NDArray[np.float64]:
    """Lower edges of all buckets and the upper edge of the last, in ns; shape (BUCKETS + 1,)."""
    place = np.arange(BUCKETS + 1)
    shift = np.maximum(place // 64 - 1, 0)
    edges: npt.NDArray[np.float64] = np.where(
        place < 64, place, (64 + place % 64) * 2.0**shift
    ).astype(np.float64)
    return edges


def dense(histogram: Mapping[str, Any] | Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    """Counts of all buckets, shape (BUCKETS,), from a record's histogram or its sparse counts."""
    sparse: Any = histogram
    if isinstance(histogram, Mapping):
        if histogram.get("scheme") != SCHEME:
            raise ValueError(f"latency scheme {histogram.get('scheme')!r}: must be {SCHEME!r}")
        sparse = histogram["counts"]
    counts = np.zeros(BUCKETS, dtype=np.int64)
    for place, count in sparse:
        counts[place] += count
    return counts


def merge_latency(histograms: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns one histogram of all that the given ones counted, all in the form that records hold.

    Raises ValueError if one has buckets of another scheme.
    """
    total = np.zeros(BUCKETS, dtype=np.int64)
    for histogram in histograms:
        total += dense(histogram)
    return {
        "scheme": SCHEME,
        "counts": [[int(place), int(total[place])] for place in np.flatnonzero(total)],
    }


def latency_percentile(
    counts: Mapping[str, Any] | Sequence[Sequence[int]], quantile: float
) -> float:
    """Returns the service time, ns, that a share `quantile` (0 - 1) of the calls did not exceed.

    `counts` is a histogram of a record, or its sparse counts. Interpolated within a bucket; nan
    where nothing was counted. Raises ValueError if the share is none, or if the buckets are of
    another scheme.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"quantile = {quantile!r}: must be from 0 to 1")
    total = dense(counts)
    if not total.any():
        return float("nan")
    edges = bucket_edges()
    reached = np.cumsum(total)
    wanted = quantile * reached[-1]
    place = int(np.searchsorted(reached, wanted, side="left"))
    place = max(place, int(np.flatnonzero(total)[0]))
    before = float(reached[place] - total[place])
    within = (wanted - before) / float(total[place])
    return float(edges[place] + within * (edges[place + 1] - edges[place]))
