"""Entropic transport against the plain log-domain form and POT, and its growth with n."""

from __future__ import annotations

import math
import warnings
from functools import partial

import ot
import pytest
import torch
from best_of import best_of
from torch.nn.functional import logsigmoid

from recbole_guider.kernels.transport import entropic_ot

pytestmark = pytest.mark.performance

TRAINER, TIGHT = (100, 1e-4), (10_000, 1e-9)  # iterations and tolerance


def points(n, scale):
    """Log sigmoids of the teacher's and the student's margins, float64."""
    generator = torch.Generator().manual_seed(0)
    pair = torch.randn(2, n, generator=generator, dtype=torch.float64)
    x, y = pair * torch.tensor([[scale], [scale / 2]])
    return logsigmoid(x.clamp(-50, 50)), logsigmoid(y.clamp(-50, 50))


def masses(z, marginals):
    return torch.softmax(z if marginals == "softmax" else torch.zeros_like(z), 0)


def log_domain(x, y, regularization, marginals, iterations, tolerance):
    """Sinkhorn on logarithms with the whole matrix; returns the error reached."""
    a, b = masses(x, marginals), masses(y, marginals)
    distance = (x[:, None] - y[None, :]) ** 2
    exponent, g, error = -distance / regularization, torch.zeros_like(y), math.inf
    for iteration in range(iterations):
        f = a.log() - torch.logsumexp(exponent + g, 1)
        g = b.log() - torch.logsumexp(exponent + f[:, None], 0)
        if iteration % 10 == 9:
            error = float((torch.logsumexp(exponent + f[:, None] + g, 1).exp() - a).abs().sum())
            if error < tolerance:
                break
    ((exponent + f[:, None] + g).exp() * distance).sum()
    return error


def with_pot(method, x, y, regularization, marginals, iterations, tolerance):
    distance = (x[:, None] - y[None, :]) ** 2
    plan, log = ot.sinkhorn(
        masses(x, marginals),
        masses(y, marginals),
        distance,
        regularization,
        method=method,
        numItermax=iterations,
        stopThr=tolerance,
        log=True,
    )
    (plan * distance).sum()
    return float(log["err"][-1]) if log["err"] else math.nan


@pytest.mark.parametrize(
    ("scale", "regularization", "marginals"),
    [
        (1.0, 0.1, "softmax"),
        (3.0, 0.1, "softmax"),
        (3.0, 1e-3, "softmax"),
        (50.0, 0.1, "softmax"),
        (50.0, 1e-3, "uniform"),
    ],
)
def test_ratio_to_plain_forms(scale, regularization, marginals):
    """The plain forms run at the trainer's tolerance only; at the tight one they take longer."""
    x, y = points(2048, scale)
    asked = x, y, regularization, marginals
    forms = {
        "log domain": log_domain,
        "POT sinkhorn_log": partial(with_pot, "sinkhorn_log"),
        "POT sinkhorn": partial(with_pot, "sinkhorn"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = {name: best_of(1, partial(form, *asked, *TRAINER)) for name, form in forms.items()}
    line = f"\ntransport n=2048 scale={scale:g} lambda={regularization:g} {marginals}"
    for limit, tolerance in (TRAINER, TIGHT):
        ours = partial(entropic_ot, *asked, max_iterations=limit, tolerance=tolerance)
        mine, found = best_of(7, ours)
        line += (
            f"\n  tolerance {tolerance:g}: {1000 * mine:.1f} ms, {found.iterations} iterations, "
            f"error {found.marginal_error:.0e}; plain forms at {TRAINER[1]:g}: "
        )
        line += ", ".join(
            f"{name} {time / mine:.0f}x (error {error:.0e})"
            for name, (time, error) in plain.items()
        )
        assert found.marginal_error <= tolerance
    print(line)


@pytest.mark.parametrize(
    ("scale", "regularization", "marginals"),
    [(1.0, 0.1, "softmax"), (3.0, 0.1, "uniform"), (3.0, 1e-3, "softmax"), (50.0, 1e-3, "uniform")],
)
@pytest.mark.parametrize("settings", [TRAINER, TIGHT])
def test_growth_with_the_number_of_points(scale, regularization, marginals, settings):
    limit, tolerance = settings
    times = {}
    for exponent in range(9, 17):
        x, y = points(2**exponent, scale)
        asked = x, y, regularization, marginals
        ours = partial(entropic_ot, *asked, max_iterations=limit, tolerance=tolerance)
        times[2**exponent], found = best_of(3, ours)
        assert found.marginal_error <= tolerance
    logarithms = torch.tensor([[math.log(n), math.log(t)] for n, t in times.items()])
    n, t = (logarithms - logarithms.mean(0)).T
    last = math.log(times[65536] / times[8192]) / math.log(8)
    print(
        f"\ntransport growth scale={scale:g} lambda={regularization:g} {marginals} "
        f"tolerance={tolerance:g}: "
        + ", ".join(f"{n} {1000 * t:.1f} ms" for n, t in times.items())
        + f"; time ~ n^{float(n @ t / (n @ n)):.2f}, from 8192 on n^{last:.2f}"
    )
    assert last < 1.5
