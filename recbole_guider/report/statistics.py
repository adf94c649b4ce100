"""Paired comparisons of two methods over the same users and seeds, and Holm's correction.

>>> compare_paired([0.5, 0.25, 0.5, 1.0], [0.25, 0.25, 0.0, 0.5]).difference
0.3125
"""

from __future__ import annotations

import gc
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

FloatArray = NDArray[np.float64]

# Two values this close (relative to the larger) are one value: averaging the same per-seed values
# in another order must not turn a tie into a win.
_ROUNDING = 1e-12
# Below, a test over seeds has next to no power, and none is made.
FEWEST_SEEDS = 3
# Of the users by the bootstrap: with 1,000 the ends of an interval moved by a tenth of the standard
# error, so that some excluded 0 where p said otherwise.
RESAMPLES = 10_000
# Numbers drawn at once by the bootstrap: about 8 MB for each of its three buffers.
_BLOCK = 1 << 20


class PairedComparison(NamedTuple):
    """How one method differs from another on the same users; swapping the two flips every sign.

    Attributes:
        difference: mean over users of ours - baseline, in the metric's unit.
        relative_gain: difference / abs(mean of the baseline), a fraction; nan where that mean is 0.
        p_value: two-sided paired t test; nan for fewer than two users.
        interval: bootstrap interval (low, high) of ``difference``; nan for fewer than two users.
        wins: users for whom ours is higher.
        ties: users for whom both are equal (but for floating-point rounding).
        losses: users for whom ours is lower.
        n: number of users.
        statistic: Student's t; 0 for identical arrays, infinite for a constant difference.
        gain_interval: bootstrap interval of ``relative_gain``, whose baseline is resampled as well;
            nan for fewer than two users and where a resample's baseline has the mean 0.
    """

    difference: float
    relative_gain: float
    p_value: float
    interval: tuple[float, float]
    wins: int
    ties: int
    losses: int
    n: int
    statistic: float
    gain_interval: tuple[float, float]


class MinF(NamedTuple):
    """Clark's min F' of k comparisons, each [k]; nan where there are too few seeds or users.

    Attributes:
        statistic: t', the signed root of min F'; infinite for one difference everywhere, but 0.
        df: its degrees of freedom; nan where the difference varies over neither users nor seeds.
        p_value: two-sided, of Student's t.
    """

    statistic: FloatArray
    df: FloatArray
    p_value: FloatArray


def compare_paired(
    ours: ArrayLike,
    baseline: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedComparison:
    """Compares two methods on the same users.

    Args:
        ours: one value per user, [n].
        baseline: the other method's values for the same users in the same order, [n].
        confidence: coverage of the bootstrap interval.
        resamples: bootstrap samples of the users.
        seed: of the bootstrap; equal input gives equal bits on every machine.

    Identical arrays have difference 0 and p 1; a constant difference other than 0 has p 0; with
    fewer than two users p, the interval and t are nan.

    Raises:
        ValueError: the lengths differ, or a value is nan or infinite.
    """
    first, second = np.asarray(ours, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if first.ndim != 1 or second.ndim != 1:
        raise ValueError(f"expected one value per user, got shapes {first.shape}, {second.shape}")
    if len(first) != len(second):
        raise ValueError(f"paired arrays need equal lengths, got {len(first)} and {len(second)}")
    return compare_many(
        first[None], second[None], confidence=confidence, resamples=resamples, seed=seed
    )[0]


def compare_many(
    ours: ArrayLike,
    baseline: ArrayLike,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[PairedComparison]:
    """Makes k comparisons on the same n users at once; each equals :func:`compare_paired`'s.

    All k share the bootstrap's resampled users, which are most of its cost.

    Args:
        ours: values, [k, n].
        baseline: values, [k, n].
        confidence: as in :func:`compare_paired`.
        resamples: as in :func:`compare_paired`.
        seed: as in :func:`compare_paired`.

    Raises:
        ValueError: the shapes differ, or a value is nan or infinite.
    """
    first = np.ascontiguousarray(ours, dtype=np.float64)
    second = np.ascontiguousarray(baseline, dtype=np.float64)
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"expected two arrays [k, n], got shapes {first.shape}, {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("per-user values must be finite: found nan or infinity")
    if not 0.0 < confidence < 1.0 or resamples < 1:
        raise ValueError("confidence must lie between 0 and 1, and resamples be 1 or more")
    k, n = first.shape
    if k == 0 or n == 0:
        nan = (np.nan, np.nan)
        nothing = PairedComparison(np.nan, np.nan, np.nan, nan, 0, 0, 0, 0, np.nan, nan)
        return [nothing] * k
    changes = changes_of(first, second)
    means = changes.mean(axis=1)
    levels = np.abs(second.mean(axis=1))
    gains = np.divide(means, levels, out=np.full(k, np.nan), where=levels > 0)
    t, p = _t_tests(first, second, changes)
    low, high, gain_low, gain_high = _bootstrap(changes, second, confidence, resamples, seed)
    wins, losses = (changes > 0).sum(axis=1), (changes < 0).sum(axis=1)
    return [
        PairedComparison(
            difference=float(means[i]),
            relative_gain=float(gains[i]),
            p_value=float(p[i]),
            interval=(float(low[i]), float(high[i])),
            wins=int(wins[i]),
            ties=int(n - wins[i] - losses[i]),
            losses=int(losses[i]),
            n=n,
            statistic=float(t[i]),
            gain_interval=(float(gain_low[i]), float(gain_high[i])),
        )
        for i in range(k)
    ]


def changes_of(ours: FloatArray, baseline: FloatArray) -> FloatArray:
    """Returns ours - baseline, [k, n] or [n], with what is only rounding set to 0."""
    changes: FloatArray = ours - baseline
    changes[np.abs(changes) <= _ROUNDING * np.maximum(np.abs(ours), np.abs(baseline))] = 0.0
    return changes


def _t_tests(
    ours: FloatArray, baseline: FloatArray, changes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Returns t and two-sided p of the paired t test, each [k]; defined where scipy warns."""
    k, n = changes.shape
    if n < 2:
        return np.full(k, np.nan), np.full(k, np.nan)
    rounding = _ROUNDING * np.maximum(np.abs(ours), np.abs(baseline)).max(axis=1)
    means = changes.mean(axis=1)
    equal = np.abs(means) <= rounding
    t = np.where(equal, 0.0, np.copysign(np.inf, means))
    p = np.where(equal, 1.0, 0.0)
    varied = np.ptp(changes, axis=1) > rounding
    if varied.any():
        t[varied], p[varied] = stats.ttest_rel(ours[varied], baseline[varied], axis=1)
    return t, p


def compare_users_and_seeds(
    ours: ArrayLike, baseline: ArrayLike, ours_by_seed: ArrayLike, baseline_by_seed: ArrayLike
) -> MinF:
    """Tests k differences with both users and seeds as random samples: Clark's min F'.

    With V the squared standard error of the mean difference m over the n users (averaged over
    seeds) and W that over the s seeds (averaged over users, paired by seed),

        t' = m / sqrt(V + W),    df = (V + W)^2 / (V^2 / (n - 1) + W^2 / (s - 1)),

    which is min F' = F1 F2 / (F1 + F2) = t'^2 for F1 = m^2 / V and F2 = m^2 / W. What users and
    seeds do together is part of V and of W: where it is all there is, the test rejects too rarely.

    H. H. Clark (1973): The language-as-fixed-effect fallacy. Journal of Verbal Learning and Verbal
    Behavior 12, 335-359.

    Args:
        ours: values averaged over the seeds that both have, [k, n].
        baseline: the other methods' values for the same users, [k, n].
        ours_by_seed: values averaged over the users, [k, s]; nan for a seed that a row lacks.
        baseline_by_seed: the other methods' for the same seeds, [k, s].

    A row with fewer than 3 seeds or 2 users has no test.

    Raises:
        ValueError: shapes differ, users' values are not finite, or their mean is not the seeds'.
    """
    users = [np.asarray(one, dtype=np.float64) for one in (ours, baseline)]
    runs = [np.asarray(one, dtype=np.float64) for one in (ours_by_seed, baseline_by_seed)]
    for first, second in (users, runs):
        if first.ndim != 2 or first.shape != second.shape or len(first) != len(users[0]):
            raise ValueError(f"expected arrays [k, n] and [k, s], got {first.shape, second.shape}")
    if not np.isfinite(users).all():
        raise ValueError("per-user values must be finite: found nan or infinity")
    k, n = users[0].shape
    known = np.isfinite(runs[0] - runs[1])
    made = (known.sum(axis=1) >= FEWEST_SEEDS) & (n > 1)
    t, df, p = np.full((3, k), np.nan)
    if made.any():
        users, runs = ([side[made] for side in one] for one in (users, runs))
        known, s = known[made], known[made].sum(axis=1)
        for values, by_seed in zip(users, runs):
            if not np.allclose(values.mean(axis=1), by_seed.mean(axis=1, where=known)):
                raise ValueError("users and seeds have different means: not the same values")
        rounding = _ROUNDING * np.maximum(*map(np.abs, users)).max(axis=1)
        changes = changes_of(*users)
        means = changes.mean(axis=1)
        means[np.abs(means) <= rounding] = 0.0
        over_users = np.var(changes, axis=1, ddof=1) / n
        over_users[np.ptp(changes, axis=1) <= rounding] = 0.0
        moves = runs[0] - runs[1]
        over_seeds = np.nanvar(moves, axis=1, ddof=1) / s
        over_seeds[np.nanmax(moves, axis=1) - np.nanmin(moves, axis=1) <= rounding] = 0.0
        both = over_users + over_seeds
        with np.errstate(divide="ignore", invalid="ignore"):  # nothing varies: df is nan
            t[made] = np.where(means == 0, 0.0, means / np.sqrt(both))
            # Shares first: the squares of tiny variances would be 0.
            df[made] = 1 / ((over_users / both) ** 2 / (n - 1) + (over_seeds / both) ** 2 / (s - 1))
        p[made] = 2 * stats.t.sf(np.abs(t[made]), df[made])
        p[made] = np.where(both > 0, p[made], means == 0)
    return MinF(t, df, p)


def _bootstrap(
    changes: FloatArray, baseline: FloatArray, confidence: float, resamples: int, seed: int
) -> FloatArray:
    """Returns percentile intervals over users: low and high of the change, and of the gain, [4, k].

    The gain is a ratio: its baseline is resampled with it, without which an interval of a gain of
    30 % holds the true one in 90 instead of 95 % of all cases.

    A resample is how often each user is drawn; its means are one matrix product. The values are
    counted in whole steps so small (2^-37 of the largest for 20,000 users) that every sum is an
    integer a double holds exactly: no processor, thread count or order of summation changes a bit.
    """
    k, n = changes.shape
    if n < 2:
        return np.full((4, k), np.nan)
    places: dict[bytes, int] = {}  # many comparisons share a baseline
    of = [places.setdefault(row.tobytes(), len(places)) for row in baseline]
    first_use = [of.index(place) for place in range(len(places))]
    values = np.concatenate([changes, baseline[first_use]])
    largest = np.abs(values).max(axis=1)
    scale = np.where(largest > 0, largest, 1.0)
    steps = 2.0 ** (52 - n.bit_length())
    whole = np.rint(values / scale[:, None] * steps)
    generator = np.random.default_rng(seed)
    sums = np.empty((resamples, len(values)))
    rows = max(1, _BLOCK // n)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = generator.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
        sums[start : start + count] = times.astype(np.float64) @ whole.T
    tails = [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]
    means = sums / (n * steps) * scale
    levels = np.abs(means[:, k:])[:, of]
    gains = np.divide(means[:, :k], levels, out=np.full_like(levels, np.nan), where=levels > 0)
    return np.concatenate([np.quantile(means[:, :k], tails, axis=0),
                           np.quantile(gains, tails, axis=0)])  # fmt: skip


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjusts a family's p values, [m], by Holm's step-down method (statsmodels).

    A nan (a comparison that could not be made) stays nan and does not count in the family.

    Raises:
        ValueError: a p value lies outside [0, 1].
    """
    raw: FloatArray = np.array(p_values, dtype=np.float64, ndmin=1)
    known = ~np.isnan(raw)
    if ((raw[known] < 0) | (raw[known] > 1)).any():
        raise ValueError("p values must lie between 0 and 1")
    if known.any():
        gc.freeze()  # statsmodels collects garbage in every call: spare it what is in use
        try:
            raw[known] = multipletests(raw[known], method="holm")[1]
        finally:
            gc.unfreeze()
    return raw
