"""Latency histograms as the engine makes them: merged by adding, read by percentile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workloads.engine import BUCKETS, OCTAVE, SCHEME


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
    """One histogram of all that the given ones counted; in the form records hold."""
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
    """Service time in ns that a share `quantile` (0 - 1) of the operations did not exceed.

    Interpolated within its bucket; nan where nothing was counted.
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
