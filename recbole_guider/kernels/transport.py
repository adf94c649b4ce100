"""Entropic optimal transport between two sets of points on a line."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MARGINALS = ("softmax", "uniform")

# exp(-D / lambda) is kept as a matrix while its smallest entry is far from float64's underflow
# (exp(-745)) even after multiplication by the scaling vectors; beyond, everything is logarithms.
_LARGEST_EXPONENT = 300.0
_CHECK_EVERY = 5  # iterations between two looks at the marginals


class Transport(NamedTuple):
    """An entropic transport plan's cost.

    Attributes:
        cost: <P, D>, a scalar; differentiable in the student's points with P held fixed.
        marginal_error: L1 distance of the plan's row sums from the teacher's mass.
        iterations: Sinkhorn iterations done.
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
    """Transports mass between two sets of logits at squared distance (GUIDER, Eq. 10-14).

    P = argmin <P, D> - lambda H(P)  subject to  P 1 = a,  P^T 1 = b,
    D_mn = (z^t_m - z^s_n)^2,  a = softmax(z^t), b = softmax(z^s) (or uniform masses).

    Solved by alternating u <- a / (K v), v <- b / (K^T u) with K = exp(-D / lambda), which is
    Eq. 13 made sequential; with logarithms throughout where K would underflow. The gradient
    holds P fixed: d cost / d z^s_n = sum_m 2 P_mn (z^s_n - z^t_m).

    Example:
        >>> points = torch.tensor([-0.1, -0.5, -1.3])
        >>> round(float(entropic_ot(points, points, 0.01).cost), 4)
        0.0001

    Args:
        teacher: z^t, float [n]; gets no gradient.
        student: z^s, float [m].
        regularization: lambda > 0.
        marginals: ``softmax`` or ``uniform``.
        max_iterations, tolerance: stop at this many iterations or at this marginal error.

    Returns:
        Cost, marginal error and iterations. Work is done in float64; the cost has the student's
        type.

    Raises:
        ValueError: a point set is empty, lambda is not positive, or the marginals are unknown.
    """
    if teacher.numel() == 0 or student.numel() == 0:
        raise ValueError("entropic_ot needs at least one point on each side")
    if not regularization > 0:
        raise ValueError(f"regularization is {regularization}; expected a number above 0")
    x, y = teacher.detach().double(), student.detach().double()
    log_a, log_b = _log_mass(x, marginals), _log_mass(y, marginals)
    exponent = -((x.unsqueeze(1) - y.unsqueeze(0)) ** 2) / regularization
    solve = _scalings if float(-exponent.min()) < _LARGEST_EXPONENT else _potentials
    plan, iterations = solve(exponent, log_a, log_b, max_iterations, tolerance)
    error = float((plan.sum(1) - log_a.exp()).abs().sum())
    return Transport(_cost_of_plan(plan, x, student), error, iterations)


def _log_mass(points: Tensor, marginals: str) -> Tensor:
    if marginals not in MARGINALS:
        raise ValueError(f"marginals is {marginals!r}; expected one of {MARGINALS}")
    scores = points if marginals == "softmax" else torch.zeros_like(points)
    return torch.log_softmax(scores, dim=0)


def _cost_of_plan(plan: Tensor, x: Tensor, student: Tensor) -> Tensor:
    """<P, D> with gradient in the student only, from sums of the plan: no n x m graph."""
    y = student.double()
    rows, columns, towards = plan.sum(1), plan.sum(0), plan.T @ x
    # sum_mn P_mn (x_m - y_n)^2, centred so that the expanded square does not cancel
    centre = (rows @ x) / rows.sum()
    y, towards = y - centre, towards - columns * centre
    cost = rows @ (x - centre) ** 2 + columns @ y**2 - 2.0 * (towards @ y)
    return cost.clamp_min(0.0).to(student.dtype)


def _scalings(
    exponent: Tensor, log_a: Tensor, log_b: Tensor, max_iterations: int, tolerance: float
) -> tuple[Tensor, int]:
    """Sinkhorn on K itself: two matrix-vector products an iteration."""
    kernel, a, b = exponent.exp(), log_a.exp(), log_b.exp()
    transposed = kernel.T.contiguous()
    v = torch.ones_like(b)
    iteration = 0
    for iteration in range(1, max_iterations + 1):
        u = a / (kernel @ v)
        v = b / (transposed @ u)
        if iteration % _CHECK_EVERY == 0 and (u * (kernel @ v) - a).abs().sum() < tolerance:
            break
    return u.unsqueeze(1) * kernel * v, iteration


def _potentials(
    exponent: Tensor, log_a: Tensor, log_b: Tensor, max_iterations: int, tolerance: float
) -> tuple[Tensor, int]:
    """The same iteration on logarithms: exact for any lambda."""
    g = torch.zeros_like(log_b)
    iteration = 0
    for iteration in range(1, max_iterations + 1):
        f = log_a - torch.logsumexp(exponent + g, dim=1)
        g = log_b - torch.logsumexp(exponent + f.unsqueeze(1), dim=0)
        if iteration % _CHECK_EVERY == 0:
            rows = torch.logsumexp(exponent + g, dim=1) + f
            if (rows.exp() - log_a.exp()).abs().sum() < tolerance:
                break
    return (exponent + f.unsqueeze(1) + g).exp(), iteration
