"""Exact transport on a line: equal quantiles belong together, and the potentials follow."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_SAME_QUANTILE = 1e-12  # relative difference of two cumulated masses that counts as rounding


class Side(NamedTuple):
    """One side's points in ascending order, and what the monotone plan pairs them with.

    Attributes:
        order: places of the sorted points in the input, int64 [n].
        points: sorted, scaled points, float64 [n].
        masses: their masses, float64 [n].
        potentials: logarithmic potentials, see ``monotone``.
        low, high: first and last of the other side's points that each point is paired with.
    """

    order: Tensor
    points: Tensor
    masses: Tensor
    potentials: Tensor
    low: Tensor
    high: Tensor


def monotone(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, regularization: float
) -> tuple[Side, Side]:
    """Sides S and T whose kernel exp(f_m + g_n - (s_m - t_n)^2) is 1 on the monotone plan.

    Nowhere else is the kernel above 1, and it falls steadily on both sides of the plan, which a
    little entropy blurs but does not move. So it scales to the entropic plan without overflow,
    and what is far from the plan can be left out.

    Args:
        x, y: points, float64 [n] and [m].
        a, b: their masses, all positive, each of sum 1.
        regularization: lambda > 0.
    """
    s, t = _matched(x, y, a, b, regularization)
    s_order, t_order = s.argsort(stable=True), t.argsort(stable=True)
    s, t, a, b = s[s_order], t[t_order], a[s_order], b[t_order]
    a_sum, b_sum = a.cumsum(0), b.cumsum(0)
    f, s_low, s_high = _pairing(s, t, a_sum, b_sum)
    g, t_low, t_high = _pairing(t, s, b_sum, a_sum)
    # The first two points are paired; there the exponent has to be 0.
    return (
        Side(s_order, s, a, f, s_low, s_high),
        Side(t_order, t, b, g + (s[0] - t[0]).square(), t_low, t_high),
    )


def _matched(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, regularization: float
) -> tuple[Tensor, Tensor]:
    """Points s, t whose kernel exp(-(s - t)^2) scales to the same plans as that of x and y.

    Only the product x y in exp(-(x - y)^2 / lambda) ties rows to columns: shifts, and a factor on
    x with its inverse on y, disappear in the scaling vectors. Equal means and spreads keep the
    exponents small, and so their rounding.
    """
    s, t = x - a @ x, y - b @ y
    spread_s, spread_t = (a @ s.square()).sqrt(), (b @ t.square()).sqrt()
    factor = torch.where(spread_s * spread_t > 0, (spread_t / spread_s).sqrt(), 1.0)
    factor = factor.clamp(1e-3, 1e3)
    return s * factor / math.sqrt(regularization), t / factor / math.sqrt(regularization)


def _pairing(s: Tensor, t: Tensor, a_sum: Tensor, b_sum: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Potentials of s, the first of which is 0, and the ends of what its points are paired with.

    Two neighbours in s share the t at the quantile between them. There both exponents are 0, which
    fixes the difference of their potentials; where two t meet at that quantile, half way between
    them is what entropy chooses.
    """
    last = len(t) - 1
    before = torch.searchsorted(b_sum, a_sum * (1.0 - _SAME_QUANTILE)).clamp(max=last)
    after = torch.searchsorted(b_sum, a_sum * (1.0 + _SAME_QUANTILE)).clamp(max=last)
    shared = (t[before[:-1]] + t[after[:-1]]) / 2.0
    steps = s.diff() * (s[1:] + s[:-1] - 2.0 * shared)
    potentials = torch.cat([s.new_zeros(1), steps.cumsum(0)])
    low = torch.cat([t[:1], t[after[:-1]]])
    high = torch.cat([t[before[:-1]], t[-1:]])
    return potentials, low, high
