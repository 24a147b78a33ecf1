"""Statistics against SciPy and against known answers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from mtbench.analysis import scaling, statistics

Ints = NDArray[np.int64]
samples = st.lists(st.floats(0.1, 1e6), min_size=2, max_size=12)


@given(samples)
def test_median_and_geometric_mean_agree_with_scipy(values: list[float]) -> None:
    assert statistics.median(values) == pytest.approx(np.median(values))
    assert statistics.geometric_mean(values) == pytest.approx(stats.gmean(values))


@pytest.mark.parametrize("size", [5, 6, 9, 20])
def test_bootstrap_interval_of_the_median_agrees_with_scipy(size: int) -> None:
    values = np.random.default_rng(7).lognormal(size=size)
    ours = statistics.bootstrap_median(values)
    theirs = stats.bootstrap(
        (values,), np.median, n_resamples=20_000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    spread = np.ptp(values)
    assert ours.value == np.median(values)
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * spread)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * spread)


def test_bootstrap_interval_of_a_ratio_of_medians_agrees_with_scipy() -> None:
    generator = np.random.default_rng(8)
    top, bottom = generator.lognormal(0.5, 0.2, 12), generator.lognormal(0, 0.2, 9)
    ours = statistics.bootstrap_ratio_of_medians(top, bottom)
    theirs = stats.bootstrap(
        (top, bottom),
        lambda x, y, axis=-1: np.median(x, axis=axis) / np.median(y, axis=axis),
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert ours.value == pytest.approx(np.median(top) / np.median(bottom))
    assert ours.low == pytest.approx(theirs.low, rel=0.02)
    assert ours.high == pytest.approx(theirs.high, rel=0.02)


def test_interval_of_a_geometric_mean_holds_the_mean_in_nineteen_of_twenty() -> None:
    generator = np.random.default_rng(11)
    truth = [1.0, 2.0, 4.0, 8.0]  # medians; their geometric mean is 2 ** 1.5
    held = 0
    for _ in range(200):
        cells = [median * generator.lognormal(0, 0.1, 15) for median in truth]
        found = statistics.geometric_mean_interval(cells, resamples=500)
        held += found.low <= 2**1.5 <= found.high
    assert 180 <= held <= 199


def test_modified_z_is_in_units_of_the_median_deviation() -> None:
    # median 3, absolute deviations 2 1 0 1 6: MAD 1
    expected = [0.6745 * deviation for deviation in (-2, -1, 0, 1, 6)]
    assert list(statistics.modified_z([1, 2, 3, 4, 9])) == pytest.approx(expected)
    assert stats.median_abs_deviation([1, 2, 3, 4, 9]) == 1


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    values = np.random.default_rng(1).normal(10, 1, 12)
    assert statistics.bootstrap_median(values, seed=4) == statistics.bootstrap_median(
        values, seed=4
    )


def test_one_value_has_no_interval_and_none_has_no_value() -> None:
    assert math.isnan(statistics.bootstrap_median([3.0]).low)
    assert math.isnan(statistics.bootstrap_median([]).value)


@given(samples, samples)
def test_mann_whitney_agrees_with_scipy(first: list[float], second: list[float]) -> None:
    ours = statistics.mann_whitney(first, second)
    ties = len(set(first + second)) < len(first) + len(second)
    theirs = stats.mannwhitneyu(first, second, method="asymptotic" if ties else "exact")
    assert ours.statistic == pytest.approx(theirs.statistic)
    if len(set(first + second)) > 1:
        assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-9)


def test_mann_whitney_of_large_samples_agrees_with_scipy() -> None:
    generator = np.random.default_rng(5)
    first, second = generator.normal(0, 1, 60), generator.normal(0.4, 1, 45)
    theirs = stats.mannwhitneyu(first, second, method="asymptotic")
    assert statistics.mann_whitney(first, second).p_value == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 30, 101])
def test_student_quantile_agrees_with_scipy(freedom: int) -> None:
    expected = stats.t.ppf(0.975, freedom)
    assert statistics.student_quantile(0.975, freedom) == pytest.approx(expected, rel=1e-9)


def test_welch_interval_agrees_with_scipy_but_for_whole_degrees_of_freedom() -> None:
    generator = np.random.default_rng(6)
    first, second = generator.normal(1, 1, 6), generator.normal(0, 3, 9)
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    low, high = statistics.welch_interval(first, second)
    assert low <= theirs.low and high >= theirs.high
    assert high - low == pytest.approx(theirs.high - theirs.low, rel=0.02)


def test_a_clear_paired_difference_is_named_and_noise_is_not() -> None:
    base = np.array([100.0, 120.0, 90.0, 110.0, 105.0])
    assert statistics.paired_ratio(base * 1.3 + [1, -2, 1, 0, 2], base).verdict == "faster"
    assert statistics.paired_ratio(base * 0.7 + [1, -2, 1, 0, 2], base).verdict == "slower"
    same = statistics.paired_ratio(base * [1.1, 0.9, 1.04, 0.97, 1.0], base)
    assert same.verdict == "no difference seen"


def test_an_effect_below_the_noise_threshold_is_no_difference() -> None:
    base = np.full(5, 100.0)
    values = [101.0, 101.1, 100.9, 101.0, 101.05]
    assert statistics.paired_ratio(values, base).verdict == "no difference seen"


def test_too_few_blocks_are_said_and_missing_blocks_are_left_out() -> None:
    ratio = statistics.paired_ratio([1, 2, math.nan, math.nan], [1, 1, 1, 1])
    assert ratio.verdict == "too few trials"
    assert ratio.trials == 2


def test_a_thing_compared_with_itself_differs_in_at_most_one_of_twenty() -> None:
    generator = np.random.default_rng(11)
    pairs = generator.lognormal(0, 0.1, (400, 2, 5))
    verdicts = [statistics.paired_ratio(a, b).verdict for a, b in pairs]
    assert sum(verdict != "no difference seen" for verdict in verdicts) <= 20


def test_two_runs_of_the_same_thing_differ_in_at_most_one_of_twenty() -> None:
    generator = np.random.default_rng(12)
    for trials in (5, 10):
        pairs = generator.lognormal(0, 0.1, (200, 2, trials))
        verdicts = [statistics.independent_ratio(a, b, resamples=1000).verdict for a, b in pairs]
        assert sum(verdict != "no difference seen" for verdict in verdicts) <= 10


def test_far_out_trials_are_flagged_and_only_those() -> None:
    assert list(statistics.far_out([10, 10.1, 9.9, 10.05, 20])) == [False] * 4 + [True]
    assert not statistics.far_out([5, 5, 5, 5]).any()


def test_jain_is_one_for_equal_shares_and_one_over_n_for_a_hog() -> None:
    assert statistics.jain([3, 3, 3, 3]) == pytest.approx(1)
    assert statistics.jain([8, 0, 0, 0]) == pytest.approx(0.25)


def _law(n: Ints, scale: float, sigma: float, kappa: float) -> statistics.Floats:
    found: statistics.Floats = scale * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))
    return found


def test_usl_recovers_a_known_sigma_and_kappa() -> None:
    counts = np.array([1, 2, 4, 8, 16, 24, 32])
    generator = np.random.default_rng(2)
    truth = _law(counts, 5e6, 0.05, 0.001)
    trials = {
        int(n): list(x * generator.normal(1, 0.005, 5)) for n, x in zip(counts, truth, strict=True)
    }
    law = scaling.fit(trials, cores=32)
    assert law.sigma.value == pytest.approx(0.05, abs=0.01)
    assert law.kappa.value == pytest.approx(0.001, abs=0.0003)
    assert law.sigma.low <= 0.05 <= law.sigma.high
    assert law.peak.value == pytest.approx(math.sqrt(0.95 / 0.001), rel=0.15)


def test_a_perfect_allocator_capped_at_the_cores_gets_no_contention_verdict() -> None:
    counts = [1, 2, 4, 8, 16, 32, 64]
    trials = {n: [1e6 * min(n, 2)] * 5 for n in counts}
    law = scaling.fit(trials, cores=2)
    assert math.isnan(law.sigma.value)
    assert "2 usable cores" in law.reason and "oversubscription" in law.reason


def test_a_perfect_allocator_on_enough_cores_has_no_peak() -> None:
    generator = np.random.default_rng(8)
    trials = {n: list(1e6 * n * generator.normal(1, 0.002, 5)) for n in (1, 2, 3, 4, 6, 8, 12, 16)}
    law = scaling.fit(trials, cores=16)
    assert law.sigma.value < 0.01
    assert not law.peak.present and not law.extrapolated


def test_a_peak_beyond_the_data_is_called_extrapolated() -> None:
    counts = np.array([1, 2, 3, 4, 6, 8])
    trials = {
        int(n): [float(x)] * 3 for n, x in zip(counts, _law(counts, 1, 0.02, 2e-3), strict=True)
    }
    law = scaling.fit(trials, cores=8)
    assert law.extrapolated
    assert law.peak.value > 8


def test_superlinear_points_are_flagged_not_clamped() -> None:
    trials = {n: [1e6 * n * (1.2 if n == 4 else 1)] * 3 for n in (1, 2, 3, 4, 5, 6)}
    assert scaling.fit(trials, cores=6).superlinear == (4,)


def test_karp_flatt_is_the_serial_share_of_amdahl() -> None:
    for serial in (0.0, 0.1, 0.5):
        for n in (2, 8, 64):
            assert scaling.karp_flatt(1 / (serial + (1 - serial) / n), n) == pytest.approx(serial)
    assert math.isnan(scaling.karp_flatt(1.0, 1))
