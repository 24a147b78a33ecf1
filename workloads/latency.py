"""Latency histograms as the engine makes them: merged by adding, read by percentile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from workloads.engine import BUCKETS, OCTAVE, SCHEME


@cache
def bucket_edges() -> npt.NDArray[np.float64]:
    """Lower edges of all buckets and the upper edge of the last, in ns; shape (BUCKETS + 1,)."""
    place = np.arange(BUCKETS + 1)
    shift = np.maximum(place // OCTAVE - 1, 0)
    edges: npt.NDArray[np.float64] = np.where(
        place < OCTAVE, place, (OCTAVE + place % OCTAVE) * 2.0**shift
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
    places = np.flatnonzero(total)
    return float(percentiles(places, total[places], [quantile])[0])


def percentiles(
    places: npt.NDArray[np.intp], counts: npt.NDArray[np.int64], shares: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Service times in ns that each share (0 - 1) of the operations did not exceed; shape of
    `shares`.

    places: buckets, rising; counts: of each. Interpolated within its bucket; nan where nothing was
    counted.
    """
    used = counts > 0
    places, counts = places[used], counts[used]
    if not counts.size:
        return np.full(len(shares), np.nan)
    reached = np.cumsum(counts)
    wanted = np.asarray(shares, dtype=np.float64) * reached[-1]
    found = np.minimum(np.searchsorted(reached, wanted, side="left"), counts.size - 1)
    within = (wanted - (reached[found] - counts[found])) / counts[found]
    edges = bucket_edges()
    low = edges[places[found]]
    result: npt.NDArray[np.float64] = low + within * (edges[places[found] + 1] - low)
    return result
