"""Entropic optimal transport between two sets of points on a line."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recbole_guider.errors import InputError, one_of
from recbole_guider.kernels.sinkhorn import solve

MARGINALS = ("softmax", "uniform")

# No tolerance below this asks for more points than a larger one would.
_FINEST_TOLERANCE = 1e-12


class Transport(NamedTuple):
    """What ``entropic_ot`` found.

    Attributes:
        cost: <P, D>, a scalar; differentiable in the student's points with P held fixed.
        marginal_error: sum over m of |(P 1)_m - a_m|, the L1 error of the teacher's marginal; the
            student's holds up to rounding.
        iterations: how many pairs of updates were made.
    """

    cost: Tensor
    marginal_error: float
    iterations: int


def entropic_ot(
    teacher: Tensor,
    student: Tensor,
    regularization: float = 0.1,
    marginals: str = "softmax",
    *,
    max_iterations: int = 10_000,
    tolerance: float = 1e-9,
) -> Transport:
    """Transports mass between two sets of logits at squared distance (GUIDER, Eq. 9-14).

    P = argmin <P, D> - lambda H(P)  subject to  P 1 = a,  P^T 1 = b,
    D_mn = (z^t_m - z^s_n)^2,  a = softmax(z^t), b = softmax(z^s) (or uniform masses).

    The paper takes the logits themselves, which are negative, for a and b: no plan has such sums.
    Its updates (Eq. 13) are made sequential. The gradient holds P fixed:
    d cost / d z^s_n = sum_m 2 P_mn (z^s_n - z^t_m).

    Example:
        >>> points = torch.tensor([-0.1, -0.5, -1.3])
        >>> round(float(entropic_ot(points, points - 0.5, 0.01, "uniform").cost), 3)
        0.25

    Args:
        teacher: z^t, float [n], n >= 1; gets no gradient.
        student: z^s, float [m], m >= 1.
        regularization: lambda > 0, in squared units of the logits.
        marginals: ``softmax`` or ``uniform``.
        max_iterations: upper limit of the iterations.
        tolerance: marginal error at which they stop.

    Returns:
        Cost, marginal error and iterations. Work is done in float64; the cost has the student's
        type.

    Raises:
        InputError: unknown ``marginals``, or a ``regularization`` that is not positive.
        ValueError: there is no point on one of the sides.
    """
    one_of(marginals, MARGINALS, "marginals of the transport")
    if not regularization > 0:
        raise InputError(
            f"it is {regularization}",
            where="regularization of the transport",
            mend="Give a number above 0, such as 0.1",
        )
    if teacher.numel() == 0 or student.numel() == 0:
        raise ValueError("entropic_ot needs at least one point on each side")
    x, a = _points_with_mass(teacher.detach().double(), marginals, tolerance)
    y, b = _points_with_mass(student.double(), marginals, tolerance)
    plan = solve(x, y.detach(), a, b, regularization, max_iterations, tolerance)
    # sum_mn P_mn (x_m - y_n)^2, with gradient in y alone, from sums of P instead of a matrix; x
    # and y are centred, so that the expanded square loses no digits.
    x, y = x - a @ x, y - a @ x
    mass, mean, square = (plan.transposed_times(power) for power in (x.new_ones(len(x)), x, x * x))
    cost = (mass * y.square() - 2 * mean * y + square).sum()
    return Transport(cost.to(student.dtype), plan.marginal_error, plan.iterations)


def _points_with_mass(points: Tensor, marginals: str, tolerance: float) -> tuple[Tensor, Tensor]:
    """The points whose mass can be noticed, and the masses, float64; the others stay behind.

    All that is left out holds less than a thousandth of the tolerance.
    """
    n = len(points)
    if marginals == "uniform":
        return points, torch.full_like(points, 1.0 / n, requires_grad=False)
    masses = torch.softmax(points.detach(), 0)
    kept = masses > 1e-3 * max(tolerance, _FINEST_TOLERANCE) / n
    return points[kept], masses[kept] / masses[kept].sum()
