"""Entropic transport in its plain form: the whole matrix, on logarithms. Slow and readable."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform_or_softmax(points: Tensor, marginals: str) -> Tensor:
    return torch.softmax(points if marginals == "softmax" else torch.zeros_like(points), 0)


def squares(x: Tensor, y: Tensor) -> Tensor:
    return (x[:, None] - y[None, :]) ** 2


def sinkhorn(exponent: Tensor, a: Tensor, b: Tensor, iterations: int) -> Tensor:
    """log P after some pairs of Sinkhorn's updates, columns last."""
    for _ in range(iterations):
        exponent = exponent + (a.log() - torch.logsumexp(exponent, 1))[:, None]
        exponent = exponent + (b.log() - torch.logsumexp(exponent, 0))
    return exponent


def newton(log_plan: Tensor, a: Tensor, b: Tensor, iterations: int) -> Tensor:
    """The same with Newton's steps for the rows, which needs few of them near the plan."""
    for _ in range(iterations):
        log_plan = log_plan + (b.log() - torch.logsumexp(log_plan, 0))
        plan = log_plan.exp()
        rows = plan.sum(1)
        # Scaled to a unit diagonal, so that rows of little mass count as much as others.
        half = plan / (rows.sqrt()[:, None] * b.sqrt())
        laplacian = torch.eye(len(a), dtype=a.dtype) * (1 + 1e-13) - half @ half.T
        step = torch.linalg.solve(laplacian, (a - rows) / rows.sqrt()) / rows.sqrt()
        log_plan = log_plan + (step - step.mean()).clamp(-2, 2)[:, None]
    return sinkhorn(log_plan, a, b, 3)


def plan_by_scaling(x: Tensor, y: Tensor, a: Tensor, b: Tensor, regularization: float) -> Tensor:
    """P by way of larger regularizations, whose potentials start the next, float64 [n, m]."""
    distance = squares(x, y)
    current = max(float(distance.max()), regularization)
    log_plan = -distance / current
    while True:
        log_plan = newton(sinkhorn(log_plan, a, b, 30), a, b, 12)
        if current == regularization:
            return log_plan.exp()
        smaller = max(current / 2, regularization)
        # lambda log P + D is the sum of a potential of the row and one of the column.
        log_plan = (current * log_plan + distance) / smaller - distance / smaller
        current = smaller
