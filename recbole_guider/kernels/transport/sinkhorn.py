"""Sinkhorn's scaling on logarithms, made fast by mixing and by flow along the line."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from recbole_guider.kernels.transport.anderson import Mixing

_FIRST_FLOW, _FLOW_EVERY = 3, 20  # iterations at which the kernel's flow is measured
_WORSE = 100.0  # factor on the least error so far at which the mixing starts anew
_LONGEST_STEP = 30.0  # of a logarithm
_NO_MASS = -1e4  # logarithm of the mass of padding; its exponential is 0


class Flow(Protocol):
    """A correction of potentials that looks far."""

    def potentials(self, missing: Tensor) -> Tensor:
        """What to add to f where ``missing`` is a - P 1, both float64 [n]."""


class Kernel(Protocol):
    """A positive matrix K [n, m] and the masses a, b that diag(e^f) K diag(e^g) shall have.

    Attributes:
        row_masses, column_masses: a, float64 [n], and b, float64 [m]; 0 for padding.
        start: a first f, float64 [n].
    """

    row_masses: Tensor
    column_masses: Tensor
    start: Tensor

    def log_row_sums(self, g: Tensor) -> Tensor:
        """log K e^g, float64 [n]."""

    def log_column_sums(self, f: Tensor) -> Tensor:
        """log K^T e^f, float64 [m]."""

    def flow(self, f: Tensor, g: Tensor) -> Flow | None:
        """The correction at these scalings, if the kernel knows one; costs a pair of products."""


class Scaling(NamedTuple):
    """f and g of P = diag(e^f) K diag(e^g), whose columns hold up to rounding.

    Attributes:
        f, g: float64 [n] and [m].
        marginal_error: sum over m of |(P 1)_m - a_m|.
        iterations: pairs of products with the kernel.
    """

    f: Tensor
    g: Tensor
    marginal_error: float
    iterations: int


def log_masses(masses: Tensor) -> Tensor:
    """Logarithms of masses, and a finite stand-in for that of 0."""
    return torch.where(masses > 0, masses.log(), _NO_MASS)


def scale(kernel: Kernel, max_iterations: int, tolerance: float) -> Scaling:
    """Alternates g <- log b - log K^T e^f and f <- log a - log K e^g, and extrapolates f.

    Returns the best scaling seen, the first whose rows' error is below ``tolerance`` or the best
    of ``max_iterations``. All are finite.
    """
    a = kernel.row_masses
    log_a, log_b, weights = log_masses(a), log_masses(kernel.column_masses), a.sqrt()
    mixing, flow, f = Mixing(weights), None, kernel.start
    best, updated = Scaling(f, log_b, math.inf, 0), f
    iteration, next_flow = 0, _FIRST_FLOW
    while True:
        iteration += 1
        g = log_b - kernel.log_column_sums(f)
        image = log_a - kernel.log_row_sums(g)
        missing = a - (f - image).exp() * a
        error = float(missing.abs().sum())
        if error < best.marginal_error or iteration == 1:
            best, updated = Scaling(f, g, error, iteration), image
        if error < tolerance or iteration >= max_iterations:
            return best._replace(iterations=iteration)
        if not error <= _WORSE * best.marginal_error:
            mixing, flow, f = Mixing(weights), None, updated
            continue
        if iteration >= next_flow and iteration + 1 < max_iterations:
            flow = kernel.flow(f, g)
            if flow is not None:
                # Steps of another kind do not mix with the ones before.
                mixing = Mixing(weights)
                iteration += 1
            next_flow += _FLOW_EVERY
        step = (image - f).clamp(-_LONGEST_STEP, _LONGEST_STEP)
        if flow is not None:
            step = step + flow.potentials(missing)
        f = mixing.mix(f, step)
