"""Sinkhorn scaling for squared distances on a line: a thin kernel, or a stabilised dense one."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

_CHECK_EVERY = 5  # iterations between two looks at the marginals
_ROUNDING = 1e-14  # error of the thin kernel's entries, the largest of which is 1
_FINEST = 1e-8  # relative error of the thin kernel's products that is always accepted
_LARGEST_SCALE = 1e40  # of the dense kernel's scaling vectors before they enter the exponent


class Kernel(Protocol):
    """A positive matrix K, float64 [n, m], known by its products."""

    def times(self, v: Tensor) -> Tensor:
        """K v, float64 [n]."""

    def transposed_times(self, u: Tensor) -> Tensor:
        """K^T u, float64 [m]."""

    def accurate(self, u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> bool:
        """Whether the products that led to these scalings can be relied on."""


class Plan(NamedTuple):
    """P = diag(u) K diag(v), float64 [n, m], known by its products."""

    kernel: Kernel
    u: Tensor
    v: Tensor
    marginal_error: float
    iterations: int

    def times(self, weights: Tensor) -> Tensor:
        """P w, float64 [n]."""
        return self.u * self.kernel.times(self.v * weights)

    def transposed_times(self, weights: Tensor) -> Tensor:
        """P^T w, float64 [m]."""
        return self.v * self.kernel.transposed_times(self.u * weights)


class DenseKernel:
    """K as a matrix."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.transposed = matrix, matrix.T.contiguous()

    def times(self, v: Tensor) -> Tensor:
        """K v, float64 [n]."""
        return self.matrix.mv(v)

    def transposed_times(self, u: Tensor) -> Tensor:
        """K^T u, float64 [m]."""
        return self.transposed.mv(u)

    def accurate(self, u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> bool:
        """While no scaling can lift an entry that is 0 in floating point to one that counts."""
        low, high = torch.stack([*u.aminmax(), *v.aminmax()]).aminmax()
        return bool((low > 1.0 / _LARGEST_SCALE) & (high < _LARGEST_SCALE))


class ThinKernel:
    """K = exp(-(s - t)^2) as L G, with L [n, r] and G [r, m]; K itself is never stored.

    G holds K at r Chebyshev nodes of the range of s, L interpolates between them.

    Args:
        s, t: float64 [n] and [m].
        tolerance: relative error of the products up to which they count as accurate.
    """

    def __init__(self, s: Tensor, t: Tensor, tolerance: float) -> None:
        self.tolerance = max(tolerance, _FINEST)
        rank = self.rank(s)
        degrees = torch.arange(rank, dtype=s.dtype, device=s.device)
        angles = (degrees + 0.5) * (math.pi / rank)
        low, high = s.aminmax()
        half = ((high - low) / 2).clamp_min(1e-100)
        # Chebyshev polynomials at the points, times their discrete orthogonality at the nodes.
        at_points = (((s - low) / half - 1.0).clamp(-1.0, 1.0).acos()[:, None] * degrees).cos()
        at_nodes = (degrees[:, None] * angles).cos() * (2.0 / rank)
        at_nodes[0] /= 2.0
        nodes = low + half * (1.0 + angles.cos())
        self.left, self.right = at_points @ at_nodes, (-(nodes[:, None] - t).square()).exp()
        self.left_transposed = self.left.T.contiguous()
        self.right_transposed = self.right.T.contiguous()

    @staticmethod
    def rank(s: Tensor) -> int:
        """Nodes that interpolate exp(-(s - t)^2) to rounding, whatever t is.

        On the ellipse with minor half-axis h b around an interval of half-length h the Gaussian is
        at most exp(h^2 b^2), and r nodes divide that by (b + sqrt(b^2 + 1))^r; the best b counts.
        """
        half, digits = float(s.max() - s.min()) / 2.0, -math.log(_ROUNDING)
        axes = (0.05 * 1.2**step for step in range(32))
        return 1 + math.ceil(min((half**2 * b**2 + digits) / math.asinh(b) for b in axes))

    def times(self, v: Tensor) -> Tensor:
        """K v, float64 [n]."""
        return self.left.mv(self.right.mv(v))

    def transposed_times(self, u: Tensor) -> Tensor:
        """K^T u, float64 [m]."""
        return self.right_transposed.mv(self.left_transposed.mv(u))

    def accurate(self, u: Tensor, v: Tensor, a: Tensor, b: Tensor) -> bool:
        """While ``_ROUNDING`` times the sum of v is small beside K v = a / u, and so for K^T u."""
        error = torch.maximum((u / a).max() * v.sum(), (v / b).max() * u.sum()) * _ROUNDING
        positive = torch.minimum(u.min(), v.min()) > 0
        return bool(positive & (error < self.tolerance))


def solve(
    x: Tensor,
    y: Tensor,
    a: Tensor,
    b: Tensor,
    regularization: float,
    max_iterations: int,
    tolerance: float,
) -> Plan:
    """Returns argmin_P sum_mn P_mn (x_m - y_n)^2 - lambda H(P) with marginals a and b.

    Args:
        x, y: points, float64 [n] and [m].
        a, b: their masses, all positive.
        regularization, max_iterations, tolerance: see ``transport.entropic_ot``.
    """
    s, t = _matched(x, y, a, b, regularization)
    if ThinKernel.rank(s) * (len(x) + len(y)) < len(x) * len(y):
        plan, accurate = _scale(ThinKernel(s, t, tolerance), a, b, max_iterations, tolerance)
        if accurate:
            return plan
    return _solve_dense(x, y, a, b, regularization, max_iterations, tolerance)


def _matched(
    x: Tensor, y: Tensor, a: Tensor, b: Tensor, regularization: float
) -> tuple[Tensor, Tensor]:
    """Points s, t whose kernel exp(-(s - t)^2) scales to the same plans as that of x and y.

    Only the product x y in exp(-(x - y)^2 / lambda) ties rows to columns: shifts, and a factor on
    x with its inverse on y, disappear in the scaling vectors. Equal means and spreads bring the
    plan's mass to where the kernel is large; for normal distributions they are the solution.
    """
    s, t = x - a @ x, y - b @ y
    spread_s, spread_t = (a @ s.square()).sqrt(), (b @ t.square()).sqrt()
    factor = torch.where(spread_s * spread_t > 0, (spread_t / spread_s).sqrt(), 1.0)
    factor = factor.clamp(1e-3, 1e3)
    return s * factor / math.sqrt(regularization), t / factor / math.sqrt(regularization)


def _solve_dense(
    x: Tensor,
    y: Tensor,
    a: Tensor,
    b: Tensor,
    regularization: float,
    max_iterations: int,
    tolerance: float,
) -> Plan:
    """One iteration on logarithms, the next ones on the kernel it leaves, until their scale grows.

    The logarithmic step keeps the masses where exp(-D / lambda) is 0 in floating point.
    """
    exponent = -(x[:, None] - y).square() / regularization
    g, done = b.log() + _normal_potential(x, y, a, b, regularization), 0
    while True:
        f = a.log() - torch.logsumexp(exponent + g, dim=1)
        g = b.log() - torch.logsumexp(exponent + f[:, None], dim=0)
        kernel = DenseKernel((exponent + f[:, None] + g).exp())
        plan, accurate = _scale(kernel, a, b, max_iterations - done - 1, tolerance)
        done += plan.iterations + 1
        if accurate or done >= max_iterations:
            return plan._replace(iterations=done)
        f, g = f + plan.u.log(), g + plan.v.log()


def _normal_potential(x: Tensor, y: Tensor, a: Tensor, b: Tensor, regularization: float) -> Tensor:
    """log(v / b) up to a constant if both sides were normally distributed, float64 [m].

    Saves the many iterations that little regularization takes to find shift and stretch.
    """
    shift, centred = b @ y - a @ x, y - b @ y
    x_variance, y_variance = a @ (x - a @ x).square(), b @ centred.square()
    quarter = regularization / 4
    stretch = x_variance / (quarter + (quarter**2 + x_variance * y_variance).sqrt())
    return ((1.0 - stretch) * centred.square() + 2.0 * shift * centred) / regularization


def _scale(
    kernel: Kernel, a: Tensor, b: Tensor, max_iterations: int, tolerance: float
) -> tuple[Plan, bool]:
    """Alternates u <- a / (K v) and v <- b / (K^T u), sequentially.

    Stops at ``tolerance``, at ``max_iterations`` or when the second result, whether the kernel's
    products are accurate at these scalings, turns False.
    """
    u, v = torch.ones_like(a), torch.ones_like(b)
    product, accurate, iteration = kernel.times(v), True, 0
    error = float((product - a).abs().sum())
    while error >= tolerance and accurate and iteration < max_iterations:
        for _ in range(min(_CHECK_EVERY, max_iterations - iteration)):
            u = a / product
            v = b / kernel.transposed_times(u)
            product = kernel.times(v)
            iteration += 1
        error = float((u * product - a).abs().sum())
        accurate = kernel.accurate(u, v, a, b)
    return Plan(kernel, u, v, error, iteration), accurate
