"""Entropic transport against the plain log-domain form and POT, at the trainer's tolerance."""

from __future__ import annotations

import time
import warnings

import ot
import pytest
import torch
from torch.nn.functional import logsigmoid

from recbole_guider.kernels.transport import entropic_ot

REGULARIZATION, TOLERANCE, ITERATIONS = 0.1, 1e-4, 100


def log_domain(x, y, iterations):
    """Sinkhorn on logarithms with the whole matrix; returns <P, D>."""
    log_a, log_b = torch.log_softmax(x, 0), torch.log_softmax(y, 0)
    distance = (x[:, None] - y[None, :]) ** 2
    exponent, g = -distance / REGULARIZATION, torch.zeros_like(y)
    for _ in range(iterations):
        f = log_a - torch.logsumexp(exponent + g, 1)
        g = log_b - torch.logsumexp(exponent + f[:, None], 0)
        rows = torch.logsumexp(exponent + f[:, None] + g, 1)
        if (rows.exp() - log_a.exp()).abs().sum() < TOLERANCE:
            break
    return ((exponent + f[:, None] + g).exp() * distance).sum()


def with_pot(x, y, iterations):
    distance = (x[:, None] - y[None, :]) ** 2
    plan = ot.sinkhorn(
        torch.softmax(x, 0),
        torch.softmax(y, 0),
        distance,
        REGULARIZATION,
        numItermax=iterations,
        stopThr=TOLERANCE,
    )
    return (plan * distance).sum()


def seconds(function, repeats: int = 3) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


@pytest.mark.performance
@pytest.mark.parametrize("n", [512, 2048])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_ratio_to_plain_forms(n, scale):
    generator = torch.Generator().manual_seed(0)
    x = logsigmoid(scale * torch.randn(n, generator=generator, dtype=torch.float64))
    y = logsigmoid(scale * torch.randn(n, generator=generator, dtype=torch.float64) / 2)

    def ours():
        return entropic_ot(x, y, REGULARIZATION, max_iterations=ITERATIONS, tolerance=TOLERANCE)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = seconds(ours)
        fixed = seconds(
            lambda: entropic_ot(x, y, REGULARIZATION, max_iterations=ITERATIONS, tolerance=0.0)
        )
        plain = seconds(lambda: log_domain(x, y, ITERATIONS), 1)
        pot = seconds(lambda: with_pot(x, y, ITERATIONS), 1)
    found = ours()
    print(
        f"\ntransport n={n} scale={scale}: {1000 * mine:.1f} ms, {found.iterations} iterations; "
        f"plain log domain {plain / mine:.1f}x, POT {pot / mine:.1f}x; "
        f"{ITERATIONS} iterations in float64 {1000 * fixed:.1f} ms"
    )
    exact = float(entropic_ot(x, y, REGULARIZATION).cost)
    assert float(found.cost) == pytest.approx(exact, rel=1e-2)
