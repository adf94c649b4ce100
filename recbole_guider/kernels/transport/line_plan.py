"""The entropic plan between two sets of points on a line, known by its products."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from recbole_guider.kernels.transport.boxed_kernel import AREA, BoxedKernel
from recbole_guider.kernels.transport.sinkhorn import log_masses, scale
from recbole_guider.kernels.transport.staircase import Side, monotone

_AREAS = (AREA, AREA / 4.0, AREA / 16.0)  # of the boxes: finer ones where the check fails
_TRIALS, _TRIAL_ENTRIES = (16, 64), 2**16  # rows summed in full, as a check of the kernel
_EXACT = 1e-10  # error of the kernel, summed over the rows, that is always accepted


class LinePlan(NamedTuple):
    """P = diag(e^f) K diag(e^g), float64 [n, m].

    Attributes:
        kernel: K, between padded vectors of sorted points.
        rows, columns: the sorted points.
        f, g: logarithms of the scaling, padded.
        marginal_error: sum over m of |(P 1)_m - a_m|.
        iterations: pairs of products with K.
    """

    kernel: BoxedKernel
    rows: Side
    columns: Side
    f: Tensor
    g: Tensor
    marginal_error: float
    iterations: int

    def times(self, weights: Tensor) -> Tensor:
        """P w, float64 [n]."""
        padded = weights[self.columns.order][self.kernel.columns.layout]
        product = self.f.exp() * self.kernel.times(self.g.exp() * padded)
        return self._unsorted(product[self.kernel.rows.places], self.rows)

    def transposed_times(self, weights: Tensor) -> Tensor:
        """P^T w, float64 [m]."""
        padded = weights[self.rows.order][self.kernel.rows.layout]
        product = self.g.exp() * self.kernel.transposed_times(self.f.exp() * padded)
        return self._unsorted(product[self.kernel.columns.places], self.columns)

    def logarithms(self, some: Tensor) -> Tensor:
        """Logarithms of P's entries, all columns of the given rows, both in ascending order.

        Straight from the points and the scaling, without the kernel's approximations.

        Args:
            some: places of k sorted rows, int64 [k].
        """
        left, right = self.kernel.rows, self.kernel.columns
        # The scaling relative to the points' potentials instead of to those of their box.
        f = (self.f - left.offsets)[left.places][some] + self.rows.potentials[some]
        g = (self.g - right.offsets)[right.places] + self.columns.potentials
        gaps = self.rows.points[some][:, None] - self.columns.points
        return f[:, None] + g - gaps.square()

    def divergence(self) -> Tensor:
        """KL(P || a b^T), a scalar."""
        left, right = self.kernel.rows, self.kernel.columns
        s, t = self.rows.points[left.layout], self.columns.points[right.layout]
        u, v = self.f.exp(), self.g.exp()
        rows, columns = u * self.kernel.times(v), v * self.kernel.transposed_times(u)
        means = v * self.kernel.transposed_times(u * s)
        gaps = rows @ s.square() - 2.0 * means @ t + columns @ t.square()
        f = self.f - left.offsets + self.rows.potentials[left.layout] - log_masses(left.masses)
        g = self.g - right.offsets + self.columns.potentials[right.layout]
        return rows @ f + columns @ (g - log_masses(right.masses)) - gaps

    @staticmethod
    def _unsorted(values: Tensor, side: Side) -> Tensor:
        return torch.empty_like(values).index_copy_(0, side.order, values)


def solve(
    x: Tensor,
    y: Tensor,
    a: Tensor,
    b: Tensor,
    regularization: float,
    max_iterations: int,
    tolerance: float,
) -> LinePlan:
    """Returns argmin_P sum_mn P_mn (x_m - y_n)^2 - lambda H(P) with marginals a and b.

    Args:
        x, y: points, float64 [n] and [m].
        a, b: their masses, all positive, each of sum 1.
        regularization, max_iterations, tolerance: see ``transport.entropic_ot``.
    """
    rows, columns = monotone(x, y, a, b, regularization)
    for area in _AREAS:
        kernel = BoxedKernel(rows, columns, area)
        plan = LinePlan(kernel, rows, columns, *scale(kernel, max_iterations, tolerance))
        doubt = _kernel_error(plan)
        if doubt <= max(1e-2 * tolerance, _EXACT):
            return plan
    return plan._replace(marginal_error=plan.marginal_error + doubt)


def _kernel_error(plan: LinePlan) -> float:
    """The row sums' error that the kernel's approximation makes, in L1, judged by a few rows."""
    kernel, n = plan.kernel, len(plan.rows.points)
    if kernel.exact:
        return 0.0
    count = min(max(_TRIAL_ENTRIES // len(plan.columns.points), _TRIALS[0]), _TRIALS[1])
    trial = torch.linspace(0, n - 1, count, device=plan.f.device).long()
    sums = (plan.f.exp() * kernel.times(plan.g.exp()))[kernel.rows.places][trial]
    return float((plan.logarithms(trial).exp().sum(1) - sums).abs().mean()) * n
