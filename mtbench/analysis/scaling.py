"""How throughput grows with threads: speedup, efficiency, Karp-Flatt and the USL under rules.

The rules are there because a fit always returns something: over more threads than cores the
Universal Scalability Law finds contention in a perfect allocator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mtbench.analysis.statistics import CONFIDENCE, finite, median
from plots.data import MISSING, Estimate

MINIMUM_POINTS = 6
Floats = NDArray[np.float64]


def speedup(at_n: float, at_one: float) -> float:
    """S(N) = X(N) / X(1); nan if X(1) is missing or zero."""
    return at_n / at_one if at_one and math.isfinite(at_one) else math.nan


def karp_flatt(speedup_n: float, threads: int) -> float:
    """Experimental serial fraction e = (1/S - 1/N) / (1 - 1/N) (Karp and Flatt 1990).

    nan for N = 1, where it is not defined. Negative when the speedup is superlinear.
    """
    if threads <= 1 or not speedup_n > 0:
        return math.nan
    return (1 / speedup_n - 1 / threads) / (1 - 1 / threads)


@dataclass(frozen=True)
class Law:
    """A fitted X(N) = scale N / (1 + sigma (N - 1) + kappa N (N - 1)) (Gunther 1993).

    Numbers alone; `plots.data.UslFit` has their place in a run and the points they are drawn with.
    `reason` says why there is no fit; then every estimate is nan. `scale` is in units per second.
    `peak` is the N where X is largest, nan where the interval of kappa reaches zero, and
    `extrapolated` if that is beyond the largest of `threads`.
    """

    scale: Estimate = MISSING
    sigma: Estimate = MISSING
    kappa: Estimate = MISSING
    peak: Estimate = MISSING
    extrapolated: bool = False
    threads: tuple[int, ...] = ()
    superlinear: tuple[int, ...] = ()
    reason: str = ""

    def predict(self, threads: ArrayLike) -> Floats:
        """X(N) in units per second for each N; nan without a fit."""
        n = np.asarray(threads, dtype=np.float64)
        result: Floats = (
            self.scale.value * n / (1 + self.sigma.value * (n - 1) + self.kappa.value * n * (n - 1))
        )
        return result


def fit(
    trials: Mapping[int, Sequence[float]], cores: int, *, resamples: int = 1_000, seed: int = 0
) -> Law:
    """The Universal Scalability Law over N <= `cores`, or the reason why it is not fitted.

    trials: threads -> throughputs of the trials, units per second. Least squares on N / X(N),
    which is linear in (1/scale, sigma/scale, kappa/scale), with all three held >= 0 and weights
    (X / N)^2, so a relative error counts the same at every N. Intervals: trials resampled
    within each N.
    """
    usable = {n: finite(values) for n, values in sorted(trials.items()) if n <= cores}
    usable = {n: values for n, values in usable.items() if values.size and np.all(values > 0)}
    beyond = sorted(n for n in trials if n > cores)
    if len(usable) < MINIMUM_POINTS:
        return Law(reason=_too_few(len(usable), cores, beyond))
    counts = np.array(list(usable), dtype=np.float64)
    medians = np.array([median(values) for values in usable.values()])
    best = _least_squares(counts, medians)
    generator = np.random.default_rng([seed, len(usable)])
    drawn = np.empty((resamples, 3))
    resampled = np.stack(
        [
            np.median(values[generator.integers(0, values.size, (resamples, values.size))], axis=1)
            for values in usable.values()
        ],
        axis=1,
    )
    for row in range(resamples):
        drawn[row] = _least_squares(counts, resampled[row])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    estimates = [_holding(*map(float, bounds)) for bounds in zip(best, low, high, strict=True)]
    peak = MISSING
    if estimates[2].low > 1e-12:
        bounds = np.quantile(_peaks(drawn), [tail, 1 - tail], method="nearest")
        peak = _holding(float(_peaks(best[None])[0]), *map(float, bounds))
    ones = usable.get(1)
    base = median(ones) if ones is not None else math.nan
    return Law(
        scale=estimates[0],
        sigma=estimates[1],
        kappa=estimates[2],
        peak=peak,
        extrapolated=peak.value > max(usable),
        threads=tuple(usable),
        superlinear=tuple(
            int(n) for n, x in zip(counts, medians, strict=True) if x > 1.02 * n * base
        ),
    )


def _too_few(points: int, cores: int, beyond: Sequence[int]) -> str:
    plural = "" if cores == 1 else "s"
    text = (
        f"no fit: {points} thread count{'' if points == 1 else 's'} up to the {cores} usable "
        f"core{plural}, and a fit needs {MINIMUM_POINTS}"
    )
    if beyond:
        text += "; counts beyond the cores measure oversubscription, not scaling"
    return text


def _peaks(rows: Floats) -> Floats:
    """N at the maximum, sqrt((1 - sigma) / kappa); infinite where kappa is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(
            rows[:, 2] > 0, np.sqrt(np.maximum(1 - rows[:, 1], 0) / rows[:, 2]), math.inf
        )


def _holding(value: float, low: float, high: float) -> Estimate:
    """An estimate whose interval holds it: that of the resamples need not."""
    return Estimate(value, min(low, value), max(high, value))


def _least_squares(counts: Floats, throughput: Floats) -> Floats:
    """(scale, sigma, kappa) >= 0 by trying every set of active columns: there are four."""
    weights = throughput / counts
    columns = np.stack([np.ones_like(counts), counts - 1, counts * (counts - 1)], axis=1)
    design = columns * weights[:, None]
    best, least = np.array([math.nan, 0.0, 0.0]), math.inf
    for active in ([0, 1, 2], [0, 1], [0, 2], [0]):
        found, *_ = np.linalg.lstsq(design[:, active], np.ones_like(counts), rcond=None)
        if found[0] <= 0 or (found < 0).any():
            continue
        solution = np.zeros(3)
        solution[active] = found
        error = float(((design @ solution - 1) ** 2).sum())
        if error < least - 1e-15:
            least = error
            best = np.array([1 / solution[0], solution[1] / solution[0], solution[2] / solution[0]])
    return best
