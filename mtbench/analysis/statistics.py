"""Statistics of trials: medians, bootstrap intervals, paired ratios, tests and noise flags.

Pure numpy, every function deterministic for a given seed. An interval is an
`Estimate`; `nan` means "not enough data". SciPy is the oracle in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plots.data import MISSING, Estimate

RESAMPLES = 10_000
CONFIDENCE = 0.95
NOISE_THRESHOLD = 0.02
"""Effects below this share are never called a difference."""

FEWEST = 3
"""Trials a side below which nothing is said."""

U_TEST_LEVEL = 0.025
"""Half of the usual 5 %, so that 200 comparisons of a run with itself stay below 5 % claims."""

Floats = NDArray[np.float64]


class Verdict(str, Enum):
    """What may be said of a ratio."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "no difference seen"
    FEW = "too few trials"

    __str__ = str.__str__


def finite(values: ArrayLike) -> Floats:
    """The finite entries of `values` as a 1-D float array."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def median(values: ArrayLike) -> float:
    """Median of the finite values; nan if there are none."""
    array = finite(values)
    return float(np.median(array)) if array.size else math.nan


@lru_cache(maxsize=64)
def _median_resamples(
    size: int, resamples: int, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Which order statistics the medians of the resamples are, and how often.

    A resample's median depends only on the ranks drawn, not on the data, so the ranks are drawn
    once per sample size; applying them to a sample then costs a weighted quantile over the few
    distinct (lower, upper) middle pairs instead of resampling again.
    """
    generator = np.random.default_rng([seed, size])
    ranks = np.sort(generator.integers(0, size, size=(resamples, size)), axis=1)
    lower = ranks[:, (size - 1) // 2]
    upper = ranks[:, size // 2]
    pairs, counts = np.unique(lower * size + upper, return_counts=True)
    return pairs // size, pairs % size, counts / resamples


def bootstrap_median(
    values: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate:
    """Median with its percentile bootstrap interval (Efron and Tibshirani 1993, section 13.3).

    With n <= 5 values the interval is their range: P(median* = x(1)) exceeds 2.5 % there.
    A single value has no interval (nan bounds).
    """
    array = np.sort(finite(values))
    if array.size == 0:
        return MISSING
    value = float(np.median(array))
    if array.size == 1:
        return Estimate(value)
    lower, upper, weights = _median_resamples(array.size, resamples, seed)
    medians = (array[lower] + array[upper]) / 2
    order = np.argsort(medians, kind="stable")
    cumulative = np.cumsum(weights[order])
    tail = (1 - confidence) / 2
    low = medians[order][np.searchsorted(cumulative, tail)]
    high = medians[order][min(int(np.searchsorted(cumulative, 1 - tail)), order.size - 1)]
    return Estimate(value, float(low), float(high))


def bootstrap_ratio_of_medians(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Estimate:
    """median(numerator) / median(denominator) of two independent samples.

    Each side is resampled on its own (Efron and Tibshirani 1993, section 8.3).
    """
    top, bottom = finite(numerator), finite(denominator)
    if not top.size or not bottom.size or float(np.median(bottom)) == 0.0:
        return MISSING
    value = float(np.median(top) / np.median(bottom))
    if top.size == 1 or bottom.size == 1:
        return Estimate(value)
    generator = np.random.default_rng([seed, top.size, bottom.size])
    tops = np.median(top[generator.integers(0, top.size, (resamples, top.size))], axis=1)
    bottoms = np.median(
        bottom[generator.integers(0, bottom.size, (resamples, bottom.size))], axis=1
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = tops / bottoms
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(ratios, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


class Ratio(NamedTuple):
    """A ratio of two allocators and what may be said of it."""

    estimate: Estimate
    verdict: Verdict
    """`faster`, `slower`, `no difference seen` or `too few trials`."""
    trials: int


def paired_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    threshold: float = NOISE_THRESHOLD,
    comparisons: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ratio:
    """Median of numerator[i] / denominator[i] over the rounds in which both have a value.

    `faster` or `slower` is said only if all three hold: the bootstrap interval over rounds
    excludes 1; the effect exceeds `threshold`; and Student's interval for the mean of the log
    ratios excludes 0. The last is there because with five rounds the bootstrap interval is the
    range, which misses 1 by chance in 2 / 2**5 = 6.25 % of comparisons of a thing with itself.
    comparisons: from how many this one was chosen by its result; Student's level is divided by
    it (Bonferroni), as the best of many beats any one of them by luck.
    """
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    if top.shape != bottom.shape:
        raise ValueError(f"paired samples differ in length: {top.size} and {bottom.size}")
    usable = np.isfinite(top) & np.isfinite(bottom) & (top > 0) & (bottom > 0)
    ratios = top[usable] / bottom[usable]
    estimate = bootstrap_median(ratios, resamples=resamples, seed=seed)
    if ratios.size < FEWEST:
        return Ratio(estimate, Verdict.FEW, int(ratios.size))
    confidence = 1 - (1 - CONFIDENCE) / comparisons
    low, high = student_interval(np.log(ratios), confidence=confidence)
    agreed = low > 0 or high < 0
    verdict = _verdict(estimate, threshold) if agreed else Verdict.SAME
    return Ratio(estimate, verdict, int(ratios.size))


def independent_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    threshold: float = NOISE_THRESHOLD,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Ratio:
    """Ratio of medians of two runs; Mann-Whitney U decides where each side has 8 trials or more.

    With fewer trials the bootstrap interval decides together with Welch's interval for the
    difference of the mean logs, as in `paired_ratio`; below 3 per side nothing is said.
    """
    top, bottom = finite(numerator), finite(denominator)
    top, bottom = top[top > 0], bottom[bottom > 0]
    estimate = bootstrap_ratio_of_medians(top, bottom, resamples=resamples, seed=seed)
    trials = int(min(top.size, bottom.size))
    if trials < FEWEST:
        return Ratio(estimate, Verdict.FEW, trials)
    if trials >= 8:
        agreed = mann_whitney(top, bottom).p_value < U_TEST_LEVEL
    else:
        low, high = welch_interval(np.log(top), np.log(bottom))
        agreed = low > 0 or high < 0
    verdict = _verdict(estimate, threshold) if agreed else Verdict.SAME
    return Ratio(estimate, verdict, trials)


def _verdict(estimate: Estimate, threshold: float) -> Verdict:
    if estimate.low > 1 and estimate.value > 1 + threshold:
        return Verdict.FASTER
    if estimate.high < 1 and estimate.value < 1 - threshold:
        return Verdict.SLOWER
    return Verdict.SAME


def student_interval(values: ArrayLike, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Student's t interval for the mean: mean +- t(n-1) s / sqrt(n) ("Student" 1908)."""
    array = finite(values)
    if array.size < 2:
        return -math.inf, math.inf
    half = (
        student_quantile(0.5 + confidence / 2, array.size - 1)
        * float(array.std(ddof=1))
        / math.sqrt(array.size)
    )
    mean = float(array.mean())
    return mean - half, mean + half


def welch_interval(
    first: ArrayLike, second: ArrayLike, *, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Welch's interval for mean(first) - mean(second), unequal variances (Welch 1947).

    Degrees of freedom by Welch and Satterthwaite, rounded down.
    """
    a, b = finite(first), finite(second)
    if a.size < 2 or b.size < 2:
        return -math.inf, math.inf
    one, two = float(a.var(ddof=1)) / a.size, float(b.var(ddof=1)) / b.size
    difference = float(a.mean() - b.mean())
    if one + two == 0:
        return difference, difference
    freedom = (one + two) ** 2 / (one**2 / (a.size - 1) + two**2 / (b.size - 1))
    half = student_quantile(0.5 + confidence / 2, int(freedom)) * math.sqrt(one + two)
    return difference - half, difference + half


@lru_cache(maxsize=256)
def student_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t, for 0.5 <= probability < 1, by bisection on its exact tail.

    The distribution function is the finite trigonometric sum for integer degrees of freedom
    (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < probability:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if _student_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _student_cdf(t: float, freedom: int) -> float:
    theta = math.atan2(t, math.sqrt(freedom))
    cosine, sine = math.cos(theta), math.sin(theta)
    if freedom % 2:
        term, total = cosine, cosine if freedom > 1 else 0.0
        for k in range(3, freedom - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        share = 2 / math.pi * (theta + sine * total)
    else:
        term, total = 1.0, 1.0
        for k in range(2, freedom - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        share = sine * total
    return 0.5 + share / 2


class UTest(NamedTuple):
    """Mann-Whitney U of the first sample, and the two-sided p-value."""

    statistic: float
    p_value: float


def mann_whitney(first: ArrayLike, second: ArrayLike) -> UTest:
    """Two-sided Mann-Whitney U test (Mann and Whitney 1947).

    Exact by counting rank arrangements where both sides have at most 30 values and there are no
    ties; otherwise the normal approximation with tie correction and continuity correction.
    """
    a, b = finite(first), finite(second)
    n, m = a.size, b.size
    if not n or not m:
        return UTest(math.nan, math.nan)
    values = np.concatenate([a, b])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    u = float(ranks[:n].sum() - n * (n + 1) / 2)
    extreme = max(u, n * m - u)
    if counts.max() == 1 and max(n, m) <= 30:
        frequencies = _u_frequencies(n, m)
        tail = float(frequencies[int(extreme) :].sum() / frequencies.sum())
        return UTest(u, min(1.0, 2 * tail))
    total = n + m
    ties = float((counts.astype(np.float64) ** 3 - counts).sum())
    variance = n * m / 12 * ((total + 1) - ties / (total * (total - 1)))
    if variance <= 0:
        return UTest(u, 1.0)
    z = (extreme - n * m / 2 - 0.5) / math.sqrt(variance)
    return UTest(u, min(1.0, math.erfc(z / math.sqrt(2))))


@lru_cache(maxsize=64)
def _u_frequencies(n: int, m: int) -> Floats:
    """How many arrangements give each U: the Gaussian binomial coefficient's terms."""
    counts = np.zeros(n * m + 1)
    counts[0] = 1
    for i in range(1, n + 1):
        for value in range(m + i, n * m + 1)[::-1]:
            counts[value] -= counts[value - m - i]
        for value in range(i, n * m + 1):
            counts[value] += counts[value - i]
    return counts


def geometric_mean(values: ArrayLike) -> float:
    """exp(mean(log x)) of the finite positive values; nan if there are none.

    The mean for ratios: it does not depend on which side is the base (Fleming and Wallace 1986).
    """
    array = finite(values)
    array = array[array > 0]
    return float(np.exp(np.log(array).mean())) if array.size else math.nan


def geometric_mean_interval(
    samples: Sequence[ArrayLike], *, resamples: int = 2_000, seed: int = 0
) -> Estimate:
    """exp(mean(log median x)) over several cells, each cell's trials resampled on its own.

    A stratified percentile bootstrap (Efron and Tibshirani 1993, sections 8.3 and 13.3).
    """
    cells = [cell for cell in map(finite, samples) if cell.size and np.all(cell > 0)]
    if not cells:
        return MISSING
    value = geometric_mean([median(cell) for cell in cells])
    if any(cell.size < 2 for cell in cells):
        return Estimate(value)
    generator = np.random.default_rng([seed, len(cells)])
    logs = np.zeros(resamples)
    for cell in cells:
        drawn = cell[generator.integers(0, cell.size, (resamples, cell.size))]
        logs += np.log(np.median(drawn, axis=1))
    low, high = np.exp(np.quantile(logs / len(cells), [0.025, 0.975]))
    return Estimate(value, float(low), float(high))


def modified_z(values: ArrayLike) -> Floats:
    """0.6745 (x - median) / MAD of each value (Iglewicz and Hoaglin 1993); |z| > 3.5 is far out.

    Where MAD is zero the mean absolute deviation takes its place (x 1.253314), and zeros where
    that is zero too. Same length as `values`; nan stays nan.
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).any():
        return np.full(array.shape, math.nan)
    deviation = array - np.nanmedian(array)
    mad = float(np.nanmedian(np.abs(deviation)))
    if mad > 0:
        return 0.6745 * deviation / mad
    mean = float(np.nanmean(np.abs(deviation)))
    return deviation / (1.253314 * mean) if mean > 0 else deviation


def far_out(values: ArrayLike, *, limit: float = 3.5) -> NDArray[np.bool_]:
    """Which trials are far out (flagged, never dropped)."""
    return np.abs(np.nan_to_num(modified_z(values))) > limit


def jain(values: ArrayLike) -> float:
    """Jain's fairness index (sum x)^2 / (n sum x^2), 1/n .. 1 (Jain, Chiu and Hawe 1984)."""
    array = finite(values)
    squares = float((array**2).sum())
    return float(array.sum()) ** 2 / (array.size * squares) if squares > 0 else math.nan
