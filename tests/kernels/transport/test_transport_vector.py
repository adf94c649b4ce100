"""Entropic transport between vectors against hand-checked values, POT and the plain form."""

from __future__ import annotations

import ot
import pytest
import torch

from recbole_guider.errors import InputError
from recbole_guider.kernels.transport import dense_kernel, entropic_ot, vector_ot

Z_TEACHER = [[-0.1, -0.7, -1.2], [-0.5, -0.3, -0.9], [-1.4, -0.2, -0.6]]
Z_STUDENT = [[-0.3, -0.6, -1.0], [-0.9, -0.4, -0.5], [-1.1, -0.4, -0.3]]
COST_OF_SUMS = 0.229303635  # at lambda 0.1, distances summed over the coordinates
PLAN_OF_SUMS = [
    [0.330448088, 0.0028693462, 1.58992e-05],
    [0.0028852451, 0.3028520726, 0.0275960156],
    [2e-10, 0.0276119146, 0.3057214186],
]


def double(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def cloud(n: int, d: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, d, generator=generator, dtype=torch.float64)


def mean_squares(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x[:, None] - y[None, :]).square().mean(2)


def test_cost_and_gradient_of_a_known_plan():
    x, y = double(Z_TEACHER), double(Z_STUDENT).requires_grad_()
    found = vector_ot(x, y, 0.1 / 3)
    found.cost.backward()
    assert 3 * float(found.cost.detach()) == pytest.approx(COST_OF_SUMS, abs=1e-8)
    plan = double(PLAN_OF_SUMS)
    expected = 2 * (plan[:, :, None] * (y.detach()[None] - x[:, None])).sum(0) / 3
    torch.testing.assert_close(y.grad, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("regularization", [0.02, 0.1, 1.0, 10.0])
@pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 5), (7, 50, 2), (60, 60, 100)])
def test_agrees_with_pot(n, m, d, regularization):
    x, y = cloud(n, d, 1), cloud(m, d, 2, 0.5)
    distance = mean_squares(x, y)
    plan = ot.bregman.sinkhorn_log(
        torch.full((n,), 1 / n, dtype=torch.float64),
        torch.full((m,), 1 / m, dtype=torch.float64),
        distance,
        regularization,
        numItermax=20_000,
        stopThr=1e-11,
    )
    found = vector_ot(x, y, regularization)
    assert found.marginal_error <= 1e-9
    assert float(found.cost) == pytest.approx(float((plan * distance).sum()), abs=1e-6)


@pytest.mark.parametrize("regularization", [0.05, 1.0])
def test_one_coordinate_is_the_scalar_mode(regularization):
    x, y = cloud(50, 1, 3), cloud(40, 1, 4, 0.5).requires_grad_()
    line = y.detach()[:, 0].clone().requires_grad_()
    found = vector_ot(x, y, regularization)
    scalar = entropic_ot(x[:, 0], line, regularization, "uniform")
    found.cost.backward()
    scalar.cost.backward()
    assert float(found.cost.detach()) == pytest.approx(float(scalar.cost.detach()), abs=1e-8)
    torch.testing.assert_close(y.grad[:, 0], line.grad, atol=1e-8, rtol=0)


def test_repeating_coordinates_changes_nothing():
    x, y = cloud(30, 4, 5), cloud(30, 4, 6)
    once = float(vector_ot(x, y, 0.1).cost)
    assert float(vector_ot(x.repeat(1, 3), y.repeat(1, 3), 0.1).cost) == pytest.approx(once)


@pytest.mark.parametrize("regularization", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize("scale", [0.0, 1.0, 50.0])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (9, 1), (30, 20)])
def test_always_finite(n, m, scale, regularization):
    x, y = cloud(n, 3, 7, scale), cloud(m, 3, 8, scale).requires_grad_()
    found = vector_ot(x, y, regularization, max_iterations=60, tolerance=1e-4)
    found.cost.backward()
    longest = float(mean_squares(x, y.detach()).max())
    assert -1e-9 <= float(found.cost.detach()) <= longest * (1 + 1e-9) + 1e-9
    assert torch.isfinite(y.grad).all()
    assert found.iterations <= 60


@pytest.mark.parametrize("iterations", [1, 2, 13, 40])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_iterations_end_at_their_limit_and_the_error_is_the_plans(iterations, scale):
    x, y = cloud(25, 3, 9, scale), cloud(20, 3, 10, scale)
    a, b = torch.full((25,), 0.04).double(), torch.full((20,), 0.05).double()
    plan, found = dense_kernel.solve_dense(mean_squares(x, y), a, b, 0.1, iterations, 0.0)
    assert found.iterations == iterations
    assert found.marginal_error == pytest.approx(float((plan.sum(1) - a).abs().sum()), rel=1e-6)
    torch.testing.assert_close(plan.sum(0), b, atol=1e-12, rtol=0)


def test_what_cannot_be_transported_is_refused():
    with pytest.raises(InputError, match="above 0"):
        vector_ot(torch.zeros(2, 3), torch.zeros(2, 3), 0.0)
    with pytest.raises(ValueError, match=r"not \[2, 3\] and \[2, 4\]"):
        vector_ot(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="vector_ot needs at least one point"):
        vector_ot(torch.zeros(0, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="finite"):
        vector_ot(torch.zeros(2, 3), torch.full((2, 3), float("nan")))
