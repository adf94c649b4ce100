"""Entropic optimal transport between two sets of points on a line."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recbole_guider.errors import InputError, one_of

MARGINALS = ("softmax", "uniform")

# Iterations between two looks at the marginals; a look costs a product and, on a GPU, a wait.
_BLOCK = 5
# From this tolerance on, the rounding of float32 products is too small to matter.
_FLOAT32_TOLERANCE = 1e-5
# Points that together hold less than this share of the tolerance are left out.
_NEGLIGIBLE = 1e-3


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
    Its updates (Eq. 13) are made sequential, and scale a matrix that already holds a good guess of
    the plan, so that they neither over- nor underflow; wherever they would all the same, they are
    made on logarithms. The gradient holds P fixed:
    d cost / d z^s_n = sum_m 2 P_mn (z^s_n - z^t_m).

    Example:
        >>> points = torch.tensor([-0.1, -0.5, -1.3])
        >>> round(float(entropic_ot(points, points, 0.01).cost), 4)
        0.0001

    Args:
        teacher: z^t, float [n], n >= 1; gets no gradient.
        student: z^s, float [m], m >= 1.
        regularization: lambda > 0, in squared units of the logits.
        marginals: ``softmax`` or ``uniform``.
        max_iterations: upper limit of the iterations.
        tolerance: marginal error at which they stop. From 1e-5 on they run in float32 as long as
            it holds the numbers, else in float64.

    Returns:
        Cost, of the student's type, marginal error and iterations.

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
    x, log_a = _points_with_mass(teacher.detach().double(), marginals, tolerance)
    y, log_b = _points_with_mass(student.double(), marginals, tolerance)
    # With centred points the squares of D belong to the potentials: 2 x y / lambda remains.
    x_mean, y_mean = log_a.exp() @ x, log_b.exp() @ y.detach()
    dtype = torch.float32 if tolerance >= _FLOAT32_TOLERANCE else torch.float64
    plan = _Plan(x - x_mean, y.detach() - y_mean, log_a, log_b, regularization, dtype)
    error, iterations = plan.fit(max_iterations, tolerance)
    mass, mean, square = plan.column_moments()
    y = y - x_mean
    cost = (mass * y.square() - 2 * mean * y + square).sum()
    return Transport(cost.to(student.dtype), error, iterations)


def _points_with_mass(points: Tensor, marginals: str, tolerance: float) -> tuple[Tensor, Tensor]:
    """The points whose mass can be noticed and, float64, the logarithms of their masses."""
    if marginals == "uniform":
        return points, torch.log_softmax(torch.zeros_like(points), 0)
    logits = points.detach()
    log_share = torch.log_softmax(logits, 0)
    floor = torch.log(torch.tensor(max(tolerance, 1e-12) * _NEGLIGIBLE / len(points)))
    kept = log_share > floor
    return points[kept], torch.log_softmax(logits[kept], 0)


class _Plan:
    """P_mn = a_m b_n u_m K_mn v_n with K_mn = exp(f_m + g_n + 2 x_m y_n / lambda).

    f and g, the potentials, are float64; K and the scalings u and v have ``dtype``.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        log_a: Tensor,
        log_b: Tensor,
        regularization: float,
        dtype: torch.dtype,
    ) -> None:
        self.x, self.log_a, self.log_b = x, log_a, log_b
        self.interaction = torch.outer(x * (2 / regularization), y)
        # Up to a constant, the exact potentials if both sets of points were normally distributed.
        x_variance, y_variance = log_a.exp() @ x.square(), log_b.exp() @ y.square()
        quarter = regularization / 4
        spread = quarter + (quarter**2 + x_variance * y_variance).sqrt()
        f = x.square() * (-y_variance / spread / regularization)
        g = y.square() * (-x_variance / spread / regularization)
        self._use(f, g, dtype)

    def _use(self, f: Tensor, g: Tensor, dtype: torch.dtype) -> None:
        """Puts the potentials into K; u and v start at 1."""
        self.f, self.g, self.dtype = f, g, dtype
        self.a, self.b = self.log_a.exp().to(dtype), self.log_b.exp().to(dtype)
        self.K = (self.interaction + f[:, None]).add_(g).exp_().to(dtype)
        self.u, self.v = torch.ones_like(self.a), torch.ones_like(self.b)

    def _potentials(self) -> tuple[Tensor, Tensor]:
        """f and g with u and v taken in."""
        return self.f + self.u.double().log(), self.g + self.v.double().log()

    def fit(self, max_iterations: int, tolerance: float) -> tuple[float, int]:
        """Updates until the teacher's marginal holds; returns its L1 error and the iterations."""
        error, done = float("inf"), 0
        while done < max_iterations and error > tolerance:
            block = min(_BLOCK, max_iterations - done)
            error = self._scale(block)
            if error == float("inf") and self.dtype == torch.float32:
                self._use(*self._potentials(), torch.float64)
                error = self._scale(block)
            if error == float("inf"):
                error = self._update_logarithms(block)
            done += block
        return error, done

    def _scale(self, iterations: int) -> float:
        """Updates u and v; where they leave the safe range, changes nothing and returns infinity.

        The safe range is such that an entry of K that fell to zero could not have mattered.
        """
        u, v = self.u, self.v
        for _ in range(iterations):
            u = (self.K @ (self.b * v)).reciprocal_()
            v = (self.K.T @ (self.a * u)).reciprocal_()
        rows = u * (self.K @ (self.b * v))
        scalings = torch.cat([u, v])
        looks = [self.a @ (rows - 1).abs(), scalings.amin(), scalings.amax()]
        error, smallest, largest = torch.stack(looks).tolist()
        bound = torch.finfo(self.dtype).max ** (1 / 6)
        if not (smallest > 1 / bound and largest < bound):
            return float("inf")
        self.u, self.v = u, v
        return float(error)

    def _update_logarithms(self, iterations: int) -> float:
        """The same updates, of f and g: slower, but nothing overflows."""
        f, g = self._potentials()
        for _ in range(iterations):
            f = -torch.logsumexp(self.interaction + (self.log_b + g), 1)
            g = -torch.logsumexp(self.interaction + (self.log_a + f)[:, None], 0)
        rows = f + torch.logsumexp(self.interaction + (self.log_b + g), 1)
        self._use(f, g, self.dtype)
        return float(self.log_a.exp() @ rows.expm1().abs())

    def column_moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over m of P_mn, P_mn x_m and P_mn x_m^2: float64 [columns] each."""
        weight = (self.a * self.u).double()
        powers = torch.stack([weight, weight * self.x, weight * self.x.square()])
        mass, mean, square = (powers.to(self.dtype) @ self.K).double() * (self.b * self.v)
        return mass, mean, square
