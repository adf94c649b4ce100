"""A kernel held as a matrix of exponents: for points in many dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from recbole_guider.kernels.transport.sinkhorn import Scaling, log_masses, scale

_FURTHEST = 60.0  # of the logarithms from those in the matrix, before they enter it
_FAINTEST = 1e-200  # sum that may have lost terms to underflow
_COARSEST = 20.0  # greatest distance in units of lambda that needs no coarser start
_COARSER = 5.0  # factor between two values of lambda on the way to the one asked for
_COARSE_ITERATIONS, _COARSE_TOLERANCE = 10, 1e-2


class DenseKernel:
    """K = e^E, stable for exponents of any size.

    Sums are taken with the matrix exp(E + f + g) of scalings f, g seen before, in which nothing
    overflows; they are taken anew, on logarithms, when the scalings have moved far from these.

    Args:
        exponents: E, float64 [n, m].
        a, b: masses of rows and columns, float64 [n] and [m].
        start: a first f, float64 [n].
    """

    def __init__(self, exponents: Tensor, a: Tensor, b: Tensor, start: Tensor) -> None:
        self.exponents, self.row_masses, self.column_masses = exponents, a, b
        self.start = start
        self._absorb(start, -torch.logsumexp(exponents + start[:, None], 0))

    def _absorb(self, f: Tensor, g: Tensor) -> None:
        self.f, self.g = f, g
        self.matrix = (self.exponents + f[:, None]).add_(g).exp_()

    def log_row_sums(self, g: Tensor) -> Tensor:
        """log K e^g, float64 [n]."""
        move = g - self.g
        if float(move.abs().max()) <= _FURTHEST:
            sums = self.matrix.mv(move.exp())
            if float(sums.min()) >= _FAINTEST:
                return sums.log() - self.f
        logarithms = torch.logsumexp(self.exponents + g, 1)
        self._absorb(-logarithms, g)
        return logarithms

    def log_column_sums(self, f: Tensor) -> Tensor:
        """log K^T e^f, float64 [m]."""
        move = f - self.f
        if float(move.abs().max()) <= _FURTHEST:
            sums = self.matrix.T.mv(move.exp())
            if float(sums.min()) >= _FAINTEST:
                return sums.log() - self.g
        logarithms = torch.logsumexp(self.exponents + f[:, None], 0)
        self._absorb(f, -logarithms)
        return logarithms

    def flow(self, f: Tensor, g: Tensor) -> None:
        """There is no line along which mass could flow."""


def solve_dense(
    distance: Tensor,
    a: Tensor,
    b: Tensor,
    regularization: float,
    max_iterations: int,
    tolerance: float,
) -> tuple[Tensor, Scaling]:
    """Returns argmin_P <P, D> - lambda H(P), float64 [n, m], with marginals a, b; and its scaling.

    Starts from the plans of a few larger lambda, as far as the distances are large beside it.

    Args:
        distance: D >= 0, float64 [n, m].
        a, b: masses, all positive, each of sum 1.
        regularization, max_iterations, tolerance: see ``transport.entropic_ot``.
    """
    start, spent = log_masses(a), 0
    steps, largest = [regularization], float(distance.max())
    while largest > _COARSEST * steps[-1]:
        steps.append(_COARSER * steps[-1])
    for coarse in steps[:0:-1]:
        kernel = DenseKernel(-distance / coarse, a, b, start)
        limit = min(_COARSE_ITERATIONS, max_iterations - spent - 1)
        if limit < 1:
            break
        found = scale(kernel, limit, _COARSE_TOLERANCE)
        spent += found.iterations
        # The potentials lambda f of one lambda are nearly those of the next.
        start = log_masses(a) + _COARSER * (found.f - log_masses(a))
    kernel = DenseKernel(-distance / regularization, a, b, start)
    found = scale(kernel, max_iterations - spent, tolerance)
    plan = (kernel.exponents + found.f[:, None]).add_(found.g).exp_()
    return plan, found._replace(iterations=found.iterations + spent)
