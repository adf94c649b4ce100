from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from recbole_guider.report.signed_ranks import wilcoxon_paired
from recbole_guider.report.statistics import compare_many, compare_paired, holm

# Eight paired runs of a baseline and four methods, with values computed outside this package.
BASELINE = [0.08831, 0.08904, 0.08752, 0.08877, 0.08815, 0.0893, 0.08796, 0.08861]
METHODS = {
    "A": [0.09242, 0.09256, 0.0923, 0.09167, 0.0918, 0.09263, 0.09198, 0.09179],
    "B": [0.08922, 0.08862, 0.08865, 0.08905, 0.08882, 0.08915, 0.0888, 0.089],
    "C": [0.08843, 0.08873, 0.08777, 0.08833, 0.08823, 0.08911, 0.08833, 0.08855],
    "D": [0.08676, 0.08703, 0.08634, 0.0869, 0.08837, 0.08787, 0.0862, 0.08732],
}
# mean difference, t, p, Wilcoxon's W+, exact p
EXPECTED = {
    "A": (0.00368625, 17.3854730558, 5.123e-07, 36.0, 0.0078125),
    "B": (0.00045625, 2.4001362537, 0.047456652, 31.0, 0.078125),
    "C": (-2.25e-05, -0.2279603166, 0.826192709, 17.0, 0.9453125),
    "D": (-0.00135875, -5.5003814862, 0.0009061714, 1.0, 0.015625),
}
HOLM_T = [2.0492e-06, 0.094913304, 0.826192709, 0.0027185141]
HOLM_WILCOXON = [0.03125, 0.15625, 0.9453125, 0.046875]

quick = settings(deadline=None, max_examples=60)
values = st.integers(0, 8).map(lambda eighths: eighths / 8)


@st.composite
def pairs(draw, smallest: int = 2) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(smallest, 40))
    array = arrays(np.float64, n, elements=values)
    return draw(array), draw(array)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_oracle_of_the_paired_tests(name: str) -> None:
    difference, t, p, w_plus, p_exact = EXPECTED[name]
    result = compare_paired(METHODS[name], BASELINE)
    assert result.difference == pytest.approx(difference, abs=1e-12)
    assert result.statistic == pytest.approx(t, abs=1e-6)
    assert result.p_value == pytest.approx(p, abs=1e-6, rel=1e-4)
    assert result.relative_gain == pytest.approx(difference / np.mean(BASELINE), abs=1e-9)
    assert result.n == 8
    ranks = wilcoxon_paired(METHODS[name], BASELINE)
    assert (ranks.w_plus, ranks.p_value) == pytest.approx((w_plus, p_exact), abs=1e-12)


def test_oracle_of_holm() -> None:
    t = holm([compare_paired(METHODS[name], BASELINE).p_value for name in "ABCD"])
    assert t == pytest.approx(HOLM_T, abs=1e-6)
    wilcoxon = holm([wilcoxon_paired(METHODS[name], BASELINE).p_value for name in "ABCD"])
    assert wilcoxon == pytest.approx(HOLM_WILCOXON, abs=1e-6)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-12)


@pytest.mark.parametrize(("n", "least"), [(4, 0.125), (5, 0.0625), (8, 0.0078125), (10, 2**-9)])
def test_smallest_possible_wilcoxon_p(n: int, least: float) -> None:
    assert wilcoxon_paired(np.arange(1.0, n + 1), np.zeros(n)).p_value == least


@quick
@given(pairs())
def test_swapping_flips_every_sign(pair) -> None:
    ours, baseline = pair
    one, other = compare_paired(ours, baseline), compare_paired(baseline, ours)
    assert one.difference == -other.difference
    assert one.p_value == other.p_value
    assert one.statistic == -other.statistic
    assert one.interval == pytest.approx((-other.interval[1], -other.interval[0]), abs=1e-12)
    assert (one.wins, one.ties, one.losses) == (other.losses, other.ties, other.wins)
    if ours.any() and baseline.any():
        assert np.sign(one.relative_gain) == -np.sign(other.relative_gain)
    assert one.wins + one.ties + one.losses == one.n == len(ours)


@quick
@given(pairs(), st.floats(1e-3, 1e3))
def test_scaling_scales_differences_and_leaves_the_test_alone(pair, factor: float) -> None:
    ours, baseline = pair
    plain, scaled = compare_paired(ours, baseline), compare_paired(factor * ours, factor * baseline)
    assert scaled.difference == pytest.approx(factor * plain.difference, rel=1e-9, abs=1e-9)
    assert scaled.interval == pytest.approx(
        tuple(factor * bound for bound in plain.interval), rel=1e-9, abs=1e-9 * factor
    )
    assert scaled.relative_gain == pytest.approx(plain.relative_gain, rel=1e-9, nan_ok=True)
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-6, abs=1e-12)
    assert scaled[4:7] == plain[4:7]


@quick
@given(pairs())
def test_interval_is_inside_the_range_of_the_changes(pair) -> None:
    result = compare_paired(*pair)
    low, high = result.interval
    changes = pair[0] - pair[1]
    assert changes.min() - 1e-9 <= low <= high <= changes.max() + 1e-9


@quick
@given(pairs(smallest=1))
def test_exact_wilcoxon_equals_every_sign_pattern_counted(pair) -> None:
    ours, baseline = pair[0][:9], pair[1][:9]
    changes = (ours - baseline)[ours != baseline]
    result = wilcoxon_paired(ours, baseline)
    ranks = stats.rankdata(np.abs(changes))
    sums = [np.dot(signs, ranks) for signs in itertools.product([0, 1], repeat=len(ranks))]
    smaller = min(result.w_plus, result.w_minus)
    expected = min(1.0, 2 * np.mean(np.array(sums) <= smaller + 1e-9)) if len(ranks) else 1.0
    assert result.p_value == pytest.approx(expected, abs=1e-12)


def test_wilcoxon_of_many_users_is_scipys() -> None:
    generator = np.random.default_rng(3)
    ours, baseline = generator.random(200), generator.random(200)
    expected = stats.wilcoxon(ours, baseline, method="approx").pvalue
    assert wilcoxon_paired(ours, baseline).p_value == pytest.approx(expected, rel=1e-12)


def test_wilcoxon_of_many_users_gives_equal_changes_one_rank() -> None:
    """Means over seeds, as of recall: few distinct changes, but for their last digits."""
    generator = np.random.default_rng(3)
    hits = generator.integers(0, 4, size=(2, 5, 400))
    ours, baseline = (hits / 3).mean(axis=1)
    steps = hits.sum(axis=1)
    assert len(np.unique(np.abs(ours - baseline))) > len(np.unique(np.abs(steps[0] - steps[1])))
    expected = stats.wilcoxon(steps[0] - steps[1], method="approx").pvalue
    assert wilcoxon_paired(ours, baseline).p_value == pytest.approx(expected, rel=1e-12)


def test_identical_and_constant_differences_are_defined_without_a_warning() -> None:
    base = np.array([0.1, 0.2, 0.3, 0.7])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = compare_paired(base, base)
        shifted = compare_paired(base + 0.1, base)
        lowered = compare_paired(base, base + 0.1)
    assert (same.difference, same.p_value, same.statistic, same.ties) == (0.0, 1.0, 0.0, 4)
    assert same.interval == (0.0, 0.0)
    assert (shifted.p_value, shifted.statistic, shifted.wins) == (0.0, np.inf, 4)
    assert shifted.interval == pytest.approx((0.1, 0.1), abs=1e-12)
    assert (lowered.p_value, lowered.statistic, lowered.losses) == (0.0, -np.inf, 4)


def test_a_sum_in_another_order_is_a_tie() -> None:
    one, other = np.array([0.1 + 0.2 + 0.3, 0.5]), np.array([0.3 + 0.2 + 0.1, 0.25])
    assert one[0] != other[0]
    assert compare_paired(one, other)[4:7] == (1, 1, 0)


def test_rounding_alone_is_never_significant() -> None:
    one = np.array([0.5, 0.0, 0.1 + 0.2 + 0.3])
    other = np.array([0.5, 0.0, 0.3 + 0.2 + 0.1])
    assert compare_paired(one, other).p_value == 1.0


def test_too_few_users_and_a_baseline_of_zero() -> None:
    single = compare_paired([0.5], [0.25])
    assert (single.difference, single.relative_gain, single.n) == (0.25, 1.0, 1)
    assert np.isnan(single.p_value)
    assert np.isnan(single.interval).all()
    empty = compare_paired([], [])
    assert empty.n == 0
    assert np.isnan(empty.difference)
    assert np.isnan(compare_paired([0.5, 0.25], [0.0, 0.0]).relative_gain)


@pytest.mark.parametrize(
    ("ours", "baseline", "message"),
    [
        ([0.1, 0.2], [0.1], "equal lengths, got 2 and 1"),
        ([0.1, np.nan], [0.1, 0.2], "finite"),
        ([0.1, 0.2], [np.inf, 0.2], "finite"),
        ([[0.1, 0.2]], [[0.1, 0.2]], "one value per user"),
    ],
)
def test_unusable_values_are_refused(ours, baseline, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_paired(ours, baseline)


def test_the_gains_interval_resamples_the_baseline_too() -> None:
    generator = np.random.default_rng(9)
    baseline = generator.random(300)
    same_gain = compare_paired(1.25 * baseline, baseline)
    assert same_gain.gain_interval == pytest.approx((0.25, 0.25), abs=1e-9)
    assert same_gain.interval[0] < 0.25 * baseline.mean() - 0.005
    other = compare_paired(1.25 * generator.permutation(baseline), baseline)
    low, high = other.gain_interval
    assert low < other.relative_gain < high
    # Three users of whom one counts: some resamples leave him out.
    assert np.isnan(compare_paired([0.5, 0.5, 1.0], [0.0, 0.0, 1.0]).gain_interval).all()


def test_many_comparisons_equal_single_ones_bit_for_bit() -> None:
    generator = np.random.default_rng(5)
    ours, baseline = generator.random((7, 1500)), generator.random((7, 1500))
    assert compare_many(ours, baseline) == [compare_paired(ours[i], baseline[i]) for i in range(7)]


def test_interval_agrees_with_scipys_bootstrap_and_repeats() -> None:
    generator = np.random.default_rng(7)
    ours, baseline = generator.random(800) + 0.05, generator.random(800)
    result = compare_paired(ours, baseline, resamples=4000)
    assert result.interval == compare_paired(ours, baseline, resamples=4000).interval
    reference = stats.bootstrap(
        (ours - baseline,), np.mean, n_resamples=4000, method="percentile", random_state=1
    ).confidence_interval
    assert result.interval == pytest.approx((reference.low, reference.high), abs=0.003)


p_arrays = arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1))


@settings(deadline=None, max_examples=20)
@given(p_arrays)
def test_holm_is_monotone_and_never_below_the_raw_value(raw: np.ndarray) -> None:
    adjusted = holm(raw)
    order = np.argsort(raw, kind="stable")
    assert (adjusted >= raw - 1e-12).all()
    assert (adjusted <= 1.0).all()
    assert (np.diff(adjusted[order]) >= 0).all()
    assert adjusted[order[0]] == pytest.approx(min(1.0, len(raw) * raw.min()))


@settings(deadline=None, max_examples=20)
@given(p_arrays, st.integers(0, 12))
def test_holm_leaves_nan_out_of_the_family(raw: np.ndarray, position: int) -> None:
    place = min(position, len(raw))
    adjusted = holm(np.insert(raw, place, np.nan))
    assert np.isnan(adjusted[place])
    assert np.delete(adjusted, place) == pytest.approx(holm(raw))


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])
    assert len(holm([])) == 0
