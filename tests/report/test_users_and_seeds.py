"""Clark's min F' over users and seeds, against hand, against mean squares, and its properties."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from recbole_guider.report.statistics import MinF, compare_paired, compare_users_and_seeds

eighths = st.integers(0, 8).map(lambda number: number / 8)


@st.composite
def tables(draw) -> np.ndarray:
    """Values of two methods, [2, seeds, users]."""
    shape = (2, draw(st.integers(3, 6)), draw(st.integers(2, 20)))
    return draw(arrays(np.float64, shape, elements=eighths))


def compared(ours: np.ndarray, baseline: np.ndarray) -> tuple[float, float, float]:
    """t', its degrees of freedom and p for values [seeds, users]."""
    sides = (ours[None], baseline[None])
    users, seeds = ([side.mean(axis=axis) for side in sides] for axis in (1, 2))
    found = compare_users_and_seeds(*users, *seeds)
    return tuple(float(one[0]) for one in found)


def by_mean_squares(ours: np.ndarray, baseline: np.ndarray) -> tuple[float, float, float]:
    """The same from the mean squares of a two-way table and from F1 and F2, as Clark writes it."""
    differences = ours - baseline
    s, n = differences.shape
    mean = sum(differences.ravel()) / (s * n)
    ms_users = s * sum((column.mean() - mean) ** 2 for column in differences.T) / (n - 1)
    ms_seeds = n * sum((row.mean() - mean) ** 2 for row in differences) / (s - 1)
    f1, f2 = (s * n * mean**2 / one for one in (ms_users, ms_seeds))
    min_f = f1 * f2 / (f1 + f2)
    df = (f1 + f2) ** 2 / (f1**2 / (s - 1) + f2**2 / (n - 1))
    return np.sign(mean) * np.sqrt(min_f), df, stats.f.sf(min_f, 1, df)


def test_equal_errors_of_three_users_and_three_seeds_by_hand() -> None:
    # Users' means are 1, 2, 3 and so are the seeds': V = W = 1/3, F1 = F2 = 12, min F' = 6, df = 4.
    ours = np.add.outer([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])
    t, df, p = compared(ours, np.zeros((3, 3)))
    assert (t, df) == pytest.approx((np.sqrt(6), 4))
    share = np.sqrt(0.6)  # t / sqrt(t^2 + 4); for 4 degrees of freedom p is a polynomial of it
    assert p == pytest.approx(1 - 1.5 * share + 0.5 * share**3, abs=1e-12)


def test_unequal_errors_by_hand() -> None:
    # Users' means 1, 2, 3 and seeds' 1.5, 2, 2.5: F1 = 12 and F2 = 48, min F' = 576 / 60.
    ours = np.add.outer([0.0, 0.5, 1.0], [0.5, 1.5, 2.5])
    t, df, _ = compared(np.zeros((3, 3)), ours)
    assert (t, df) == pytest.approx((-np.sqrt(9.6), 3600 / (144 / 2 + 2304 / 2)))


@pytest.mark.parametrize(("seeds", "users"), [(3, 2), (3, 200), (5, 40), (8, 8)])
def test_it_is_the_mean_squares(seeds: int, users: int) -> None:
    generator = np.random.default_rng([seeds, users])
    for gain in (-0.3, 0.01, 1.0):
        ours, baseline = generator.random((2, seeds, users))
        ours = ours + gain + 0.1 * generator.random((seeds, 1))
        assert compared(ours, baseline) == pytest.approx(by_mean_squares(ours, baseline), rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(tables(), st.integers(-6, 6))
def test_symmetry_scale_and_bounds(values: np.ndarray, exponent: int) -> None:
    ours, baseline = values
    t, df, p = compared(ours, baseline)
    assert compared(baseline, ours) == pytest.approx((-t, df, p), nan_ok=True)
    scaled = compared(ours * 2.0**exponent, baseline * 2.0**exponent)
    assert scaled == pytest.approx((t, df, p), nan_ok=True)
    over = [compare_paired(ours.mean(axis=axis), baseline.mean(axis=axis)) for axis in (0, 1)]
    assert all(abs(t) <= abs(one.statistic) * (1 + 1e-9) for one in over)
    seeds, users = (number - 1 for number in ours.shape)
    if not np.isnan(df):
        assert min(seeds, users) - 1e-9 <= df <= seeds + users + 1e-9


@settings(deadline=None, max_examples=30)
@given(arrays(np.float64, st.integers(3, 20), elements=eighths), st.booleans())
def test_where_only_one_of_them_varies_it_is_its_t_test(changes: np.ndarray, seeds: bool) -> None:
    table = np.repeat(changes[:, None], 4, axis=1)
    ours = table if seeds else table.T
    base = np.full_like(ours, 0.25)
    expected = compare_paired(changes, np.full_like(changes, 0.25))
    t, _, p = compared(ours, base)
    assert (t, p) == pytest.approx((expected.statistic, expected.p_value))


def test_identical_and_constant_differences_are_defined_without_a_warning() -> None:
    base = np.random.default_rng(0).random((4, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compared(base, base) == pytest.approx((0, np.nan, 1), nan_ok=True)
        assert compared(base + 0.1, base) == pytest.approx((np.inf, np.nan, 0), nan_ok=True)
        assert compared(base, base + 0.1) == pytest.approx((-np.inf, np.nan, 0), nan_ok=True)
        cancelled = base + np.array([0.125, -0.125, 0.25, -0.25])[:, None]
        assert compared(cancelled, base)[::2] == (0, 1)


def test_too_few_seeds_or_users_make_no_statement() -> None:
    ours, base = np.random.default_rng(1).random((2, 5, 30))
    assert np.isnan(compared(ours[:2], base[:2])).all()
    assert np.isnan(compared(ours[:, :1], base[:, :1])).all()
    assert not np.isnan(compared(ours[:3], base[:3])).any()
    for empty in (np.empty((3, 0)), np.empty((0, 3))):
        assert np.isnan(compare_users_and_seeds(empty, empty, empty, empty)).all()


def test_rows_with_other_seeds_go_together() -> None:
    generator = np.random.default_rng(2)
    counts = [5, 3, 2, 4]
    pairs = [generator.random((2, count, 30)) for count in counts]
    users = [np.stack([pair[side].mean(axis=0) for pair in pairs]) for side in (0, 1)]
    seeds = np.full((2, len(counts), 5), np.nan)
    for row, pair in enumerate(pairs):
        seeds[:, row, : counts[row]] = pair.mean(axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare_users_and_seeds(*users, *seeds)
    assert isinstance(found, MinF)
    for row, pair in enumerate(pairs):
        one = [values[row] for values in found]
        assert one == pytest.approx(compared(*pair), rel=1e-12, nan_ok=True)


def test_values_that_do_not_belong_together_are_refused() -> None:
    ours, base = np.random.default_rng(3).random((2, 4, 6))
    users, seeds = [ours.mean(axis=0)[None], base.mean(axis=0)[None]], [ours.mean(axis=1)[None]] * 2
    with pytest.raises(ValueError, match="different means"):
        compare_users_and_seeds(*users, *seeds)
    with pytest.raises(ValueError, match="expected arrays"):
        compare_users_and_seeds(*users, seeds[0], seeds[1][:, 1:])
    with pytest.raises(ValueError, match="finite"):
        compare_users_and_seeds(users[0], np.full_like(users[1], np.nan), *seeds)
