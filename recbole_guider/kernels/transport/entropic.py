"""Entropic optimal transport between two models' logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recbole_guider.errors import InputError, one_of
from recbole_guider.kernels.transport.dense_kernel import solve_dense
from recbole_guider.kernels.transport.line_plan import LinePlan, solve

MARGINALS = ("softmax", "uniform")

# No tolerance below this asks for more points than a larger one would.
_FINEST_TOLERANCE = 1e-12


class Transport(NamedTuple):
    """What ``entropic_ot``, ``debiased_ot`` or ``vector_ot`` found.

    Attributes:
        cost: a scalar; differentiable in the student's points with the plans held fixed.
        marginal_error: sum over m of |(P 1)_m - a_m|, the L1 error of the teacher's marginal; the
            student's holds up to rounding. The greatest one where there are several plans.
        iterations: pairs of products with the kernel, over all plans.
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
    D_mn = (z^t_m - z^s_n)^2,  a = softmax(z^t), b = softmax(z^s) (or uniform masses);
    the cost is <P, D>.

    The paper takes the logits themselves, which are negative, for a and b: no plan has such sums.
    Its updates (Eq. 13) are made sequential, on logarithms, and accelerated. The gradient holds P
    fixed: d cost / d z^s_n = sum_m 2 P_mn (z^s_n - z^t_m). P is never stored: time and memory grow
    with n + m.

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
        ValueError: there is no point on one of the sides, or one that is not finite.
    """
    one_of(marginals, MARGINALS, "marginals of the transport")
    _require(teacher, student, regularization, "entropic_ot")
    limits = max_iterations, tolerance
    plan, cost = _between(teacher.detach(), student, regularization, marginals, *limits)
    return Transport(cost.to(student.dtype), plan.marginal_error, plan.iterations)


def debiased_ot(
    teacher: Tensor,
    student: Tensor,
    regularization: float = 0.1,
    marginals: str = "softmax",
    *,
    max_iterations: int = 10_000,
    tolerance: float = 1e-9,
) -> Transport:
    """The Sinkhorn divergence: what transport costs beyond what blurring costs anyway (Eq. 9-14).

    S = OT(z^t, z^s) - OT(z^t, z^t) / 2 - OT(z^s, z^s) / 2,  OT = <P, D> + lambda KL(P || a b^T)
    with the plan P of ``entropic_ot`` for each pair. S is never negative and 0 for equal points,
    while <P, D> alone draws the student to a shrunken image of the teacher there.

    The gradient holds the plans P and Q = P(z^s, z^s) and the masses fixed, so that the KL terms
    have none: dS / dz_n = sum_m 2 P_mn (z_n - z^t_m) - sum_k (Q_nk + Q_kn) (z_n - z_k).

    Args:
        teacher, student, regularization, marginals: as in ``entropic_ot``.
        max_iterations, tolerance: of each of the three plans.

    Returns:
        S, the greatest of the three marginal errors, and the sum of the iterations.

    Raises:
        InputError, ValueError: as ``entropic_ot``.
    """
    one_of(marginals, MARGINALS, "marginals of the transport")
    _require(teacher, student, regularization, "debiased_ot")
    settings = regularization, marginals, max_iterations, tolerance
    teacher, fixed = teacher.detach(), student.detach()
    between, cost = _between(teacher, student, *settings)
    of_teacher, teacher_cost = _between(teacher, teacher, *settings)
    of_student, _ = _between(fixed, fixed, *settings)
    z, _ = _points_with_mass(student.double(), marginals, tolerance)
    blur = between.divergence() - (of_teacher.divergence() + of_student.divergence()) / 2
    divergence = cost - (teacher_cost + _own_cost(of_student, z)) / 2 + regularization * blur
    plans = between, of_teacher, of_student
    return Transport(
        divergence.to(student.dtype),
        max(plan.marginal_error for plan in plans),
        sum(plan.iterations for plan in plans),
    )


def vector_ot(
    teacher: Tensor,
    student: Tensor,
    regularization: float = 0.1,
    *,
    max_iterations: int = 10_000,
    tolerance: float = 1e-9,
) -> Transport:
    """``entropic_ot`` between points with several coordinates, with uniform masses (Eq. 9-14).

    D_mn = (1/d) sum_k (z^t_mk - z^s_nk)^2: the mean over the coordinates, so that one lambda fits
    any number of them. With a sum instead, as Eq. 10 prints it, costs are d times these at a
    lambda d times as large. P is held as a matrix: for up to a few thousand points.

    Args:
        teacher: float [n, d], such as the logits of a user's d candidates; gets no gradient.
        student: float [m, d].
        regularization: lambda > 0, in squared units of the logits.
        max_iterations, tolerance: as in ``entropic_ot``.

    Returns:
        Cost <P, D>, marginal error and iterations, as ``entropic_ot``.

    Raises:
        InputError: a ``regularization`` that is not positive.
        ValueError: no point on one side, one that is not finite, or shapes that do not fit.
    """
    _require(teacher, student, regularization, "vector_ot")
    if teacher.dim() != 2 or student.dim() != 2 or teacher.shape[1] != student.shape[1]:
        shapes = f"{list(teacher.shape)} and {list(student.shape)}"
        raise ValueError(f"vector_ot needs points [n, d] and [m, d], not {shapes}")
    x, y = teacher.detach().double(), student.double()
    centre, (n, d), m = x.mean(0), x.shape, len(y)
    x, y = x - centre, y - centre
    fixed = y.detach()
    distance = (x.square().sum(1)[:, None] + fixed.square().sum(1) - 2 * x @ fixed.T) / d
    a, b = x.new_full((n,), 1.0 / n), x.new_full((m,), 1.0 / m)
    plan, found = solve_dense(
        distance.clamp_min(0), a, b, regularization, max_iterations, tolerance
    )
    mass, mean, square = plan.sum(0), plan.T @ x, x.square().sum(1) @ plan
    cost = ((mass[:, None] * y - 2 * mean) * y).sum() / d + square.sum() / d
    return Transport(cost.to(student.dtype), found.marginal_error, found.iterations)


def _between(
    teacher: Tensor,
    student: Tensor,
    regularization: float,
    marginals: str,
    max_iterations: int,
    tolerance: float,
) -> tuple[LinePlan, Tensor]:
    """The plan, and <P, D> in float64 with gradient in the student's points."""
    x, a = _points_with_mass(teacher.double(), marginals, tolerance)
    y, b = _points_with_mass(student.double(), marginals, tolerance)
    plan = solve(x, y.detach(), a, b, regularization, max_iterations, tolerance)
    # From sums of P instead of a matrix; x and y are centred, so that the expanded square loses no
    # digits.
    x, y = x - a @ x, y - a @ x
    mass, mean, square = (plan.transposed_times(power) for power in (torch.ones_like(x), x, x * x))
    return plan, (mass * y.square() - 2 * mean * y + square).sum()


def _own_cost(plan: LinePlan, z: Tensor) -> Tensor:
    """sum_mk Q_mk (z_m - z_k)^2, with gradient on both sides of Q, float64."""
    ones, centred = torch.ones_like(z, requires_grad=False), z - z.detach().mean()
    mass = plan.times(ones) + plan.transposed_times(ones)
    mean = plan.times(centred.detach()) + plan.transposed_times(centred.detach())
    # The bilinear term z^T Q z has the gradient (Q + Q^T) z, and half of that times z as its value.
    bilinear = mean @ centred
    return mass @ centred.square() - 2 * bilinear + bilinear.detach()


def _require(teacher: Tensor, student: Tensor, regularization: float, function: str) -> None:
    """Refuses what no plan exists for."""
    if not regularization > 0:
        raise InputError(
            f"it is {regularization}",
            where="regularization of the transport",
            mend="Give a number above 0, such as 0.1",
        )
    if teacher.numel() == 0 or student.numel() == 0:
        raise ValueError(f"{function} needs at least one point on each side")
    if not bool(teacher.isfinite().all() & student.isfinite().all()):
        raise ValueError(f"{function} needs points that are finite")


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
