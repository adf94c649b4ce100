"""Wilcoxon's signed-rank test over users: who wins more, and by higher ranks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from recbole_guider.report.statistics import FloatArray, changes_of

# Up to this many untied users the exact distribution of the signed rank sum is counted out.
_EXACT_RANKS = 50


class SignedRanks(NamedTuple):
    """Wilcoxon's signed-rank test: the two rank sums, the users that are not tied, and p."""

    w_plus: float
    w_minus: float
    n: int
    p_value: float


def wilcoxon_paired(ours: ArrayLike, baseline: ArrayLike) -> SignedRanks:
    """Two-sided Wilcoxon signed-rank test; tied users are left out, equal changes share a rank.

    Up to 50 untied users p is exact (ties among the ranks included, where scipy approximates);
    above, scipy's normal approximation.

    Raises:
        ValueError: the arrays are not two [n] arrays of finite values.
    """
    first, second = np.asarray(ours, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"expected two arrays [n], got shapes {first.shape}, {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("per-user values must be finite: found nan or infinity")
    changes = changes_of(first, second)
    largest = np.abs(changes).max(initial=0.0)
    if largest == 0:
        return SignedRanks(0.0, 0.0, 0, 1.0)
    changes = np.round(changes / largest, 12)  # 0.3 - 0.2 and 0.2 - 0.1 are one change
    changes = changes[changes != 0]
    n = len(changes)
    ranks = stats.rankdata(np.abs(changes))
    w_plus, w_minus = float(ranks[changes > 0].sum()), float(ranks[changes < 0].sum())
    if n > _EXACT_RANKS:
        p = float(stats.wilcoxon(changes, method="approx").pvalue)
    else:
        p = _exact_signed_rank_p(ranks, min(w_plus, w_minus))
    return SignedRanks(w_plus, w_minus, n, p)


def _exact_signed_rank_p(ranks: FloatArray, smaller: float) -> float:
    """Counts the sign patterns whose rank sum is at most ``smaller``; half ranks count double."""
    doubled = np.rint(2 * ranks).astype(np.int64)
    share = np.zeros(int(doubled.sum()) + 1)
    share[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(share)
        moved[rank:] = share[: len(share) - rank]
        share = (share + moved) / 2.0
    return min(1.0, 2.0 * float(share[: round(2 * smaller) + 1].sum()))
